//! Faults, as data.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::world::process::NodeId;

/// A single fault.
///
/// The nemesis of a world draws faults and the world records them as they are injected
/// ([`World::faults`](crate::World::faults)); a [`Script`](crate::Script) of them replays. As text,
/// one a line after its time:
///
/// ```
/// use std::time::Duration;
/// use synod_sim::{Crash, Fault, NodeId, Script, Strike};
///
/// let script: Script = "
///     1.234567s crash n2 power in-step for 0.2s
///     2s partition n1-n2 n1>n3 for 0.5s     # one way to n3
/// ".parse()?;
/// let (node, crash) = (NodeId(2), Crash::Power);
/// let down = Some(Duration::from_millis(200));
/// assert_eq!(script.0[0].1, Fault::Crash { node, crash, strike: Strike::InStep, down });
/// assert_eq!(script.to_string().parse::<Script>()?, script);
/// # Ok::<(), synod_sim::ScriptError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// The process on a node ends, and another one starts there later.
    Crash {
        /// Where.
        node: NodeId,
        /// Whether the page cache survives.
        crash: Crash,
        /// When the crash happens.
        strike: Strike,
        /// How long the node stays down; `None`: until it is restarted explicitly.
        down: Option<Duration>,
    },
    /// Every node loses power at once.
    PowerAll {
        /// Each node restarts after a time below this, drawn from its own generator; `None`: when
        /// it is restarted explicitly.
        down: Option<Duration>,
    },
    /// A process is paused, as by SIGSTOP: events queue meanwhile, and clocks continue.
    Pause {
        /// Where.
        node: NodeId,
        /// How long.
        lasts: Duration,
    },
    /// Links are cut: messages sent over them or in flight are lost.
    Partition {
        /// The cut links, each from and to.
        cuts: BTreeSet<(NodeId, NodeId)>,
        /// How long.
        lasts: Duration,
    },
    /// A link stops: messages in flight wait and arrive in one burst.
    Clog {
        /// The sender.
        from: NodeId,
        /// The receiver.
        to: NodeId,
        /// How long.
        lasts: Duration,
    },
    /// A fault of a node's clocks.
    Clock {
        /// Where.
        node: NodeId,
        /// The kind of clock fault.
        change: ClockChange,
    },
    /// No sync requested by [`Context::sync_at`](crate::Context::sync_at) completes for a while.
    DiskStall {
        /// Where.
        node: NodeId,
        /// How long.
        lasts: Duration,
    },
    /// The next sync of a node's disk fails; see [`Disk::sync`](crate::Disk::sync) for what that
    /// means.
    SyncError {
        /// Where.
        node: NodeId,
    },
    /// No file of a node's disk can grow for a while.
    DiskFull {
        /// Where.
        node: NodeId,
        /// How long.
        lasts: Duration,
    },
    /// Bits of a node's disk rot where [`Process::rot`](crate::Process::rot) lets them.
    Rot {
        /// Where.
        node: NodeId,
        /// The seed for the choice of the place.
        seed: u64,
    },
}

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Crash {
    /// As by SIGKILL: the page cache survives.
    Kill,
    /// The node loses power: a random part of the unsynced changes is lost; see
    /// [`Disk::power_loss`](crate::Disk::power_loss).
    Power,
}

/// When a crash happens. A process that does not reach that point within a tenth of a second
/// crashes then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Strike {
    /// At once, between two steps.
    Now,
    /// At the end of the next step, of which a random prefix of the messages is sent.
    InStep,
    /// In the disk operation after so many more: between a write and its sync, for instance.
    AtOperation(u64),
}

