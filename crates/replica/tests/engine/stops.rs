//! A node whose disk does not hold what it held before: with Raft it stops for good and reports
//! why, with Paxos it is sent again what it lost.

use synod_replica::Divergence;
use synod_replica::embed::Protocol;
use synod_replica::sim::SimDisk;

use crate::rig::{Nodes, Rig, Tuning};

tests! {
    a_node_on_an_older_copy_of_its_log_does_harm_to_nobody,
}

fn a_node_on_an_older_copy_of_its_log_does_harm_to_nobody<C: Rig>() {
    let mut nodes = Nodes::<C>::new(Tuning {
        segment_bytes: 4 << 20,
        ..Tuning::default()
    });
    nodes.run(600);
    nodes.write(50, 1);
    nodes.run(50);
    let older = SimDisk(nodes.nodes[&3].disk.0.fork(7));
    let held = nodes.status(3).core.last;
    nodes.write(50, 1);
    nodes.run(50);
    let acknowledged = nodes.status(3).core.last;
    assert!(acknowledged >= held + 50);

    nodes.may_stop = true;
    nodes.nodes.remove(&3);
    nodes.start(3, older, 2);
    nodes.run(500);
    nodes.propose(1, "goes on");
    nodes.run(500);
    let ends = nodes.ends();
    assert_eq!(ends.last().unwrap(), "goes on: applied 101");
    if C::Protocol::NAME == "raft" {
        let why = nodes.stopped.get(&3);
        let forgot = Divergence::Forgot {
            acknowledged,
            holds: held,
        };
        assert_eq!(why, Some(&forgot));
    } else {
        assert_eq!(nodes.stopped.get(&3), None);
        assert_eq!(nodes.status(3).applied, nodes.status(1).applied);
    }
}
