//! An ordered map whose copies share all they have in common: a B+ tree that is never written to
//! where somebody else looks at it.
//!
//! ```text
//!            Branch [ -inf | f | p ]            a copy of the map: one reference count
//!           /         |         \
//!  Leaf [a b d]   Leaf [f k]   Leaf [p q z]      a write beside a copy: the nodes on its way
//! ```
//!
//! A snapshot is written while commands go on being applied, so each write copies what the snapshot
//! still shares: at most a node of each level, [`NODE_MAX`] entries each, whatever else the map
//! holds. Without a copy beside it nothing is copied.

use std::{slice, sync::Arc};

use crate::value::Value;

/// Keys in their order, each with a value.
///
/// Invariants:
/// - `len` is the number of keys in the tree.
/// - All leaves have the same depth; no node but a root leaf is empty, and none has more than
///   [`NODE_MAX`] entries.
/// - A child's keys are not below its `first`, and below the `first` of the child behind it.
/// - The `first` of a node's front child is that of the node, so that children stay in order when two
///   nodes are joined; the empty key for those at the left edge.
#[derive(Clone, Debug, Default)]
pub(crate) struct Map {
    root: Arc<Node>,
    len: usize,
}

pub(crate) type Key = Arc<[u8]>;

#[derive(Clone, Debug)]
enum Node {
    Leaf(Vec<(Key, Value)>),
    Branch(Vec<Child>),
}

#[derive(Clone, Debug)]
struct Child {
    first: Key,
    node: Arc<Node>,
}

impl Map {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<&Value> {
        let mut node = &*self.root;
        loop {
            match node {
                Node::Leaf(entries) => return Some(&entries[find(entries, key).ok()?].1),
                Node::Branch(children) => node = &children[child_of(children, key)].node,
            }
        }
    }

    /// The value under a key, to be changed. Copies nothing when there is none.
    pub(crate) fn value_mut(&mut self, key: &[u8]) -> Option<&mut Value> {
        self.get(key)?;
        let mut node = Arc::make_mut(&mut self.root);
        loop {
            match node {
                Node::Leaf(entries) => {
                    let at = find(entries, key).ok()?;
                    return Some(&mut entries[at].1);
                }
                Node::Branch(children) => {
                    let at = child_of(children, key);
                    node = Arc::make_mut(&mut children[at].node);
                }
            }
        }
    }

    /// Puts a value under a key, and gives back the one before.
    pub(crate) fn insert(&mut self, key: &[u8], value: Value) -> Option<Value> {
        let (before, split) = insert(&mut self.root, key, value);
        if let Some(right) = split {
            let left = Child {
                first: Key::default(),
                node: std::mem::take(&mut self.root),
            };
            self.root = Arc::new(Node::Branch(vec![left, right]));
        }
        self.len += usize::from(before.is_none());
        before
    }

    /// Takes a key out. Copies nothing when it is not there.
    pub(crate) fn remove(&mut self, key: &[u8]) -> Option<Value> {
        self.get(key)?;
        let before = remove(&mut self.root, key);
        if let Node::Branch(children) = &*self.root
            && let [only] = &children[..]
        {
            self.root = Arc::clone(&only.node);
        }
        self.len -= usize::from(before.is_some());
        before
    }

    pub(crate) fn iter(&self) -> Iter<'_> {
        let mut iter = Iter {
            branches: Vec::new(),
            entries: [].iter(),
        };
        iter.descend(&self.root);
        iter
    }
}

/// All entries, in the order of their keys.
pub(crate) struct Iter<'a> {
    branches: Vec<slice::Iter<'a, Child>>,
    entries: slice::Iter<'a, (Key, Value)>,
}

impl<'a> Iter<'a> {
    fn descend(&mut self, mut node: &'a Node) {
        loop {
            match node {
                Node::Leaf(entries) => {
                    self.entries = entries.iter();
                    return;
                }
                Node::Branch(children) => {
                    let mut children = children.iter();
                    let Some(front) = children.next() else { return };
                    self.branches.push(children);
                    node = &front.node;
                }
            }
        }
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a [u8], &'a Value);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((key, value)) = self.entries.next() {
                return Some((key, value));
            }
            match self.branches.last_mut()?.next() {
                Some(child) => self.descend(&child.node),
                None => {
                    self.branches.pop();
                }
            }
        }
    }
}

