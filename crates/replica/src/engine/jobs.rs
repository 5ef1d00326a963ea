//! What an engine hands to the applier, in order, and when it holds that back.

use synod_wal::Snapshot;

use super::{Effect, Engine};
use crate::applier::{Done, Job};
use crate::events::Event;
use crate::machine::{Failure, Reason};
use crate::protocol::{Committed, Kind, Protocol};
use crate::task::Task;
use crate::time::Instant;

impl<P: Protocol, T> Engine<P, T> {
    /// The applier has done a job.
    pub fn handle_done(&mut self, done: Done) {
        match done {
            Done::Applied(index) => self.applied = index,
            Done::Frozen(frozen) => self.ready.push_back(Effect::Task(Task::Save(frozen))),
        }
    }

    /// Holds back what is for the applier, or does not any more. The rest goes on: frames,
    /// heartbeats and writes do not wait for the machine. A driver holds jobs back once the machine
    /// has had its share of a turn, and begins the next turn without.
    pub fn hold_jobs(&mut self, held: bool) {
        self.jobs_wait = held && self.closed.is_none();
    }

    /// Whether jobs are held back.
    pub fn holds_jobs(&self) -> bool {
        self.jobs_wait
    }

    pub(super) fn apply(&mut self, Committed { at, kind, body }: Committed) {
        let bytes = body.len() as u64 + ENTRY_OVERHEAD_BYTES;
        let (tickets, overtaken) = match kind {
            Kind::Commands => self.proposals.applied(&body),
            Kind::Noop | Kind::Membership => Default::default(),
        };
        self.handed = at.index;
        self.jobs.push_back(Job::Apply {
            at,
            kind,
            body,
            tickets,
        });
        overtaken
            .lost
            .into_iter()
            .for_each(|ticket| self.reject(ticket, Reason::Overtaken));
        overtaken
            .in_doubt
            .into_iter()
            .for_each(|ticket| self.fail(ticket, Failure::Unknown));
        // The leader that had them is gone. Where epochs need not rise, a no-op says less: it may fill
        // a gap in what that leader began, and the rest of it stands behind.
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

    pub(super) fn restore(&mut self, now: Instant, snapshot: Snapshot) {
        let index = snapshot.index;
        self.handed = index;
        self.proposals.doubt();
        self.transfer.restored(index);
        self.note(Event::SnapshotRestored { index });
        self.jobs.push_back(Job::Restore(snapshot));
        self.prune(now, index);
        self.serve();
    }

    pub(super) fn serve(&mut self) {
        for ticket in self.reads.serve(self.handed) {
            self.jobs.push_back(Job::Read(ticket));
        }
    }
}

/// What an entry takes in the log beside its body, about.
const ENTRY_OVERHEAD_BYTES: u64 = 64;
