use alloc::boxed::Box;

use crate::log::Log;
use crate::{Ballot, Chosen, Entries, Fetch, FetchError, Output, Slot, Snapshot, Wanted};

/// Tracks what the state machine was given and what comes next: chosen values in order, each once,
/// or a snapshot that it is reset to.
///
/// Invariant: `delivered` never decreases, and is not beyond what is chosen and durable here.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Machine {
    delivered: Slot,
    /// Values fetched from the log that follow `delivered`.
    fetched: Option<Chosen>,
    fetch: ApplyFetch,
    /// The snapshot that the machine must be reset to before anything else is applied.
    restore: Option<Box<Snapshot>>,
}

/// The state of the fetch for the machine; there is one at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum ApplyFetch {
    Idle,
    Wanted {
        from: Slot,
    },
    /// The fetch failed; repeated at the rate of heartbeats.
    Failed,
}

impl Machine {
    pub(crate) fn new(delivered: Slot) -> Self {
        Self {
            delivered,
            fetched: None,
            fetch: ApplyFetch::Idle,
            restore: None,
        }
    }

    /// Everything up to this slot was delivered, or is covered by a snapshot that is or will be.
    pub(crate) fn delivered(&self) -> Slot {
        self.delivered
    }

    /// Whether values up to `end`, or a snapshot, were not yet delivered.
    #[inline]
    pub(crate) fn waits_for(&self, end: Slot) -> bool {
        self.delivered < end || self.restore.is_some()
    }

    /// Makes the machine restart from this snapshot, once the log durably begins after it.
    pub(crate) fn jump_to(&mut self, snapshot: Snapshot) {
        self.delivered = snapshot.last.slot;
        self.fetched = None;
        self.fetch = ApplyFetch::Idle;
        self.restore = Some(Box::new(snapshot));
    }

    /// The next values, if they are in memory: at most one run of the log.
    #[inline]
    pub(crate) fn poll_apply(&mut self, log: &Log) -> Option<Chosen> {
        let (next, end) = (self.delivered.next(), log.settled());
        if next > end || self.restore.is_some() {
            return None;
        }
        let fetched = self.fetched.take();
        let chosen = fetched.or_else(|| log.chosen_run(next, end))?;
        debug_assert_eq!(chosen.first, next, "values are applied in order");
        self.delivered = chosen.last();
        Some(chosen)
    }

    /// If [`poll_apply`](Self::poll_apply) has nothing: `Restore`, or a fetch for the next values,
    /// of at most `bytes_max` and made while `ballot` is promised.
    #[cold]
    pub(crate) fn poll_unless_apply(
        &mut self,
        log: &Log,
        bytes_max: usize,
        ballot: Ballot,
    ) -> Option<Output> {
        if self.restore.is_some() {
            let durable = log.start_persisted();
            let snapshot = self.restore.take_if(|it| it.last.slot <= durable);
            return snapshot.map(Output::Restore);
        }
        let (from, end) = (self.delivered.next(), log.settled());
        if from > end || self.fetch != ApplyFetch::Idle {
            return None;
        }
        self.fetch = ApplyFetch::Wanted { from };
        Some(Output::Fetch(Fetch {
            from,
            to: log.evicted_to().min(end),
            bytes_max,
            wanted: Wanted::Apply,
            ballot,
        }))
    }

    /// Takes the log's answer. `false` if no such fetch is pending or the values are not the
    /// requested ones.
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

    /// Allows a failed fetch to be repeated.
    pub(crate) fn retry_fetch(&mut self) {
        if self.fetch == ApplyFetch::Failed {
            self.fetch = ApplyFetch::Idle;
        }
    }
}
