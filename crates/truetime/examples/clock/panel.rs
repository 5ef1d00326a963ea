//! The sources, what they said last, and what follows from it.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use synod_truetime::sim::{Machine, Reference, World};
use synod_truetime::source::{Chrony, ClockBound, FixedEpsilon, Kernel};
use synod_truetime::{
    Clocks, Drift, Interval, NoAgreement, Sample, Source, SourceError, SystemClocks, Timestamp,
    Unsynchronized, marzullo,
};

use crate::linux::Arguments;
use crate::peers::{Remote, serve};

pub(crate) struct Panel {
    clocks: Arc<dyn Clocks>,
    drift: Drift,
    entries: Vec<Entry>,
    demo: Option<Demo>,
    /// What was agreed on last, for those who ask.
    agreed: Agreed,
}

/// A sample, and nothing while there is no agreement.
pub(crate) type Agreed = Arc<Mutex<Option<Sample>>>;

struct Entry {
    name: String,
    source: Arc<dyn Source>,
    every: Duration,
    asked: Option<Duration>,
    said: Result<Sample, SourceError>,
}

/// What is moved along for the simulated sources.
struct Demo {
    world: World,
    elapsed: Duration,
    liar: Arc<Reference>,
    mute: Arc<Reference>,
}

/// One look at all of them.
pub(crate) struct Survey {
    pub(crate) rows: Vec<Row>,
    pub(crate) agreed: Result<Interval, NoAgreement>,
    /// How many may be wrong.
    pub(crate) faulty_max: usize,
}

pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) state: State,
}

pub(crate) enum State {
    Truechimer(Interval),
    Falseticker(Interval),
    Silent(SourceError),
}

impl Panel {
    pub(crate) fn of_this_machine(arguments: &Arguments) -> io::Result<Self> {
        let clocks = SystemClocks::new();
        let drift = Drift::from_ppm(arguments.drift);
        let mut panel = Self::new(Arc::new(clocks), drift);
        panel.add("kernel", Kernel::new(clocks));
        for (number, &address) in arguments.chrony.iter().enumerate() {
            panel.add(numbered("chrony", number), Chrony::new(clocks).at(address));
        }
        panel.add(
            "clockbound",
            ClockBound::new(clocks).at(&arguments.clockbound),
        );
        for (number, &millis) in arguments.fixed.iter().enumerate() {
            let epsilon = Duration::from_millis(millis);
            panel.add(
                numbered("fixed", number),
                FixedEpsilon::new(clocks, epsilon),
            );
        }
        for (number, &address) in arguments.peer.iter().enumerate() {
            panel.add(numbered("peer", number), Remote::connect(address, drift)?);
        }
        if let Some(address) = arguments.serve {
            serve(address, Arc::clone(&panel.agreed), drift)?;
        }
        Ok(panel)
    }

    /// Five sources of a simulated machine, ten seconds of whose life pass in a second: three good ones,
    /// one that drifts off and does not know it, one that comes and goes.
    pub(crate) fn demo() -> Self {
        let world = World::new(6);
        let machine = Machine::new(&world, 150);
        let reference = |micros| Arc::new(Reference::new(&machine, Duration::from_micros(micros)));
        let (liar, mute) = (reference(900), reference(300));
        let mut panel = Self::new(Arc::new(machine.clone()), Drift::DEFAULT);
        panel.add_every(Duration::from_secs(30), "gps", reference(100));
        panel.add_every(Duration::from_secs(16), "ntp, near", reference(1500));
        panel.add_every(Duration::from_secs(47), "ntp, far", reference(6000));
        panel.add_every(Duration::from_secs(8), "drifts off", Arc::clone(&liar));
        panel.add_every(Duration::from_secs(8), "flaky", Arc::clone(&mute));
        panel.demo = Some(Demo {
            world,
            elapsed: Duration::ZERO,
            liar,
            mute,
        });
        panel
    }

    fn new(clocks: Arc<dyn Clocks>, drift: Drift) -> Self {
        Self {
            clocks,
            drift,
            entries: Vec::new(),
            demo: None,
            agreed: Agreed::default(),
        }
    }

    fn add(&mut self, name: impl Into<String>, source: impl Source + 'static) {
        self.add_every(Duration::from_secs(1), name, source);
    }

    fn add_every(
        &mut self,
        every: Duration,
        name: impl Into<String>,
        source: impl Source + 'static,
    ) {
        self.entries.push(Entry {
            name: name.into(),
            source: Arc::new(source),
            every,
            asked: None,
            said: Err(SourceError::TimedOut),
        });
    }

    /// So much has passed since the start: asks those whose turn it is.
    pub(crate) fn advance(&mut self, mut elapsed: Duration) {
        if let Some(demo) = &mut self.demo {
            elapsed *= 10;
            demo.advance(elapsed);
        }
        for entry in &mut self.entries {
            // A picture may come a little early.
            let due = entry
                .asked
                .is_none_or(|asked| elapsed + EARLY >= asked + entry.every);
            if due {
                entry.asked = Some(elapsed);
                entry.said = entry.source.sample();
            }
        }
    }

