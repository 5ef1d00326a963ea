//! A node: one log, one transport, many groups.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use synod_transport::{NodeId, Transport};
use synod_wal::GroupId;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::spawn_blocking;

use crate::applier::Applier;
use crate::budget::Share;
use crate::change::Changes;
use crate::channel::{ChannelBounds, Ignored};
use crate::clocks::{Guard, Machine};
use crate::closed::{self, Closed};
use crate::destroy;
use crate::drive::{Hosted, Shown, Tasks};
use crate::engine::{Bounds, Engine, EngineConfig};
use crate::events::Events;
use crate::group::{Group, Inbox, Waiter};
use crate::handover::Handovers;
use crate::host::{Control, Host};
use crate::incarnation::Incarnation;
use crate::log::{Log, LogError};
use crate::machine::StateMachine;
use crate::misfit::{self, Misfit};
use crate::protocol::{Configured, Protocol, RecoverError};
use crate::status::Status;

/// The bounds of a node and of its groups.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NodeConfig {
    /// How long a request may take, unless its [`Group`] sets another timeout.
    pub request_timeout: Duration,
    /// The bounds of each of its groups.
    pub bounds: Bounds,
    /// The most commands that all groups together apply in one turn of the loop, before heartbeats,
    /// frames and writes are served again.
    pub apply_commands_max: usize,
    /// The most bytes of commands applied in one turn.
    pub apply_bytes_max: usize,
    /// How long a turn may apply commands. Checked between two commands: a single one is not
    /// interrupted.
    pub apply_time_max: Duration,
    /// How long [`Node::shutdown`] waits for storage work in progress. A snapshot that is being
    /// written is abandoned at its next write; a machine's `write` that neither writes nor returns
    /// is left on its thread, and its output is discarded.
    pub shutdown_wait_max: Duration,
    /// How long [`Node::shutdown`] waits for others to take over what this node leads, and for the ends of
    /// the requests that it has taken. Zero: it does not.
    pub handover_wait_max: Duration,
    /// A follower's [linearizable](crate::Consistency::Linearizable) reads ask a quorum how far it has voted,
    /// instead of the leader, if the protocol can do that: Paxos can. It takes work from the leader, and a
    /// read waits for what is being chosen.
    pub quorum_reads: bool,
    /// Where nodes are reached of which the log says no address, as it does of those that a group begins
    /// with: the peers that the transport was made with. From those and from the members of its groups
    /// the node keeps the peers of its transport, see [`Transport::set_peers`]. Empty: the transport's
    /// peers are left as they are, unless members have addresses.
    pub peers: BTreeMap<NodeId, String>,
    /// Nodes that [channels](Self::channels) talk to whether or not they are members of a group here, and
    /// where they are reached: they stay peers of the transport. Not needed for members, nor if the node
    /// never changes the transport's peers, see `peers`.
    pub channel_peers: BTreeMap<NodeId, String>,
    /// The bounds of the node's channels.
    pub channels: ChannelBounds,
}

impl Default for NodeConfig {
    /// A request timeout of 5 s; for the rest see [`Bounds::default`].
    fn default() -> Self {
        Self {
            request_timeout: Duration::from_secs(5),
            bounds: Bounds::default(),
            apply_commands_max: 16 << 10,
            apply_bytes_max: 16 << 20,
            apply_time_max: Duration::from_millis(10),
            shutdown_wait_max: Duration::from_secs(10),
            handover_wait_max: Duration::from_secs(1),
            quorum_reads: false,
            peers: BTreeMap::new(),
            channel_peers: BTreeMap::new(),
            channels: ChannelBounds::default(),
        }
    }
}

impl NodeConfig {
    pub(crate) const fn share(&self) -> Share {
        Share {
            commands_max: self.apply_commands_max,
            bytes_max: self.apply_bytes_max,
            time_max: self.apply_time_max,
        }
    }

