//! openraft 0.10.0-alpha.37 on a runtime of tokio with one thread, with a log and a machine in memory.
//!
//! Its core is several tasks that speak through channels, so it cannot be had without a runtime. Proposals go in one by
//! one without waiting (`client_write_ff`), which the core takes together as it finds them; or in one call
//! (`client_write_many`). Both are measured. Its clock does not tick, it takes no snapshots, and as many entries as
//! there are fit into a message.

use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::future::Future;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use openraft::errors::{RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::RPCOption;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse,
};
use openraft::storage::{
    EntryResponder, IOFlushed, LogState, RaftLogReader, RaftLogStorage, RaftSnapshotBuilder,
    RaftStateMachine,
};
use openraft::type_config::alias::{
    EntryOf, LogIdOf, SnapshotMetaOf, SnapshotOf, StoredMembershipOf, VoteOf,
};
use openraft::{
    Config, EntryPayload, OptionalSend, Raft, RaftNetworkFactory, RaftNetworkV2, SnapshotPolicy,
};
use synod_benches::{Bodies, Cell, Driver, Machine};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;

pub(super) fn start_single(_cell: Cell) -> Box<dyn Driver> {
    start(Way::FireAndForget)
}

pub(super) fn start_many(_cell: Cell) -> Box<dyn Driver> {
    start(Way::Many)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    FireAndForget,
    Many,
}

openraft::declare_raft_types!(
    Types:
        D = Command,
        R = (),
        Node = (),
);

#[derive(Clone, Debug)]
struct Command(Bytes);

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

type Node = Raft<Types, Applier>;

struct Trio {
    runtime: Runtime,
    nodes: Nodes,
    logs: [Log; 3],
    progress: Arc<Progress>,
    way: Way,
}

impl Debug for Trio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trio")
            .field("way", &self.way)
            .finish_non_exhaustive()
    }
}

/// How far the three machines are, and whom to tell when all of them are far enough.
#[derive(Debug, Default)]
struct Progress {
    given: [AtomicU64; 3],
    wanted: AtomicU64,
    reached: Notify,
}

impl Progress {
    fn is_reached(&self) -> bool {
        let wanted = self.wanted.load(Ordering::Relaxed);
        self.given
            .iter()
            .all(|given| given.load(Ordering::Relaxed) >= wanted)
    }
}

fn start(way: Way) -> Box<dyn Driver> {
    let runtime = Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("a runtime of one thread");
    let config = Config {
        enable_tick: false,
        max_payload_entries: 1 << 16,
        snapshot_policy: SnapshotPolicy::Never,
        ..Config::default()
    };
    let config = Arc::new(config.validate().expect("the configuration is valid"));
    let nodes = Nodes::default();
    let progress = Arc::new(Progress::default());
    let logs: [Log; 3] = Default::default();
    runtime.block_on(async {
        for (at, log) in logs.iter().enumerate() {
            let applier = Applier {
                at,
                machine: Machine::default(),
                last: None,
                membership: StoredMembershipOf::<Types>::default(),
                progress: Arc::clone(&progress),
            };
            let (config, link) = (Arc::clone(&config), nodes.clone());
            let node = Node::new(at as u64, config, link, log.clone(), applier).await;
            locked(&nodes.0).push(node.expect("it starts"));
        }
        let members: BTreeMap<u64, ()> = (0..3).map(|id| (id, ())).collect();
        let leader = nodes.at(0);
        let begun = leader.initialize(members).await;
        begun.expect("it was never initialized");
        let elected = leader.wait(None).current_leader(0, "elected").await;
        elected.expect("it leads");
    });
    Box::new(Trio {
        runtime,
        nodes,
        logs,
        progress,
        way,
    })
}

impl Driver for Trio {
    fn replicate(&mut self, bodies: Bodies<'_>) {
        let progress = &self.progress;
        progress
            .wanted
            .fetch_add(bodies.len() as u64, Ordering::Relaxed);
        let leader = self.nodes.at(0);
        let commands = bodies.map(|body| Command(Bytes::from(body)));
        self.runtime.block_on(async {
            match self.way {
                Way::FireAndForget => {
                    for command in commands {
                        let sent = leader.client_write_ff(command, None).await;
                        sent.expect("it leads");
                    }
                }
                // What the machines have was answered: the answers are not waited for.
                Way::Many => drop(leader.client_write_many(commands).await.expect("it leads")),
            }
            while !progress.is_reached() {
                progress.reached.notified().await;
            }
        });
    }

    fn given(&self) -> [u64; 3] {
        self.progress
            .given
            .each_ref()
            .map(|given| given.load(Ordering::Relaxed))
    }

    fn stored(&self) -> [u64; 3] {
        self.logs
            .each_ref()
            .map(|log| locked(&log.0).entries.len() as u64)
    }
}

impl Drop for Trio {
    fn drop(&mut self) {
        // They hold each other.
        let nodes = std::mem::take(&mut *locked(&self.nodes.0));
        self.runtime.block_on(async {
            for node in nodes {
                node.shutdown().await.expect("it was up");
            }
        });
    }
}

/// All nodes: what a message needs to arrive.
#[derive(Clone, Default)]
struct Nodes(Arc<Mutex<Vec<Node>>>);

