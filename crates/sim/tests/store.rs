//! World, disk, history and checker together: a store that answers after its sync is linearizable
//! through all crashes, and one that answers before it is found out.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test may panic like the test"
)]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use synod_sim::{
    ClientId, Context, Counts, Disk, Event, History, Kv, KvInput, KvOutput, KvRequest, NodeId,
    OpId, Outcome, Process, Rng, Start, Value, Verdict, World, WorldOptions, WorldStats, check,
};

/// How the store errs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bug {
    None,
    /// Answers a write that is not durable.
    AcknowledgesBeforeSync,
    /// Answers a read with what is not durable.
    ReadsBeforeSync,
}

#[derive(Clone)]
struct Shared {
    history: Rc<RefCell<History<KvInput, KvOutput>>>,
    bug: Bug,
}

#[derive(Debug)]
struct Request(OpId, KvInput);

/// A store on one node: a map in memory, a log on disk, and one sync at a time for all that came
/// meanwhile.
struct Store {
    disk: Disk,
    shared: Shared,
    live: BTreeMap<Box<[u8]>, Option<Value>>,
    log_bytes: u64,
    chain: u64,
    waiting: Vec<(OpId, KvOutput)>,
    /// How many of `waiting` the sync that runs is for.
    syncing: Option<usize>,
}

impl Process for Store {
    type Message = ();
    type Input = Request;
    type Shared = Shared;

    fn start(start: Start, shared: &Shared, _: &mut Context<()>) -> io::Result<Self> {
        let mut store = Self {
            disk: start.disk,
            shared: shared.clone(),
            live: BTreeMap::new(),
            log_bytes: 0,
            chain: 1,
            waiting: Vec::new(),
            syncing: None,
        };
        store.disk.create("log")?;
        store.disk.sync_names()?;
        store.recover();
        store.disk.sync("log")?;
        Ok(store)
    }

    fn handle(&mut self, event: Event<(), Request>, context: &mut Context<()>) -> io::Result<()> {
        match event {
            Event::Input(Request(op, input)) => {
                let state = self.live.entry(input.key.clone()).or_default();
                let output = input.request.execute(state);
                let reads = matches!(input.request, KvRequest::Get);
                if !reads {
                    self.log(&input)?;
                }
                match self.shared.bug {
                    Bug::AcknowledgesBeforeSync => self.answer(context.true_now, op, output),
                    Bug::ReadsBeforeSync if reads => self.answer(context.true_now, op, output),
                    _ => self.waiting.push((op, output)),
                }
            }
            Event::SyncDone => {
                self.disk.sync("log")?;
                let durable = self.syncing.take().unwrap_or(0);
                for (op, output) in self.waiting.drain(..durable).collect::<Vec<_>>() {
                    self.answer(context.true_now, op, output);
                }
            }
            _ => {}
        }
        if self.syncing.is_none() && !self.waiting.is_empty() {
            self.syncing = Some(self.waiting.len());
            context.start_sync();
        }
        Ok(())
    }
}

impl Store {
    /// A client that has given up does not hear the answer.
    fn answer(&self, now: Duration, op: OpId, output: KvOutput) {
        let _ = self.shared.history.borrow_mut().returned(op, now, output);
    }

    /// A record is a key and the value behind it, with a hash over all records so far: what a torn
    /// or lost write left behind does not continue the chain.
    fn log(&mut self, input: &KvInput) -> io::Result<()> {
        let value = self.live[&input.key].as_ref().map(Value::to_vec);
        let mut record = vec![input.key.len() as u8, u8::from(value.is_some())];
        record.extend_from_slice(&input.key);
        record.extend(value.unwrap_or_default());
        self.chain = chained(self.chain, &record);
        let mut framed = (record.len() as u32).to_le_bytes().to_vec();
        framed.extend(self.chain.to_le_bytes());
        framed.extend(record);
        self.disk.write_at("log", self.log_bytes, &framed)?;
        self.log_bytes += framed.len() as u64;
        Ok(())
    }

    fn recover(&mut self) {
        let image = self.disk.image("log");
        while let Some(rest) = image.get(self.log_bytes as usize..)
            && let Some((length, rest)) = rest.split_first_chunk::<4>()
            && let Some((hash, rest)) = rest.split_first_chunk::<8>()
            && let Some(record) = rest.get(..u32::from_le_bytes(*length) as usize)
            && chained(self.chain, record) == u64::from_le_bytes(*hash)
            && let [key_length, present, record @ ..] = record
        {
            self.chain = u64::from_le_bytes(*hash);
            self.log_bytes += 4 + 8 + 2 + record.len() as u64;
            let (key, value) = record.split_at(usize::from(*key_length));
            self.live
                .insert(key.into(), (*present == 1).then(|| Value::from(value)));
        }
    }
}

