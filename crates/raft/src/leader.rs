use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use crate::counters::count;
use crate::due::Task;
use crate::node::Common;
use crate::progress::Progress;
use crate::read::Reads;
use crate::step::Step;
use crate::uncommitted::Uncommitted;
use crate::{
    DiskHealth, Entry, Envelope, Fetch, Index, Instant, Kind, LogId, Message, NodeId, Output,
    ProposeError, Refusal, Replicate, Snapshot, Stop,
};

mod catch_up;
mod change;
mod hand_over;
mod lease;
mod peers;
mod priority;
mod read;
mod replicate;
mod step_down;
mod transfer;

use change::Drive;
use lease::Sendings;
use priority::Preference;
use transfer::Transfer;

/// Replicates its log to its peers and commits what a quorum stores (§5.3, §5.4). All of this state
/// is dropped with the term.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Leader {
    /// The other members, in ascending order of ids, and behind them nodes that are leaving.
    pub(crate) peers: Vec<Progress>,
    /// The index of its first entry. Once that is committed, the leader knows what its predecessors
    /// committed (§8).
    pub(crate) first: Index,
    pub(crate) heartbeat_deadline: Instant,
    /// Unless a quorum was in contact by then, the leader steps down.
    pub(crate) quorum_deadline: Instant,
    /// The number of a write in flight, and when it was first seen.
    slow_write: Option<(u64, Instant)>,
    /// When an unanswered fetch for a peer was first seen, since the last answer.
    slow_fetch: Option<Instant>,
    /// Since when no quorum in contact has had space while some peer was out of contact.
    short_of_room: Option<Instant>,
    /// The number of its last round of heartbeats.
    round: u64,
    /// Only echoes of later rounds report whether peers have space now.
    room_round: u64,
    reads: Reads,
    uncommitted: Uncommitted,
    transfer: Option<Transfer>,
    preference: Preference,
    change: Drive,
    sendings: Sendings,
    /// Whether this leader has offered its leadership in this term. It reads by lease no more.
    gave_up_lease: bool,
    /// Fetches for peers that were not yet output to the driver.
    fetches: VecDeque<Fetch>,
}

impl Leader {
    /// Starts leading after the election was won (§5.2). The first entry of the term makes earlier
    /// entries committable (§5.4.2).
    pub(crate) fn begin(common: &mut Common, now: Instant, by_transfer: bool) -> Self {
        common.has_deferred = false;
        let first = common.log.last().index.next();
        let mut leader = Self {
            peers: Vec::new(),
            first,
            heartbeat_deadline: now.plus(common.config.heartbeat_interval),
            quorum_deadline: now.plus(common.config.election_timeout_max),
            slow_write: None,
            slow_fetch: None,
            short_of_room: None,
            round: 0,
            room_round: 0,
            reads: Reads::default(),
            uncommitted: Uncommitted::default(),
            transfer: None,
            preference: Preference::begin(&common.config, now, by_transfer),
            change: Drive::default(),
            sendings: Sendings::default(),
            gave_up_lease: false,
            fetches: VecDeque::new(),
        };
        leader.sendings.note(1, now, common.config.lease);
        leader.meet_peers(common, first, now);
        leader.append(common, Kind::Noop, Bytes::new());
        leader.replicate_to_all(common);
        leader
    }

    /// Stops leading. Its reads are refused with the new leader, if that is known.
    pub(crate) fn resign(self, common: &mut Common, successor: Option<NodeId>) {
        let refusal = Refusal::NotLeader(successor);
        let reads = self.reads.end();
        common.end_reads(reads.map(|id| (id, refusal)));
    }

    pub(crate) fn forget_time(&mut self) {
        self.heartbeat_deadline = Instant::ZERO;
        self.quorum_deadline = Instant::ZERO;
        self.slow_write = None;
        self.slow_fetch = None;
        self.short_of_room = None;
        self.forget_time_of_transfer();
        self.preference.forget_time();
        self.change.forget_time();
        self.sendings.forget();
        for peer in &mut self.peers {
            peer.contact = Instant::ZERO;
            peer.leaving = peer.leaving.map(|_| Instant::ZERO);
        }
    }