/// The value before, and the right half of a node that had to be split.
fn insert(node: &mut Arc<Node>, key: &[u8], value: Value) -> (Option<Value>, Option<Child>) {
    match Arc::make_mut(node) {
        Node::Leaf(entries) => match find(entries, key) {
            Ok(at) => (Some(std::mem::replace(&mut entries[at].1, value)), None),
            Err(at) => {
                entries.insert(at, (key.into(), value));
                let right = split(entries, at);
                let right = right.map(|right| Child {
                    first: Arc::clone(&right[0].0),
                    node: Arc::new(Node::Leaf(right)),
                });
                (None, right)
            }
        },
        Node::Branch(children) => {
            let at = child_of(children, key);
            let (before, grown) = insert(&mut children[at].node, key, value);
            let Some(grown) = grown else {
                return (before, None);
            };
            children.insert(at + 1, grown);
            let right = split(children, at + 1);
            let right = right.map(|right| Child {
                first: Arc::clone(&right[0].first),
                node: Arc::new(Node::Branch(right)),
            });
            (before, right)
        }
    }
}

/// Takes the right half off a list that is too long because of what was inserted at `at`. Behind
/// the last one it takes that alone: keys that come in their order, as from a snapshot, leave full
/// nodes behind them.
fn split<T>(list: &mut Vec<T>, at: usize) -> Option<Vec<T>> {
    if list.len() <= NODE_MAX {
        return None;
    }
    let from = if at + 1 == list.len() {
        at
    } else {
        list.len() / 2
    };
    Some(list.split_off(from))
}

fn remove(node: &mut Arc<Node>, key: &[u8]) -> Option<Value> {
    match Arc::make_mut(node) {
        Node::Leaf(entries) => {
            let at = find(entries, key).ok()?;
            Some(entries.remove(at).1)
        }
        Node::Branch(children) => {
            let at = child_of(children, key);
            let before = remove(&mut children[at].node, key);
            if children[at].node.len() < NODE_MIN {
                merge(children, at);
            }
            before
        }
    }
}

/// Joins a child that has become small with one beside it, if both fit into one node.
fn merge(children: &mut Vec<Child>, at: usize) {
    let left = at.saturating_sub(1);
    if left + 1 >= children.len()
        || children[left].node.len() + children[left + 1].node.len() > NODE_MAX
    {
        return;
    }
    let right = children.remove(left + 1);
    match (
        Arc::make_mut(&mut children[left].node),
        Arc::unwrap_or_clone(right.node),
    ) {
        (Node::Leaf(into), Node::Leaf(from)) => into.extend(from),
        (Node::Branch(into), Node::Branch(from)) => into.extend(from),
        _ => unreachable!("all leaves have the same depth"),
    }
}

impl Node {
    fn len(&self) -> usize {
        match self {
            Self::Leaf(entries) => entries.len(),
            Self::Branch(children) => children.len(),
        }
    }
}

impl Default for Node {
    fn default() -> Self {
        Self::Leaf(Vec::new())
    }
}

fn find(entries: &[(Key, Value)], key: &[u8]) -> Result<usize, usize> {
    entries.binary_search_by(|(other, _)| other[..].cmp(key))
}

fn child_of(children: &[Child], key: &[u8]) -> usize {
    children[1..].partition_point(|child| child.first[..] <= *key)
}

