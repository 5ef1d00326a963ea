use synod_lamport::{LamportTime, Stamp};

/// The known state of another process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Peer<N> {
    pub(crate) id: N,
    /// The time of its latest message.
    pub(crate) heard: LamportTime,
    /// Its request at that time, waiting or granted.
    pub(crate) request: Option<LamportTime>,
    pub(crate) owed: Owed,
}

/// The kind of message to send to it next. A later kind includes the earlier ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Owed {
    #[default]
    Nothing,
    Acknowledge,
    Release,
    Request,
}

impl<N> Peer<N> {
    /// A process from which no message has arrived.
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
    /// Whether rule 5 holds for the request `own` with regard to this process: it has sent a later
    /// message (so its future requests are later too), and it has no earlier request.
    pub(crate) fn lets_pass(&self, own: Stamp<N>) -> bool {
        let first = self
            .request
            .is_none_or(|request| own < Stamp::new(request, self.id));
        self.heard > own.time && first
    }
}
