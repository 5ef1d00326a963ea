//! Breadth first over all states of the group, so that what is found first is shortest.

use std::collections::VecDeque;
use std::fmt::{self, Write};

use synod_paxos::Message;

use crate::atlas::Atlas;
use crate::fingerprint::{Fingerprint, Set};
use crate::goals::{Goal, Goals};
use crate::node::{Group, Input, Packet, votes_of};

/// What may happen how often, and what must.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    /// Nodes 1 to [`NODES`].
    pub(crate) group: Group,
    pub(crate) budget: Budget,
    /// What the network carries; it loses the rest.
    pub(crate) carries: fn(&Message) -> bool,
    pub(crate) goals: &'static [Goal],
}

/// How often something may happen, in the whole group.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Budget {
    /// So many nodes, from the first on, want to lead.
    pub(crate) proposers: usize,
    pub(crate) campaigns: u8,
    pub(crate) heartbeats: u8,
    pub(crate) commands: u8,
    /// The last slot that a command is proposed for.
    pub(crate) slots: u64,
    pub(crate) reads: u8,
    /// Crashes with what is not durable lost.
    pub(crate) restarts: u8,
    /// Inputs that a node handles while its write is in flight; [`Budget::ANY`] for any number.
    pub(crate) overtakings: u8,
}

impl Budget {
    pub(crate) const ANY: u8 = u8::MAX;
}

#[derive(Clone, Debug)]
struct State {
    nodes: [u32; NODES],
    checker: u32,
    /// Every message that was ever sent, ascending. It stays: so it may be lost, late, or twice.
    net: Vec<u32>,
    left: Budget,
}

/// What was found.
#[derive(Debug)]
pub(crate) struct Found {
    states: usize,
    steps: u64,
    depth: usize,
    atlas: Atlas,
    /// What the model wanted and did not meet.
    pub(crate) missed: Vec<Goal>,
    pub(crate) violation: Option<String>,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            states,
            steps,
            depth,
            atlas,
            ..
        } = self;
        write!(f, "{states} states, {steps} steps, {depth} deep; {atlas}")
    }
}

struct Search {
    model: Model,
    atlas: Atlas,
    seen: Set<u128>,
    /// Whence each state came first.
    origins: Vec<Option<(u32, usize, Input<u32>)>>,
    queue: VecDeque<(u32, State)>,
    inputs: Vec<Input<u32>>,
    steps: u64,
    goals: Goals,
}

/// Visits every state within the budgets, or stops at the first that breaks a rule.
pub(crate) fn search(model: Model) -> Found {
    let goals = model.goals;
    let budget = model.budget;
    let mut search = Search {
        atlas: Atlas::new(&model.group),
        model,
        seen: Set::default(),
        origins: Vec::new(),
        queue: VecDeque::new(),
        inputs: Vec::new(),
        steps: 0,
        goals: Goals::default(),
    };
    let first = State {
        nodes: [0, 1, 2],
        checker: 0,
        net: Vec::new(),
        left: budget,
    };
    search.visit(first, None);
    let mut violation = None;
    let mut last = 0;
    while let Some((at, state)) = search.queue.pop_front() {
        last = at;
        if let Err((place, input, rule)) = search.expand(at, &state) {
            violation = Some(search.tell(at, place, input, &rule));
            break;
        }
    }
    let missed = goals.iter().filter(|goal| !search.goals.has(**goal));
    let missed = missed.copied().collect();
    Found {
        states: search.seen.len(),
        steps: search.steps,
        depth: search.path(last).len(),
        missed,
        atlas: search.atlas,
        violation,
    }
}

impl Search {
    fn expand(&mut self, at: u32, state: &State) -> Result<(), (usize, Input<u32>, String)> {
        let mut inputs = std::mem::take(&mut self.inputs);
        for place in 0..NODES {
            self.list_inputs(state, place, &mut inputs);
            for input in inputs.drain(..) {
                let next = self.take(state, place, input);
                let next = next.map_err(|rule| (place, input, rule))?;
                if let Some(next) = next {
                    self.visit(next, Some((at, place, input)));
                }
            }
        }
        self.inputs = inputs;
        Ok(())
    }

    /// What may happen to the node at `place`.
    fn list_inputs(&self, state: &State, place: usize, inputs: &mut Vec<Input<u32>>) {
        let (node, left) = (self.atlas.node(state.nodes[place]), state.left);
        let (leads, writes) = (node.leads(), node.write.is_some());
        let rested = !writes || left.overtakings > 0;
        // A campaign waits for the disk.
        let campaigns = !writes && !leads && left.campaigns > 0 && place < left.proposers;
        let tears = left.restarts > 0 && votes_of(&node.unsynced()).len() > 1;
        let proposes = left.commands > 0 && node.paxos.status().last.0 < left.slots;
        let may = [
            (Input::Persist, writes),
            (Input::Restart, left.restarts > 0),
            (Input::Torn, tears),
            (Input::Campaign, campaigns),
            (Input::Heartbeat, rested && leads && left.heartbeats > 0),
            (Input::Propose, rested && leads && proposes),
            (Input::Read, rested && leads && left.reads > 0),
        ];
        inputs.extend(may.iter().filter(|(_, may)| *may).map(|(input, _)| *input));
        if rested {
            let mine = |packet: &&u32| self.atlas.packet(**packet).to == node.id;
            let packets = state.net.iter().filter(mine);
            inputs.extend(packets.map(|packet| Input::Receive(*packet)));
        }
    }

