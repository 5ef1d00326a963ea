//! The machine against the plainest model there is: one ordered map.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use proptest::prelude::*;
use synod_kv::{
    Blob, Command, ENTRY_BYTES, Expiry, Kv, Left, MapLimits, Refusal, Response, Unless, Value,
    When, read_snapshot, write_snapshot,
};
use synod_replica::{TimedMachine, timed::SLACK};

type Bin = Vec<u8>;

#[derive(Clone, Debug)]
enum Step {
    Set(Bin, Bin, When, bool),
    Delete(Vec<Bin>),
    Add(Bin, i64),
    Append(Bin, Bin),
    SetMany(Vec<(Bin, Bin)>),
    Clear,
    Cas(Bin, Bin, Bin),
    Limit(Option<u64>, Option<u64>),
    SetExpiring(Bin, Bin, When, bool, Expiry),
    Expire(Bin, u64, Unless),
    Persist(Bin),
    DeleteIf(Bin, Bin, bool),
    /// So many milliseconds.
    Pass(u64),
}

/// What there is, how much there may be, in which millisecond what is over, and which it is.
#[derive(Default)]
struct Model(BTreeMap<Bin, Bin>, MapLimits, BTreeMap<Bin, u64>, u64);

impl Model {
    fn bytes(&self) -> u64 {
        let entry = |(key, value): (&Bin, &Bin)| (key.len() + value.len()) as u64 + ENTRY_BYTES;
        let deadline = |key: &Bin| 2 * (key.len() as u64 + 8 + ENTRY_BYTES);
        self.0.iter().map(entry).sum::<u64>() + self.2.keys().map(deadline).sum::<u64>()
    }

    /// When something that lasts so long is over.
    fn end(&self, millis: u64) -> u64 {
        self.3 + millis + SLACK.as_millis() as u64
    }

    fn apply(&mut self, step: &Step) -> Response {
        let is_full = self.bytes() >= self.1.bytes_max || self.0.len() as u64 >= self.1.keys_max;
        match step {
            Step::Delete(_) | Step::Clear | Step::Limit(..) => {}
            Step::Expire(..) | Step::Persist(_) | Step::DeleteIf(..) | Step::Pass(_) => {}
            _ if is_full => return Response::Refused(Refusal::MapFull),
            _ => {}
        }
        let response = self.act(step);
        self.2.retain(|key, _| self.0.contains_key(key));
        response
    }

    fn act(&mut self, step: &Step) -> Response {
        match step {
            Step::Pass(millis) => {
                self.3 += millis;
                self.0
                    .retain(|key, _| self.2.get(key).is_none_or(|end| *end > self.3));
                Response::Done
            }
            Step::SetExpiring(..) | Step::Expire(..) | Step::Persist(_) | Step::DeleteIf(..) => {
                self.end_keys(step)
            }
            Step::Limit(keys_max, bytes_max) => {
                self.1.keys_max = keys_max.unwrap_or(self.1.keys_max);
                self.1.bytes_max = bytes_max.unwrap_or(self.1.bytes_max);
                Response::Done
            }
            Step::Set(key, value, when, previous) => self.set(key, value, *when, *previous),
            Step::Delete(keys) => Response::Integer(
                keys.iter()
                    .filter(|key| self.0.remove(*key).is_some())
                    .count() as i64,
            ),
            Step::Add(key, by) => {
                let before = self.0.get(key).map_or(Some(0), |value| number(value));
                let Some(before) = before else {
                    return Response::Refused(Refusal::NotAnInteger);
                };
                let Some(sum) = before.checked_add(*by) else {
                    return Response::Refused(Refusal::Overflow);
                };
                self.0.insert(key.clone(), sum.to_string().into_bytes());
                Response::Integer(sum)
            }
            Step::Append(key, value) => {
                let before = self.0.get(key).cloned();
                let after = [before.clone().unwrap_or_default(), value.clone()].concat();
                let len = after.len() as i64;
                if before.is_some() || !after.is_empty() {
                    self.0.insert(key.clone(), after);
                }
                Response::Integer(len)
            }
            Step::SetMany(pairs) => {
                self.0.extend(pairs.iter().cloned());
                for (key, _) in pairs {
                    self.2.remove(key);
                }
                Response::Done
            }
            Step::Clear => {
                self.0.clear();
                Response::Done
            }
            Step::Cas(key, expected, new) => {
                let swap = self.0.get(key) == Some(expected);
                if swap {
                    self.0.insert(key.clone(), new.clone());
                }
                Response::Integer(i64::from(swap))
            }
        }
    }

