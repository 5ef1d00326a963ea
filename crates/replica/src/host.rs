//! The loop of a node: many groups, one log, one transport, one thread.
//!
//! A commit pays no wake-up of another thread on its way: requests, protocol, write, sync and apply
//! are steps of one turn (waking an idle thread costs 25 µs, a sync 130 to 200). While the sync
//! runs, requests gather; the next turn takes them all as one entry.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use synod_transport::{NodeId, Transport};
use synod_wal::{GroupId, Lsn};
use tokio::sync::{Notify, mpsc, oneshot, watch};

use crate::applier::{Applier, ApplyError};
use crate::engine::{Effect, Engine, Poisoned};
use crate::frame;
use crate::group::{Clock, Request, Waiter};
use crate::log::{Log, LogError};
use crate::machine::{Reason, StateMachine};
use crate::protocol::Protocol;
use crate::status::Status;
use crate::task::Completion;
use crate::time::Instant;

/// A group as the loop sees it: no protocol, no machine. One virtual call a turn, none a command.
pub(crate) trait Drive: Send {
    fn handle_frame(&mut self, now: Instant, from: NodeId, frame: Bytes);
    fn handle_timeout(&mut self, now: Instant);
    fn handle_durable(&mut self, now: Instant, durable: Lsn);
    /// Takes what has come in and does what it brings about. `true` when the log was appended to.
    fn turn(
        &mut self,
        now: Instant,
        log: &mut dyn Log,
        transport: &mut dyn Transport,
    ) -> Result<bool, Stopped>;
    fn set_room(&mut self, has_room: bool);
    fn close(&mut self, reason: Reason);
    fn publish(&mut self, log: &dyn Log);
    fn poll_timeout(&self) -> Option<Instant>;
}

