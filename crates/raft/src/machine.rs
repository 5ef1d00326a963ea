use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::log::Log;
use crate::{Entry, Fetch, FetchError, Index, Output, Snapshot, Term, Wanted};

/// What the state machine was given, and what it is to be given next: every entry once, in order.
///
/// Invariant: `handed` never falls.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Machine {
    /// Everything up to here was handed out.
    handed: Index,
    /// Entries that came back from the log, behind `handed`.
    fetched: VecDeque<Entry>,
    fetch: ApplyFetch,
    /// The machine must be reset to this before anything is applied.
    restore: Option<Snapshot>,
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
            fetched: VecDeque::new(),
            fetch: ApplyFetch::Idle,
            restore: None,
        }
    }

    pub(crate) fn handed(&self) -> Index {
        self.handed
    }

    /// The machine is to jump to a snapshot beyond what it was given.
    pub(crate) fn jump_to(&mut self, snapshot: Snapshot) {
        self.handed = snapshot.last.index;
        self.fetched.clear();
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
        let entry = self
            .fetched
            .pop_front()
            .or_else(|| log.cached(next).cloned());
        if let Some(entry) = entry {
            debug_assert_eq!(entry.id.index, next, "entries are applied in order");
            self.handed = next;
            return Some(Output::Apply(entry));
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
        entries: Result<Vec<Entry>, FetchError>,
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
        self.fetched.extend(entries);
        true
    }

    /// A fetch that failed may be tried again.
    pub(crate) fn retry_fetch(&mut self) {
        if self.fetch == ApplyFetch::Failed {
            self.fetch = ApplyFetch::Idle;
        }
    }
}
