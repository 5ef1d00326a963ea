//! Exhaustive exploration of all schedules of a few nodes: a breadth-first search over all states
//! of the nodes and messages, with rules checked at each step and in each state.
//!
//! Nodes are values that map inputs to outputs ([`System`]). The network is maximally adversarial:
//! a sent message may be received at any time, any number of times, or never. Crashes, lost writes
//! and timers are ordinary inputs, limited by a budget, within which the search is complete. A
//! violation is found with a shortest path to it.
//!
//! Few nodes and small budgets suffice to find most mistakes of a protocol, but already give
//! millions of states. To reduce their number:
//!
//! - the hash of a node omits irrelevant state: time, generators, counters;
//! - states that differ only by a renaming are merged ([`System::renamings`]);
//! - unobservable steps are only taken before others ([`System::is_silent`]);
//! - each step of a node is computed once, and a state is stored as a few numbers.
//!
//! A search that reaches nothing interesting proves nothing, so it is given goals that it must
//! reach ([`verify`]).
//!
//! # Example
//!
//! Two clients of a lock that is a message: the receiver works, and returns it when done. Messages
//! may be duplicated.
//!
//! ```
//! use synod_sim::search::{Inputs, State, Step, System, search};
//!
//! struct Lock;
//!
//! #[derive(Clone, Hash)]
//! struct Client {
//!     works: bool,
//! }
//!
//! #[derive(Clone, Copy, Debug, PartialEq, Eq)]
//! enum Input {
//!     Begin,
//!     Receive,
//! }
//!
//! impl System for Lock {
//!     type Node = Client;
//!     type Message = &'static str;
//!     type Input = Input;
//!     /// How often the lock is made.
//!     type Budget = u8;
//!     type Checker = ();
//!     type Note = ();
//!     type Goal = &'static str;
//!
//!     fn start(&self) -> (Vec<Client>, (), u8) {
//!         (vec![Client { works: false }; 2], (), 1)
//!     }
//!
//!     fn inputs(&self, _: &Client, left: &u8, inputs: &mut Inputs<Input>) {
//!         inputs.push_if(Input::Begin, *left > 0);
//!         inputs.push_with_messages(Input::Receive);
//!     }
//!
//!     fn spend(&self, _: &Client, input: Input, left: &mut u8) {
//!         *left -= u8::from(input == Input::Begin);
//!     }
//!
//!     fn hears(&self, _: &Client, _: &&'static str) -> bool {
//!         true
//!     }
//!
//!     fn step(&self, _: &Client, input: Input, _: Option<&&'static str>) -> Option<Step<Self>> {
//!         let (works, sent) = match input {
//!             Input::Begin => (false, vec!["the lock"]),
//!             Input::Receive => (true, Vec::new()),
//!         };
//!         Some(Step { node: Client { works }, sent, goals: Vec::new(), note: () })
//!     }
//!
//!     fn check_state(&self, state: &State<'_, Self>) -> Result<Vec<&'static str>, String> {
//!         match state.nodes().filter(|client| client.works).count() {
//!             2 => Err("both work".to_owned()),
//!             _ => Ok(Vec::new()),
//!         }
//!     }
//! }
//!
//! let violation = search(&Lock, 1000).violation.expect("a lock must not come twice");
//! assert_eq!(violation.rule, "both work");
//! assert_eq!(
//!     violation.story,
//!     ["0: Begin", "0: Receive \"the lock\"", "1: Receive \"the lock\""]
//! );
//! ```
//!
//! `examples/two_phase_commit` explores a whole protocol and finds the state in which it blocks.

mod atlas;
mod explore;
mod fingerprint;
mod found;
mod retrace;
mod system;
#[cfg(test)]
mod tests;

pub use explore::{PLACES_MAX, search};
pub use found::{Found, STATES_MAX, Violation, verify};
pub use system::{Inputs, State, Step, System};

/// All permutations of the places from 0 to `size`, exclusive, starting with the identity.
pub fn permutations(size: usize) -> Vec<Vec<usize>> {
    let Some(last) = size.checked_sub(1) else {
        return vec![Vec::new()];
    };
    let with_last = |shorter: Vec<usize>| {
        (0..size).rev().map(move |at| {
            let mut longer = shorter.clone();
            longer.insert(at, last);
            longer
        })
    };
    permutations(last).into_iter().flat_map(with_last).collect()
}
