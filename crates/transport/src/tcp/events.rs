//! The log events of the transport, rate-limited by event and source.
//!
//! | event | level | logged when |
//! |---|---|---|
//! | `peer_reached` | info | a connection to a peer is established: messages can be sent to it |
//! | `peer_unreachable` | info | the first attempt to connect after a connection failed, with the reason |
//! | `peer_lost` | info | a connection to a peer has ended |
//! | `peer_silent` | warn | a peer sent no pulse for `silence_max`: the connection is closed |
//! | `peer_came` | info | a peer has connected: messages can be received from it |
//! | `peer_left` | info | a peer's connection has ended |
//! | `refused_by_peer` | warn | a peer refuses this node, with the reason |
//! | `own_address` | warn | the address of a peer leads to this node, or to another with the same id |
//! | `hello_refused` | warn | this node refused a hello, with the reason |
//! | `peer_twice` | error | a later incarnation of a peer connected while the earlier one lives: a copied disk |
//! | `peer_put_back` | error | a peer's address has an earlier incarnation than the known one, or a copy |
//! | `own_twin` | error | another incarnation of this node has connected to a peer: this node's disk was copied |
//! | `stranger` | info | a connection sent something other than a hello, or nothing in time |
//! | `untrusted` | warn | the other end of a connection has not authenticated as the expected node, with the reason |
//! | `distrusted` | warn | a peer's certificate is no longer trusted: its connection is closed |
//! | `authority_expired` | warn | configured CAs have expired and are not trusted |
//! | `peer_renewed` | info | a connection to a peer was renewed, with other certificates |
//! | `unprotected` | error | a peer's address is on another machine, and `TcpConfig::security` is not set |
//! | `stream_corrupt` | warn | a peer's stream is corrupt |
//! | `admit_panicked` | error | the callback that admits peers panicked, with the message |
//! | `task_ended` | error | a task of the transport panicked or was ended by its runtime: the transport is closed |
//! | `accept_failed` | warn | no connection can be accepted: out of descriptors, most likely |
//!
//! A source is a peer, or an address without its port. The first line after suppressed ones has
//! their number. [`Status`](super::Status) counts all events.

use std::any::Any;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::{LineLimit, NodeId};

/// The peer or address that an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    Peer(NodeId),
    Address(IpAddr),
    Here,
}

/// Decides which lines are written.
#[derive(Debug)]
pub(crate) struct Lines {
    epoch: Instant,
    limit: Mutex<LineLimit<(&'static str, Source)>>,
}

impl Lines {
    pub(crate) fn new() -> Self {
        Self {
            epoch: Instant::now(),
            limit: Mutex::new(LineLimit::new(LINES_MAX, WINDOW, SOURCES_MAX)),
        }
    }

    /// `Some`: write the line, with this number of suppressed lines before it.
    pub(crate) fn admit(&self, event: &'static str, source: Source) -> Option<u64> {
        let mut limit = self.limit.lock().unwrap_or_else(PoisonError::into_inner);
        limit.admit(self.epoch.elapsed(), (event, source))
    }
}

/// Logs an event, unless its source is over the limit.
macro_rules! tell {
    ($shared:expr, $level:ident, $event:literal, $source:expr, $($rest:tt)*) => {
        if let Some(suppressed) = $shared.lines.admit($event, $source) {
            tracing::$level!(event = $event, suppressed, $($rest)*);
        }
    };
}
pub(crate) use tell;

/// The message of a panic, if it has one.
pub(crate) fn what_panicked(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without a message")
}

/// The most lines of one event and source in each [`WINDOW`].
const LINES_MAX: u32 = 3;
const WINDOW: Duration = Duration::from_secs(10);
/// The most pairs of event and source that are counted separately.
const SOURCES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    /// The table above lists exactly the logged events, with their levels.
    #[test]
    fn the_table_has_what_is_told() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tcp");
        let mut told = BTreeSet::new();
        for file in std::fs::read_dir(folder).expect("the sources") {
            let source = std::fs::read_to_string(file.expect("a file").path()).expect("a text");
            // The arguments are the owner, the level, and the event.
            for call in source.split(concat!("tell", "!(")).skip(1) {
                let words: Vec<&str> = call.splitn(4, ',').map(str::trim).collect();
                told.insert((words[2].trim_matches('"').to_owned(), words[1].to_owned()));
            }
        }
        let rows = include_str!("events.rs").lines();
        let rows = rows.filter_map(|line| line.strip_prefix("//! | `"));
        let table: BTreeSet<_> = rows
            .map(|row| {
                let (event, rest) = row.split_once("` | ").expect("an event");
                let (level, _) = rest.split_once(" | ").expect("a level");
                (event.to_owned(), level.to_owned())
            })
            .collect();
        assert_eq!(told, table);
    }
}
