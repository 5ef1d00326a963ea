//! Histories made by a store that really is linearizable, or that errs in one chosen way.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::time::Duration;

use synod_sim::{ClientId, History, KvInput, KvOutput, KvRequest, OpId, Rng, Value};

/// What the generated histories look like.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) clients: u64,
    pub(crate) operations: usize,
    pub(crate) keys: u64,
    /// Values come from so few that they repeat; 0: every value is unique.
    pub(crate) values: u64,
    pub(crate) unknown: f64,
    pub(crate) failed: f64,
    pub(crate) plant: Option<Plant>,
}

/// One error, made once, about in the middle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plant {
    /// A get returns what the key held several changes ago.
    StaleRead,
    /// An append is acknowledged and not applied.
    LostAppend,
    /// An append is applied twice.
    AppendTwice,
    /// A cas succeeds that expects a value which was never there.
    FalseCas,
}

/// A history, and whether the error was made.
pub(crate) fn generate(rng: &mut Rng, shape: &Shape) -> (History<KvInput, KvOutput>, bool) {
    let mut run = Run {
        history: History::new(),
        store: Store::default(),
        ghosts: Vec::new(),
        now: Duration::ZERO,
        closed: 0,
    };
    let mut clients: Vec<Client> = (0..shape.clients)
        .map(|_| Client::Idle(run.history.fresh_client()))
        .collect();
    while run.closed < shape.operations {
        run.now += Duration::from_nanos(1 + rng.below(1000));
        if !run.ghosts.is_empty() && rng.chance(0.02) {
            let ghost = run.ghosts.swap_remove(rng.index(run.ghosts.len()));
            run.store.execute(&ghost);
        }
        if run.closed > shape.operations / 2 && !run.store.planted {
            run.store.plant = shape.plant;
        }
        let index = rng.index(clients.len());
        clients[index] = run.advance(clients[index].clone(), rng, shape);
    }
    (run.history, run.store.planted)
}

#[derive(Clone)]
enum Client {
    Idle(ClientId),
    Called(ClientId, OpId, KvInput),
    Executed(ClientId, OpId, KvOutput),
}

struct Run {
    history: History<KvInput, KvOutput>,
    store: Store,
    /// Operations of unknown outcome that will happen later.
    ghosts: Vec<KvInput>,
    now: Duration,
    closed: usize,
}

impl Run {
    fn advance(&mut self, client: Client, rng: &mut Rng, shape: &Shape) -> Client {
        match client {
            Client::Idle(client) => {
                let input = self.store.draw(rng, shape, self.history.operations().len());
                let id = self.history.call(client, self.now, input.clone()).unwrap();
                Client::Called(client, id, input)
            }
            Client::Called(client, id, input) => {
                let draw = rng.fraction();
                if draw < shape.unknown {
                    // It happens now, or later, or never.
                    match rng.below(3) {
                        0 => drop(self.store.execute(&input)),
                        1 => self.ghosts.push(input),
                        _ => {}
                    }
                    self.history.unknown(id).unwrap();
                    self.closed += 1;
                    Client::Idle(self.history.fresh_client())
                } else if draw < shape.unknown + shape.failed {
                    self.history.fail(id).unwrap();
                    self.closed += 1;
                    Client::Idle(client)
                } else {
                    Client::Executed(client, id, self.store.execute(&input))
                }
            }
            Client::Executed(client, id, output) => {
                self.history.returned(id, self.now, output).unwrap();
                self.closed += 1;
                Client::Idle(client)
            }
        }
    }
}

#[derive(Default)]
struct Store {
    /// Every version of each key.
    versions: BTreeMap<Box<[u8]>, Vec<Option<Value>>>,
    plant: Option<Plant>,
    planted: bool,
}

impl Store {
    fn draw(&self, rng: &mut Rng, shape: &Shape, number: usize) -> KvInput {
        let key = format!("k{}", rng.below(shape.keys));
        let value = |rng: &mut Rng, extra: &str| match shape.values {
            0 => Value::from(format!("<{number}{extra}>")),
            some => Value::from(format!("{}", rng.below(some))),
        };
        match rng.below(20) {
            0..8 => KvInput::get(key),
            8..10 => KvInput::put(key, value(rng, "p")),
            10 => KvInput::del(key),
            11..15 => KvInput::append(key, value(rng, "a")),
            _ => {
                // The current value half of the time, or no cas would ever succeed.
                let current = self
                    .versions
                    .get(key.as_bytes())
                    .and_then(|versions| versions.last().cloned().flatten());
                match current {
                    Some(current) if rng.chance(0.6) => KvInput::cas(key, current, value(rng, "n")),
                    _ => KvInput::cas(key, value(rng, "e"), value(rng, "n")),
                }
            }
        }
    }

    fn execute(&mut self, input: &KvInput) -> KvOutput {
        let versions = self
            .versions
            .entry(input.key.clone())
            .or_insert_with(|| vec![None]);
        let mut state = versions.last().cloned().flatten();
        let before = state.clone();
        let mut output = input.request.execute(&mut state);
        match (self.plant, &input.request) {
            (Some(Plant::StaleRead), KvRequest::Get) if versions.len() > 80 => {
                let old = &versions[versions.len() - 70];
                if *old != before && old.is_some() {
                    output = KvOutput::Value(old.clone());
                    self.planted();
                }
            }
            (Some(Plant::LostAppend), KvRequest::Append(_)) => {
                state = before.clone();
                self.planted();
            }
            (Some(Plant::AppendTwice), KvRequest::Append(_)) => {
                input.request.execute(&mut state);
                self.planted();
            }
            (Some(Plant::FalseCas), KvRequest::Cas { new, .. })
                if output == KvOutput::Swapped(false) =>
            {
                // The unique value that it expects was never there.
                state = Some(new.clone());
                output = KvOutput::Swapped(true);
                self.planted();
            }
            _ => {}
        }
        if state != before
            && let Some(versions) = self.versions.get_mut(&input.key)
        {
            versions.push(state);
        }
        output
    }

    fn planted(&mut self) {
        self.planted = true;
        self.plant = None;
    }
}
