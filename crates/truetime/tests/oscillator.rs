//! Oscillators that do not keep the bound that they are claimed to keep, with the figures that are reported of real
//! ones: a TSC that was calibrated wrongly runs off by 250 to 1,100 ppm, and on some hypervisors by per cents.

use core::time::Duration;

use synod_truetime::sim::{Fault, Machine, Reference, World};
use synod_truetime::source::{Question, Timex};
use synod_truetime::{
    Clocks, Config, Disciplined, Disruption, OutOfBound, PollError, Sample, Source, SourceError,
    TimeError, TrueTime,
};

const SECOND: Duration = Duration::from_secs(1);

/// An oscillator that is off by so many ppm for good, and a source that is right to 10 ms, as by NTP.
fn off_by(ppm: i32, seed: u64) -> (World, Machine, Disciplined<Reference, Machine>) {
    let world = World::new(seed);
    let machine = Machine::new(&world, 100);
    machine.strike(Fault::Rate(ppm * 1000));
    let source = Reference::new(&machine, Duration::from_millis(10));
    let clock = Disciplined::new(source, machine.clone(), Config::default());
    (world, machine, clock)
}

/// Polls every 16 s for so long; how many seconds passed before it was refused for good, if it was.
fn refused_after(
    world: &World,
    clock: &Disciplined<Reference, Machine>,
    seconds: u64,
) -> Option<(u64, OutOfBound)> {
    let mut refused = None;
    for poll in 0..seconds / 16 {
        match (clock.poll(), refused) {
            (Err(PollError::OutOfBound(found)), None) => refused = Some((16 * poll, found)),
            (Err(PollError::OutOfBound(_)), Some(_)) => {
                assert!(matches!(clock.now(), Err(TimeError::OutOfBound(_))));
            }
            (polled, Some(_)) => panic!("refused once, and then {polled:?}"),
            (polled, None) => assert!(
                polled.is_ok() || polled == Err(PollError::Disrupted(Disruption::Contradiction)),
                "{polled:?}"
            ),
        }
        world.advance(16 * SECOND);
    }
    refused
}

#[test]
fn a_wrongly_calibrated_oscillator_is_refused_and_both_are_named() {
    for (ppm, within) in [
        (250, 900),
        (-250, 900),
        (500, 160),
        (1_100, 96),
        (-1_100, 96),
        (30_000, 48),
        (-30_000, 48),
    ] {
        let (world, _, clock) = off_by(ppm, 1);
        let (after, found) = refused_after(&world, &clock, 2_000).expect("it is refused");
        assert!(after <= within, "{ppm} ppm: after {after} s");
        // An oscillator that counts too much makes true time less than it counts.
        let true_ppb = -i64::from(ppm) * 1000;
        let slack = i64::from(ppm).abs();
        assert!(
            found.measured.least_ppb <= true_ppb + slack
                && found.measured.most_ppb >= true_ppb - slack,
            "{found:?} of {ppm} ppm"
        );
        assert_eq!(found.claimed_ppb, 200_041);
        let Err(TimeError::OutOfBound(last)) = clock.now() else {
            panic!("it is refused for good");
        };
        let said = last.to_string();
        assert!(
            said.contains("200041") && said.contains(&last.measured.most_ppb.to_string()),
            "{said}"
        );
    }
}

#[test]
fn an_oscillator_that_keeps_its_bound_is_never_refused() {
    for (seed, ppm) in [(1, 190), (2, -190), (3, 0), (4, 50)] {
        let (world, _, clock) = off_by(ppm, seed);
        assert_eq!(refused_after(&world, &clock, 20_000), None);
        assert!(world.is_in(&clock.now().unwrap()));
        let measured = clock.oscillator().unwrap();
        let true_ppb = -i64::from(ppm) * 1000;
        assert!(
            (measured.least_ppb..=measured.most_ppb).contains(&true_ppb),
            "{measured:?}"
        );
        assert!(
            measured.most_ppb - measured.least_ppb < 100_000,
            "{measured:?}"
        );
    }
    // One that walks at random within its bound, too.
    let world = World::new(5);
    let machine = Machine::new(&world, 190);
    let source = Reference::new(&machine, Duration::from_micros(100));
    let clock = Disciplined::new(source, machine.clone(), Config::default());
    assert_eq!(refused_after(&world, &clock, 20_000), None);
}