/// Why a group of this node stopped for good.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Stopped {
    #[error("the log failed")]
    Log(#[source] LogError),
    #[error("the machine cannot go on")]
    Apply(#[from] ApplyError),
}

impl From<Poisoned> for Stopped {
    fn from(Poisoned(error): Poisoned) -> Self {
        Self::Log(error)
    }
}

/// One group: its engine, its applier, and the channels that lead to them.
pub(crate) struct Hosted<P: Protocol, S: StateMachine> {
    pub(crate) id: GroupId,
    pub(crate) engine: Engine<P, Waiter<S>>,
    pub(crate) applier: Applier<S>,
    pub(crate) requests: mpsc::Receiver<(Request<Waiter<S>>, usize)>,
    pub(crate) queued_bytes: Arc<AtomicUsize>,
    pub(crate) completions: mpsc::UnboundedReceiver<Completion<P>>,
    pub(crate) completions_to: mpsc::UnboundedSender<Completion<P>>,
    pub(crate) wake: Arc<Notify>,
    pub(crate) status: watch::Sender<Status>,
    pub(crate) closed: Option<Reason>,
}

impl<P: Protocol, S: StateMachine> Hosted<P, S> {
    fn take_requests(&mut self, now: Instant) {
        while let Ok((request, bytes)) = self.requests.try_recv() {
            self.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
            match request {
                Request::Propose(proposal) => self.engine.propose(now, proposal),
                Request::Read(consistency, deadline, ticket) => {
                    self.engine.read(now, consistency, deadline, ticket);
                }
            }
        }
    }

    fn perform(
        &mut self,
        effect: Effect<P, Waiter<S>>,
        log: &mut dyn Log,
        transport: &mut dyn Transport,
    ) -> Result<bool, Stopped> {
        match effect {
            Effect::Persist(write) => {
                self.engine
                    .stage(write, log.record_bytes_max(), |ops| {
                        log.append(self.id, ops)
                    })
                    .map_err(Stopped::Log)?;
                return Ok(true);
            }
            Effect::Send(to, lane, parcel) => transport.send(to, lane, parcel),
            Effect::Job(job) => {
                if let Some(done) = self.applier.run(job)? {
                    self.engine.handle_done(done);
                }
            }
            Effect::Task(task) => {
                let (to, wake, id) = (self.completions_to.clone(), self.wake.clone(), self.id);
                let (reader, snapshots) = (log.reader(), log.snapshots());
                tokio::task::spawn_blocking(move || {
                    // The receiver is gone when the node is.
                    let _gone = to.send(task.run(id, &*reader, &*snapshots));
                    wake.notify_one();
                });
            }
        }
        Ok(false)
    }
}

impl<P: Protocol, S: StateMachine> Drive for Hosted<P, S> {
    fn handle_frame(&mut self, now: Instant, from: NodeId, frame: Bytes) {
        self.engine.handle_frame(now, from, frame);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.engine.handle_timeout(now);
    }

    fn handle_durable(&mut self, now: Instant, durable: Lsn) {
        if self.closed.is_none() {
            self.engine.handle_durable(now, durable);
        }
    }

    fn turn(
        &mut self,
        now: Instant,
        log: &mut dyn Log,
        transport: &mut dyn Transport,
    ) -> Result<bool, Stopped> {
        self.take_requests(now);
        while let Ok(completion) = self.completions.try_recv() {
            if self.closed.is_none() {
                self.engine.handle_completion(now, completion)?;
            }
        }
        let mut appended = false;
        while let Some(effect) = self.engine.poll_effect(now) {
            appended |= self.perform(effect, log, transport)?;
        }
        Ok(appended)
    }

    fn set_room(&mut self, has_room: bool) {
        self.engine.set_room(has_room);
    }

    fn close(&mut self, reason: Reason) {
        self.closed = Some(reason);
        self.engine.close(reason);
    }

    fn publish(&mut self, log: &dyn Log) {
        let (engine, stats, closed) = (self.engine.status(), log.stats(), self.closed);
        self.status
            .send_if_modified(|status| status.update(engine, stats, closed));
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.engine.poll_timeout()
    }
}

/// What the handle asks of the loop.
pub(crate) enum Control {
    Open(Box<dyn FnOnce(&mut Host) + Send>),
    Shutdown(oneshot::Sender<()>),
}

/// The loop's own state.
pub(crate) struct Host {
    pub(crate) log: Box<dyn Log>,
    pub(crate) transport: Box<dyn Transport>,
    pub(crate) groups: BTreeMap<GroupId, Box<dyn Drive>>,
    pub(crate) wake: Arc<Notify>,
    pub(crate) clock: Clock,
    pub(crate) control: mpsc::Receiver<Control>,
    pub(crate) poisoned: bool,
    /// Something was appended since the last sync began.
    pub(crate) unsynced: bool,
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host")
            .field("groups", &self.groups.keys())
            .finish_non_exhaustive()
    }
}

/// Why the loop goes on.
enum Event {
    Frame(NodeId, Bytes),
    Wake,
    Deadline,
    Control(Option<Control>),
    TransportClosed,
}

impl Host {
    pub(crate) async fn run(mut self) {
        let ended = loop {
            let (event, now) = (self.next().await, self.clock.now());
            match event {
                Event::Frame(from, bytes) => self.handle_frames(now, from, bytes),
                Event::Wake => {}
                Event::Deadline => self
                    .groups
                    .values_mut()
                    .for_each(|group| group.handle_timeout(now)),
                Event::Control(Some(Control::Open(open))) => open(&mut self),
                Event::Control(Some(Control::Shutdown(ended))) => break Some(ended),
                Event::Control(None) | Event::TransportClosed => break None,
            }
            self.turns().await;
        };
        self.close(Reason::Shutdown);
        if let Some(ended) = ended {
            // Whoever asked may be gone.
            let _gone = ended.send(());
        }
    }

