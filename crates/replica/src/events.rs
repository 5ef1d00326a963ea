//! The events that a node logs for its operators: each is logged once, with who and why.
//!
//! | event | level | logged when |
//! |---|---|---|
//! | `election_begun` | info | this node asks for votes, with the leader it followed before |
//! | `election_won` | info | it becomes leader |
//! | `election_lost` | info | it no longer asks for votes and was not elected |
//! | `leader_changed` | info | it follows another leader than before |
//! | `quorum_lost` | warn | it was leader, lost contact with a quorum, and stepped down |
//! | `stepped_down` | warn | it was leader and stepped down because of its disk, or for what it lacks |
//! | `deposed` | info | it was leader, and another was elected or is about to be |
//! | `snapshot_taken` | info | a snapshot of this node's state is durable |
//! | `snapshot_received` | info | a snapshot was received completely from a peer |
//! | `snapshot_restored` | info | the machine restarted from a snapshot |
//! | `snapshot_failed` | warn | a snapshot could not be taken, received, restored or verified, with the reason |
//! | `snapshot_waits` | warn | there is no space for the rest of a snapshot; it is requested again later |
//! | `peer_waits` | warn | a peer that reads a snapshot from here has no space for the rest |
//! | `peer_left_behind` | warn | log that a peer still needs was cut: it must start over |
//! | `peer_forgot` | warn | a peer's disk lost entries that it acknowledged: it has stopped for good |
//! | `peer_leapt` | warn | a peer's term or round is too far above the one stored here to be believed |
//! | `snapshot_damaged` | warn | a snapshot from here arrived damaged at a peer; it is verified here |
//! | `name_used` | error | another incarnation proposes under this node's name; proposals made here may be refused |
//! | `slow_sync` | warn | syncs begin to take longer than [`SLOW_SYNC`]; then at most once a minute, with the slowest |
//! | `fast_sync` | info | syncs are fast again, with how long they were slow |
//! | `disk_full` | warn | the log has no space left: new work is refused |
//! | `disk_space` | info | it has space again, with how long it had none |
//! | `group_stopped` | error | a group no longer serves anything on this node, with the reason |
//! | `node_stopped` | error | the node no longer serves anything, with the reason |
//!
//! The transport logs connections and strangers itself. Each event is logged at most [`LINES_MAX`]
//! times within [`WINDOW`]; the next line says how many were suppressed before it.

use std::fmt;
use std::time::Duration;

use synod_transport::{LineLimit, NodeId};
use synod_wal::GroupId;

use crate::closed::Closed;
use crate::protocol::{CoreStatus, Epoch, Leap, PeerStatus, Role, StepDown};
use crate::time::Instant;

/// An event of interest to an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    ElectionBegun {
        epoch: Epoch,
        left: Option<NodeId>,
    },
    ElectionWon {
        epoch: Epoch,
    },
    ElectionLost {
        epoch: Epoch,
        to: Option<NodeId>,
    },
    LeaderChanged {
        epoch: Epoch,
        from: Option<NodeId>,
        to: NodeId,
    },
    QuorumLost {
        epoch: Epoch,
    },
    SteppedDown {
        epoch: Epoch,
        why: StepDown,
    },
    Deposed {
        epoch: Epoch,
        by: Option<NodeId>,
    },
    SnapshotTaken {
        index: u64,
        bytes: u64,
    },
    SnapshotReceived {
        index: u64,
    },
    SnapshotRestored {
        index: u64,
    },
    SnapshotFailed {
        what: &'static str,
        why: String,
    },
    SnapshotWaits {
        index: u64,
        from: NodeId,
    },
    PeerWaits {
        index: u64,
        peer: NodeId,
    },
    PeerLeftBehind {
        peer: NodeId,
    },
    SnapshotDamaged {
        index: u64,
        peer: NodeId,
    },
    PeerForgot {
        peer: NodeId,
    },
    PeerLeapt {
        leap: Leap,
    },
    NameUsed {
        incarnation: u64,
    },
    SlowSync {
        took: Duration,
    },
    FastSync {
        after: Duration,
        worst: Duration,
    },
    DiskFull,
    DiskSpace {
        after: Duration,
    },
    GroupStopped {
        why: Closed,
    },
    NodeStopped {
        why: Closed,
    },
}

