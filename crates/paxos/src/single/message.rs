use crate::{Ballot, NodeId};

/// A value under a ballot: what Paxos Made Simple §2.2 calls a proposal, and its acceptors accept.
///
/// Invariant of whoever issues them: one value a ballot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Proposal<V> {
    /// Its number.
    pub ballot: Ballot,
    /// Its value.
    pub value: V,
}

/// Phase 1a: promise me this ballot, and tell me what you have accepted. Made by
/// [`Proposer::prepare`](super::Proposer::prepare), once the ballot is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Prepare {
    pub(super) ballot: Ballot,
}

/// Phase 1b: a promise to accept nothing below the ballot, and the proposal of the highest ballot
/// that its sender had accepted. Made by [`Acceptor::prepare`](super::Acceptor::prepare), once it is
/// durable, and by nobody else:
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

/// Phase 2a: accept this proposal. Made by
/// [`Proposer::handle_promise`](super::Proposer::handle_promise) from a quorum of promises, so its
/// value obeys P2c.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Accept<V> {
    pub(super) proposal: Proposal<V>,
}

/// Phase 2b: its sender has accepted this proposal. Made by
/// [`Acceptor::accept`](super::Acceptor::accept), once that is durable.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Accepted<V> {
    pub(super) proposal: Proposal<V>,
}

/// An acceptor has promised a higher ballot than the one it is asked for. A hint (Paxos Made Simple
/// §2.5 says that the proposer should be told): it promises nothing, so it waits for no write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[error("ballot {promised} is promised")]
pub struct Preempted {
    /// The ballot that stands against it.
    pub promised: Ballot,
}

/// What [`Synod`](super::Synod) nodes say to each other.
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
    /// In place of 1b or 2b.
    Preempted(Preempted),
    /// The value is chosen: an answer to a proposer that comes late. True for ever, so it waits for
    /// no write.
    Chosen(V),
}

/// A message and where it goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Envelope<V> {
    /// The receiver.
    pub to: NodeId,
    /// The message.
    pub message: Message<V>,
}

impl Prepare {
    /// The ballot to promise.
    #[must_use]
    pub fn ballot(&self) -> Ballot {
        self.ballot
    }
}

impl<V> Promise<V> {
    /// The ballot that is promised.
    #[must_use]
    pub fn ballot(&self) -> Ballot {
        self.ballot
    }

    /// What its sender had accepted.
    #[must_use]
    pub fn accepted(&self) -> Option<&Proposal<V>> {
        self.accepted.as_ref()
    }
}

impl<V> Accept<V> {
    /// What to accept.
    #[must_use]
    pub fn proposal(&self) -> &Proposal<V> {
        &self.proposal
    }
}

impl<V> Accepted<V> {
    /// What is accepted.
    #[must_use]
    pub fn proposal(&self) -> &Proposal<V> {
        &self.proposal
    }
}

/// Whether a ballot may be asked for. Those beyond [`Ballot::ROUND_MAX`] may not, so that no peer
/// can use the rounds up.
pub(super) fn is_ballot(ballot: Ballot) -> bool {
    (1..=Ballot::ROUND_MAX).contains(&ballot.round)
}
