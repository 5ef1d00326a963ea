//! Versions: `(key, timestamp)` to a value or a tombstone, in the order of keys, the newest of a key first.
//!
//! "Data is versioned, and each version is automatically timestamped with its commit time; old versions of data are
//! subject to configurable garbage-collection policies" (section 1). The policy is the horizon, which stands in
//! the log, so that all replicas refuse the same reads.

mod blocks;

use std::cmp::Reverse;

use bytes::Bytes;
use synod_truetime::Timestamp;

use crate::span::{Span, Writes};

pub(crate) use blocks::Blocks;

/// Where a version stands: by key, and of one key the newest first.
pub(crate) type Place = (Bytes, Reverse<Timestamp>);
/// What stands there; `None` is a tombstone.
pub(crate) type Versions = Blocks<Place, Option<Bytes>>;

/// All versions of a shard that are not collected. A copy shares all that is not written to afterwards.
#[derive(Clone, Debug, Default, Hash)]
pub struct Store {
    versions: Versions,
    horizon: Timestamp,
    /// Where the collection goes on; `None` if all that the horizon lets go is gone.
    sweeping: Option<Sweep>,
}

/// How far a collection is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Sweep {
    /// Here it goes on.
    pub(crate) from: Place,
    /// The key whose newest version below the horizon was met: what follows of it goes. It must be remembered, because
    /// that version may be a tombstone that is gone already.
    pub(crate) covered: Option<Bytes>,
}

/// What stands in the store for one key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Version {
    /// Of which key.
    pub key: Bytes,
    /// The timestamp of the transaction that wrote it.
    pub written: Timestamp,
    /// `None` if it deleted the key: whoever reads must know the timestamp of a deletion too.
    pub value: Option<Bytes>,
}

/// A part of a scan.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Scan {
    /// One for each key that has one at or before the timestamp.
    pub versions: Vec<Version>,
    /// What was not looked at, because a bound was reached.
    pub rest: Option<Span>,
}

/// How much of a scan comes in one part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ScanLimit {
    /// Versions that are looked at, shown or not.
    pub versions_max: usize,
    /// Bytes of keys and values; the last version may go beyond.
    pub bytes_max: usize,
}

/// The read is below the horizon: what it would have to see may be gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("versions before {horizon} are collected")]
pub struct Collected {
    /// The earliest timestamp at which one may read.
    pub horizon: Timestamp,
}

impl Store {
    /// Adds what a transaction wrote.
    pub(crate) fn put(&mut self, at: Timestamp, writes: Writes) {
        for (key, value) in writes {
            self.versions.insert((key, Reverse(at)), value);
        }
    }

    /// Of each key the newest version that is not after `at`, tombstones too. The horizon is asked for each part
    /// anew: it may have moved since the part before.
    ///
    /// # Errors
    /// [`Collected`].
    pub fn scan(&self, span: &Span, at: Timestamp, limit: ScanLimit) -> Result<Scan, Collected> {
        if at < self.horizon {
            return Err(Collected {
                horizon: self.horizon,
            });
        }
        let mut versions: Vec<Version> = Vec::new();
        let (mut looked, mut bytes) = (0, 0);
        let mut last: Option<(&Bytes, bool)> = None;
        let from = (span.from.clone(), Reverse(Timestamp::MAX));
        for ((key, Reverse(written)), value) in self.versions.from(&from) {
            if !span.contains(key) {
                break;
            }
            let same = last.filter(|(last, _)| *last == key);
            // A part ends between two keys: a key's versions are looked at together.
            if same.is_none() && (looked >= limit.versions_max || bytes >= limit.bytes_max) {
                let (from, to) = (key.clone(), span.to.clone());
                let rest = Some(Span { from, to });
                return Ok(Scan { versions, rest });
            }
            looked += 1;
            let is_shown = same.is_some_and(|(_, shown)| shown);
            let shows = *written <= at && !is_shown;
            last = Some((key, is_shown || shows));
            if shows {
                bytes += key.len() + value.as_ref().map_or(0, Bytes::len);
                versions.push(Version {
                    key: key.clone(),
                    written: *written,
                    value: value.clone(),
                });
            }
        }
        let rest = None;
        Ok(Scan { versions, rest })
    }

    /// The newest version of one key that is not after `at`.
    ///
    /// # Errors
    /// [`Collected`].
    pub fn get(&self, key: &[u8], at: Timestamp) -> Result<Option<Version>, Collected> {
        let one = ScanLimit {
            versions_max: 1,
            bytes_max: 1,
        };
        let found = self.scan(&Span::key(key), at, one)?;
        Ok(found.versions.into_iter().next())
    }

    /// The earliest timestamp at which one may read.
    pub fn horizon(&self) -> Timestamp {
        self.horizon
    }

    /// From here on nothing below is read. What nobody can read any more goes bit by bit: see [`Self::sweep`].
    pub(crate) fn collect(&mut self, horizon: Timestamp) {
        if horizon > self.horizon {
            self.horizon = horizon;
            self.sweeping = Some(Sweep {
                from: (Bytes::new(), Reverse(Timestamp::MAX)),
                covered: None,
            });
        }
    }

    /// Collects in one block, so that no command takes long. Of each key the newest version at or below the
    /// horizon is kept, unless it is a tombstone, which shows as much as nothing.
    pub(crate) fn sweep(&mut self) {
        let Some(Sweep { from, mut covered }) = self.sweeping.take() else {
            return;
        };
        let horizon = self.horizon;
        let next = self
            .versions
            .retain_block(&from, |(key, Reverse(written)), value| {
                if *written > horizon {
                    return true;
                }
                let newest = covered.as_ref() != Some(key);
                covered = Some(key.clone());
                newest && value.is_some()
            });
        self.sweeping = next.map(|from| Sweep { from, covered });
    }

    /// What a snapshot holds of it.
    pub(crate) fn parts(&self) -> (Timestamp, Option<&Sweep>, &Versions) {
        (self.horizon, self.sweeping.as_ref(), &self.versions)
    }

    pub(crate) fn from_parts(
        horizon: Timestamp,
        sweeping: Option<Sweep>,
        versions: Versions,
    ) -> Self {
        Self {
            versions,
            horizon,
            sweeping,
        }
    }

    /// How many versions there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.versions.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests;