    fn end_keys(&mut self, step: &Step) -> Response {
        match step {
            Step::SetExpiring(key, value, when, previous, expiry) => {
                let before = self.2.get(key).copied();
                let (was, response) = (
                    self.0.contains_key(key),
                    self.set(key, value, *when, *previous),
                );
                let is_written = *when == When::Always || (*when == When::Present) == was;
                let end = match expiry {
                    Expiry::Within { millis } => Some(self.end(*millis)).filter(|_| is_written),
                    Expiry::Keep => before,
                };
                if let Some(end) = end {
                    self.2.insert(key.clone(), end);
                }
                response
            }
            Step::Expire(key, millis, unless) => {
                let (before, after) = (self.2.get(key).copied(), self.end(*millis));
                let does = self.0.contains_key(key)
                    && match unless {
                        Unless::Never => true,
                        Unless::Lasting => before.is_some(),
                        Unless::Ending => before.is_none(),
                        Unless::Sooner => before.is_some_and(|before| after > before),
                        Unless::Later => before.is_none_or(|before| after < before),
                        Unless::LaterOrLasting => before.is_some_and(|before| after < before),
                    };
                if does && *millis == 0 {
                    self.0.remove(key);
                } else if does {
                    self.2.insert(key.clone(), after);
                }
                Response::Integer(i64::from(does))
            }
            Step::Persist(key) => Response::Integer(i64::from(self.2.remove(key).is_some())),
            Step::DeleteIf(key, value, is) => {
                let does = self.0.get(key).is_some_and(|found| (found == value) == *is);
                if does {
                    self.0.remove(key);
                }
                Response::Integer(i64::from(does))
            }
            _ => unreachable!("it lets no key end"),
        }
    }

    fn set(&mut self, key: &Bin, value: &Bin, when: When, previous: bool) -> Response {
        let before = self.0.get(key).cloned();
        let write = when == When::Always || (when == When::Present) == before.is_some();
        if write {
            self.0.insert(key.clone(), value.clone());
            self.2.remove(key);
        }
        match (previous, before) {
            (true, Some(before)) => Response::Value(Value::new(&before)),
            (true, None) => Response::Absent,
            (false, _) if write => Response::Done,
            (false, _) => Response::Absent,
        }
    }
}

/// Only what a number is printed as is a number.
fn number(text: &[u8]) -> Option<i64> {
    let text = str::from_utf8(text).ok()?;
    text.parse::<i64>()
        .ok()
        .filter(|number| number.to_string() == text)
}

impl Step {
    fn run(&self, kv: &mut Kv) -> Response {
        if let Self::Pass(millis) = self {
            let now = kv.now().later(Duration::from_millis(*millis));
            TimedMachine::pass(kv, now);
            return Response::Done;
        }
        kv.execute(&self.encode())
    }

    fn encode(&self) -> Bytes {
        match self {
            Self::Pass(_) => unreachable!("it is no command"),
            Self::SetExpiring(key, value, when, previous, expiry) => Command::SetExpiring {
                key: Blob(key),
                value: Blob(value),
                when: *when,
                previous: *previous,
                expiry: *expiry,
            }
            .encode(),
            Self::Expire(key, millis, unless) => Command::Expire {
                key: Blob(key),
                millis: *millis,
                unless: *unless,
            }
            .encode(),
            Self::Persist(key) => Command::Persist { key: Blob(key) }.encode(),
            Self::DeleteIf(key, value, is) => Command::DeleteIf {
                key: Blob(key),
                value: Blob(value),
                is: *is,
            }
            .encode(),
            Self::Set(key, value, when, previous) => Command::Set {
                key: Blob(key),
                value: Blob(value),
                when: *when,
                previous: *previous,
            }
            .encode(),
            Self::Delete(keys) => Command::Delete {
                keys: keys.iter().map(|key| Blob(key)).collect(),
            }
            .encode(),
            Self::Add(key, by) => Command::Add {
                key: Blob(key),
                by: *by,
            }
            .encode(),
            Self::Append(key, value) => Command::Append {
                key: Blob(key),
                value: Blob(value),
            }
            .encode(),
            Self::SetMany(pairs) => Command::SetMany {
                pairs: pairs
                    .iter()
                    .map(|(key, value)| (Blob(key), Blob(value)))
                    .collect(),
            }
            .encode(),
            Self::Clear => Command::Clear.encode(),
            Self::Limit(keys_max, bytes_max) => Command::Limit {
                keys_max: *keys_max,
                bytes_max: *bytes_max,
            }
            .encode(),
            Self::Cas(key, expected, new) => Command::CompareAndSwap {
                key: Blob(key),
                expected: Blob(expected),
                new: Blob(new),
            }
            .encode(),
        }
    }
}

