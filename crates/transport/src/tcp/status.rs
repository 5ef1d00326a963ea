//! What a transport has done and how it stands.

use super::sendqueue::Lost;
use crate::{NodeId, Untrusted};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A look at a [`Tcp`](crate::Tcp): counters since the start, and how each peer stands now.
///
/// The parts were read one after the other while the transport went on, so they need not add up to
/// the last message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// Messages received.
    pub frames_in: u64,
    /// Their bytes.
    pub bytes_in: u64,
    /// Messages written to their end. Whether they arrived nobody knows.
    pub frames_out: u64,
    /// Bytes written.
    pub bytes_out: u64,
    /// Messages lost to a full or cleared control lane.
    pub control_dropped: u64,
    /// Messages lost to a full bulk lane.
    pub bulk_dropped: u64,
    /// Messages for a node that is no peer, or longer than a frame may be.
    pub unsendable: u64,
    /// Connections to peers that were established.
    pub connects: u64,
    /// Attempts to connect that failed, refusals not counted.
    pub connects_failed: u64,
    /// Connections that were given up because the peer showed no incarnation.
    pub silences: u64,
    /// Hellos this node refused, as acceptor or as dialer.
    pub hellos_refused: u64,
    /// Times a peer refused this node's hello.
    pub refused_by_peers: u64,
    /// Connections that began with something other than a hello, or with nothing in time.
    pub hellos_unreadable: u64,
    /// Connections that were closed because others came that had not said who they are either.
    pub handshakes_dropped: u64,
    /// Connections that were closed because of a frame that was corrupt or too long.
    pub frames_corrupt: u64,
    /// Attempts to accept a connection that failed: for want of a descriptor, most likely.
    pub accepts_failed: u64,
    /// Connections that ended because the other end was not believed to be the node that it should be, here or
    /// there, by the reason; those that did not come about are not there.
    pub untrusted: BTreeMap<Untrusted, u64>,
    /// Addresses of peers that were not dialed because others than this machine reach them, and how connections
    /// are protected was not chosen.
    pub unprotected: u64,
    /// Times the certificates were changed.
    pub reloads: u64,
    /// Times they were to be changed, and stayed what they were.
    pub reloads_failed: u64,
    /// CAs that it was told of, in however many sets, and that had expired when they were read: they are not believed.
    pub authorities_expired: u64,
    /// Connections that were made anew, each before the one that it replaces ended.
    pub renewals: u64,
    /// The peers, connected or not.
    pub peers: BTreeMap<NodeId, PeerStatus>,
}

/// How one peer stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerStatus {
    /// There is a connection on which to send to it.
    pub connected: bool,
    /// There is a connection on which it sends.
    pub accepted: bool,
    /// The bytes that wait to be written to it.
    pub queued_bytes: usize,
}

/// The counters, added to from every task; none of them orders anything.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) frames_in: AtomicU64,
    pub(crate) bytes_in: AtomicU64,
    pub(crate) frames_out: AtomicU64,
    pub(crate) bytes_out: AtomicU64,
    pub(crate) control_dropped: AtomicU64,
    pub(crate) bulk_dropped: AtomicU64,
    pub(crate) unsendable: AtomicU64,
    pub(crate) connects: AtomicU64,
    pub(crate) connects_failed: AtomicU64,
    pub(crate) silences: AtomicU64,
    pub(crate) hellos_refused: AtomicU64,
    pub(crate) refused_by_peers: AtomicU64,
    pub(crate) hellos_unreadable: AtomicU64,
    pub(crate) handshakes_dropped: AtomicU64,
    pub(crate) frames_corrupt: AtomicU64,
    pub(crate) accepts_failed: AtomicU64,
    /// By the place of the reason.
    pub(crate) untrusted: [AtomicU64; Untrusted::ALL.len()],
    pub(crate) unprotected: AtomicU64,
    pub(crate) reloads: AtomicU64,
    pub(crate) reloads_failed: AtomicU64,
    pub(crate) authorities_expired: AtomicU64,
    pub(crate) renewals: AtomicU64,
}

/// One more.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

impl Counters {
    pub(crate) fn untrusted(&self, reason: Untrusted) {
        count(&self.untrusted[reason as usize]);
    }

    pub(crate) fn sent(&self, frames: u64, bytes: usize) {
        self.frames_out.fetch_add(frames, Relaxed);
        self.bytes_out.fetch_add(bytes as u64, Relaxed);
    }

    pub(crate) fn received(&self, bytes: usize) {
        self.frames_in.fetch_add(1, Relaxed);
        self.bytes_in.fetch_add(bytes as u64, Relaxed);
    }

    pub(crate) fn expired(&self, authorities: u64) {
        self.authorities_expired.fetch_add(authorities, Relaxed);
    }

    pub(crate) fn lost(&self, lost: Lost) {
        if lost != Lost::default() {
            self.control_dropped.fetch_add(lost.control, Relaxed);
            self.bulk_dropped.fetch_add(lost.bulk, Relaxed);
        }
    }

    pub(crate) fn status(&self, peers: BTreeMap<NodeId, PeerStatus>) -> Status {
        Status {
            frames_in: self.frames_in.load(Relaxed),
            bytes_in: self.bytes_in.load(Relaxed),
            frames_out: self.frames_out.load(Relaxed),
            bytes_out: self.bytes_out.load(Relaxed),
            control_dropped: self.control_dropped.load(Relaxed),
            bulk_dropped: self.bulk_dropped.load(Relaxed),
            unsendable: self.unsendable.load(Relaxed),
            connects: self.connects.load(Relaxed),
            connects_failed: self.connects_failed.load(Relaxed),
            silences: self.silences.load(Relaxed),
            hellos_refused: self.hellos_refused.load(Relaxed),
            refused_by_peers: self.refused_by_peers.load(Relaxed),
            hellos_unreadable: self.hellos_unreadable.load(Relaxed),
            handshakes_dropped: self.handshakes_dropped.load(Relaxed),
            frames_corrupt: self.frames_corrupt.load(Relaxed),
            accepts_failed: self.accepts_failed.load(Relaxed),
            untrusted: Untrusted::ALL
                .into_iter()
                .map(|reason| (reason, self.untrusted[reason as usize].load(Relaxed)))
                .filter(|(_, times)| *times > 0)
                .collect(),
            unprotected: self.unprotected.load(Relaxed),
            reloads: self.reloads.load(Relaxed),
            reloads_failed: self.reloads_failed.load(Relaxed),
            authorities_expired: self.authorities_expired.load(Relaxed),
            renewals: self.renewals.load(Relaxed),
            peers,
        }
    }
}
