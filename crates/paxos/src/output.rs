use alloc::boxed::Box;

use synod_durable::Few;

use crate::{
    Ballot, Binding, Chosen, Envelope, NodeId, Position, ReadId, Refusal, Slot, Snapshot, Stop,
    Votes,
};

/// An action for the driver. Exhaustive on purpose: a new variant must break every driver.
///
/// A driver that handles everything compiles:
///
/// ```
/// # use synod_paxos::Output;
/// fn drive(output: Output) {
///     match output {
///         Output::Persist(write) => drop(write),
///         Output::Send(_) | Output::Apply(_) | Output::Fetch(_) | Output::Read { .. } => {}
///         Output::PullSnapshot { .. } | Output::Restore(_) => {}
///         Output::Stop(why) => panic!("{why}"),
///     }
/// }
/// ```
///
/// One that forgets to write does not:
///
/// ```compile_fail,E0004
/// # use synod_paxos::Output;
/// fn drive(output: Output) {
///     match output {
///         Output::Send(_) | Output::Apply(_) | Output::Fetch(_) | Output::Read { .. } => {}
///         Output::PullSnapshot { .. } | Output::Restore(_) => {}
///         Output::Stop(why) => panic!("{why}"),
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Output {
    /// Make this durable; only then the messages inside can be sent. One write is in flight at a
    /// time.
    Persist(Write),
    /// Send at once; it depends on no write in flight.
    Send(Envelope),
    /// Apply these values to the state machine: chosen, durable here, in order, each slot once
    /// during the lifetime of this value.
    Apply(Chosen),
    /// Read these votes from the log and pass them to
    /// [`Paxos::handle_fetched`](crate::Paxos::handle_fetched).
    Fetch(Fetch),
    /// An accepted read has ended: serve it from a machine that has applied `slot`, or refuse it.
    Read {
        /// The id that the caller gave it.
        id: ReadId,
        /// The slot that must be applied first, or why the read failed.
        slot: Result<Slot, Refusal>,
    },
    /// Pull the snapshot's bytes from that node, then call
    /// [`Paxos::handle_snapshot`](crate::Paxos::handle_snapshot) once they are durable, or
    /// [`Paxos::handle_pull_failed`](crate::Paxos::handle_pull_failed). A later output of this kind
    /// replaces this one.
    PullSnapshot {
        /// The node that offers it.
        from: NodeId,
        /// The offered snapshot.
        snapshot: Box<Snapshot>,
    },
    /// Reset the machine to this snapshot; `Apply` continues after it. The log's start at this
    /// snapshot is durable. Also the first output for the machine after a restart with a snapshot.
    Restore(Box<Snapshot>),
    /// This node must no longer take part: it was removed, or an operator has to look at it. This is
    /// the last output: the value ignores all later input.
    Stop(Stop),
}

/// The state that an acceptor must not forget besides its votes, and what saves it work after a
/// restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct State {
    /// The highest ballot that it has promised. It promises its own ballots to itself before any
    /// other node learns of them, so none is ever used twice.
    pub promised: Ballot,
    /// The chosen prefix whose values it holds, once the whole record is durable. Written together
    /// with other changes, or because a leader asks for it at the end of a change of membership: it
    /// saves work after a restart, and may lag behind.
    pub chosen: Slot,
}

/// The changes that become durable in one write, all or nothing. They may also be stored in several
/// steps, in this order, because no message leaves before the last of them.
///
/// The order matters, so [`ops`](Self::ops) is the only access to the contents. Every prefix of it
/// is consistent: a promise comes before the votes that it allows, and a chosen prefix after the
/// votes that it covers, because without them older votes in their slots would look chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Record {
    /// The new state.
    pub(crate) state: Option<State>,
    /// The log begins after this position: votes up to it are removed, later ones stay. The
    /// snapshot is durable already.
    pub(crate) start: Option<Box<Position>>,
    /// Votes, ascending by slot, possibly with gaps; after `start` if that is given too. Each
    /// replaces the vote for its slot.
    pub(crate) votes: Few<Votes>,
}

/// One change of the stored state, see [`Record::ops`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op<'a> {
    /// Replace the state.
    State(State),
    /// The log begins after this position: votes up to it are removed, later ones stay. The
    /// snapshot is durable already.
    Start(Position),
    /// Add these votes. Each replaces the vote for its slot.
    Votes(&'a Votes),
}

