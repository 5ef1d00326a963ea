//! The loop of a node: many groups, one log, one transport, one thread.
//!
//! A commit does not wait for another thread to wake up: requests, protocol, write, sync and apply
//! are steps of one turn (waking an idle thread costs 25 µs, a sync 130 to 200). During the sync,
//! requests gather; the next turn takes them all as one entry. A log may run a slow sync on its own
//! thread: the loop then continues, and what waits for the sync leaves in the turn that its
//! completion wakes.

use std::collections::BTreeMap;
use std::fmt;
use std::future::{Future, poll_fn};
use std::ops::Bound;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use synod_transport::{NodeId, Transport};
use synod_wal::{GroupId, Lsn};
use tokio::sync::{Notify, mpsc, oneshot};

use crate::budget::{Budget, Share};
use crate::channel::{ChannelId, Channels};
use crate::closed::{Cause, Closed, Told, caught};
use crate::drive::{Drive, Stopped};
use crate::frame;
use crate::group::Clock;
use crate::incarnation::Keep;
use crate::leave::Leaving;
use crate::log::{Keeper, Log, LogError, LogSpace, Room};
use crate::lookout::Lookout;
use crate::node::NodeConfig;
use crate::peers::Peers;
use crate::protocol::DiskHealth;
use crate::status::Around;
use crate::time::Instant;

mod closing;
mod members;

use closing::close;

/// A command from the node's handle to the loop.
pub(crate) enum Control {
    /// Runs this in the loop.
    Run(Box<dyn FnOnce(&mut Host) + Send>),
    Shutdown(oneshot::Sender<()>),
}

/// The loop's own state.
pub(crate) struct Host {
    pub(crate) log: Box<dyn Log>,
    pub(crate) transport: Box<dyn Transport>,
    pub(crate) groups: BTreeMap<GroupId, Box<dyn Drive>>,
    pub(crate) channels: Channels,
    pub(crate) wake: Arc<Notify>,
    pub(crate) clock: Clock,
    pub(crate) control: mpsc::Receiver<Control>,
    /// Publishes the end of the node.
    pub(crate) told: Told,
    poisoned: bool,
    lookout: Lookout,
    /// How much the machines may use of a turn.
    share: Share,
    last: GroupId,
    shutdown_wait_max: Duration,
    handover_wait_max: Duration,
    node: NodeId,
    peers: Peers,
    /// The node is asked to end.
    leaving: Option<Leaving>,
    /// Something was appended since the last sync began.
    unsynced: bool,
    room: Room,
    pub(crate) space: LogSpace,
    keeper: Keeper,
    /// Who waits until the log is durable up to here.
    pub(crate) awaited: Vec<(Lsn, oneshot::Sender<()>)>,
    /// Consecutive turns that left frames unread.
    behind: u32,
}

/// Why the loop wakes up.
enum Event {
    Frame(NodeId, Bytes),
    Wake,
    Deadline,
    Control(Option<Control>),
    TransportClosed,
}

impl Host {
    pub(crate) fn new(
        config: &NodeConfig,
        node: NodeId,
        keep: Option<Keep>,
        mut log: Box<dyn Log>,
        transport: Box<dyn Transport>,
        control: mpsc::Receiver<Control>,
    ) -> Self {
        let wake = Arc::new(Notify::new());
        let waker = wake.clone();
        log.wake_with(Arc::new(move || waker.notify_one()));
        let mut host = Self {
            log,
            transport,
            groups: BTreeMap::new(),
            channels: Channels::new(config.channels.clone(), wake.clone()),
            wake,
            clock: Clock::start(),
            control,
            told: Told::new(),
            poisoned: false,
            lookout: Lookout::new(),
            share: config.share(),
            last: GroupId(0),
            shutdown_wait_max: config.shutdown_wait_max,
            handover_wait_max: config.handover_wait_max,
            node,
            peers: Peers::new(config.peers.clone(), config.channel_peers.clone()),
            leaving: None,
            unsynced: false,
            room: Room::default(),
            space: LogSpace::default(),
            keeper: Keeper::new(keep),
            awaited: Vec::new(),
            behind: 0,
        };
        host.know_peers();
        host
    }

