//! Message passing between the nodes of a cluster: one trait, a network in memory, and TCP.
//!
//! # Problem
//!
//! A consensus protocol wants little of a network: that a message, if it arrives, is the one that
//! was sent, by the node it names. It lives with loss, repetition and reordering, because crashes
//! bring these anyway. What it cannot live with is waiting: a slow peer must not hold up a fast
//! one, a snapshot must not delay a heartbeat, and nothing may grow without bound while somebody
//! does not listen.
//!
//! # What is promised, and what not
//!
//! | a message may | a message never |
//! |---|---|
//! | be lost: at a full lane, a broken stream, a cut link | arrives changed: TLS tells, and else CRC-32C (not malice) |
//! | arrive twice | arrives in part |
//! | overtake another, of its own lane too | arrives under another node's name: TLS tells, and else nobody may lie |
//! | wait while its peer is away | makes its sender wait, or takes memory beyond a limit |
//!
//! Frames and hello are of format version 0, which is unstable.
//!
//! # What protects it
//!
//! Nothing is chosen for anybody ([`Security`]). A node that was told nothing speaks plain TCP and stays on its
//! machine: it listens at loopback and dials loopback, however an address is written and wherever a name leads.
//! Where [`Security::Insecure`] was said, whoever can reach a port can take any name.
//!
//! With feature `tls` and `Security::Tls` each connection is of TLS 1.3, and each end shows a certificate:
//!
//! - The certificate of a node names it by a DNS name, `n3.c1.synod.internal` for node 3 of cluster 1. Who dials
//!   asks for that name. Who accepts hears nobody who has no such name in this cluster, a client of the same CA
//!   neither, and holds it against the hello.
//! - Chains, times and revocation lists are checked by rustls' own verifiers, when a connection is made and while
//!   it stands. Whoever is refused is counted by the reason ([`Untrusted`]), told in the log, and not heard.
//! - No session is resumed, and nothing is sent before both have shown who they are.
//! - Certificates change without a restart (`Tcp::reloader`): new connections are made before the old ones end, and
//!   only those are dropped whom the new CAs and lists refuse. A reload that fails changes nothing.
//! - Sealing happens in [`Transport::flush`], on the caller's thread. At most one record (16 KiB) is sealed ahead of
//!   the socket, so that control overtakes bulk as it does without.
//!
//! The feature `ring`, on by default, brings the cryptography; with `tls` alone the process' default provider of
//! rustls is used, whichever it is (`aws-lc-rs`, for one).
//!
//! # The loop
//!
//! The owner of a [`Transport`] says what a turn of its loop has to say, then lets it go, then
//! listens:
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
//! - Each node dials every peer and sends on what it dialed; what it accepted it reads. See
//!   [`Tcp`].
//! - Waking another thread costs more than writing to a socket, so [`Transport::flush`] writes from
//!   the caller's thread.
//! - A frame that was begun is finished before another begins. All else is overtaken by control: a
//!   sender that cuts its bulk into pieces keeps its heartbeats quick.
//! - When a stream breaks, its half-written frame and the control lane are lost and bulk stays.
//!   Control says what is true now, which after a break it no longer does; bulk is what the peer
//!   will need all the same.
//! - A [`Hello`] names cluster, node, disk and boot. Who does not fit is told why ([`Refused`]). An
//!   earlier incarnation of a peer is refused; a later one takes the place of the earlier; and a peer that
//!   shows itself is dialed at once.
//! - Anybody can say a hello. One of an incarnation that was not met yet counts only when the peer says at the
//!   address that it is known by, and is asked at for this, that it is its own: so a node's address in
//!   [`TcpConfig::peers`] must lead to it from each of its peers.
//! - Peers may be added, removed and moved while the node runs ([`Transport::set_peers`]). Those that stay keep
//!   their connections; their names are looked up each time they are dialed.
//! - The dialer owns the connection: hearing no pulse for a while it gives up and dials again, so
//!   that a partition ends when it ends and not when TCP's next retransmission is due.
//!
//! # Features
//!
//! - `async-trait`: networks that are `async`, adapted both ways (`async_transport::AsyncTransport`).
//! - `faulty`: links that fail on purpose, around any transport (`faulty::Faulty`).
//!
//! # What is left out
//!
//! Delivery, order and deduplication are the protocol's affair.
//! Who may have crashed is guessed by the [`detector`]s, which go with any transport.

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
    Admit, BindError, Doubt, HEARD_OUT_SOCKETS_MAX, Listen, Monitor, PeerStatus, Security, Status,
    Tcp, TcpConfig, shared_address,
};
#[cfg(feature = "tls")]
pub use tls::{TlsConfig, TlsError};
pub use transport::Transport;
pub use untrusted::Untrusted;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
