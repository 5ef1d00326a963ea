//! The victim: `synod_paxos::single`, the one-decree Paxos of this workspace, as it is.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::time::Duration;

use synod_paxos::single::{Acceptor, Config, Message, Output, Proposal, Synod};
use synod_paxos::{Instant, NodeId, Quorums};
use synod_sim::page::View;

use super::{ProcessId, Protocol, Sends, Value};

/// Three nodes of single-decree Paxos that retry whenever their clock says so, and the clock is the
/// scheduler's: between two steps of a node any time may have passed.
#[derive(Clone, Debug)]
pub struct Paxos {
    seed: u64,
}

/// A node, and what its clock shows.
#[derive(Clone, Debug)]
pub struct Node {
    synod: Synod<u8>,
    wish: u8,
    clock: Instant,
    /// The longest that it ever meant to wait before a retry.
    patience: Duration,
}

impl Paxos {
    /// Nodes that draw their waits from this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed }
    }
}

impl Node {
    /// The longest wait before a retry that it has drawn.
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// The round of the highest ballot that it has promised.
    #[must_use]
    pub fn round(&self) -> u64 {
        self.synod.acceptor().promised().round
    }

    /// Whether this message says that somebody has promised a higher ballot than it has itself.
    #[must_use]
    pub fn is_outrun_by(&self, message: &Message<u8>) -> bool {
        match message {
            Message::Preempted(preempted) => preempted.promised > self.synod.acceptor().promised(),
            _ => false,
        }
    }

    /// The round of the ballot that this message is a vote in, if it is a vote.
    #[must_use]
    pub fn round_of_vote(message: &Message<u8>) -> Option<u64> {
        match message {
            Message::Accepted(accepted) => Some(accepted.proposal().ballot.round),
            _ => None,
        }
    }

    /// Carries out what the node wants done. Its disk is never slow and never fails.
    fn drain(&mut self) -> Sends<Message<u8>> {
        let mut sends = Vec::new();
        while let Some(output) = self.synod.poll_output() {
            match output {
                Output::Persist(write) => {
                    let stored = write.persist(|_acceptor| Ok::<(), Infallible>(()));
                    sends.extend(stored.unwrap_or_default());
                }
                Output::Send(envelope) => sends.push(envelope),
                Output::Chosen(_) => {}
            }
        }
        if let Some(due) = self.synod.poll_timeout() {
            self.patience = self.patience.max(due.since(self.clock));
        }
        let process = |id: NodeId| ProcessId(id.0 as usize);
        let sends = sends.into_iter();
        sends.map(|it| (process(it.to), it.message)).collect()
    }
}

impl Protocol for Paxos {
    type State = Node;
    type Message = Message<u8>;

    fn processes(&self) -> usize {
        NODES as usize
    }

    fn start(&self, at: ProcessId, input: Value) -> Node {
        let quorums = Quorums::majority((1..=NODES).map(NodeId));
        let mut config = Config::new(NodeId(at.0 as u64), quorums.expect("three nodes"));
        config.seed = self.seed;
        Node {
            synod: Synod::new(config, Acceptor::default()).expect("a lawful configuration"),
            wish: input as u8,
            clock: Instant::ZERO,
            patience: Duration::ZERO,
        }
    }

    fn receive(
        &self,
        node: &mut Node,
        from: ProcessId,
        message: Message<u8>,
    ) -> Sends<Message<u8>> {
        let from = NodeId(from.0 as u64);
        node.synod.handle_message(node.clock, from, message);
        node.drain()
    }

    fn step_alone(&self, node: &mut Node) -> Sends<Message<u8>> {
        match node.synod.poll_timeout() {
            Some(due) => {
                node.clock = node.clock.max(due);
                node.synod.handle_timeout(node.clock);
            }
            // Refused once something is chosen: then it takes no step worth the name.
            None => drop(node.synod.propose(node.clock, node.wish)),
        }
        node.drain()
    }

    fn decision(&self, node: &Node) -> Option<Value> {
        match node.synod.chosen()? {
            0 => Some(Value::Zero),
            _ => Some(Value::One),
        }
    }

    fn view(&self, node: &Node) -> View {
        let promised = node.synod.acceptor().promised();
        let mut view = View::default();
        view.role = "node".to_owned();
        view.epoch = format!("ballot {}.{}", promised.round, promised.node.0);
        let accepted = match node.synod.acceptor().accepted() {
            Some(Proposal { ballot, value }) => {
                format!(
                    "accepted {value} in ballot {}.{}",
                    ballot.round, ballot.node.0
                )
            }
            None => "accepted nothing".to_owned(),
        };
        let decided = match node.synod.chosen() {
            Some(value) => format!("decided {value}"),
            None => "undecided".to_owned(),
        };
        view.text = format!("{decided}, wishes for {}, {accepted}", node.wish);
        view
    }

    fn sign(&self, message: &Message<u8>) -> char {
        match message {
            Message::Prepare(_) => 'P',
            Message::Promise(_) => 'p',
            Message::Accept(_) => 'A',
            Message::Accepted(_) => 'a',
            Message::Preempted(_) => 'x',
            Message::Chosen(_) => 'c',
        }
    }

    /// What a node is shows its `Debug`, all of it, so two nodes of one text are equal. In the text
    /// rounds are renumbered:
    ///
    /// - A ballot that is begun is one round above all that its node knows, so it is above `low`, the
    ///   lowest round that any node has promised. Ballots up to there are only compared, by whomever:
    ///   what counts is their order.
    /// - Above `low` a new round can be equal to an old one or go past it, so distances count too.
    ///
    /// While some node has promised nothing, its next ballot is round 1 and nothing can be renumbered.
    /// Deadlines and generators are left out, because no step here depends on them.
    fn likeness(
        &self,
        nodes: &[&Node],
        links: &[(ProcessId, ProcessId, Vec<&Message<u8>>)],
    ) -> Option<String> {
        let low = nodes.iter().map(|node| node.round()).min().unwrap_or(0);
        if low == 0 {
            return None;
        }
        let synods = nodes.iter().map(|node| node.synod.clone().without_time());
        let text = format!("{:?} {links:?}", synods.collect::<Vec<_>>());
        let mut pieces = text.split(ROUND);
        let head = pieces.next().unwrap_or_default();
        let numbered: Vec<(u64, &str)> = pieces.map(number).collect();
        let known = numbered.iter().map(|(round, _)| *round);
        let below: BTreeSet<u64> = known.filter(|round| *round <= low && *round > 0).collect();
        let mut renumbered = head.to_owned();
        for (round, rest) in numbered {
            let rank = below.range(..=round).count() as u64;
            let round = rank + round.saturating_sub(low);
            renumbered.push_str(ROUND);
            renumbered.push_str(&round.to_string());
            renumbered.push_str(rest);
        }
        Some(renumbered)
    }
}

/// The number at the head of a text, and what follows it.
fn number(text: &str) -> (u64, &str) {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, rest) = text.split_at(digits);
    (digits.parse().unwrap_or(u64::MAX), rest)
}

const NODES: u64 = 3;
const ROUND: &str = "round: ";