    /// Runs until it is told to stop or cannot continue, and publishes why it ended.
    pub(crate) async fn run(mut self) {
        let ended = {
            let mut turns = pin!(self.turns());
            poll_fn(|cx| match caught(|| turns.as_mut().poll(cx)) {
                Ok(poll) => poll.map(Ok),
                Err(message) => Poll::Ready(Err(message)),
            })
            .await
        };
        let (closed, asked) = match ended {
            Ok((closed, asked)) => {
                self.close(&closed);
                (closed, asked)
            }
            Err(message) => {
                let closed = Closed::Panicked(message);
                let groups = self.groups.values_mut();
                groups.for_each(|group| group.abandon(&closed));
                self.channels.close();
                (closed, None)
            }
        };
        if closed != Closed::Shutdown {
            self.stopped(&closed);
        }
        self.finish().await.tell(&closed);
        if let Some(asked) = asked {
            // An error means that the caller no longer waits.
            let _gone = asked.send(());
        }
    }

    /// Runs turn after turn until there is a reason to stop; returns it with the sender that awaits
    /// the shutdown.
    async fn turns(&mut self) -> (Closed, Option<oneshot::Sender<()>>) {
        loop {
            let (event, now) = (self.next().await, self.clock.now());
            match event {
                Event::Frame(from, bytes) => self.handle_frame(now, from, bytes),
                Event::Wake | Event::Deadline => {}
                Event::Control(Some(Control::Run(run))) => run(self),
                Event::Control(Some(Control::Shutdown(asked))) => {
                    let until = now + self.handover_wait_max;
                    self.leaving = Some(Leaving { asked, until });
                }
                Event::Control(None) => return (Closed::Shutdown, None),
                Event::TransportClosed => return (Closed::Transport, None),
            }
            if self.deadline().is_some_and(|at| at + LATE <= now) {
                // The loop was delayed, and with it the tasks that read the sockets. Frames that
                // arrived in time must be read before anything is concluded from a peer's silence.
                tokio::task::yield_now().await;
            }
            self.take_frames();
            self.handle_deadlines();
            let has_left = self.leave();
            let more = self.turn();
            if let Some(leaving) = self.leaving.take_if(|_| has_left) {
                return (Closed::Shutdown, Some(leaving.asked));
            }
            if more {
                // There may be more to write. But callers that were answered may have their next
                // request, and the sockets their frames; and controls, deadlines and frames go
                // first.
                self.wake.notify_one();
                tokio::task::yield_now().await;
            }
        }
    }

    /// What is to be done before the node goes, if it is to go; whether it may. What the groups do about it
    /// leaves in the turn to come.
    fn leave(&mut self) -> bool {
        let Some(leaving) = &self.leaving else {
            return false;
        };
        let now = self.clock.now();
        let mut over = true;
        for group in self.groups.values_mut() {
            over &= group.leave(now);
        }
        over || now >= leaving.until
    }

    /// Releases the log, so that its directory can be opened again.
    async fn finish(mut self) -> Told {
        let tasks = self.groups.values_mut().map(|group| group.take_tasks());
        let mut tasks: Vec<_> = tasks.collect();
        let ends = async {
            for tasks in &mut tasks {
                while tasks.join_next().await.is_some() {}
            }
        };
        if tokio::time::timeout(self.shutdown_wait_max, ends)
            .await
            .is_err()
        {
            tracing::warn!("storage work does not end: it is left on its thread");
        }
        let Self {
            told,
            groups,
            log,
            transport,
            shutdown_wait_max,
            keeper,
            poisoned,
            ..
        } = self;
        let mark = if poisoned { None } else { log.mark() };
        keeper.finish(mark, shutdown_wait_max).await;
        // Machines, logs and transports are user code, and so are their destructors.
        let let_go = |message: &str| {
            tracing::error!(message, "a panic while the node was dropped");
        };
        if let Err(message) = caught(|| drop((groups, transport))) {
            let_go(&message);
        }
        // A log may wait for a sync in progress, and that for a disk that hangs.
        let dropped = tokio::task::spawn_blocking(move || caught(|| drop(log)));
        match tokio::time::timeout(shutdown_wait_max, dropped).await {
            Ok(Ok(Err(message))) => let_go(&message),
            Ok(_) => {}
            Err(_) => {
                tracing::warn!(
                    "a sync does not end: it is left on its thread and keeps the log locked"
                );
            }
        }
        told
    }

