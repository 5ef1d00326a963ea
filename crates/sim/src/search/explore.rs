//! Breadth-first search over all states of the system, so that the first violation has a shortest
//! path.

use std::collections::VecDeque;
use std::hash::Hash;
use std::rc::Rc;

use super::atlas::{Atlas, Event, number};
use super::fingerprint::{Fingerprint, Map, Set};
use super::found::{Found, Violation};
use super::system::{Inputs, State, System};

/// The most nodes that a system may have.
pub const PLACES_MAX: usize = 8;

/// Visits every state within the system's budget, or stops at the first that breaks a rule, or when
/// there would be more than `states_max` of them.
///
/// # Panics
/// If the system begins with no node, or with more than [`PLACES_MAX`].
pub fn search<S: System>(system: &S, states_max: usize) -> Found<S::Goal> {
    let (nodes, checker, left) = system.start();
    let places = nodes.len();
    assert!((1..=PLACES_MAX).contains(&places), "{places} nodes");
    let search = Search {
        system,
        places,
        atlas: Atlas::new(system, nodes, checker),
        seen: Set::default(),
        origins: Vec::new(),
        queue: VecDeque::new(),
        inputs: Inputs {
            at_rest: Vec::new(),
            alone: Vec::new(),
            with_messages: Vec::new(),
        },
        book: Map::default(),
        least: Vec::new(),
        renamed: Vec::new(),
        steps: 0,
    };
    let mut nodes = [0; PLACES_MAX];
    nodes[..places].copy_from_slice(&search.atlas.first);
    let first = Numbers {
        nodes,
        checker: 0,
        net: Vec::new(),
        left,
    };
    search.run(first, states_max)
}

/// A state of the system, in numbers.
#[derive(Clone, Debug)]
struct Numbers<B> {
    nodes: [u32; PLACES_MAX],
    checker: u32,
    /// Every message ever sent, ascending. Messages are never removed, so each may be lost, delayed
    /// or duplicated.
    net: Vec<u32>,
    left: B,
}

/// A step of the node at a place, the silent ones before it not told.
#[derive(Clone, Copy, Debug)]
struct Move {
    node: u32,
    event: Event,
    step: u32,
}

struct Search<'a, S: System> {
    system: &'a S,
    places: usize,
    atlas: Atlas<'a, S>,
    seen: Set<u128>,
    /// The predecessor of each state, and the event between them.
    origins: Vec<Option<(u32, Happened)>>,
    queue: VecDeque<(u32, Numbers<S::Budget>)>,
    /// To be used again.
    inputs: Inputs<S::Input>,
    /// What a node can do that takes silent steps, with the inputs and messages that it may be given.
    book: Map<u128, Rc<Moves>>,
    /// Renamings that are as good as each other, and messages renamed: to be used again.
    least: Vec<usize>,
    renamed: Vec<u32>,
    steps: u64,
}

/// What a node can do, and what it comes to be in silence, itself first.
#[derive(Debug, Default)]
struct Moves {
    here: Vec<u32>,
    moves: Vec<Move>,
}

/// What happens at a place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Happened {
    pub(super) place: u8,
    /// What the node has come to be there by silent steps.
    pub(super) node: u32,
    /// What happens to it then; nothing if it is looked at as it is.
    pub(super) event: Option<Event>,
}

/// A rule is broken by what happens at a place, or as it is.
struct Broken(Option<Happened>, String);

