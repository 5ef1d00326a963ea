//! One group of one node, sans-IO: everything that does not depend on the type of the machine.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use synod_transport::{Lane, NodeId, Parcel};
use synod_wal::{Lsn, Op};

use crate::applier::Job;
use crate::body::{COMMAND_OVERHEAD_BYTES, NAME_BYTES};
use crate::events::Event;
use crate::frame::Frame;
use crate::log::{Claim, LogError};
use crate::machine::{Failure, Reason};
use crate::protocol::{DiskHealth, Divergence, Output, Protocol};
use crate::task::{Completion, Task};
use crate::time::Instant;

mod config;
mod forward;
mod handover;
mod inspect;
mod jobs;
mod members;
mod peers;
mod proposals;
mod reading;
mod reads;
mod snapshots;
mod transfer;

pub use config::{Bounds, EngineConfig, EngineStatus, INTERVAL_PARTS_MAX};
use forward::Accepted;
use handover::Held;
pub use inspect::EngineLoad;
pub use proposals::Proposal;
use proposals::Proposals;
use reads::Reads;
use transfer::Transfer;

/// What the driver must do for the engine.
#[derive(Debug)]
pub enum Effect<P: Protocol, T> {
    /// Append the record to the log, with [`Engine::stage`].
    Persist(P::Write),
    /// Send a parcel to a peer.
    Send(NodeId, Lane, Parcel),
    /// Run a job in the applier. Jobs must run in order.
    Job(Job<T>),
    /// Run a task, and hand its completion back.
    Task(Task<P>),
    /// [Close](Engine::close) the group and report why.
    Stop(Divergence),
}

