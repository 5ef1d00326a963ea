//! The send queue of one peer: two bounded lanes, each with its own rule of what is lost when it is
//! full.

use crate::Lane;
use std::collections::VecDeque;

/// How much one lane to one peer may hold until it can be sent.
///
/// Both bounds apply. A message that alone exceeds `bytes_max` is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneLimits {
    /// The most queued messages.
    pub messages_max: usize,
    /// The most bytes of queued messages.
    pub bytes_max: usize,
}

impl LaneLimits {
    /// For [`Lane::Control`]: 4,096 messages, 1 MiB.
    pub const CONTROL: Self = Self {
        messages_max: 4096,
        bytes_max: 1 << 20,
    };
    /// For [`Lane::Bulk`]: 4,096 messages, 64 MiB.
    pub const BULK: Self = Self {
        messages_max: 4096,
        bytes_max: 64 << 20,
    };
}

/// The two lanes to one peer. The item type is up to the medium; `push` is given an item's length.
///
/// Invariants, asserted in debug builds:
/// - a lane's `bytes` is the sum of the lengths of its items;
/// - a lane never holds more than its limits.
#[derive(Debug)]
pub(crate) struct Outbox<T> {
    control: Queue<T>,
    bulk: Queue<T>,
}

impl<T> Outbox<T> {
    pub(crate) fn new(control: LaneLimits, bulk: LaneLimits) -> Self {
        Self {
            control: Queue::new(control),
            bulk: Queue::new(bulk),
        }
    }

    /// Queues an item of `bytes` and returns how many items were lost for it (possibly this one).
    pub(crate) fn push(&mut self, lane: Lane, bytes: usize, item: T) -> u64 {
        match lane {
            Lane::Control => self.control.push_dropping_oldest(bytes, item),
            Lane::Bulk => self.bulk.push_refusing_newest(bytes, item),
        }
    }

    /// Removes the item to send next: the oldest of control, or the oldest of bulk when control is
    /// empty.
    pub(crate) fn pop(&mut self) -> Option<(Lane, T)> {
        let control = self.control.pop().map(|item| (Lane::Control, item));
        control.or_else(|| self.bulk.pop().map(|item| (Lane::Bulk, item)))
    }

    /// All items in the order in which [`pop`](Self::pop) would take them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.control
            .items
            .iter()
            .chain(&self.bulk.items)
            .map(|(_, item)| item)
    }

    /// Clears the control lane and returns how many items were lost.
    pub(crate) fn clear_control(&mut self) -> u64 {
        self.control.clear()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.control.items.is_empty() && self.bulk.items.is_empty()
    }

    /// The bytes queued in both lanes.
    pub(crate) fn bytes(&self) -> usize {
        self.control.bytes + self.bulk.bytes
    }
}

#[derive(Debug)]
struct Queue<T> {
    items: VecDeque<(usize, T)>,
    bytes: usize,
    limits: LaneLimits,
}

impl<T> Queue<T> {
    fn new(limits: LaneLimits) -> Self {
        Self {
            items: VecDeque::new(),
            bytes: 0,
            limits,
        }
    }

    fn push_dropping_oldest(&mut self, bytes: usize, item: T) -> u64 {
        if bytes > self.limits.bytes_max || self.limits.messages_max == 0 {
            return 1;
        }
        let mut lost = 0;
        while !self.has_room(bytes) {
            let oldest = self.pop();
            debug_assert!(
                oldest.is_some(),
                "an empty queue has room for what its limits allow"
            );
            lost += 1;
        }
        self.push(bytes, item);
        lost
    }

    fn push_refusing_newest(&mut self, bytes: usize, item: T) -> u64 {
        if !self.has_room(bytes) {
            return 1;
        }
        self.push(bytes, item);
        0
    }

    fn has_room(&self, bytes: usize) -> bool {
        self.items.len() < self.limits.messages_max
            && bytes <= self.limits.bytes_max
            && self.bytes <= self.limits.bytes_max - bytes
    }

    fn push(&mut self, bytes: usize, item: T) {
        self.items.push_back((bytes, item));
        self.bytes += bytes;
        self.assert_invariants();
    }

    fn pop(&mut self) -> Option<T> {
        let (bytes, item) = self.items.pop_front()?;
        self.bytes -= bytes;
        Some(item)
    }

    fn clear(&mut self) -> u64 {
        let lost = self.items.len() as u64;
        self.items.clear();
        self.bytes = 0;
        lost
    }

