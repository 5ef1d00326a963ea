use alloc::boxed::Box;

use crate::log::Log;
use crate::{Entries, Fetch, FetchError, Index, Output, Snapshot, Term, Wanted};

/// What the state machine was given, and what it is to be given next: every entry once, in order.
///
/// Invariant: `delivered` never falls.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Machine {
    /// Everything up to here was delivered.
    delivered: Index,
    /// Entries that came back from the log, right behind `delivered`.
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
    /// A machine that stands behind `delivered`.
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

    /// Whether it was not yet given everything up to `end`, or a snapshot.
    pub(crate) fn waits_for(&self, end: Index) -> bool {
        self.delivered < end || self.restore.is_some()
    }

    /// The machine is to jump to a snapshot beyond what it was given.
    pub(crate) fn jump_to(&mut self, snapshot: Box<Snapshot>) {
        self.delivered = snapshot.last.index;
        self.fetched = None;
        self.fetch = ApplyFetch::Idle;
        self.restore = Some(snapshot);
    }

    /// The next entries up to `end`, which is committed and durable here, as many as one run of the
    /// log has, if they are in memory and are next.
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

    /// If [`poll_apply`](Self::poll_apply) has nothing: `Restore`, or a fetch for what is next, of at
    /// most `bytes_max` and made in `term`.
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
