//! Histories of real size: sound ones are accepted, and one error among many transactions is found.

use std::collections::BTreeMap;
use std::time::Duration;

use synod_sim::Rng;
use synod_sim::serializability::{Anomaly, Position, TxnHistory, TxnId, check, check_positions};

/// What the store errs in, once, when half is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plant {
    /// A transaction reads what was there long ago.
    Stale,
    /// Two reads of a transaction are of two times.
    Skew,
    /// An update is of what was read before another one.
    Lost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holds {
    Lists,
    Registers,
    /// Registers whose writers do not read them.
    Blind,
}

struct Store {
    holds: Holds,
    history: TxnHistory<u64, u64>,
    rng: Rng,
    now: Duration,
    /// Everything that a key was, from when on.
    keys: BTreeMap<u64, Vec<u64>>,
    recent: Vec<u64>,
    next: u64,
    plant: Option<Plant>,
    /// Who has met the error, and commits.
    planted: Option<TxnId>,
}

const CLIENTS: usize = 40;
/// Lists grow so long before another key takes their place.
const LENGTH_MAX: usize = 40;
const KEYS: usize = 200;

fn generate(holds: Holds, txns: usize, plant: Option<Plant>) -> TxnHistory<u64, u64> {
    let mut store = Store {
        holds,
        history: TxnHistory::new(),
        rng: Rng::new(7),
        now: Duration::ZERO,
        keys: BTreeMap::new(),
        recent: (0..KEYS as u64).collect(),
        next: KEYS as u64,
        plant: None,
        planted: None,
    };
    let mut clients: Vec<(Option<TxnId>, bool)> = vec![(None, false); CLIENTS];
    while store.history.len() < txns {
        store.now += Duration::from_nanos(1 + store.rng.below(1000));
        if store.history.len() == txns / 2 {
            store.plant = plant;
        }
        let client = store.rng.index(CLIENTS);
        clients[client] = match clients[client] {
            (None, _) => (Some(store.history.begin(store.now).unwrap()), false),
            (Some(txn), false) => {
                store.execute(txn);
                (Some(txn), true)
            }
            (Some(txn), true) => {
                store.close(txn);
                (None, false)
            }
        };
    }
    store.history
}

impl Store {
    fn execute(&mut self, txn: TxnId) {
        let position = Position(self.next.into());
        self.history.place(txn, position).unwrap();
        self.next += 1;
        let keys = [0, 1].map(|_| self.rng.index(KEYS));
        let writes = self.rng.below(2) == 0;
        for (nth, slot) in keys.into_iter().enumerate() {
            let key = self.recent[slot];
            let versions = self.keys.entry(key).or_default();
            let mut seen = versions.len();
            let errs = match self.plant {
                Some(Plant::Stale) => !writes && seen > 10,
                Some(Plant::Skew) => !writes && nth == 1 && seen > 1 && keys[0] == keys[1],
                Some(Plant::Lost) => writes && seen > 1,
                None => false,
            };
            if errs {
                let back = if self.plant == Some(Plant::Stale) {
                    8
                } else {
                    1
                };
                seen -= back;
                self.plant = None;
                self.planted = Some(txn);
            }
            let list = versions[..seen].to_vec();
            match self.holds {
                Holds::Lists => self.history.read_list(txn, key, list).unwrap(),
                Holds::Blind if writes => {}
                Holds::Registers | Holds::Blind => {
                    self.history.read(txn, key, list.last().copied()).unwrap();
                }
            }
            if !writes {
                continue;
            }
            let value = self.next;
            self.next += 1;
            versions.push(value);
            match self.holds {
                Holds::Lists => self.history.append(txn, key, value).unwrap(),
                Holds::Registers | Holds::Blind => self.history.write(txn, key, value).unwrap(),
            }
            if versions.len() >= LENGTH_MAX {
                self.recent[slot] = self.next;
                self.next += 1;
            }
        }
    }

    fn close(&mut self, txn: TxnId) {
        match self.rng.below(50) {
            0 if self.planted != Some(txn) => self.history.unknown(txn).unwrap(),
            _ => self.history.commit(txn, self.now).unwrap(),
        }
    }
}

fn is_sound(holds: Holds, txns: usize) {
    let history = generate(holds, txns, None);
    assert_eq!(history.len(), txns);
    let verdict = check(&history);
    assert!(verdict.is_ok(), "{holds:?}: {verdict}");
    let verdict = check_positions(&history);
    assert!(verdict.is_ok(), "{holds:?}: {verdict}");
}

#[test]
fn sound_histories_are_accepted() {
    is_sound(Holds::Lists, 20_000);
    is_sound(Holds::Registers, 20_000);
    is_sound(Holds::Blind, 5_000);
}

#[test]
fn one_error_among_thousands_of_transactions_is_found() {
    for holds in [Holds::Lists, Holds::Registers] {
        for (plant, anomaly) in [
            (Plant::Stale, Anomaly::GSingleRealTime),
            (Plant::Skew, Anomaly::GSingle),
            (Plant::Lost, Anomaly::LostUpdate),
        ] {
            let history = generate(holds, 10_000, Some(plant));
            let verdict = check(&history);
            let found = verdict.violation().expect("it is planted");
            // A list that is read short and then appended to shows it by itself.
            if (holds, plant) != (Holds::Lists, Plant::Lost) {
                assert_eq!(found.anomaly, anomaly, "{holds:?} {plant:?}: {found}");
                assert_eq!(found.steps.len(), 2, "{found}");
            }
            let verdict = check_positions(&history);
            let found = verdict.violation().map(|found| found.anomaly);
            assert_eq!(found, Some(Anomaly::WrongVersion), "{verdict}");
        }
    }
}

/// How long it takes is printed by the harness: `cargo test --release -p synod-sim --test
/// serializability a_million -- --ignored`.
#[test]
#[ignore = "takes a minute in a debug build; `.ci/long` runs it"]
fn a_million_transactions_of_lists() {
    is_sound(Holds::Lists, 1_000_000);
}

#[test]
#[ignore = "takes a minute in a debug build; `.ci/long` runs it"]
fn a_million_transactions_of_registers() {
    is_sound(Holds::Registers, 1_000_000);
}

/// The error is in the middle, and half of all transactions are on cycles by real time.
#[test]
#[ignore = "takes a minute in a debug build; `.ci/long` runs it"]
fn one_error_among_a_million_transactions() {
    for plant in [Plant::Stale, Plant::Skew, Plant::Lost] {
        let history = generate(Holds::Registers, 1_000_000, Some(plant));
        let verdict = check(&history);
        let found = verdict.violation().expect("it is planted");
        assert_eq!(found.steps.len(), 2, "{found}");
    }
}
