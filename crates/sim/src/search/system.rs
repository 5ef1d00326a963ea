//! The interface between a system and the search.

use std::fmt::{self, Debug};
use std::hash::Hash;

use super::atlas::Atlas;
use super::fingerprint::Fingerprint;
use crate::page::{Kind, View, caption_of};

/// A few nodes that exchange messages, as values.
///
/// Each node has a place, numbered from 0. Everything that may happen to it is an input, either
/// alone (a timer fires, a write ends, the node crashes) or with a message. The result depends only
/// on node and input, so it is computed once and cached.
///
/// A sent message is never removed: it may be received at any time, any number of times, or never.
/// This covers loss, delay, duplication and reordering, without a bound and with few states.
pub trait System {
    /// A node with all that it has, its disk too. What its hash leaves out, time for instance, makes
    /// no other state; what it covers does.
    type Node: Clone + Hash;
    /// A message on its way. It says for whom it is, if [`hears`](Self::hears) asks for that.
    type Message: Clone + Eq + Hash + Debug;
    /// A kind of thing that happens to a node: few, 255 at most.
    type Input: Copy + Eq + Debug;
    /// How often something may still happen in the whole system. It bounds the search.
    type Budget: Clone + Hash;
    /// The state of an observer of all nodes, which checks the rules.
    type Checker: Clone + Hash;
    /// What the observer is told of a step beside where it led.
    type Note;
    /// Something that a search must reach to be meaningful.
    type Goal: Copy + Ord + Debug;

    /// The nodes by their places, [`PLACES_MAX`](super::PLACES_MAX) at most, the observer who has met
    /// them, and all that may happen.
    fn start(&self) -> (Vec<Self::Node>, Self::Checker, Self::Budget);

    /// Adds what may happen to the node now, within the budget.
    fn inputs(&self, node: &Self::Node, left: &Self::Budget, inputs: &mut Inputs<Self::Input>);

    /// Takes what the input costs from the budget, which allowed it.
    fn spend(&self, node: &Self::Node, input: Self::Input, left: &mut Self::Budget);

    /// Whether the message may be received by this node.
    fn hears(&self, node: &Self::Node, message: &Self::Message) -> bool;

    /// The result of the input at the node; `None` if it is not applicable. A panic is a violation.
    fn step(
        &self,
        node: &Self::Node,
        input: Self::Input,
        message: Option<&Self::Message>,
    ) -> Option<Step<Self>>;

    /// The observer's state after the step; `None` if it is unchanged.
    ///
    /// # Errors
    /// A description of the broken rule.
    fn check(
        &self,
        _checker: &Self::Checker,
        _step: &Step<Self>,
    ) -> Result<Option<Self::Checker>, String> {
        Ok(None)
    }

    /// Looks at each state, once, and tells what is met in it beside what steps have met.
    ///
    /// # Errors
    /// A description of the broken rule.
    fn check_state(&self, _state: &State<'_, Self>) -> Result<Vec<Self::Goal>, String> {
        Ok(Vec::new())
    }

    /// Looks at a node of a state, and at what it comes to be by silent steps.
    ///
    /// # Errors
    /// A description of the broken rule.
    fn check_node(&self, _node: &Self::Node, _state: &State<'_, Self>) -> Result<(), String> {
        Ok(())
    }

    /// Looks at a state in which nothing more can happen that would change anything.
    ///
    /// # Errors
    /// Why it must not end so.
    fn check_end(&self, _state: &State<'_, Self>) -> Result<(), String> {
        Ok(())
    }

    /// What is met when a node that has received this message before receives it again, and does
    /// something.
    fn goal_of_repetition(&self, _message: &Self::Message) -> Option<Self::Goal> {
        None
    }

    /// Whether the network carries it. What it does not is lost, always.
    fn carries(&self, _message: &Self::Message) -> bool {
        true
    }