enum Level {
    Info,
    Warn,
    Error,
}

impl Event {
    const fn name(&self) -> &'static str {
        match self {
            Self::ElectionBegun { .. } => "election_begun",
            Self::ElectionWon { .. } => "election_won",
            Self::ElectionLost { .. } => "election_lost",
            Self::LeaderChanged { .. } => "leader_changed",
            Self::QuorumLost { .. } => "quorum_lost",
            Self::SteppedDown { .. } => "stepped_down",
            Self::Deposed { .. } => "deposed",
            Self::SnapshotTaken { .. } => "snapshot_taken",
            Self::SnapshotReceived { .. } => "snapshot_received",
            Self::SnapshotRestored { .. } => "snapshot_restored",
            Self::SnapshotFailed { .. } => "snapshot_failed",
            Self::SnapshotWaits { .. } => "snapshot_waits",
            Self::PeerWaits { .. } => "peer_waits",
            Self::PeerLeftBehind { .. } => "peer_left_behind",
            Self::SnapshotDamaged { .. } => "snapshot_damaged",
            Self::PeerForgot { .. } => "peer_forgot",
            Self::PeerLeapt { .. } => "peer_leapt",
            Self::NameUsed { .. } => "name_used",
            Self::SlowSync { .. } => "slow_sync",
            Self::FastSync { .. } => "fast_sync",
            Self::DiskFull => "disk_full",
            Self::DiskSpace { .. } => "disk_space",
            Self::GroupStopped { .. } => "group_stopped",
            Self::NodeStopped { .. } => "node_stopped",
        }
    }

    const fn level(&self) -> Level {
        match self {
            Self::ElectionBegun { .. }
            | Self::ElectionWon { .. }
            | Self::ElectionLost { .. }
            | Self::LeaderChanged { .. }
            | Self::Deposed { .. }
            | Self::SnapshotTaken { .. }
            | Self::SnapshotReceived { .. }
            | Self::SnapshotRestored { .. }
            | Self::FastSync { .. }
            | Self::DiskSpace { .. } => Level::Info,
            Self::QuorumLost { .. }
            | Self::SteppedDown { .. }
            | Self::SnapshotFailed { .. }
            | Self::SnapshotWaits { .. }
            | Self::PeerWaits { .. }
            | Self::PeerLeftBehind { .. }
            | Self::PeerForgot { .. }
            | Self::PeerLeapt { .. }
            | Self::SnapshotDamaged { .. }
            | Self::SlowSync { .. }
            | Self::DiskFull => Level::Warn,
            Self::NameUsed { .. } | Self::GroupStopped { .. } | Self::NodeStopped { .. } => {
                Level::Error
            }
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let node =
            |id: &Option<NodeId>| id.map_or_else(|| "nobody".to_owned(), |id| id.to_string());
        match self {
            Self::ElectionBegun { epoch, left } => write!(
                f,
                "asks for votes in {epoch}: no contact in time from its leader ({})",
                node(left)
            ),
            Self::ElectionWon { epoch } => write!(f, "elected: leads in {epoch}"),
            Self::ElectionLost { epoch, to } => {
                write!(f, "not elected: in {epoch} it follows {}", node(to))
            }
            Self::LeaderChanged { epoch, from, to } => {
                write!(f, "follows {to} in {epoch}, before that {}", node(from))
            }
            Self::QuorumLost { epoch } => {
                write!(f, "leads no more in {epoch}: {}", StepDown::NoQuorum)
            }
            Self::SteppedDown { epoch, why } => write!(f, "leads no more in {epoch}: {why}"),
            Self::Deposed { epoch, by } => {
                let (why, by) = (StepDown::Deposed, node(by));
                write!(f, "leads no more: {why}; in {epoch} it follows {by}")
            }
            Self::SnapshotTaken { index, bytes } => {
                write!(f, "took a snapshot up to {index}, {bytes} bytes")
            }
            Self::SnapshotReceived { index } => write!(f, "received the snapshot up to {index}"),
            Self::SnapshotRestored { index } => {
                write!(f, "restarted from the snapshot up to {index}")
            }
            Self::SnapshotFailed { what, why } => {
                write!(f, "a snapshot could not be {what}: {why}")
            }
            Self::SnapshotWaits { index, from } => write!(
                f,
                "no space for the rest of the snapshot up to {index} from {from}; asks again later"
            ),
            Self::PeerWaits { index, peer } => write!(
                f,
                "{peer} has no space for the rest of the snapshot up to {index}"
            ),
            Self::PeerLeftBehind { peer } => write!(
                f,
                "log that {peer} will need was cut: it was too slow, or there is no space to keep it"
            ),
            Self::SnapshotDamaged { index, peer } => write!(
                f,
                "{peer} got the snapshot up to {index} damaged: it is verified here"
            ),
            Self::PeerForgot { peer } => write!(
                f,
                "{peer} does not hold what it acknowledged: its disk lost it, and it has stopped for good"
            ),
            Self::PeerLeapt { leap } => leap.fmt(f),
            Self::NameUsed { incarnation } => write!(f, "incarnation {incarnation} {NAME_USED}"),
            Self::FastSync { after, worst } => write!(
                f,
                "syncs of the log are fast again, after {} s; the slowest took {} ms",
                after.as_secs(),
                worst.as_millis()
            ),
            Self::SlowSync { took } => write!(f, "a sync of the log takes {} ms", took.as_millis()),
            Self::DiskFull => f.write_str("no space left for the log: nothing new is taken"),
            Self::DiskSpace { after } => {
                write!(f, "space for the log again, after {} s", after.as_secs())
            }
            Self::GroupStopped { why } => write!(f, "the group has stopped: {why}"),
            Self::NodeStopped { why } => write!(f, "the node has stopped: {why}"),
        }
    }
}

