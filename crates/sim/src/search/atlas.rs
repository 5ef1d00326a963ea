//! The interned node states, messages and observers, each stored once under a number.
//!
//! There are far fewer of them than states of the system, so a step of a node is computed once and
//! looked up ever after; and a state of the system is a few numbers.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::fingerprint::{Fingerprint, Map};
use super::system::{Step, System};
use crate::panic;

pub(super) struct Atlas<'a, S: System + ?Sized> {
    pub(super) system: &'a S,
    /// Empty if names matter.
    pub(super) renamings: Vec<Vec<usize>>,
    /// The nodes as they begin, by place.
    pub(super) first: Vec<u32>,
    nodes: Vec<Place<S>>,
    node_numbers: Map<u128, u32>,
    messages: Vec<S::Message>,
    message_numbers: Map<S::Message, u32>,
    renamed_messages: Vec<Vec<Option<u32>>>,
    kinds: Vec<S::Input>,
    /// `Err`: the node broke an assertion of its own. `None`: there is no such step.
    steps: Vec<Result<Option<KnownStep<S>>, String>>,
    checkers: Vec<(Vec<Option<u32>>, S::Checker)>,
    checker_numbers: Map<u128, u32>,
    checks: Map<(u32, u32), u32>,
    pub(super) met: BTreeSet<S::Goal>,
}

/// A state of a node, and the first step that led to it.
struct Place<S: System + ?Sized> {
    node: S::Node,
    origin: Option<(u32, Event)>,
    renamed: Vec<Option<u32>>,
    /// The steps from here that are known, by kind of input, and by message, none being the first.
    steps: Vec<Vec<Option<NonZeroU32>>>,
    /// The least of the renamed: equal for states that differ in names only.
    orbit: Option<u32>,
}

/// A step of a node, in numbers.
pub(super) struct KnownStep<S: System + ?Sized> {
    pub(super) to: u32,
    /// Ascending.
    pub(super) sent: Vec<u32>,
    pub(super) is_silent: bool,
    has_counted: bool,
    step: Step<S>,
}

/// What happens to a node, in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Event {
    pub(super) kind: u8,
    pub(super) message: Option<u32>,
}

impl<'a, S: System> Atlas<'a, S> {
    /// With the nodes and the observer as they begin; the number of that observer is 0.
    pub(super) fn new(system: &'a S, nodes: Vec<S::Node>, checker: S::Checker) -> Self {
        let mut atlas = Self {
            system,
            renamings: system.renamings(),
            first: Vec::new(),
            nodes: Vec::new(),
            node_numbers: Map::default(),
            messages: Vec::new(),
            message_numbers: Map::default(),
            renamed_messages: Vec::new(),
            kinds: Vec::new(),
            steps: Vec::new(),
            checkers: Vec::new(),
            checker_numbers: Map::default(),
            checks: Map::default(),
            met: BTreeSet::new(),
        };
        for node in nodes {
            let number = atlas.number_node(node, None);
            atlas.first.push(number);
        }
        atlas.number_checker(checker);
        atlas
    }

    pub(super) fn node(&self, number: u32) -> &S::Node {
        &self.nodes[number as usize].node
    }

    pub(super) fn message(&self, number: u32) -> &S::Message {
        &self.messages[number as usize]
    }

    /// How many states of a node and messages there are.
    pub(super) fn sizes(&self) -> (usize, usize) {
        (self.nodes.len(), self.messages.len())
    }

    pub(super) fn kind(&mut self, input: S::Input) -> u8 {
        let known = self.kinds.iter().position(|kind| *kind == input);
        let at = known.unwrap_or_else(|| {
            self.kinds.push(input);
            self.kinds.len() - 1
        });
        u8::try_from(at).expect("at most 255 kinds of inputs")
    }

    pub(super) fn input(&self, kind: u8) -> S::Input {
        self.kinds[usize::from(kind)]
    }