/// A fault of a node's clocks. Both are driven by one oscillator; the wall clock has a settable
/// offset to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ClockChange {
    /// The clocks run fast or slow from now on.
    Drift {
        /// In parts per million, above -1,000,000.
        ppm: i32,
    },
    /// Both clocks stop for a while, and continue from there.
    Freeze {
        /// How long.
        lasts: Duration,
    },
    /// Both clocks jump forward, as after a suspend.
    Jump {
        /// How far.
        by: Duration,
    },
    /// The wall clock is set forward.
    StepForward {
        /// How far.
        by: Duration,
    },
    /// The wall clock is set back.
    StepBack {
        /// How far; not before the epoch.
        by: Duration,
    },
}

/// A kind of fault, which can be switched on or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum FaultKind {
    /// Messages get lost; [`WorldOptions::loss`](crate::WorldOptions::loss).
    Loss,
    /// Messages are duplicated; [`WorldOptions::duplication`](crate::WorldOptions::duplication).
    Duplication,
    /// A copy of a message arrives much later;
    /// [`WorldOptions::old_copies`](crate::WorldOptions::old_copies).
    OldCopy,
    /// Links have a small capacity;
    /// [`WorldOptions::link_messages_max`](crate::WorldOptions::link_messages_max).
    FullLink,
    /// [`Fault::Crash`].
    Crash,
    /// [`Fault::PowerAll`].
    PowerAll,
    /// [`Fault::Pause`].
    Pause,
    /// [`Fault::Partition`].
    Partition,
    /// [`Fault::Clog`].
    Clog,
    /// [`ClockChange::Drift`], from the beginning and later.
    Drift,
    /// [`ClockChange::Freeze`].
    Freeze,
    /// [`ClockChange::Jump`].
    Jump,
    /// [`ClockChange::StepForward`] and [`ClockChange::StepBack`], and an offset of the wall clock
    /// from the beginning.
    Step,
    /// [`Fault::DiskStall`].
    DiskStall,
    /// [`Fault::SyncError`].
    SyncError,
    /// [`Fault::DiskFull`].
    DiskFull,
    /// [`Fault::Rot`].
    Rot,
}

impl Fault {
    /// The kind.
    #[must_use]
    pub fn kind(&self) -> FaultKind {
        match self {
            Self::Crash { .. } => FaultKind::Crash,
            Self::PowerAll { .. } => FaultKind::PowerAll,
            Self::Pause { .. } => FaultKind::Pause,
            Self::Partition { .. } => FaultKind::Partition,
            Self::Clog { .. } => FaultKind::Clog,
            Self::Clock { change, .. } => match change {
                ClockChange::Drift { .. } => FaultKind::Drift,
                ClockChange::Freeze { .. } => FaultKind::Freeze,
                ClockChange::Jump { .. } => FaultKind::Jump,
                ClockChange::StepForward { .. } | ClockChange::StepBack { .. } => FaultKind::Step,
            },
            Self::DiskStall { .. } => FaultKind::DiskStall,
            Self::SyncError { .. } => FaultKind::SyncError,
            Self::DiskFull { .. } => FaultKind::DiskFull,
            Self::Rot { .. } => FaultKind::Rot,
        }
    }

    /// The affected node, if it is a single one.
    #[must_use]
    pub fn node(&self) -> Option<NodeId> {
        match self {
            Self::Crash { node, .. }
            | Self::Pause { node, .. }
            | Self::Clock { node, .. }
            | Self::DiskStall { node, .. }
            | Self::SyncError { node }
            | Self::DiskFull { node, .. }
            | Self::Rot { node, .. } => Some(*node),
            Self::PowerAll { .. } | Self::Partition { .. } | Self::Clog { .. } => None,
        }
    }
}

impl FaultKind {
    /// All kinds.
    pub const ALL: [Self; 17] = [
        Self::Loss,
        Self::Duplication,
        Self::OldCopy,
        Self::FullLink,
        Self::Crash,
        Self::PowerAll,
        Self::Pause,
        Self::Partition,
        Self::Clog,
        Self::Drift,
        Self::Freeze,
        Self::Jump,
        Self::Step,
        Self::DiskStall,
        Self::SyncError,
        Self::DiskFull,
        Self::Rot,
    ];
}
