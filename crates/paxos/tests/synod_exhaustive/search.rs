//! Breadth first over all states of the synod, so that what is found first is shortest.

use std::collections::VecDeque;
use std::fmt::{self, Write};

use synod_paxos::single::Message;
use synod_paxos::{AcceptorSet, NodeId, Quorums};

use crate::actor::{Actor, Fate, Input};
use crate::atlas::{Atlas, KnownStep, Map, Packets, Set};
use crate::goals::{Goal, Goals};
use crate::moves::{Book, May};
use crate::rules::{Facts, check_learned};

/// Who takes part, what may happen how often, and what must.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    /// Of acceptors that are numbered from 1.
    pub(crate) quorums: Quorums,
    pub(crate) cast: Cast,
    pub(crate) budget: Budget,
    /// What the network carries; it loses the rest.
    pub(crate) carries: fn(&Message<u8>) -> bool,
    pub(crate) goals: &'static [Goal],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cast {
    /// Acceptors and, numbered from 1, proposers, each of which crashes by itself.
    Roles { proposers: u64 },
    /// Each acceptor is a whole node.
    Nodes,
}

/// How often something may happen, in the whole synod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Budget {
    /// Of each proposer.
    pub(crate) ballots: [u8; PROPOSERS_MAX],
    pub(crate) crashes: u8,
    /// Writes that do not become durable.
    pub(crate) losses: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct State {
    actors: [u32; ACTORS_MAX],
    /// Every message that was ever sent. It stays: so it may be lost, late, or twice.
    net: Packets,
    /// Who has crashed, a bit each.
    crashed: u8,
    left: Budget,
}

/// What happened to the actor at a place, its last silent steps before it not told.
#[derive(Clone, Copy, Debug)]
struct Event {
    place: u8,
    input: Input<u32>,
    fate: Fate,
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

struct Search<'a> {
    model: &'a Model,
    actors: usize,
    /// Of the acceptors, if they are alike; else only the one that changes nothing.
    renamings: Vec<Vec<u64>>,
    atlas: Atlas,
    book: Book,
    seen: Set<State>,
    /// Whence each state came first.
    origins: Vec<Option<(u32, Event)>>,
    queue: VecDeque<(u32, State)>,
    /// What is chosen when this was said.
    chosen: Map<Packets, Option<u8>>,
    learners: Map<Packets, bool>,
    steps: u64,
    goals: Goals,
}

/// Visits every state within the budgets, or stops at the first that breaks a rule.
pub(crate) fn search(model: &Model) -> Found {
    let mut search = Search {
        model,
        actors: 0,
        renamings: renamings(model),
        atlas: Atlas::default(),
        book: Book::default(),
        seen: Set::default(),
        origins: Vec::new(),
        queue: VecDeque::new(),
        chosen: Map::default(),
        learners: Map::default(),
        steps: 0,
        goals: Goals::default(),
    };
    let first = search.first();
    let (mut violation, mut last) = (search.visit(first, None).err(), 0);
    while let Some((at, state)) = search.queue.pop_front() {
        last = at;
        if let Err((event, rule)) = search.expand(at, &state) {
            violation = Some(search.tell(at, event, &rule));
            break;
        }
    }
    let missed = model.goals.iter().filter(|goal| !search.goals.has(**goal));
    Found {
        states: search.seen.len(),
        steps: search.steps,
        depth: search.path(last).len(),
        missed: missed.copied().collect(),
        atlas: search.atlas,
        violation,
    }
}