    async fn next(&mut self) -> Event {
        let deadline = self.deadline().into_iter().chain(self.room.wake()).min();
        let at = self.clock.at(deadline.unwrap_or_default());
        let transport = &mut self.transport;
        tokio::select! {
            biased;
            control = self.control.recv() => Event::Control(control),
            () = tokio::time::sleep_until(at), if deadline.is_some() => Event::Deadline,
            frame = poll_fn(|cx| transport.poll_recv(cx)) => match frame {
                Some((from, bytes)) => Event::Frame(from, bytes),
                None => Event::TransportClosed,
            },
            () = self.wake.notified() => Event::Wake,
        }
    }

    /// The earliest deadline of a group.
    fn deadline(&self) -> Option<Instant> {
        let groups = self.groups.values();
        let groups = groups.filter_map(|group| group.poll_timeout());
        let leaving = self.leaving.as_ref().map(|leaving| leaving.until);
        groups.chain(leaving).chain(self.peers.wake()).min()
    }

    /// Takes the frames that have arrived, up to a bound, so that neither deadlines nor writes
    /// delay them.
    fn take_frames(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..FRAMES_A_TURN {
            // `Pending` leaves no waker behind here, which is fine: `next` polls again before it
            // waits.
            let Poll::Ready(Some((from, bytes))) = self.transport.poll_recv(&mut context) else {
                self.behind = 0;
                return;
            };
            // Read after the frame has arrived: what is promised to a leader lasts from then, and an index
            // that is asked for has to cover what had ended by then.
            let now = self.clock.now();
            self.handle_frame(now, from, bytes);
        }
        self.behind += 1;
    }

    /// Handles the deadlines that have passed, after all frames that have arrived: one of those may
    /// be what a group waits for. A flood of frames postpones deadlines for some turns, not for
    /// ever.
    fn handle_deadlines(&mut self) {
        if (1..BEHIND_MAX).contains(&self.behind) {
            // Nothing else might wake `next`: there may be no more frames.
            return self.wake.notify_one();
        }
        let now = self.clock.now();
        for group in self.groups.values_mut() {
            if group.poll_timeout().is_some_and(|at| at <= now) {
                group.handle_timeout(now);
            }
        }
    }

    fn handle_frame(&mut self, now: Instant, from: NodeId, bytes: Bytes) {
        let Some((id, rest)) = frame::group(bytes) else {
            return;
        };
        let incarnation = self.transport.incarnation(from);
        if let Some(message) = frame::channel_message(&rest) {
            let id = ChannelId(id.0);
            self.channels
                .handle_message(id, from, incarnation, &message);
        } else if let Some(group) = self.groups.get_mut(&id) {
            group.handle_frame(now, from, incarnation, rest);
        }
    }

    /// All groups append, one sync serves them all, and what became durable is released and sent.
    /// Returns `true` if there may be more to do: there was a sync, or a machine used up its share.
    fn turn(&mut self) -> bool {
        if !self.poisoned {
            let settled = self.log.settle();
            self.check(settled);
        }
        let now = self.clock.now();
        let disk = DiskHealth {
            has_room: self.room.look(now, || self.log.has_room()),
            sync_time: self.log.sync_time(),
        };
        self.space
            .set(self.log.room_bytes(), self.log.takes_a_record());
        self.groups
            .values_mut()
            .for_each(|group| group.set_disk(now, disk));
        self.release();
        let mut more = self.drive();
        self.channels.send(&mut *self.transport);
        // What needs no write is sent before the write: the followers then sync while the leader
        // does.
        self.transport.flush();
        let synced = self.unsynced && !self.poisoned;
        if synced {
            self.sync();
            self.release();
            more |= self.drive();
            self.transport.flush();
        }
        if !self.poisoned {
            let snapshots = self.groups.values().map(|group| group.snapshots()).sum();
            self.keeper.look(self.log.mark(), snapshots);
        }
        let around = self.look();
        self.groups
            .values_mut()
            .for_each(|group| group.publish(&around));
        self.look_at_members(now);
        synced || more
    }

