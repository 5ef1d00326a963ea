//! Replays what an attacker claims, and believes nothing.
//!
//! It has its own processes and its own network, and shares with the attacker only the protocol and
//! the form of the record. If it says that a run is undecided and fair, then it is, whoever made it.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use super::{Certificate, Event, Opening, ProcessId, Protocol, Stage, Value};

/// What a record claims and is not so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// Inputs or queue do not name each process once.
    Opening,
    /// A step takes a message that is not in transit.
    NoSuchMessage(Event),
    /// After a step of the run somebody has decided.
    Decided(ProcessId, Value),
    /// The process that should be silent takes a step.
    NotSilent(ProcessId),
    /// A certificate does not end in a decision for its value.
    ProvesNothing(Value),
    /// It is another process's turn.
    OutOfTurn(ProcessId),
    /// The stage does not end when, and only when, its head has been served.
    NotServed(ProcessId),
}

/// What was replayed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Steps of the run.
    pub steps: u64,
    /// Stages.
    pub stages: u64,
    /// Steps of each process.
    pub steps_by: Vec<u64>,
    /// Steps of all certificates.
    pub certified_steps: u64,
    /// Steps of the longest certificate.
    pub certificate_steps_max: usize,
    /// The most messages that were in transit after a stage.
    pub in_transit_max: usize,
    /// The longest that a message was in transit, delivered or not, in steps of the run.
    pub age_steps_max: u64,
    /// The longest that a process went without a step, in steps of the run.
    pub wait_steps_max: u64,
    /// The run has come back to where it was.
    pub circle: Option<Circle>,
    /// How often it seemed to have come back, and the same steps led elsewhere: the protocol's
    /// [likeness](Protocol::likeness) is wrong.
    pub broken_circles: u64,
}

/// A part of the run that leads from a configuration to one which no process can tell from it.
///
/// Every process steps in it, and all that was in transit at its beginning is delivered in it. So it
/// may be repeated for ever, and is then an admissible run in which nobody fails and nobody decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Circle {
    /// How many steps of the run come before it.
    pub begins: u64,
    /// Its steps, and of which kind the message was that was taken.
    pub steps: Vec<(Event, Option<char>)>,
    /// How often it was repeated behind its end, and led to the like again, before nobody tried any
    /// more.
    pub repeated: u32,
}

/// Takes a run stage by stage.
#[derive(Debug)]
pub struct Checker<P: Protocol> {
    protocol: P,
    now: Replica<P>,
    queue: VecDeque<ProcessId>,
    /// Of each process that has stepped.
    last_step: Vec<Option<u64>>,
    findings: Findings,
    seen: Seen,
}

/// A copy of the system: processes, and what is in transit on each link, by its number there.
struct Replica<P: Protocol> {
    states: Vec<P::State>,
    links: BTreeMap<(ProcessId, ProcessId), Link<P::Message>>,
    sent: u64,
}

#[derive(Clone, Debug)]
struct Link<M> {
    next: u64,
    waiting: BTreeMap<u64, Letter<M>>,
}

#[derive(Clone, Debug)]
struct Letter<M> {
    message: M,
    /// How many were sent before it, on all links.
    order: u64,
    /// How many steps the run had when it was sent.
    sent_at: u64,
}

/// Configurations of the past, until one comes again.
#[derive(Debug, Default)]
struct Seen {
    at: BTreeMap<String, Vec<Visit>>,
    /// All steps, as long as somebody looks.
    steps: Vec<(Event, Option<char>)>,
}

/// When a configuration was met, and how much had been sent on each link.
#[derive(Clone, Debug)]
struct Visit {
    steps: u64,
    sent: BTreeMap<(ProcessId, ProcessId), u64>,
}

impl<P: Protocol> Checker<P> {
    /// Begins where the run begins.
    ///
    /// # Errors
    /// What of the opening is not so.
    pub fn begin(protocol: P, opening: &Opening) -> Result<Self, Refusal> {
        let count = protocol.processes();
        let mut named = opening.queue.clone();
        named.sort_unstable();
        if opening.inputs.len() != count || !named.into_iter().eq((1..=count).map(ProcessId)) {
            return Err(Refusal::Opening);
        }
        let inputs = (1..).map(ProcessId).zip(&opening.inputs);
        let now = Replica {
            states: inputs
                .map(|(at, input)| protocol.start(at, *input))
                .collect(),
            links: BTreeMap::new(),
            sent: 0,
        };
        let mut checker = Self {
            protocol,
            now,
            queue: opening.queue.iter().copied().collect(),
            last_step: vec![None; count],
            findings: Findings {
                steps_by: vec![0; count],
                ..Findings::default()
            },
            seen: Seen::default(),
        };
        checker.prove(&opening.certificates)?;
        Ok(checker)
    }