impl Nodes {
    fn at(&self, at: usize) -> Node {
        locked(&self.0)[at].clone()
    }
}

impl RaftNetworkFactory<Types> for Nodes {
    type Network = Link;

    async fn new_client(&mut self, target: u64, _node: &()) -> Link {
        Link(self.clone(), target)
    }
}

/// To one of them.
struct Link(Nodes, u64);

impl Link {
    fn target(&self) -> Result<Node, Unreachable<Types>> {
        let node = locked(&self.0.0).get(self.1 as usize).cloned();
        node.ok_or_else(|| Unreachable::from_string("it is not up yet, or no more"))
    }
}

impl RaftNetworkV2<Types> for Link {
    type SnapshotData = ();

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types>,
        _option: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
        let answer = self.target()?.append_entries(request).await;
        answer.map_err(|error| Unreachable::new(&error).into())
    }

    async fn vote(
        &mut self,
        request: VoteRequest<Types>,
        _option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        let answer = self.target()?.vote(request).await;
        answer.map_err(|error| Unreachable::new(&error).into())
    }

    async fn full_snapshot(
        &mut self,
        _vote: VoteOf<Types>,
        _snapshot: SnapshotOf<Types, ()>,
        _cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        unreachable!("nobody takes snapshots here")
    }
}

#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<Stored>>);

#[derive(Debug, Default)]
struct Stored {
    vote: Option<VoteOf<Types>>,
    /// The first one has index 0.
    entries: Vec<EntryOf<Types>>,
}

impl RaftLogReader<Types> for Log {
    async fn try_get_log_entries<R: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: R,
    ) -> io::Result<Vec<EntryOf<Types>>> {
        let entries = &locked(&self.0).entries;
        let from = match range.start_bound() {
            Bound::Included(from) => *from as usize,
            Bound::Excluded(before) => *before as usize + 1,
            Bound::Unbounded => 0,
        };
        let to = match range.end_bound() {
            Bound::Included(last) => *last as usize + 1,
            Bound::Excluded(to) => *to as usize,
            Bound::Unbounded => entries.len(),
        };
        Ok(entries
            .get(from..to.min(entries.len()))
            .unwrap_or_default()
            .to_vec())
    }

    async fn read_vote(&mut self) -> io::Result<Option<VoteOf<Types>>> {
        Ok(locked(&self.0).vote)
    }
}

impl RaftLogStorage<Types> for Log {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<Types>> {
        Ok(LogState {
            last_purged_log_id: None,
            last_log_id: locked(&self.0).entries.last().map(|entry| entry.log_id),
        })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &VoteOf<Types>) -> io::Result<()> {
        locked(&self.0).vote = Some(*vote);
        Ok(())
    }

    async fn append<I>(&mut self, entries: I, flushed: IOFlushed<Types>) -> io::Result<()>
    where
        I: IntoIterator<Item = EntryOf<Types>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        locked(&self.0).entries.extend(entries);
        flushed.io_completed(Ok(()));
        Ok(())
    }

    async fn truncate_after(&mut self, _last: Option<LogIdOf<Types>>) -> io::Result<()> {
        unreachable!("there is one leader")
    }

    async fn purge(&mut self, _up_to: LogIdOf<Types>) -> io::Result<()> {
        unreachable!("nobody takes snapshots here")
    }
}

#[derive(Debug)]
struct Applier {
    at: usize,
    machine: Machine,
    last: Option<LogIdOf<Types>>,
    membership: StoredMembershipOf<Types>,
    progress: Arc<Progress>,
}

impl RaftStateMachine<Types> for Applier {
    type SnapshotData = ();
    type SnapshotBuilder = NoSnapshots;

    async fn applied_state(
        &mut self,
    ) -> io::Result<(Option<LogIdOf<Types>>, StoredMembershipOf<Types>)> {
        Ok((self.last, self.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<Types>>> + Unpin + OptionalSend,
    {
        while let Some(entry) = entries.next().await {
            let (entry, responder) = entry?;
            match entry.payload {
                EntryPayload::Blank => {}
                EntryPayload::Normal(Command(body)) => self.machine.apply(&body),
                EntryPayload::Membership(membership) => {
                    self.membership =
                        StoredMembershipOf::<Types>::new(Some(entry.log_id), membership);
                }
            }
            self.last = Some(entry.log_id);
            if let Some(responder) = responder {
                responder.send(());
            }
        }
        self.progress.given[self.at].store(self.machine.given(), Ordering::Relaxed);
        if self.progress.is_reached() {
            self.progress.reached.notify_one();
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> NoSnapshots {
        NoSnapshots
    }

    async fn install_snapshot(&mut self, _meta: &SnapshotMetaOf<Types>, (): ()) -> io::Result<()> {
        unreachable!("nobody takes snapshots here")
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<SnapshotOf<Types, ()>>> {
        Ok(None)
    }
}

struct NoSnapshots;

impl RaftSnapshotBuilder<Types> for NoSnapshots {
    type SnapshotData = ();

    async fn build_snapshot(&mut self) -> io::Result<SnapshotOf<Types, ()>> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

fn locked<T>(it: &Mutex<T>) -> MutexGuard<'_, T> {
    it.lock().unwrap_or_else(PoisonError::into_inner)
}