impl fmt::Display for Leap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            from,
            epoch,
            stored,
        } = self;
        write!(
            f,
            "{from} speaks in {epoch}, too far above {stored}, which is stored here: ignored, and only approached \
             when no leader is heard. Nobody comes there by elections: it was led there, or another speaks in its \
             name"
        )
    }
}

/// The state of a core when it was last inspected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) role: Role,
    pub(crate) epoch: Epoch,
    pub(crate) leader: Option<NodeId>,
    /// Why it last stopped leading.
    pub(crate) stepped_down: Option<StepDown>,
}

/// Logs events, within a bound on their number.
pub(crate) struct Events {
    limit: LineLimit<(&'static str, Option<NodeId>)>,
    seen: Seen,
    /// The leader that this node followed last, itself included.
    followed: Option<NodeId>,
    /// The peers already reported as having forgotten.
    forgot: Vec<NodeId>,
    /// How many messages had leapt at the last inspection.
    leaps: u64,
    /// Whether the end of the group was logged.
    pub(crate) closed: bool,
}

impl Events {
    pub(crate) fn new() -> Self {
        Self {
            limit: LineLimit::new(LINES_MAX, WINDOW, SOURCES_MAX),
            seen: Seen::default(),
            followed: None,
            forgot: Vec::new(),
            leaps: 0,
            closed: false,
        }
    }

