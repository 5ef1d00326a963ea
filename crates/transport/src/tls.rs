//! Mutual TLS: what a node shows of itself, and whom it believes. Bytes in and bytes out, no socket.
//!
//! A certificate is of a node when it has the node's name among its alternative names: see [`node_name`]. Each
//! of two nodes shows one, and the CA's of the other decide whether it is believed; what rustls' own verifiers
//! check is checked, and nothing is left to a verifier of ours. Version 1.3 alone is spoken. No session is
//! resumed and nothing is sent before the handshake has ended, so a connection is never older than the
//! certificates that it was made with.

mod config;
mod names;
mod sealed;
mod suite;

pub use config::{Clock, TlsConfig, TlsError};
pub use names::node_name;
pub(crate) use sealed::{Failure, Sealed};
pub(crate) use suite::{End, Suite};
