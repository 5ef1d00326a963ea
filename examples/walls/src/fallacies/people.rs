//! The network is secure, there is one administrator.

use std::time::Duration;

use synod_raft::{Index, Message, Replicate, Term};
use synod_sim::page::{Kind, Recorder};
use synod_sim::{ClientId, Crash, KvInput, NodeId, Process, Verdict, WorldOptions};

use super::Shown;
use super::network::{PATIENCE, put, ready};
use crate::raft_service::RaftService;
use crate::scene::{Founding, Scene, begin_run};

/// Follows whoever names the highest term.
struct Trusting {
    term: u64,
}

impl Trusting {
    /// Whether it listens.
    fn hear(&mut self, term: u64) -> bool {
        let listens = term >= self.term;
        self.term = self.term.max(term);
        listens
    }
}

pub(super) fn secure(seed: u64, recorder: Option<&Recorder>) -> Shown {
    let mut trusting = Trusting { term: 1 };
    trusting.hear(FORGED);
    let deaf = (0..100).filter(|_| !trusting.hear(2)).count();
    begin_run(recorder, "4. A stranger forges heartbeats");
    let mut scene = ready::<RaftService>(seed, WorldOptions::default(), recorder);
    let before = terms(&scene);
    forge(&mut scene, FORGED, recorder);
    let is_answered = write(&mut scene, 1);
    let unmoved = terms(&scene) == before;
    // A forger who is patient takes the next term instead. That costs an election, and no data.
    let next = before.iter().max().copied().unwrap_or(0) + 1;
    forge(&mut scene, next, recorder);
    let is_answered = is_answered && write(&mut scene, 2);
    let deposed = terms(&scene).iter().all(|term| *term >= next);
    let is_right = scene.verdict().is_ok();
    let after = if deposed { "an election" } else { "nothing" };
    Shown {
        switched_on: "a stranger sends a heartbeat of a term near the end of all numbers"
            .to_owned(),
        naive: format!(
            "whoever follows the highest term: deaf to {deaf} of 100 heartbeats of the true leader"
        ),
        breaks: deaf == 100,
        ours: format!(
            "a leap that no honest history makes is not believed: terms stay {before:?}. The next \
             term is believed, and costs {after}; all is answered, and linearizable"
        ),
        holds: unmoved && is_answered && is_right,
        told: Some(
            "nobody sends bytes here, so nobody can be refused under TLS, where a stranger's frame reaches \
             no decoder: `cargo test -p synod-transport --features ring --test tls refused_unheard`"
                .to_owned(),
        ),
    }
}

pub(super) fn one_administrator(seed: u64, recorder: Option<&Recorder>) -> Shown {
    begin_run(recorder, "6. Two administrators: the newest word counts");
    let naive = contradict(seed, false, recorder);
    begin_run(recorder, "6. Two administrators: ours");
    let ours = contradict(seed, true, recorder);
    begin_run(
        recorder,
        "6. Two administrators: a new disk, told something else",
    );
    let new = contradict_on_a_new_disk(seed, recorder);
    Shown {
        switched_on:
            "a second administrator starts node 1 again, which is cut off, and tells it that it \
                      is alone"
                .to_owned(),
        naive: match naive.is_violation {
            true => "who believes the newest word: node 1 answers by itself, and not linearizably"
                .to_owned(),
            false => "who believes the newest word: nothing was seen".to_owned(),
        },
        breaks: naive.is_violation && naive.starts,
        ours: format!(
            "what a node was founded on stands on its disk: node 1 {}, and the other two go on. On a new \
             disk, told that it and node 2 are all, it starts: of its messages {} are refused by the \
             digest of what the others were founded on, and it answers {}",
            if ours.starts {
                "starts"
            } else {
                "does not start"
            },
            new.refused,
            if new.answers { "alone" } else { "nobody" },
        ),
        holds: !ours.starts
            && ours.answered
            && !ours.is_violation
            && new.refused > 0
            && !new.answers
            && new.others_answer,
        told: None,
    }
}

struct Contradiction {
    starts: bool,
    answered: bool,
    is_violation: bool,
}

