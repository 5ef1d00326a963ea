use super::message::is_ballot;
use super::{Accept, Accepted, Pending, Preempted, Promise, Proposal};
use crate::Ballot;

/// The memory of the synod. An acceptor consists only of what it has to remember (Paxos Made Simple
/// §2.5), so it is itself the record that [`Pending::persist`] passes to the disk, and
/// [`recover`](Self::recover) restarts it.
///
/// - P1a: it accepts a proposal unless it has promised a higher ballot.
/// - The promised ballot never decreases.
/// - The ballot of what it has accepted never decreases, and is not above the promised one.
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

/// Why a record cannot be that of an acceptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecoverError {
    /// No acceptor promises or accepts such a ballot.
    #[error("{ballot} is not a valid ballot")]
    NoBallot {
        /// The ballot in the record.
        ballot: Ballot,
    },
    /// An acceptor promises every ballot that it accepts.
    #[error("ballot {accepted} is accepted, but only {promised} is promised")]
    NotPromised {
        /// The ballot of the accepted proposal.
        accepted: Ballot,
        /// The promised ballot.
        promised: Ballot,
    },
}

impl<V> Acceptor<V> {
    /// The acceptor that stored this state. One that never stored anything is
    /// [`Acceptor::default`]; starting an acceptor that did from that value breaks its promises.
    ///
    /// # Errors
    /// If no acceptor can have stored this.
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

    /// The highest ballot that it has promised; [`Ballot::ZERO`] if none.
    #[must_use]
    pub fn promised(&self) -> Ballot {
        self.promised
    }

    /// The last proposal that it has accepted, of the highest ballot.
    #[must_use]
    pub fn accepted(&self) -> Option<&Proposal<V>> {
        self.accepted.as_ref()
    }
}

impl<V: Clone> Acceptor<V> {
    /// Phase 1b. A repeated request is promised again.
    ///
    /// # Errors
    /// If a higher ballot is promised, this one is invalid, or it is more than [`Ballot::LEAP_MAX`]
    /// rounds above the promise.
    pub fn prepare(&mut self, ballot: Ballot) -> Result<Pending<'_, Self, Promise<V>>, Preempted> {
        self.promise(ballot)?;
        let accepted = self.accepted.clone();
        Ok(Pending::new(self, Promise { ballot, accepted }))
    }

    /// Phase 2b. Accepting is a promise as well: otherwise the acceptor would still accept lower
    /// ballots.
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
