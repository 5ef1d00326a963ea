//! Every state that a few processes can get into, with messages that come in any order, or never,
//! or again, and with processes that stop and come back.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashSet};
use std::hash::{Hash, Hasher};

use synod_lamport::{LamportTime, Stamp};

use crate::exclusion::{Message, MutualExclusion, Output, Peer};

/// The processes, and which messages may still come. One that is never taken is lost.
#[derive(Clone, Debug, Hash)]
struct State {
    processes: Vec<Exclusion>,
    /// How often each may still ask for the resource.
    requests: Vec<u8>,
    /// How often each may still take messages for lost.
    timeouts: Vec<u8>,
    /// How often each may still stop, whatever it is about, and come back with nothing but its
    /// time.
    restarts: Vec<u8>,
    /// How many messages may still come once more.
    duplicates: u8,
    /// Everything that was sent, and whether it is still under way.
    sent: BTreeMap<(u8, u8, Message), bool>,
    last_entered: Option<Stamp<u8>>,
}

type Exclusion = MutualExclusion<u8, Vec<Peer<u8>>>;

/// A small scope: what it may cost is known before.
struct Scope {
    /// How often each process asks for the resource.
    requests: &'static [u8],
    timeouts: u8,
    restarts: &'static [u8],
    duplicates: u8,
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
        State {
            processes: (0..processes)
                .map(|id| exclusion(id, processes, LamportTime::ZERO))
                .collect(),
            requests: self.requests.to_vec(),
            timeouts: vec![self.timeouts; processes.into()],
            restarts: self.restarts.to_vec(),
            duplicates: self.duplicates,
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
        let lossless = self.timeouts == 0 && self.restarts.iter().all(|times| *times == 0);
        state.check_progress(lossless);
        let mut successors = Vec::new();
        let mut add = |id: usize, act: &dyn Fn(&mut State)| {
            let mut next = state.clone();
            act(&mut next);
            next.drain(id);
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
            if state.restarts[id] > 0 {
                add(id, &|next| {
                    let (processes, time) = (next.processes.len(), next.processes[id].now());
                    next.processes[id] = exclusion(id as u8, processes as u8, time);
                    next.restarts[id] -= 1;
                });
            }
        }
        for (key, _) in state.sent.iter().filter(|(_, under_way)| **under_way) {
            let (from, to, message) = *key;
            add(to.into(), &|next| {
                next.sent.insert(*key, false);
                next.processes[usize::from(to)].handle_message(from, message);
            });
            if state.duplicates > 0 {
                add(to.into(), &|next| {
                    next.duplicates -= 1;
                    next.processes[usize::from(to)].handle_message(from, message);
                });
            }
        }
        successors
    }
}

fn exclusion(id: u8, processes: u8, start: LamportTime) -> Exclusion {
    let peers = (0..processes).filter(|other| *other != id).map(Peer::new);
    MutualExclusion::new(id, peers.collect(), start).unwrap()
}

impl State {
    /// Nobody has anything or wants anything.
    fn is_done(&self) -> bool {
        let idle = |process: &Exclusion| process.clone().release().is_err();
        self.requests.iter().all(|left| *left == 0) && self.processes.iter().all(idle)
    }

    /// Where nothing was lost and everything has arrived, nobody waits unless somebody holds.
    fn check_progress(&self, lossless: bool) {
        let held = self.processes.iter().any(|one| one.holds().is_some());
        let arrived = !self.sent.values().any(|under_way| *under_way);
        if lossless && arrived && !held {
            let waits = |one: &Exclusion| one.clone().release().is_ok();
            assert!(
                !self.processes.iter().any(waits),
                "condition III: {self:#?}"
            );
        }
    }

    /// Lets a process do all it wants to, and checks it.
    fn drain(&mut self, id: usize) {
        while let Some(output) = self.processes[id].poll_output() {
            match output {
                // A message that was sent before and is sent again comes no more often for that.
                Output::Send { to, message } => {
                    self.sent.entry((id as u8, to, message)).or_insert(true);
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
        restarts: &[0, 0],
        duplicates: 0,
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
        restarts: &[0, 0],
        duplicates: 0,
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
        restarts: &[0, 0, 0],
        duplicates: 0,
    }
    .search();
    assert!(found.states > 3_000, "{found:?}");
    assert!(found.held > 1_000 && found.done > 500, "{found:?}");
}

#[test]
fn two_processes_whose_messages_come_again() {
    let found = Scope {
        requests: &[2, 1],
        timeouts: 0,
        restarts: &[0, 0],
        duplicates: 1,
    }
    .search();
    assert!(found.states > 150_000, "{found:?}");
    assert!(found.held > 60_000 && found.done > 50_000, "{found:?}");
}

/// One that stops, also while it waits or holds, and comes back with its time.
#[test]
fn a_process_that_comes_back_with_its_time_meets_nobody() {
    let found = Scope {
        requests: &[2, 1],
        timeouts: 0,
        restarts: &[1, 1],
        duplicates: 0,
    }
    .search();
    assert!(found.states > 50_000, "{found:?}");
    assert!(found.held > 15_000 && found.done > 20_000, "{found:?}");
}

const STATES_MAX: usize = 500_000;
