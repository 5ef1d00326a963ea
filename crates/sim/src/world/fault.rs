//! What may go wrong, as data.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::world::process::NodeId;

/// One fault that strikes at one time.
///
/// The nemesis of a world draws faults and the world records them as they strike
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
        /// What becomes of the page cache.
        crash: Crash,
        /// At which point.
        strike: Strike,
        /// How long the node stays down; `None`: until somebody restarts it.
        down: Option<Duration>,
    },
    /// Every node loses power at once.
    PowerAll {
        /// Each node comes back after a time below this, drawn from its own generator; `None`: when
        /// somebody restarts it.
        down: Option<Duration>,
    },
    /// A process does nothing for a while, as by SIGSTOP: what comes meanwhile waits, and clocks go
    /// on.
    Pause {
        /// Where.
        node: NodeId,
        /// How long.
        lasts: Duration,
    },
    /// Links are cut: what is sent over them or under way when they are is gone.
    Partition {
        /// The cut links, each from and to.
        cuts: BTreeSet<(NodeId, NodeId)>,
        /// How long.
        lasts: Duration,
    },
    /// A link stops: what is under way waits and comes in one burst.
    Clog {
        /// The sender.
        from: NodeId,
        /// The receiver.
        to: NodeId,
        /// How long.
        lasts: Duration,
    },
    /// The clocks of a node err.
    Clock {
        /// Where.
        node: NodeId,
        /// In which way.
        change: ClockChange,
    },
    /// No sync that a process has asked for by [`Context::sync_at`](crate::Context::sync_at) ends
    /// for a while.
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
        /// Of the generator that draws the place.
        seed: u64,
    },
}

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Crash {
    /// As by SIGKILL: what was written is in the page cache and survives.
    Kill,
    /// The node loses power: of what was not synced, a drawn part is gone; see
    /// [`Disk::power_loss`](crate::Disk::power_loss).
    Power,
}

/// At which point a crash strikes. A process that does not come to that point within a tenth of a
/// second dies where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Strike {
    /// At once, between two steps.
    Now,
    /// At the end of the next step, of whose messages a drawn prefix is sent.
    InStep,
    /// In the disk operation after so many more: between a write and its sync, for instance.
    AtOperation(u64),
}

/// How the clocks of a node err. Both are driven by one oscillator; the wall clock has an offset to
/// it that somebody may set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ClockChange {
    /// From now on the node counts this many millionths more (or less) than passes.
    Drift {
        /// In parts per million, above -1,000,000.
        ppm: i32,
    },
    /// Both clocks stand still, and go on from there.
    Freeze {
        /// How long.
        lasts: Duration,
    },
    /// Both clocks leap forward, as after a suspension.
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

/// A kind of fault, to be had or not to be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum FaultKind {
    /// Messages get lost; [`WorldOptions::loss`](crate::WorldOptions::loss).
    Loss,
    /// Messages come twice; [`WorldOptions::duplication`](crate::WorldOptions::duplication).
    Duplication,
    /// A copy of a message comes long after;
    /// [`WorldOptions::old_copies`](crate::WorldOptions::old_copies).
    OldCopy,
    /// Links hold few messages;
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

    /// The one node that it strikes, if it is one.
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
