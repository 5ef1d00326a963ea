//! Two shards and their clients, what may happen to them, and how often.

use std::cell::RefCell;
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use synod_sim::search::{Inputs, State, Step, System};
use synod_spanner::{Decision, Outcome, Span};
use synod_truetime::Timestamp;

use crate::client::{Client, Phase, Script};
use crate::clock;
use crate::ends;
use crate::goals::{self, Goal};
use crate::message::Message;
use crate::rules::{Rules, shard_at};
use crate::server::{LIMITS, Server, Told};

/// Two shards, and a client for each script.
#[derive(Debug)]
pub(crate) struct Model {
    scripts: Vec<Script>,
    budget: Budget,
    /// The last stretch of time.
    last: u8,
    /// Pairs of shards that have been seen to come to rest, as hashes.
    calm: RefCell<HashSet<u64>>,
}

/// How often events may happen, and where the clocks are.
#[derive(Clone, Copy, Debug, Default, Hash)]
pub(crate) struct Budget {
    pub(crate) stretches: [u8; 2],
    /// Leaders that die.
    pub(crate) successions: u8,
    /// Closings by word.
    pub(crate) closings: u8,
    /// Clients that ask what became of their transactions.
    pub(crate) inquiries: u8,
    /// Requests that a shard receives once more.
    pub(crate) repetitions: u8,
    /// What a leader does while something that it proposed is not in the log yet.
    pub(crate) overtakings: u8,
    /// What happens while one clock is ahead of the other.
    pub(crate) skews: u8,
}

#[derive(Clone, Debug, Hash)]
pub(crate) enum Node {
    Server(Box<Server>),
    Client(Client),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    Receive,
    /// A request that was received before.
    ReceiveAgain,
    /// The clock moves on, and the leader looks at it.
    Tick,
    /// The log takes what was proposed first.
    Decide,
    /// The leader dies, and another takes over.
    Succeed,
    Close,
    Begin,
    Inquire,
}

/// Who took the step, and what it did.
#[derive(Clone, Debug)]
pub(crate) struct Note {
    place: usize,
    told: Vec<Told>,
}

impl System for Model {
    type Node = Node;
    type Message = Message;
    type Input = Input;
    type Budget = Budget;
    type Checker = Rules;
    type Note = Note;
    type Goal = Goal;

    fn start(&self) -> (Vec<Node>, Rules, Budget) {
        let servers = [0, 1].map(|place| Server::new(shard_at(place)));
        let lease_end = servers[0].state().lease_end();
        let servers = servers
            .map(|server| Node::Server(Box::new(server)))
            .into_iter();
        let clients = self
            .scripts
            .iter()
            .map(|script| Node::Client(Client::new(*script)));
        let rules = Rules::new(&self.scripts, lease_end);
        (servers.chain(clients).collect(), rules, self.budget)
    }

    fn inputs(&self, node: &Node, left: &Budget, inputs: &mut Inputs<Input>) {
        let has_time = left.skews > 0 || !is_skewed(left);
        match node {
            Node::Server(server) => {
                let own = left.stretches[place(node)];
                let other = left.stretches[1 - place(node)];
                let has_log = left.overtakings > 0 || !server.has_proposals();
                let catches_up = own < other;
                inputs.push_if(
                    Input::Tick,
                    own < self.last && own <= other && (has_log || catches_up),
                );
                inputs.push_if(Input::Decide, server.has_proposals());
                if left.successions > 0 && has_time {
                    inputs.push_at_rest(Input::Succeed);
                }
                inputs.push_if(Input::Close, left.closings > 0 && has_log && has_time);
                if has_log && has_time {
                    inputs.push_with_messages(Input::Receive);
                    if left.repetitions > 0 {
                        inputs.push_with_messages(Input::ReceiveAgain);
                    }
                }
            }
            Node::Client(client) => {
                inputs.push_if(Input::Begin, client.phase == Phase::Idle && has_time);
                let asks = client.phase == Phase::Asked && !client.has_inquired;
                inputs.push_if(Input::Inquire, asks && left.inquiries > 0 && has_time);
                if !client.is_over() && has_time {
                    inputs.push_with_messages(Input::Receive);
                }
            }
        }
    }

