//! What the transport tells whoever reads the log: of each event a few lines a source in a while.
//!
//! | event | level | told when |
//! |---|---|---|
//! | `peer_reached` | info | a connection to a peer stands: it can be sent to |
//! | `peer_unreachable` | info | the first attempt failed since the peer could be sent to, and why |
//! | `peer_lost` | info | a connection to a peer has ended |
//! | `peer_silent` | warn | a peer took what was sent and showed no incarnation: the connection is given up |
//! | `peer_came` | info | a peer has connected: it can be heard |
//! | `peer_left` | info | a peer's connection has ended |
//! | `refused_by_peer` | warn | a peer does not want to talk to this node, and why |
//! | `own_address` | warn | the address of a peer leads to this node, or to another that runs under its name |
//! | `hello_refused` | warn | this node does not want to talk to whoever said hello, and why |
//! | `peer_twice` | error | a later incarnation of a peer came while the earlier one lives: its disk was copied |
//! | `peer_put_back` | error | at a peer's address is an earlier incarnation of its disk than was met, or a copy |
//! | `own_twin` | error | a peer has met another incarnation of this node: its disk was copied |
//! | `stranger` | info | somebody said something other than a hello, or nothing in time |
//! | `untrusted` | warn | whoever is at the other end has not shown that it is the node that it should be, and why |
//! | `distrusted` | warn | a peer's certificate is not believed any more: its connection ends |
//! | `authority_expired` | warn | CAs that this node was told of have expired and are not believed |
//! | `peer_renewed` | info | a connection to a peer was made anew, with other certificates |
//! | `unprotected` | error | a peer's address is off this machine, and how connections are protected was not chosen |
//! | `stream_corrupt` | warn | what a peer sends is damaged |
//! | `admit_panicked` | error | whoever was asked whether a peer is welcome panicked, and with which words |
//! | `task_ended` | error | a task of the transport panicked, or its runtime ended it: the transport has ended |
//! | `accept_failed` | warn | no connection can be accepted: out of descriptors, most likely |
//!
//! A source is a peer, or an address without its port. The line that follows others which were not
//! written says how many. All of them are counted in [`Status`](super::Status) as well.

use std::any::Any;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::{LineLimit, NodeId};

/// Whom an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    Peer(NodeId),
    Address(IpAddr),
    Here,
}

/// Says which lines are written.
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

    /// `Some`: write it, and say how many were not written before it.
    pub(crate) fn admit(&self, event: &'static str, source: Source) -> Option<u64> {
        let mut limit = self.limit.lock().unwrap_or_else(PoisonError::into_inner);
        limit.admit(self.epoch.elapsed(), (event, source))
    }
}

/// Writes a line with its event, unless there were enough of them.
macro_rules! tell {
    ($shared:expr, $level:ident, $event:literal, $source:expr, $($rest:tt)*) => {
        if let Some(suppressed) = $shared.lines.admit($event, $source) {
            tracing::$level!(event = $event, suppressed, $($rest)*);
        }
    };
}
pub(crate) use tell;

/// The words of a panic, as far as they are words.
pub(crate) fn what_panicked(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without words")
}

/// Lines of one event and source in each [`WINDOW`].
const LINES_MAX: u32 = 3;
const WINDOW: Duration = Duration::from_secs(10);
/// Pairs of an event and a source that are told apart.
const SOURCES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    /// The table above is what people read: it has each event that is told, at its level, and no other.
    #[test]
    fn the_table_has_what_is_told() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tcp");
        let mut told = BTreeSet::new();
        for file in std::fs::read_dir(folder).expect("the sources") {
            let source = std::fs::read_to_string(file.expect("a file").path()).expect("a text");
            // What follows is for whom, at which level, and the event.
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