    /// The number of the step that the node makes of that.
    pub(super) fn step(&mut self, node: u32, event: Event) -> u32 {
        let (kind, at) = (
            usize::from(event.kind),
            event.message.map_or(0, |at| at as usize + 1),
        );
        let known = self.nodes[node as usize].steps.get(kind);
        if let Some(Some(step)) = known.and_then(|known| known.get(at)) {
            return step.get() - 1;
        }
        let step = self.take_step(node, event);
        self.steps.push(step);
        let count = number(self.steps.len());
        let known = &mut self.nodes[node as usize].steps;
        if known.len() <= kind {
            known.resize(kind + 1, Vec::new());
        }
        if known[kind].len() <= at {
            known[kind].resize(at + 1, None);
        }
        known[kind][at] = NonZeroU32::new(count);
        count - 1
    }

    fn take_step(&mut self, node: u32, event: Event) -> Result<Option<KnownStep<S>>, String> {
        let (system, input) = (self.system, self.input(event.kind));
        let message = event.message.map(|message| self.message(message).clone());
        let before = self.node(node);
        let step = catch_unwind(AssertUnwindSafe(|| {
            system.step(before, input, message.as_ref())
        }));
        let Some(mut step) = step.map_err(|payload| panic::text(payload.as_ref()))? else {
            return Ok(None);
        };
        let to = self.number_node(step.node.clone(), Some((node, event)));
        let sent = step.sent.iter().map(|message| self.number_message(message));
        let mut sent: Vec<u32> = sent.collect();
        sent.sort_unstable();
        sent.dedup();
        let is_silent = system.is_silent(input, &step);
        if let Some(message) = &message
            && let Some(goal) = system.goal_of_repetition(message)
            && (to != node || !sent.is_empty())
            && self.has_taken(node, event)
        {
            step.goals.push(goal);
        }
        Ok(Some(KnownStep {
            to,
            sent,
            is_silent,
            has_counted: false,
            step,
        }))
    }

    /// On the way on which the node came to this state first.
    fn has_taken(&self, node: u32, event: Event) -> bool {
        let mut at = node;
        while let Some((before, last)) = self.nodes[at as usize].origin {
            if last == event {
                return true;
            }
            at = before;
        }
        false
    }

    pub(super) fn known_step(&self, step: u32) -> Result<Option<&KnownStep<S>>, String> {
        let step = self.steps[step as usize].as_ref();
        step.map(Option::as_ref).map_err(Clone::clone)
    }

    /// The silent steps from here that were ever taken: by what, and where they lead.
    pub(super) fn silent_steps(&self, node: u32) -> Vec<(Event, u32)> {
        let mut silent = Vec::new();
        for (kind, by_message) in (0..).zip(&self.nodes[node as usize].steps) {
            for (at, step) in by_message.iter().enumerate() {
                let step = step.map(|step| &self.steps[step.get() as usize - 1]);
                if let Some(Ok(Some(step))) = step
                    && step.is_silent
                {
                    let message = at.checked_sub(1).map(number);
                    silent.push((Event { kind, message }, step.to));
                }
            }
        }
        silent
    }

    /// What a step sent, as it was sent.
    pub(super) fn sent(&self, step: u32) -> &[S::Message] {
        match &self.steps[step as usize] {
            Ok(Some(step)) => &step.step.sent,
            _ => &[],
        }
    }

    /// The number of a message that was met.
    pub(super) fn number_of(&self, message: &S::Message) -> Option<u32> {
        self.message_numbers.get(message).copied()
    }

    /// What the observer knows after the step, if it breaks no rule.
    pub(super) fn check(&mut self, checker: u32, step: u32) -> Result<u32, String> {
        if let Some(known) = self.checks.get(&(checker, step)) {
            return Ok(*known);
        }
        let Ok(Some(known)) = &mut self.steps[step as usize] else {
            return Ok(checker);
        };
        if !known.has_counted {
            known.has_counted = true;
            self.met.extend(&known.step.goals);
        }
        let before = &self.checkers[checker as usize].1;
        let after = self.system.check(before, &known.step)?;
        let after = after.map_or(checker, |after| self.number_checker(after));
        self.checks.insert((checker, step), after);
        Ok(after)
    }

