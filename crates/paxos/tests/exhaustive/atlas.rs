//! Every node state, message and past that was met, once, under a number.
//!
//! There are far fewer of them than states of the group, so a step of a node is computed once and
//! looked up ever after; and a state of the group is a few numbers.

use std::fmt;
use std::num::NonZeroU32;

use synod_paxos::NodeId;
use synod_paxos::check::Checker;

use crate::fingerprint::{Fingerprint, Map};
use crate::goals::Goals;
use crate::node::{Disk, Group, Input, Node, Packet, Step};

#[derive(Debug)]
pub(crate) struct Atlas {
    nodes: Vec<Place>,
    node_numbers: Map<u128, u32>,
    packets: Vec<Packet>,
    packet_numbers: Map<Packet, u32>,
    /// `Err`: the core broke an assertion of its own.
    steps: Vec<Result<KnownStep, String>>,
    checkers: Vec<Checker>,
    checker_numbers: Map<u128, u32>,
    checks: Map<(u32, u32), u32>,
}

/// A state of a node, and how it came to it first.
#[derive(Debug)]
struct Place {
    node: Node,
    origin: Option<(u32, Input<u32>)>,
    /// The steps from here that are known, by [`Atlas::slot`].
    steps: Vec<Option<NonZeroU32>>,
}

/// A step of a node, in numbers.
#[derive(Debug)]
pub(crate) struct KnownStep {
    pub(crate) to: u32,
    pub(crate) sent: Vec<u32>,
    pub(crate) goals: Goals,
    step: Step,
}

impl Atlas {
    /// With nodes that never ran, numbered from 0, and a checker that has met them.
    pub(crate) fn new(group: &Group) -> Self {
        let mut atlas = Self {
            nodes: Vec::new(),
            node_numbers: Map::default(),
            packets: Vec::new(),
            packet_numbers: Map::default(),
            steps: Vec::new(),
            checkers: Vec::new(),
            checker_numbers: Map::default(),
            checks: Map::default(),
        };
        let mut checker = Checker::default();
        let ids: Vec<NodeId> = group.quorums.acceptors().collect();
        for id in ids {
            let node = Node::new(id, group.clone(), Disk::default());
            checker
                .started(&node.paxos)
                .expect("an empty node is lawful");
            atlas.number_node(node, None);
        }
        atlas.number_checker(checker);
        atlas
    }

    pub(crate) fn node(&self, number: u32) -> &Node {
        &self.nodes[number as usize].node
    }

    pub(crate) fn packet(&self, number: u32) -> &Packet {
        &self.packets[number as usize]
    }

    /// The number of the step that the node makes of that input.
    pub(crate) fn step(&mut self, node: u32, input: Input<u32>) -> u32 {
        let slot = slot(input);
        let known = self.nodes[node as usize].steps.get(slot);
        if let Some(Some(step)) = known {
            return step.get() - 1;
        }
        let step = self.take_step(node, input);
        self.steps.push(step);
        let place = &mut self.nodes[node as usize];
        if place.steps.len() <= slot {
            place.steps.resize(slot + 1, None);
        }
        let count = number(self.steps.len());
        place.steps[slot] = NonZeroU32::new(count);
        count - 1
    }

    fn take_step(&mut self, node: u32, input: Input<u32>) -> Result<KnownStep, String> {
        let whole = match input {
            Input::Receive(packet) => Input::Receive(self.packet(packet).clone()),
            Input::Campaign => Input::Campaign,
            Input::Heartbeat => Input::Heartbeat,
            Input::Propose => Input::Propose,
            Input::Read => Input::Read,
            Input::Persist => Input::Persist,
            Input::Restart => Input::Restart,
            Input::Torn => Input::Torn,
        };
        let step = self.node(node).step(&whole)?;
        let to = self.number_node(step.node.clone(), Some((node, input)));
        let packets = step.sent.iter().map(|packet| self.number_packet(packet));
        let mut sent: Vec<u32> = packets.collect();
        sent.sort_unstable();
        sent.dedup();
        let mut goals = step.goals;
        if let Input::Receive(packet) = &whole
            && self.has_handled(node, input)
            && (to != node || !sent.is_empty())
        {
            goals |= Goals::of_repetition(&packet.message);
        }
        Ok(KnownStep {
            to,
            sent,
            goals,
            step,
        })
    }

    /// On the way on which the node came to this state first.
    fn has_handled(&self, node: u32, input: Input<u32>) -> bool {
        let mut at = node;
        while let Some((before, last)) = self.nodes[at as usize].origin {
            if last == input {
                return true;
            }
            at = before;
        }
        false
    }

    pub(crate) fn known_step(&self, step: u32) -> Result<&KnownStep, String> {
        self.steps[step as usize].as_ref().map_err(Clone::clone)
    }

    /// What the checker knows after the step, if it breaks no rule.
    pub(crate) fn check(&mut self, checker: u32, step: u32) -> Result<u32, String> {
        if let Some(known) = self.checks.get(&(checker, step)) {
            return Ok(*known);
        }
        let before = &self.checkers[checker as usize];
        let after = self.known_step(step)?.step.check(before);
        let after = after.map_err(|violation| violation.to_string())?;
        let after = self.number_checker(after);
        self.checks.insert((checker, step), after);
        Ok(after)
    }

    fn number_node(&mut self, node: Node, origin: Option<(u32, Input<u32>)>) -> u32 {
        let fingerprint = Fingerprint::of(&node.projection());
        let nodes = &mut self.nodes;
        *self.node_numbers.entry(fingerprint).or_insert_with(|| {
            nodes.push(Place {
                node,
                origin,
                steps: Vec::new(),
            });
            number(nodes.len() - 1)
        })
    }

    fn number_packet(&mut self, packet: &Packet) -> u32 {
        if let Some(number) = self.packet_numbers.get(packet) {
            return *number;
        }
        self.packets.push(packet.clone());
        let number = number(self.packets.len() - 1);
        self.packet_numbers.insert(packet.clone(), number);
        number
    }

    fn number_checker(&mut self, checker: Checker) -> u32 {
        let fingerprint = Fingerprint::of(&checker);
        let checkers = &mut self.checkers;
        *self.checker_numbers.entry(fingerprint).or_insert_with(|| {
            checkers.push(checker);
            number(checkers.len() - 1)
        })
    }
}

fn number(place: usize) -> u32 {
    u32::try_from(place).expect("fewer than 2^32 of a kind")
}

impl fmt::Display for Atlas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (nodes, packets) = (self.nodes.len(), self.packets.len());
        write!(f, "{nodes} states of a node, {packets} messages")
    }
}

/// Where a node keeps the step that an input leads to.
fn slot(input: Input<u32>) -> usize {
    match input {
        Input::Campaign => 0,
        Input::Heartbeat => 1,
        Input::Propose => 2,
        Input::Read => 3,
        Input::Persist => 4,
        Input::Restart => 5,
        Input::Torn => 6,
        Input::Receive(packet) => 7 + packet as usize,
    }
}
