//! The scheduler that lets no decision come to pass.
//!
//! Fischer, Lynch and Paterson prove that it exists. Völzer (2004) and Constable (2011) made the proof
//! constructive, and that construction runs here. Write *silent run* for a run on which one process
//! takes no step. A protocol that survives one crash has from every configuration, for every process
//! `p`, a run without `p` that decides: [`Attacker::complete`] finds one.
//!
//! The attacker holds two runs from the present configuration, one that decides 0 and one that decides
//! 1, each silent in some process. To serve `p`:
//!
//! 1. It completes without `p`, and gets a run `k` that decides some `v`. If it holds runs for both
//!    values that are silent in `p`, they will do; otherwise it takes the one for the *other* value and
//!    walks along it.
//! 2. At its end the other value is decided, so a completion without `p` gives that value there, and
//!    `v` here. Somewhere on the way a single step `f` changes what it gives.
//! 3. If `f` is a step of another process than `p`, then *before* it both values can be decided without
//!    `p`: one by `k`, the other by `f` and what comes after it. If `f` is a step of `p`, then *after*
//!    it: a step of `p` takes nothing from the others and gives them a message at most, so `k` is still
//!    a run.
//! 4. Now `p` may take any step whatsoever. By the same argument both runs survive it.
//!
//! No search over valences is made, and none could be: where ballots have no bound, whether a
//! configuration is bivalent cannot be computed in general. It takes one completion a step.

use super::configuration::Configuration;
use super::protocol::all;
use super::{Certificate, Event, Opening, ProcessId, Protocol, Stage, Step, Value};

/// Why a protocol cannot be kept undecided: it is not one that the theorem is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Escape {
    /// It does not survive one crash: without this process the others were scheduled fairly for as
    /// many steps as the bound allows, and none decided.
    Blocks {
        /// Who takes no step.
        without: ProcessId,
        /// How many steps the others took.
        steps: usize,
    },
    /// Two runs of it decide differently, and are one run: no agreement.
    Disagrees,
    /// It decides the same whatever is proposed, so it is no consensus.
    Trivial,
}

/// Keeps a protocol undecided, stage after stage.
#[derive(Clone, Debug)]
pub struct Attacker<P: Protocol> {
    protocol: P,
    configuration: Configuration<P>,
    queue: Vec<ProcessId>,
    /// For 0 and for 1.
    certificates: [Certificate; 2],
}

/// What a completion came to.
struct Completion {
    decides: Value,
    by: Vec<Event>,
}

impl<P: Protocol> Attacker<P> {
    /// Finds inputs from which 0 and 1 can both be decided, as Lemma 2 of the theorem does: of the
    /// inputs 00..0, 10..0, 110..0, .., 11..1 each differs from the next in one process, and without
    /// that process the same run decides the same from both. By validity the first can only give 0
    /// and the last only 1; so somewhere between, one and the same configuration gives both.
    ///
    /// The queue is also the order in which inputs are changed and processes step when nothing is in
    /// transit.
    ///
    /// # Errors
    /// The protocol is none of those that the theorem is about.
    pub fn begin(protocol: P, queue: Vec<ProcessId>) -> Result<(Self, Opening), Escape> {
        let mut inputs = vec![Value::Zero; protocol.processes()];
        let mut last: Option<(ProcessId, Completion)> = None;
        for &differs in &queue {
            let configuration = Configuration::new(&protocol, &inputs);
            let found = complete(&protocol, &queue, configuration.clone(), differs)?;
            if let Some((without, before)) = last.take()
                && before.decides == Value::Zero
                && found.decides == Value::One
            {
                // The run found before the change is one from here too: it never looks at what
                // changed.
                let certificates = [certify(without, before.by), certify(differs, found.by)];
                let opening = Opening {
                    inputs,
                    queue: queue.clone(),
                    certificates: certificates.clone(),
                };
                let attacker = Self {
                    protocol,
                    configuration,
                    queue,
                    certificates,
                };
                return Ok((attacker, opening));
            }
            inputs[differs.index()] = Value::One;
            last = Some((differs, found));
        }
        Err(Escape::Trivial)
    }