    pub(crate) fn survey(&self) -> Survey {
        let now = self.clocks.local();
        let grown = |entry: &Entry| {
            let sample = entry.said?;
            let age_nanos = now.nanos_since(sample.at);
            if Duration::from_nanos(age_nanos) > sample.valid_for {
                return Err(SourceError::NotSynchronized(Unsynchronized::Old));
            }
            let drift = self.drift.max(Drift::from_ppb(sample.drift_ppb));
            Ok(drift.extrapolate(sample.interval, age_nanos))
        };
        let intervals: Vec<_> = self.entries.iter().map(grown).collect();
        let known: Vec<Interval> = intervals.iter().copied().filter_map(Result::ok).collect();
        let faulty_max = known.len().saturating_sub(1) / 2;
        let agreement = marzullo(&known, faulty_max);
        *self.agreed.lock().unwrap_or_else(PoisonError::into_inner) =
            agreement.ok().map(|agreement| {
                // The nearest of those who agree: the others may have it from there, or from here.
                let said = self
                    .entries
                    .iter()
                    .filter_map(|entry| grown(entry).and(entry.said).ok());
                let agreed = said
                    .enumerate()
                    .filter(|(place, _)| agreement.truechimers.contains(*place));
                Sample {
                    scale: synod_truetime::Scale::Utc,
                    at: now,
                    interval: agreement.interval,
                    drift_ppb: 0,
                    valid_for: Duration::from_secs(10),
                    bound: synod_truetime::BoundKind::Hard,
                    stratum: agreed
                        .map(|(_, sample)| sample.stratum)
                        .min()
                        .unwrap_or_default(),
                }
            });

        let mut place = 0..;
        let mut state = |interval| match interval {
            Err(error) => State::Silent(error),
            Ok(interval) => {
                let place = place.next().unwrap_or(usize::MAX);
                let wrong = agreement.is_ok_and(|it| it.falsetickers.contains(place));
                if wrong {
                    State::Falseticker(interval)
                } else {
                    State::Truechimer(interval)
                }
            }
        };
        let rows = self
            .entries
            .iter()
            .zip(intervals)
            .map(|(entry, interval)| Row {
                name: entry.name.clone(),
                state: state(interval),
            });
        Survey {
            rows: rows.collect(),
            agreed: agreement.map(|agreement| agreement.interval),
            faulty_max,
        }
    }
}

impl Demo {
    fn advance(&mut self, elapsed: Duration) {
        self.world.advance(elapsed.saturating_sub(self.elapsed));
        self.elapsed = elapsed.max(self.elapsed);
        // Off by 200 µs more each second, for two minutes; then somebody sets it right.
        let astray = self.elapsed.as_micros() % 120_000_000 / 5;
        self.liar.lie(i64::try_from(astray).unwrap_or(0));
        self.mute.silence(self.elapsed.as_secs() % 60 > 35);
    }
}

impl Survey {
    pub(crate) fn to_json(&self) -> Value {
        let interval = |interval: &Interval| {
            json!({
                "earliest_ns": interval.earliest().as_nanos(),
                "latest_ns": interval.latest().as_nanos(),
                "width_ns": interval.latest().nanos_since(interval.earliest()),
            })
        };
        let rows = self.rows.iter().map(|row| match &row.state {
            State::Silent(error) => json!({ "name": row.name, "error": error.to_string() }),
            State::Truechimer(known) => {
                json!({ "name": row.name, "interval": interval(known), "falseticker": false })
            }
            State::Falseticker(known) => {
                json!({ "name": row.name, "interval": interval(known), "falseticker": true })
            }
        });
        let agreed = match &self.agreed {
            Ok(agreed) => interval(agreed),
            Err(error) => json!({ "error": error.to_string() }),
        };
        json!({
            "sources": rows.collect::<Vec<_>>(),
            "faulty_max": self.faulty_max,
            "agreed": agreed,
        })
    }

    /// Where the middle of a picture is: what was agreed on, or what all that is known spans.
    pub(crate) fn middle(&self) -> Option<Timestamp> {
        let hull = || {
            let known = self.rows.iter().filter_map(|row| row.state.interval());
            known.reduce(|one, other| one.hull(&other))
        };
        self.agreed
            .ok()
            .or_else(hull)
            .map(|interval| interval.midpoint())
    }
}

impl State {
    pub(crate) fn interval(&self) -> Option<Interval> {
        match *self {
            Self::Truechimer(interval) | Self::Falseticker(interval) => Some(interval),
            Self::Silent(_) => None,
        }
    }
}

fn numbered(name: &str, number: usize) -> String {
    match number {
        0 => name.to_owned(),
        _ => format!("{name} {}", number + 1),
    }
}

const EARLY: Duration = Duration::from_millis(20);
