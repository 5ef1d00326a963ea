//! The sequential specification against which a history is checked.

use std::fmt::Debug;
use std::hash::Hash;

/// The behaviour of a service whose operations are executed one after the other: the definition of
/// correctness.
///
/// Linearizability is local (Herlihy and Wing 1990, theorem 1): a history is linearizable if it is
/// for each object. `key` says to which object an operation belongs, and `State` is that of one
/// object. A model with operations on several objects takes `()` as its key and holds them all in
/// one state; its checks cost accordingly.
///
/// `step` must be a function: a service with inner choices is modelled by the set of the states it
/// may be in.
///
/// [`effect`](Self::effect) and [`may_lead_to`](Self::may_lead_to) are hints that let the checker
/// skip branches. Their defaults are always correct; a wrong hint makes verdicts wrong.
pub trait Model {
    /// One object's state. Clones and hashes should cost little, a search keeps one for each
    /// configuration it has seen.
    type State: Clone + Eq + Hash;
    /// The input of an operation.
    type Input: Clone + Debug;
    /// The output of an operation.
    type Output: Clone + Debug;
    /// Names an object.
    type Key: Clone + Debug + Ord;

    /// The initial state of an object.
    fn initial(&self) -> Self::State;

    /// The object to which an operation belongs.
    fn key(&self, input: &Self::Input) -> Self::Key;

    /// The state after `input` if in `state` it may return `output`, or `None` if it may not.
    /// Without an output (its outcome is unknown) any is allowed.
    fn step(
        &self,
        state: &Self::State,
        input: &Self::Input,
        output: Option<&Self::Output>,
    ) -> Option<Self::State>;

    /// What an operation does to any state in which `step` allows it with this output.
    fn effect(&self, input: &Self::Input, output: Option<&Self::Output>) -> Effect {
        let _ = (input, output);
        Effect::Depends
    }

    /// Whether what `state` holds can still matter to `goal`.
    ///
    /// `false` promises this: if operations follow that carry `state` on (by steps whose [`Effect`]
    /// is `Depends`, conditional ones that take effect left aside), they reach no state where
    /// `step` allows `goal` with `output`; or, for a `goal` of unknown outcome (`output` is
    /// `None`), none where its condition holds. An unconditional `goal` of unknown outcome has no
    /// condition: `false`.
    fn may_lead_to(
        &self,
        state: &Self::State,
        goal: &Self::Input,
        output: Option<&Self::Output>,
    ) -> bool {
        let _ = (state, goal, output);
        true
    }
}

/// What an operation, with the output it gave, does to a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Leaves every state as it is.
    Reads,
    /// Leaves one and the same state behind, whatever was there before.
    Overwrites,
    /// What it leaves behind depends on what was there.
    Depends,
}
