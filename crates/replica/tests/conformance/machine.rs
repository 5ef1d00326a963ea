//! Conformance of state machines: small correct ones, and broken ones.

use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, Hasher};
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex};

use synod_replica::conformance;
use synod_replica::{Applying, Bytes, StateMachine};

use crate::caught;

#[derive(Default)]
struct Counter(u64);

impl StateMachine for Counter {
    type Response = u64;
    type Frozen = u64;

    fn apply(&mut self, _: Applying, command: Bytes) -> u64 {
        self.0 += command.len() as u64;
        self.0
    }

    fn freeze(&self) -> u64 {
        self.0
    }

    fn write(frozen: u64, to: &mut dyn Write) -> io::Result<()> {
        to.write_all(&frozen.to_le_bytes())
    }

    fn restore(&mut self, from: &mut dyn Read) -> io::Result<()> {
        let mut bytes = [0; 8];
        from.read_exact(&mut bytes)?;
        self.0 = u64::from_le_bytes(bytes);
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bug {
    SnapshotDropsAKey,
    AnswersByTheHashTable,
    AnswersByTheThread,
    PanicsOnAStrangeCommand,
    FrozenByReference,
    RestoreMerges,
    RestoreOfNothingDoesNothing,
    CountsRestores,
    ReadsOnce,
    WritesOnce,
    SwallowsTheReadersError,
    SwallowsTheWritersError,
    TakesAPartForTheWhole,
    PanicsOnDamage,
    BelievesLengths,
    RestoresOnce,
    ReservesWhatItIsTold,
}

/// Keys and values, with commands `set KEY VALUE`, `del KEY`, `first` and `count`.
#[derive(Clone)]
struct Words {
    map: Arc<Mutex<BTreeMap<Vec<u8>, Vec<u8>>>>,
    restores: u64,
    random: RandomState,
    bug: Option<Bug>,
}

impl Words {
    fn new(bug: Option<Bug>) -> Self {
        Self {
            map: Arc::default(),
            restores: 0,
            random: RandomState::new(),
            bug,
        }
    }

    fn view(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        self.map.lock().unwrap().clone()
    }
}

impl StateMachine for Words {
    type Response = Vec<u8>;
    type Frozen = Self;

    fn apply(&mut self, _: Applying, command: Bytes) -> Vec<u8> {
        let mut words = command.splitn(3, |byte| *byte == b' ');
        let mut map = self.map.lock().unwrap();
        let words = (words.next(), words.next(), words.next());
        match words {
            (Some(b"set"), Some(key), Some(value)) => {
                map.insert(key.to_vec(), value.to_vec()).unwrap_or_default()
            }
            (Some(b"del"), Some(key), None) => map.remove(key).unwrap_or_default(),
            (Some(b"first"), None, None) if self.bug == Some(Bug::AnswersByTheHashTable) => {
                let table: HashMap<_, _, RandomState> = map.clone().into_iter().collect();
                let hash = table.hasher().build_hasher().finish();
                hash.to_le_bytes().to_vec()
            }
            (Some(b"first"), None, None) if self.bug == Some(Bug::AnswersByTheThread) => {
                format!("{:?}", std::thread::current().id()).into_bytes()
            }
            (Some(b"first"), None, None) => map.keys().next().cloned().unwrap_or_default(),
            (Some(b"count"), None, None) => {
                let restores = if self.bug == Some(Bug::CountsRestores) {
                    self.restores
                } else {
                    0
                };
                (map.len() as u64 + restores).to_le_bytes().to_vec()
            }
            _ if self.bug == Some(Bug::PanicsOnAStrangeCommand) => {
                panic!("what is {command:?}?")
            }
            _ => b"what?".to_vec(),
        }
    }

    fn freeze(&self) -> Self {
        let frozen = self.clone();
        if self.bug == Some(Bug::FrozenByReference) {
            return frozen;
        }
        let map = Arc::new(Mutex::new(self.view()));
        Self { map, ..frozen }
    }

    fn write(frozen: Self, to: &mut dyn Write) -> io::Result<()> {
        let mut map = frozen.view();
        if frozen.bug == Some(Bug::SnapshotDropsAKey) && map.len() > 3 {
            map.pop_last();
        }
        let mut bytes = (map.len() as u64).to_le_bytes().to_vec();
        for word in map.iter().flat_map(|(key, value)| [key, value]) {
            bytes.extend_from_slice(&(word.len() as u64).to_le_bytes());
            bytes.extend_from_slice(word);
        }
        match frozen.bug {
            Some(Bug::WritesOnce) => to.write(&bytes).map(drop),
            Some(Bug::SwallowsTheWritersError) => {
                // Like a `BufWriter` that is dropped without a flush.
                let _error = to.write_all(&bytes);
                Ok(())
            }
            _ => to.write_all(&bytes),
        }
    }

    fn restore(&mut self, from: &mut dyn Read) -> io::Result<()> {
        let bug = self.bug;
        self.restores += 1;
        let mut bytes = Vec::new();
        match bug {
            Some(Bug::ReadsOnce) => {
                bytes.resize(1 << 20, 0);
                let count = from.read(&mut bytes)?;
                bytes.truncate(count);
            }
            Some(Bug::SwallowsTheReadersError) => drop(from.read_to_end(&mut bytes)),
            _ => drop(from.read_to_end(&mut bytes)?),
        }
        let mut left = &bytes[..];
        let mut map = BTreeMap::new();
        let count = match number(&mut left) {
            Ok(count) => count,
            Err(error) if bug == Some(Bug::PanicsOnDamage) => panic!("{error}"),
            Err(_) if bug == Some(Bug::TakesAPartForTheWhole) => 0,
            Err(error) => return Err(error),
        };
        if bug == Some(Bug::ReservesWhatItIsTold) {
            assert!(count < 1 << 30, "capacity overflow");
        }
        if bug == Some(Bug::RestoresOnce) && self.restores > 1 {
            self.map = Arc::default();
            return Ok(());
        }
        if bug == Some(Bug::RestoreOfNothingDoesNothing) && count == 0 {
            return Ok(());
        }
        for _ in 0..count {
            let key = word(&mut left, bug);
            match (key, word(&mut left, bug)) {
                (Ok(key), Ok(value)) => drop(map.insert(key, value)),
                _ if bug == Some(Bug::TakesAPartForTheWhole) => break,
                (Err(error), _) | (_, Err(error)) => return Err(error),
            }
        }
        let mut own = self.map.lock().unwrap();
        if bug == Some(Bug::RestoreMerges) {
            own.extend(map);
        } else {
            *own = map;
        }
        let _hasher = &self.random;
        Ok(())
    }
}

fn number(from: &mut &[u8]) -> io::Result<u64> {
    let mut bytes = [0; 8];
    from.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

fn word(from: &mut &[u8], bug: Option<Bug>) -> io::Result<Vec<u8>> {
    let len = number(from)? as usize;
    if bug == Some(Bug::BelievesLengths) {
        let (word, rest) = from.split_at(len);
        *from = rest;
        return Ok(word.to_vec());
    }
    let word = from.split_off(..len).ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok(word.to_vec())
}

const COMMANDS: [&str; 9] = [
    "set a 1",
    "set b 2",
    "set c 3",
    "set d 4",
    "set a 5",
    "del b",
    "first",
    "count",
    "del nobody",
];

fn words(bug: Option<Bug>) -> conformance::Report {
    conformance::state_machine(|| Words::new(bug), Words::view, &COMMANDS)
}

#[test]
fn machines_conform() {
    let view = |counter: &Counter| counter.0;
    let report = conformance::state_machine(Counter::default, view, &["", "a", "abc"]);
    assert_eq!((report.passed.len(), report.skipped.len()), (12, 0));
    let report = words(None);
    assert_eq!((report.passed.len(), report.skipped.len()), (12, 0));
}

#[test]
fn broken_machines_are_caught() {
    for (bug, case) in [
        (Bug::AnswersByTheHashTable, "deterministic"),
        (Bug::AnswersByTheThread, "deterministic"),
        (Bug::PanicsOnAStrangeCommand, "any_bytes"),
        (Bug::SnapshotDropsAKey, "round_trip"),
        (Bug::CountsRestores, "round_trip"),
        (Bug::FrozenByReference, "frozen"),
        (Bug::RestoreMerges, "restore_replaces"),
        (Bug::RestoreOfNothingDoesNothing, "restore_replaces"),
        (Bug::ReadsOnce, "short_reads"),
        (Bug::WritesOnce, "short_writes"),
        (Bug::SwallowsTheReadersError, "failing_reader"),
        (Bug::SwallowsTheWritersError, "failing_writer"),
        (Bug::TakesAPartForTheWhole, "truncated_snapshot"),
        (Bug::PanicsOnDamage, "truncated_snapshot"),
        (Bug::BelievesLengths, "truncated_snapshot"),
        (Bug::RestoresOnce, "restore_again"),
        (Bug::ReservesWhatItIsTold, "damaged_snapshot"),
    ] {
        caught(&format!("{bug:?}"), case, || drop(words(Some(bug))));
    }
}
