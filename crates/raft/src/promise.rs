use core::time::Duration;

use crate::{Instant, Term};

/// What this node has promised by its echoes: to elect nobody, itself included, until then. It was
/// given to a leader, but belongs to no role and no term: the leader counts on it whatever this node
/// learns meanwhile.
///
/// One exception: the leader that was given the promise may ask a node to campaign in the next term. It
/// has given up its lease before it asks.
///
/// Invariant: `until` never moves back, unless the promise was released by that exception.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Promise {
    until: Instant,
    /// The term of the leader that was given it last; `None` if that is not known, after a start.
    ///
    /// A node that follows the leader of a later term has a promise to an earlier one no longer to
    /// keep: that leader was elected, so a quorum was free of promises to all before, and a node of that
    /// quorum follows none of them again.
    term: Option<Term>,
}

impl Promise {
    /// Binds this node to the leader of `term`.
    pub(crate) fn give(&mut self, now: Instant, term: Term, length: Duration) {
        self.until = self.until.max(now.plus(length));
        self.term = Some(term);
    }

    /// Binds this node as if it had just promised something to a leader that it does not know.
    pub(crate) fn assume(&mut self, now: Instant, length: Duration) {
        self.until = self.until.max(now.plus(length));
        self.term = None;
    }

    /// Whether this node must not take part in an election in `term`, its own or another's;
    /// `by_transfer`: the leader of the term before has asked for that election.
    pub(crate) fn forbids(&self, now: Instant, term: Term, by_transfer: bool) -> bool {
        let is_asked_for = by_transfer && self.term.is_some_and(|own| own.next() == Some(term));
        now < self.until && !is_asked_for
    }

    /// The leader that was given the promise does not count on it any more.
    pub(crate) fn release(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn until(&self) -> Instant {
        self.until
    }
}
