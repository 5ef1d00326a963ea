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
    #[error("it held the most when all clients together needed more than --clients-bytes-max")]
    Bytes,
    #[error("it gave its seat to another: there are --clients-max")]
    GaveWay,
    #[error("it had no seat, of which there are --clients-max, and others came")]
    Rejected,
    #[error("it did not send the rest of a request in time (--client-stall-ms)")]
    HalfRequest,
    #[error("it did not take its answers in time (--client-stall-ms)")]
    Unread,
    #[error(
        "it sent more than a quarter of --clients-bytes-max, or without the password than some KiB, before it read \
         the answers"
    )]
    Ahead,
    #[error("it did not say the password in time (--client-stall-ms)")]
    Stranger,
    #[error("it was idle for longer than --client-idle-ms")]
    Idle,
}

impl Cut {
    /// What to say where it would be taken for the answer to what the client waits for. Nothing to one
    /// that waits for none: it would take it for the answer to what it asks next.
    pub(crate) fn last_word(&self) -> Option<&'static [u8]> {
        match self {
            Self::Rejected => Some(NO_PLACE),
            Self::HalfRequest => {
                Some(b"-ERR the rest of the request did not come in time (--client-stall-ms)\r\n")
            }
            Self::Bytes => Some(
                b"-ERR all clients together would hold more than --clients-bytes-max: nothing of this request was \
                done\r\n",
            ),
            // Whoever sent too much ahead was told behind its answers.
            Self::Socket(_) | Self::GaveWay | Self::Unread | Self::Ahead | Self::Idle | Self::Stranger => None,
        }
    }

    /// Whose lines are counted together.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Socket(_) => "socket",
            Self::Bytes => "bytes",
            Self::GaveWay => "gave way",
            Self::Rejected => "rejected",
            Self::HalfRequest => "half request",
            Self::Unread => "unread",
            Self::Ahead => "ahead",
            Self::Idle => "idle",
            Self::Stranger => "stranger",
        }
    }

    /// Whether it is worth a line: what a client's own end or network does is not.
    pub(crate) fn is_ours(&self) -> bool {
        !matches!(self, Self::Socket(_))
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

/// To whoever gets no place among `--clients-max`: to the letter what Redis says, because clients know it by
/// these words and try again.
pub(crate) const NO_PLACE: &[u8] = b"-ERR max number of clients reached\r\n";
/// To whoever comes from an address that has as many connections as it may have.
pub(crate) const NO_PLACE_FOR_ADDRESS: &[u8] =
    b"-ERR this address has as many clients as one may have (--clients-per-address-max)\r\n";
