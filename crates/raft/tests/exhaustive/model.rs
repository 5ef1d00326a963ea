//! A model of a group: what may happen, how often, and which rules are checked.

use synod_raft::check::Checker;
use synod_raft::{Binding, Message, NodeId, Replicate};
use synod_sim::page::{Kind, View, caption_of};
use synod_sim::search::{Inputs, Step, System, permutations};

use crate::goals::Goal;
use crate::node::{Disk, Input, Node, Packet, Roster, Told};

/// A group and the bounds of the search.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    /// The number of nodes, at most five.
    pub(crate) size: usize,
    /// If the membership may change, or one is a witness: the voters at the beginning, and after the
    /// change. Then names matter, and states that differ in them are two.
    pub(crate) change: Option<Roster>,
    pub(crate) budget: Budget,
    /// Whether the network carries a message; it loses the others.
    pub(crate) carries: fn(&Message) -> bool,
}

/// How often events may happen, in the whole group.
#[derive(Clone, Copy, Debug, Default, Hash)]
pub(crate) struct Budget {
    /// The last term in which a node may campaign.
    pub(crate) terms: u64,
    pub(crate) candidacies: u8,
    pub(crate) heartbeats: u8,
    pub(crate) commands: u8,
    /// Transfers of leadership, to either of the others.
    pub(crate) transfers: u8,
    /// Changes of the membership, and commands to take one back.
    pub(crate) changes: u8,
    pub(crate) aborts: u8,
    /// Crashes, which lose what is not durable.
    pub(crate) restarts: u8,
    /// Inputs that a node handles while its write is in flight; [`Budget::ANY`] for any number.
    pub(crate) overtakings: u8,
}

impl Budget {
    pub(crate) const ANY: u8 = u8::MAX;
}

impl System for Model {
    type Node = Node;
    type Message = Packet;
    type Input = Input;
    type Budget = Budget;
    type Checker = Checker;
    type Note = Vec<Told>;
    type Goal = Goal;

    fn start(&self) -> (Vec<Node>, Checker, Budget) {
        let ids = (1..=self.size as u64).map(NodeId);
        let roster = self.change.unwrap_or(Roster {
            voters: self.size,
            first: 0,
            witness: 0,
            target: &[],
        });
        let nodes = ids.map(|id| Node::new(id, roster, Disk::default()));
        let nodes: Vec<Node> = nodes.collect();
        let mut checker = Checker::default();
        for node in &nodes {
            let started = checker.started(&node.raft);
            started.expect("an empty node is lawful");
        }
        (nodes, checker, self.budget)
    }

    fn inputs(&self, node: &Node, left: &Budget, inputs: &mut Inputs<Input>) {
        if node.has_stopped() {
            return;
        }
        let (leads, writes) = (node.leads(), node.write.is_some());
        let rested = !writes || left.overtakings > 0;
        let votes = node.raft.membership().is_voter(node.id);
        let term = node.raft.term().0;
        let is_first = |roster: &Roster| term > 0 || roster.first == node.id.0;
        let may = votes && self.change.as_ref().is_none_or(is_first);
        let candidacy = left.candidacies > 0 && term < left.terms && may;
        let heartbeat = leads && left.heartbeats > 0;
        inputs.push_if(Input::Persist, writes);
        inputs.push_if(Input::Restart, left.restarts > 0);
        inputs.push_if(Input::Timeout, rested && heartbeat);
        inputs.push_if(Input::Timeout, rested && !leads && candidacy);
        inputs.push_if(Input::Propose, rested && leads && left.commands > 0);
        let is_changing = node.raft.membership().change.is_some();
        inputs.push_if(Input::Change, rested && leads && left.changes > 0);
        let aborts = rested && leads && left.aborts > 0 && is_changing;
        inputs.push_if(Input::Abort, aborts);
        let transfers = rested && leads && left.transfers > 0;
        let others = (1..=self.size as u64).map(NodeId);
        for to in others.filter(|to| *to != node.id) {
            inputs.push_if(Input::Transfer(to), transfers);
        }
        if rested {
            inputs.push_with_messages(Input::Receive);
        }
    }

