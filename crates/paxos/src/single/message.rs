use crate::{Ballot, NodeId};

/// A value in a ballot: what Paxos Made Simple §2.2 calls a proposal, and acceptors accept.
///
/// There must be only one value per ballot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Proposal<V> {
    /// The number of the proposal.
    pub ballot: Ballot,
    /// The proposed value.
    pub value: V,
}

/// Phase 1a: asks for a promise of this ballot, and for what was accepted. Made by
/// [`Proposer::prepare`](super::Proposer::prepare), once the ballot is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Prepare {
    pub(super) ballot: Ballot,
}

/// Phase 1b: a promise not to accept anything below the ballot, with the proposal of the highest
/// ballot that its sender had accepted. Only made by
/// [`Acceptor::prepare`](super::Acceptor::prepare), once it is durable:
///
/// ```
/// use synod_paxos::{Ballot, single::{Acceptor, Promise}};
/// fn promise(acceptor: &mut Acceptor<u8>, ballot: Ballot) -> Promise<u8> {
///     acceptor.prepare(ballot).unwrap().persist(|_acceptor| Ok::<(), ()>(())).unwrap()
/// }
/// ```
///
/// ```compile_fail,E0451
/// use synod_paxos::{Ballot, single::{Acceptor, Promise}};
/// fn promise(acceptor: &mut Acceptor<u8>, ballot: Ballot) -> Promise<u8> {
///     Promise { ballot, accepted: None }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Promise<V> {
    pub(super) ballot: Ballot,
    pub(super) accepted: Option<Proposal<V>>,
}

/// Phase 2a: asks to accept this proposal. Made by
/// [`Proposer::handle_promise`](super::Proposer::handle_promise) from a quorum of promises, so its
/// value obeys P2c.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Accept<V> {
    pub(super) proposal: Proposal<V>,
}

/// Phase 2b: the sender has accepted this proposal. Made by
/// [`Acceptor::accept`](super::Acceptor::accept), once that is durable.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Accepted<V> {
    pub(super) proposal: Proposal<V>,
}

/// Reports that an acceptor has promised a higher ballot than the requested one. A hint (Paxos Made
/// Simple §2.5 says that the proposer should be told): it promises nothing, so it waits for no
/// write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[error("ballot {promised} is promised")]
pub struct Preempted {
    /// The promised ballot.
    pub promised: Ballot,
}

/// A message between [`Synod`](super::Synod) nodes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Message<V> {
    /// Phase 1a.
    Prepare(Prepare),
    /// Phase 1b.
    Promise(Promise<V>),
    /// Phase 2a.
    Accept(Accept<V>),
    /// Phase 2b.
    Accepted(Accepted<V>),
    /// Sent instead of 1b or 2b.
    Preempted(Preempted),
    /// The value is chosen: the answer to a late proposer. This stays true for ever, so it waits
    /// for no write.
    Chosen(V),
}

/// A message and its destination.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Envelope<V> {
    /// The receiver.
    pub to: NodeId,
    /// The message.
    pub message: Message<V>,
}

impl Prepare {
    /// The requested ballot.
    #[must_use]
    pub fn ballot(&self) -> Ballot {
        self.ballot
    }
}

impl<V> Promise<V> {
    /// The promised ballot.
    #[must_use]
    pub fn ballot(&self) -> Ballot {
        self.ballot
    }

    /// The proposal that the sender had accepted.
    #[must_use]
    pub fn accepted(&self) -> Option<&Proposal<V>> {
        self.accepted.as_ref()
    }
}

impl<V> Accept<V> {
    /// The proposal to accept.
    #[must_use]
    pub fn proposal(&self) -> &Proposal<V> {
        &self.proposal
    }
}

impl<V> Accepted<V> {
    /// The accepted proposal.
    #[must_use]
    pub fn proposal(&self) -> &Proposal<V> {
        &self.proposal
    }
}

/// Whether a ballot may be requested. Those beyond [`Ballot::ROUND_MAX`] may not, so that no peer
/// can use up the rounds.
pub(super) fn is_ballot(ballot: Ballot) -> bool {
    (1..=Ballot::ROUND_MAX).contains(&ballot.round)
}
