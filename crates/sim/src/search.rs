//! Every schedule of a few nodes: breadth first over all states that they and the messages between
//! them can be in, with rules at each step and in each state.
//!
//! Nodes are values that are given inputs and make outputs of them ([`System`]). The network is the
//! worst there is: a message that was sent may be received at any time, any number of times, or
//! never. Crashes, lost writes and timers are inputs like others, as often as a budget allows, and
//! within it the search is complete: no seed, no luck. What it finds first is a shortest way to it.
//!
//! Few nodes and small budgets are enough to find most mistakes of a protocol, and make millions of
//! states. To keep them few:
//!
//! - the hash of a node leaves out what makes no difference: time, generators, counters;
//! - states that differ in names only are one ([`System::renamings`]);
//! - steps that nobody can tell are taken only on the way to others ([`System::is_silent`]);
//! - each step of a node is computed once, and a state is a few numbers.
//!
//! A search that has met nothing has shown nothing. So it is told what it must meet
//! ([`verify`]).
//!
//! # Example
//!
//! Two clients of a lock that is a message: whoever receives it works, and gives it back when it is
//! done. Messages may come twice.
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

/// Of the places from 0 to `size`, exclusive: the one that changes nothing first.
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
