//! Counters and state of a transport.

use super::sendqueue::Lost;
use crate::{NodeId, Untrusted};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A snapshot of a [`Tcp`](crate::Tcp): counters since the start, and the current state of each
/// peer.
///
/// The fields are read one after the other while the transport is running, so they are only
/// approximately consistent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// Messages received.
    pub frames_in: u64,
    /// Bytes of received messages.
    pub bytes_in: u64,
    /// Messages written completely. They may still be lost.
    pub frames_out: u64,
    /// Bytes written.
    pub bytes_out: u64,
    /// Messages lost to a full or cleared control lane.
    pub control_dropped: u64,
    /// Messages lost to a full bulk lane.
    pub bulk_dropped: u64,
    /// Messages addressed to a node that is not a peer, or longer than `frame_bytes_max`.
    pub unsendable: u64,
    /// Connections to peers that were established.
    pub connects: u64,
    /// Attempts to connect that failed, refusals not counted.
    pub connects_failed: u64,
    /// Connections closed because no pulse arrived within `silence_max`.
    pub silences: u64,
    /// Hellos this node refused, as acceptor or as dialer.
    pub hellos_refused: u64,
    /// Times a peer refused this node's hello.
    pub refused_by_peers: u64,
    /// Connections that began with something other than a hello, or with nothing in time.
    pub hellos_unreadable: u64,
    /// Connections without a hello that newer ones displaced.
    pub handshakes_dropped: u64,
    /// Connections that were closed because of a frame that was corrupt or too long.
    pub frames_corrupt: u64,
    /// Failed attempts to accept a connection, most likely for lack of file descriptors.
    pub accepts_failed: u64,
    /// Connections closed because either end did not trust the other, by reason; reasons that never occurred
    /// are absent.
    pub untrusted: BTreeMap<Untrusted, u64>,
    /// Times a peer was not dialed because its address is on another machine and
    /// [`TcpConfig::security`](crate::TcpConfig::security) is not set.
    pub unprotected: u64,
    /// Times the certificates were changed.
    pub reloads: u64,
    /// Failed reloads, which left the certificates unchanged.
    pub reloads_failed: u64,
    /// Configured CAs, over all reloads, that had expired when they were read and are therefore not trusted.
    pub authorities_expired: u64,
    /// Connections that were renewed, each before the one that it replaces was closed.
    pub renewals: u64,
    /// The peers, connected or not.
    pub peers: BTreeMap<NodeId, PeerStatus>,
}

/// The state of one peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerStatus {
    /// There is a connection on which to send to it.
    pub connected: bool,
    /// There is a connection on which it sends.
    pub accepted: bool,
    /// Bytes queued for it.
    pub queued_bytes: usize,
}

/// The counters, incremented by every task with relaxed ordering.
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
    /// Indexed by the position of the reason in [`Untrusted::ALL`].
    pub(crate) untrusted: [AtomicU64; Untrusted::ALL.len()],
    pub(crate) unprotected: AtomicU64,
    pub(crate) reloads: AtomicU64,
    pub(crate) reloads_failed: AtomicU64,
    pub(crate) authorities_expired: AtomicU64,
    pub(crate) renewals: AtomicU64,
}

/// Increments a counter.
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