/// Few keys and few values, so that steps meet.
fn step() -> impl Strategy<Value = Step> {
    let key = || {
        prop::sample::select(vec![
            b"".to_vec(),
            b"a".to_vec(),
            b"b".to_vec(),
            b"\xff\0".to_vec(),
        ])
    };
    let value = || {
        prop::sample::select(vec![
            b"".to_vec(),
            b"1".to_vec(),
            b"-9223372036854775808".to_vec(),
            b"x".to_vec(),
        ])
    };
    let when = || prop::sample::select(vec![When::Always, When::Absent, When::Present]);
    let expiry = prop::sample::select(vec![
        Expiry::Keep,
        Expiry::Within { millis: 1 },
        Expiry::Within { millis: 500 },
    ]);
    let unless = prop::sample::select(vec![
        Unless::Never,
        Unless::Lasting,
        Unless::Ending,
        Unless::Sooner,
        Unless::Later,
        Unless::LaterOrLasting,
    ]);
    prop_oneof![
        4 => (key(), value(), when(), any::<bool>(), expiry)
            .prop_map(|(key, value, when, get, expiry)| Step::SetExpiring(key, value, when, get, expiry)),
        3 => (key(), prop::sample::select(vec![0_u64, 1, 300, 500]), unless)
            .prop_map(|(key, millis, unless)| Step::Expire(key, millis, unless)),
        1 => key().prop_map(Step::Persist),
        2 => (key(), value(), any::<bool>()).prop_map(|(key, value, is)| Step::DeleteIf(key, value, is)),
        4 => prop::sample::select(vec![0_u64, 1, 199, 200, 300]).prop_map(Step::Pass),
        4 => (key(), value(), when(), any::<bool>())
            .prop_map(|(key, value, when, get)| Step::Set(key, value, when, get)),
        2 => prop::collection::vec(key(), 1..4).prop_map(Step::Delete),
        2 => (key(), -2_i64..3).prop_map(|(key, by)| Step::Add(key, by)),
        2 => (key(), value()).prop_map(|(key, value)| Step::Append(key, value)),
        1 => prop::collection::vec((key(), value()), 1..4).prop_map(Step::SetMany),
        1 => Just(Step::Clear),
        1 => (prop::option::of(0_u64..6), prop::option::of(0_u64..600))
            .prop_map(|(keys_max, bytes_max)| Step::Limit(keys_max, bytes_max)),
        1 => Just(Step::Limit(Some(u64::MAX), Some(u64::MAX))),
        3 => (key(), value(), value()).prop_map(|(key, expected, new)| Step::Cas(key, expected, new)),
    ]
}

fn contents(kv: &Kv) -> BTreeMap<Bin, Bin> {
    kv.iter()
        .map(|(key, value)| (key.to_vec(), value.to_bytes().to_vec()))
        .collect()
}

fn snapshot(kv: &Kv) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_snapshot(kv, &mut bytes).unwrap();
    bytes
}

