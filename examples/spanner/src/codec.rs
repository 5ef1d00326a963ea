//! How numbers, names and byte strings stand in commands and snapshots.
//!
//! | what | how |
//! |---|---|
//! | counters, lengths, names | LEB128, at most 10 bytes, no padding |
//! | timestamps | 8 bytes, big-endian |
//! | byte strings | length, then the bytes; the reader says how many it takes at most |
//!
//! Whoever reads gets what whoever wrote had, or [`Broken`]: there is one encoding of each value.

use bytes::Bytes;
use synod_truetime::{Floor, Timestamp};

use crate::span::{KEY_BYTES_MAX, VALUE_BYTES_MAX, WRITES_MAX, Writes};
use crate::txn::{Decision, ShardId, TxnId};

/// The bytes are not what they should be: cut off, beyond a bound, of an unknown version, or in no canonical form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bytes that no version of this program has written")]
pub struct Broken;

#[derive(Debug, Default)]
pub(crate) struct Encoder(Vec<u8>);

impl Encoder {
    pub(crate) fn finish(self) -> Vec<u8> {
        self.0
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// What is there so far, to be written elsewhere.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0)
    }

    pub(crate) fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    pub(crate) fn flag(&mut self, flag: bool) {
        self.byte(u8::from(flag));
    }

    pub(crate) fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.byte((number & 0x7f) as u8 | 0x80);
            number >>= 7;
        }
        self.byte(number as u8);
    }

    pub(crate) fn count(&mut self, count: usize) {
        self.number(count as u64);
    }

    pub(crate) fn time(&mut self, time: Timestamp) {
        self.0.extend_from_slice(&time.as_nanos().to_be_bytes());
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.0.extend_from_slice(bytes);
    }

    pub(crate) fn value(&mut self, value: Option<&Bytes>) {
        self.flag(value.is_some());
        if let Some(value) = value {
            self.bytes(value);
        }
    }

    pub(crate) fn writes(&mut self, writes: &Writes) {
        self.count(writes.len());
        for (key, value) in writes {
            self.bytes(key);
            self.value(value.as_ref());
        }
    }

    /// The age stands as its distance from the begin, which is 0 for all that were not tried before.
    pub(crate) fn txn(&mut self, txn: &TxnId) {
        self.time(txn.begin);
        let distance = txn.begin.as_nanos().wrapping_sub(txn.age.as_nanos());
        self.number(((distance << 1) ^ (distance >> 63)).cast_unsigned());
        self.number(txn.node);
        self.number(txn.number);
        self.shard(txn.coordinator);
    }

    pub(crate) fn shard(&mut self, shard: ShardId) {
        self.number(u64::from(shard.0));
    }

    pub(crate) fn shards(&mut self, shards: &[ShardId]) {
        self.count(shards.len());
        shards.iter().for_each(|shard| self.shard(*shard));
    }

    pub(crate) fn decision(&mut self, decision: Decision) {
        match decision {
            Decision::Aborted => self.byte(0),
            Decision::Committed(at) => {
                self.byte(1);
                self.time(at);
            }
        }
    }

    pub(crate) fn floor(&mut self, floor: Floor) {
        self.time(floor.earliest);
        self.number(floor.said_by);
    }
}

#[derive(Debug)]
pub(crate) struct Decoder<'a>(&'a [u8]);

