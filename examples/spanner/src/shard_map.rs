//! Which shard has which keys: ranges that cover all keys and do not meet (section 2.1's tablets, without moving).

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::codec::Encoder;
use crate::span::Span;
use crate::txn::ShardId;

/// Invariants: it begins with the empty key; no shard has two ranges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardMap {
    starts: BTreeMap<Bytes, ShardId>,
}

/// The ranges do not cover all keys once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoShardMap {
    /// The first range must begin with the empty key.
    #[error("the first keys have no shard")]
    NoFirst,
    /// Two ranges begin with one key, or have one shard.
    #[error("a key or a shard is there twice")]
    Twice,
}

impl ShardMap {
    /// By the first key of each shard.
    ///
    /// # Errors
    /// [`NoShardMap`].
    pub fn new(starts: impl IntoIterator<Item = (Bytes, ShardId)>) -> Result<Self, NoShardMap> {
        let mut map = BTreeMap::new();
        for (start, shard) in starts {
            if map.values().any(|other| *other == shard) || map.insert(start, shard).is_some() {
                return Err(NoShardMap::Twice);
            }
        }
        if !map.contains_key(&Bytes::new()) {
            return Err(NoShardMap::NoFirst);
        }
        Ok(Self { starts: map })
    }

    /// The shard with that key.
    #[must_use]
    pub fn shard_of(&self, key: &[u8]) -> ShardId {
        let key = Bytes::copy_from_slice(key);
        let below = self.starts.range(..=key).next_back();
        below.map_or(ShardId(0), |(_, shard)| *shard)
    }

    /// A span in the parts that each shard has of it, in the order of keys.
    #[must_use]
    pub fn split(&self, span: &Span) -> Vec<(ShardId, Span)> {
        let mut ends: Vec<Option<Bytes>> = self.starts.keys().skip(1).cloned().map(Some).collect();
        ends.push(None);
        let all = self.starts.iter().zip(ends);
        let parts = all.filter_map(|((start, shard), end)| {
            let from = start.max(&span.from).clone();
            let to = match (&span.to, end) {
                (Some(to), Some(end)) => Some(end.min(to.clone())),
                (to, end) => to.clone().or(end),
            };
            let part = Span { from, to };
            (!part.is_empty()).then_some((*shard, part))
        });
        parts.collect()
    }

    /// What nodes must agree on before they speak to each other: two maps have the same bytes if they are the same.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut to = Encoder::default();
        to.count(self.starts.len());
        for (start, shard) in &self.starts {
            to.bytes(start);
            to.shard(*shard);
        }
        to.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_one_shard() {
        let (one, two) = (ShardId(1), ShardId(2));
        let map = ShardMap::new([("m".into(), two), (Bytes::new(), one)]).unwrap();
        assert_eq!(
            ["a", "m", "z"].map(|key| map.shard_of(key.as_bytes())),
            [one, two, two]
        );
        let split = map.split(&Span::between("k", "p"));
        assert_eq!(
            split,
            [
                (one, Span::between("k", "m")),
                (two, Span::between("m", "p"))
            ]
        );
        assert_eq!(map.split(&Span::key("z")).len(), 1);
        assert_eq!(map.split(&Span::ALL).len(), 2);
        assert_eq!(map.to_bytes(), [2, 0, 1, 1, b'm', 2]);
        assert_eq!(ShardMap::new([("a".into(), one)]), Err(NoShardMap::NoFirst));
        let twice = [(Bytes::new(), one), ("a".into(), one)];
        assert_eq!(ShardMap::new(twice), Err(NoShardMap::Twice));
    }
}