impl Search<'_> {
    fn first(&mut self) -> State {
        let quorums = &self.model.quorums;
        let actors: Vec<Actor> = match self.model.cast {
            Cast::Roles { proposers } => {
                let acceptors = quorums.acceptors().map(Actor::acceptor);
                let proposers = (1..=proposers).map(|id| Actor::proposer(NodeId(id), quorums));
                acceptors.chain(proposers).collect()
            }
            Cast::Nodes => {
                let nodes = quorums.acceptors().map(|id| Actor::node(id, quorums));
                nodes.collect()
            }
        };
        self.actors = actors.len();
        let mut numbers = [0; ACTORS_MAX];
        for (number, actor) in numbers.iter_mut().zip(actors) {
            *number = self.atlas.number_actor(actor);
        }
        State {
            actors: numbers,
            net: Packets::default(),
            crashed: 0,
            left: self.model.budget,
        }
    }

    fn expand(&mut self, at: u32, state: &State) -> Result<(), (Event, String)> {
        for place in 0..self.actors as u8 {
            let actor = state.actors[usize::from(place)];
            let may = May {
                begin: self.may_begin(state, actor),
                crash: state.left.crashes > 0,
                lose: state.left.losses > 0,
            };
            let moves = self.book.moves(&mut self.atlas, actor, state.net, may);
            let event = |input, fate| Event { place, input, fate };
            if let Some((input, reason)) = &moves.broken {
                return Err((event(*input, Fate::Stored), reason.clone()));
            }
            self.goals |= moves.goals;
            for value in &moves.learned {
                let learned = check_learned(*value, self.chosen[&state.net]);
                learned.map_err(|rule| (event(Input::Begin, Fate::Stored), rule))?;
            }
            for what in &moves.visible {
                let event = event(what.input, what.fate);
                if let Some(next) = self.take(state, event, &what.step) {
                    let visited = self.visit(next, Some((at, event)));
                    visited.map_err(|rule| (event, rule))?;
                }
            }
        }
        Ok(())
    }

    fn may_begin(&self, state: &State, actor: u32) -> bool {
        let actor = self.atlas.actor(actor);
        let left = state.left.ballots.get(actor.id().0 as usize - 1);
        !matches!(actor, Actor::Acceptor { .. }) && left.is_some_and(|left| *left > 0)
    }

    /// The state behind the step, if it is another one.
    fn take(&mut self, state: &State, event: Event, step: &KnownStep) -> Option<State> {
        let place = usize::from(event.place);
        let actor = state.actors[place];
        self.steps += 1;
        if step.to == actor && state.net.holds(step.sent) {
            return None;
        }
        let mut next = *state;
        next.actors[place] = step.to;
        next.net = self.send(state.net, step.sent);
        next.left.losses -= u8::from(event.fate == Fate::Lost);
        match event.input {
            Input::Receive(_) => {}
            Input::Begin => {
                let id = self.atlas.actor(actor).id();
                next.left.ballots[id.0 as usize - 1] -= 1;
                let again = state.crashed >> place & 1 == 1 && !step.sent.is_empty();
                self.goals.reach(Goal::BallotAfterCrash, again);
            }
            Input::Crash => {
                next.left.crashes -= 1;
                next.crashed |= 1 << place;
            }
        }
        Some(next)
    }

    fn send(&self, mut net: Packets, sent: Packets) -> Packets {
        for packet in sent.iter() {
            if (self.model.carries)(&self.atlas.packet(packet).message) {
                net.insert(packet);
            }
        }
        net
    }

    fn check_actor(&self, actor: u32, net: Packets) -> Result<(), String> {
        let actor = self.atlas.actor(actor);
        let mut said = net.iter().map(|packet| self.atlas.packet(packet));
        if let Some(packet) = said.find(|packet| !actor.remembers(packet)) {
            return Err(format!("unsayable, a crash would unsay it: {packet:?}"));
        }
        Ok(())
    }

    fn check_net(&mut self, net: Packets) -> Result<(), String> {
        if self.chosen.contains_key(&net) {
            return Ok(());
        }
        let quorums = &self.model.quorums;
        let said = net.iter().map(|packet| self.atlas.packet(packet));
        let with_promises = matches!(self.model.cast, Cast::Roles { .. });
        let facts = Facts::of(said, quorums, with_promises)?;
        self.goals |= Goals::of_facts(&facts);
        let chosen = facts.chosen();
        let mut votes = Packets::default();
        for packet in net.iter() {
            match self.atlas.packet(packet).message {
                Message::Accepted(_) => votes.insert(packet),
                Message::Chosen(value) => {
                    self.goals.reach(Goal::ChosenTold, true);
                    check_learned(value, chosen)?;
                }
                _ => {}
            }
        }
        if !self.learners.contains_key(&votes) {
            let said: Vec<_> = votes.iter().map(|vote| self.atlas.packet(vote)).collect();
            let learned = facts.check_learner(&said, quorums)?;
            self.goals.reach(Goal::Learned, learned);
            self.learners.insert(votes, learned);
        }
        self.chosen.insert(net, chosen);
        Ok(())
    }

    fn visit(&mut self, state: State, origin: Option<(u32, Event)>) -> Result<(), String> {
        let state = self.rename(state);
        if !self.seen.insert(state) {
            return Ok(());
        }
        for actor in &state.actors[..self.actors] {
            self.check_actor(*actor, state.net)?;
        }
        self.check_net(state.net)?;
        let number = u32::try_from(self.origins.len()).expect("fewer than 2^32 states");
        self.queue.push_back((number, state));
        self.origins.push(origin);
        Ok(())
    }

    /// The same for states that differ in the names of acceptors only: the least under any renaming,
    /// by the acceptors first, because that leaves one renaming for most states.
    fn rename(&mut self, state: State) -> State {
        if self.renamings.len() == 1 {
            return state;
        }
        let nameless = state.actors.map(|actor| self.atlas.nameless(actor));
        let order = |names: &[u64]| {
            let mut order = [0; ACTORS_MAX];
            for (name, actor) in names.iter().zip(nameless) {
                order[*name as usize - 1] = actor;
            }
            order
        };
        let first = self.renamings.iter().map(|names| order(names)).min();
        let mut least: Option<State> = None;
        for (renaming, names) in self.renamings.iter().enumerate() {
            if Some(order(names)) != first {
                continue;
            }
            let alike = names.len();
            let mut renamed = state;
            renamed.crashed = state.crashed >> alike << alike;
            for (place, name) in names.iter().enumerate() {
                let (to, actor) = (*name as usize - 1, state.actors[place]);
                renamed.actors[to] = self.atlas.rename_actor(actor, names, renaming);
                renamed.crashed |= (state.crashed >> place & 1) << to;
            }
            if renaming > 0 {
                renamed.net = self.atlas.rename_net(state.net, names, renaming);
            }
            let key = |state: &State| (state.net, state.crashed);
            if least.is_none_or(|least| key(&renamed) < key(&least)) {
                least = Some(renamed);
            }
        }
        least.unwrap_or(state)
    }

    fn path(&self, at: u32) -> Vec<Event> {
        let mut path = Vec::new();
        let mut next = Some(at);
        while let Some((before, event)) = next.and_then(|at| self.origins[at as usize]) {
            path.push(event);
            next = Some(before);
        }
        path.reverse();
        path
    }

    /// How it came to it.
    fn tell(&self, at: u32, event: Event, rule: &str) -> String {
        let mut path = self.path(at);
        path.push(event);
        let mut text = format!("{rule}\nafter {} steps:\n", path.len());
        for (number, Event { place, input, fate }) in (1..).zip(path) {
            let what = match input {
                Input::Receive(packet) => format!("{:?}", self.atlas.packet(packet)),
                Input::Begin => "begins a ballot".to_owned(),
                Input::Crash => "crashes and restarts".to_owned(),
            };
            let lost = if fate == Fate::Lost {
                ", its write lost"
            } else {
                ""
            };
            let _ = writeln!(text, "{number:3}. actor {}: {what}{lost}", place + 1);
        }
        text
    }
}

