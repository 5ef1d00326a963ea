//! Breadth first over all states of the group, so that what is found first is shortest.

use std::collections::VecDeque;
use std::fmt::{self, Write};

use synod_raft::Message;

use crate::atlas::Atlas;
use crate::fingerprint::{Fingerprint, Set};
use crate::goals::{Goal, Goals};
use crate::node::{Input, Packet};

/// What may happen how often, and what must.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Model {
    /// Nodes, [`NODES_MAX`] at most.
    pub(crate) size: usize,
    pub(crate) budget: Budget,
    /// What the network carries; it loses the rest.
    pub(crate) carries: fn(&Message) -> bool,
    pub(crate) goals: &'static [Goal],
}

/// How often something may happen, in the whole group.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Budget {
    /// The last term that is campaigned for.
    pub(crate) terms: u64,
    pub(crate) candidacies: u8,
    pub(crate) heartbeats: u8,
    pub(crate) commands: u8,
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
    nodes: [u32; NODES_MAX],
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
    renamed: Vec<u32>,
    steps: u64,
    goals: Goals,
}

/// Visits every state within the budgets, or stops at the first that breaks a rule.
pub(crate) fn search(model: Model) -> Found {
    let mut search = Search {
        model,
        atlas: Atlas::new(model.size),
        seen: Set::default(),
        origins: Vec::new(),
        queue: VecDeque::new(),
        inputs: Vec::new(),
        renamed: Vec::new(),
        steps: 0,
        goals: Goals::default(),
    };
    let first = State {
        nodes: [0, 1, 2, 3, 4],
        checker: 0,
        net: Vec::new(),
        left: model.budget,
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
    let missed = model.goals.iter().filter(|goal| !search.goals.has(**goal));
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
        for place in 0..self.model.size {
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
        let candidacy = left.candidacies > 0 && node.raft.term().0 < left.terms;
        let may = [
            (Input::Persist, writes),
            (Input::Restart, left.restarts > 0),
            (Input::Timeout, rested && leads && left.heartbeats > 0),
            (Input::Timeout, rested && !leads && candidacy),
            (Input::Propose, rested && leads && left.commands > 0),
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
            Input::Timeout if node.leads() => left.heartbeats -= 1,
            Input::Timeout => left.candidacies -= 1,
            Input::Propose => left.commands -= 1,
            Input::Restart => left.restarts -= 1,
            Input::Persist | Input::Receive(_) => {}
        }
        let overtakes = !matches!(input, Input::Persist | Input::Restart);
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

    /// The same for states that differ in names: the least over the renamings that bring the nodes
    /// into the order of their orbits, which is one renaming for most states.
    fn fingerprint(&mut self, state: &State) -> u128 {
        let size = self.model.size;
        let mut orbits = [0; NODES_MAX];
        for (orbit, node) in orbits[..size].iter_mut().zip(state.nodes) {
            *orbit = self.atlas.orbit(node);
        }
        let mut least: Option<u128> = None;
        for renaming in 0..self.atlas.renamings().len() {
            let mut sorted = [0; NODES_MAX];
            let places = &self.atlas.renamings()[renaming];
            (0..size).for_each(|at| sorted[places[at]] = orbits[at]);
            if sorted[..size].is_sorted() {
                let fingerprint = self.fingerprint_renamed(state, renaming);
                least = Some(least.map_or(fingerprint, |least| least.min(fingerprint)));
            }
        }
        least.expect("some order is sorted")
    }

    fn fingerprint_renamed(&mut self, state: &State, renaming: usize) -> u128 {
        let atlas = &mut self.atlas;
        let size = self.model.size;
        let mut nodes = [0; NODES_MAX];
        for (at, node) in state.nodes[..size].iter().enumerate() {
            nodes[atlas.renamings()[renaming][at]] = atlas.rename_node(*node, renaming);
        }
        let renamed = state
            .net
            .iter()
            .map(|packet| atlas.rename_packet(*packet, renaming));
        let packets = &mut self.renamed;
        packets.clear();
        packets.extend(renamed);
        packets.sort_unstable();
        let mut fingerprint = Fingerprint::new();
        nodes[..size]
            .iter()
            .chain(&*packets)
            .for_each(|number| fingerprint.add(u64::from(*number)));
        fingerprint.add(u64::from(atlas.rename_checker(state.checker, renaming)));
        let Budget {
            terms: _,
            candidacies,
            heartbeats,
            commands,
            restarts,
            overtakings,
        } = state.left;
        let left = [candidacies, heartbeats, commands, restarts, overtakings];
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
                Input::Timeout => writeln!(text, "{number:3}. {node} times out"),
                Input::Propose => writeln!(text, "{number:3}. {node} is given a command"),
                Input::Persist => writeln!(text, "{number:3}. {node}'s write is durable"),
                Input::Restart => writeln!(text, "{number:3}. {node} crashes and restarts"),
            };
        }
        text
    }
}

pub(crate) const NODES_MAX: usize = 5;
