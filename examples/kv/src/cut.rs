//! Why a connection ended that nobody closed, and what its client is told.

use std::{
    io,
    net::{IpAddr, Ipv6Addr},
};

/// Why the server ended a connection, or lost it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Cut {
    #[error(transparent)]
    Socket(#[from] io::Error),
    #[error("it held the most when bytes ran out")]
    Bytes,
    #[error("it was idle when seats ran out")]
    GaveWay,
    #[error("it had no seat, and others came")]
    Rejected,
    #[error("it did not send the rest of a request in time")]
    HalfRequest,
    #[error("it did not take its answers in time")]
    Unread,
    #[error("it was idle for too long")]
    Idle,
}

impl Cut {
    /// What to say where it would be taken for the answer to what the client waits for. Nothing to one
    /// that waits for none: it would take it for the answer to what it asks next.
    pub(crate) fn last_word(&self) -> Option<&'static [u8]> {
        match self {
            Self::Rejected => Some(NO_PLACE),
            Self::HalfRequest => Some(b"-ERR the rest of the request did not come in time\r\n"),
            Self::Socket(_) | Self::Bytes | Self::GaveWay | Self::Unread | Self::Idle => None,
        }
    }
}

/// Whom an address belongs to: with version 6 a host has 64 bits of addresses for itself.
pub(crate) fn host(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let prefix = u128::from(address) & !u128::from(u64::MAX);
            Ipv6Addr::from(prefix).into()
        }
        address => address,
    }
}

/// To whoever gets no place.
pub(crate) const NO_PLACE: &[u8] = b"-ERR max number of clients reached\r\n";
