//! Mutual TLS: a node's certificate and the CAs it trusts. Bytes in and bytes out, no socket.
//!
//! A certificate belongs to a node when the node's name is among its subject alternative names: see
//! [`node_name`]. Both nodes present one, which the other verifies against its CAs with rustls' own verifiers;
//! this crate has none of its own. Only TLS 1.3 is used. Sessions are not resumed and nothing is sent before
//! the handshake is complete, so every connection was verified with a full handshake.

mod config;
mod names;
mod sealed;
mod suite;

pub use config::{Clock, TlsConfig, TlsError};
pub use names::node_name;
pub(crate) use sealed::{Failure, Sealed};
pub(crate) use suite::{End, Suite};