    /// Serves the process at the head of the queue.
    ///
    /// # Errors
    /// The protocol is none of those that the theorem is about.
    pub fn stage(&mut self) -> Result<Stage, Escape> {
        let head = self.queue[0];
        let wanted = self.configuration.oldest_for(head);
        let wanted = wanted.unwrap_or(Event::Alone { at: head });
        let mut steps = self.walk(head, wanted)?;
        if steps.last().is_none_or(|step| step.event != wanted) {
            // Both certificates are silent in `head`, so they survive whatever it does.
            self.configuration.take(&self.protocol, wanted);
            steps.push(Step {
                event: wanted,
                then: self.certificates.clone(),
            });
        }
        self.queue.rotate_left(1);
        Ok(Stage { head, steps })
    }

    /// Goes where both values can be decided without `head`, or until `wanted` has come to pass.
    fn walk(&mut self, head: ProcessId, wanted: Event) -> Result<Vec<Step>, Escape> {
        let mut steps = Vec::new();
        if self.certificates.iter().all(|it| it.without == head) {
            return Ok(steps);
        }
        let here = self.complete(self.configuration.clone(), head)?;
        let (value, mut silent) = (here.decides, certify(head, here.by));
        let goal = self.certificates[value.other().index()].clone();
        for (at, &event) in goal.by.iter().enumerate() {
            let mut next = self.configuration.clone();
            next.take(&self.protocol, event);
            let there = self.complete(next.clone(), head)?;
            let crosses = there.decides != value;
            if crosses && event.at() != head {
                let mut by = vec![event];
                by.extend(there.by);
                self.hold(value, silent, certify(head, by));
                return Ok(steps);
            }
            self.configuration = next;
            let rest = certify(goal.without, goal.by[at + 1..].to_vec());
            let found = certify(head, there.by);
            match crosses {
                true => self.hold(value, silent.clone(), found),
                false => {
                    silent = found;
                    self.hold(value, silent.clone(), rest);
                }
            }
            steps.push(Step {
                event,
                then: self.certificates.clone(),
            });
            if crosses || event == wanted {
                return Ok(steps);
            }
        }
        Err(Escape::Disagrees)
    }

    fn hold(&mut self, value: Value, for_it: Certificate, for_other: Certificate) {
        self.certificates[value.index()] = for_it;
        self.certificates[value.other().index()] = for_other;
    }

    fn complete(&self, from: Configuration<P>, without: ProcessId) -> Result<Completion, Escape> {
        complete(&self.protocol, &self.order(), from, without)
    }

    /// The processes in an order that does not turn with the queue.
    fn order(&self) -> Vec<ProcessId> {
        let mut order = self.queue.clone();
        let first = order.iter().position(|id| *id == ProcessId(1));
        order.rotate_left(first.unwrap_or(0));
        order
    }

    /// Where the run has come to.
    pub(super) fn into_configuration(self) -> (P, Configuration<P>) {
        (self.protocol, self.configuration)
    }

    /// The process's state now.
    pub fn state(&self, at: ProcessId) -> &P::State {
        self.configuration.state(at)
    }

    /// How many messages are in transit now.
    #[must_use]
    pub fn in_transit(&self) -> usize {
        self.configuration.in_transit()
    }
}

/// Runs all but one process fairly until somebody has decided: the oldest message first, and a step
/// without a message, in turn, only when none is in transit to them.
fn complete<P: Protocol>(
    protocol: &P,
    order: &[ProcessId],
    mut from: Configuration<P>,
    without: ProcessId,
) -> Result<Completion, Escape> {
    let mut decided = all(protocol).find_map(|at| from.decision(protocol, at));
    let mut by = Vec::new();
    let mut turns = order.iter().filter(|at| **at != without).cycle();
    loop {
        if let Some(decides) = decided {
            return Ok(Completion { decides, by });
        }
        let alone = || turns.next().map(|&at| Event::Alone { at });
        let steps = by.len();
        let event = from.oldest_without(without).or_else(alone);
        let Some(event) = event.filter(|_| steps < COMPLETION_STEPS_MAX) else {
            return Err(Escape::Blocks { without, steps });
        };
        from.take(protocol, event);
        by.push(event);
        decided = from.decision(protocol, event.at());
    }
}

fn certify(without: ProcessId, by: Vec<Event>) -> Certificate {
    Certificate { without, by }
}

/// Two correct processes that nobody disturbs need some twenty steps with Paxos; with Ben-Or's coins
/// it may take some hundreds.
const COMPLETION_STEPS_MAX: usize = 10_000;