    fn number_node(&mut self, node: S::Node, origin: Option<(u32, Event)>) -> u32 {
        let fingerprint = Fingerprint::of(&node);
        let (nodes, renamings) = (&mut self.nodes, self.renamings.len());
        *self.node_numbers.entry(fingerprint).or_insert_with(|| {
            nodes.push(Place {
                node,
                origin,
                renamed: vec![None; renamings],
                steps: Vec::new(),
                orbit: None,
            });
            number(nodes.len() - 1)
        })
    }

    fn number_message(&mut self, message: &S::Message) -> u32 {
        if let Some(number) = self.message_numbers.get(message) {
            return *number;
        }
        self.messages.push(message.clone());
        self.renamed_messages.push(vec![None; self.renamings.len()]);
        let number = number(self.messages.len() - 1);
        self.message_numbers.insert(message.clone(), number);
        number
    }

    fn number_checker(&mut self, checker: S::Checker) -> u32 {
        let fingerprint = Fingerprint::of(&checker);
        if let Some(number) = self.checker_numbers.get(&fingerprint) {
            return *number;
        }
        self.checkers
            .push((vec![None; self.renamings.len()], checker));
        let number = number(self.checkers.len() - 1);
        self.checker_numbers.insert(fingerprint, number);
        number
    }

    /// The same state with other names. Nodes treat names alike, so it is where the same inputs lead
    /// with other names. (States that hold the same in another order may stay two: more states than
    /// needed, and none lost.)
    pub(super) fn rename_node(&mut self, node: u32, renaming: usize) -> u32 {
        if let Some(renamed) = self.nodes[node as usize].renamed[renaming] {
            return renamed;
        }
        let renamed = match self.nodes[node as usize].origin {
            None => {
                let place = self.first.iter().position(|first| *first == node);
                let place = place.expect("a node without an origin is a first one");
                self.first[self.renamings[renaming][place]]
            }
            Some((parent, Event { kind, message })) => {
                let parent = self.rename_node(parent, renaming);
                let message = message.map(|message| self.rename_message(message, renaming));
                let step = self.step(parent, Event { kind, message });
                let step = self.known_step(step).expect("names make no difference");
                step.expect("names make no difference").to
            }
        };
        self.nodes[node as usize].renamed[renaming] = Some(renamed);
        renamed
    }

    /// The least of all renamings.
    pub(super) fn orbit(&mut self, node: u32) -> u32 {
        if let Some(orbit) = self.nodes[node as usize].orbit {
            return orbit;
        }
        let renamed = (0..self.renamings.len()).map(|renaming| self.rename_node(node, renaming));
        let orbit = renamed.min().unwrap_or(node);
        self.nodes[node as usize].orbit = Some(orbit);
        orbit
    }

    pub(super) fn rename_message(&mut self, message: u32, renaming: usize) -> u32 {
        if let Some(renamed) = self.renamed_messages[message as usize][renaming] {
            return renamed;
        }
        let names = &self.renamings[renaming];
        let renamed = self.system.rename_message(self.message(message), names);
        let renamed = self.number_message(&renamed);
        self.renamed_messages[message as usize][renaming] = Some(renamed);
        renamed
    }

    pub(super) fn rename_checker(&mut self, checker: u32, renaming: usize) -> u32 {
        let (known, whole) = &self.checkers[checker as usize];
        if let Some(renamed) = known[renaming] {
            return renamed;
        }
        let renamed = self.system.rename_checker(whole, &self.renamings[renaming]);
        let renamed = self.number_checker(renamed);
        self.checkers[checker as usize].0[renaming] = Some(renamed);
        renamed
    }
}

pub(super) fn number(place: usize) -> u32 {
    u32::try_from(place).expect("fewer than 2^32 of a kind")
}