fn contradict(seed: u64, heeds: bool, recorder: Option<&Recorder>) -> Contradiction {
    let mut scene = ready::<RaftService>(seed, WorldOptions::default(), recorder);
    scene.board.heeds_founding.set(heeds);
    let alone = Founding {
        voters: [NodeId(1)].into(),
        version: 2,
    };
    scene.board.told.borrow_mut().insert(NodeId(1), alone);
    scene.world.crash(NodeId(1), Crash::Kill);
    // Whoever is heard as a leader is followed, so it is told that while it hears nobody.
    scene.cut(&[NodeId(1)]);
    let starts = scene.world.restart(NodeId(1));
    let until = scene.world.now() + Duration::from_secs(2);
    scene.world.run_until(until);
    let op = scene.ask(ClientId(1), NodeId(2), KvInput::put("first", "changed"));
    let answered = scene.wait(op, PATIENCE).is_some();
    if starts {
        let op = scene.ask(ClientId(2), NodeId(1), KvInput::get("first"));
        scene.wait(op, PATIENCE);
    }
    Contradiction {
        starts,
        answered,
        is_violation: matches!(scene.verdict(), Verdict::Violation(_)),
    }
}

struct NewDisk {
    /// How many messages of it the others refused.
    refused: u64,
    answers: bool,
    others_answer: bool,
}

/// Node 1 has lost its disk, and whoever sets it up again names another group.
fn contradict_on_a_new_disk(seed: u64, recorder: Option<&Recorder>) -> NewDisk {
    let mut scene = ready::<RaftService>(seed, WorldOptions::default(), recorder);
    let two = Founding {
        voters: [1, 2].map(NodeId).into(),
        version: 2,
    };
    scene.world.crash(NodeId(1), Crash::Kill);
    scene.board.stable.borrow_mut().remove(&NodeId(1));
    scene.board.told.borrow_mut().insert(NodeId(1), two);
    scene.world.restart(NodeId(1));
    let op = scene.ask(ClientId(1), NodeId(1), KvInput::get("first"));
    let answers = scene.wait(op, Duration::from_secs(2)).is_some();
    let op = scene.ask(ClientId(2), NodeId(2), KvInput::put("first", "changed"));
    let others_answer = scene.wait(op, PATIENCE).is_some();
    let others = [2, 3].map(|node| scene.world.process(NodeId(node)));
    NewDisk {
        refused: others.iter().flatten().map(|node| node.refused()).sum(),
        answers,
        others_answer,
    }
}

fn terms(scene: &Scene<RaftService>) -> Vec<u64> {
    let nodes = scene.world.node_ids().into_iter();
    let processes = nodes.filter_map(|node| scene.world.process(node));
    processes.map(RaftService::term).collect()
}

/// To all, in the name of somebody else.
fn forge(scene: &mut Scene<RaftService>, term: u64, recorder: Option<&Recorder>) {
    for node in scene.world.node_ids() {
        let heartbeat = Replicate::Heartbeat {
            term: Term(term),
            round: 1,
            commit: Index(0),
            matched: Index(0),
            lease: Duration::ZERO,
        };
        let (from, now) = (NodeId(1 + node.0 % 3), scene.world.local_now(node));
        if let (Some(process), Some(now)) = (scene.world.process_mut(node), now) {
            process.forge(now, from, Message::Replicate(heartbeat));
            if let Some(recorder) = recorder {
                let text = format!("a forged heartbeat of term {term}, in the name of {from}");
                recorder.event(scene.world.now(), node, Kind::Fault, &text);
            }
        }
    }
    let until = scene.world.now() + Duration::from_millis(100);
    scene.world.run_until(until);
}

fn write(scene: &mut Scene<RaftService>, number: u64) -> bool {
    let leaves = |node: &NodeId| scene.world.process(*node).is_some_and(|it| !it.leads());
    let nodes = scene.world.node_ids();
    let node = nodes.into_iter().find(leaves).unwrap_or(NodeId(1));
    let op = scene.ask(ClientId(1), node, put(number));
    scene.wait(op, PATIENCE).is_some()
}

const FORGED: u64 = u64::MAX >> 8;
