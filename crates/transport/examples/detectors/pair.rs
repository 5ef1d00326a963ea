//! One node that sends heartbeats, and one that watches it.

use super::measures::{Measures, Record};
use super::traces::{Link, Pauses, TAIL_MAX, Trace};
use std::time::Duration;
use synod_transport::NodeId;
use synod_transport::detector::{Detector, Incarnation, Instant, Output};

/// The heartbeats of some days, as they come to the watcher.
pub(crate) struct Heartbeats {
    trace: Trace,
    seed: u64,
    /// In the order in which they come.
    arrivals: Vec<Arrival>,
    length: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Arrival {
    at: Duration,
    sent: Duration,
}

/// A detector with the pauses of whoever drives it.
#[derive(Clone)]
struct Watcher<D> {
    detector: D,
    pauses: Pauses,
    record: Record,
}

impl Heartbeats {
    pub(crate) fn new(trace: Trace, seed: u64, length: Duration) -> Self {
        let mut link = Link::new(trace, seed);
        let mut sender = Pauses::new(trace.sender, seed ^ 1);
        let mut watcher = Pauses::new(trace.watcher, seed ^ 2);
        let mut arrivals = Vec::new();
        let mut due = Duration::ZERO;
        while due < length {
            let sent = sender.awake(due);
            if let Some(takes) = link.carry() {
                let at = sent + takes;
                arrivals.push(Arrival { at, sent });
            }
            // What came due in a pause is sent once.
            while due <= sent {
                due += HEARTBEAT;
            }
        }
        arrivals.sort_by_key(|arrival| arrival.at);
        for arrival in &mut arrivals {
            arrival.at = watcher.awake(arrival.at);
        }
        Self {
            trace,
            seed,
            arrivals,
            length,
        }
    }

    /// What a detector makes of it. `detector` has begun at 0 and watches [`PEER`].
    pub(crate) fn measure<D: Detector + Clone>(&self, detector: D) -> Measures {
        let pauses = Pauses::new(self.trace.watcher, self.seed ^ 2);
        let mut watcher = Watcher {
            detector,
            pauses,
            record: Record::default(),
        };
        let mut measures = Measures::default();
        let mut crashes = self.crashes();
        let mut crash = crashes.next();
        for (position, arrival) in self.arrivals.iter().enumerate() {
            if let Some(at) = crash.filter(|at| arrival.at > *at) {
                let rest = self.arrivals[position..].iter();
                let near = rest.take_while(|arrival| arrival.at < at + WAYS_MAX);
                let sent = near.filter(|arrival| arrival.sent < at);
                measures.detected(watcher.clone().detect(at, sent));
                crash = crashes.next();
            }
            watcher.wait(arrival.at);
            watcher.hear(arrival.at);
        }
        let end = self.arrivals.last().map_or(self.length, |last| last.at);
        measures.add(watcher.record, end);
        measures
    }

    /// Between two heartbeats, at another place each time.
    fn crashes(&self) -> impl Iterator<Item = Duration> {
        let every = self.length / (CRASHES + 1);
        (1..=CRASHES).map(move |crash| every * crash + HEARTBEAT * (crash % 10) / 10)
    }
}

impl<D: Detector> Watcher<D> {
    /// Time passes, up to `until`.
    fn wait(&mut self, until: Duration) {
        loop {
            let due = self.detector.poll_timeout().0;
            if due >= until {
                return;
            }
            let at = self.pauses.awake(due);
            if at >= until {
                // It stands still: what comes meanwhile is there when it goes on, and is taken first.
                return;
            }
            self.detector.handle_timeout(Instant(at));
            self.note(at);
        }
    }

    fn hear(&mut self, at: Duration) {
        self.detector
            .handle_frame(Instant(at), PEER, Incarnation(1));
        self.note(at);
    }

    fn note(&mut self, at: Duration) {
        while let Some(output) = self.detector.poll_output() {
            match output {
                Output::Suspect(_) => self.record.suspect(at),
                Output::Trust(_) => self.record.trust(at),
                Output::Send(..) => {}
            }
        }
    }

    /// From a crash to the suspicion that lasts, with what was on its way.
    fn detect<'a>(mut self, crash: Duration, sent: impl Iterator<Item = &'a Arrival>) -> Duration {
        for arrival in sent {
            self.wait(arrival.at);
            self.hear(arrival.at);
        }
        if self.detector.suspects(PEER) {
            return Duration::ZERO;
        }
        let mut at = crash;
        while !self.detector.suspects(PEER) {
            at = self.pauses.awake(self.detector.poll_timeout().0);
            self.detector.handle_timeout(Instant(at));
        }
        at.saturating_sub(crash)
    }
}

pub(crate) const PEER: NodeId = NodeId(2);
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(1);
const CRASHES: u32 = 300;
/// What is not there by then is not on its way any more, whoever stands still.
const WAYS_MAX: Duration = Duration::from_secs(2 * TAIL_MAX.as_secs());