    pub(crate) fn tell(&mut self, now: Instant, group: Option<GroupId>, event: &Event) {
        let peer = match event {
            Event::PeerWaits { peer, .. }
            | Event::PeerLeftBehind { peer }
            | Event::PeerForgot { peer }
            | Event::PeerLeapt {
                leap: Leap { from: peer, .. },
            }
            | Event::SnapshotDamaged { peer, .. } => Some(*peer),
            _ => None,
        };
        let name = event.name();
        let Some(suppressed) = self.limit.admit(now.0, (name, peer)) else {
            return;
        };
        let (group, suppressed) = (group.map(|group| group.0), some(suppressed));
        match event.level() {
            Level::Info => tracing::info!(group, event = name, suppressed, "{event}"),
            Level::Warn => tracing::warn!(group, event = name, suppressed, "{event}"),
            Level::Error => tracing::error!(group, event = name, suppressed, "{event}"),
        }
    }

    /// Logs what has changed since the last call.
    pub(crate) fn look(&mut self, now: Instant, group: GroupId, seen: Seen) {
        let before = std::mem::replace(&mut self.seen, seen);
        if before != seen {
            for event in self.changes(before, seen).into_iter().flatten() {
                self.tell(now, Some(group), &event);
            }
        }
    }

    /// Logs each peer that has forgotten, once for as long as its status says so.
    pub(crate) fn look_at(&mut self, now: Instant, group: GroupId, peers: &[PeerStatus]) {
        let forgot = |id: &NodeId| peers.iter().any(|peer| peer.forgot && peer.id == *id);
        self.forgot.retain(forgot);
        for peer in peers.iter().filter(|peer| peer.forgot) {
            if !self.forgot.contains(&peer.id) {
                self.forgot.push(peer.id);
                self.tell(now, Some(group), &Event::PeerForgot { peer: peer.id });
            }
        }
    }

    /// Logs the last message that leapt since the last call, if any.
    pub(crate) fn look_at_leaps(&mut self, now: Instant, group: GroupId, core: &CoreStatus) {
        let before = std::mem::replace(&mut self.leaps, core.leaps);
        if let Some(leap) = core.leap
            && before != core.leaps
        {
            self.tell(now, Some(group), &Event::PeerLeapt { leap });
        }
    }

    fn changes(&mut self, before: Seen, now: Seen) -> [Option<Event>; 3] {
        let Seen { epoch, leader, .. } = now;
        let left = match before.role {
            Role::Leader if now.role == Role::Leader && before.epoch == epoch => None,
            Role::Leader => {
                let led = before.epoch;
                Some(match now.stepped_down {
                    None | Some(StepDown::Deposed) => Event::Deposed { epoch, by: leader },
                    Some(StepDown::NoQuorum) => Event::QuorumLost { epoch: led },
                    Some(why) => Event::SteppedDown { epoch: led, why },
                })
            }
            Role::Candidate if now.role == Role::Follower => {
                Some(Event::ElectionLost { epoch, to: leader })
            }
            Role::Candidate | Role::Follower => None,
        };
        let entered = match now.role {
            Role::Leader if before.role != Role::Leader || before.epoch != epoch => {
                Some(Event::ElectionWon { epoch })
            }
            Role::Candidate if before.role != Role::Candidate => Some(Event::ElectionBegun {
                epoch,
                left: self.followed,
            }),
            _ => None,
        };
        let follows = leader.filter(|leader| self.followed != Some(*leader));
        let changed = follows.and_then(|to| {
            let from = self.followed.replace(to);
            (now.role != Role::Leader).then_some(Event::LeaderChanged { epoch, from, to })
        });
        [left, entered, changed]
    }
}

const fn some(count: u64) -> Option<u64> {
    if count == 0 { None } else { Some(count) }
}

/// Syncs that take longer are logged.
pub(crate) const SLOW_SYNC: Duration = Duration::from_millis(100);
const NAME_USED: &str = "speaks in this node's name and is another than this one: its disk was put back, or there are \
     two copies of it; what is proposed here and overtaken by that is refused";
/// The most lines of one event in each [`WINDOW`].
const LINES_MAX: u32 = 5;
const WINDOW: Duration = Duration::from_secs(10);
/// How many pairs of an event and a peer are limited separately.
const SOURCES_MAX: usize = 64;

#[cfg(test)]
mod tests;