    fn spend(&self, node: &Node, input: Input, left: &mut Budget) {
        let catches_up = input == Input::Tick && is_skewed(left);
        if is_skewed(left) && !matches!(input, Input::Tick | Input::Decide) {
            left.skews -= 1;
        }
        if let Node::Server(server) = node
            && server.has_proposals()
            && !catches_up
            && !matches!(input, Input::Decide | Input::Succeed)
        {
            left.overtakings -= 1;
        }
        match input {
            Input::Tick => left.stretches[place(node)] += 1,
            Input::Succeed => left.successions -= 1,
            Input::Close => left.closings -= 1,
            Input::Inquire => left.inquiries -= 1,
            Input::ReceiveAgain => left.repetitions -= 1,
            Input::Receive | Input::Decide | Input::Begin => {}
        }
    }

    fn is_silent(&self, input: Input, step: &Step<Self>) -> bool {
        let shows = |told: &Told| !matches!(told, Told::Serves(_));
        input == Input::Receive && step.sent.is_empty() && !step.note.told.iter().any(shows)
    }

    fn hears(&self, node: &Node, message: &Message) -> bool {
        match (node, message) {
            (Node::Server(server), Message::Request(to, _) | Message::Peer(to, _)) => {
                server.shard == *to
            }
            (Node::Client(client), Message::Answer(_, txn, _)) => client.script.id() == *txn,
            _ => false,
        }
    }

    fn step(&self, node: &Node, input: Input, message: Option<&Message>) -> Option<Step<Self>> {
        let place = place(node);
        let (after, told, sent) = match node.clone() {
            Node::Server(server) => {
                let mut step = server.step();
                match (input, message) {
                    (Input::Receive | Input::ReceiveAgain, Some(Message::Request(_, request))) => {
                        let again = input == Input::ReceiveAgain;
                        if step.server.has_received(request) != again {
                            return None;
                        }
                        step.request(request.clone());
                    }
                    (Input::Receive, Some(Message::Peer(_, peer))) => step.peer(*peer),
                    (Input::Tick, _) => step.tick(),
                    (Input::Decide, _) => step.decide(),
                    (Input::Succeed, _) => step.succeed(),
                    (Input::Close, _) => step.close(),
                    _ => return None,
                }
                (Node::Server(Box::new(step.server)), step.told, step.sent)
            }
            Node::Client(mut client) => {
                let mut told = Vec::new();
                let sent = match (input, message) {
                    (Input::Begin, _) => client.begin(&mut told),
                    (Input::Inquire, _) => client.inquire(),
                    (_, Some(Message::Answer(from, _, answer))) => {
                        client.receive(*from, answer, &mut told)
                    }
                    _ => return None,
                };
                (Node::Client(client), told, sent)
            }
        };
        Some(Step {
            goals: goals::reached(node, input, &told),
            node: after,
            sent,
            note: Note { place, told },
        })
    }

    fn check(&self, rules: &Rules, step: &Step<Self>) -> Result<Option<Rules>, String> {
        let mut rules = rules.clone();
        rules.check(step.note.place, &step.note.told)?;
        Ok(Some(rules))
    }

    fn check_state(&self, state: &State<'_, Self>) -> Result<Vec<Goal>, String> {
        let servers = servers(state);
        self.check_stores(&servers)?;
        Self::check_shown(&servers)?;
        let last = usize::from(self.last);
        if servers.iter().all(|server| server.stretch == last) {
            self.check_calm(&servers)?;
        }
        Ok(goals::of_state(state.nodes()))
    }

    fn tell(&self, place: usize, input: Input, message: Option<&Message>) -> String {
        let who = match place {
            0 => "A".to_owned(),
            1 => "B".to_owned(),
            _ => format!("client {}", place - 1),
        };
        match message {
            Some(message) => format!("{who} receives {message:?}"),
            None => format!("{who}: {input:?}"),
        }
    }

