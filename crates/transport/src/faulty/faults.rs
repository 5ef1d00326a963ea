//! The faults of each link, and the handle that changes them.

use crate::NodeId;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

/// The faults of a network's links, which may be changed at any time. Clones are handles to the same
/// faults.
///
/// One handle may serve all ends of a network in one process, or each process may have its own, with the same seed
/// or another.
#[derive(Clone, Debug)]
pub struct Faults {
    seed: u64,
    script: Arc<Mutex<Script>>,
}

/// The faults of one direction of a link.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LinkFaults {
    /// The probability that a message is lost, from 0 to 1.
    pub loss: f64,
    /// The probability that a message is sent twice, from 0 to 1.
    pub duplicate: f64,
    /// The probability that a message is delayed by [`reorder_by`](Self::reorder_by), so that later
    /// ones overtake it.
    pub reorder: f64,
    /// The extra delay of a reordered message.
    pub reorder_by: Duration,
    /// The least delay of each message. Delays alone do not reorder messages.
    pub delay_min: Duration,
    /// The greatest delay of each message.
    pub delay_max: Duration,
    /// The bandwidth. Messages that wait for it queue in their lanes, control before bulk.
    pub bytes_per_second: Option<u64>,
}

impl LinkFaults {
    /// No faults.
    pub const NONE: Self = Self {
        loss: 0.0,
        duplicate: 0.0,
        reorder: 0.0,
        reorder_by: Duration::ZERO,
        delay_min: Duration::ZERO,
        delay_max: Duration::ZERO,
        bytes_per_second: None,
    };

    /// Whether messages that are not lost are sent without delay.
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

/// Counts of injected faults, over all ends that share the handle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FaultCounts {
    /// Messages lost to a cut, when sent or in flight.
    pub cut: u64,
    /// Messages lost at random.
    pub lost: u64,
    /// Messages sent twice.
    pub duplicated: u64,
    /// Messages delayed so that others overtake them.
    pub reordered: u64,
    /// Messages lost because the queue of a delaying or bandwidth-limited link was full.
    pub overflowed: u64,
}

/// The current state of one direction of a link.
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
    /// The wakers of ends with delayed messages.
    wakers: BTreeMap<NodeId, Waker>,
}

impl Faults {
    /// No faults until they are set. `seed` decides every later draw.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            script: Arc::default(),
        }
    }

    /// Sets the faults of every link that was not [set](Self::set) individually.
    pub fn set_all(&self, faults: LinkFaults) {
        self.change(|script| script.all = faults);
    }

    /// Sets the faults of one direction of a link.
    pub fn set(&self, from: NodeId, to: NodeId, faults: LinkFaults) {
        self.change(|script| script.of.extend([((from, to), faults)]));
    }

    /// Drops all messages from `from` to `to` from now on, including those in flight. The other direction
    /// is not affected.
    pub fn cut(&self, from: NodeId, to: NodeId) {
        self.cut_one_way(&[from], &[to]);
    }

    /// Undoes [`cut`](Self::cut).
    pub fn heal(&self, from: NodeId, to: NodeId) {
        self.change(|script| script.cuts.retain(|cut| *cut != (from, to)));
    }

    /// Cuts every link from a node of `from` to a node of `to`; the opposite direction keeps
    /// working.
    pub fn cut_one_way(&self, from: &[NodeId], to: &[NodeId]) {
        self.change(|script| script.cuts.extend(pairs(from, to)));
    }

    /// Cuts every link between the two sides, in both directions. A node on neither side reaches both: a
    /// *bridge*.
    pub fn partition(&self, one_side: &[NodeId], other_side: &[NodeId]) {
        self.change(|script| {
            script.cuts.extend(pairs(one_side, other_side));
            script.cuts.extend(pairs(other_side, one_side));
        });
    }

    /// Undoes every cut. Other faults stay.
    pub fn heal_all(&self) {
        self.change(|script| script.cuts.clear());
    }

    /// Removes all cuts and faults.
    pub fn clear(&self) {
        self.change(|script| {
            script.cuts.clear();
            script.of.clear();
            script.all = LinkFaults::NONE;
        });
    }

    /// Whether this direction of a link is cut.
    #[must_use]
    pub fn is_cut(&self, from: NodeId, to: NodeId) -> bool {
        self.lock().cuts.contains(&(from, to))
    }

    /// The faults injected so far.
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

    /// Registers the task of this end to be woken when the faults change; only the last call's task
    /// is woken.
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
        // A poisoned lock is safe to use: no panic can leave the script partially changed.
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn pairs<'a>(from: &'a [NodeId], to: &'a [NodeId]) -> impl Iterator<Item = (NodeId, NodeId)> + 'a {
    from.iter()
        .flat_map(move |from| to.iter().map(move |to| (*from, *to)))
}