    /// Replays a stage: each of its steps, and each certificate behind each step.
    ///
    /// # Errors
    /// What of it is not so. What comes behind that means nothing.
    pub fn replay(&mut self, stage: &Stage) -> Result<(), Refusal> {
        let head = stage.head;
        if self.queue.pop_front() != Some(head) {
            return Err(Refusal::OutOfTurn(head));
        }
        self.queue.push_back(head);
        let wanted = self.now.oldest(head).unwrap_or(Event::Alone { at: head });
        let mut served = false;
        for step in &stage.steps {
            if served {
                return Err(Refusal::NotServed(head));
            }
            self.step(step.event)?;
            self.prove(&step.then)?;
            served = step.event == wanted;
        }
        if !served {
            return Err(Refusal::NotServed(head));
        }
        self.findings.stages += 1;
        self.findings.in_transit_max = self.findings.in_transit_max.max(self.now.letters().count());
        self.look_for_circle();
        Ok(())
    }

    /// What was replayed so far, with the ages of what is still in transit.
    #[must_use]
    pub fn findings(&self) -> Findings {
        let mut findings = self.findings.clone();
        for (_, letter) in self.now.letters() {
            findings.age_steps_max = findings.age_steps_max.max(findings.steps - letter.sent_at);
        }
        for last in &self.last_step {
            let waited = findings.steps - last.unwrap_or(0);
            findings.wait_steps_max = findings.wait_steps_max.max(waited);
        }
        findings
    }

    /// How many steps of the run were replayed.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.findings.steps
    }

    fn step(&mut self, event: Event) -> Result<(), Refusal> {
        let now = self.findings.steps;
        let sign = self.now.sign(&self.protocol, event);
        let sent_at = self.now.step(&self.protocol, event, now)?;
        for (at, state) in (1..).map(ProcessId).zip(&self.now.states) {
            if let Some(value) = self.protocol.decision(state) {
                return Err(Refusal::Decided(at, value));
            }
        }
        let (findings, at) = (&mut self.findings, event.at().0 - 1);
        findings.steps += 1;
        findings.steps_by[at] += 1;
        findings.age_steps_max = findings.age_steps_max.max(now - sent_at);
        findings.wait_steps_max = findings
            .wait_steps_max
            .max(now - self.last_step[at].unwrap_or(0));
        self.last_step[at] = Some(now);
        if self.findings.circle.is_none() {
            self.seen.steps.push((event, sign));
        }
        Ok(())
    }

    fn prove(&mut self, certificates: &[Certificate; 2]) -> Result<(), Refusal> {
        for (value, certificate) in [Value::Zero, Value::One].into_iter().zip(certificates) {
            let mut future = self.now.clone();
            for &event in &certificate.by {
                if event.at() == certificate.without {
                    return Err(Refusal::NotSilent(certificate.without));
                }
                future.step(&self.protocol, event, 0)?;
            }
            let last = certificate.by.last().map(|event| event.at().0 - 1);
            let decided = last.and_then(|at| self.protocol.decision(&future.states[at]));
            if decided != Some(value) {
                return Err(Refusal::ProvesNothing(value));
            }
            let steps = certificate.by.len();
            self.findings.certified_steps += steps as u64;
            self.findings.certificate_steps_max = self.findings.certificate_steps_max.max(steps);
        }
        Ok(())
    }

    fn look_for_circle(&mut self) {
        if self.findings.circle.is_some() || self.findings.stages > CIRCLE_STAGES_MAX {
            return;
        }
        let Some(likeness) = self.now.likeness(&self.protocol) else {
            return;
        };
        let oldest = self.now.letters().map(|(_, letter)| letter.sent_at).min();
        // Nothing, as long as there is one that has never stepped.
        let idle = self.last_step.iter().min().copied().flatten();
        // What is in transit now was sent since then, so what was in transit then is delivered; and
        // everybody has stepped since then.
        let is_fair = |visit: &&Visit| {
            oldest.is_none_or(|sent| sent >= visit.steps) && idle >= Some(visit.steps)
        };
        let visits = self.seen.at.get(&likeness);
        let visit = visits
            .and_then(|visits| visits.iter().find(is_fair))
            .cloned();
        if let Some(visit) = visit {
            let from = usize::try_from(visit.steps).unwrap_or(usize::MAX);
            let steps = self.seen.steps[from..].to_vec();
            let repeated = self.leads_back(&steps, &visit, &likeness);
            if repeated == CIRCLE_REPEATS {
                self.findings.circle = Some(Circle {
                    begins: visit.steps,
                    steps,
                    repeated,
                });
                self.seen = Seen::default();
                return;
            }
            self.findings.broken_circles += 1;
        }
        let visit = Visit {
            steps: self.findings.steps,
            sent: self.now.sent_on_links(),
        };
        self.seen.at.entry(likeness).or_default().push(visit);
    }

    /// How often to repeat the steps of a circle, from its end on, leads to the like, and nobody
    /// decides meanwhile. Not needed for the proof: a renumbering that is wrong shows here.
    fn leads_back(&self, steps: &[(Event, Option<char>)], visit: &Visit, likeness: &str) -> u32 {
        let mut future = self.now.clone();
        let sent = future.sent_on_links();
        for turn in 1..=CIRCLE_REPEATS {
            for (event, _) in steps {
                let again = match *event {
                    Event::Alone { .. } => *event,
                    Event::Deliver { from, to, nth } => {
                        let on_link = |sent: &BTreeMap<_, u64>| sent.get(&(from, to)).copied();
                        let before = on_link(&visit.sent).unwrap_or(0);
                        let in_circle = on_link(&sent).unwrap_or(0) - before;
                        let nth = nth + in_circle * u64::from(turn);
                        Event::Deliver { from, to, nth }
                    }
                };
                if future.step(&self.protocol, again, 0).is_err() {
                    return turn - 1;
                }
            }
            let states = &mut future.states.iter();
            let is_decided = states.any(|state| self.protocol.decision(state).is_some());
            if is_decided || future.likeness(&self.protocol).as_deref() != Some(likeness) {
                return turn - 1;
            }
        }
        CIRCLE_REPEATS
    }
}