    fn name(&self, place: usize) -> String {
        ["A", "B", "client 1", "client 2", "client 3"][place].to_owned()
    }
}

impl Model {
    pub(crate) fn new(scripts: &[Script], budget: Budget, last: u8) -> Self {
        Self {
            scripts: scripts.to_vec(),
            budget,
            last,
            calm: RefCell::default(),
        }
    }

    /// What a reader without locks would find now: what is there was committed so (I7), and of what has a timestamp up
    /// to which reads are served nothing is missing (I8).
    fn check_stores(&self, servers: &[&Server; 2]) -> Result<(), String> {
        for script in &self.scripts {
            let mut all = servers.iter();
            let coordinator = all.find(|server| server.shard == script.coordinator);
            let committed = match coordinator.map(|server| server.outcome(script.id())) {
                Some(Outcome::Decided(Decision::Committed(at))) => Some(at),
                _ => None,
            };
            for server in servers {
                for key in script.writes_at(server.shard) {
                    let written = written(server, key, &script.number.to_string());
                    let (name, shard) = (script.number, server.shard);
                    if written.is_some() && written != committed {
                        return Err(format!(
                            "I7: transaction {name} wrote at {written:?} on {shard:?}, not at {committed:?}"
                        ));
                    }
                    let serves = server.serves();
                    if written.is_none() && committed.is_some_and(|at| at <= serves) {
                        return Err(format!(
                            "I8: reads up to {serves} are served on {shard:?} without transaction {name}"
                        ));
                    }
                }
            }
        }
        Ok(())
    }

    /// What a replica shows without a wait has passed (I3).
    fn check_shown(servers: &[&Server; 2]) -> Result<(), String> {
        let true_time = clock::true_time(servers.map(|server| server.stretch));
        for server in servers {
            let reading = server.reading();
            let (state, end) = (server.state(), Timestamp::MAX);
            let looked = synod_spanner::look(state, &Span::ALL, end, LIMITS.scan, &reading);
            let (scan, wait) = looked.map_err(|collected| collected.to_string())?;
            let newest = scan.versions.iter().map(|version| version.written).max();
            if wait.left(&reading).is_zero() && newest >= Some(true_time.earliest()) {
                return Err(format!("I3: a replica shows {newest:?} in {true_time:?}"));
            }
        }
        Ok(())
    }

    fn check_calm(&self, servers: &[&Server; 2]) -> Result<(), String> {
        let mut hasher = DefaultHasher::new();
        servers.hash(&mut hasher);
        if !self.calm.borrow_mut().insert(hasher.finish()) {
            return Ok(());
        }
        let txns: Vec<_> = self.scripts.iter().map(Script::id).collect();
        ends::calm(servers.map(Server::clone), &txns)
    }
}

fn is_skewed(left: &Budget) -> bool {
    left.stretches[0] != left.stretches[1]
}

/// The timestamp of that value.
fn written(server: &Server, key: &str, value: &str) -> Option<Timestamp> {
    let mut before = Timestamp::MAX;
    while let Ok(Some(version)) = server.state().store().get(key.as_bytes(), before) {
        if version.value.as_deref() == Some(value.as_bytes()) {
            return Some(version.written);
        }
        before = version.written.earlier(1);
    }
    None
}

fn servers<'a>(state: &State<'a, Model>) -> [&'a Server; 2] {
    let mut nodes = state.nodes();
    let mut next = || match nodes.next() {
        Some(Node::Server(server)) => &**server,
        _ => unreachable!("the first two are servers"),
    };
    [next(), next()]
}

/// Servers first.
fn place(node: &Node) -> usize {
    match node {
        Node::Server(server) => usize::from(server.shard != crate::A),
        // Transactions are numbered from 1.
        Node::Client(client) => crate::rules::index(client.script.id()) + 2,
    }
}
