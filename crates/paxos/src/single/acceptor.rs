use super::message::is_ballot;
use super::{Accept, Accepted, Pending, Preempted, Promise, Proposal};
use crate::Ballot;

/// The memory of the synod. An acceptor is nothing but what it has to remember (Paxos Made Simple
/// §2.5), so it is itself the record that [`Pending::persist`] hands to the disk, and
/// [`recover`](Self::recover) is its restart.
///
/// - P1a: it accepts a proposal unless it has promised a higher ballot.
/// - The promised ballot never falls.
/// - The ballot of what it has accepted never falls, and is not above the promised one.
///
/// ```
/// use synod_paxos::{Ballot, NodeId, single::Acceptor};
///
/// let mut acceptor = Acceptor::<&str>::default();
/// let mut disk = acceptor.clone();
/// let mut write = |acceptor: &Acceptor<_>| Ok::<(), core::convert::Infallible>(disk = acceptor.clone());
///
/// let ballot = |round| Ballot { round, node: NodeId(1) };
/// let promise = acceptor.prepare(ballot(2))?.persist(&mut write).unwrap();
/// assert_eq!(promise.accepted(), None);
/// // What is promised to 2.1 is refused to 1.1.
/// assert_eq!(acceptor.prepare(ballot(1)).unwrap_err().promised, ballot(2));
/// assert_eq!(disk.promised(), ballot(2));
/// # Ok::<(), synod_paxos::single::Preempted>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Acceptor<V> {
    promised: Ballot,
    accepted: Option<Proposal<V>>,
}

/// Why a record is not that of an acceptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecoverError {
    /// No acceptor promises or accepts such a ballot.
    #[error("{ballot} is no ballot")]
    NoBallot {
        /// What the record says.
        ballot: Ballot,
    },
    /// An acceptor promises what it accepts.
    #[error("{accepted} is accepted and only {promised} is promised")]
    NotPromised {
        /// The ballot of the accepted proposal.
        accepted: Ballot,
        /// The promised ballot.
        promised: Ballot,
    },
}

impl<V> Acceptor<V> {
    /// The acceptor that stored this. One that never stored anything is [`Acceptor::default`]; to
    /// start one that did as if it never had breaks its promises.
    ///
    /// # Errors
    /// No acceptor ever stored this.
    pub fn recover(promised: Ballot, accepted: Option<Proposal<V>>) -> Result<Self, RecoverError> {
        let voted = accepted.as_ref().map(|proposal| proposal.ballot);
        let known = voted
            .into_iter()
            .chain((promised != Ballot::ZERO).then_some(promised));
        if let Some(ballot) = known.into_iter().find(|ballot| !is_ballot(*ballot)) {
            return Err(RecoverError::NoBallot { ballot });
        }
        match voted {
            Some(accepted) if accepted > promised => {
                Err(RecoverError::NotPromised { accepted, promised })
            }
            _ => Ok(Self { promised, accepted }),
        }
    }

    /// The highest ballot it has promised; [`Ballot::ZERO`] if none.
    #[must_use]
    pub fn promised(&self) -> Ballot {
        self.promised
    }

    /// What it has accepted in the highest ballot in which it has accepted anything.
    #[must_use]
    pub fn accepted(&self) -> Option<&Proposal<V>> {
        self.accepted.as_ref()
    }
}

impl<V: Clone> Acceptor<V> {
    /// Phase 1b. A request that comes again is promised again.
    ///
    /// # Errors
    /// A higher ballot is promised, or this is none, or one more than [`Ballot::LEAP_MAX`] rounds above
    /// what is promised.
    pub fn prepare(&mut self, ballot: Ballot) -> Result<Pending<'_, Self, Promise<V>>, Preempted> {
        self.promise(ballot)?;
        let accepted = self.accepted.clone();
        Ok(Pending::new(self, Promise { ballot, accepted }))
    }

    /// Phase 2b. Accepting is a promise as well: of what it accepts it would otherwise still accept
    /// less.
    ///
    /// # Errors
    /// As for [`prepare`](Self::prepare).
    pub fn accept(
        &mut self,
        accept: Accept<V>,
    ) -> Result<Pending<'_, Self, Accepted<V>>, Preempted> {
        let Accept { proposal } = accept;
        self.promise(proposal.ballot)?;
        self.accepted = Some(proposal.clone());
        Ok(Pending::new(self, Accepted { proposal }))
    }

    fn promise(&mut self, ballot: Ballot) -> Result<(), Preempted> {
        let promised = self.promised;
        if ballot < promised || !is_ballot(ballot) || ballot.is_leap_from(promised) {
            return Err(Preempted { promised });
        }
        self.promised = ballot;
        Ok(())
    }
}

impl<V> Default for Acceptor<V> {
    fn default() -> Self {
        Self {
            promised: Ballot::ZERO,
            accepted: None,
        }
    }
}
