use core::mem::discriminant;

use synod_durable::Coalesce;

use crate::{Binding, Envelope, Record};

/// The messages that can be sent at once, and those that wait for the next record. While a disk
/// stalls, at most one message of each kind waits for each peer; all of them are of the current
/// term.
pub(crate) type Outbox = synod_durable::Outbox<Record, Envelope, Envelope<Binding>>;

impl Coalesce for Envelope<Binding> {
    /// A later message replaces an earlier one of the same kind to the same peer. Of two
    /// acknowledgements in one term, the one with the higher index implies the other.
    fn coalesce(waiting: &mut [Self], later: Self) -> Option<Self> {
        let same = |waiting: &&mut Self| {
            waiting.to == later.to && discriminant(&waiting.message) == discriminant(&later.message)
        };
        let Some(waiting) = waiting.iter_mut().find(same) else {
            return Some(later);
        };
        match (&mut waiting.message, later.message) {
            (Binding::Appended { last, .. }, Binding::Appended { last: further, .. }) => {
                *last = (*last).max(further);
            }
            (waiting, later) => *waiting = later,
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Index, NodeId, Term};

    #[test]
    fn of_two_acknowledgements_the_further_stays() {
        let mut outbox = Outbox::new();
        let appended = |last| Binding::Appended {
            term: Term(1),
            last: Index(last),
        };
        let vote = Binding::Vote {
            term: Term(1),
            granted: true,
        };
        let envelope = |to, message: &Binding| Envelope {
            to: NodeId(to),
            message: message.clone(),
        };
        for last in [3, 7, 5] {
            outbox.send_after_write(envelope(2, &appended(last)));
        }
        outbox.send_after_write(envelope(3, &appended(1)));
        outbox.send_after_write(envelope(2, &vote));
        let write = outbox.write(Record::default).unwrap();
        let Ok((messages, _)) = write.persist(|_| Ok::<(), core::convert::Infallible>(()));
        let expected = [(2, appended(7)), (3, appended(1)), (2, vote)];
        assert_eq!(messages[..], expected.map(|(to, said)| envelope(to, &said)));
        assert!(!outbox.has_waiting());
    }
}
