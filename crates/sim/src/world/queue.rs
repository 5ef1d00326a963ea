//! The queue of future events.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

/// A queue ordered by time, and by insertion among equal times.
///
/// The heap moves small keys; the items stay where they are until it is their turn, or until they
/// are cancelled.
#[derive(Debug)]
pub(super) struct Queue<T> {
    order: BinaryHeap<Reverse<Key>>,
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    sequence: u64,
}

/// Names an item of the queue as long as it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    sequence: u64,
    slot: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    at: Duration,
    sequence: u64,
    slot: u32,
}

#[derive(Debug)]
struct Slot<T> {
    sequence: u64,
    item: Option<T>,
}

impl<T> Queue<T> {
    pub(super) fn new() -> Self {
        Self {
            order: BinaryHeap::new(),
            slots: Vec::new(),
            free: Vec::new(),
            sequence: 0,
        }
    }

    pub(super) fn push(&mut self, at: Duration, item: T) -> Ticket {
        let sequence = self.sequence;
        self.sequence += 1;
        let taken = Slot {
            sequence,
            item: Some(item),
        };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = taken;
                slot
            }
            None => {
                self.slots.push(taken);
                (self.slots.len() - 1) as u32
            }
        };
        self.order.push(Reverse(Key { at, sequence, slot }));
        Ticket { sequence, slot }
    }

    /// How many keys wait, those of cancelled items included.
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    /// When the next item is due.
    pub(super) fn next_at(&self) -> Option<Duration> {
        self.order.peek().map(|Reverse(key)| key.at)
    }

    pub(super) fn pop(&mut self) -> Option<(Duration, Ticket, T)> {
        let Reverse(Key { at, sequence, slot }) = self.order.pop()?;
        let ticket = Ticket { sequence, slot };
        let item = self.take(ticket)?;
        self.skip_cancelled();
        Some((at, ticket, item))
    }

    /// Cancels an item.
    pub(super) fn cancel(&mut self, ticket: Ticket) -> Option<T> {
        let item = self.take(ticket);
        self.skip_cancelled();
        item
    }

    fn take(&mut self, ticket: Ticket) -> Option<T> {
        let slot = &mut self.slots[ticket.slot as usize];
        if slot.sequence != ticket.sequence {
            return None;
        }
        let item = slot.item.take()?;
        self.free.push(ticket.slot);
        Some(item)
    }

    /// The head of the heap always names an item.
    fn skip_cancelled(&mut self) {
        while let Some(Reverse(key)) = self.order.peek() {
            let slot = &self.slots[key.slot as usize];
            if slot.sequence == key.sequence && slot.item.is_some() {
                return;
            }
            self.order.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanos: u64) -> Duration {
        Duration::from_nanos(nanos)
    }

    fn rest(mut queue: Queue<char>) -> String {
        std::iter::from_fn(|| queue.pop())
            .map(|(_, _, item)| item)
            .collect()
    }

    #[test]
    fn time_first_then_insertion() {
        let mut queue = Queue::new();
        for (nanos, item) in [(2, 'c'), (1, 'a'), (2, 'd'), (1, 'b'), (3, 'e')] {
            queue.push(at(nanos), item);
        }
        assert_eq!(queue.next_at(), Some(at(1)));
        assert_eq!(rest(queue), "abcde");
    }

    #[test]
    fn what_is_cancelled_does_not_happen_and_its_place_is_used_again() {
        let mut queue = Queue::new();
        let first = queue.push(at(1), 'a');
        let third = queue.push(at(3), 'c');
        queue.push(at(2), 'b');
        assert_eq!(queue.cancel(first), Some('a'));
        assert_eq!(queue.next_at(), Some(at(2)), "the head is an item");
        let fourth = queue.push(at(4), 'd');
        assert_eq!(fourth.slot, first.slot);
        assert_eq!(queue.cancel(first), None, "a ticket names one item");
        assert_eq!(queue.cancel(third), Some('c'));
        assert_eq!(rest(queue), "bd");
    }
}
