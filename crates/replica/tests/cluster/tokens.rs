//! The machine of the simulated group.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use synod_replica::{Applying, Bytes, StateMachine};

/// Appends tokens to keys; the small state shows what was applied, and in which order. A
/// fingerprint makes comparing states cheap; it is recomputed from a snapshot.
#[derive(Clone, Default, Debug, PartialEq, Eq)]
pub(crate) struct Tokens {
    values: BTreeMap<u8, Value>,
    fingerprint: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Value {
    bytes: Vec<u8>,
    hash: u64,
}

impl Tokens {
    pub(crate) fn value(&self, key: u8) -> Option<&[u8]> {
        self.values.get(&key).map(|value| &value.bytes[..])
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = (u8, &[u8])> {
        let values = self.values.iter();
        values.map(|(key, value)| (*key, &value.bytes[..]))
    }

    pub(crate) fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// Appends, and returns the new length; 0 for an invalid command.
    pub(crate) fn append(&mut self, command: &[u8]) -> u64 {
        let Some((key, token)) = command.split_first() else {
            return 0;
        };
        let value = self.values.entry(*key).or_default();
        self.fingerprint = self.fingerprint.wrapping_sub(mix(*key, value.hash));
        value.hash = fnv(value.hash, token);
        value.bytes.extend_from_slice(token);
        self.fingerprint = self.fingerprint.wrapping_add(mix(*key, value.hash));
        value.bytes.len() as u64
    }
}

impl Default for Value {
    fn default() -> Self {
        Self {
            bytes: Vec::new(),
            hash: FNV_BASIS,
        }
    }
}

impl StateMachine for Tokens {
    type Response = u64;
    type Frozen = Self;

    fn apply(&mut self, _: Applying, command: Bytes) -> u64 {
        self.append(&command)
    }

    fn freeze(&self) -> Self {
        self.clone()
    }

    fn write(frozen: Self, to: &mut dyn Write) -> io::Result<()> {
        for (key, value) in frozen.values() {
            to.write_all(&[key])?;
            to.write_all(&(value.len() as u32).to_le_bytes())?;
            to.write_all(value)?;
        }
        Ok(())
    }

    fn restore(&mut self, from: &mut dyn Read) -> io::Result<()> {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes)?;
        *self = Self::default();
        let mut rest = &bytes[..];
        while let Some((key, tail)) = rest.split_first() {
            let (len, tail) = tail
                .split_first_chunk::<4>()
                .ok_or(io::ErrorKind::InvalidData)?;
            let (value, tail) = tail
                .split_at_checked(u32::from_le_bytes(*len) as usize)
                .ok_or(io::ErrorKind::InvalidData)?;
            self.append(&[&[*key], value].concat());
            rest = tail;
        }
        Ok(())
    }
}

/// FNV-1a: distinguishes contents, but not against an adversary.
pub(crate) fn fnv(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// A key that is absent counts like one that was never written.
fn mix(key: u8, hash: u64) -> u64 {
    if hash == FNV_BASIS {
        return 0;
    }
    let mixed = (hash ^ u64::from(key)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 29)
}

pub(crate) const FNV_BASIS: u64 = 0xcbf2_9ce4_8422_2325;

/// The machine behaves like the checker's model, and its fingerprint depends on its contents alone.
#[test]
fn the_machine_is_the_model() {
    use synod_sim::{KvOutput, KvRequest};

    let mut machine = Tokens::default();
    let mut state = None;
    for token in ["a;", "bb;"] {
        let at = Applying {
            index: 1,
            offset: 0,
        };
        let length = machine.apply(at, [b"\x01", token.as_bytes()].concat().into());
        assert_eq!(
            KvRequest::Append(token.into()).execute(&mut state),
            KvOutput::Length(length)
        );
    }
    machine.append(b"\x02c;");
    let mut snapshot = Vec::new();
    Tokens::write(machine.freeze(), &mut snapshot).unwrap();
    let mut restored = Tokens::default();
    restored.append(b"\x03old");
    restored.restore(&mut &snapshot[..]).unwrap();
    assert_eq!(restored, machine);
    restored.append(b"\x02d;");
    assert_ne!(restored.fingerprint(), machine.fingerprint());
}
