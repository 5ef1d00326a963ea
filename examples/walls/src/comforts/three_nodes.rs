//! What is lost on three nodes, and what gives it back.

use std::time::Duration;

use synod_lamport::{LamportClock, LamportTime};
use synod_sim::page::Recorder;
use synod_sim::{ClientId, Crash, KvInput, KvOutput, NodeId, OpId, Process, Rng, WorldOptions};
use synod_vclock::{CausalOrder, VectorClock};

use crate::raft_service::RaftService;
use crate::scene::{Scene, Store};

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

/// Pairs of events, of which the first, on one node, causes the second, on another, by a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ordered {
    /// How many pairs.
    pub pairs: u64,
    /// In how many of them the effect has the lesser stamp, each stamped by the clock of its node.
    pub reversed_by_clocks: u64,
    /// The same by Lamport's stamps.
    pub reversed_by_lamport: u64,
    /// In how many of them vector clocks say that the cause came before the effect.
    pub known_by_vectors: u64,
    /// In how many of them vector clocks say of the cause, and of what the other node did before the
    /// message came, that neither knew of the other.
    pub apart_by_vectors: u64,
}

/// Money that was moved from one account to another while nodes failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// How many transfers were begun.
    pub transfers: u64,
    /// After how many of them the sum was another.
    pub halves: u64,
    /// How many were acknowledged, and were not there.
    pub lost: u64,
    /// How many nobody could say anything of.
    pub unanswered: u64,
    /// How often a leader lost power while one was under way.
    pub power_losses: u64,
}

/// Each of three clients raises one counter at a node of its own, again and again.
///
/// A recorder is given the run.
pub fn count<P>(seed: u64, each: u64, recorder: Option<&Recorder>) -> Counted
where
    P: Store,
{
    let mut scene = Scene::<P>::recorded(seed, 3, WorldOptions::default(), recorder);
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
    P: Store,
{
    match scene.answer(op) {
        Some((_, KvOutput::Value(Some(value)))) => value.len() as u64,
        _ => 0,
    }
}

/// Something happens on node 1 and is told to node 2, where something else happens for it; again and
/// again, with other clocks each time. They run right and begin anywhere.
#[must_use]
pub fn order(seed: u64, pairs: u64) -> Ordered {
    let mut rng = Rng::new(seed);
    let mut ordered = Ordered {
        pairs,
        ..Ordered::default()
    };
    for _ in 0..pairs {
        let offsets = [(); 2].map(|()| rng.below(OFFSET_MAX));
        let cause = rng.below(1_000);
        let effect = cause + 1 + rng.below(1_000);
        ordered.reversed_by_clocks += u64::from(effect + offsets[1] < cause + offsets[0]);
        ordered.reversed_by_lamport += u64::from(is_reversed_by_lamport(&mut rng));
        let [effect, before] = vectors_say();
        ordered.known_by_vectors += u64::from(effect == Some(CausalOrder::Before));
        ordered.apart_by_vectors += u64::from(before == Some(CausalOrder::Concurrent));
    }
    ordered
}

/// How much was going on before is drawn. A clock that came to its end counts as wrong.
fn is_reversed_by_lamport(rng: &mut Rng) -> bool {
    let [mut one, mut other] = [(); 2].map(|()| {
        let mut clock = LamportClock::default();
        for _ in 0..rng.below(9) {
            let _: Option<LamportTime> = clock.tick().ok();
        }
        clock
    });
    let Ok(cause) = one.tick() else {
        return true;
    };
    other.receive(cause).map_or(true, |effect| effect <= cause)
}

/// How the cause stands to its effect, and to what the other node did before.
fn vectors_say() -> [Option<CausalOrder>; 2] {
    let [mut one, mut other] = NODES_2.map(|node| VectorClock::new(node.0));
    let before = other.tick().ok().cloned();
    let cause = one.send().ok();
    let effect = (cause.as_ref()).and_then(|cause| other.receive(cause).ok().cloned());
    [effect, before].map(|it| Some(cause.as_ref()?.causal_cmp(&it?)))
}

/// Money goes from an account to the other by one entry of one log, which changes two keys, while the
/// node that leads loses power.
#[must_use]
pub fn transfer_as_one(seed: u64, transfers: u64) -> Moved {
    let mut scene = Scene::<RaftService>::new(seed, 3, WorldOptions::default());
    scene.world.run_until(Duration::from_secs(1));
    let mut rng = Rng::new(!seed);
    let mut moved = Moved::default();
    for amount in 0..=transfers {
        // The first opens the accounts.
        let amount = 10 * amount as i64;
        let balances = [SUM / 2 - amount, SUM / 2 + amount];
        let node = NODES[rng.index(3)];
        let [left, right] = [0, 1].map(|at| KvInput::put(ACCOUNTS[at], balances[at].to_string()));
        let op = scene.ask_both(ClientId(1), node, [left, right]);
        if amount > 0 {
            moved.transfers += 1;
            moved.power_losses += u64::from(cut_power(&mut scene, node, &mut rng));
        }
        let answered = scene.wait(op, PATIENCE).is_some();
        let readers = ClientId(10 + 2 * moved.transfers);
        let seen = answered.then(|| read_accounts(&mut scene, node, readers));
        match seen.flatten() {
            Some(seen) if seen.iter().sum::<i64>() != SUM => moved.halves += 1,
            Some(seen) if seen != balances => moved.lost += 1,
            Some(_) => {}
            // Its client asks nothing else as long as it waits.
            None => {
                moved.unanswered += 1;
                break;
            }
        }
        for node in NODES {
            scene.world.restart(node);
        }
    }
    moved
}

/// At some moment of a transfer, unless it is the asked node that leads. Whether there was such a node.
fn cut_power(scene: &mut Scene<RaftService>, asked: NodeId, rng: &mut Rng) -> bool {
    let leader = NODES.into_iter().find(|it| {
        let process = scene.world.process(*it);
        *it != asked && process.is_some_and(Process::leads)
    });
    let moment = scene.world.now() + Duration::from_micros(rng.below(4_000));
    scene.world.run_until(moment);
    leader.is_some_and(|leader| {
        scene.world.crash(leader, Crash::Power);
        true
    })
}

fn read_accounts(
    scene: &mut Scene<RaftService>,
    node: NodeId,
    client: ClientId,
) -> Option<[i64; 2]> {
    let mut seen = [0; 2];
    for at in [0, 1] {
        let client = ClientId(client.0 + at as u64);
        let op = scene.ask(client, node, KvInput::get(ACCOUNTS[at]));
        scene.wait(op, PATIENCE)?;
        if let Some((_, KvOutput::Value(Some(value)))) = scene.answer(op) {
            let text = String::from_utf8(value.to_vec());
            seen[at] = text.map_or(0, |text| text.parse().unwrap_or(0));
        }
    }
    Some(seen)
}

const ACCOUNTS: [&str; 2] = ["left", "right"];
/// What is on both accounts together.
const SUM: i64 = 2_000;
const NODES: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];
const NODES_2: [NodeId; 2] = [NodeId(1), NodeId(2)];
/// Clocks begin up to this much apart, in microseconds; messages take up to a thousandth of it.
const OFFSET_MAX: u64 = 1_000_000;
const PATIENCE: Duration = Duration::from_secs(10);
