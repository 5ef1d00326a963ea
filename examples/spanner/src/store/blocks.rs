//! An ordered map in blocks, whose copies share the blocks that neither of them writes to.
//!
//! ```text
//!  first key of each block:   -∞        f        p
//!                              │        │        │
//!  Arc of a sorted block:    [a b d]  [f k]   [p q z]      a copy: one count for each block
//! ```
//!
//! A snapshot is a copy that is written out while commands go on being applied. It costs a reference count for each
//! [`BLOCK_MAX`] / 2 versions, and each write beside it at most one copied block.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

type Block<K, V> = Arc<Vec<(K, V)>>;

/// # Invariants
/// - Each block is sorted, and not empty.
/// - A block's key is at or below its entries, and above those of the block before.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Blocks<K, V> {
    blocks: BTreeMap<K, Block<K, V>>,
    len: usize,
}

impl<K, V> Default for Blocks<K, V> {
    fn default() -> Self {
        Self {
            blocks: BTreeMap::new(),
            len: 0,
        }
    }
}

impl<K: Ord + Clone, V: Clone> Blocks<K, V> {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn insert(&mut self, place: K, value: V) {
        let Some((first, block)) = self.block_of(&place) else {
            self.len += 1;
            let block = Arc::new(vec![(place.clone(), value)]);
            self.blocks.insert(place, block);
            return;
        };
        let entries = Arc::make_mut(block);
        match entries.binary_search_by(|entry| entry.0.cmp(&place)) {
            Ok(at) => return entries[at].1 = value,
            Err(at) => entries.insert(at, (place.clone(), value)),
        }
        let upper = (entries.len() > BLOCK_MAX).then(|| entries.split_off(entries.len() / 2));
        self.len += 1;
        if let Some(upper) = upper {
            self.blocks.insert(upper[0].0.clone(), Arc::new(upper));
        }
        // A place before all others becomes the first of its block.
        if place < first
            && let Some(block) = self.blocks.remove(&first)
        {
            self.blocks.insert(place, block);
        }
    }

    pub(crate) fn get(&self, place: &K) -> Option<&V> {
        let (_, block) = self.blocks.range(..=place).next_back()?;
        let at = block.binary_search_by(|entry| entry.0.cmp(place)).ok()?;
        Some(&block[at].1)
    }

    /// Where the first block begins.
    pub(crate) fn first(&self) -> Option<K> {
        self.blocks.keys().next().cloned()
    }

    /// Entries from a place on.
    pub(crate) fn from(&self, place: &K) -> impl Iterator<Item = &(K, V)> {
        let first = self.blocks.range(..=place).next_back();
        let first = first.map_or(place, |(first, _)| first);
        let entries = self
            .blocks
            .range(first..)
            .flat_map(|(_, block)| block.iter());
        let mut here = entries.skip_while(move |entry| entry.0 < *place);
        std::iter::from_fn(move || here.next())
    }

    /// Keeps of the block with that place what is to be kept, and tells where the next block begins.
    pub(crate) fn retain_block(
        &mut self,
        place: &K,
        mut keep: impl FnMut(&K, &V) -> bool,
    ) -> Option<K> {
        let (first, block) = self.block_of(place)?;
        // Who only looks copies nothing.
        let kept: Vec<bool> = block.iter().map(|(at, value)| keep(at, value)).collect();
        let gone = kept.iter().filter(|kept| !**kept).count();
        if gone > 0 {
            let mut kept = kept.into_iter();
            Arc::make_mut(block).retain(|_| kept.next().unwrap_or(true));
            self.len -= gone;
            if self
                .blocks
                .get(&first)
                .is_some_and(|block| block.is_empty())
            {
                self.blocks.remove(&first);
            }
        }
        let behind = (Bound::Excluded(&first), Bound::Unbounded);
        self.blocks
            .range(behind)
            .next()
            .map(|(next, _)| next.clone())
    }

    /// Each block's entries.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[(K, V)]> {
        self.blocks.values().map(|block| &block[..])
    }

    fn block_of(&mut self, place: &K) -> Option<(K, &mut Block<K, V>)> {
        let first = self.blocks.range(..=place).next_back();
        let first = first.or_else(|| self.blocks.first_key_value())?.0.clone();
        let block = self.blocks.get_mut(&first)?;
        Some((first, block))
    }
}

/// Entries of a block.
pub(crate) const BLOCK_MAX: usize = 128;
