//! Transport costs nothing, the network is homogeneous.

use std::time::Duration;

use synod_sim::page::Recorder;
use synod_sim::{ClientId, Crash, Fault, KvInput, NodeId, Process, WorldOptions};

use super::Shown;
use super::network::{PATIENCE, put, ready};
use crate::raft_service::RaftService;
use crate::scene::{Founding, Scene, begin_run};

pub(super) fn free_transport(seed: u64, recorder: Option<&Recorder>) -> Shown {
    begin_run(recorder, "7. Messages are counted");
    let mut scene = ready::<RaftService>(seed, WorldOptions::default(), recorder);
    let leader = leader(&scene);
    let before = scene.world.stats().sent;
    for number in 0..OPERATIONS {
        let op = scene.ask(ClientId(1), leader, put(number));
        scene.wait(op, PATIENCE);
    }
    let one_by_one = (scene.world.stats().sent - before) as f64 / OPERATIONS as f64;
    let before = scene.world.stats().sent;
    let asked: Vec<_> = (0..OPERATIONS)
        .map(|number| scene.ask(ClientId(100 + number), leader, put(number)))
        .collect();
    for op in asked {
        scene.wait(op, PATIENCE);
    }
    let together = (scene.world.stats().sent - before) as f64 / OPERATIONS as f64;
    Shown {
        switched_on: "messages are counted".to_owned(),
        naive: format!("one operation at a time: {one_by_one:.1} messages an operation"),
        breaks: one_by_one >= 4.0,
        ours: format!("{OPERATIONS} under way at once: {together:.1}"),
        holds: together * 4.0 < one_by_one,
        told: Some(
            "bytes and system calls an operation: nothing is encoded here, and nothing leaves the process"
                .to_owned(),
        ),
    }
}

pub(super) fn homogeneous(seed: u64, recorder: Option<&Recorder>) -> Shown {
    begin_run(recorder, "8. A slow disk: both of two must store");
    let naive = with_a_slow_disk(seed, 2, recorder);
    begin_run(recorder, "8. A slow disk: two of three must");
    let ours = with_a_slow_disk(seed, 3, recorder);
    begin_run(
        recorder,
        "8. An older version: goes past what it cannot read",
    );
    let skipped = with_two_versions(seed, false, recorder);
    begin_run(recorder, "8. An older version: ours");
    let refused = with_two_versions(seed, true, recorder);
    Shown {
        switched_on: "a disk stalls for five seconds; one node is of an older version".to_owned(),
        naive: format!(
            "two nodes that must both store: a write takes {naive:.1?}. A node that goes past what it \
             cannot read: the copies {}",
            if skipped.differ {
                "differ"
            } else {
                "are the same"
            },
        ),
        breaks: naive > Duration::from_secs(4) && skipped.differ,
        ours: format!(
            "three of which two must: {ours:.1?}. The format stands in what a group was founded on: the \
             older version {}",
            if refused.starts {
                "starts"
            } else {
                "does not start there"
            },
        ),
        holds: ours < Duration::from_secs(1) && !refused.starts && !refused.differ,
        told: None,
    }
}

/// How long a write takes while a follower's disk does not finish anything.
fn with_a_slow_disk(seed: u64, nodes: u64, recorder: Option<&Recorder>) -> Duration {
    let options = WorldOptions::default();
    let mut scene = Scene::<RaftService>::recorded(seed, nodes, options, recorder);
    scene.world.run_until(Duration::from_secs(1));
    let op = scene.ask(ClientId(1), NodeId(1), put(0));
    scene.wait(op, PATIENCE);
    let leader = leader(&scene);
    let node = NodeId(1 + leader.0 % nodes);
    let lasts = Duration::from_secs(5);
    scene.world.strike(&Fault::DiskStall { node, lasts });
    let op = scene.ask(ClientId(1), leader, put(1));
    scene.wait(op, PATIENCE).unwrap_or(PATIENCE)
}

struct Versions {
    starts: bool,
    differ: bool,
}

/// A follower is started again by an older program, which does not know one of the commands.
fn with_two_versions(seed: u64, heeds: bool, recorder: Option<&Recorder>) -> Versions {
    let mut scene = ready::<RaftService>(seed, WorldOptions::default(), recorder);
    scene.board.heeds_founding.set(heeds);
    let leader = leader(&scene);
    let node = NodeId(1 + leader.0 % 3);
    let older = Founding {
        voters: [1, 2, 3].map(NodeId).into(),
        version: 1,
    };
    scene.board.told.borrow_mut().insert(node, older);
    scene.world.crash(node, Crash::Kill);
    let starts = scene.world.restart(node);
    let swap = KvInput::cas("first", "there", "swapped");
    let op = scene.ask(ClientId(1), leader, swap);
    scene.wait(op, PATIENCE);
    let until = scene.world.now() + Duration::from_secs(1);
    scene.world.run_until(until);
    let up = scene.world.node_ids().into_iter();
    let held: Vec<_> = up
        .filter_map(|node| scene.world.process(node))
        .map(|process| process.local("first"))
        .collect();
    Versions {
        starts,
        differ: held.windows(2).any(|pair| pair[0] != pair[1]),
    }
}

fn leader(scene: &Scene<RaftService>) -> NodeId {
    let nodes = scene.world.node_ids().into_iter();
    let mut leading = nodes.filter(|node| scene.world.process(*node).is_some_and(Process::leads));
    leading.next().unwrap_or(NodeId(1))
}

const OPERATIONS: u64 = 32;
