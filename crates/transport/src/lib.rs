//! Message passing between the nodes of a cluster: one trait, a network in memory, and TCP.
//!
//! # Problem
//!
//! A consensus protocol needs little from a network: a message that arrives must be the one that
//! was sent, by the node it names. Loss, duplication and reordering are tolerated, because crashes
//! cause them anyway. Blocking is not: a slow peer must not delay a fast one, a snapshot must not
//! delay a heartbeat, and no queue may grow without bound while a peer does not read.
//!
//! # Guarantees
//!
//! | a message may | a message never |
//! |---|---|
//! | be lost: at a full lane, a broken stream, a cut link | arrives corrupted, by TLS or else CRC-32C (accidents) |
//! | arrive twice | arrives truncated |
//! | overtake another, even in its own lane | arrives under another node's id, by TLS or if nodes are honest |
//! | wait while its peer is disconnected | blocks its sender, or uses memory beyond a limit |
//!
//! The format of frames and hello is version 1 and not stable yet.
//!
//! # Security
//!
//! There is no default ([`Security`]). Until one is chosen, a node speaks plain TCP on loopback only: it
//! neither listens nor dials elsewhere, whatever form an address has and whatever a name resolves to. With
//! [`Security::Insecure`], anyone who can reach a port can impersonate any node.
//!
//! With feature `tls` and `Security::Tls` each connection uses TLS 1.3, and each end presents a
//! certificate:
//!
//! - The certificate of a node names it by a DNS name, `n3.c1.synod.internal` for node 3 of cluster 1. The
//!   dialer requires that name. The acceptor rejects a certificate without such a name in this cluster, such as
//!   a client's of the same CA, and compares the name with the hello.
//! - Rustls' own verifiers check chains, validity periods and revocation lists when a connection is made and
//!   while it is open. A rejected peer is counted by the reason ([`Untrusted`]) and logged; nothing it sends is
//!   processed.
//! - Sessions are not resumed, and nothing is sent before both ends are authenticated.
//! - Certificates change without a restart (`Tcp::reloader`): new connections are made before the old ones close,
//!   and only those that the new CAs and lists reject are dropped. A reload that fails changes nothing.
//! - Encryption happens in [`Transport::flush`], on the caller's thread. At most one record (16 KiB) is encrypted
//!   ahead of the socket, so that control overtakes bulk as it does without TLS.
//!
//! The feature `ring`, on by default, provides the cryptography; with `tls` alone the process' default rustls
//! provider is used (for example `aws-lc-rs`).
//!
//! # The loop
//!
//! In each turn of its loop the owner of a [`Transport`] queues messages, flushes them, and polls
//! for received ones:
//!
//! ```
//! use std::future::poll_fn;
//! use synod_transport::{Lane, NodeId, Parcel, Transport};
//!
//! async fn echo(mut transport: impl Transport) {
//!     while let Some((from, message)) = poll_fn(|cx| transport.poll_recv(cx)).await {
//!         transport.send(from, Lane::Control, Parcel::from(message));
//!         transport.flush();
//!     }
//! }
//! ```
//!
//! # How TCP carries it
//!
//! ```text
//!  owner's thread                                                                   peer
//!  send ──> control ▒▒▒░  drops the oldest ─┐  flush writes what the
//!           bulk    ▒▒▒▒  refuses the newest┴─ stream takes, control first ──────> frames ──> poll_recv
//!                                           └─ a task writes the rest                 one inbox for each peer,
//!                                              when the stream takes more             full: not read, TCP pushes back
//!
//!  connection:  dial ── hello ──> judge ── hello or refusal ──> judge ── frames ──>  ... <── pulses ──
//!
//!  frame:       ├ length u32 ┼ CRC-32C of payload ┼ CRC-32C of the 8 bytes before ┼ payload ┤    little endian
//! ```
//!
//! - Each node dials every peer. It sends on the connections it dialed and reads from those it
//!   accepted. See [`Tcp`].
//! - Waking another thread costs more than writing to a socket, so [`Transport::flush`] writes from
//!   the caller's thread.
//! - A frame that was started is finished before another starts. Control overtakes everything else,
//!   so a sender that splits bulk data into small messages keeps heartbeats prompt.
//! - When a stream breaks, its partially written frame and the control lane are lost and bulk is
//!   kept. Control messages describe the current state and are stale after a break; the peer still
//!   needs the bulk data.
//! - A [`Hello`] carries cluster, node, disk and boot. A peer that does not match is sent the reason
//!   ([`Refused`]). An earlier incarnation of a peer is refused, a later one replaces the earlier, and a
//!   peer that connects is dialed back at once.
//! - A hello can be forged. One with a new incarnation is accepted only after the peer, queried at its
//!   configured address, confirms it. A node's address in [`TcpConfig::peers`] must therefore lead to it from
//!   each of its peers.
//! - Peers may be added, removed and moved while the node runs ([`Transport::set_peers`]). Those that stay keep
//!   their connections; their names are looked up each time they are dialed.
//! - The dialer owns the connection: when it receives no pulse for a while it closes it and dials
//!   again, so that traffic resumes as soon as a partition heals and not when TCP's next
//!   retransmission is due.
//!
//! # Features
//!
//! - `async-trait`: adapters between transports and `async` networks, both ways
//!   (`async_transport::AsyncTransport`).
//! - `faulty`: fault injection around any transport (`faulty::Faulty`).
//!
//! # Out of scope
//!
//! Reliable delivery, ordering and deduplication are left to the protocol. The failure
//! [`detector`]s, which work with any transport, report which peers may have crashed.

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "async-trait")]
pub mod async_transport;
mod backoff;
pub mod detector;
mod draws;
#[cfg(feature = "faulty")]
pub mod faulty;
pub mod frame;
pub mod hello;
mod line_limit;
mod memory;
mod message;
mod outbox;
mod tcp;
#[cfg(feature = "tls")]
pub mod tls;
mod transport;
mod untrusted;

pub use hello::{ClusterId, DiskId, Founding, Hello, LastIncarnation, Refused};
pub use line_limit::LineLimit;
pub use memory::{Memory, MemoryNetwork};
pub use message::{Lane, NodeId, Parcel};
pub use outbox::LaneLimits;
#[cfg(feature = "tls")]
pub use tcp::Reload;
pub use tcp::{
    Admit, BindError, HEARD_OUT_SOCKETS_MAX, Listen, Monitor, OnRollback, PeerStatus, Security,
    Status, Tcp, TcpConfig, shared_address,
};
#[cfg(feature = "tls")]
pub use tls::{TlsConfig, TlsError};
pub use transport::Transport;
pub use untrusted::Untrusted;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
