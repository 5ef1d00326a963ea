//! Histories made by a store that really is linearizable, or that errs in one chosen way.

use std::collections::BTreeMap;
use std::time::Duration;

use synod_sim::{ClientId, History, KvInput, KvOutput, KvRequest, OpId, Rng, Value};

/// What the generated histories look like.
#[derive(Clone, Debug)]
pub struct Shape {
    pub clients: u64,
    pub operations: usize,
    pub keys: u64,
    /// Values come from so few that they repeat; 0: every value is unique.
    pub values: u64,
    pub unknown: f64,
    pub failed: f64,
    pub plant: Option<Plant>,
}

/// One error, made once, about in the middle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// A get returns what the key held several changes ago.
    StaleRead,
    /// An append is acknowledged and not applied.
    LostAppend,
    /// An append is applied twice.
    AppendTwice,
    /// A second cas that expects the same unique value succeeds too.
    CasTwice,
}

/// A client in the midst of an operation.
struct Pending {
    id: OpId,
    input: KvInput,
    output: Option<KvOutput>,
}

struct Store {
    live: BTreeMap<Box<[u8]>, Vec<Option<Value>>>,
    /// What the last successful cas of each key expected.
    swapped: BTreeMap<Box<[u8]>, Value>,
    plant: Option<Plant>,
    pub planted: bool,
}

/// A history, and whether the error was made.
pub fn generate(rng: &mut Rng, shape: &Shape) -> (History<KvInput, KvOutput>, bool) {
    let mut history = History::new();
    let mut store = Store {
        live: BTreeMap::new(),
        swapped: BTreeMap::new(),
        plant: None,
        planted: false,
    };
    let mut clients: Vec<(ClientId, Option<Pending>)> =
        (0..shape.clients).map(|id| (ClientId(id), None)).collect();
    let mut ghosts: Vec<KvInput> = Vec::new();
    let mut now = Duration::ZERO;
    let mut closed = 0;
    while closed < shape.operations {
        now += Duration::from_nanos(1 + rng.below(1000));
        if !ghosts.is_empty() && rng.chance(0.02) {
            let ghost = ghosts.swap_remove(rng.index(ghosts.len()));
            store.execute(&ghost);
        }
        if closed > shape.operations / 2 && !store.planted {
            store.plant = shape.plant;
        }
        let index = rng.index(clients.len());
        let (client, pending) = &mut clients[index];
        match pending {
            None => {
                let input = store.draw(rng, shape, history.operations().len());
                let id = history.call(*client, now, input.clone()).unwrap();
                *pending = Some(Pending {
                    id,
                    input,
                    output: None,
                });
            }
            Some(Pending {
                output: None,
                id,
                input,
            }) => {
                let draw = rng.fraction();
                if draw < shape.unknown {
                    // It happens now, or later, or never.
                    match rng.below(3) {
                        0 => drop(store.execute(input)),
                        1 => ghosts.push(input.clone()),
                        _ => {}
                    }
                    history.unknown(*id).unwrap();
                    *client = history.fresh_client();
                    *client = ClientId(client.0.max(1000) + index as u64 + shape.clients);
                    *pending = None;
                    closed += 1;
                } else if draw < shape.unknown + shape.failed {
                    history.fail(*id).unwrap();
                    *pending = None;
                    closed += 1;
                } else if let Some(Pending { output, input, .. }) = pending {
                    *output = Some(store.execute(input));
                }
            }
            Some(Pending {
                output: Some(_), ..
            }) => {
                let Some(Pending {
                    id,
                    output: Some(output),
                    ..
                }) = pending.take()
                else {
                    unreachable!()
                };
                history.returned(id, now, output).unwrap();
                closed += 1;
            }
        }
    }
    (history, store.planted)
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
                    .live
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
            .live
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
            (Some(Plant::CasTwice), KvRequest::Cas { new, .. })
                if output == KvOutput::Swapped(false) =>
            {
                // The unique value that it expects was never there.
                state = Some(new.clone());
                output = KvOutput::Swapped(true);
                self.planted();
            }
            _ => {}
        }
        if let (KvRequest::Cas { expected, .. }, KvOutput::Swapped(true)) =
            (&input.request, &output)
        {
            self.swapped.insert(input.key.clone(), expected.clone());
        }
        if state != before
            && let Some(versions) = self.live.get_mut(&input.key)
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