/// Storage failed under a group, which must be closed.
#[derive(Debug, thiserror::Error)]
#[error("the group is poisoned")]
pub struct Poisoned(#[source] pub LogError);

/// Drives one consensus core: it batches and forwards commands, confirms reads, transfers snapshots
/// and enforces deadlines. It is generic over the protocol and the caller's ticket `T`, and
/// independent of machine, log and transport.
///
/// Inputs are the `handle_*` methods and the requests. The output is
/// [`poll_effect`](Self::poll_effect), to be drained after every input;
/// [`poll_timeout`](Self::poll_timeout) tells when to call
/// [`handle_timeout`](Self::handle_timeout).
///
/// # Invariants
/// - Every ticket leaves once, in a [`Job`], by its deadline. No request is retried that may have
///   taken effect.
/// - What waits for a write is inside the write, and leaves only by
///   [`handle_durable`](Self::handle_durable).
/// - While a write is staged, no body is sealed for the log: the commands that arrive meanwhile
///   become one body.
/// - A forwarded body is proposed only in the leadership it was sealed for, and the names of each
///   node only in rising order, so that commands of one node never change places.
/// - After [`close`](Self::close) the core is not polled again.
pub struct Engine<P: Protocol, T> {
    config: EngineConfig,
    core: P,
    proposals: Proposals<T>,
    reads: Reads<T>,
    transfer: Transfer,
    staged: VecDeque<P::Staged>,
    /// Bytes of bodies sealed since the last write was staged.
    sealed_bytes: usize,
    space: Claim,
    ready: VecDeque<Effect<P, T>>,
    /// Jobs for the applier, in order; the effects in `ready` go first.
    jobs: VecDeque<Job<T>>,
    /// Whether the machine has used up its share of this turn.
    jobs_wait: bool,
    accepted: Accepted,
    held: Held,
    known: members::Known<P::Membership>,
    /// Nothing new is taken: the node is about to go.
    leaving: bool,
    reading: BTreeSet<NodeId>,
    delivered: u64,
    applied: u64,
    disk: DiskHealth,
    /// The disk's health as last reported to the core.
    told: DiskHealth,
    closed: Option<Reason>,
    frames_ignored: u64,
    snapshots_taken: u64,
    snapshots_received: u64,
    snapshots_failed: u64,
    /// The log begins at the snapshot of this index, or of a lower one.
    newest: u64,
    /// When the last frame of each peer arrived.
    heard: BTreeMap<NodeId, Instant>,
    /// Events to be logged, of interest to operators only; bounded by [`NOTICES_MAX`].
    notices: Vec<Event>,
}

impl<P: Protocol, T> Engine<P, T> {
    /// Wraps a core that was just recovered.
    pub fn new(config: EngineConfig, core: P) -> Self {
        Self {
            proposals: Proposals::new(config.node.0, config.incarnation, config.sequence_base),
            reads: Reads::new(),
            transfer: Transfer::new(config.snapshot_bytes),
            staged: VecDeque::new(),
            sealed_bytes: 0,
            space: config.space.claim(),
            ready: VecDeque::new(),
            jobs: VecDeque::new(),
            jobs_wait: false,
            accepted: Accepted::default(),
            held: Held::default(),
            known: members::Known::default(),
            leaving: false,
            reading: BTreeSet::new(),
            delivered: 0,
            applied: 0,
            disk: DiskHealth::default(),
            told: DiskHealth::default(),
            closed: None,
            frames_ignored: 0,
            snapshots_taken: 0,
            snapshots_received: 0,
            snapshots_failed: 0,
            newest: 0,
            heard: BTreeMap::new(),
            notices: Vec::new(),
            config,
            core,
        }
    }

    /// Proposes a command. Commands of one engine are applied in the order of these calls, if at
    /// all.
    pub fn propose(&mut self, now: Instant, proposal: Proposal<T>) {
        let bytes = NAME_BYTES + COMMAND_OVERHEAD_BYTES + proposal.command.len();
        let reason = if let Some(reason) = self.refuses() {
            reason
        } else if bytes > self.config.bounds.body_bytes_max {
            Reason::TooLarge
        } else if proposal.deadline <= now {
            Reason::Expired
        } else if self.proposals.is_outlived() {
            Reason::NameUsed
        } else if !self.disk.has_room {
            Reason::Full
        } else if self.is_busy()
            || self.proposals.queued_bytes() + bytes > self.config.bounds.queued_bytes_max
        {
            Reason::Busy
        } else {
            return self.proposals.push(proposal);
        };
        self.reject(proposal.ticket, reason);
    }

    /// Handles the deadlines that have passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.closed.is_some() {
            return;
        }
        if self.core.poll_timeout().is_some_and(|at| at <= now) {
            self.core.handle_timeout(now);
        }
        let (queued, sent) = self.proposals.expire(now);
        let reads = self.reads.expire(now);
        // On a full node nothing was taken and so it expired: the full disk is the reason to
        // report.
        let why = if self.disk.has_room {
            Reason::Expired
        } else {
            Reason::Full
        };
        queued
            .into_iter()
            .chain(reads)
            .for_each(|ticket| self.reject(ticket, why));
        sent.into_iter()
            .for_each(|ticket| self.fail(ticket, Failure::Unknown));
    }

    /// Appends a write's record to the log, whose records hold at most `record_bytes_max` bytes.
    /// What waits for the write stays inside until [`handle_durable`](Self::handle_durable).
    ///
    /// # Errors
    /// Those of the log. The write is lost with them, so the engine must be [closed](Self::close).
    pub fn stage<E>(
        &mut self,
        write: P::Write,
        record_bytes_max: usize,
        append: impl FnMut(&mut dyn Iterator<Item = Op<'_>>) -> Result<Lsn, E>,
    ) -> Result<(), E> {
        self.sealed_bytes = 0;
        self.space.handed();
        self.staged
            .push_back(P::stage(write, record_bytes_max, append)?);
        Ok(())
    }

    /// Releases the writes that are durable: everything in the log up to `durable`.
    pub fn handle_durable(&mut self, now: Instant, durable: Lsn) {
        if self.closed.is_some() {
            return;
        }
        while let Some(staged) = self.staged.pop_front() {
            match P::release(staged, durable) {
                Ok((messages, receipt)) => {
                    messages
                        .into_iter()
                        .for_each(|(to, message)| self.send_message(to, &message));
                    self.core.handle_persisted(now, receipt);
                }
                Err(staged) => return self.staged.push_front(staged),
            }
        }
    }

    /// Handles the completion of a task.
    ///
    /// # Errors
    /// If the log cannot be read; the engine must then be [closed](Self::close).
    pub fn handle_completion(
        &mut self,
        now: Instant,
        completion: Completion<P>,
    ) -> Result<(), Poisoned> {
        if self.closed.is_some() {
            return Ok(());
        }
        match completion {
            Completion::Fetched(_, Err(error @ LogError::Failed(_))) => {
                return Err(Poisoned(error));
            }
            Completion::Fetched(fetch, slots) => self.core.handle_fetched(now, fetch, slots),
            Completion::Saved(saved) => self.handle_saved(saved),
            Completion::Pruned => {}
            Completion::ChunkRead {
                to,
                snapshot,
                at,
                chunk,
            } => self.handle_chunk_read(now, to, snapshot, at, chunk),
            Completion::ChunkWritten(snapshot, Ok(next)) => self.transfer.stored(&snapshot, next),
            Completion::Discarded(snapshot) => self.transfer.stored(&snapshot, 0),
            Completion::Received(snapshot, Ok(())) => self.handle_received(now, snapshot),
            Completion::ChunkWritten(snapshot, Err(error))
            | Completion::Received(snapshot, Err(error)) => {
                self.handle_not_stored(now, snapshot, &error);
            }
            Completion::Verified(result) => self.handle_verified(result)?,
        }
        Ok(())
    }

    /// Sets the health of the disk, in each turn. Without space for the next appends no new work is
    /// accepted: commands are rejected as [`Reason::Full`], and entries from peers are dropped,
    /// which the peers send again.
    pub fn set_disk(&mut self, now: Instant, disk: DiskHealth) {
        if self.closed.is_some() {
            return;
        }
        self.disk = disk;
        // A leader that lacks decided entries and has no space for the snapshot that holds them is
        // as useless to its group as one without space for its log.
        let leads = self.core.leadership();
        let leads = leads.is_some_and(|leader| leader.node == self.config.node);
        let told = DiskHealth {
            has_room: disk.has_room && !(leads && self.transfer.is_full()),
            ..disk
        };
        if self.told != told {
            self.told = told;
            self.core.handle_disk(now, told);
        }
    }

    /// Ends all requests: as unknown if they may have taken effect, and otherwise as rejected. The
    /// only effects that follow are these answers.
    pub fn close(&mut self, reason: Reason) {
        self.closed = Some(reason);
        self.ready.clear();
        self.jobs.retain(|job| matches!(job, Job::Fail(..)));
        self.jobs_wait = false;
        self.held = Held::default();
        let (queued, sent) = self.proposals.drain();
        let reads = self.reads.drain();
        queued
            .into_iter()
            .chain(reads)
            .for_each(|ticket| self.reject(ticket, reason));
        sent.into_iter()
            .for_each(|ticket| self.fail(ticket, Failure::Unknown));
    }

    /// The next effect; `None` until the next input.
    pub fn poll_effect(&mut self, now: Instant) -> Option<Effect<P, T>> {
        if self.closed.is_some() {
            return self.jobs.pop_front().map(Effect::Job);
        }
        self.release_held(now);
        self.seal(now);
        self.ask(now);
        self.pull(now);
        self.cut(now);
        loop {
            if let Some(effect) = self.ready.pop_front() {
                return Some(effect);
            }
            let output = if self.jobs_wait {
                self.core.poll_besides_machine()
            } else if let Some(job) = self.jobs.pop_front() {
                return Some(Effect::Job(job));
            } else {
                self.core.poll_output()
            };
            let Some(output) = output else {
                if self.staged.is_empty() {
                    self.space.give_back();
                }
                return None;
            };
            match output {
                Output::Persist(write) => return Some(Effect::Persist(write)),
                Output::Send(to, message) => self.send_message(to, &message),
                Output::Fetch(fetch) => return Some(Effect::Task(Task::Fetch(fetch))),
                Output::Apply(run) => run.into_iter().for_each(|committed| self.apply(committed)),
                Output::Restore(snapshot) => self.restore(now, snapshot),
                Output::PullSnapshot { from, snapshot } => {
                    let replaced = self.transfer.begin(from, snapshot);
                    self.end_pull(replaced, false);
                    self.pull(now);
                }
                Output::Read { id, index } => self.handle_index(id, index),
                Output::Stop(why) => return Some(Effect::Stop(why)),
            }
        }
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.closed.is_some() {
            return None;
        }
        let retry_after = self.config.bounds.retry_after;
        [
            self.core.poll_timeout(),
            self.proposals.wake(),
            self.reads.wake(),
            self.reads.stale_at(self.config.node, retry_after),
            self.transfer.wake(retry_after),
            self.forward_at(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// The engine's status.
    pub fn status(&self) -> EngineStatus {
        EngineStatus {
            core: self.core.status(),
            leadership: self.core.leadership(),
            applied: self.applied,
            requests: self.requests(),
            frames_ignored: self.frames_ignored,
            snapshots_taken: self.snapshots_taken,
            snapshots_received: self.snapshots_received,
            snapshots_failed: self.snapshots_failed,
            heard: self.heard.iter().map(|(node, at)| (*node, *at)).collect(),
        }
    }

    fn is_busy(&self) -> bool {
        self.requests() >= self.config.bounds.requests_max
    }

    /// Seals bodies: for the log while no write is in progress, or for the leader while few are.
    fn seal(&mut self, now: Instant) {
        let Some(leader) = self.core.leadership() else {
            return;
        };
        if leader.node != self.config.node {
            return self.forward(now, leader);
        }
        self.accepted.enter(leader.epoch);
        if self.core.transfers_to().is_some() {
            return;
        }
        while self.disk.has_room
            && self.staged.is_empty()
            && self.sealed_bytes < self.config.bounds.write_bytes_max
            && self
                .space
                .take(self.proposals.next_bytes(self.config.bounds.body_bytes_max))
            && let Some((sequence, body)) =
                self.proposals
                    .seal(now, leader, self.config.bounds.body_bytes_max)
        {
            let bytes = body.len();
            match self.core.propose(now, body) {
                Ok(()) => self.sealed_bytes += bytes,
                Err(refusal) => {
                    let tickets = self.proposals.take(sequence).into_iter().flatten();
                    tickets.for_each(|ticket| self.reject(ticket, refusal.into()));
                }
            }
        }
    }

    fn send_message(&mut self, to: NodeId, message: &P::Message) {
        let mut head = Frame::Message.head(self.config.group);
        let mut parts = Vec::new();
        P::encode(message, &mut head, &mut parts);
        let lane = match P::longest_body(message) {
            Some(_) => Lane::Bulk,
            None => Lane::Control,
        };
        self.ready
            .push_back(Effect::Send(to, lane, crate::protocol::parcel(head, parts)));
    }

    fn send(&mut self, to: NodeId, lane: Lane, frame: &Frame, parts: Vec<Bytes>) {
        self.ready.push_back(Effect::Send(
            to,
            lane,
            frame.encode(self.config.group, parts),
        ));
    }

    fn reject(&mut self, ticket: T, reason: Reason) {
        let leader = match self.closed {
            Some(_) => None,
            None => self.core.leadership().map(|leader| leader.node),
        };
        self.fail(ticket, Failure::Rejected { reason, leader });
    }

    /// Takes the events to be logged; see `events.rs`.
    pub(crate) fn take_notices(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.notices)
    }

    fn note(&mut self, event: Event) {
        if self.notices.len() < NOTICES_MAX {
            self.notices.push(event);
        }
    }

    fn fail(&mut self, ticket: T, failure: Failure) {
        self.jobs.push_back(Job::Fail(ticket, failure));
    }
}

/// The most events kept between two calls of `take_notices`; a driver may never call it.
const NOTICES_MAX: usize = 64;
