//! What is going to happen, in the order of time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

/// A queue ordered by time, and by insertion among equal times.
#[derive(Debug)]
pub(super) struct Queue<T> {
    order: BinaryHeap<Reverse<(Duration, u64)>>,
    items: BTreeMap<u64, T>,
    sequence: u64,
}

impl<T> Queue<T> {
    pub(super) fn new() -> Self {
        Self {
            order: BinaryHeap::new(),
            items: BTreeMap::new(),
            sequence: 0,
        }
    }

    pub(super) fn push(&mut self, at: Duration, item: T) {
        self.order.push(Reverse((at, self.sequence)));
        self.items.insert(self.sequence, item);
        self.sequence += 1;
    }

    pub(super) fn next_at(&self) -> Option<Duration> {
        self.order.peek().map(|Reverse((at, _))| *at)
    }

    pub(super) fn pop(&mut self) -> Option<(Duration, T)> {
        let Reverse((at, sequence)) = self.order.pop()?;
        self.items.remove(&sequence).map(|item| (at, item))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_first_then_insertion() {
        let mut queue = Queue::new();
        for (at, item) in [(2, 'c'), (1, 'a'), (2, 'd'), (1, 'b'), (3, 'e')] {
            queue.push(Duration::from_nanos(at), item);
        }
        assert_eq!(queue.next_at(), Some(Duration::from_nanos(1)));
        assert_eq!(
            std::iter::from_fn(|| queue.pop())
                .map(|(_, item)| item)
                .collect::<String>(),
            "abcde"
        );
    }
}
