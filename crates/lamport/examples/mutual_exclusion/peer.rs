use synod_lamport::{LamportTime, Stamp};

/// Another process, and what is known of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Peer<N> {
    pub(crate) id: N,
    /// The latest time at which it has said anything.
    pub(crate) heard: LamportTime,
    /// What it asked for, or held, at that time.
    pub(crate) request: Option<LamportTime>,
    pub(crate) owed: Owed,
}

/// The message that it is to get next. A later kind says all that an earlier one does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Owed {
    #[default]
    Nothing,
    Acknowledge,
    Release,
    Request,
}

impl<N> Peer<N> {
    /// A process of which nothing is known but its name.
    #[must_use]
    pub(crate) const fn new(id: N) -> Self {
        Self {
            id,
            heard: LamportTime::ZERO,
            request: None,
            owed: Owed::Nothing,
        }
    }
}

impl<N: Copy + Ord> Peer<N> {
    /// Whether rule 5 holds for the request `own` as far as this process goes: it has said
    /// something later (so that whatever it has not told of yet is later too), and it asks for
    /// nothing that comes first.
    pub(crate) fn lets_pass(&self, own: Stamp<N>) -> bool {
        let first = self
            .request
            .is_none_or(|request| own < Stamp::new(request, self.id));
        self.heard > own.time && first
    }
}
