//! Three replicas in one thread.

use std::collections::VecDeque;
use std::convert::Infallible;

use bytes::Bytes;
use synod_raft::{
    Config, Entry, Envelope, Instant, LogId, Message, NodeId, Output, Raft, Recovered, Role, Write,
};

/// A Raft group of three whose messages are values and whose disks are done at once.
///
/// Events are handled one at a time, in the order in which they came up, as by three loops that take
/// turns: a write ends, or a message arrives, and then the node says all that it has to say. Time
/// stands still, so nobody campaigns and no heartbeat is sent.
///
/// ```
/// let mut trio = synod_benches::Trio::elected();
/// trio.replicate(1000, 64, &bytes::Bytes::from_static(b"command"));
/// ```
#[derive(Debug)]
pub struct Trio {
    nodes: Vec<Raft>,
    /// Entries that each machine was given.
    applied: [u64; 3],
    events: VecDeque<Event>,
    now: Instant,
}

#[derive(Debug)]
enum Event {
    Arrived(NodeId, NodeId, Message),
    Written(usize, Write),
}

impl Trio {
    /// Three nodes, of which the first leads.
    ///
    /// # Panics
    /// When the core does not elect it, which would be a bug there.
    #[must_use]
    pub fn elected() -> Self {
        let nodes = [1, 2, 3].map(|id| {
            let config = Config::new(NodeId(id), [1, 2, 3].map(NodeId));
            let nothing = Recovered {
                vote: None,
                start: LogId::ZERO,
                snapshot: None,
                entries: std::iter::empty::<Result<Entry, Infallible>>(),
            };
            match Raft::new(config, nothing, Instant::ZERO) {
                Ok(raft) => raft,
                Err(error) => unreachable!("nothing recovers from nothing: {error:?}"),
            }
        });
        let mut trio = Self {
            nodes: nodes.into(),
            applied: [0; 3],
            events: VecDeque::new(),
            now: Instant::ZERO,
        };
        while let Some(at) = trio.nodes[LEADER].poll_timeout() {
            trio.now = trio.now.max(at);
            trio.nodes[LEADER].handle_timeout(trio.now);
            trio.turn(LEADER);
            trio.settle();
            if trio.nodes[LEADER].status().role == Role::Leader {
                break;
            }
        }
        assert_eq!(
            trio.nodes[LEADER].leader(),
            Some(NodeId(1)),
            "the first one leads"
        );
        trio
    }

    /// As [`elected`](Self::elected), with caches full of entries with this body: from now on one goes
    /// for each that comes, and an entry costs what the next million will.
    #[must_use]
    pub fn filled(body: &Bytes) -> Self {
        let mut trio = Self::elected();
        let entry_bytes = Entry::HEAD_BYTES + body.len();
        let cache_bytes_max = Config::new(NodeId(1), [NodeId(1)]).cache_bytes_max;
        trio.replicate((cache_bytes_max / entry_bytes + 1) as u64, 1024, body);
        trio
    }

    /// Replicates `count` entries with this body, at most `in_flight` at a time, until all three
    /// machines were given all of them.
    ///
    /// # Panics
    /// When the core refuses one, which it has no reason to.
    pub fn replicate(&mut self, count: u64, in_flight: u64, body: &Bytes) {
        let before = self.applied[LEADER];
        let (mut proposed, end) = (before, before + count);
        while self.applied[LEADER] < end {
            while proposed < end && proposed - self.applied[LEADER] < in_flight {
                let refused = self.nodes[LEADER].propose(self.now, body.clone()).err();
                assert_eq!(refused, None, "a proposal of {} bytes", body.len());
                proposed += 1;
            }
            self.turn(LEADER);
            let went_on = self.step();
            assert!(
                went_on,
                "{} of {end} entries were applied, and nothing happens",
                self.applied[LEADER]
            );
        }
        self.settle();
        assert_eq!(self.applied, [end; 3], "every machine has everything");
    }

    fn settle(&mut self) {
        while self.step() {}
    }

    /// Handles one event; `false` when there is none.
    fn step(&mut self) -> bool {
        let Some(event) = self.events.pop_front() else {
            return false;
        };
        let node = match event {
            Event::Arrived(from, to, message) => {
                let node = to.0 as usize - 1;
                self.nodes[node].handle_message(self.now, from, message);
                node
            }
            Event::Written(node, write) => {
                let Ok((messages, receipt)) = write.persist(|_| Ok::<(), Infallible>(()));
                self.send(node, messages);
                self.nodes[node].handle_persisted(self.now, receipt);
                node
            }
        };
        self.turn(node);
        true
    }

    /// Takes all that a node has to say.
    fn turn(&mut self, node: usize) {
        while let Some(output) = self.nodes[node].poll_output() {
            match output {
                Output::Persist(write) => self.events.push_back(Event::Written(node, write)),
                Output::Send(envelope) => self.send(node, [envelope]),
                Output::Apply(entry) => self.applied[node] += u64::from(!entry.body.is_empty()),
                Output::Fetch(_)
                | Output::Read { .. }
                | Output::PullSnapshot { .. }
                | Output::Restore(_)
                | Output::Stop(_) => {
                    unreachable!("nobody lags, reads or takes snapshots here")
                }
            }
        }
    }

    fn send(&mut self, from: usize, envelopes: impl IntoIterator<Item = Envelope>) {
        let from = NodeId(from as u64 + 1);
        let arrive = |Envelope { to, message }| Event::Arrived(from, to, message);
        self.events.extend(envelopes.into_iter().map(arrive));
    }
}

const LEADER: usize = 0;