/// The ways to name the acceptors that leave every quorum one; the first changes nothing. There is
/// no other if acceptors propose, since ballots are not alike.
fn renamings(model: &Model) -> Vec<Vec<u64>> {
    let quorums = &model.quorums;
    let mut renamings: Vec<Vec<u64>> = vec![Vec::new()];
    for name in quorums.acceptors().map(|id| id.0) {
        let longer = renamings.iter().flat_map(|names| {
            (0..=names.len()).rev().map(move |place| {
                let (before, behind) = names.split_at(place);
                [before, &[name], behind].concat()
            })
        });
        renamings = longer.collect();
    }
    let all = 0..1u32 << quorums.acceptors().len();
    let keeps = |names: &Vec<u64>| {
        all.clone().all(|members| {
            let renamed = (0..).zip(names);
            let renamed = renamed.filter(|(place, _)| members >> place & 1 == 1);
            let renamed = renamed.fold(0, |set, (_, name)| set | 1 << (name - 1));
            phases(quorums, members) == phases(quorums, renamed)
        })
    };
    renamings.retain(keeps);
    if model.cast == Cast::Nodes {
        renamings.truncate(1);
    }
    renamings
}

/// Of which phases these acceptors are a quorum.
fn phases(quorums: &Quorums, members: u32) -> (bool, bool) {
    let mut set = AcceptorSet::default();
    for (place, id) in quorums.acceptors().enumerate() {
        if members >> place & 1 == 1 {
            quorums.insert(&mut set, id);
        }
    }
    (quorums.is_phase1(set), quorums.is_phase2(set))
}

const ACTORS_MAX: usize = 7;
const PROPOSERS_MAX: usize = 3;