fn chained(chain: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(chain, |hash, byte| {
        (hash ^ u64::from(*byte))
            .wrapping_mul(0x0100_0000_01b3)
            .rotate_left(23)
    })
}

struct Ended {
    verdict: Verdict<synod_sim::KeyName, KvInput, KvOutput>,
    counts: Counts,
    stats: WorldStats,
    fingerprint: u128,
}

const NODE: NodeId = NodeId(1);
const CLIENTS: usize = 5;
const TIMEOUT: Duration = Duration::from_millis(20);

fn run(seed: u64, bug: Bug) -> Ended {
    let mut options = WorldOptions::default();
    options.crash_every = Some(Duration::from_millis(15));
    options.restart_after = Some(Duration::from_millis(3));
    let history = Rc::new(RefCell::new(History::new()));
    let shared = Shared {
        history: Rc::clone(&history),
        bug,
    };
    let mut world = World::<Store>::new(seed, 1, options, shared);
    let mut rng = Rng::new(seed ^ 77);
    let mut clients: Vec<(ClientId, Option<(OpId, Duration)>)> = (0..CLIENTS)
        .map(|_| (history.borrow_mut().fresh_client(), None))
        .collect();

    while world.now() < Duration::from_millis(150) {
        world.run_until(world.now() + Duration::from_micros(50));
        let (client, waits) = &mut clients[rng.index(CLIENTS)];
        let mut history = history.borrow_mut();
        if let Some((op, since)) = *waits {
            if !matches!(history.operations()[op.0 as usize].outcome, Outcome::Open) {
                *waits = None;
            } else if world.now() > since + TIMEOUT {
                history.unknown(op).unwrap();
                (*client, *waits) = (history.fresh_client(), None);
            }
        } else if world.process(NODE).is_some() {
            let input = draw(&mut rng, history.operations().len());
            let op = history.call(*client, world.now(), input.clone()).unwrap();
            *waits = Some((op, world.now()));
            world.inject(NODE, Request(op, input));
        }
    }
    world.stop_faults();
    for key in ["a", "b", "c"] {
        let reader = history.borrow_mut().fresh_client();
        let op = history
            .borrow_mut()
            .call(reader, world.now(), KvInput::get(key))
            .unwrap();
        world.inject(NODE, Request(op, KvInput::get(key)));
        let open = |history: &History<_, _>| {
            matches!(history.operations()[op.0 as usize].outcome, Outcome::Open)
        };
        assert!(
            world.run_while(world.now() + Duration::from_millis(5), |_| open(
                &history.borrow()
            )),
            "{world}"
        );
    }
    let history = history.borrow();
    Ended {
        verdict: check(Kv, &history),
        counts: history.counts(),
        stats: world.stats(),
        fingerprint: world.fingerprint(),
    }
}

fn draw(rng: &mut Rng, number: usize) -> KvInput {
    let key = ["a", "b", "c"][rng.index(3)];
    match rng.below(10) {
        0..5 => KvInput::get(key),
        5 => KvInput::put(key, format!("[{number}]")),
        6 => KvInput::del(key),
        7 => KvInput::cas(key, "", format!("({number})")),
        _ => KvInput::append(key, format!("<{number}>")),
    }
}

#[test]
fn a_store_that_answers_after_its_sync_is_linearizable() {
    let (mut stats, mut counts) = (WorldStats::default(), Counts::default());
    for seed in 0..300 {
        let ended = run(seed, Bug::None);
        assert!(ended.verdict.is_ok(), "seed {seed}: {:?}", ended.verdict);
        counts.returned += ended.counts.returned;
        counts.unknown += ended.counts.unknown;
        stats.power_losses += ended.stats.power_losses;
        stats.crashes_by_error += ended.stats.crashes_by_error;
        if seed % 100 == 0 {
            assert_eq!(
                ended.fingerprint,
                run(seed, Bug::None).fingerprint,
                "seed {seed}"
            );
        }
    }
    // Otherwise the test has shown nothing.
    assert!(
        counts.returned > 100_000 && counts.unknown > 2000,
        "{counts:?}"
    );
    assert!(
        stats.power_losses > 500 && stats.crashes_by_error > 500,
        "{stats:?}"
    );
}

#[test]
fn a_store_that_errs_is_found_out() {
    for (bug, caught_min) in [(Bug::AcknowledgesBeforeSync, 50), (Bug::ReadsBeforeSync, 3)] {
        let caught = (0..100)
            .filter(|&seed| run(seed, bug).verdict.is_violation())
            .count();
        assert!(
            caught >= caught_min,
            "{bug:?} is caught in {caught} of 100 seeds"
        );
    }
}