    fn spend(&self, node: &Node, input: Input, left: &mut Budget) {
        match input {
            Input::Timeout if node.leads() => left.heartbeats -= 1,
            Input::Timeout => left.candidacies -= 1,
            Input::Propose => left.commands -= 1,
            Input::Transfer(_) => left.transfers -= 1,
            Input::Change => left.changes -= 1,
            Input::Abort => left.aborts -= 1,
            Input::Restart => left.restarts -= 1,
            Input::Persist | Input::Receive => {}
        }
        let overtakes = !matches!(input, Input::Persist | Input::Restart);
        if overtakes && node.write.is_some() && left.overtakings != Budget::ANY {
            left.overtakings -= 1;
        }
    }

    fn hears(&self, node: &Node, packet: &Packet) -> bool {
        packet.to == node.id
    }

    fn step(&self, node: &Node, input: Input, packet: Option<&Packet>) -> Option<Step<Self>> {
        Some(node.clone().take(input, packet))
    }

    fn check(&self, checker: &Checker, step: &Step<Self>) -> Result<Option<Checker>, String> {
        let mut checker = checker.clone();
        let id = step.node.id;
        for told in &step.note {
            let lawful = match told {
                Told::Started(raft) => checker.started(raft),
                Told::Stepped(raft) => checker.stepped(raft),
                Told::Polled(output) => checker.polled(id, output),
                Told::Persisted => checker.persisted(id),
            };
            lawful.map_err(|violation| violation.to_string())?;
        }
        Ok(Some(checker))
    }

    fn goal_of_repetition(&self, packet: &Packet) -> Option<Goal> {
        match packet.message {
            Message::Binding(Binding::RequestVote { .. }) => Some(Goal::RequestAgain),
            Message::Replicate(Replicate::Append { .. }) => Some(Goal::AppendAgain),
            _ => None,
        }
    }

    fn carries(&self, packet: &Packet) -> bool {
        (self.carries)(&packet.message)
    }

    fn renamings(&self) -> Vec<Vec<usize>> {
        match self.change {
            Some(_) => Vec::new(),
            None => permutations(self.size),
        }
    }

    fn rename_message(&self, packet: &Packet, renaming: &[usize]) -> Packet {
        Packet {
            from: rename(packet.from, renaming),
            to: rename(packet.to, renaming),
            message: packet.message.clone(),
        }
    }

    fn rename_checker(&self, checker: &Checker, renaming: &[usize]) -> Checker {
        checker.renamed(|id| rename(id, renaming))
    }

    fn name(&self, place: usize) -> String {
        format!("n{}", place + 1)
    }

    fn view(&self, node: &Node) -> View {
        node.view()
    }

    fn kind(&self, input: Input) -> Kind {
        match input {
            Input::Timeout => Kind::Timer,
            Input::Propose | Input::Transfer(_) | Input::Change | Input::Abort => Kind::Input,
            Input::Persist => Kind::Sync,
            Input::Restart => Kind::Start,
            Input::Receive => Kind::Message,
        }
    }

    fn caption(&self, packet: &Packet) -> (String, String) {
        caption_of(&packet.message)
    }

    fn tell(&self, place: usize, input: Input, packet: Option<&Packet>) -> String {
        let node = place + 1;
        match (input, packet) {
            (_, Some(Packet { from, message, .. })) => {
                format!("{node} receives from {}: {message:?}", from.0)
            }
            (Input::Timeout, _) => format!("{node} times out"),
            (Input::Propose, _) => format!("{node} is given a command"),
            (Input::Transfer(to), _) => format!("{node} is to hand over to {}", to.0),
            (Input::Change, _) => format!("{node} is to change the membership"),
            (Input::Abort, _) => format!("{node} is to abort the change"),
            (Input::Persist, _) => format!("{node}'s write is durable"),
            (Input::Restart, _) => format!("{node} crashes and restarts"),
            (Input::Receive, None) => format!("{node} receives nothing"),
        }
    }
}

fn rename(NodeId(id): NodeId, renaming: &[usize]) -> NodeId {
    let place = usize::try_from(id - 1).expect("nodes are few");
    NodeId(renaming[place] as u64 + 1)
}
