use super::message::is_ballot;
use super::{Accept, Pending, Preempted, Prepare, Promise, Proposal};
use crate::{AcceptorSet, Ballot, NodeId, Quorums};

/// Gets a value chosen: its own, or one that may be chosen already.
///
/// - B1: no ballot is used twice. Ballots contain the node, which keeps proposers apart, and a
///   proposer stores the last ballot it tried before any other node learns of it (Paxos Made Simple
///   §2.5).
/// - P2c: the value of a proposal is that of the highest-numbered proposal that a phase-1 quorum
///   has accepted below its ballot, and free only if that quorum has accepted none.
///
/// ```
/// use synod_paxos::{Ballot, NodeId, Quorums, single::Proposer};
///
/// let mut disk = Ballot::ZERO;
/// let mut write = |tried: &Ballot| Ok::<(), core::convert::Infallible>(disk = *tried);
///
/// let quorums = Quorums::majority([1, 2, 3].map(NodeId)).unwrap();
/// let mut proposer = Proposer::recover(NodeId(7), quorums.clone(), Ballot::ZERO);
/// let first = proposer.prepare("mine")?.persist(&mut write).unwrap();
///
/// // After a restart it continues above what it has tried.
/// let mut proposer = Proposer::recover(NodeId(7), quorums, first.ballot());
/// let second = proposer.prepare("mine")?.persist(&mut write).unwrap();
/// assert!(second.ballot() > first.ballot());
/// assert_eq!(disk, second.ballot());
/// # Ok::<(), synod_paxos::single::BallotsUsedUp>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Proposer<V> {
    id: NodeId,
    quorums: Quorums,
    /// The last ballot it tried. This is all that it has to remember.
    tried: Ballot,
    /// The highest ballot it has seen, so that the next one is above it.
    seen: Ballot,
    /// The state of the last ballot, while it waits for a quorum of promises.
    phase1: Option<Phase1<V>>,
}

/// No ballot is left above those that were used: [`Ballot::ROUND_MAX`] is the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("all ballots are used up")]
pub struct BallotsUsedUp;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Phase1<V> {
    /// The value to propose if the choice is free.
    wish: V,
    promised: AcceptorSet,
    /// The highest proposal that any of them has accepted.
    highest: Option<Proposal<V>>,
}

impl<V> Proposer<V> {
    /// The proposer that stored `tried`, or one that never tried if that is [`Ballot::ZERO`].
    #[must_use]
    pub fn recover(id: NodeId, quorums: Quorums, tried: Ballot) -> Self {
        Self {
            id,
            quorums,
            tried,
            seen: Ballot::ZERO,
            phase1: None,
        }
    }

    /// Phase 1a, in a ballot above all that it has tried or seen, to be sent to all acceptors or to
    /// any quorum. An earlier attempt is abandoned.
    ///
    /// # Errors
    /// If there is no such ballot.
    pub fn prepare(&mut self, wish: V) -> Result<Pending<'_, Ballot, Prepare>, BallotsUsedUp> {
        let round = self.tried.max(self.seen).round;
        if round >= Ballot::ROUND_MAX {
            return Err(BallotsUsedUp);
        }
        let (round, node) = (round + 1, self.id);
        let ballot = Ballot { round, node };
        debug_assert!(ballot > self.tried, "B1: no ballot is used twice");
        self.tried = ballot;
        self.phase1 = Some(Phase1 {
            wish,
            promised: AcceptorSet::default(),
            highest: None,
        });
        Ok(Pending::new(&self.tried, Prepare { ballot }))
    }

    /// Phase 2a, once a quorum has promised, to be sent to all acceptors or to any quorum. Returned
    /// once per ballot, since later promises must not change its value.
    pub fn handle_promise(&mut self, from: NodeId, promise: Promise<V>) -> Option<Accept<V>> {
        let ballot = self.tried;
        let phase1 = self.phase1.as_mut().filter(|_| promise.ballot == ballot)?;
        if !self.quorums.insert(&mut phase1.promised, from) {
            return None;
        }
        // P2c: "the highest-numbered proposal among all proposals ..."
        let number = |proposal: &Option<Proposal<V>>| proposal.as_ref().map(|some| some.ballot);
        if number(&promise.accepted) > number(&phase1.highest) {
            phase1.highest = promise.accepted;
        }
        if !self.quorums.is_phase1(phase1.promised) {
            return None;
        }
        let Phase1 { wish, highest, .. } = self.phase1.take()?;
        let value = highest.map_or(wish, |highest| highest.value);
        let proposal = Proposal { ballot, value };
        Some(Accept { proposal })
    }

    /// The next ballot will be above this one. The current one continues, because other acceptors
    /// may be enough for it. A ballot more than [`Ballot::LEAP_MAX`] rounds above the last tried
    /// one is not believed.
    pub fn handle_preempted(&mut self, preempted: Preempted) {
        let promised = preempted.promised;
        if is_ballot(promised) && !promised.is_leap_from(self.tried) {
            self.seen = self.seen.max(promised);
        }
    }

    /// The last ballot that it tried.
    #[must_use]
    pub fn tried(&self) -> Ballot {
        self.tried
    }
}