    /// Nothing is sent before the core is polled, so that commands proposed together are sent
    /// together.
    pub(crate) fn propose(
        &mut self,
        common: &mut Common,
        body: Bytes,
    ) -> Result<LogId, ProposeError> {
        let (bytes, bytes_max) = (body.len(), common.config.entry_bytes_max);
        if bytes > bytes_max {
            return Err(ProposeError::TooLarge { bytes, bytes_max });
        }
        if common.log.last().index >= Index::MAX {
            return Err(ProposeError::IndexExhausted);
        }
        if let Some(to) = self.transfers_to() {
            return Err(ProposeError::Transferring { to });
        }
        if !self.has_room(common) {
            return Err(ProposeError::Full);
        }
        let bytes_max = common.config.uncommitted_bytes_max;
        if !self.uncommitted.fits(bytes + Entry::HEAD_BYTES, bytes_max) {
            return Err(ProposeError::Busy);
        }
        Ok(self.append(common, Kind::Command, body))
    }

    /// Appends an entry. The log must have an index left.
    fn append(&mut self, common: &mut Common, kind: Kind, body: Bytes) -> LogId {
        let id = LogId {
            term: common.term,
            index: common.log.last().index.next(),
        };
        let entry = Entry { id, kind, body };
        let bytes = entry.size();
        common.push(entry);
        let open_from = common.log.open_from();
        self.uncommitted.hold(id.index, bytes, open_from);
        // Peers that lack the first entry of the open tail are already marked.
        if open_from == id.index {
            self.replicate_to_all(common);
        }
        id
    }

    pub(crate) fn handle_timeout(&mut self, common: &mut Common, now: Instant) -> Step {
        let step = self.check_quorum(common, now);
        let step = match step {
            Step::Stay => self.end_transfer(common, now),
            ends => ends,
        };
        if step != Step::Stay || now < self.heartbeat_deadline {
            return step;
        }
        self.forget_who_left(now);
        self.heartbeat_deadline = now.plus(common.config.heartbeat_interval);
        self.peers.iter_mut().for_each(|peer| peer.backoff = false);
        common.retry_fetch();
        self.begin_round(common);
        self.sendings.note(self.round, now, common.config.lease);
        self.begin_heartbeat();
        self.offer_again(common);
        self.replicate_to_all(common);
        self.invite(common);
        self.look_for_preferred(common, now);
        self.drive_change(common, now)
    }

    /// A broadcast of heartbeats. Each is a round that confirms the reads that came before it.
    pub(super) fn begin_round(&mut self, common: &mut Common) {
        let (term, committed) = (common.term, common.committed);
        let lease = common.config.lease.map_or(Duration::ZERO, |it| it.length);
        self.round += 1;
        let round = self.round;
        if committed >= self.first {
            self.reads.begin_round(round, committed);
            common.due.set(Task::Read);
        }
        for peer in &mut self.peers {
            let commit = committed.min(peer.matched);
            peer.commit = peer.commit.max(commit);
            let matched = peer.matched;
            common.send_now(
                peer.id,
                Replicate::Heartbeat {
                    term,
                    round,
                    commit,
                    matched,
                    lease,
                },
            );
        }
    }

    /// Notes that the round just begun was started by the timer.
    fn begin_heartbeat(&mut self) {
        let round = self.round;
        let peers = self.peers.iter_mut();
        peers.for_each(|peer| peer.retransmission.begin_heartbeat(round));
    }

    pub(crate) fn handle_appended(
        &mut self,
        common: &mut Common,
        now: Instant,
        from: NodeId,
        last: Index,
    ) {
        let (start, end) = (common.log.start().index, common.log.last().index);
        let Some(peer) = self.hear(common, now, from) else {
            return;
        };
        if last > end {
            count(&mut common.counters.malformed);
            return;
        }
        peer.handle_appended(last, start);
        if peer.next <= end {
            peer.is_lacking = true;
            common.due.set(Task::Append);
        }
        if peer.commit < common.committed {
            common.due.set(Task::Notice);
        }
        if last > common.committed {
            self.advance_commit(common);
        }
        self.invite_first(common);
        if self.change.is_catching_up() {
            common.configs.set_news();
        }
    }

