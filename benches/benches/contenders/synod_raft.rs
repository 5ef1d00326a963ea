//! synod-raft: records go to a vector, and the receipts back at once.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use synod_benches::{Cell, Driver, Machine};
use synod_raft::{
    Config, Entries, Entry, Envelope, Instant, Kind, LogId, Message, NodeId, Op, Output, Raft,
    Recovered, Role,
};

use super::synod::{Core, elected};

pub(super) fn start(cell: Cell) -> Box<dyn Driver> {
    elected::<Node>(cell)
}

#[derive(Debug)]
struct Node {
    raft: Raft,
    log: Vec<Entries>,
    now: Instant,
}

impl Core for Node {
    type Message = Message;

    fn new(at: usize, cell: Cell) -> Self {
        let mut config = Config::new(id(at), [0, 1, 2].map(id));
        // What leaves the cache leaves it while it is measured.
        config.cache_bytes_max = cell.cache_bytes();
        let nothing = Recovered {
            vote: None,
            start: LogId::ZERO,
            snapshot: None,
            entries: std::iter::empty::<Result<Entry, Infallible>>(),
        };
        Self {
            raft: Raft::new(config, nothing, Instant::ZERO).expect("nothing is wrong with nothing"),
            log: Vec::new(),
            now: Instant::ZERO,
        }
    }

    fn wakes_at(&self) -> Option<Duration> {
        self.raft.poll_timeout().map(|at| at.0)
    }

    fn set_now(&mut self, now: Duration) {
        self.now = self.now.max(Instant(now));
    }

    fn wake(&mut self) {
        self.raft.handle_timeout(self.now);
    }

    fn is_leader(&self) -> bool {
        self.raft.status().role == Role::Leader
    }

    fn propose(&mut self, body: Bytes) {
        let refused = self.raft.propose(self.now, body).err();
        assert_eq!(refused, None, "it leads, and has room");
    }

    fn handle_message(&mut self, from: usize, message: Message) {
        self.raft.handle_message(self.now, id(from), message);
    }

    fn drain(&mut self, machine: &mut Machine, mut send: impl FnMut(usize, Message)) -> bool {
        let mut busy = false;
        loop {
            // Taken apart where it is made: to name it first is to move it.
            match self.raft.poll_output() {
                None => break,
                Some(Output::Persist(write)) => {
                    let log = &mut self.log;
                    let Ok((messages, receipt)) = write.persist(|record| {
                        for op in record.ops() {
                            match op {
                                Op::Append(run) => log.push(run.clone()),
                                Op::Vote(..) => {}
                                Op::Truncate(_) | Op::Start(_) => {
                                    unreachable!("there is one leader")
                                }
                            }
                        }
                        Ok::<(), Infallible>(())
                    });
                    for Envelope { to, message } in messages {
                        send(at(to), Message::Binding(message));
                    }
                    self.raft.handle_persisted(self.now, receipt);
                }
                Some(Output::Send(envelope)) => send(at(envelope.to), envelope.message),
                Some(Output::Apply(run)) => {
                    let commands = run.iter().filter(|entry| entry.kind == Kind::Command);
                    commands.for_each(|entry| machine.apply(&entry.body));
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
        self.log.iter().map(|run| run.len() as u64).sum()
    }
}

fn id(at: usize) -> NodeId {
    NodeId(at as u64 + 1)
}

fn at(id: NodeId) -> usize {
    id.0 as usize - 1
}
