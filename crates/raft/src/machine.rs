use alloc::boxed::Box;

use crate::log::Log;
use crate::{Entries, Fetch, FetchError, Index, Output, Snapshot, Term, Wanted};

/// Tracks what the state machine was given and what comes next: every entry once, in order.
///
/// Invariant: `delivered` never decreases.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Machine {
    /// The last index that was delivered.
    delivered: Index,
    /// Entries fetched from the log that follow `delivered`.
    fetched: Option<Entries>,
    fetch: ApplyFetch,
    /// The snapshot that the machine must be reset to before anything else is applied.
    restore: Option<Box<Snapshot>>,
}

/// The state of the fetch for `Apply`; there is one at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum ApplyFetch {
    Idle,
    Wanted {
        from: Index,
    },
    /// The fetch failed; repeated at the rate of heartbeats.
    Failed,
}

impl Machine {
    /// A machine to which everything up to `delivered` was given.
    pub(crate) fn new(delivered: Index) -> Self {
        Self {
            delivered,
            fetched: None,
            fetch: ApplyFetch::Idle,
            restore: None,
        }
    }

    pub(crate) fn delivered(&self) -> Index {
        self.delivered
    }

    /// Whether entries up to `end`, or a snapshot, were not yet delivered.
    pub(crate) fn waits_for(&self, end: Index) -> bool {
        self.delivered < end || self.restore.is_some()
    }

    /// Makes the machine jump to a snapshot beyond what it was given.
    pub(crate) fn jump_to(&mut self, snapshot: Box<Snapshot>) {
        self.delivered = snapshot.last.index;
        self.fetched = None;
        self.fetch = ApplyFetch::Idle;
        self.restore = Some(snapshot);
    }

    /// The next entries up to `end`, which is committed and durable here, if they are in memory: at
    /// most one run of the log.
    #[inline]
    pub(crate) fn poll_apply(&mut self, log: &Log, end: Index) -> Option<Entries> {
        if self.delivered >= end || self.restore.is_some() {
            return None;
        }
        let next = self.delivered.next();
        let fetched = self.fetched.take();
        let entries = fetched.or_else(|| log.cached_run(next, end))?;
        debug_assert_eq!(entries[0].id.index, next, "entries are applied in order");
        self.delivered = Index(self.delivered.0 + entries.len() as u64);
        Some(entries)
    }

    /// If [`poll_apply`](Self::poll_apply) has nothing: `Restore`, or a fetch for the next entries,
    /// of at most `bytes_max` and made in `term`.
    #[cold]
    pub(crate) fn poll_unless_apply(
        &mut self,
        log: &Log,
        end: Index,
        term: Term,
        bytes_max: usize,
    ) -> Option<Output> {
        if self.restore.is_some() {
            let durable = log.start_persisted();
            let snapshot = self.restore.take_if(|it| it.last.index <= durable);
            return snapshot.map(Output::Restore);
        }
        if self.delivered >= end || self.fetch != ApplyFetch::Idle {
            return None;
        }
        let from = self.delivered.next();
        self.fetch = ApplyFetch::Wanted { from };
        Some(Output::Fetch(Fetch {
            from,
            to: log.evicted_to().min(end),
            bytes_max,
            wanted: Wanted::Apply,
            term,
        }))
    }

    /// Takes the log's answer. `false` if no such fetch is pending or the entries are not the
    /// requested ones.
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

    /// Allows a failed fetch to be repeated.
    pub(crate) fn retry_fetch(&mut self) {
        if self.fetch == ApplyFetch::Failed {
            self.fetch = ApplyFetch::Idle;
        }
    }
}