    fn engine(&self, group: GroupId, incarnation: &Incarnation) -> EngineConfig {
        let mut config = EngineConfig::new(group, incarnation.node(), incarnation.number());
        // Halved, so that more names lie above it than can ever be used.
        config.sequence_base = incarnation.nonce >> 1;
        config.bounds = self.bounds.clone();
        config.quorum_reads = self.quorum_reads;
        config
    }
}

/// Why [`Node::open`] failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenGroupError {
    /// The group is open already.
    #[error("the group is open already")]
    Open,
    /// The group's configuration is that of another node.
    #[error("the configuration is for node {}, but this is node {}", asked.0, own.0)]
    Node {
        /// The node that the configuration is for.
        asked: NodeId,
        /// The node it was to be opened on.
        own: NodeId,
    },
    /// The node was founded on a group of this name with other settings, or on none.
    #[error("the group was founded as [{found}], and is to be opened as [{asked}]")]
    Founding {
        /// The founding stored in the directory.
        found: String,
        /// The founding of the given configuration.
        asked: String,
    },
    /// The parts that the node was started with do not belong together.
    #[error(transparent)]
    Misfit(#[from] Misfit),
    /// The log holds records of the group, and the incarnation is ephemeral, so nothing orders it
    /// after the incarnation that wrote them: its commands might be mistaken for those of the
    /// earlier one.
    #[error(
        "the log holds records of group {} from an earlier incarnation, and this incarnation is ephemeral: its \
         commands might be mistaken for those of the earlier one, so start the node with an incarnation of an \
         identity",
        group.0
    )]
    Ephemeral {
        /// The group that was to be opened.
        group: GroupId,
    },
    /// The directory was not founded on this group, and storing that it now is failed.
    #[error("cannot store the founding of a new group in the directory")]
    Unfounded(#[source] io::Error),
    /// A body of `body_bytes_max` does not fit into a record of the log.
    #[error(
        "a body of {body_bytes_max} bytes does not fit into a log record of {record_bytes_max}"
    )]
    Limits {
        /// The node's bound, in bytes.
        body_bytes_max: usize,
        /// The log's longest record, in bytes.
        record_bytes_max: usize,
    },
    /// What this node had of the group was [destroyed](Node::destroy). It has given promises in the
    /// group that are gone, so it never takes part in it again.
    #[error("what this node had of the group was destroyed, and it cannot take part in it again")]
    Destroyed,
    /// The group's log cannot be read.
    #[error("the log cannot be read")]
    Log(#[from] LogError),
    /// The protocol cannot start from this configuration and this log.
    #[error(transparent)]
    Recover(#[from] RecoverError),
    /// The node has stopped.
    #[error("the node has stopped: {0}")]
    Stopped(Closed),
}

/// A running node. Dropping it stops it; [`shutdown`](Self::shutdown) also waits until it has
/// stopped.
///
/// The loop runs as a task of the tokio runtime that [`start`](Self::start) is called in, and syncs
/// the log in that task, so that no commit waits for another thread to wake up. On a current-thread
/// runtime the whole node shares one thread, which measures best; on a multi-thread runtime the
/// loop occupies one worker during a sync.
pub struct Node {
    incarnation: Arc<Incarnation>,
    /// Whether the parts that the node was started with belong together.
    pub(crate) fit: Result<(), Misfit>,
    pub(crate) config: NodeConfig,
    control: mpsc::Sender<Control>,
    closed: watch::Receiver<Option<Closed>>,
    pub(crate) ignored: Ignored,
}

impl Node {
    /// Starts the loop for one incarnation of a node; see
    /// [`Identity::incarnation`](crate::Identity::incarnation). Must be called within a tokio
    /// runtime. `log` and `transport` must be of the same directory and the same incarnation; with
    /// others the node [opens](Self::open) no group.
    #[must_use]
    pub fn start(
        incarnation: Incarnation,
        config: NodeConfig,
        log: impl Log,
        transport: impl Transport,
    ) -> Self {
        let (control, requests) = mpsc::channel(CONTROL_MAX);
        let (log, transport) = (Box::new(log) as Box<dyn Log>, Box::new(transport));
        let fit = misfit::check(&incarnation, &*log, &*transport);
        // The mark of another directory's log must not be recorded in this one.
        let born = incarnation.born.as_ref().filter(|_| fit.is_ok());
        let keep = born.map(|born| born.keep.clone());
        let host = Host::new(&config, incarnation.node(), keep, log, transport, requests);
        let (closed, ignored) = (host.told.listen(), host.channels.ignored());
        tokio::spawn(host.run());
        Self {
            incarnation: Arc::new(incarnation),
            fit,
            config,
            control,
            closed,
            ignored,
        }
    }

    /// Resolves when the node no longer serves anything, with the reason. A process should exit
    /// then, so that a supervisor restarts it. A single group may close earlier; see
    /// [`Group::closed`]. The future outlives this handle.
    ///
    /// After [`shutdown`](Self::shutdown) it resolves once the log has been released.
    pub fn closed(&self) -> impl Future<Output = Closed> + Send + 'static {
        closed::wait(self.closed.clone())
    }

    /// Opens a group: recovers it from the log and participates in it from now on. The type of
    /// `config` selects the protocol; the state of `machine` must be that of an empty log.
    ///
    /// A `config` without members joins: the node waits until it is added to the group (see
    /// [`Group::change_members`]), and from then on its log says who the members are. Its directory is
    /// founded on what the group was, so its [`Birth`](crate::Birth) is given the configuration that the
    /// group began with.
    ///
    /// # Errors
    /// If the parts of the node or the configuration do not fit the directory, if the log does not
    /// hold what the protocol can start from, or if the node has stopped.
    pub async fn open<C: Configured, S: StateMachine>(
        &self,
        id: GroupId,
        mut config: C,
        machine: S,
    ) -> Result<Group<S>, OpenGroupError> {
        self.check(id, &config)?;
        let buried = self
            .ask(move |host| destroy::is_buried(&mut *host.log, id))
            .await;
        if buried.map_err(OpenGroupError::Stopped)?? {
            return Err(OpenGroupError::Destroyed);
        }
        self.found(id, config.founding()).await?;
        config.stir(self.incarnation.secret);
        config.begin_life(self.incarnation.number());
        let (incarnation, node) = (self.incarnation.clone(), self.config.clone());
        self.ask(move |host| open(host, &incarnation, &node, id, config, machine))
            .await
            .map_err(OpenGroupError::Stopped)?
    }

    /// Runs a closure in the loop and returns its result, or why the loop has ended.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        what: impl FnOnce(&mut Host) -> T + Send + 'static,
    ) -> Result<T, Closed> {
        let (to, answered) = oneshot::channel();
        let run = Box::new(move |host: &mut Host| {
            // The caller may have given up.
            let _gone = to.send(what(host));
        });
        if self.control.send(Control::Run(run)).await.is_ok()
            && let Ok(answer) = answered.await
        {
            return Ok(answer);
        }
        Err(self.closed().await)
    }

    /// Founds the directory on a group that it was not created with. The log must hold nothing of
    /// that group: records of it would belong to another group of the same name, or to a lost one.
    async fn found(&self, id: GroupId, asked: String) -> Result<(), OpenGroupError> {
        let born = self.incarnation.born.as_ref();
        let Some(born) = born.filter(|born| !(born.is_founded)(id)) else {
            return Ok(());
        };
        let is_new = self.ask(move |host| host.log.recover(id).map(|mut found| found.is_empty()));
        if is_new.await.map_err(OpenGroupError::Stopped)?? {
            let found = born.found.clone();
            let stored = spawn_blocking(move || found(id)).await;
            return stored
                .unwrap_or_else(|error| Err(io::Error::other(error)))
                .map_err(OpenGroupError::Unfounded);
        }
        let found = "nothing".into();
        Err(OpenGroupError::Founding { found, asked })
    }

    /// Checks that the configuration matches this node and what it was founded on.
    fn check<C: Configured>(&self, id: GroupId, config: &C) -> Result<(), OpenGroupError> {
        self.fit?;
        let (own, asked) = (self.incarnation.node(), config.node());
        if asked != own {
            return Err(OpenGroupError::Node { asked, own });
        }
        let asked = config.founding();
        let Some(born) = &self.incarnation.born else {
            return Ok(());
        };
        let found = born.birth.of(id);
        let fits = match config.joins() {
            // Its log will say who the members are.
            true => found.starts_with(&format!("{}, ", C::Protocol::NAME)),
            false => found == asked,
        };
        if fits {
            return Ok(());
        }
        let found = found.to_owned();
        Err(OpenGroupError::Founding { found, asked })
    }

    /// Takes no more requests, hands over what this node leads, finishes what it has taken, with the help of
    /// the next leader, and stops the loop. After
    /// [`handover_wait_max`](NodeConfig::handover_wait_max), or if nobody can take over, what is under way
    /// ends as unknown and what has not begun as rejected. What was acknowledged is durable already, so there
    /// is nothing to save.
    pub async fn shutdown(self) {
        let (to, ended) = oneshot::channel();
        if self.control.send(Control::Shutdown(to)).await.is_ok() {
            // An error means that the loop had ended already.
            let _ended = ended.await;
        }
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("incarnation", &self.incarnation)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

fn open<C: Configured, S: StateMachine>(
    host: &mut Host,
    incarnation: &Incarnation,
    node: &NodeConfig,
    id: GroupId,
    config: C,
    machine: S,
) -> Result<Group<S>, OpenGroupError> {
    if host.groups.contains_key(&id) {
        return Err(OpenGroupError::Open);
    }
    if let Some(closed) = host.told.reason() {
        return Err(OpenGroupError::Stopped(closed));
    }
    let mut engine = node.engine(id, incarnation);
    engine.record_bytes_max = host.log.record_bytes_max();
    host.space
        .set(host.log.room_bytes(), host.log.takes_a_record());
    engine.space = host.space.clone();
    if !engine.fits() {
        let (body_bytes_max, record_bytes_max) =
            (engine.bounds.body_bytes_max, engine.record_bytes_max);
        return Err(OpenGroupError::Limits {
            body_bytes_max,
            record_bytes_max,
        });
    }
    let mut recovered = host.log.recover(id)?;
    if incarnation.born.is_none() && !recovered.is_empty() {
        return Err(OpenGroupError::Ephemeral { group: id });
    }
    if let Some(snapshot) = &recovered.snapshot {
        let seal = host.log.snapshots().seal(id, snapshot.index);
        // Only a hint: a damaged file is detected when it is restored.
        engine.snapshot_bytes = seal.map_or(0, |seal| seal.len);
    }
    let guard = config.drift_ppm();
    let guard = guard.map(|drift| Guard::new(Box::new(Machine), drift));
    let core = C::Protocol::recover(config, recovered, host.clock.now())?;
    let membership = core.membership();
    let (to, requests) = mpsc::channel::<(_, usize)>(node.bounds.requests_max);
    let (status, watch) = watch::channel(Status::new(C::Protocol::NAME, incarnation.node()));
    let queued_bytes = Arc::new(AtomicUsize::new(0));
    let mut hosted = Hosted::<C::Protocol, S> {
        id,
        engine: Engine::<_, Waiter<S>>::new(engine, core),
        applier: Applier::new(id, machine, membership, host.log.snapshots()),
        left: None,
        left_until: None,
        clock: host.clock,
        guard,
        events: Events::new(),
        requests,
        queued_bytes: queued_bytes.clone(),
        tasks: Tasks::new(host.wake.clone()),
        status: Shown(status),
        closed: None,
        handovers: Handovers::default(),
        changes: Changes::default(),
        leave: None,
    };
    // Known as soon as the group is open, which is before the end of the turn.
    host.know_members(&hosted.engine.members());
    host.groups.insert(id, Box::new(hosted));
    let queued_bytes_max = node.bounds.queued_bytes_max;
    let inbox = Inbox {
        to,
        queued_bytes,
        queued_bytes_max,
        wake: host.wake.clone(),
        clock: host.clock,
        status: watch.clone(),
    };
    Ok(Group::new(inbox, watch, node.request_timeout))
}

const CONTROL_MAX: usize = 16;