impl<P: Protocol> Replica<P> {
    /// Takes a step, and tells when the message that it takes was sent.
    fn step(&mut self, protocol: &P, event: Event, now: u64) -> Result<u64, Refusal> {
        let at = event.at();
        let state = &mut self.states[at.0 - 1];
        let (sends, sent_at) = match event {
            Event::Alone { .. } => (protocol.step_alone(state), now),
            Event::Deliver { from, to, nth } => {
                let link = self.links.get_mut(&(from, to));
                let letter = link.and_then(|link| link.waiting.remove(&nth));
                let letter = letter.ok_or(Refusal::NoSuchMessage(event))?;
                let sends = protocol.receive(state, from, letter.message);
                (sends, letter.sent_at)
            }
        };
        for (to, message) in sends {
            let link = self.links.entry((at, to)).or_default();
            let letter = Letter {
                message,
                order: self.sent,
                sent_at: now,
            };
            link.waiting.insert(link.next, letter);
            link.next += 1;
            self.sent += 1;
        }
        Ok(sent_at)
    }

    fn likeness(&self, protocol: &P) -> Option<String> {
        let states: Vec<_> = self.states.iter().collect();
        let links = self.links.iter().map(|((from, to), link)| {
            let messages = link.waiting.values().map(|letter| &letter.message);
            (*from, *to, messages.collect())
        });
        protocol.likeness(&states, &links.collect::<Vec<_>>())
    }

    fn sign(&self, protocol: &P, event: Event) -> Option<char> {
        let Event::Deliver { from, to, nth } = event else {
            return None;
        };
        let letter = self.links.get(&(from, to))?.waiting.get(&nth)?;
        Some(protocol.sign(&letter.message))
    }

    fn sent_on_links(&self) -> BTreeMap<(ProcessId, ProcessId), u64> {
        let links = self.links.iter();
        links.map(|(ends, link)| (*ends, link.next)).collect()
    }

    /// The taking of what was sent to this process before all else that still waits for it.
    fn oldest(&self, to: ProcessId) -> Option<Event> {
        let waiting = self.letters().filter(|(event, _)| event.at() == to);
        let oldest = waiting.min_by_key(|(_, letter)| letter.order);
        oldest.map(|(event, _)| event)
    }

    fn letters(&self) -> impl Iterator<Item = (Event, &Letter<P::Message>)> {
        self.links.iter().flat_map(|((from, to), link)| {
            let (from, to) = (*from, *to);
            let waiting = link.waiting.iter();
            waiting.map(move |(nth, letter)| {
                (
                    Event::Deliver {
                        from,
                        to,
                        nth: *nth,
                    },
                    letter,
                )
            })
        })
    }
}

impl<P: Protocol> Clone for Replica<P> {
    fn clone(&self) -> Self {
        Self {
            states: self.states.clone(),
            links: self.links.clone(),
            sent: self.sent,
        }
    }
}

impl<P: Protocol> fmt::Debug for Replica<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replica")
            .field("states", &self.states)
            .field("sent", &self.sent)
            .finish_non_exhaustive()
    }
}

impl<M> Default for Link<M> {
    fn default() -> Self {
        Self {
            next: 0,
            waiting: BTreeMap::new(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opening => write!(f, "inputs and queue must name each process once"),
            Self::NoSuchMessage(event) => write!(f, "{event}, which is not in transit"),
            Self::Decided(at, value) => write!(f, "{at} has decided {value}"),
            Self::NotSilent(at) => write!(f, "a certificate without {at} has a step of {at}"),
            Self::ProvesNothing(value) => write!(f, "a certificate does not decide {value}"),
            Self::OutOfTurn(at) => write!(f, "it is not the turn of {at}"),
            Self::NotServed(at) => write!(f, "the stage of {at} does not end when it is served"),
        }
    }
}

/// Texts of configurations are kept for so many stages at most.
const CIRCLE_STAGES_MAX: u64 = 20_000;
const CIRCLE_REPEATS: u32 = 3;
