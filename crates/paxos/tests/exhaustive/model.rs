//! A model of a group: what may happen, how often, and which rules are checked.

use synod_paxos::check::Checker;
use synod_paxos::{Binding, Message, Replicate};
use synod_sim::page::{Kind, View, caption_of};
use synod_sim::search::{Inputs, Step, System};

use crate::goals::Goal;
use crate::node::{Disk, Group, Input, Node, Packet, READ, Told, votes_of};

/// A group and the bounds of the search.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) group: Group,
    pub(crate) budget: Budget,
    /// Whether the network carries a message; it loses the others.
    pub(crate) carries: fn(&Message) -> bool,
}

/// How often events may happen, in the whole group.
#[derive(Clone, Copy, Debug, Default, Hash)]
pub(crate) struct Budget {
    /// This many nodes, starting with the first, campaign.
    pub(crate) proposers: u64,
    pub(crate) campaigns: u8,
    pub(crate) heartbeats: u8,
    pub(crate) commands: u8,
    /// The last slot for which a command is proposed.
    pub(crate) slots: u64,
    pub(crate) reads: u8,
    /// Transfers of leadership, to any of the others.
    pub(crate) transfers: u8,
    /// Changes of membership, to the group's other members.
    pub(crate) changes: u8,
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
        let ids = self.group.quorums.acceptors();
        let nodes = ids.map(|id| Node::new(id, self.group.clone(), Disk::default()));
        let nodes: Vec<Node> = nodes.collect();
        let mut checker = Checker::default();
        for node in &nodes {
            let started = checker.started(&node.paxos);
            started.expect("an empty node is lawful");
        }
        (nodes, checker, self.budget)
    }

    fn inputs(&self, node: &Node, left: &Budget, inputs: &mut Inputs<Input>) {
        let (leads, writes) = (node.leads(), node.write.is_some());
        let rested = !writes || left.overtakings > 0;
        // A campaign waits for the disk.
        let campaigns = !writes && !leads && left.campaigns > 0 && node.id.0 <= left.proposers;
        let tears = left.restarts > 0 && votes_of(&node.unsynced()).len() > 1;
        let proposes = left.commands > 0 && node.paxos.status().last.0 < left.slots;
        inputs.push_if(Input::Persist, writes);
        inputs.push_if(Input::Restart, left.restarts > 0);
        inputs.push_if(Input::Torn, tears);
        inputs.push_if(Input::Campaign, campaigns);
        inputs.push_if(Input::Heartbeat, rested && leads && left.heartbeats > 0);
        inputs.push_if(Input::Propose, rested && leads && proposes);
        inputs.push_if(Input::Read, rested && leads && left.reads > 0);
        inputs.push_if(Input::Change, rested && leads && left.changes > 0);
        let transfers = rested && leads && left.transfers > 0;
        let others = self.group.quorums.acceptors();
        for to in others.filter(|to| *to != node.id) {
            inputs.push_if(Input::Transfer(to), transfers);
        }
        if rested {
            inputs.push_with_messages(Input::Receive);
        }
    }

    fn spend(&self, node: &Node, input: Input, left: &mut Budget) {
        match input {
            Input::Heartbeat => left.heartbeats -= 1,
            Input::Campaign => left.campaigns -= 1,
            Input::Propose => left.commands -= 1,
            Input::Read => left.reads -= 1,
            Input::Transfer(_) => left.transfers -= 1,
            Input::Change => left.changes -= 1,
            Input::Restart | Input::Torn => left.restarts -= 1,
            Input::Persist | Input::Receive => {}
        }
        let overtakes = !matches!(input, Input::Persist | Input::Restart | Input::Torn);
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
                Told::Started(paxos) => checker.started(paxos),
                Told::Asked => {
                    checker.asked(id, READ);
                    Ok(())
                }
                Told::Stepped(paxos) => checker.stepped(paxos),
                Told::Polled(output) => checker.polled(id, output),
                Told::Persisted => checker.persisted(id),
            };
            lawful.map_err(|violation| violation.to_string())?;
        }
        Ok(Some(checker))
    }

    fn goal_of_repetition(&self, packet: &Packet) -> Option<Goal> {
        match packet.message {
            Message::Binding(Binding::Prepare { .. }) => Some(Goal::PrepareAgain),
            Message::Replicate(Replicate::Accept { .. }) => Some(Goal::AcceptAgain),
            _ => None,
        }
    }

    fn carries(&self, packet: &Packet) -> bool {
        (self.carries)(&packet.message)
    }

    fn name(&self, place: usize) -> String {
        format!("n{}", place + 1)
    }

    fn view(&self, node: &Node) -> View {
        node.view()
    }

    fn kind(&self, input: Input) -> Kind {
        match input {
            Input::Campaign | Input::Heartbeat => Kind::Timer,
            Input::Propose | Input::Read | Input::Transfer(_) | Input::Change => Kind::Input,
            Input::Persist => Kind::Sync,
            Input::Restart | Input::Torn => Kind::Start,
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
            (Input::Campaign, _) => format!("{node} campaigns"),
            (Input::Heartbeat, _) => format!("{node}'s heartbeat is due"),
            (Input::Propose, _) => format!("{node} is given a command"),
            (Input::Read, _) => format!("{node} is asked for a read"),
            (Input::Change, _) => format!("{node} is to change the members"),
            (Input::Transfer(to), _) => format!("{node} is to hand over to {}", to.0),
            (Input::Persist, _) => format!("{node}'s write is durable"),
            (Input::Restart, _) => format!("{node} crashes and restarts"),
            (Input::Torn, _) => format!("{node} crashes in its write and restarts"),
            (Input::Receive, None) => format!("{node} receives nothing"),
        }
    }
}
