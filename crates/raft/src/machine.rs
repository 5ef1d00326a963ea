use alloc::boxed::Box;

use crate::log::Log;
use crate::{Entries, Fetch, FetchError, Index, Output, Snapshot, Term, Wanted};

/// What the state machine was given, and what it is to be given next: every entry once, in order.
///
/// Invariant: `handed` never falls.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Machine {
    /// Everything up to here was handed out.
    handed: Index,
    /// Entries that came back from the log, right behind `handed`.
    fetched: Option<Entries>,
    fetch: ApplyFetch,
    /// The machine must be reset to this before anything is applied.
    restore: Option<Box<Snapshot>>,
}

/// One fetch for `Apply` at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum ApplyFetch {
    Idle,
    Wanted {
        from: Index,
    },
    /// It failed; tried again at the pace of heartbeats.
    Failed,
}

impl Machine {
    /// A machine that stands behind `handed`.
    pub(crate) fn new(handed: Index) -> Self {
        Self {
            handed,
            fetched: None,
            fetch: ApplyFetch::Idle,
            restore: None,
        }
    }

    pub(crate) fn handed(&self) -> Index {
        self.handed
    }

    /// The machine is to jump to a snapshot beyond what it was given.
    pub(crate) fn jump_to(&mut self, snapshot: Box<Snapshot>) {
        self.handed = snapshot.last.index;
        self.fetched = None;
        self.fetch = ApplyFetch::Idle;
        self.restore = Some(snapshot);
    }

    /// `Restore`, or the next `Apply`, or a fetch for it. `end` is the last entry that is committed
    /// and durable here; `term` and `bytes_max` are those of a fetch.
    pub(crate) fn poll(
        &mut self,
        log: &Log,
        end: Index,
        term: Term,
        bytes_max: usize,
    ) -> Option<Output> {
        if let Some(snapshot) = &self.restore {
            let durable = snapshot.last.index <= log.start_persisted();
            return if durable {
                self.restore.take().map(Output::Restore)
            } else {
                None
            };
        }
        if self.handed >= end {
            return None;
        }
        let next = self.handed.next();
        let fetched = self.fetched.take();
        let entries = fetched.or_else(|| log.cached_run(next, end));
        if let Some(entries) = entries {
            debug_assert_eq!(entries[0].id.index, next, "entries are applied in order");
            self.handed = entries[entries.len() - 1].id.index;
            return Some(Output::Apply(entries));
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
            term,
        }))
    }

    /// The log has answered. `false`: with what nobody waits for, or with what was not asked for.
    pub(crate) fn handle_fetched(
        &mut self,
        log: &Log,
        fetch: &Fetch,
        entries: Result<Entries, FetchError>,
    ) -> bool {
        if self.fetch != (ApplyFetch::Wanted { from: fetch.from }) {
            return false;
        }
        self.fetch = ApplyFetch::Failed;
        let Ok(entries) = entries else { return true };
        if !log.is_range(fetch, &entries) {
            return false;
        }
        self.fetch = ApplyFetch::Idle;
        self.fetched = Some(entries);
        true
    }

    /// A fetch that failed may be tried again.
    pub(crate) fn retry_fetch(&mut self) {
        if self.fetch == ApplyFetch::Failed {
            self.fetch = ApplyFetch::Idle;
        }
    }
}