impl Record {
    /// The changes, in the order in which they must be stored and replayed. The state may occur
    /// twice: first with a chosen prefix that ends before the votes.
    pub fn ops(&self) -> impl Iterator<Item = Op<'_>> {
        let first = self.votes.first().map(|votes| votes.first.prev());
        let held_back = self.state.map(|state| State {
            chosen: first.map_or(state.chosen, |before| state.chosen.min(before)),
            ..state
        });
        let whole = self.state.filter(|_| self.state != held_back);
        let head = held_back.map(Op::State).into_iter();
        head.chain(self.start.as_deref().copied().map(Op::Start))
            .chain(self.votes.iter().map(Op::Votes))
            .chain(whole.map(Op::State))
    }

    /// Whether there is nothing to store: the write exists for its messages, all of which are true
    /// already. A driver may skip the disk if everything it stored for this node before is durable.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.state.is_none() && self.votes.is_empty() && self.start.is_none()
    }
}

/// What a node may count for itself once a record is durable: its promise and its votes, as
/// contained in the record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Own {
    /// The promised ballot, if the record has a state.
    pub promised: Option<Ballot>,
    /// The chosen prefix, if the record has a state.
    pub chosen: Option<Slot>,
    /// The votes of the record.
    pub votes: Few<Cast>,
}

/// Votes in one ballot for consecutive slots, without the values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cast {
    /// The ballot in which they were cast.
    pub ballot: Ballot,
    /// The first slot.
    pub first: Slot,
    /// The last slot, inclusive.
    pub last: Slot,
}

impl synod_durable::Record for Record {
    type Own = Own;

    #[inline]
    fn own(&self) -> Own {
        let mut votes = Few::default();
        for run in &self.votes[..] {
            votes.push(Cast {
                ballot: run.ballot,
                first: run.first,
                last: run.last(),
            });
        }
        Own {
            promised: self.state.map(|state| state.promised),
            chosen: self.state.map(|state| state.chosen),
            votes,
        }
    }
}

/// A record, and the messages that may not leave this node before it is durable.
pub type Write = synod_durable::Write<Record, Envelope<Binding>>;

/// A [`Write`] that was appended to the log under the ticket `T` and is not yet durable.
pub type Staged<T> = synod_durable::Staged<Record, Envelope<Binding>, T>;

/// Proof that a [`Write`] is durable; returned to
/// [`Paxos::handle_persisted`](crate::Paxos::handle_persisted) of the node that made the write.
pub type Receipt = synod_durable::Receipt<Record>;

/// A request for chosen values that the cache no longer holds. The driver returns it with the
/// values to [`Paxos::handle_fetched`](crate::Paxos::handle_fetched).
#[must_use = "answer it with `handle_fetched`, or nothing that needs these values continues"]
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fetch {
    pub(crate) from: Slot,
    pub(crate) to: Slot,
    pub(crate) bytes_max: usize,
    pub(crate) wanted: Wanted,
    pub(crate) ballot: Ballot,
}

impl Fetch {
    /// The first requested slot; chosen and durable.
    #[must_use]
    pub fn from(&self) -> Slot {
        self.from
    }

    /// The last requested slot, inclusive; there is no gap before it. Fewer values are allowed, but
    /// at least one.
    #[must_use]
    pub fn to(&self) -> Slot {
        self.to
    }

    /// Stop before the value that would exceed this many bytes, unless it is the first.
    #[must_use]
    pub fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    /// Who needs the values.
    #[must_use]
    pub fn wanted(&self) -> Wanted {
        self.wanted
    }
}

/// Who needs fetched values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wanted {
    /// A peer that lags behind this leader.
    Peer(NodeId),
    /// A leader that lacks chosen values.
    Leader(NodeId),
    /// The state machine of this node.
    Apply,
}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use super::*;
    use crate::{Kind, Value};

    const BALLOT: Ballot = Ballot {
        round: 1,
        node: NodeId(1),
    };

    fn votes(first: u64, count: usize) -> Votes {
        let value = Value {
            kind: Kind::Noop,
            origin: BALLOT,
            body: bytes::Bytes::new(),
        };
        Votes {
            ballot: BALLOT,
            first: Slot(first),
            values: vec![value; count].into(),
        }
    }

    /// A crash may leave any prefix of a record, together with earlier votes in its slots.
    #[test]
    fn what_is_chosen_is_stored_behind_its_votes() {
        for chosen in (0..9).map(Slot) {
            let mut record = Record {
                state: Some(State {
                    promised: BALLOT,
                    chosen,
                }),
                ..Record::default()
            };
            record.votes.push(votes(3, 2));
            record.votes.push(votes(7, 1));
            let ops: Vec<Op<'_>> = record.ops().collect();
            for (at, op) in ops.iter().enumerate() {
                let Op::State(state) = op else { continue };
                for later in &ops[at..] {
                    let Op::Votes(votes) = later else { continue };
                    assert!(votes.first > state.chosen, "{state:?} before its vote");
                }
            }
            assert!(ops.contains(&Op::State(record.state.expect("it is set"))));
        }
    }
}
