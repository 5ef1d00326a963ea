//! Leadership is handed over while commands are on their way: none is lost, and of none it is unknown what
//! became.

use synod_replica::{NodeId, Role, TransferError};

use super::rig::{FORWARD, KIND_AT, MESSAGE, Nodes, Rig, Tuning};

/// Node 1 leads.
fn led<C: Rig>() -> Nodes<C> {
    let mut nodes = Nodes::<C>::new(Tuning::default());
    nodes.run(600);
    nodes
}

fn pass<C: Rig>(nodes: &mut Nodes<C>, ms: u64) {
    (0..ms).for_each(|_| nodes.step());
}

fn let_go<C: Rig>(nodes: &mut Nodes<C>) {
    nodes.hold = |_, _, _| false;
    for frame in std::mem::take(&mut nodes.held) {
        nodes.deliver(frame);
    }
}

fn transfer<C: Rig>(nodes: &mut Nodes<C>, to: u64) -> Result<NodeId, TransferError> {
    let now = nodes.now;
    let begun = nodes.engine(1).transfer(now, Some(NodeId(to)));
    nodes.pump(1);
    begun
}

pub(crate) fn commands_wait_for_the_next_leader<C: Rig>() {
    let mut nodes = led::<C>();
    // The target does not hear that it is asked.
    nodes.hold = |from, to, kind| (from, to, kind) == (1, 3, MESSAGE);
    assert_eq!(transfer(&mut nodes, 3), Ok(NodeId(3)));
    nodes.propose(1, "own");
    nodes.propose(2, "of a follower");
    pass(&mut nodes, 20);
    assert_eq!(nodes.status(1).core.transfer, Some(NodeId(3)));
    assert!(nodes.ends().is_empty(), "{:?}", nodes.ends());
    let_go(&mut nodes);
    pass(&mut nodes, 100);
    assert_eq!(nodes.status(3).core.role, Role::Leader);
    let ends = nodes.ends();
    let applied = |name: &str| {
        ends.iter()
            .any(|end| end.starts_with(&format!("{name}: applied")))
    };
    assert!(applied("own") && applied("of a follower"), "{ends:?}");
}

/// A command reaches the leader when that leads no more; it knows that it has not proposed it. Its word is
/// in time if it comes before those of the next leader.
pub(crate) fn a_command_that_comes_too_late_goes_to_the_next_leader<C: Rig>() {
    let mut nodes = led::<C>();
    nodes.hold =
        |from, to, kind| (from, to, kind) == (2, 1, FORWARD) || (from, to, kind) == (3, 2, MESSAGE);
    nodes.propose(2, "first");
    pass(&mut nodes, 2);
    nodes.propose(2, "second");
    pass(&mut nodes, 2);
    assert_eq!(transfer(&mut nodes, 3), Ok(NodeId(3)));
    pass(&mut nodes, 30);
    assert_eq!(nodes.status(3).core.role, Role::Leader);
    let held = std::mem::take(&mut nodes.held);
    let (late, rest) = held
        .into_iter()
        .partition(|(_, _, frame)| frame[KIND_AT] == FORWARD);
    nodes.held = late;
    let_go(&mut nodes);
    pass(&mut nodes, 2);
    nodes.held = rest;
    let_go(&mut nodes);
    pass(&mut nodes, 100);
    assert_eq!(nodes.ends(), ["first: applied 1", "second: applied 2"]);
}

/// What waited is done by the leader that it was meant for.
pub(crate) fn commands_that_waited_are_done_when_a_transfer_fails<C: Rig>() {
    let mut nodes = led::<C>();
    nodes.hold = |from, to, kind| (from, to, kind) == (1, 3, MESSAGE);
    assert_eq!(transfer(&mut nodes, 3), Ok(NodeId(3)));
    assert_eq!(
        transfer(&mut nodes, 2),
        Err(TransferError::UnderWay { to: NodeId(3) })
    );
    nodes.propose(1, "own");
    nodes.propose(2, "of a follower");
    nodes.run(350);
    assert_eq!(nodes.status(1).core.transfer, None);
    let ends = nodes.ends();
    assert_eq!(ends.len(), 2);
    assert!(ends.iter().all(|end| end.contains("applied")), "{ends:?}");
}
