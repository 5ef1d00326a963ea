//! A shard: its machine, its leader, and what the leader has proposed.

use std::collections::VecDeque;
use std::time::Duration;

use synod_replica::{Applying, StateMachine};
use synod_spanner::{
    Act, Answer, Applied, Command, Decision, Leader, Limits, Now, Outcome, Output, Peer, Promise,
    Reign, Reply, Request, SafeTime, ScanLimit, Shard, ShardId, State, TxnId,
};
use synod_truetime::{Floor, Interval, Timestamp};

use crate::client::Seen;
use crate::clock;
use crate::message::Message;
use crate::rules::index;

/// Wide enough that nothing here meets them, but for the times.
pub(crate) const LIMITS: Limits = Limits {
    locks_max: 100,
    transactions_max: 20,
    prepared_max: 5,
    outcomes_max: 50,
    scan: ScanLimit {
        versions_max: 100,
        bytes_max: 1000,
    },
    client_lease: Duration::from_nanos(20),
    leader_lease: Duration::from_nanos(60),
    versions_kept: Duration::from_secs(60),
    outcomes_kept: Duration::from_secs(60),
};

/// A shard with one replica, which always has a leader: while it had none, messages would wait, as they may anyway.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Server {
    pub(crate) shard: ShardId,
    /// Where its clock is.
    pub(crate) stretch: usize,
    machine: Shard,
    leader: Leader,
    /// Not in the log yet.
    proposed: VecDeque<Command>,
    safe: SafeTime,
    /// The requests that were received, as bits: see [`bit`].
    received: u64,
}

/// What a step did, for the observer.
#[derive(Clone, Debug)]
pub(crate) enum Told {
    /// By a reading that was taken after the input came.
    Proposed(Command),
    /// The log has it now.
    Applied(Command, Reply),
    /// A successor found this in the log's tail behind its own take-over.
    Late(Command, Reply),
    /// Somebody else hears of it.
    Sent(Message),
    /// A leader has closed by word.
    Promised(Promise),
    /// Reads up to this are served.
    Serves(Timestamp),
    /// The clock moved on.
    Ticked,
    /// A client's transaction began.
    Began,
    /// The client has asked to commit, and had read this.
    Asked(Vec<Seen>),
    /// It heard of the end.
    Ended(Decision),
}

/// A server in the middle of a step.
pub(crate) struct Stepping {
    pub(crate) server: Server,
    pub(crate) told: Vec<Told>,
    pub(crate) sent: Vec<Message>,
}

impl Server {
    /// In the first stretch, and in its first reign.
    pub(crate) fn new(shard: ShardId) -> Self {
        let mut machine = Shard::default();
        let leader = take_over(shard, &mut machine, 0);
        Self {
            shard,
            stretch: 0,
            machine,
            leader,
            proposed: VecDeque::new(),
            safe: SafeTime::default(),
            received: 0,
        }
    }

    pub(crate) fn state(&self) -> &State {
        self.machine.state()
    }

    pub(crate) fn reading(&self) -> Interval {
        clock::reading(self.stretch)
    }

    pub(crate) fn outcome(&self, txn: TxnId) -> Outcome {
        self.state().outcome(txn)
    }

    /// Whether a leader of the shard has received it before.
    pub(crate) fn has_received(&self, request: &Request) -> bool {
        self.received & bit(request) != 0
    }

    pub(crate) fn has_proposals(&self) -> bool {
        !self.proposed.is_empty()
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.leader.is_idle()
            && self.leader.locks().is_empty()
            && self.state().prepared().is_empty()
    }

    /// Up to here a read is served without waiting.
    pub(crate) fn serves(&self) -> Timestamp {
        self.safe.at(self.state())
    }

    pub(crate) fn step(self) -> Stepping {
        Stepping {
            server: self,
            told: Vec::new(),
            sent: Vec::new(),
        }
    }

    fn lead<T>(&mut self, act: impl FnOnce(&mut Leader, &Now<'_>) -> T) -> T {
        let now = now(self.stretch, self.machine.state());
        act(&mut self.leader, &now)
    }
}

impl Stepping {
    pub(crate) fn request(&mut self, request: Request) {
        self.server.received |= bit(&request);
        self.server
            .lead(|leader, now| leader.handle_request(now, request));
        self.drain();
    }

    pub(crate) fn peer(&mut self, peer: Peer) {
        self.server
            .lead(|leader, now| leader.handle_peer(now, peer));
        self.drain();
    }

    pub(crate) fn tick(&mut self) {
        self.server.stretch += 1;
        self.told.push(Told::Ticked);
        self.server.lead(Leader::handle_timeout);
        self.drain();
    }