    /// Whether nobody else can tell that the node took this step, nor does it change what it may be
    /// given, and it costs nothing. Such a step is taken only on the way to one that can be seen,
    /// which makes fewer states and loses none: messages stay.
    fn is_silent(&self, _input: Self::Input, _step: &Step<Self>) -> bool {
        false
    }

    /// In which ways the nodes can change places so that nothing is different but names: what was at
    /// place `i` is at `renaming[i]`. The first changes nothing. States that differ by one of them
    /// are one. All of them, if a node treats names alike, are [`permutations`](super::permutations).
    fn renamings(&self) -> Vec<Vec<usize>> {
        Vec::new()
    }

    /// The message in which all names are changed.
    fn rename_message(&self, message: &Self::Message, _renaming: &[usize]) -> Self::Message {
        message.clone()
    }

    /// The observer who has seen the same with other names.
    fn rename_checker(&self, checker: &Self::Checker, _renaming: &[usize]) -> Self::Checker {
        checker.clone()
    }

    /// What the node at a place is called on a page.
    fn name(&self, place: usize) -> String {
        place.to_string()
    }

    /// What a page shows of a node.
    fn view(&self, _node: &Self::Node) -> View {
        View::default()
    }

    /// As what sort of event a page shows an input that comes alone.
    fn kind(&self, _input: Self::Input) -> Kind {
        Kind::Note
    }

    /// The name of a message on a page, and what it says.
    fn caption(&self, message: &Self::Message) -> (String, String) {
        caption_of(message)
    }

    /// How a story tells it: what happened to the node at that place.
    fn tell(&self, place: usize, input: Self::Input, message: Option<&Self::Message>) -> String {
        match message {
            Some(message) => format!("{place}: {input:?} {message:?}"),
            None => format!("{place}: {input:?}"),
        }
    }
}

/// The whole system at a moment.
pub struct State<'a, S: System + ?Sized> {
    pub(super) atlas: &'a Atlas<'a, S>,
    pub(super) nodes: &'a [u32],
    pub(super) net: &'a [u32],
}

impl<'a, S: System> State<'a, S> {
    /// The nodes by their places.
    pub fn nodes(&self) -> impl Iterator<Item = &'a S::Node> {
        let atlas = self.atlas;
        self.nodes.iter().map(|node| atlas.node(*node))
    }

    /// All that was ever sent and that the network carries.
    pub fn said(&self) -> impl Iterator<Item = &'a S::Message> {
        let atlas = self.atlas;
        self.net.iter().map(|message| atlas.message(*message))
    }

    /// Equal for states in which the same was said, and no others, but for a chance of 10^-27 in a
    /// search of a million.
    pub fn said_fingerprint(&self) -> u128 {
        Fingerprint::of(&self.net)
    }
}

impl<S: System> Debug for State<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.said()).finish()
    }
}

/// What a node made of an input.
#[derive(Debug)]
pub struct Step<S: System + ?Sized> {
    /// What it is now.
    pub node: S::Node,
    /// What it sent, in any order.
    pub sent: Vec<S::Message>,
    /// What is met by it.
    pub goals: Vec<S::Goal>,
    /// For the observer.
    pub note: S::Note,
}

/// What may happen to a node. It is tried in this order: at rest, alone, with messages.
#[derive(Debug)]
pub struct Inputs<I> {
    pub(super) at_rest: Vec<I>,
    pub(super) alone: Vec<I>,
    pub(super) with_messages: Vec<I>,
}

impl<I> Inputs<I> {
    /// This input, which comes alone.
    pub fn push(&mut self, input: I) {
        self.alone.push(input);
    }

    /// This input with each message that the node [`hears`](System::hears), one at a time.
    pub fn push_with_messages(&mut self, input: I) {
        self.with_messages.push(input);
    }

    /// This input, to the node as it is and not behind steps that are silent: a crash, which undoes
    /// them.
    pub fn push_at_rest(&mut self, input: I) {
        self.at_rest.push(input);
    }

    /// The first if the second holds.
    pub fn push_if(&mut self, input: I, holds: bool) {
        if holds {
            self.alone.push(input);
        }
    }
}
