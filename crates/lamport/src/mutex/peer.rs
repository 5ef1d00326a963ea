use crate::{LamportTime, Stamp};

/// Another process, and what is known of it.
///
/// ```
/// use synod_lamport::LamportTime;
/// use synod_lamport::mutex::{MutualExclusion, Peer};
///
/// let process = MutualExclusion::new(1, [Peer::new(2), Peer::new(3)], LamportTime::ZERO);
/// assert!(process.is_ok());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Peer<N> {
    pub(super) id: N,
    /// The latest time at which it has said anything.
    pub(super) heard: LamportTime,
    /// What it asked for, or held, at that time.
    pub(super) request: Option<LamportTime>,
    pub(super) owed: Owed,
}

/// The message that it is to get next. A later kind says all that an earlier one does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Owed {
    #[default]
    Nothing,
    Acknowledge,
    Release,
    Request,
}

impl<N> Peer<N> {
    /// A process of which nothing is known but its name.
    ///
    /// ```
    /// # use synod_lamport::mutex::Peer;
    /// let peers = ["lyon", "oslo"].map(Peer::new);
    /// assert_ne!(peers[0], peers[1]);
    /// ```
    #[must_use]
    pub const fn new(id: N) -> Self {
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
    pub(super) fn lets_pass(&self, own: Stamp<N>) -> bool {
        let first = self
            .request
            .is_none_or(|request| own < Stamp::new(request, self.id));
        self.heard > own.time && first
    }
}