    async fn next(&mut self) -> Event {
        let deadline = self
            .groups
            .values()
            .filter_map(|group| group.poll_timeout())
            .min();
        let at = self.clock.at(deadline.unwrap_or(Instant(IDLE)));
        let transport = &mut self.transport;
        tokio::select! {
            biased;
            control = self.control.recv() => Event::Control(control),
            () = tokio::time::sleep_until(at), if deadline.is_some() => Event::Deadline,
            frame = std::future::poll_fn(|cx| transport.poll_recv(cx)) => match frame {
                Some((from, bytes)) => Event::Frame(from, bytes),
                None => Event::TransportClosed,
            },
            () = self.wake.notified() => Event::Wake,
        }
    }

    /// The frame that came, and those that stand behind it already, up to a bound.
    fn handle_frames(&mut self, now: Instant, from: NodeId, bytes: Bytes) {
        self.handle_frame(now, from, bytes);
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        for _ in 1..FRAMES_A_TURN {
            // A `Pending` here leaves no waker behind, which is fine: `next` polls again before it
            // waits.
            let std::task::Poll::Ready(Some((from, bytes))) =
                self.transport.poll_recv(&mut context)
            else {
                return;
            };
            self.handle_frame(now, from, bytes);
        }
    }

    fn handle_frame(&mut self, now: Instant, from: NodeId, bytes: Bytes) {
        if let Some((id, rest)) = frame::group(bytes)
            && let Some(group) = self.groups.get_mut(&id)
        {
            group.handle_frame(now, from, rest);
        }
    }

    /// All groups append, one sync answers for all, what became durable is released and leaves; again, until the log
    /// is at rest.
    async fn turns(&mut self) {
        loop {
            let now = self.clock.now();
            let room = self.log.has_room();
            self.groups
                .values_mut()
                .for_each(|group| group.set_room(room));
            self.turn(now);
            // What needs no write leaves before the write: a leader's followers sync while it does.
            self.transport.flush();
            let synced = self.unsynced && !self.poisoned;
            if synced {
                self.sync();
                let (now, durable) = (self.clock.now(), self.log.durable());
                self.groups
                    .values_mut()
                    .for_each(|group| group.handle_durable(now, durable));
                self.turn(now);
                self.transport.flush();
            }
            self.groups
                .values_mut()
                .for_each(|group| group.publish(&*self.log));
            if !synced {
                return;
            }
            // Whoever was answered may have its next request, and the sockets their frames, before the next write.
            tokio::task::yield_now().await;
        }
    }

    fn turn(&mut self, now: Instant) {
        let mut failed = false;
        for (id, group) in &mut self.groups {
            match group.turn(now, &mut *self.log, &mut *self.transport) {
                Ok(appended) => self.unsynced |= appended,
                Err(stopped @ Stopped::Log(_)) => {
                    tracing::error!(
                        group = id.0,
                        error = &stopped as &dyn std::error::Error,
                        "the log has failed"
                    );
                    failed = true;
                }
                Err(stopped) => {
                    tracing::error!(
                        group = id.0,
                        error = &stopped as &dyn std::error::Error,
                        "a group has stopped"
                    );
                    group.close(Reason::Poisoned);
                }
            }
        }
        if failed {
            self.poison();
        }
    }

    fn sync(&mut self) {
        self.unsynced = false;
        if let Err(error) = self.log.sync() {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "a sync has failed: the node stops"
            );
            self.poison();
        }
    }

    /// Storage failed: what it holds is uncertain, so nothing that depends on it may be said any
    /// more.
    fn poison(&mut self) {
        self.poisoned = true;
        self.close(Reason::Poisoned);
    }

    fn close(&mut self, reason: Reason) {
        let now = self.clock.now();
        for (id, group) in &mut self.groups {
            group.close(reason);
            // A closed group has answers left and nothing else; it neither writes nor sends.
            if let Err(stopped) = group.turn(now, &mut *self.log, &mut *self.transport) {
                tracing::error!(
                    group = id.0,
                    error = &stopped as &dyn std::error::Error,
                    "while closing"
                );
            }
            group.publish(&*self.log);
        }
    }
}

/// Frames taken in one turn, before the groups get theirs.
const FRAMES_A_TURN: usize = 1024;
const IDLE: Duration = Duration::from_secs(3600);
