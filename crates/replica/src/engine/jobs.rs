//! Jobs from the engine to the applier: their order, and when they are held back.

use synod_wal::Snapshot;

use super::{Effect, Engine};
use crate::applier::{Done, Job};
use crate::body::Name;
use crate::events::Event;
use crate::machine::{Failure, Reason};
use crate::protocol::{Committed, Kind, Protocol};
use crate::task::Task;
use crate::time::Instant;

impl<P: Protocol, T> Engine<P, T> {
    /// Handles the result of a job.
    pub fn handle_done(&mut self, done: Done) {
        match done {
            Done::Applied(index) => self.applied = index,
            Done::NameUsed { index, last } => {
                self.applied = index;
                self.outlive(last);
            }
            Done::Frozen(frozen) => self.ready.push_back(Effect::Task(Task::Save(frozen))),
        }
    }

    /// How many snapshots have become durable in this incarnation.
    pub(crate) fn snapshots(&self) -> u64 {
        self.snapshots_taken + self.snapshots_received
    }

    /// Holds jobs back, or releases them. Everything else continues: frames, heartbeats and writes
    /// do not wait for the machine. A driver holds jobs back once the machine has used its share of
    /// a turn, and releases them for the next.
    pub fn hold_jobs(&mut self, held: bool) {
        self.jobs_wait = held && self.closed.is_none();
    }

    /// Whether jobs are held back.
    pub fn holds_jobs(&self) -> bool {
        self.jobs_wait
    }

    pub(super) fn apply(&mut self, Committed { at, kind, body }: Committed) {
        let bytes = body.len() as u64 + ENTRY_OVERHEAD_BYTES;
        let (mut in_doubt, mut used) = (false, None);
        let (tickets, overtaken) = match kind {
            Kind::Commands => {
                in_doubt = self.proposals.is_in_doubt(&body);
                used = self.proposals.used_by(&body);
                self.proposals.applied(&body)
            }
            Kind::Noop | Kind::Membership => Default::default(),
        };
        // In the order of the calls: what was overtaken ends before what overtook it.
        let why = used.map_or(Reason::Overtaken, |_| Reason::NameUsed);
        overtaken
            .lost
            .into_iter()
            .for_each(|ticket| self.reject(ticket, why));
        overtaken
            .in_doubt
            .into_iter()
            .for_each(|ticket| self.fail(ticket, Failure::Unknown));
        self.delivered = at.index;
        self.jobs.push_back(Job::Apply {
            at,
            kind,
            body,
            tickets,
            in_doubt,
        });
        if let Some(name) = used {
            self.outlive(name);
        }
        // Their leader is gone. Where epochs need not rise, a no-op proves less: it may fill a gap
        // in what that leader began, whose rest is chosen at later slots.
        if P::EPOCHS_RISE || kind != Kind::Noop {
            let superseded = self.proposals.superseded(P::epoch(&at));
            superseded
                .into_iter()
                .for_each(|ticket| self.fail(ticket, Failure::Unknown));
        }
        self.serve();
        if self.transfer.applied(bytes, self.snapshot_interval()) {
            self.jobs.push_back(Job::Freeze);
        }
    }

    /// Another incarnation proposes under this node's name, and `name` of it was applied. If it is
    /// above all names of this incarnation, nothing proposed here can be applied any more: what
    /// waits is rejected, and new proposals are rejected at once.
    fn outlive(&mut self, name: Name) {
        if self.proposals.is_outlived() {
            return;
        }
        let incarnation = name.incarnation;
        self.note(Event::NameUsed { incarnation });
        if self.proposals.is_outlived_by(name) {
            let (lost, in_doubt) = self.proposals.outlive();
            lost.into_iter()
                .for_each(|ticket| self.reject(ticket, Reason::NameUsed));
            in_doubt
                .into_iter()
                .for_each(|ticket| self.fail(ticket, Failure::Unknown));
        }
    }

    pub(super) fn restore(&mut self, now: Instant, snapshot: Snapshot) {
        let index = snapshot.index;
        self.delivered = index;
        self.proposals.mark_in_doubt();
        self.transfer.restored(index);
        self.note(Event::SnapshotRestored { index });
        self.jobs.push_back(Job::Restore(snapshot));
        self.prune(now, index);
        self.serve();
    }

    pub(super) fn serve(&mut self) {
        let ready = self.reads.serve(self.delivered);
        let fresh = self.reads.fresh();
        for ticket in ready {
            self.jobs.push_back(Job::Read(ticket, fresh));
        }
    }
}

/// The approximate bytes that an entry takes in the log besides its body.
const ENTRY_OVERHEAD_BYTES: u64 = 64;
