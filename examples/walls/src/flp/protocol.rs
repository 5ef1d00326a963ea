//! What the theorem is about: deterministic processes that decide on a bit.

use std::fmt::{self, Debug};

use synod_sim::page::View;

/// One of the processes, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessId(pub usize);

/// What is proposed and decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Value {
    /// 0.
    Zero,
    /// 1.
    One,
}

/// What a step sends, in order.
pub type Sends<M> = Vec<(ProcessId, M)>;

/// A consensus protocol as Fischer, Lynch and Paterson (1985, section 2) model it: processes are
/// automata, and a step is a function of a process's state and of the message that it takes, or of
/// no message.
///
/// Time does not occur. What a protocol does when it has waited for long enough, it does in a step
/// without a message: nobody can say how long that is, so such a step may come at any moment.
pub trait Protocol {
    /// Of one process.
    type State: Clone + Debug;
    /// What processes send each other.
    type Message: Clone + Debug;

    /// How many processes there are.
    fn processes(&self) -> usize;

    /// A process before its first step.
    fn start(&self, at: ProcessId, input: Value) -> Self::State;

    /// A step that takes a message.
    fn receive(
        &self,
        state: &mut Self::State,
        from: ProcessId,
        message: Self::Message,
    ) -> Sends<Self::Message>;

    /// A step that takes none.
    fn step_alone(&self, state: &mut Self::State) -> Sends<Self::Message>;

    /// What the process has decided. Never changes once it is there.
    fn decision(&self, state: &Self::State) -> Option<Value>;

    /// What a page shows of a process.
    fn view(&self, state: &Self::State) -> View {
        let mut view = View::default();
        view.text = format!("{state:?}");
        view
    }

    /// One letter for a kind of message, by which a drawing tells it from others.
    fn sign(&self, message: &Self::Message) -> char {
        let _ = message;
        '>'
    }

    /// A text that two configurations share only if each is the other with its ballots renumbered
    /// in a way that no process can ever notice. `None`: this protocol, or this configuration, does
    /// not allow to say so.
    ///
    /// `links` holds what is in transit, by sender and receiver, each link in the order of sending.
    fn likeness(
        &self,
        states: &[&Self::State],
        links: &[(ProcessId, ProcessId, Vec<&Self::Message>)],
    ) -> Option<String> {
        let _ = (states, links);
        None
    }
}

/// All processes, in order.
pub(super) fn all<P: Protocol>(protocol: &P) -> impl Iterator<Item = ProcessId> + use<P> {
    (1..=protocol.processes()).map(ProcessId)
}

impl ProcessId {
    /// Where it stands in a list of all.
    pub(super) fn index(self) -> usize {
        self.0 - 1
    }
}

impl Value {
    /// The one that this is not.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Zero => Self::One,
            Self::One => Self::Zero,
        }
    }

    /// Where it stands in a pair.
    pub(super) fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p{}", self.0)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", *self as u8)
    }
}
