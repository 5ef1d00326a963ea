use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::follower::Follower;
use crate::log::Log;
use crate::node::Common;
use crate::role::RoleState;
use crate::{
    Config, Entry, Index, Instant, Kind, LogId, Membership, NodeId, Raft, RecoverError, Snapshot,
    Term,
};

/// The stored state from which a node starts. For a node that never ran: no vote, `LogId::ZERO`, no
/// snapshot, no entries.
#[derive(Clone, Debug)]
pub struct Recovered<I> {
    /// The newest [`Op::Vote`](crate::Op::Vote).
    pub vote: Option<(Term, Option<NodeId>)>,
    /// The newest [`Op::Start`](crate::Op::Start), or `LogId::ZERO`.
    pub start: LogId,
    /// The newest complete snapshot, if any. It may be ahead of `start` and even of the log.
    pub snapshot: Option<Snapshot>,
    /// The entries after `start`, in order.
    pub entries: I,
}

impl Raft {
    /// Starts a node from its stored state, as a follower.
    ///
    /// A crash may leave a durable snapshot without the record that begins the log after it. That
    /// case is resolved here: within the log, the snapshot was taken by this node, and compacts the
    /// log; ahead of the log, or with another term than the log's entry at its index, it was
    /// pulled, and is installed, even on a node that has stored nothing else yet. In either case
    /// the first record completes it. With any snapshot,
    /// [`Output::Restore`](crate::Output::Restore) comes before the first `Apply`, once the start
    /// is durable; without one, `Apply` begins at index 1.
    ///
    /// The membership in force is the last one in the entries, else that of the snapshot, else that of
    /// the configuration.
    ///
    /// Entries are read once and kept only as far as the cache allows. They are applied again as
    /// they become known to be committed: the commit index is volatile.
    ///
    /// # Errors
    /// See [`RecoverError`]. A node whose storage is inconsistent must not take part.
    pub fn new<I, E>(
        config: Config,
        recovered: Recovered<I>,
        now: Instant,
    ) -> Result<Self, RecoverError<E>>
    where
        I: Iterator<Item = Result<Entry, E>>,
    {
        config.validate()?;
        let start = recovered.start;
        let mut log = Log::new(start, &config);
        let mut memberships = Vec::new();
        let mut lacks_bodies = config.joins_as_witness;
        for entry in recovered.entries {
            let entry = entry.map_err(RecoverError::Storage)?;
            let last = log.last();
            let follows = entry.id.index == last.index.next()
                && entry.id.term >= last.term
                && entry.id.term > Term(0);
            if !follows || entry.id.index > Index::MAX {
                return Err(RecoverError::NotContiguous {
                    index: entry.id.index,
                });
            }
            if entry.kind == Kind::Membership {
                let index = entry.id.index;
                let membership = membership_of(&entry);
                let membership = membership.ok_or(RecoverError::Membership { index })?;
                memberships.push((index, membership));
            }
            lacks_bodies |= entry.kind == Kind::Withheld;
            log.recover(entry);
        }
        log.end_recovery();
        let may_have_promised = recovered.vote.is_some();
        let vote = match recovered.vote {
            Some(vote) => vote,
            // A node that voted has a record of it, and this node has no record at all. There may
            // still be a snapshot that was pulled and became durable before the first record. Its
            // term is entered below.
            None if log.last() == LogId::ZERO => (Term(0), None),
            None => return Err(RecoverError::VoteMissing),
        };
        if vote.0 < log.last().term || vote.0 > Term::MAX {
            return Err(RecoverError::TermOutOfRange);
        }
        check_snapshot(start, vote.0, recovered.snapshot.as_ref())?;
        let mut common = Common::new(config, log, vote, now);
        common.lacks_bodies = lacks_bodies;
        for (index, membership) in memberships {
            common.configs.push(index, membership);
        }
        if let Some(snapshot) = recovered.snapshot {
            // The term of a pulled snapshot may have been entered in memory only.
            if snapshot.last.term > common.term {
                common.enter_term(snapshot.last.term, None);
            }
            common.begin_log_at(Box::new(snapshot));
        }
        if may_have_promised {
            common.assume_promise(now);
        }
        let role = RoleState::Follower(Follower::default());
        let mut raft = Self { common, role };
        raft.follow_up(now);
        Ok(raft)
    }
}

/// The membership in a membership entry, if it is one that a leader may append.
pub(crate) fn membership_of(entry: &Entry) -> Option<Membership> {
    let membership = Membership::decode(&entry.body).ok();
    membership.filter(|membership| !membership.voters.is_empty())
}

fn check_snapshot<E>(
    start: LogId,
    stored: Term,
    snapshot: Option<&Snapshot>,
) -> Result<(), RecoverError<E>> {
    let last = snapshot.map_or(LogId::ZERO, |snapshot| snapshot.last);
    if last.index < start.index {
        return Err(RecoverError::SnapshotMissing { start: start.index });
    }
    if last.index == start.index && last.term != start.term {
        return Err(RecoverError::SnapshotConflict { index: last.index });
    }
    // A pulled snapshot was offered in a term that this node had entered, so it cannot be a leap
    // either.
    let reach = stored.0.saturating_add(Term::LEAP_MAX);
    if last.term > Term::MAX || last.term.0 > reach || last.index > Index::MAX {
        return Err(RecoverError::TermOutOfRange);
    }
    Ok(())
}
