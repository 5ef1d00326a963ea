//! What stands behind the server: a replicated group, or, without a cluster, one machine in memory.

use std::{
    future::{self, Future},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use synod_replica::{
    Applying, Consistency, LogTime, Reason, Sessions, StateMachine, Timed, Timekeeper, timed::tick,
};

use crate::{
    answer::Answer,
    entry::{Entry, Machine, response},
    machine::Kv,
    members::Manage,
    response::Response,
};

/// A store that takes writes in order and answers linearizable reads.
///
/// A clone is another handle to the same store.
pub trait Store: Clone + Send + Sync + 'static {
    /// Proposes an entry. Writes take effect in the order of the
    /// calls of one handle, not of the first polls of what they return, so a caller may start many
    /// and wait for them later.
    fn write(
        &self,
        entry: Entry,
    ) -> impl Future<Output = Result<Response, Failure>> + Send + 'static;

    /// Looks at the map at one moment, at which it holds every write that was answered before the
    /// call.
    fn read<R: Send + 'static>(
        &self,
        with: impl FnOnce(&Kv) -> R + Send + 'static,
    ) -> impl Future<Output = Result<R, Failure>> + Send + 'static;

    /// The same, but as fresh as is asked for; what is read is also told how old it is at most, if that
    /// is known. A store that has one copy only is always fresh.
    fn read_as<R: Send + 'static>(
        &self,
        _consistency: Consistency,
        with: impl FnOnce(&Kv, Option<Duration>) -> R + Send + 'static,
    ) -> impl Future<Output = Result<R, Failure>> + Send + 'static {
        self.read(|kv| with(kv, Some(Duration::ZERO)))
    }

    /// How late it is, as far as this node can tell: for what is shown of deadlines, and no more.
    fn time(&self) -> LogTime {
        LogTime::default()
    }

    /// Changes who takes part and who leads, or tells it. The error says why not.
    fn manage(
        &self,
        _manage: Manage,
    ) -> impl Future<Output = Result<Answer, String>> + Send + 'static {
        async { Err("this store has no members".into()) }
    }

    /// What `INFO` tells of the replication.
    fn consensus(&self) -> Consensus;

    /// Why the store serves nothing any more, if so.
    fn closed(&self) -> Option<String>;
}

/// How a request ended when it did not end well. The texts are the errors that clients see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// It had no effect and never will.
    #[error("REJECTED {reason}{}", Leader(*leader))]
    Rejected {
        /// Why.
        reason: Reason,
        /// The node to try instead, if one is known.
        leader: Option<u64>,
    },
    /// It may have taken effect, may do so later, or never.
    #[error("UNKNOWN the request was accepted and its outcome was not learned in time")]
    Unknown,
}

/// The replication as `INFO` shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Consensus {
    /// The protocol's name, as `--protocol` takes it.
    pub protocol: &'static str,
    /// This node.
    pub id: u64,
    /// In the protocol's own words: `leader`, `follower`, `candidate` ...
    pub role: String,
    /// Why it serves nothing any more; empty while it does.
    pub closed: Option<String>,
    /// The other nodes that were heard, or that this one leads.
    pub peers: Vec<Peer>,
    /// How long a sync of the log takes at present, in microseconds; zero when that is not known.
    pub sync_time_us: u64,
    /// For how long the log has had no space, in seconds, if it has none.
    pub disk_full_s: Option<u64>,
    /// What the transport has done, by the names of its counters.
    pub transport: Vec<(&'static str, u64)>,
    /// Who leads, if this node knows.
    pub leader_id: Option<u64>,
    /// How much this node is preferred as the leader.
    pub priority: u8,
    /// For how long it may answer reads by itself if it leads and has a lease, in milliseconds.
    pub lease_ms: Option<u64>,
    /// The term or ballot.
    pub term: u64,
    /// The last entry that is known to be decided.
    pub commit_index: u64,
    /// The last entry that the machine has seen.
    pub applied_index: u64,
    /// What the log takes on the disk.
    pub log_bytes: u64,
    /// How often the log was synced since the process started.
    pub log_syncs: u64,
    /// Snapshots that this node took of its own map since the process started.
    pub snapshots_taken: u64,
    /// Snapshots that it got whole from a peer since the process started.
    pub snapshots_received: u64,
    /// Snapshots that could not be taken or received.
    pub snapshots_failed: u64,
    /// Messages of a term or ballot too far above this node's to be believed.
    pub leaps_ignored: u64,
}

/// Another node, as far as this one can tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Peer {
    /// Which.
    pub id: u64,
    /// The highest index that it is known to hold on stable storage, to a leader.
    pub matched: Option<u64>,
    /// How many entries of the leader's log it is not known to hold.
    pub lag: Option<u64>,
    /// Its disk lost what it acknowledged to this leader, and it has stopped.
    pub forgot: bool,
    /// How long ago it was heard, in milliseconds.
    pub heard_ms: Option<u64>,
    /// There is a connection on which to send to it.
    pub is_connected: bool,
}

/// One machine in memory: for tests of the server, and for measuring it without replication. Time stands still
/// until it is [told](Self::pass).
#[derive(Clone, Debug)]
pub struct Local(Arc<Mutex<(Machine, Timekeeper, Duration)>>);

impl Local {
    /// So much time passes.
    pub fn pass(&self, time: Duration) {
        let mut local = self.lock();
        let until = local.2 + time;
        while local.2 < until {
            let (machine, keeper, now) = &mut *local;
            // As the leader of a group would, so that what passes is measured.
            *now = keeper.next_tick().unwrap_or(until).clamp(*now, until);
            keeper.ticked(*now);
            apply(machine, keeper, *now, tick(keeper.stamp(*now)));
        }
    }

    fn lock(&self) -> MutexGuard<'_, (Machine, Timekeeper, Duration)> {
        // A panic while the lock is held leaves the map as it was or as it should be.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Local {
    fn default() -> Self {
        let machine = Timed::new(Sessions::new(Kv::default()));
        let parts = (machine, Timekeeper::default(), Duration::ZERO);
        Self(Arc::new(Mutex::new(parts)))
    }
}

fn apply(
    machine: &mut Machine,
    keeper: &mut Timekeeper,
    now: Duration,
    command: Bytes,
) -> Response {
    let at = Applying {
        index: 0,
        offset: 0,
    };
    let reply = machine.apply(at, command);
    keeper.observe(&machine.watch().borrow(), now);
    response(reply)
}

impl Store for Local {
    fn write(
        &self,
        entry: Entry,
    ) -> impl Future<Output = Result<Response, Failure>> + Send + 'static {
        let mut local = self.lock();
        let (machine, keeper, now) = &mut *local;
        let stamp = entry.counts_time().then(|| keeper.stamp(*now));
        let response = apply(machine, keeper, *now, entry.into_bytes(stamp));
        future::ready(Ok(response))
    }

    fn read<R: Send + 'static>(
        &self,
        with: impl FnOnce(&Kv) -> R + Send + 'static,
    ) -> impl Future<Output = Result<R, Failure>> + Send + 'static {
        future::ready(Ok(with(self.lock().0.machine().machine())))
    }

    fn time(&self) -> LogTime {
        let (_, keeper, now) = &*self.lock();
        keeper.estimate(*now)
    }

    fn consensus(&self) -> Consensus {
        Consensus {
            protocol: "none",
            role: "leader".into(),
            ..Consensus::default()
        }
    }

    fn closed(&self) -> Option<String> {
        None
    }
}

struct Leader(Option<u64>);

impl std::fmt::Display for Leader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.map_or(Ok(()), |id| write!(f, " [leader {id}]"))
    }
}
