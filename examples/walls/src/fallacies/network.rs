//! The network is reliable, latency is zero, bandwidth is infinite, topology does not change.

use std::time::Duration;

use synod_sim::page::Recorder;
use synod_sim::{ClientId, KvInput, KvOutput, NodeId, Rng, WorldOptions};

use super::Shown;
use crate::comforts::Naive;
use crate::raft_service::RaftService;
use crate::scene::{Scene, Store, begin_run};

pub(super) fn reliable(seed: u64, recorder: Option<&Recorder>) -> Shown {
    let mut options = WorldOptions::default();
    options.loss = 0.2;
    begin_run(recorder, "1. Messages are lost: naive");
    let naive = missing::<Naive>(seed, options.clone(), recorder);
    begin_run(recorder, "1. Messages are lost: ours");
    let ours = missing::<RaftService>(seed, options, recorder);
    Shown {
        switched_on: "one message in five is lost".to_owned(),
        naive: format!("who tells the others once: {naive} of {WRITES} writes never reach node 2"),
        breaks: naive > 0,
        ours: format!("the log sends again what is not acknowledged: {ours} missing"),
        holds: ours == 0,
        told: None,
    }
}

pub(super) fn zero_latency(seed: u64, recorder: Option<&Recorder>) -> Shown {
    let mut options = WorldOptions::default();
    options.delay_min = Duration::from_millis(25);
    options.delay_mean = Duration::ZERO;
    begin_run(recorder, "2. Messages take 25 ms");
    let mut scene = ready::<RaftService>(seed, options, recorder);
    let began = scene.world.now();
    for number in 0..20 {
        let op = scene.ask(ClientId(1), NodeId(1), put(number));
        scene.wait(op, PATIENCE);
    }
    let one_by_one = scene.world.now() - began;
    let began = scene.world.now();
    let asked: Vec<_> = (0..20)
        .map(|number| scene.ask(ClientId(100 + number), NodeId(1), put(number)))
        .collect();
    for op in asked {
        scene.wait(op, PATIENCE);
    }
    let together = scene.world.now() - began;
    Shown {
        switched_on: "every message takes 25 ms".to_owned(),
        naive: format!("twenty requests, one behind the other: {one_by_one:.0?}"),
        breaks: one_by_one > together * 5,
        ours: format!("the same twenty under way at once: {together:.0?}"),
        holds: together < Duration::from_millis(500),
        told: None,
    }
}

pub(super) fn infinite_bandwidth(seed: u64, recorder: Option<&Recorder>) -> Shown {
    let mut options = WorldOptions::default();
    options.link_messages_max = 8;
    begin_run(recorder, "3. Links are narrow: naive");
    let naive = missing::<Naive>(seed, options.clone(), recorder);
    begin_run(recorder, "3. Links are narrow: ours");
    let ours = missing::<RaftService>(seed, options, recorder);
    Shown {
        switched_on: "a link holds eight messages, and drops what is more".to_owned(),
        naive: format!("a message a write: {naive} of {WRITES} writes never reach node 2"),
        breaks: naive > 0,
        ours: format!(
            "what is written together travels together, and again if need be: {ours} missing"
        ),
        holds: ours == 0,
        told: None,
    }
}

pub(super) fn fixed_topology(seed: u64, recorder: Option<&Recorder>) -> Shown {
    begin_run(recorder, "5. A node is cut off");
    let mut scene = ready::<RaftService>(seed, WorldOptions::default(), recorder);
    let mut rng = Rng::new(!seed);
    let gone = NodeId(1 + rng.below(3));
    scene.cut(&[gone]);
    let other = NodeId(1 + gone.0 % 3);
    let op = scene.ask(ClientId(1), gone, put(1));
    let naive = scene.wait(op, Duration::from_secs(5));
    scene.ask_again(op, other, put(1));
    let ours = scene.wait(op, PATIENCE);
    Shown {
        switched_on: format!("{gone} is cut off, wherever it was"),
        naive: match naive {
            None => format!("a client that was told {gone} once: no answer in 5 s"),
            Some(after) => {
                format!("a client that was told {gone} once: answered after {after:.0?}")
            }
        },
        breaks: naive.is_none(),
        ours: match ours {
            Some(after) => {
                format!("the same request, under its name, to {other}: answered after {after:.0?}")
            }
            None => format!("the same request to {other}: no answer"),
        },
        holds: ours.is_some() && scene.verdict().is_ok(),
        told: None,
    }
}

/// Many writes at node 1 at once; how many of them are not there for a reader at node 2 afterwards.
fn missing<P>(seed: u64, options: WorldOptions, recorder: Option<&Recorder>) -> u64
where
    P: Store,
{
    let mut scene = ready::<P>(seed, options, recorder);
    let asked: Vec<_> = (0..WRITES)
        .map(|number| scene.ask(ClientId(100 + number), NodeId(1), put(number)))
        .collect();
    for op in asked {
        scene.wait(op, PATIENCE);
    }
    let settled = scene.world.now() + Duration::from_secs(1);
    scene.world.run_until(settled);
    scene.end_page();
    let mut missing = 0;
    for number in 0..WRITES {
        let read = KvInput::get(number.to_string());
        let op = scene.ask(ClientId(1), NodeId(2), read);
        scene.wait(op, PATIENCE);
        let answer = scene.answer(op).map(|(_, output)| output);
        missing += u64::from(!matches!(answer, Some(KvOutput::Value(Some(_)))));
    }
    missing
}

pub(super) fn put(number: u64) -> KvInput {
    KvInput::put(number.to_string(), "there")
}

/// A cluster that has found its leader.
pub(super) fn ready<P>(seed: u64, options: WorldOptions, recorder: Option<&Recorder>) -> Scene<P>
where
    P: Store,
{
    let mut scene = Scene::<P>::recorded(seed, 3, options, recorder);
    scene.world.run_until(Duration::from_secs(1));
    let op = scene.ask(ClientId(0), NodeId(1), KvInput::put("first", "there"));
    scene.wait(op, PATIENCE);
    scene
}

const WRITES: u64 = 50;
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
