//! The result of a search.

use std::collections::BTreeSet;
use std::fmt::{self, Debug};

use super::explore::search;
use super::system::System;
use crate::page::{self, Recorder};

/// The result and statistics of a search.
#[derive(Clone, Debug)]
pub struct Found<G> {
    /// States of the whole system.
    pub states: usize,
    /// Inputs that were tried in them.
    pub steps: u64,
    /// The depth of the last visited state.
    pub depth: usize,
    /// States of a node.
    pub node_states: usize,
    /// Messages that differ.
    pub messages: usize,
    /// Every state within the budget was visited, and no rule was broken.
    pub is_complete: bool,
    /// All goals that were met.
    pub met: BTreeSet<G>,
    /// The first violation found, with a shortest path.
    pub violation: Option<Violation>,
    /// The same path, as a [page](crate::page).
    pub run: Option<Recorder>,
}

/// A broken rule, and a path to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The description by the system, or the message of an assertion that failed in a node.
    pub rule: String,
    /// The steps, one line each, as formatted by [`System::tell`].
    pub story: Vec<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\nafter {} steps:", self.rule, self.story.len())?;
        let mut lines = (1..).zip(&self.story);
        lines.try_for_each(|(number, line)| writeln!(f, "{number:3}. {line}"))
    }
}

impl<G> fmt::Display for Found<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            states,
            steps,
            depth,
            node_states,
            messages,
            ..
        } = self;
        write!(
            f,
            "{states} states, {steps} steps, {depth} deep; {node_states} states of a node, \
             {messages} messages"
        )
    }
}

/// Runs a complete search for a test: prints its result and duration, and returns the number of
/// states, for a test that asserts how much it covers. The path to a broken rule is written as a
/// [page](crate::page).
///
/// # Panics
/// If a rule is broken, with the path to it; if one of the goals is not reached; if there are more
/// than [`STATES_MAX`] states.
pub fn verify<S: System>(name: &str, system: &S, goals: &[S::Goal]) -> usize {
    #[expect(clippy::disallowed_methods, reason = "a search tells how long it took")]
    let begun = std::time::Instant::now();
    let found = search(system, STATES_MAX);
    let seconds = begun.elapsed().as_secs_f32();
    println!("{name}: {found}; {seconds:.1} s");
    if let Some(run) = found.run {
        run.about("search", name);
        let package = std::env::var("CARGO_PKG_NAME").unwrap_or_default();
        let file = format!("{package}-search-{name}.html").replace([' ', '/'], "-");
        page::leave(&run, &page::beside_tests(&file));
    }
    if let Some(violation) = found.violation {
        panic!("{name}: {violation}");
    }
    assert!(found.is_complete, "{name}: more than {STATES_MAX} states");
    let missed = goals.iter().filter(|goal| !found.met.contains(goal));
    let missed: Vec<&S::Goal> = missed.collect();
    assert!(missed.is_empty(), "{name}: never met: {missed:?}");
    found.states
}

/// The most states that a test visits: some gigabytes, some minutes.
pub const STATES_MAX: usize = 20_000_000;
