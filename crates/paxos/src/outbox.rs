use core::mem::discriminant;

use synod_durable::Coalesce;

use crate::{Binding, Envelope, Record};

/// The messages of a node. A [`Binding`] waits for a record, everything else is sent at once, and
/// the node's own promise and votes are counted by its receipt.
///
/// Every waiting message is of the promised ballot: a node that promises a higher one drops what it
/// has not yet sent. (Sending it would not be wrong, because the record that it would wait for also
/// contains everything that happened since. But no receiver would use it.)
pub(crate) type Outbox = synod_durable::Outbox<Record, Envelope, Envelope<Binding>>;

/// A later message replaces an earlier one of the same kind to the same peer, and adjacent ranges
/// of votes are merged. At most one `Prepare` and one `Promise` wait for a peer, and `RANGES_MAX`
/// ranges of votes, so they are bounded while a disk stalls. A range beyond that bound is treated
/// as lost, and the next heartbeat reveals that.
impl Coalesce for Envelope<Binding> {
    fn coalesce(waiting: &mut [Self], later: Self) -> Option<Self> {
        let Binding::Accepted {
            ballot,
            first,
            last,
        } = later.message
        else {
            let kind = discriminant(&later.message);
            let mut to_same = waiting.iter_mut().filter(|earlier| earlier.to == later.to);
            let Some(same) = to_same.find(|earlier| discriminant(&earlier.message) == kind) else {
                return Some(later);
            };
            *same = later;
            return None;
        };
        let mut ranges = 0;
        for earlier in waiting
            .iter_mut()
            .rev()
            .filter(|earlier| earlier.to == later.to)
        {
            let Binding::Accepted {
                ballot: same,
                first: begin,
                last: end,
            } = &mut earlier.message
            else {
                continue;
            };
            if *same != ballot {
                continue;
            }
            if first <= end.next() && *begin <= last.next() {
                *begin = first.min(*begin);
                *end = last.max(*end);
                return None;
            }
            ranges += 1;
        }
        (ranges < RANGES_MAX).then_some(later)
    }
}

/// Gaps are rare, and with more than a few in one write much is lost anyway.
const RANGES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;
    use core::convert::Infallible;

    use super::*;
    use crate::{Ballot, NodeId, Slot};

    fn ballot(round: u64) -> Ballot {
        let node = NodeId(2);
        Ballot { round, node }
    }

    fn accepted(round: u64, first: u64, last: u64) -> Binding {
        Binding::Accepted {
            ballot: ballot(round),
            first: Slot(first),
            last: Slot(last),
        }
    }

    fn waiting(outbox: &mut Outbox) -> Vec<(NodeId, Binding)> {
        let write = outbox.write(Record::default).expect("none is in flight");
        let Ok((messages, _)) = write.persist(|_| Ok::<_, Infallible>(()));
        let words = messages.into_iter();
        words
            .map(|envelope| (envelope.to, envelope.message))
            .collect()
    }

    fn say(outbox: &mut Outbox, to: u64, message: Binding) {
        let to = NodeId(to);
        outbox.send_after_write(Envelope { to, message });
    }

    #[test]
    fn ranges_that_touch_become_one_and_others_stay() {
        let mut outbox = Outbox::default();
        for (first, last) in [(1, 3), (7, 9), (4, 5), (2, 3)] {
            say(&mut outbox, 2, accepted(1, first, last));
        }
        say(&mut outbox, 3, accepted(1, 1, 1));
        let expected = [
            (NodeId(2), accepted(1, 1, 5)),
            (NodeId(2), accepted(1, 7, 9)),
            (NodeId(3), accepted(1, 1, 1)),
        ];
        assert_eq!(waiting(&mut outbox), expected);
        assert!(!outbox.has_waiting());
    }

    #[test]
    fn scattered_ranges_have_a_bound() {
        let mut outbox = Outbox::default();
        for slot in 1..1000 {
            say(&mut outbox, 2, accepted(1, 2 * slot, 2 * slot));
        }
        assert_eq!(waiting(&mut outbox).len(), RANGES_MAX);
    }

    #[test]
    fn what_was_not_said_in_a_ballot_is_not_said_after_it() {
        let mut outbox = Outbox::default();
        say(&mut outbox, 2, accepted(1, 1, 7));
        outbox.retain_waiting(|waiting| waiting.message.ballot() >= ballot(2));
        say(&mut outbox, 2, accepted(2, 1, 3));
        assert_eq!(waiting(&mut outbox), [(NodeId(2), accepted(2, 1, 3))]);
    }
}