    pub(crate) fn handle_rejected(
        &mut self,
        common: &mut Common,
        now: Instant,
        from: NodeId,
        prev: LogId,
        hint: LogId,
    ) {
        // Our last position at or before the hint that can match it. Before our start nothing is
        // known, except that a snapshot is needed.
        let start = common.log.start().index;
        let probe = if hint.index < start {
            hint.index
        } else {
            common.log.hint(hint).index
        };
        let Some(peer) = self.hear(common, now, from) else {
            return;
        };
        if peer.handle_rejected(prev.index, probe) {
            peer.is_lacking = true;
            common.due.set(Task::Append);
        }
    }

    pub(crate) fn handle_heartbeat_echo(
        &mut self,
        common: &mut Common,
        now: Instant,
        from: NodeId,
        round: u64,
        matched: Index,
        (disk, granted, priority): (DiskHealth, Duration, Option<u8>),
    ) -> Step {
        if round > self.round {
            count(&mut common.counters.malformed);
            return self.give_way(common, now);
        }
        let asked = common.config.lease.map_or(Duration::ZERO, |it| it.length);
        let (last, tells_room) = (common.log.last().index, round > self.room_round);
        if let Some(peer) = self.hear(common, now, from) {
            if tells_room && round >= peer.round {
                peer.has_room = Some(disk.has_room);
            }
            if round >= peer.round {
                (peer.sync_time, peer.priority) = (disk.sync_time, priority);
            }
            peer.handle_grant(round, granted, asked);
            if peer.handle_echo(round, matched, last) {
                peer.is_lacking = true;
                common.due.set(Task::Append);
            }
            common.due.set(Task::Read);
        }
        self.give_way(common, now)
    }

    /// Installs a durable snapshot beyond what was delivered. What it covers was committed, and a
    /// leader's log holds all of that (Leader Completeness, §5.4), or has lost it.
    pub(crate) fn install(common: &mut Common, snapshot: Box<Snapshot>) -> Step {
        let last = snapshot.last;
        if !common.log.matches(last) {
            count(&mut common.counters.conflicts_with_commit);
            return Step::Stop(Stop::Diverged {
                index: last.index,
                own: last.term,
                leaders: common.log.term_at(last.index).unwrap_or_default(),
            });
        }
        common.begin_log_at(snapshot);
        common.due.set(Task::Notice);
        common.due.set(Task::Round);
        Step::Stay
    }

    /// Advances the commit index by the last rule for leaders in Figure 2: an index that a quorum
    /// stores is committed if its entry is of this term, and earlier entries only together with it
    /// (§5.4.2, Figure 8). This node counts with what is durable here.
    pub(crate) fn advance_commit(&mut self, common: &mut Common) {
        let persisted = common.log.persisted();
        let matched = |place| {
            let peer = self.peer_at(common, place);
            peer.map_or(persisted, |peer| peer.counted().0)
        };
        let quorum = common.members().quorum();
        let held = quorum.reached(common.committed, matched);
        if held > common.committed && common.log.term_at(held) == Some(common.term) {
            // Whatever the term before has left half done can be continued now.
            if common.committed < self.first {
                common.configs.set_news();
            }
            common.commit_to(held);
            common.due.set(Task::Notice);
            if self.reads.wants_round() {
                common.due.set(Task::Round);
            }
        }
        let end = common.committed.min(persisted);
        self.uncommitted.release_to(end);
    }

    pub(crate) fn poll_fetch(&mut self) -> Option<Output> {
        self.fetches.pop_front().map(Output::Fetch)
    }

    /// Notifies a peer that the commit index advanced, if no append or heartbeat did. Called last,
    /// when everything that could carry it has been sent.
    #[inline]
    pub(crate) fn poll_notice(&mut self, common: &Common) -> Option<Envelope> {
        let (term, committed) = (common.term, common.committed);
        let news = |peer: &&mut Progress| peer.commit < committed.min(peer.matched);
        let peer = self.peers.iter_mut().find(news)?;
        let commit = committed.min(peer.matched);
        peer.commit = commit;
        let message = Message::Replicate(Replicate::Commit { term, commit });
        Some(Envelope {
            to: peer.id,
            message,
        })
    }
}
