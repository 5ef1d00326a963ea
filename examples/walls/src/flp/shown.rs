//! The run and two of its certificates as a page: they are replayed once more.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use synod_sim::NodeId;
use synod_sim::page::{Kind, MessageId, OperationId, Recorder, caption_of};

use super::configuration::Configuration;
use super::protocol::all;
use super::{Circle, Event, Opening, ProcessId, Protocol, Pursuit, Stage, Value};

/// Gives a recorder the first stages, and from where they end the way to 0 and the way to 1. It opens
/// where the circle begins, if that is among them, and else where both ways begin.
pub(super) fn show<P: Protocol>(recorder: &Recorder, protocol: &P, pursuit: &Pursuit<P>) {
    let Some(opening) = &pursuit.opening else {
        return;
    };
    let steps: Vec<Event> = steps(&pursuit.stages).map(|step| step.event).collect();
    recorder.begin_run("Undecided: the attacker's schedule");
    let mut run = Replay::begin(recorder, protocol, opening);
    let circle = pursuit.findings.circle.as_ref();
    for (number, event) in (1..).zip(&steps) {
        run.take(*event);
        run.look_for(circle, number);
    }
    let certificates = steps_certificates(&pursuit.stages).unwrap_or(&opening.certificates);
    recorder.opens_at(
        run.now,
        "from here 0 can be decided, and 1, as both ways behind show",
    );
    for (value, certificate) in [Value::Zero, Value::One].into_iter().zip(certificates) {
        let without = certificate.without;
        recorder.begin_run(&format!(
            "From there {value} can be decided, without a step of {without}"
        ));
        let mut way = Replay::begin(recorder, protocol, opening);
        way.skip(&steps);
        certificate.by.iter().for_each(|event| way.take(*event));
    }
}

fn steps(stages: &[Stage]) -> impl Iterator<Item = &super::Step> {
    stages.iter().flat_map(|stage| &stage.steps)
}

fn steps_certificates(stages: &[Stage]) -> Option<&[super::Certificate; 2]> {
    steps(stages).last().map(|step| &step.then)
}

struct Replay<'a, P: Protocol> {
    recorder: &'a Recorder,
    protocol: &'a P,
    configuration: Configuration<P>,
    /// What is in transit, as the recorder knows it.
    sent: BTreeMap<Event, MessageId>,
    known: BTreeSet<Event>,
    /// What each was asked to propose, until it has decided.
    asked: BTreeMap<ProcessId, OperationId>,
    now: Duration,
}

impl<'a, P: Protocol> Replay<'a, P> {
    fn begin(recorder: &'a Recorder, protocol: &'a P, opening: &Opening) -> Self {
        let mut asked = BTreeMap::new();
        for (at, input) in all(protocol).zip(&opening.inputs) {
            recorder.name(id(at), &at.to_string());
            let text = format!("propose {input}");
            asked.insert(at, recorder.called(Duration::ZERO, &at.to_string(), &text));
        }
        Self {
            recorder,
            protocol,
            configuration: Configuration::new(protocol, &opening.inputs),
            sent: BTreeMap::new(),
            known: BTreeSet::new(),
            asked,
            now: Duration::ZERO,
        }
    }

    /// Steps that were shown before. What they left in transit is sent at once.
    fn skip(&mut self, steps: &[Event]) {
        for event in steps {
            self.configuration.take(self.protocol, *event);
            self.known.insert(*event);
        }
        for at in all(self.protocol) {
            let text = "stands where the run has come to";
            self.recorder.event(self.now, id(at), Kind::Note, text);
            self.look_at(at);
        }
        self.find_sent();
    }

    fn take(&mut self, event: Event) {
        self.now += STEP;
        let at = event.at();
        match self.sent.remove(&event) {
            Some(message) => drop(self.recorder.received(self.now, message)),
            None => {
                let text = "takes a step alone: it retries, or begins";
                self.recorder.event(self.now, id(at), Kind::Timer, text);
            }
        }
        self.known.insert(event);
        self.configuration.take(self.protocol, event);
        self.find_sent();
        self.look_at(at);
        if let Some(value) = self.configuration.decision(self.protocol, at)
            && let Some(asked) = self.asked.remove(&at)
        {
            let text = format!("decided {value}");
            self.recorder.note(self.now, id(at), Kind::Commit, &text);
            self.recorder.returned(self.now, asked, &text);
        }
    }

    /// What is new in transit was sent by the last step.
    fn find_sent(&mut self) {
        for to in all(self.protocol) {
            for (event, message) in self.configuration.waiting_for(to) {
                let Event::Deliver { from, .. } = event else {
                    continue;
                };
                if self.known.insert(event) {
                    let (name, text) = caption_of(message);
                    let caption = (name.as_str(), text.as_str());
                    let sent = self.recorder.sent(self.now, id(from), id(to), caption);
                    self.sent.insert(event, sent);
                }
            }
        }
    }

    fn look_at(&self, at: ProcessId) {
        let view = self.protocol.view(self.configuration.state(at));
        self.recorder.view(self.now, id(at), view);
    }

    /// Where a circle begins, and where it has gone round.
    fn look_for(&self, circle: Option<&Circle>, steps: u64) {
        let Some(circle) = circle else {
            return;
        };
        let length = circle.steps.len() as u64;
        if steps == circle.begins {
            let text = format!(
                "a circle begins: {length} steps lead back here, but for the ballots, so nothing need \
                 ever be decided"
            );
            self.recorder.everywhere(self.now, Kind::Fault, &text);
            self.recorder.began(self.now, "circle", &[], "the circle");
            self.recorder.opens_at(self.now, &text);
        }
        if steps == circle.begins + length {
            let text = "it has gone round: all is as it was, but for the ballots";
            self.recorder.everywhere(self.now, Kind::Fault, text);
            self.recorder.ended(self.now, "circle");
        }
    }
}

fn id(at: ProcessId) -> NodeId {
    NodeId(at.0 as u64)
}

/// Nothing here has a duration; on the page steps are this far apart.
const STEP: Duration = Duration::from_millis(1);
