use crate::check::Violation;
use crate::check::durable::Durable;
use crate::check::fingerprint::fingerprint;
use crate::check::watch::Watch;
use crate::{LogId, NodeId, Raft, Term};

/// The disk of a node that has just restarted: as it was durable, or with the write that was in
/// flight when it crashed. Of a long write the driver may have stored only the head and some of the
/// entries: its messages were not sent yet.
pub(crate) fn recovered(watch: &Watch, raft: &Raft) -> Result<Durable, Violation> {
    let node = raft.common.id();
    let snapshot = newest_snapshot(raft);
    if snapshot.index < watch.durable.snapshot.index && !watch.rotted {
        return Err(Violation::SnapshotLost {
            node,
            needed: watch.durable.snapshot.index,
            snapshot: snapshot.index,
        });
    }
    // A snapshot is a separate file, and may be newer than what was reported to the checker.
    let durable = Durable {
        snapshot,
        ..watch.durable.clone()
    };
    let Some(difference) = difference(raft, &durable) else {
        return Ok(durable);
    };
    if let Some(staged) = &watch.staged {
        let whole = staged.change.entries().len();
        for kept in (1..=whole.max(1)).rev() {
            let mut stored = durable.clone();
            if stored.store(node, staged.change.prefix(kept)).is_ok()
                && self::difference(raft, &stored).is_none()
            {
                return Ok(stored);
            }
        }
    }
    Err(difference)
}

/// The stored state of a node that the checker did not know before.
pub(crate) fn adopted(raft: &Raft) -> Durable {
    let mut log = alloc::collections::VecDeque::new();
    let core = &raft.common;
    let mut index = core.log.start().index.next();
    while let Some(term) = core.log.term_at(index) {
        let content = core.log.cached(index).map_or(0, fingerprint);
        log.push_back((LogId { term, index }, content));
        index = index.next();
    }
    Durable {
        vote: core.vote_persisted(),
        start: core.log.start(),
        log,
        snapshot: newest_snapshot(raft),
    }
}

pub(crate) fn newest_snapshot(raft: &Raft) -> LogId {
    let snapshot = raft.common.snapshot.as_ref();
    snapshot.map_or(LogId::ZERO, |snapshot| snapshot.last)
}

fn difference(raft: &Raft, disk: &Durable) -> Option<Violation> {
    let (node, core) = (raft.common.id(), &raft.common);
    let memory = disk.recovered(disk.snapshot);
    let ((term, vote), durable_vote) = ((core.term, core.vote), memory.vote);
    if core.vote_persisted() != disk.vote || (term, vote) != durable_vote {
        return Some(differing_vote(node, (term, vote), disk.vote));
    }
    let log = &core.log;
    let (start, last) = (log.start(), log.last());
    let same = |id: LogId, content: u64| {
        let known = log.cached(id.index).map(fingerprint);
        log.matches(id) && (content == 0 || known.is_none_or(|known| known == content))
    };
    let differs = memory.entries().find(|(id, content)| !same(*id, *content));
    let at = match differs {
        Some((id, _)) => Some(id.index),
        None if start != memory.start => Some(start.index.min(memory.start.index)),
        None if log.start_persisted() != disk.start.index => Some(log.start_persisted()),
        None if last != memory.last() => Some(memory.last().index.next()),
        None => None,
    };
    at.map(|at| Violation::RecoveredLog {
        node,
        last,
        durable: memory.last(),
        at,
    })
}

fn differing_vote(
    node: NodeId,
    (term, vote): (Term, Option<NodeId>),
    (durable_term, durable_vote): (Term, Option<NodeId>),
) -> Violation {
    Violation::RecoveredVote {
        node,
        term,
        vote,
        durable_term,
        durable_vote,
    }
}