    /// The log takes the next command.
    pub(crate) fn decide(&mut self) {
        self.apply();
        self.drain();
    }

    /// The leader closes what a strong read would need.
    pub(crate) fn close(&mut self) {
        let wanted = self.server.reading().latest();
        let promise = self
            .server
            .lead(|leader, now| leader.close(wanted, &now.time));
        let state = self.server.machine.state();
        self.server.safe.handle_promise(promise, state);
        self.told.push(Told::Promised(promise));
        self.drain();
    }

    /// The leader dies, and its successor takes over at once. What was proposed and is not in the log may get there
    /// behind the take-over, or never.
    pub(crate) fn succeed(&mut self) {
        let server = &mut self.server;
        server.leader = take_over(server.shard, &mut server.machine, server.stretch);
        let mut behind = server.machine.clone();
        for command in std::mem::take(&mut server.proposed) {
            let reply = append(&mut behind, &command).reply;
            self.told.push(Told::Late(command, reply));
        }
        let command = take_over_command(server.state().reign(), server.stretch);
        self.told.push(Told::Applied(command, Reply::Done));
        self.drain();
    }

    fn apply(&mut self) {
        let Some(command) = self.server.proposed.pop_front() else {
            return;
        };
        let applied = append(&mut self.server.machine, &command);
        self.server.safe.handle_applied(self.server.machine.state());
        let (number, reply) = (command.number, applied.reply.clone());
        self.told.push(Told::Applied(command, reply));
        let handled = self
            .server
            .lead(|leader, now| leader.handle_applied(now, number, applied));
        handled.expect("nobody else reigns");
    }

    /// Housekeeping is in the log at once; what a transaction waits for takes its time.
    fn drain(&mut self) {
        loop {
            while let Some(output) = self.server.leader.poll_output() {
                match output {
                    Output::Propose(command) => {
                        self.told.push(Told::Proposed(command.clone()));
                        self.server.proposed.push_back(command);
                    }
                    Output::Peer(to, peer) => self.send(Message::Peer(to, peer)),
                    Output::Client(txn, answer) => self.answer(txn, answer),
                }
            }
            let first = self.server.proposed.front();
            let Some(Act::Lease { .. } | Act::Settled { .. }) = first.map(|first| &first.act)
            else {
                break;
            };
            self.apply();
        }
        assert!(
            self.server.leader.locks().is_sound(),
            "two hold what only one may"
        );
        self.told.push(Told::Serves(self.server.serves()));
    }

    fn answer(&mut self, txn: TxnId, answer: Answer) {
        self.send(Message::Answer(self.server.shard, txn, answer));
    }

    fn send(&mut self, message: Message) {
        self.told.push(Told::Sent(message.clone()));
        self.sent.push(message);
    }
}

/// Another one for each request that a client here makes of a shard: it reads one key of each, at most.
fn bit(request: &Request) -> u64 {
    let kind = match request {
        Request::Read { .. } => 0,
        Request::Prepare(_) => 1,
        Request::Commit { .. } => 2,
        Request::KeepAlive { .. } => 3,
        Request::Rollback { .. } => 4,
        Request::Ask { .. } => 5,
    };
    1 << (6 * index(request.txn()) + kind)
}

fn now(stretch: usize, state: &State) -> Now<'_> {
    Now {
        local: clock::local(stretch),
        time: clock::reading(stretch),
        floor: FLOOR,
        state,
    }
}

fn take_over_command(reign: Reign, stretch: usize) -> Command {
    let lease_end = clock::reading(stretch).earliest() + LIMITS.leader_lease;
    Command {
        reign,
        number: 0,
        floor: FLOOR,
        act: Act::TakeOver { lease_end },
    }
}

fn take_over(shard: ShardId, machine: &mut Shard, stretch: usize) -> Leader {
    let reign = Reign(machine.state().reign().0 + 1);
    let command = take_over_command(reign, stretch);
    let Applied {
        index,
        reply: Reply::TookOver(standing),
        ..
    } = append(machine, &command)
    else {
        panic!("nobody else takes over");
    };
    Leader::new(
        shard,
        LIMITS,
        *standing,
        index,
        &now(stretch, machine.state()),
    )
}

fn append(machine: &mut Shard, command: &Command) -> Applied {
    let index = machine.state().applied() + 1;
    machine.apply(Applying { index, offset: 0 }, command.encode())
}

/// Nobody's clock lies, and nobody looks.
const FLOOR: Floor = Floor {
    earliest: Timestamp::MIN,
    said_by: 0,
};