impl<S: System> Search<'_, S> {
    fn run(mut self, first: Numbers<S::Budget>, states_max: usize) -> Found<S::Goal> {
        let (mut broken, mut last) = (self.visit(first, None).err(), 0);
        while broken.is_none() && self.seen.len() <= states_max {
            let Some((at, state)) = self.queue.pop_front() else {
                break;
            };
            last = at;
            broken = match self.expand(at, &state) {
                Ok(true) => None,
                Ok(false) => self.check_end(&state).err(),
                Err(broken) => Some(broken),
            };
        }
        let found = broken.map(|Broken(by, rule)| {
            let mut path = self.path(last);
            path.extend(by);
            let lines = path.iter().filter_map(|happened| self.line(*happened));
            let story = lines.collect();
            let recorder = self.atlas.record(&path, &rule);
            (Violation { rule, story }, recorder)
        });
        let (violation, run) = found.unzip();
        let (node_states, messages) = self.atlas.sizes();
        Found {
            states: self.seen.len(),
            steps: self.steps,
            depth: self.path(last).len(),
            node_states,
            messages,
            is_complete: violation.is_none() && self.queue.is_empty(),
            met: self.atlas.met,
            violation,
            run,
        }
    }

    fn view<'b>(&'b self, state: &'b Numbers<S::Budget>) -> State<'b, S> {
        State {
            atlas: &self.atlas,
            nodes: &state.nodes[..self.places],
            net: &state.net,
        }
    }

    fn check_end(&self, state: &Numbers<S::Budget>) -> Result<(), Broken> {
        let end = self.system.check_end(&self.view(state));
        end.map_err(|rule| Broken(None, rule))
    }

    fn check_node(
        &self,
        number: u32,
        state: &Numbers<S::Budget>,
        place: usize,
    ) -> Result<(), Broken> {
        let node = self.atlas.node(number);
        let checked = self.system.check_node(node, &self.view(state));
        checked.map_err(|rule| Broken(Some(happened(place, number, None)), rule))
    }

    /// Whether anything can happen that makes another state.
    fn expand(&mut self, at: u32, state: &Numbers<S::Budget>) -> Result<bool, Broken> {
        let mut goes_on = false;
        for place in 0..self.places {
            goes_on |= self.expand_node(at, state, place)?;
        }
        Ok(goes_on)
    }

    fn expand_node(
        &mut self,
        at: u32,
        state: &Numbers<S::Budget>,
        place: usize,
    ) -> Result<bool, Broken> {
        let first = state.nodes[place];
        let events = self.events(state, first);
        let at_rest = self.inputs.at_rest.len();
        let key = || Fingerprint::of(&(first, &events));
        let known = (!self.book.is_empty()).then(|| self.book.get(&key()));
        let mut goes_on = false;
        if let Some(known) = known.flatten() {
            let known = Rc::clone(known);
            let mut here = known.here.iter();
            here.try_for_each(|node| self.check_node(*node, state, place))?;
            for what in &known.moves {
                goes_on |= self.take(at, state, place, *what)?;
            }
            return Ok(goes_on);
        }
        let mut known = Moves::default();
        known.here.push(first);
        let mut visited = 0;
        while let Some(node) = known.here.get(visited).copied() {
            self.check_node(node, state, place)?;
            // What is tried at rest comes first.
            let tried = if visited > 0 { at_rest } else { 0 };
            visited += 1;
            for event in events[tried..].iter().copied() {
                let step = self.atlas.step(node, event);
                let taken = self.atlas.known_step(step);
                let broken = |rule| Broken(Some(happened(place, node, Some(event))), rule);
                let taken = taken.map_err(broken)?;
                let Some(taken) = taken else { continue };
                if taken.is_silent && !known.here.contains(&taken.to) {
                    known.here.push(taken.to);
                }
                let what = Move { node, event, step };
                known.moves.push(what);
                goes_on |= self.take(at, state, place, what)?;
            }
        }
        if visited > 1 {
            self.book.insert(key(), Rc::new(known));
        }
        Ok(goes_on)
    }

    /// What may happen to a node.
    fn events(&mut self, state: &Numbers<S::Budget>, node: u32) -> Vec<Event> {
        let inputs = &mut self.inputs;
        inputs.at_rest.clear();
        inputs.alone.clear();
        inputs.with_messages.clear();
        let node = self.atlas.node(node);
        self.system.inputs(node, &state.left, inputs);
        let heard: Vec<u32> = match inputs.with_messages.is_empty() {
            true => Vec::new(),
            false => {
                let hears = |at: &u32| self.system.hears(node, self.atlas.message(*at));
                state.net.iter().copied().filter(hears).collect()
            }
        };
        let kinds = |inputs: &[S::Input], atlas: &mut Atlas<'_, S>| {
            let kinds = inputs.iter().map(|input| atlas.kind(*input));
            kinds.collect::<Vec<u8>>()
        };
        let at_rest = kinds(&inputs.at_rest, &mut self.atlas).into_iter();
        let alone = kinds(&inputs.alone, &mut self.atlas);
        let with_messages = kinds(&inputs.with_messages, &mut self.atlas);
        let mut events: Vec<Event> = at_rest
            .chain(alone)
            .map(|kind| Event {
                kind,
                message: None,
            })
            .collect();
        for message in heard.into_iter().map(Some) {
            events.extend(with_messages.iter().map(|kind| Event {
                kind: *kind,
                message,
            }));
        }
        events
    }

    /// Visits the state behind it, if it is another one.
    fn take(
        &mut self,
        at: u32,
        state: &Numbers<S::Budget>,
        place: usize,
        what: Move,
    ) -> Result<bool, Broken> {
        let Move { node, event, step } = what;
        let here = happened(place, node, Some(event));
        let broken = |rule| Broken(Some(here), rule);
        let Some(known) = self.atlas.known_step(step).map_err(broken)? else {
            return Ok(false);
        };
        let (to, is_silent) = (known.to, known.is_silent);
        self.steps += u64::from(!is_silent);
        if to == node && known.sent.is_empty() && event.message.is_some() {
            return Ok(false);
        }
        let checker = self.atlas.check(state.checker, step).map_err(broken)?;
        if is_silent {
            return Ok(false);
        }
        let Some(known) = self.atlas.known_step(step).map_err(broken)? else {
            return Ok(false);
        };
        let is_news = |message: &&u32| {
            state.net.binary_search(message).is_err()
                && self.system.carries(self.atlas.message(**message))
        };
        let mut news = known.sent.iter().filter(is_news).peekable();
        let is_same = to == state.nodes[place] && checker == state.checker;
        if is_same && news.peek().is_none() {
            return Ok(false);
        }
        let mut next = state.clone();
        next.nodes[place] = to;
        next.checker = checker;
        if news.peek().is_some() {
            next.net.extend(news);
            next.net.sort_unstable();
        }
        let (node, input) = (self.atlas.node(node), self.atlas.input(event.kind));
        self.system.spend(node, input, &mut next.left);
        let visited = self.visit(next, Some((at, here)));
        visited.map_err(|Broken(_, rule)| broken(rule))?;
        Ok(true)
    }

    fn visit(
        &mut self,
        state: Numbers<S::Budget>,
        origin: Option<(u32, Happened)>,
    ) -> Result<(), Broken> {
        let fingerprint = self.fingerprint(&state);
        if !self.seen.insert(fingerprint) {
            return Ok(());
        }
        let checked = self.system.check_state(&self.view(&state));
        let met = checked.map_err(|rule| Broken(None, rule))?;
        self.atlas.met.extend(met);
        self.queue.push_back((number(self.origins.len()), state));
        self.origins.push(origin);
        Ok(())
    }

    /// The same for states that differ in names: the least over the renamings that bring the orbits
    /// of the nodes into their least order, which is one renaming for most states.
    fn fingerprint(&mut self, state: &Numbers<S::Budget>) -> u128 {
        let places = self.places;
        let mut fingerprint = Fingerprint::new();
        if self.atlas.renamings.len() < 2 {
            let nodes = state.nodes[..places].iter();
            let numbers = nodes.chain([&state.checker]).chain(&state.net);
            numbers.for_each(|number| fingerprint.add(u64::from(*number)));
            state.left.hash(&mut fingerprint);
            return fingerprint.end();
        }
        let mut orbits = [0; PLACES_MAX];
        for (orbit, node) in orbits[..places].iter_mut().zip(state.nodes) {
            *orbit = self.atlas.orbit(node);
        }
        let mut least = std::mem::take(&mut self.least);
        let mut least_order = [u32::MAX; PLACES_MAX];
        for (renaming, names) in self.atlas.renamings.iter().enumerate() {
            let mut order = [0; PLACES_MAX];
            (0..places).for_each(|at| order[names[at]] = orbits[at]);
            if order < least_order {
                least_order = order;
                least.clear();
            }
            if order == least_order {
                least.push(renaming);
            }
        }
        let fingerprints = least.iter();
        let fingerprints = fingerprints.map(|renaming| self.fingerprint_renamed(state, *renaming));
        let fingerprint = fingerprints.min();
        self.least = least;
        fingerprint.expect("some order is the least")
    }

    fn fingerprint_renamed(&mut self, state: &Numbers<S::Budget>, renaming: usize) -> u128 {
        let atlas = &mut self.atlas;
        let mut nodes = [0; PLACES_MAX];
        for (at, node) in state.nodes[..self.places].iter().enumerate() {
            nodes[atlas.renamings[renaming][at]] = atlas.rename_node(*node, renaming);
        }
        let renamed = state.net.iter();
        let renamed = renamed.map(|message| atlas.rename_message(*message, renaming));
        let messages = &mut self.renamed;
        messages.clear();
        messages.extend(renamed);
        messages.sort_unstable();
        let mut fingerprint = Fingerprint::new();
        let nodes = nodes[..self.places].iter();
        let numbers = nodes.chain(&*messages);
        numbers.for_each(|number| fingerprint.add(u64::from(*number)));
        fingerprint.add(u64::from(atlas.rename_checker(state.checker, renaming)));
        state.left.hash(&mut fingerprint);
        fingerprint.end()
    }

    fn path(&self, at: u32) -> Vec<Happened> {
        let mut path = Vec::new();
        let mut next = Some(at);
        while let Some((before, happened)) = next.and_then(|at| self.origins[at as usize]) {
            path.push(happened);
            next = Some(before);
        }
        path.reverse();
        path
    }

    fn line(&self, Happened { place, event, .. }: Happened) -> Option<String> {
        let event = event?;
        let input = self.atlas.input(event.kind);
        let message = event.message.map(|message| self.atlas.message(message));
        Some(self.system.tell(usize::from(place), input, message))
    }
}

fn happened(place: usize, node: u32, event: Option<Event>) -> Happened {
    // There are at most as many places as fit.
    let place = place as u8;
    Happened { place, node, event }
}