/// Once it keeps its bound again, what was measured before does not hold for ever.
#[test]
fn an_oscillator_that_comes_back_is_believed_again() {
    let (world, machine, clock) = off_by(1_100, 7);
    refused_after(&world, &clock, 500).expect("it is refused");
    machine.strike(Fault::Rate(50_000));
    let mut polls = 0;
    while clock.now().is_err() {
        let _ = clock.poll();
        world.advance(16 * SECOND);
        polls += 1;
        assert!(polls < 200, "{:?}", clock.now());
    }
    for _ in 0..100 {
        clock.poll().unwrap();
        world.advance(16 * SECOND);
        assert!(world.is_in(&clock.now().unwrap()));
    }
}

/// A wall clock that the kernel keeps right although the oscillator is off by 1,100 ppm, by what it corrects.
struct Corrected {
    machine: Machine,
    timex: Timex,
}

impl Source for Corrected {
    fn sample(&self) -> Result<Sample, SourceError> {
        let exact = self
            .machine
            .world()
            .now()
            .nanos_since(synod_truetime::Timestamp::UNIX_EPOCH)
            .cast_signed();
        let wall = self.machine.realtime().as_nanos();
        self.machine.strike(Fault::Step(exact - wall));
        let (question, timex) = Question::ask(&self.machine, || self.timex);
        timex.sample(&question, None)
    }
}

/// Right from the first sample on, when no pair tells anything yet: for a poll interval of a minute.
#[test]
fn until_pairs_tell_the_kernels_corrections_count() {
    for (freq, tick_micros) in [(-(1_100 << 16), 10_000), (0, 9_989), (-(100 << 16), 9_990)] {
        let world = World::new(8);
        let machine = Machine::new(&world, 100);
        machine.strike(Fault::Rate(1_100_000));
        let timex = Timex {
            status: Timex::STA_NANO,
            maxerror_micros: 85,
            esterror_micros: 3,
            freq,
            tick_micros,
            ..Timex::default()
        };
        let source = Corrected {
            machine: machine.clone(),
            timex,
        };
        let config = Config {
            step_max: Duration::MAX,
            ..Config::default()
        };
        let clock = Disciplined::new(source, machine, config);
        for _ in 0..30 {
            clock.poll().unwrap();
            for _ in 0..6 {
                world.advance(10 * SECOND);
                assert!(world.is_in(&clock.now().unwrap()));
            }
        }
    }
}

/// A kernel admits 500 ppm at the least. Once samples have shown that the oscillator keeps 200, no more is taken.
#[test]
fn what_the_source_admits_ends_when_pairs_have_told() {
    struct Admits(Reference);

    impl Source for Admits {
        fn sample(&self) -> Result<Sample, SourceError> {
            Ok(Sample {
                drift_ppb: 500_000,
                ..self.0.sample()?
            })
        }
    }

    let world = World::new(9);
    let machine = Machine::new(&world, 50);
    let source = Admits(Reference::new(&machine, Duration::from_millis(1)));
    let clock = Disciplined::new(source, machine, Config::default());
    let growth = || {
        clock.poll().unwrap();
        let before = clock.now().unwrap().epsilon();
        world.advance(16 * SECOND);
        let now = clock.now().unwrap();
        assert!(world.is_in(&now));
        now.epsilon() - before
    };
    assert!(growth() > Duration::from_millis(8) - Duration::from_micros(10));
    for _ in 0..60 {
        growth();
    }
    let narrow = growth();
    assert!(narrow < Duration::from_micros(3_300), "{narrow:?}");
}