proptest! {
    #[test]
    fn agrees_with_the_model(steps in prop::collection::vec(step(), 1..60)) {
        let (mut kv, mut model) = (Kv::default(), Model::default());
        for step in &steps {
            prop_assert_eq!(step.run(&mut kv), model.apply(step), "{:?}", step);
            prop_assert_eq!(kv.len(), model.0.len());
            prop_assert_eq!((kv.bytes(), kv.limits()), (model.bytes(), model.1));
            for key in [&b""[..], b"a", b"b"] {
                let left = match (model.0.contains_key(key), model.2.get(key)) {
                    (false, _) => Left::Absent,
                    (true, None) => Left::Forever,
                    (true, Some(end)) => Left::For(Duration::from_millis(end - model.3).saturating_sub(SLACK)),
                };
                prop_assert_eq!(kv.left(key, kv.now()), left);
            }
        }
        prop_assert_eq!(contents(&kv), model.0);
    }

    /// A frozen copy does not see later writes, and its snapshot restores to it, byte for byte.
    #[test]
    fn a_snapshot_is_one_moment(
        before in prop::collection::vec(step(), 0..40),
        after in prop::collection::vec(step(), 0..40),
    ) {
        let mut kv = Kv::default();
        for step in &before {
            step.run(&mut kv);
        }
        let (frozen, moment) = (kv.clone(), contents(&kv));
        for step in &after {
            step.run(&mut kv);
        }
        let bytes = snapshot(&frozen);
        let mut restored = read_snapshot(&mut &bytes[..]).unwrap();
        prop_assert_eq!(contents(&restored), moment);
        prop_assert_eq!((restored.bytes(), restored.limits()), (frozen.bytes(), frozen.limits()));
        prop_assert_eq!(snapshot(&restored), bytes);
        // It goes on as the other one did, and so does what is over in it.
        for step in &after {
            step.run(&mut restored);
        }
        prop_assert_eq!(snapshot(&restored), snapshot(&kv));
    }

    #[test]
    fn noise_does_the_same_to_each_machine_and_is_whole_or_refused(
        noise in prop::collection::vec(any::<u8>(), 0..200),
        at in any::<prop::sample::Index>(),
    ) {
        let (mut kv, mut twin) = (Kv::default(), Kv::default());
        prop_assert_eq!(kv.execute(&noise), twin.execute(&noise));
        prop_assert_eq!(contents(&kv), contents(&twin));
        whole_or_refused(&noise)?;
        // Noise in the middle of a good one gets further.
        kv.execute(&Step::SetMany(vec![(b"a".to_vec(), b"1".to_vec()), (b"b".to_vec(), b"2".to_vec())]).encode());
        let mut bytes = snapshot(&kv);
        let at = at.index(bytes.len());
        let end = bytes.len().min(at + noise.len());
        bytes[at..end].copy_from_slice(&noise[..end - at]);
        whole_or_refused(&bytes)?;
    }
}

/// More is over at once than one command removes: it is not there, though it is not removed yet.
#[test]
fn what_is_over_is_gone_before_it_is_removed() {
    let mut kv = Kv::default();
    let key = |number: u32| number.to_be_bytes();
    for number in 0..2_500 {
        let (key, value) = (key(number), Blob(b"v"));
        let (when, previous) = (When::Always, false);
        let expiry = Expiry::Within { millis: 1 };
        let set = Command::SetExpiring {
            key: Blob(&key),
            value,
            when,
            previous,
            expiry,
        };
        kv.execute(&set.encode());
    }
    let over = kv.now().later(Duration::from_millis(1)).later(SLACK);
    TimedMachine::pass(&mut kv, over);
    assert_eq!(kv.len(), 1_500);
    let restored = read_snapshot(&mut &snapshot(&kv)[..]).unwrap();
    for number in 0..2_500 {
        assert!(kv.value(&key(number)).is_none() && restored.value(&key(number)).is_none());
    }
    assert_eq!((kv.iter().count(), restored.iter().count()), (0, 0));
    // It is written to as one that is absent.
    let last = key(2_499);
    let when = When::Absent;
    assert_eq!(set(&mut kv, &last, when), Response::Done);
    assert_eq!(kv.left(&last, over), Left::Forever);
    TimedMachine::pass(&mut kv, over);
    TimedMachine::pass(&mut kv, over);
    assert_eq!(kv.iter().count(), 1);
    assert_eq!((kv.len(), TimedMachine::next_due(&kv)), (1, None));
}

fn set(kv: &mut Kv, key: &[u8], when: When) -> Response {
    let (key, value, previous) = (Blob(key), Blob(b"new"), false);
    let set = Command::Set {
        key,
        value,
        when,
        previous,
    };
    kv.execute(&set.encode())
}

/// What is read of a snapshot is a machine like any other: its own snapshot restores to it.
fn whole_or_refused(bytes: &[u8]) -> Result<(), TestCaseError> {
    if let Ok(kv) = read_snapshot(&mut &bytes[..]) {
        let again = read_snapshot(&mut &snapshot(&kv)[..]).unwrap();
        prop_assert_eq!(contents(&again), contents(&kv));
        prop_assert_eq!(again.len(), kv.len());
    }
    Ok(())
}
