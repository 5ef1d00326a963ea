use alloc::boxed::Box;
use core::mem::take;

use crate::log::Log;
use crate::{Ballot, Chosen, Entries, Fetch, FetchError, Output, Slot, Snapshot, Wanted};

/// How far this node's state machine has got, and what it is given next: chosen values in order,
/// each once, or a snapshot from which it begins anew.
///
/// Invariant: `handed` never falls, and is not beyond what is chosen and durable here.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Machine {
    handed: Slot,
    /// Values that came back from the log, behind `handed`.
    fetched: Option<Chosen>,
    fetch: ApplyFetch,
    /// It must be reset to this before anything is applied.
    restore: Option<Box<Snapshot>>,
}

/// One fetch for the machine at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum ApplyFetch {
    Idle,
    Wanted {
        from: Slot,
    },
    /// It failed; tried again at the pace of heartbeats.
    Failed,
}

impl Machine {
    pub(crate) fn new(handed: Slot) -> Self {
        Self {
            handed,
            fetched: None,
            fetch: ApplyFetch::Idle,
            restore: None,
        }
    }

    /// Up to here all was handed out, or is covered by a snapshot that is or will be.
    pub(crate) fn handed(&self) -> Slot {
        self.handed
    }

    /// It is to begin anew from this snapshot, once the log durably begins behind that.
    pub(crate) fn jump_to(&mut self, snapshot: Snapshot) {
        self.handed = snapshot.last.slot;
        self.fetched = None;
        self.fetch = ApplyFetch::Idle;
        self.restore = Some(Box::new(snapshot));
    }

    /// `Restore`, or the next `Apply`, as much as one run of the log has, or a fetch for it. A fetch is of at most `bytes_max`, and is
    /// made while `ballot` is promised.
    pub(crate) fn poll(&mut self, log: &Log, bytes_max: usize, ballot: Ballot) -> Option<Output> {
        if let Some(snapshot) = &self.restore {
            let durable = snapshot.last.slot <= log.start_persisted();
            return if durable {
                take(&mut self.restore).map(Output::Restore)
            } else {
                None
            };
        }
        let end = log.settled();
        if self.handed >= end {
            return None;
        }
        let next = self.handed.next();
        let cached = || log.chosen_run(next, end);
        if let Some(chosen) = self.fetched.take().or_else(cached) {
            debug_assert_eq!(chosen.first, next, "values are applied in order");
            self.handed = chosen.last();
            return Some(Output::Apply(chosen));
        }
        if self.fetch != ApplyFetch::Idle {
            return None;
        }
        self.fetch = ApplyFetch::Wanted { from: next };
        Some(Output::Fetch(Fetch {
            from: next,
            to: log.evicted_to().min(end),
            bytes_max,
            wanted: Wanted::Apply,
            ballot,
        }))
    }

    /// The log has answered. `false`: with what nobody waits for, or with what was not asked for.
    pub(crate) fn handle_fetched(
        &mut self,
        log: &Log,
        fetch: &Fetch,
        values: Result<Entries, FetchError>,
    ) -> bool {
        if self.fetch != (ApplyFetch::Wanted { from: fetch.from }) {
            return false;
        }
        self.fetch = ApplyFetch::Failed;
        let Ok(values) = values else { return true };
        if !log.is_range(fetch, &values) {
            return false;
        }
        self.fetch = ApplyFetch::Idle;
        self.fetched = Some(Chosen {
            first: fetch.from,
            values,
        });
        true
    }

    /// A fetch that failed may be tried again.
    pub(crate) fn retry_fetch(&mut self) {
        if self.fetch == ApplyFetch::Failed {
            self.fetch = ApplyFetch::Idle;
        }
    }
}
