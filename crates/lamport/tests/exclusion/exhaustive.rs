//! Every state that a few processes can get into, with messages that come in any order, or never,
//! and copies of them.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashSet};
use std::hash::{Hash, Hasher};

use synod_lamport::mutex::{Message, MutualExclusion, Output, Peer};
use synod_lamport::{LamportTime, Stamp};

/// The processes, and how many copies of which message may still come. One that is never taken is
/// lost.
#[derive(Clone, Debug, Hash)]
struct State {
    processes: Vec<Exclusion>,
    /// How often each may still ask for the resource.
    requests: Vec<u8>,
    /// How often each may still take messages for lost.
    timeouts: Vec<u8>,
    sent: BTreeMap<(u8, u8, Message), u8>,
    last_entered: Option<Stamp<u8>>,
}

type Exclusion = MutualExclusion<u8, Vec<Peer<u8>>>;

/// A small scope: what it may cost is known before.
struct Scope {
    /// How often each process asks for the resource.
    requests: &'static [u8],
    timeouts: u8,
    /// How often each message may come.
    copies: u8,
}

#[derive(Debug, Default)]
struct Found {
    states: usize,
    /// States in which somebody holds the resource.
    held: usize,
    /// States in which everybody has had all that it asked for.
    done: usize,
}

impl Scope {
    fn start(&self) -> State {
        let processes = self.requests.len() as u8;
        let exclusion = |id| {
            let peers = (0..processes).filter(|other| *other != id).map(Peer::new);
            MutualExclusion::new(id, peers.collect(), LamportTime::ZERO).unwrap()
        };
        State {
            processes: (0..processes).map(exclusion).collect(),
            requests: self.requests.to_vec(),
            timeouts: vec![self.timeouts; processes.into()],
            sent: BTreeMap::new(),
            last_entered: None,
        }
    }

    /// Depth first, remembering fingerprints only.
    fn search(&self) -> Found {
        let mut found = Found::default();
        let mut seen = HashSet::new();
        let mut stack = vec![self.start()];
        while let Some(state) = stack.pop() {
            for next in self.successors(&state) {
                let mut fingerprint = DefaultHasher::new();
                next.hash(&mut fingerprint);
                if !seen.insert(fingerprint.finish()) {
                    continue;
                }
                found.states += 1;
                assert!(found.states <= STATES_MAX, "the scope is too large");
                let held = next.processes.iter().any(|one| one.holds().is_some());
                found.held += usize::from(held);
                if next.is_done() {
                    // What is still under way finds nobody who cares.
                    found.done += 1;
                    continue;
                }
                stack.push(next);
            }
        }
        found
    }

    /// All that can happen next.
    fn successors(&self, state: &State) -> Vec<State> {
        state.check_progress(self.timeouts);
        let mut successors = Vec::new();
        let mut add = |id: usize, act: &dyn Fn(&mut State)| {
            let mut next = state.clone();
            act(&mut next);
            next.drain(id, self.copies);
            successors.push(next);
        };
        for id in 0..state.processes.len() {
            let process = &state.processes[id];
            if process.holds().is_some() {
                add(id, &|next| next.processes[id].release().unwrap());
            } else if state.requests[id] > 0 && process.clone().request().is_ok() {
                add(id, &|next| {
                    next.processes[id].request().unwrap();
                    next.requests[id] -= 1;
                });
            } else if state.timeouts[id] > 0 && process.clone().release().is_ok() {
                add(id, &|next| {
                    next.processes[id].handle_timeout();
                    next.timeouts[id] -= 1;
                });
            }
        }
        for (key, copies) in &state.sent {
            if *copies > 0 {
                let (from, to, message) = *key;
                add(to.into(), &|next| {
                    *next.sent.entry(*key).or_default() -= 1;
                    next.processes[usize::from(to)].handle_message(from, message);
                });
            }
        }
        successors
    }
}

impl State {
    /// Nobody has anything or wants anything.
    fn is_done(&self) -> bool {
        let idle = |process: &Exclusion| process.clone().release().is_err();
        self.requests.iter().all(|left| *left == 0) && self.processes.iter().all(idle)
    }

    /// Where nothing was lost and everything has arrived, nobody waits unless somebody holds.
    fn check_progress(&self, timeouts: u8) {
        let held = self.processes.iter().any(|one| one.holds().is_some());
        let arrived = self.sent.values().all(|copies| *copies == 0);
        if timeouts == 0 && arrived && !held {
            let waits = |one: &Exclusion| one.clone().release().is_ok();
            assert!(
                !self.processes.iter().any(waits),
                "condition III: {self:#?}"
            );
        }
    }

    /// Lets a process do all it wants to, and checks it.
    fn drain(&mut self, id: usize, copies: u8) {
        while let Some(output) = self.processes[id].poll_output() {
            match output {
                // A message that was sent before and is sent again comes no more often for that.
                Output::Send { to, message } => {
                    self.sent.entry((id as u8, to, message)).or_insert(copies);
                }
                Output::Entered(stamp) => {
                    assert!(self.last_entered < Some(stamp), "condition II: {self:#?}");
                    self.last_entered = Some(stamp);
                }
            }
        }
        let holders = self.processes.iter().filter(|one| one.holds().is_some());
        assert!(holders.count() <= 1, "condition I: {self:#?}");
    }
}

#[test]
fn two_processes_that_ask_twice() {
    let found = Scope {
        requests: &[2, 2],
        timeouts: 0,
        copies: 1,
    }
    .search();
    assert!(found.states > 250_000, "{found:?}");
    assert!(found.held > 100_000 && found.done > 50_000, "{found:?}");
}

#[test]
fn two_processes_that_ask_again_after_losses() {
    let found = Scope {
        requests: &[1, 1],
        timeouts: 1,
        copies: 1,
    }
    .search();
    assert!(found.states > 10_000, "{found:?}");
    assert!(found.held > 4_000 && found.done > 3_000, "{found:?}");
}

#[test]
fn three_processes_of_which_two_ask() {
    let found = Scope {
        requests: &[1, 1, 0],
        timeouts: 0,
        copies: 1,
    }
    .search();
    assert!(found.states > 3_000, "{found:?}");
    assert!(found.held > 1_000 && found.done > 500, "{found:?}");
}

const STATES_MAX: usize = 500_000;
