//! What is lost on three nodes, and what gives it back.

use std::rc::Rc;
use std::time::Duration;

use synod_lamport::{LamportClock, Stamp};
use synod_sim::{ClientId, Crash, KvInput, KvOutput, NodeId, OpId, Process, Rng, WorldOptions};
use synod_vclock::{CausalOrder, VectorClock};

use crate::raft_service::RaftService;
use crate::scene::{Ask, Board, Scene};

/// A counter that three clients raise at three nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// How often it was raised, and that was acknowledged.
    pub raised: u64,
    /// What it shows at each node in the end.
    pub shown: [u64; 3],
    /// No single counter could have answered so.
    pub is_stale: bool,
}

/// Two events, one on each of two nodes, that did not know of each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ordered {
    /// Which event came first, by the clock of each of the two nodes.
    pub first_by: [NodeId; 2],
    /// Which is first by Lamport's stamps, as each of the two nodes reckons it.
    pub first_by_lamport: [NodeId; 2],
    /// What vector clocks say of the two.
    pub causality: CausalOrder,
}

/// Money that was moved from one account to another while nodes failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// How many transfers were begun.
    pub transfers: u64,
    /// After how many of them the sum was another.
    pub halves: u64,
}

/// Each of three clients raises one counter at a node of its own, again and again.
pub fn count<P>(seed: u64, each: u64) -> Counted
where
    P: Process<Input = Ask, Shared = Rc<Board>>,
{
    let mut scene = Scene::<P>::new(seed, 3, WorldOptions::default());
    scene.world.run_until(Duration::from_secs(1));
    for _ in 0..each {
        let asked =
            NODES.map(|node| scene.ask(ClientId(node.0), node, KvInput::append("counter", "|")));
        let answers = asked.map(|op| scene.wait(op, PATIENCE));
        if answers.iter().any(Option::is_none) {
            break;
        }
    }
    let now = scene.world.now();
    scene.world.run_until(now + Duration::from_millis(100));
    let history = scene.board.history.borrow().counts();
    let shown = NODES.map(|node| {
        let op = scene.ask(ClientId(10 + node.0), node, KvInput::get("counter"));
        scene.wait(op, PATIENCE);
        length(&scene, op)
    });
    Counted {
        raised: history.returned,
        shown,
        is_stale: scene.verdict().is_violation(),
    }
}

fn length<P>(scene: &Scene<P>, op: OpId) -> u64
where
    P: Process<Input = Ask, Shared = Rc<Board>>,
{
    match scene.answer(op) {
        Some((_, KvOutput::Value(Some(value)))) => value.len() as u64,
        _ => 0,
    }
}

/// Something happens on node 1 and on node 2 at about the same time, and each tells the other. Their
/// clocks run right and begin anywhere.
#[must_use]
pub fn order(seed: u64) -> Ordered {
    let mut rng = Rng::new(seed);
    let happened = [(); 2].map(|()| rng.below(1_000));
    // Longer than the two are apart, so that neither can know of the other.
    let told = happened.map(|at| at + 1_000 + rng.below(1_000));
    let offsets = [(); 2].map(|()| rng.below(1_000_000));
    let mut lamport = [LamportClock::default(), LamportClock::default()];
    let mut vectors = NODES_2.map(|node| VectorClock::new(node.0));
    let stamps = [0, 1].map(|at| {
        // How much was going on here before.
        let busy = rng.below(9);
        let ticks = (0..=busy).filter_map(|_| lamport[at].tick().ok());
        Stamp::new(ticks.last().unwrap_or_default(), NODES_2[at])
    });
    let events = [0, 1].map(|at| vectors[at].tick().ok().cloned());
    let first_by = [0, 1].map(|at| {
        // Its own event when that happened, the other's when it heard of it: it has no other word.
        let own = happened[at] + offsets[at];
        let heard = told[1 - at] + offsets[at];
        NODES_2[if own <= heard { at } else { 1 - at }]
    });
    let first_by_lamport = [0, 1].map(|at| stamps[at].min(stamps[1 - at]).node);
    let causality = match &events {
        [Some(one), Some(other)] => one.causal_cmp(other),
        _ => CausalOrder::Equal,
    };
    Ordered {
        first_by,
        first_by_lamport,
        causality,
    }
}

/// Money goes from an account to the other by one entry of one log, while the node that leads loses
/// power again and again.
#[must_use]
pub fn transfer_as_one(seed: u64, transfers: u64) -> Moved {
    let mut scene = Scene::<RaftService>::new(seed, 3, WorldOptions::default());
    scene.world.run_until(Duration::from_secs(1));
    let mut rng = Rng::new(!seed);
    let (mut left, mut right) = (1_000, 1_000);
    let text = |left: i64, right: i64| format!("{left} {right}");
    let open = KvInput::put("accounts", text(left, right));
    let op = scene.ask(ClientId(1), NodeId(1), open);
    scene.wait(op, PATIENCE);
    let mut moved = Moved::default();
    for _ in 0..transfers {
        let node = NODES[rng.index(3)];
        let (from, to) = (text(left, right), text(left - 10, right + 10));
        let op = scene.ask(ClientId(1), node, KvInput::cas("accounts", from, to));
        let leader = NODES.into_iter().find(|it| {
            let process = scene.world.process(*it);
            *it != node && process.is_some_and(Process::leads)
        });
        let now = scene.world.now();
        scene
            .world
            .run_until(now + Duration::from_micros(rng.below(4_000)));
        if let Some(leader) = leader {
            scene.world.crash(leader, Crash::Power);
        }
        let answered = scene.wait(op, PATIENCE);
        for node in NODES {
            scene.world.restart(node);
        }
        moved.transfers += 1;
        if answered.is_none() {
            // Nobody can say what became of it.
            moved.halves += 1;
            break;
        }
        (left, right) = (left - 10, right + 10);
        let reader = ClientId(10 + moved.transfers);
        let read = scene.ask(reader, node, KvInput::get("accounts"));
        scene.wait(read, PATIENCE);
        let is_whole = match scene.answer(read) {
            Some((_, KvOutput::Value(Some(value)))) => {
                value.to_vec() == text(left, right).into_bytes()
            }
            _ => false,
        };
        moved.halves += u64::from(!is_whole);
    }
    moved
}

const NODES: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];
const NODES_2: [NodeId; 2] = [NodeId(1), NodeId(2)];
const PATIENCE: Duration = Duration::from_secs(10);