impl<'a> Decoder<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Nothing may be left.
    pub(crate) fn end(self) -> Result<(), Broken> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Broken)
        }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Broken> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Broken)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Broken> {
        Ok(self.take(1)?[0])
    }

    pub(crate) fn flag(&mut self) -> Result<bool, Broken> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Broken),
        }
    }

    pub(crate) fn number(&mut self) -> Result<u64, Broken> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits || (byte == 0 && shift > 0) {
                return Err(Broken);
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Broken)
    }

    /// How many follow, of which each takes at least one byte.
    pub(crate) fn count(&mut self, max: usize) -> Result<usize, Broken> {
        let count = usize::try_from(self.number()?).map_err(|_| Broken)?;
        if count > max || count > self.0.len() {
            return Err(Broken);
        }
        Ok(count)
    }

    pub(crate) fn time(&mut self) -> Result<Timestamp, Broken> {
        let bytes = self.take(8)?.try_into().map_err(|_| Broken)?;
        Ok(Timestamp::from_nanos(i64::from_be_bytes(bytes)))
    }

    /// A copy: a slice would keep all of the command in memory for as long as the value is there.
    pub(crate) fn bytes(&mut self, max: usize) -> Result<Bytes, Broken> {
        let length = self.count(max)?;
        Ok(Bytes::copy_from_slice(self.take(length)?))
    }

    pub(crate) fn key(&mut self) -> Result<Bytes, Broken> {
        self.bytes(KEY_BYTES_MAX)
    }

    pub(crate) fn value(&mut self) -> Result<Option<Bytes>, Broken> {
        self.flag()?
            .then(|| self.bytes(VALUE_BYTES_MAX))
            .transpose()
    }

    pub(crate) fn writes(&mut self) -> Result<Writes, Broken> {
        let mut writes = Writes::default();
        let mut last: Option<Bytes> = None;
        for _ in 0..self.count(WRITES_MAX)? {
            let (key, value) = (self.key()?, self.value()?);
            if last.replace(key.clone()).is_some_and(|last| last >= key) {
                return Err(Broken);
            }
            writes.put(key, value).map_err(|_| Broken)?;
        }
        Ok(writes)
    }

    pub(crate) fn txn(&mut self) -> Result<TxnId, Broken> {
        let begin = self.time()?;
        let distance = self.number()?;
        let distance = (distance >> 1).cast_signed() ^ -((distance & 1).cast_signed());
        Ok(TxnId {
            age: Timestamp::from_nanos(begin.as_nanos().wrapping_sub(distance)),
            begin,
            node: self.number()?,
            number: self.number()?,
            coordinator: self.shard()?,
        })
    }

    pub(crate) fn shard(&mut self) -> Result<ShardId, Broken> {
        u32::try_from(self.number()?)
            .map(ShardId)
            .map_err(|_| Broken)
    }

    pub(crate) fn shards(&mut self, max: usize) -> Result<Vec<ShardId>, Broken> {
        let count = self.count(max)?;
        let shards = (0..count).map(|_| self.shard());
        let shards = shards.collect::<Result<Vec<_>, _>>()?;
        let rise = shards.is_sorted_by(|one, other| one < other);
        rise.then_some(shards).ok_or(Broken)
    }

    pub(crate) fn decision(&mut self) -> Result<Decision, Broken> {
        match self.byte()? {
            0 => Ok(Decision::Aborted),
            1 => self.time().map(Decision::Committed),
            _ => Err(Broken),
        }
    }

    pub(crate) fn floor(&mut self) -> Result<Floor, Broken> {
        Ok(Floor {
            earliest: self.time()?,
            said_by: self.number()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_one_form() {
        for number in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            let mut encoder = Encoder::default();
            encoder.number(number);
            let bytes = encoder.finish();
            let mut decoder = Decoder::new(&bytes);
            assert_eq!(decoder.number(), Ok(number));
            assert_eq!(decoder.end(), Ok(()));
        }
        let broken = [
            &[0x80, 0][..],
            &[0x80],
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2],
            &[],
        ];
        for bytes in broken {
            assert_eq!(Decoder::new(bytes).number(), Err(Broken), "{bytes:?}");
        }
    }

    #[test]
    fn ages_before_and_after_the_begin_come_back() {
        for (age, begin) in [(5, 5), (-9, 40), (40, -9), (i64::MIN, i64::MAX)] {
            let txn = TxnId {
                age: Timestamp::from_nanos(age),
                begin: Timestamp::from_nanos(begin),
                node: 3,
                number: 1 << 40,
                coordinator: ShardId(u32::MAX),
            };
            let mut encoder = Encoder::default();
            encoder.txn(&txn);
            assert_eq!(Decoder::new(&encoder.finish()).txn(), Ok(txn));
        }
    }
}
