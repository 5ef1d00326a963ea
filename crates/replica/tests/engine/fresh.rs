//! How fresh reads are, and what they cost.

use std::time::Duration;

use synod_replica::Consistency::{self, Bounded, Lease, Linearizable, Stale};
use synod_replica::NodeId;

use super::rig::{INDEX, KIND_AT, MESSAGE, Nodes, Rig, Tuning};

/// Node 1 leads, and holds a lease.
fn led<C: Rig>() -> Nodes<C> {
    let mut nodes = Nodes::<C>::new(Tuning::default());
    nodes.run(600);
    nodes
}

fn ended<C: Rig>(nodes: &Nodes<C>, name: &str) -> bool {
    let ends = nodes.ends();
    ends.iter()
        .any(|end| end.starts_with(&format!("{name}: read ")))
}

/// Whether the read ended at once, and sent nothing.
fn is_free<C: Rig>(nodes: &mut Nodes<C>, id: u64, how: Consistency, name: &'static str) -> bool {
    let before = nodes.wire.len();
    nodes.read_as(id, how, name);
    ended(nodes, name) && nodes.wire.len() == before
}

pub(crate) fn a_leader_with_a_lease_asks_nobody<C: Rig>() {
    let mut nodes = led::<C>();
    assert!(!is_free(&mut nodes, 1, Linearizable, "confirmed"));
    assert!(is_free(&mut nodes, 1, Lease, "leased"));
    // Nobody is heard any more, and the lease ends. Who is asked then has to be confirmed.
    nodes.hold = |_, _, kind| kind == MESSAGE;
    (0..110).for_each(|_| nodes.step());
    assert!(!is_free(&mut nodes, 1, Lease, "late"));
    (0..20).for_each(|_| nodes.step());
    assert!(!ended(&nodes, "late"));
    nodes.hold = |_, _, _| false;
    (0..100).for_each(|_| nodes.step());
    assert!(ended(&nodes, "late"), "by itself: {:?}", nodes.ends());
}

pub(crate) fn a_clock_that_was_wrong_ends_a_lease<C: Rig>() {
    let mut nodes = led::<C>();
    let now = nodes.now;
    nodes.engine(1).handle_clock_fault(now);
    assert!(!is_free(&mut nodes, 1, Lease, "after"));
    (0..100).for_each(|_| nodes.step());
    assert!(ended(&nodes, "after"));
    assert!(is_free(&mut nodes, 1, Lease, "again"));
}

/// A follower asks its leader, and that nobody else.
pub(crate) fn a_lease_is_good_for_followers<C: Rig>() {
    let mut nodes = led::<C>();
    nodes.hold = |_, _, kind| kind == MESSAGE;
    nodes.read_as(2, Lease, "leased");
    nodes.read_as(3, Linearizable, "confirmed");
    (0..3).for_each(|_| nodes.step());
    assert!(ended(&nodes, "leased"));
    assert!(!ended(&nodes, "confirmed"));
}

/// What a follower has is enough for as long as its last question is young, and never because it was
/// sent something.
pub(crate) fn a_bounded_read_counts_from_the_last_question<C: Rig>() {
    let mut nodes = led::<C>();
    let most = Bounded(Duration::from_millis(50));
    // Heartbeats and commit indexes have come all the time.
    nodes.propose(1, "written");
    (0..20).for_each(|_| nodes.step());
    assert!(!is_free(&mut nodes, 2, most, "first"));
    let asked = nodes.now;
    (0..10).for_each(|_| nodes.step());
    assert!(ended(&nodes, "first"));
    assert!(is_free(&mut nodes, 2, most, "young"));
    while nodes.now.since(asked) < Duration::from_millis(50) {
        nodes.step();
    }
    assert!(is_free(&mut nodes, 2, most, "just young enough"));
    nodes.step();
    assert!(!is_free(&mut nodes, 2, most, "too old"));
    assert!(is_free(&mut nodes, 2, Stale, "stale"));
}

/// Who knows that its clock was wrong knows no age by it, not even of a question that is under way.
pub(crate) fn a_clock_that_was_wrong_tells_no_age<C: Rig>() {
    let mut nodes = led::<C>();
    let most = Bounded(Duration::from_millis(500));
    assert!(!is_free(&mut nodes, 2, most, "first"));
    (0..10).for_each(|_| nodes.step());
    assert!(is_free(&mut nodes, 2, most, "fresh"));
    nodes.hold = |_, to, kind| to == 2 && kind == INDEX;
    nodes.read_as(2, Lease, "under way");
    (0..3).for_each(|_| nodes.step());
    let now = nodes.now;
    nodes.engine(2).handle_clock_fault(now);
    assert!(!is_free(&mut nodes, 2, most, "after"));
    nodes.hold = |_, _, _| false;
    for frame in std::mem::take(&mut nodes.held) {
        nodes.deliver(frame);
    }
    assert!(ended(&nodes, "under way"));
    nodes.read_as(2, Stale, "stale");
    assert_eq!(nodes.ages().last().unwrap().1, None);
    (0..100).for_each(|_| nodes.step());
    assert!(is_free(&mut nodes, 2, most, "again"));
}

/// The answer is late, and the machine later still: neither makes it younger.
pub(crate) fn an_age_counts_from_the_sending<C: Rig>() {
    let mut nodes = led::<C>();
    nodes.read_as(2, Stale, "unknown");
    assert_eq!(nodes.ages(), [("unknown", None)]);
    nodes.hold = |_, to, kind| to == 2 && kind == INDEX;
    nodes.read_as(2, Lease, "asked");
    (0..30).for_each(|_| nodes.step());
    nodes.hold = |_, _, _| false;
    for frame in std::mem::take(&mut nodes.held) {
        assert_eq!((frame.1, frame.2[KIND_AT]), (2, INDEX));
        nodes.deliver(frame);
    }
    let age = nodes.ages().last().unwrap().1;
    assert_eq!(age, Some(Duration::from_millis(30)));
    (0..7).for_each(|_| nodes.step());
    nodes.read_as(2, Stale, "stale");
    let age = nodes.ages().last().unwrap().1;
    assert_eq!(age, Some(Duration::from_millis(37)));
    let leads = nodes.status(2).leadership.map(|leader| leader.node);
    assert_eq!(leads, Some(NodeId(1)));
}
