//! Configurations that a search has seen: which operations are linearized, and in which state that
//! left the object.

use std::collections::HashMap;
use std::hash::Hash;

/// The memory of a search (Lowe 2017, "Testing for linearizability", section 4), with one addition:
/// nobody has to linearize an operation of unknown outcome, so of two configurations with the same
/// state and the same completed operations the one that has spent fewer unknown ones can do all
/// that the other can.
///
/// Invariant: for each (completed, state) the sets of spent unknown operations are an antichain.
#[derive(Debug)]
pub(super) struct Cache<S> {
    seen: HashMap<(Window, S), Vec<Spent>>,
}

/// A set of completed operations, numbered by call, as: all below `base`, and above it the members
/// noted in bits.
///
/// Linearized operations lie close together, so this stays a few words long however long the
/// history is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Window {
    base: u32,
    low: u64,
    rest: Box<[u64]>,
}

/// A set of operations of unknown outcome, as bits without trailing zero words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Spent(Vec<u64>);

/// The set of completed operations that a search has linearized.
#[derive(Debug)]
pub(super) struct Linearized {
    bits: Vec<u64>,
    count: u32,
}

impl<S: Clone + Eq + Hash> Cache<S> {
    pub(super) fn new() -> Self {
        Self {
            seen: HashMap::new(),
        }
    }

    /// Whether the configuration is worth a visit: none that can do as much has been visited.
    pub(super) fn visit(&mut self, window: Window, state: &S, spent: &Spent) -> bool {
        let known = self.seen.entry((window, state.clone())).or_default();
        if known.iter().any(|less| less.is_subset(spent)) {
            return false;
        }
        known.retain(|more| !spent.is_subset(more));
        known.push(spent.clone());
        true
    }
}

impl Spent {
    pub(super) fn contains(&self, number: u32) -> bool {
        self.0
            .get(number as usize / 64)
            .is_some_and(|word| word >> (number % 64) & 1 == 1)
    }

    pub(super) fn insert(&mut self, number: u32) {
        let word = number as usize / 64;
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (number % 64);
    }

    pub(super) fn remove(&mut self, number: u32) {
        if let Some(word) = self.0.get_mut(number as usize / 64) {
            *word &= !(1 << (number % 64));
        }
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }

    pub(super) fn is_subset(&self, other: &Self) -> bool {
        self.0.len() <= other.0.len()
            && self
                .0
                .iter()
                .zip(&other.0)
                .all(|(mine, theirs)| mine & !theirs == 0)
    }
}

impl Linearized {
    pub(super) fn new(operations: usize) -> Self {
        Self {
            bits: vec![0; operations.div_ceil(64) + 1],
            count: 0,
        }
    }

    pub(super) fn insert(&mut self, number: u32) {
        debug_assert!(!self.contains(number), "an operation is linearized once");
        self.bits[number as usize / 64] |= 1 << (number % 64);
        self.count += 1;
    }

    pub(super) fn remove(&mut self, number: u32) {
        debug_assert!(
            self.contains(number),
            "only what was linearized is put back"
        );
        self.bits[number as usize / 64] &= !(1 << (number % 64));
        self.count -= 1;
    }

    /// The set, given its smallest non-member.
    pub(super) fn window(&self, base: u32) -> Window {
        debug_assert!(
            !self.contains(base),
            "the base is the smallest operation that is not linearized"
        );
        let mut missing = self.count - base;
        let mut words = Vec::new();
        let mut low = None;
        let mut start = base as usize;
        while missing > 0 {
            let word = self.word_from(start);
            missing -= word.count_ones();
            match low {
                None => low = Some(word),
                Some(_) => words.push(word),
            }
            start += 64;
        }
        Window {
            base,
            low: low.unwrap_or(0),
            rest: words.into(),
        }
    }

    /// The 64 members and non-members from `start` on.
    fn word_from(&self, start: usize) -> u64 {
        let (word, shift) = (start / 64, start % 64);
        let bits = |word: usize| self.bits.get(word).copied().unwrap_or(0);
        if shift == 0 {
            bits(word)
        } else {
            bits(word) >> shift | bits(word + 1) << (64 - shift)
        }
    }

    fn contains(&self, number: u32) -> bool {
        self.bits[number as usize / 64] >> (number % 64) & 1 == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_tell_sets_apart_and_stay_short() {
        let mut set = Linearized::new(1000);
        for number in 0..700 {
            set.insert(number);
        }
        let prefix = set.window(700);
        assert_eq!(
            prefix,
            Window {
                base: 700,
                low: 0,
                rest: Box::default()
            }
        );
        set.insert(702);
        assert_eq!(
            set.window(700),
            Window {
                base: 700,
                low: 0b100,
                rest: Box::default()
            }
        );
        set.insert(700 + 130);
        assert_eq!(
            set.window(700),
            Window {
                base: 700,
                low: 0b100,
                rest: Box::new([0, 0b100])
            }
        );
        set.remove(702);
        set.remove(830);
        assert_eq!(set.window(700), prefix);
    }

    #[test]
    fn spending_less_covers_spending_more() {
        let (mut none, mut some, mut other) =
            (Spent::default(), Spent::default(), Spent::default());
        some.insert(70);
        other.insert(3);
        none.insert(5);
        none.remove(5);
        assert_eq!(none, Spent::default());
        let window = || Linearized::new(1).window(0);
        let mut cache = Cache::new();
        assert!(cache.visit(window(), &'a', &some));
        assert!(!cache.visit(window(), &'a', &some));
        assert!(cache.visit(window(), &'b', &some));
        assert!(cache.visit(window(), &'a', &other));
        assert!(cache.visit(window(), &'a', &none));
        assert!(!cache.visit(window(), &'a', &other));
    }
}
