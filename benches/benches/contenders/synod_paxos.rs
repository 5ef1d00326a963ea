//! synod-paxos: records go to a vector, and the receipts back at once.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use synod_benches::{Cell, Driver, Machine};
use synod_paxos::{
    Config, Instant, Kind, Message, NodeId, Op, Output, Paxos, Position, Quorums, Recovered, Role,
    Vote, Votes,
};

use super::synod::{Core, elected};

pub(super) fn start(cell: Cell) -> Box<dyn Driver> {
    elected::<Node>(cell)
}

#[derive(Debug)]
struct Node {
    paxos: Paxos,
    log: Vec<Votes>,
    stored: u64,
    now: Instant,
}

impl Core for Node {
    type Message = Message;

    fn new(at: usize, cell: Cell) -> Self {
        let quorums = Quorums::majority([0, 1, 2].map(id)).expect("three are enough");
        let mut config = Config::new(id(at), quorums);
        // What leaves the cache leaves it while it is measured.
        config.cache_bytes_max = cell.cache_bytes();
        let nothing = Recovered {
            state: None,
            start: Position::ZERO,
            snapshot: None,
            votes: std::iter::empty::<Result<Vote, Infallible>>(),
        };
        Self {
            paxos: Paxos::new(config, nothing, Instant::ZERO)
                .expect("nothing is wrong with nothing"),
            log: Vec::new(),
            stored: 0,
            now: Instant::ZERO,
        }
    }

    fn wakes_at(&self) -> Option<Duration> {
        self.paxos.poll_timeout().map(|at| at.0)
    }

    fn set_now(&mut self, now: Duration) {
        self.now = self.now.max(Instant(now));
    }

    fn wake(&mut self) {
        self.paxos.handle_timeout(self.now);
    }

    fn is_leader(&self) -> bool {
        self.paxos.status().role == Role::Leader
    }

    fn propose(&mut self, body: Bytes) {
        let refused = self.paxos.propose(self.now, body).err();
        assert_eq!(refused, None, "it leads, and has room");
    }

    fn handle_message(&mut self, from: usize, message: Message) {
        self.paxos.handle_message(self.now, id(from), message);
    }

    fn drain(&mut self, machine: &mut Machine, mut send: impl FnMut(usize, Message)) -> bool {
        let mut busy = false;
        loop {
            // Taken apart where it is made: to name it first is to move it.
            match self.paxos.poll_output() {
                None => break,
                Some(Output::Persist(write)) => {
                    let (log, stored) = (&mut self.log, &mut self.stored);
                    let Ok((messages, receipt)) = write.persist(|record| {
                        for op in record.ops() {
                            match op {
                                // In one ballot, without losses: each slot once and in order.
                                Op::Votes(votes) => {
                                    *stored += votes.values.len() as u64;
                                    log.push(votes.clone());
                                }
                                Op::State(_) => {}
                                Op::Start(_) => unreachable!("nobody takes snapshots here"),
                            }
                        }
                        Ok::<(), Infallible>(())
                    });
                    for envelope in messages {
                        send(at(envelope.to), Message::Binding(envelope.message));
                    }
                    self.paxos.handle_persisted(self.now, receipt);
                }
                Some(Output::Send(envelope)) => send(at(envelope.to), envelope.message),
                Some(Output::Apply(chosen)) => {
                    let commands = chosen.values.iter();
                    let commands = commands.filter(|value| value.kind == Kind::Command);
                    commands.for_each(|value| machine.apply(&value.body));
                }
                Some(
                    Output::Fetch(_)
                    | Output::Read { .. }
                    | Output::PullSnapshot { .. }
                    | Output::Restore(_)
                    | Output::Stop(_),
                ) => unreachable!("nobody lags, reads or takes snapshots here"),
            }
            busy = true;
        }
        busy
    }

    fn stored(&self) -> u64 {
        self.stored
    }
}

fn id(at: usize) -> NodeId {
    NodeId(at as u64 + 1)
}

fn at(id: NodeId) -> usize {
    id.0 as usize - 1
}