    fn look(&mut self) -> Around {
        let (log, transport) = (&*self.log, &*self.transport);
        let has_room = self.room.has_room();
        self.lookout.look(self.clock, has_room, log, transport)
    }

    /// Drives each group; together they apply no more than a turn's share. The group after the one
    /// that used the last of it is first in the next turn. Returns `true` if a machine has more to
    /// do.
    fn drive(&mut self) -> bool {
        let now = self.clock.now();
        let mut budget = Budget::new(now, self.share);
        let (mut failed, mut more) = (None, false);
        let last = self.last;
        let behind = (Bound::Excluded(last), Bound::Unbounded);
        let rest = (Bound::Unbounded, Bound::Included(last));
        for range in [behind, rest] {
            for (id, group) in self.groups.range_mut(range) {
                let had_budget = !budget.is_spent();
                let (log, transport) = (&mut *self.log, &mut *self.transport);
                match group.turn(now, &mut budget, log, transport) {
                    Ok(appended) => self.unsynced |= appended,
                    Err(stopped) => {
                        let of_node = matches!(stopped, Stopped::Log(_));
                        let closed = Closed::from(stopped);
                        let (log, transport) = (&mut *self.log, &mut *self.transport);
                        close(now, *id, group.as_mut(), &closed, log, transport);
                        failed = failed.or_else(|| of_node.then_some(closed));
                    }
                }
                more |= group.has_jobs();
                if had_budget && budget.is_spent() {
                    self.last = *id;
                }
            }
        }
        if let Some(closed) = failed {
            self.poison(&closed);
        }
        more
    }

    fn sync(&mut self) {
        self.unsynced = false;
        let synced = self.log.sync();
        self.check(synced);
    }

    fn check(&mut self, synced: Result<(), LogError>) {
        if let Err(error) = synced {
            self.poison(&Closed::Log(Cause::new(error)));
        }
    }

    /// Releases what the log has made durable, in a sync of this loop or on its own.
    fn release(&mut self) {
        if !self.poisoned {
            let (now, durable) = (self.clock.now(), self.log.durable());
            self.groups
                .values_mut()
                .for_each(|group| group.handle_durable(now, durable));
            self.tell_awaiting(durable);
        }
    }

    /// Storage failed: its contents are uncertain, so nothing that depends on them may be sent any
    /// more.
    pub(crate) fn poison(&mut self, closed: &Closed) {
        self.poisoned = true;
        self.awaited.clear();
        self.close(closed);
        self.stopped(closed);
    }

    fn stopped(&mut self, closed: &Closed) {
        let now = self.clock.now();
        self.lookout.stopped(now, closed);
        self.told.tell(closed);
    }

    fn close(&mut self, closed: &Closed) {
        self.channels.close();
        let now = self.clock.now();
        for (id, group) in &mut self.groups {
            let (log, transport) = (&mut *self.log, &mut *self.transport);
            close(now, *id, group.as_mut(), closed, log, transport);
        }
        let around = self.look();
        self.groups
            .values_mut()
            .for_each(|group| group.publish(&around));
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host")
            .field("groups", &self.groups.keys())
            .finish_non_exhaustive()
    }
}

/// The most frames taken in one turn, before the groups get theirs.
const FRAMES_A_TURN: usize = 1024;
/// How many consecutive turns frames may go before deadlines.
const BEHIND_MAX: u32 = 8;
/// A deadline this late was missed because the loop was delayed.
const LATE: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests;