const NODE_MAX: usize = 32;
const NODE_MIN: usize = NODE_MAX / 4;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    type Model = BTreeMap<Vec<u8>, u32>;

    fn contents(map: &Map) -> Vec<(Vec<u8>, Vec<u8>)> {
        map.iter()
            .map(|(key, value)| (key.to_vec(), value.to_bytes().to_vec()))
            .collect()
    }

    fn expected(model: &Model) -> Vec<(Vec<u8>, Vec<u8>)> {
        model
            .iter()
            .map(|(key, value)| (key.clone(), value.to_string().into_bytes()))
            .collect()
    }

    /// The depth; what the type promises of each node is asserted on the way.
    fn check(node: &Node, from: Option<&[u8]>, below: Option<&[u8]>, is_root: bool) -> usize {
        assert!(node.len() <= NODE_MAX && (is_root || node.len() > 0));
        match node {
            Node::Leaf(entries) => {
                assert!(entries.is_sorted_by(|(one, _), (other, _)| one < other));
                for (key, _) in entries {
                    assert!(from.is_none_or(|from| from <= &key[..]));
                    assert!(below.is_none_or(|below| &key[..] < below));
                }
                0
            }
            Node::Branch(children) => {
                assert!(!is_root || children.len() > 1);
                assert_eq!(&children[0].first[..], from.unwrap_or_default());
                let depths: Vec<_> = (0..children.len())
                    .map(|at| {
                        let from = if at == 0 {
                            from
                        } else {
                            Some(&children[at].first[..])
                        };
                        let next = children.get(at + 1).map(|next| &next.first[..]);
                        check(&children[at].node, from, next.or(below), false)
                    })
                    .collect();
                assert!(depths.iter().all(|depth| *depth == depths[0]));
                depths[0] + 1
            }
        }
    }

    #[test]
    fn keys_in_their_order_fill_the_nodes() {
        let mut map = Map::default();
        for number in 0_u32..NODE_MAX.pow(3) as u32 {
            map.insert(&number.to_be_bytes(), Value::new(b""));
        }
        assert_eq!(check(&map.root, None, None, true), 2);
    }

    /// What a snapshot shares with the map is copied node by node, not as a whole.
    #[test]
    fn a_write_beside_a_copy_leaves_the_rest_shared() {
        fn leaves(node: &Arc<Node>, all: &mut Vec<*const Node>) {
            match &**node {
                Node::Leaf(_) => all.push(Arc::as_ptr(node)),
                Node::Branch(children) => {
                    children.iter().for_each(|child| leaves(&child.node, all));
                }
            }
        }
        let mut map = Map::default();
        for number in 0_u32..10_000 {
            map.insert(&number.to_be_bytes(), Value::new(b"before"));
        }
        let copy = map.clone();
        map.insert(&5_000_u32.to_be_bytes(), Value::new(b"after"));
        map.value_mut(&5_001_u32.to_be_bytes())
            .unwrap()
            .append(b"!");
        assert!(map.remove(b"absent").is_none() && map.value_mut(b"absent").is_none());
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        leaves(&map.root, &mut ours);
        leaves(&copy.root, &mut theirs);
        let copied = ours.iter().filter(|leaf| !theirs.contains(leaf)).count();
        assert!((1..=2).contains(&copied), "{copied} leaves were copied");
        assert!(*copy.get(&5_000_u32.to_be_bytes()).unwrap() == b"before"[..]);
    }

    proptest! {
        #[test]
        fn agrees_with_the_map_of_the_standard_library(
            steps in prop::collection::vec((any::<bool>(), 0_u16..600), 0..4_000),
            freeze_at in any::<prop::sample::Index>(),
        ) {
            let (mut map, mut model) = (Map::default(), Model::new());
            let freeze_at = freeze_at.index(steps.len() + 1);
            let mut frozen = (map.clone(), model.clone());
            for (at, (insert, number)) in (0_u32..).zip(steps) {
                if at as usize == freeze_at {
                    frozen = (map.clone(), model.clone());
                }
                let key = number.to_be_bytes();
                let text = |number: u32| Value::new(number.to_string().as_bytes());
                // In waves, so that it shrinks as far as it grows.
                let (before, expected) = if insert == (at / 1_000 % 2 == 0) || at % 7 == 0 {
                    (map.insert(&key, text(at)), model.insert(key.to_vec(), at))
                } else {
                    (map.remove(&key), model.remove(&key[..]))
                };
                prop_assert_eq!(before, expected.map(text));
                prop_assert_eq!(map.len(), model.len());
                let expected = model.get(&key[..]).copied().map(text);
                prop_assert_eq!(map.get(&key), expected.as_ref());
            }
            check(&map.root, None, None, true);
            prop_assert_eq!(contents(&map), expected(&model));
            prop_assert_eq!(contents(&frozen.0), expected(&frozen.1));
        }
    }
}