    fn assert_invariants(&self) {
        debug_assert!(self.items.len() <= self.limits.messages_max);
        debug_assert!(self.bytes <= self.limits.bytes_max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn outbox(messages_max: usize, bytes_max: usize) -> Outbox<u32> {
        let limits = LaneLimits {
            messages_max,
            bytes_max,
        };
        Outbox::new(limits, limits)
    }

    fn drain(outbox: &mut Outbox<u32>) -> Vec<u32> {
        std::iter::from_fn(|| outbox.pop())
            .map(|(_, item)| item)
            .collect()
    }

    #[test]
    fn control_goes_first_and_lanes_keep_their_order() {
        let mut outbox = outbox(10, 100);
        for (item, lane) in [
            (1, Lane::Bulk),
            (2, Lane::Control),
            (3, Lane::Bulk),
            (4, Lane::Control),
        ] {
            assert_eq!(outbox.push(lane, 1, item), 0);
        }
        assert_eq!(outbox.iter().copied().collect::<Vec<_>>(), [2, 4, 1, 3]);
        assert_eq!(drain(&mut outbox), [2, 4, 1, 3]);
    }

    #[test]
    fn full_control_drops_the_oldest() {
        let mut by_count = outbox(2, 100);
        let lost: Vec<_> = (1..=4)
            .map(|item| by_count.push(Lane::Control, 1, item))
            .collect();
        assert_eq!((lost, drain(&mut by_count)), (vec![0, 0, 1, 1], vec![3, 4]));

        let mut by_bytes = outbox(10, 100);
        for item in 1..=4 {
            by_bytes.push(Lane::Control, 25, item);
        }
        assert_eq!(
            by_bytes.push(Lane::Control, 60, 5),
            3,
            "as many as make room"
        );
        assert_eq!(drain(&mut by_bytes), [4, 5]);
    }

    #[test]
    fn full_bulk_refuses_the_newest() {
        let mut outbox = outbox(2, 100);
        let lost: Vec<_> = (1..=4)
            .map(|item| outbox.push(Lane::Bulk, 1, item))
            .collect();
        assert_eq!((lost, drain(&mut outbox)), (vec![0, 0, 1, 1], vec![1, 2]));
        assert_eq!(outbox.push(Lane::Bulk, 100, 5), 0, "up to the limit");
        assert_eq!(outbox.push(Lane::Bulk, 1, 6), 1, "and no byte beyond");
    }

    #[test]
    fn what_can_never_fit_is_refused_and_costs_nobody_else() {
        for lane in [Lane::Control, Lane::Bulk] {
            let mut outbox = outbox(10, 100);
            outbox.push(lane, 40, 1);
            assert_eq!(outbox.push(lane, 101, 2), 1);
            assert_eq!(outbox.push(lane, usize::MAX, 3), 1);
            assert_eq!(drain(&mut outbox), [1]);
        }
        assert_eq!(
            outbox(0, 100).push(Lane::Control, 1, 1),
            1,
            "a lane without room drops everything"
        );
    }

    #[test]
    fn the_lanes_do_not_share_their_room() {
        let mut outbox = outbox(10, 100);
        assert_eq!(outbox.push(Lane::Bulk, 100, 1), 0);
        assert_eq!(outbox.push(Lane::Control, 100, 2), 0);
        assert_eq!(outbox.bytes(), 200);
        assert_eq!(outbox.clear_control(), 1);
        assert_eq!((outbox.bytes(), drain(&mut outbox)), (100, vec![1]));
        assert!(outbox.is_empty());
    }

    proptest! {
        /// Whatever is pushed and popped: nothing is both lost and delivered, nothing is neither,
        /// limits hold.
        #[test]
        fn every_item_is_counted_once(
            steps in prop::collection::vec((any::<bool>(), 0_usize..60, 0_u8..4), 0..200),
        ) {
            let mut outbox = outbox(8, 100);
            let (mut lost, mut delivered) = (0, 0);
            for (control, bytes, pops) in &steps {
                let lane = if *control { Lane::Control } else { Lane::Bulk };
                lost += outbox.push(lane, *bytes, 0);
                prop_assert!(outbox.bytes() <= 200);
                for _ in 0..*pops / 2 {
                    delivered += u64::from(outbox.pop().is_some());
                }
            }
            delivered += drain(&mut outbox).len() as u64;
            prop_assert_eq!(lost + delivered, steps.len() as u64);
            prop_assert_eq!(outbox.bytes(), 0);
        }
    }
}
