//! A bound on what is held for each peer, in bytes and messages.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use synod_transport::NodeId;
use tokio::sync::Notify;

/// Counts what is held for each peer against the same bound.
///
/// Invariants:
/// - for each peer, the sum of all [`Held`] is within the bound, or one message is held, of any length;
/// - a peer for which nothing is held has no entry;
/// - whoever was refused is woken when something for the same peer is no longer held.
pub(super) struct Quota {
    bytes_max: usize,
    messages_max: usize,
    used: Mutex<BTreeMap<NodeId, Used>>,
    /// Woken when there is room again for a peer for which there was none.
    room: Option<Arc<Notify>>,
}

#[derive(Default)]
struct Used {
    bytes: usize,
    messages: usize,
    refused: bool,
}

/// A message's part of a [`Quota`], given back when this is dropped.
pub(super) struct Held {
    quota: Arc<Quota>,
    peer: NodeId,
    bytes: usize,
}

impl Quota {
    pub(super) fn new(bytes_max: usize, messages_max: usize) -> Self {
        Self {
            bytes_max,
            messages_max,
            used: Mutex::default(),
            room: None,
        }
    }

    /// The same, which wakes whoever was refused.
    pub(super) fn waking(bytes_max: usize, messages_max: usize, room: Arc<Notify>) -> Self {
        Self {
            room: Some(room),
            ..Self::new(bytes_max, messages_max)
        }
    }

    /// Room for a message of `bytes`, if there is any. An empty queue has room for any message.
    pub(super) fn take(self: &Arc<Self>, peer: NodeId, bytes: usize) -> Option<Held> {
        let mut used = self.lock();
        let of_peer = used.entry(peer).or_default();
        let fits = of_peer.messages < self.messages_max
            && of_peer.bytes.saturating_add(bytes) <= self.bytes_max;
        if of_peer.messages > 0 && !fits {
            of_peer.refused = true;
            return None;
        }
        of_peer.messages += 1;
        of_peer.bytes = of_peer.bytes.saturating_add(bytes);
        let quota = self.clone();
        Some(Held { quota, peer, bytes })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<NodeId, Used>> {
        // Nothing under the lock panics.
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut used = self.quota.lock();
        let Some(of_peer) = used.get_mut(&self.peer) else {
            debug_assert!(false, "what is held has an entry");
            return;
        };
        of_peer.messages -= 1;
        of_peer.bytes = of_peer.bytes.saturating_sub(self.bytes);
        let was_refused = std::mem::take(&mut of_peer.refused);
        if of_peer.messages == 0 {
            used.remove(&self.peer);
        }
        drop(used);
        if let Some(room) = self.quota.room.as_ref().filter(|_| was_refused) {
            room.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: NodeId = NodeId(1);
    const TWO: NodeId = NodeId(2);

    #[test]
    fn both_bounds_apply_to_each_peer_by_itself() {
        let quota = Arc::new(Quota::new(10, 3));
        let six = quota.take(ONE, 6);
        assert!(six.is_some() && quota.take(ONE, 5).is_none(), "bytes");
        let four = quota.take(ONE, 4);
        let none = quota.take(ONE, 0);
        assert!(four.is_some() && none.is_some());
        assert!(quota.take(ONE, 0).is_none(), "messages");
        assert!(quota.take(TWO, 10).is_some(), "of another peer");
        drop(four);
        assert!(quota.take(ONE, 5).is_none());
        assert!(quota.take(ONE, 4).is_some());
        drop((six, none));
        assert!(quota.lock().is_empty(), "nothing is held");
    }

    #[test]
    fn an_empty_queue_has_room_for_any_message() {
        let quota = Arc::new(Quota::new(10, 0));
        let held = quota.take(ONE, 11);
        assert!(held.is_some() && quota.take(ONE, 0).is_none());
        drop(held);
        assert!(quota.take(ONE, usize::MAX).is_some());
    }

    #[tokio::test]
    async fn who_was_refused_is_woken() {
        let room = Arc::new(Notify::new());
        let quota = Arc::new(Quota::waking(10, 10, room.clone()));
        let woken = |room: &Arc<Notify>| {
            let mut woken = Box::pin(room.clone().notified_owned());
            woken.as_mut().enable()
        };
        let (all, other) = (quota.take(ONE, 10), quota.take(TWO, 10));
        drop(quota.take(ONE, 1));
        drop(other);
        assert!(!woken(&room), "it was of another peer");
        drop(all);
        assert!(woken(&room), "there is room, and nobody was woken");
        drop(quota.take(ONE, 10));
        assert!(!woken(&room), "nobody was refused");
    }
}
