//! Which links fail, and how: a handle that may be held anywhere.

use crate::NodeId;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

/// What the links of a network do, to be changed at any time. Clones are handles to the same faults.
///
/// One handle may serve all ends of a network in one process, or each process may have its own, with the same seed
/// or another.
#[derive(Clone, Debug)]
pub struct Faults {
    seed: u64,
    script: Arc<Mutex<Script>>,
}

/// What one direction of a link does to messages.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LinkFaults {
    /// How likely a message is lost, from 0 to 1.
    pub loss: f64,
    /// How likely it goes twice.
    pub duplicate: f64,
    /// How likely it is held back for [`reorder_by`](Self::reorder_by), so that later ones overtake it.
    pub reorder: f64,
    /// For how long.
    pub reorder_by: Duration,
    /// Each takes at least so long. What is merely delayed keeps its order.
    pub delay_min: Duration,
    /// And at most so long.
    pub delay_max: Duration,
    /// What gets through in a second. What waits for it waits in its lane, control before bulk.
    pub bytes_per_second: Option<u64>,
}

impl LinkFaults {
    /// A link that fails in no way.
    pub const NONE: Self = Self {
        loss: 0.0,
        duplicate: 0.0,
        reorder: 0.0,
        reorder_by: Duration::ZERO,
        delay_min: Duration::ZERO,
        delay_max: Duration::ZERO,
        bytes_per_second: None,
    };

    /// Whether a message that is not lost goes at once.
    pub(super) fn holds_nothing(&self) -> bool {
        let delays = !self.delay_min.is_zero() || !self.delay_max.is_zero();
        let reorders = self.reorder > 0.0 && !self.reorder_by.is_zero();
        !delays && !reorders && self.bytes_per_second.is_none()
    }
}

impl Default for LinkFaults {
    fn default() -> Self {
        Self::NONE
    }
}

/// What the faults have done, at all ends that share the handle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FaultCounts {
    /// Messages that a cut has swallowed, when they were sent or on their way.
    pub cut: u64,
    /// Messages that were lost by chance.
    pub lost: u64,
    /// Messages that went twice.
    pub duplicated: u64,
    /// Messages that were held back so that others overtake.
    pub reordered: u64,
    /// Messages for which a link that delays or is narrow had no room.
    pub overflowed: u64,
}

/// What holds of one direction of a link now.
#[derive(Clone, Copy, Debug)]
pub(super) struct OnLink {
    pub(super) seed: u64,
    pub(super) cut: bool,
    pub(super) link: LinkFaults,
}

#[derive(Debug, Default)]
struct Script {
    all: LinkFaults,
    of: BTreeMap<(NodeId, NodeId), LinkFaults>,
    cuts: BTreeSet<(NodeId, NodeId)>,
    counts: FaultCounts,
    /// Of the ends that hold messages back.
    wakers: BTreeMap<NodeId, Waker>,
}

impl Faults {
    /// No faults at all, until they are set.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            script: Arc::default(),
        }
    }

    /// From now on every link does this, but those that were [set](Self::set) for themselves.
    pub fn set_all(&self, faults: LinkFaults) {
        self.change(|script| script.all = faults);
    }

    /// From now on the link does this, one way.
    pub fn set(&self, from: NodeId, to: NodeId, faults: LinkFaults) {
        self.change(|script| script.of.extend([((from, to), faults)]));
    }

    /// From now on nothing gets from `from` to `to`, and what is on its way is lost. The other direction is
    /// not touched.
    pub fn cut(&self, from: NodeId, to: NodeId) {
        self.cut_one_way(&[from], &[to]);
    }

    /// Undoes [`cut`](Self::cut).
    pub fn heal(&self, from: NodeId, to: NodeId) {
        self.change(|script| script.cuts.retain(|cut| *cut != (from, to)));
    }

    /// Nothing gets from one of `from` to one of `to` any more; the other way it does.
    pub fn cut_one_way(&self, from: &[NodeId], to: &[NodeId]) {
        self.change(|script| script.cuts.extend(pairs(from, to)));
    }

    /// Nothing gets from one side to the other any more, either way. Whoever is on neither side reaches both:
    /// a *bridge*.
    pub fn partition(&self, one_side: &[NodeId], other_side: &[NodeId]) {
        self.change(|script| {
            script.cuts.extend(pairs(one_side, other_side));
            script.cuts.extend(pairs(other_side, one_side));
        });
    }

    /// Undoes every cut. What links do else they go on doing.
    pub fn heal_all(&self) {
        self.change(|script| script.cuts.clear());
    }

    /// Undoes everything.
    pub fn clear(&self) {
        self.change(|script| {
            script.cuts.clear();
            script.of.clear();
            script.all = LinkFaults::NONE;
        });
    }

    /// Whether a link is cut, one way.
    #[must_use]
    pub fn is_cut(&self, from: NodeId, to: NodeId) -> bool {
        self.lock().cuts.contains(&(from, to))
    }

    /// What they have done so far.
    #[must_use]
    pub fn counts(&self) -> FaultCounts {
        self.lock().counts
    }

    pub(super) fn on(&self, from: NodeId, to: NodeId) -> OnLink {
        let script = self.lock();
        OnLink {
            seed: self.seed,
            cut: script.cuts.contains(&(from, to)),
            link: script.of.get(&(from, to)).copied().unwrap_or(script.all),
        }
    }

    pub(super) fn count(&self, count: impl FnOnce(&mut FaultCounts)) {
        count(&mut self.lock().counts);
    }

    /// The task of this end is woken when something changes; only that of the last call is.
    pub(super) fn wake_later(&self, end: NodeId, waker: &Waker) {
        self.lock().wakers.insert(end, waker.clone());
    }

    fn change(&self, change: impl FnOnce(&mut Script)) {
        let mut script = self.lock();
        change(&mut script);
        let wakers = std::mem::take(&mut script.wakers);
        drop(script);
        wakers.into_values().for_each(Waker::wake);
    }

    fn lock(&self) -> MutexGuard<'_, Script> {
        // No code runs under the lock that could leave it half changed.
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn pairs<'a>(from: &'a [NodeId], to: &'a [NodeId]) -> impl Iterator<Item = (NodeId, NodeId)> + 'a {
    from.iter()
        .flat_map(move |from| to.iter().map(move |to| (*from, *to)))
}
