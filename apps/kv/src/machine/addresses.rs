//! Where clients reach the nodes, as each node says at its start: so that whoever reaches one of them finds the
//! others.

use std::{collections::BTreeMap, sync::Arc};

/// The addresses of nodes by their numbers. A clone shares them.
///
/// They are for people and their tools; nothing that a command decides depends on them. A node that is gone stays
/// until the number of them reaches its bound, and then the lowest number makes room: numbers only rise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses(Arc<BTreeMap<u64, Box<[u8]>>>);

impl Addresses {
    /// Where clients reach this node, as far as it has said so and as it is text.
    #[must_use]
    pub fn get(&self, node: u64) -> Option<&str> {
        std::str::from_utf8(self.0.get(&node)?).ok()
    }

    /// A node says where it is reached. Nothing, where that is longer than an address may be.
    pub(super) fn note(&mut self, node: u64, at: &[u8]) {
        if at.len() > ADDRESS_BYTES_MAX || self.0.get(&node).is_some_and(|known| **known == *at) {
            return;
        }
        let known = Arc::make_mut(&mut self.0);
        if known.len() == ADDRESSES_MAX && !known.contains_key(&node) {
            known.pop_first();
        }
        known.insert(node, at.into());
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = (u64, &[u8])> {
        self.0.iter().map(|(node, at)| (*node, &**at))
    }
}

/// Constants of the format: nodes that differ in them would differ in their snapshots.
pub(crate) const ADDRESS_BYTES_MAX: usize = 255;
pub(crate) const ADDRESSES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_are_kept_and_the_lowest_makes_room() {
        let mut addresses = Addresses::default();
        for node in 1..=ADDRESSES_MAX as u64 {
            addresses.note(node, b"h:1");
        }
        addresses.note(3, b"h:2");
        assert_eq!(
            (addresses.get(1), addresses.get(3)),
            (Some("h:1"), Some("h:2"))
        );
        addresses.note(100, b"h:3");
        assert_eq!((addresses.get(1), addresses.get(100)), (None, Some("h:3")));
        assert_eq!(addresses.iter().len(), ADDRESSES_MAX);
        addresses.note(101, &[b'x'; ADDRESS_BYTES_MAX + 1]);
        addresses.note(102, b"\xff");
        assert_eq!((addresses.get(101), addresses.get(102)), (None, None));
    }
}
