use crate::follower::Follower;
use crate::log::Log;
use crate::member::note_configurations;
use crate::node::Common;
use crate::role::RoleState;
use crate::{
    Ballot, Config, Configurations, Instant, Paxos, Position, RecoverError, Slot, Snapshot, State,
    Vote,
};

/// The stored state from which a node starts. For a node that never ran: no state,
/// `Position::ZERO`, no snapshot, no votes.
#[derive(Clone, Debug)]
pub struct Recovered<I> {
    /// The newest [`Op::State`](crate::Op::State).
    pub state: Option<State>,
    /// The newest [`Op::Start`](crate::Op::Start), or `Position::ZERO`.
    pub start: Position,
    /// The newest complete snapshot, if any. It may be ahead of `start` and even of every vote.
    pub snapshot: Option<Snapshot>,
    /// The newest vote for each slot after `start` that has one, ascending.
    pub votes: I,
}

impl Paxos {
    /// Starts a node from its stored state, as a follower.
    ///
    /// A crash may leave a durable snapshot without the record that begins the log after it. That
    /// case is resolved here: the log begins after it, and later votes are kept. The first record
    /// completes this. With any snapshot, [`Output::Restore`](crate::Output::Restore) comes before
    /// the first `Apply`, once the start is durable; without one, `Apply` begins at slot 1.
    ///
    /// The configurations come from the snapshot, or from [`Config::first`](crate::Config::first) if there
    /// is none, and from the chosen values after it.
    ///
    /// Votes are read once and kept only as far as the cache allows or while they are not known to
    /// be chosen. The stored chosen prefix may be shorter than it was: what is missing is learned
    /// again.
    ///
    /// # Errors
    /// See [`RecoverError`]. A node whose storage is inconsistent must not take part.
    pub fn new<I, E>(
        config: Config,
        recovered: Recovered<I>,
        now: Instant,
    ) -> Result<Self, RecoverError<E>>
    where
        I: Iterator<Item = Result<Vote, E>>,
    {
        config.validate()?;
        let start = recovered.start;
        let stored = recovered.state.unwrap_or_default();
        let mut log = Log::new(start, &config);
        let mut configurations = configurations(&config, recovered.snapshot.as_ref());
        for vote in recovered.votes {
            let vote = vote.map_err(RecoverError::Storage)?;
            // A node that voted has a record of its promise.
            if recovered.state.is_none() {
                return Err(RecoverError::PromiseMissing);
            }
            if vote.ballot > stored.promised {
                return Err(RecoverError::BallotOutOfRange);
            }
            if !fits(&log, &vote, stored.chosen) {
                return Err(RecoverError::Misplaced { slot: vote.slot });
            }
            log.recover(vote, stored.chosen);
            note_configurations(&mut log, &mut configurations);
        }
        log.end_recovery();
        // There may be a snapshot without any record: pulled, and durable before the first record.
        if recovered.state.is_none() && start != Position::ZERO {
            return Err(RecoverError::PromiseMissing);
        }
        if stored.promised.round > Ballot::ROUND_MAX || start.origin > stored.promised {
            return Err(RecoverError::BallotOutOfRange);
        }
        check_snapshot(start, stored.promised, recovered.snapshot.as_ref())?;
        let follower = Follower::new(None, log.chosen());
        configurations.learn_to(log.chosen());
        configurations.prune(start.slot);
        let mut common = Common::new(config, configurations, log, stored, now);
        if let Some(snapshot) = recovered.snapshot {
            begin_at(&mut common, snapshot);
        }
        Ok(Self {
            common,
            role: RoleState::Follower(follower),
        })
    }
}

fn configurations(config: &Config, snapshot: Option<&Snapshot>) -> Configurations {
    match snapshot {
        Some(snapshot) => snapshot.configurations.clone(),
        None => {
            let first = config.first.clone().map(Configurations::first);
            first.unwrap_or_default()
        }
    }
}

fn begin_at(common: &mut Common, snapshot: Snapshot) {
    // The promise to the leader that offered a pulled snapshot may have been in memory only.
    if snapshot.last.origin > common.promised {
        common.promise(snapshot.last.origin);
    }
    if snapshot.last.slot > common.log.start().slot {
        common.begin_log_at(snapshot);
    } else {
        common.snapshot = Some(snapshot.clone());
        common.machine.jump_to(snapshot);
    }
}

/// Whether the vote is well-formed, follows the others, and is no further ahead than an acceptor's
/// votes go.
fn fits(log: &Log, vote: &Vote, chosen: Slot) -> bool {
    let chosen = log.chosen().max(chosen);
    let ahead = chosen.0.saturating_add(Slot::SPAN_MAX);
    vote.slot > log.last()
        && vote.slot <= Slot::MAX
        && vote.slot.0 <= ahead
        && vote.ballot.round > 0
        && vote.value.origin.round > 0
        && vote.value.origin <= vote.ballot
}

fn check_snapshot<E>(
    start: Position,
    stored: Ballot,
    snapshot: Option<&Snapshot>,
) -> Result<(), RecoverError<E>> {
    let last = snapshot.map_or(Position::ZERO, |snapshot| snapshot.last);
    if last.slot < start.slot {
        return Err(RecoverError::SnapshotMissing { start: start.slot });
    }
    if last.slot == start.slot && last.origin != start.origin {
        return Err(RecoverError::SnapshotConflict { slot: last.slot });
    }
    // A pulled snapshot was offered in a ballot that this node had promised, so it cannot be a leap
    // either.
    let is_leap = last.origin.is_leap_from(stored);
    if last.origin.round > Ballot::ROUND_MAX || is_leap || last.slot > Slot::MAX {
        return Err(RecoverError::BallotOutOfRange);
    }
    Ok(())
}