    /// The state behind it, if it is another one.
    fn take(
        &mut self,
        state: &State,
        at: usize,
        input: Input<u32>,
    ) -> Result<Option<State>, String> {
        self.steps += 1;
        let node = state.nodes[at];
        let step = self.atlas.step(node, input);
        let known = self.atlas.known_step(step)?;
        let to = known.to;
        if to == node && known.sent.is_empty() && matches!(input, Input::Receive(_)) {
            return Ok(None);
        }
        self.goals |= known.goals;
        let checker = self.atlas.check(state.checker, step)?;
        let (known, carries) = (self.atlas.known_step(step)?, self.model.carries);
        let is_news = |packet: &&u32| {
            state.net.binary_search(packet).is_err()
                && carries(&self.atlas.packet(**packet).message)
        };
        let mut news = known.sent.iter().filter(is_news).peekable();
        if to == node && checker == state.checker && news.peek().is_none() {
            return Ok(None);
        }
        let mut next = state.clone();
        next.nodes[at] = to;
        next.checker = checker;
        if news.peek().is_some() {
            next.net.extend(news);
            next.net.sort_unstable();
        }
        self.spend(node, input, &mut next.left);
        Ok(Some(next))
    }

    fn spend(&self, node: u32, input: Input<u32>, left: &mut Budget) {
        let node = self.atlas.node(node);
        match input {
            Input::Heartbeat => left.heartbeats -= 1,
            Input::Campaign => left.campaigns -= 1,
            Input::Propose => left.commands -= 1,
            Input::Read => left.reads -= 1,
            Input::Restart | Input::Torn => left.restarts -= 1,
            Input::Persist | Input::Receive(_) => {}
        }
        let overtakes = !matches!(input, Input::Persist | Input::Restart | Input::Torn);
        if overtakes && node.write.is_some() && left.overtakings != Budget::ANY {
            left.overtakings -= 1;
        }
    }

    fn visit(&mut self, state: State, origin: Option<(u32, usize, Input<u32>)>) {
        let fingerprint = self.fingerprint(&state);
        if self.seen.insert(fingerprint) {
            let number = u32::try_from(self.origins.len()).expect("fewer than 2^32 states");
            self.origins.push(origin);
            self.queue.push_back((number, state));
        }
    }

    fn fingerprint(&self, state: &State) -> u128 {
        let mut fingerprint = Fingerprint::new();
        let numbers = state.nodes.iter().chain([&state.checker]).chain(&state.net);
        numbers.for_each(|number| fingerprint.add(u64::from(*number)));
        let Budget {
            proposers: _,
            slots: _,
            campaigns,
            heartbeats,
            commands,
            reads,
            restarts,
            overtakings,
        } = state.left;
        let left = [
            campaigns,
            heartbeats,
            commands,
            reads,
            restarts,
            overtakings,
        ];
        left.iter()
            .for_each(|left| fingerprint.add(u64::from(*left)));
        fingerprint.end()
    }

    fn path(&self, at: u32) -> Vec<(usize, Input<u32>)> {
        let mut path = Vec::new();
        let mut next = Some(at);
        while let Some((before, place, input)) = next.and_then(|at| self.origins[at as usize]) {
            path.push((place, input));
            next = Some(before);
        }
        path.reverse();
        path
    }

    /// How it came to it.
    fn tell(&self, at: u32, place: usize, input: Input<u32>, rule: &str) -> String {
        let mut path = self.path(at);
        path.push((place, input));
        let mut text = format!("{rule}\nafter {} steps:\n", path.len());
        for (number, (place, input)) in path.iter().enumerate() {
            let (number, node) = (number + 1, place + 1);
            let _ = match input {
                Input::Receive(packet) => {
                    let Packet { from, message, .. } = self.atlas.packet(*packet);
                    writeln!(
                        text,
                        "{number:3}. {node} receives from {}: {message:?}",
                        from.0
                    )
                }
                Input::Campaign => writeln!(text, "{number:3}. {node} campaigns"),
                Input::Heartbeat => writeln!(text, "{number:3}. {node}'s heartbeat is due"),
                Input::Propose => writeln!(text, "{number:3}. {node} is given a command"),
                Input::Read => writeln!(text, "{number:3}. {node} is asked for a read"),
                Input::Persist => writeln!(text, "{number:3}. {node}'s write is durable"),
                Input::Restart => writeln!(text, "{number:3}. {node} crashes and restarts"),
                Input::Torn => {
                    writeln!(text, "{number:3}. {node} crashes in its write and restarts")
                }
            };
        }
        text
    }
}

pub(crate) const NODES: usize = 3;
