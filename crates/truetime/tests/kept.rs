//! Samples that were taken long before they are asked for, and what happened to the clocks in between.

#![cfg(target_has_atomic = "64")]

use core::time::Duration;

use synod_truetime::sim::{Fault, Machine, World};
use synod_truetime::source::PeerSource;
use synod_truetime::source::peer::{PeerError, Reply};
use synod_truetime::{
    Clocks, Combined, Config, Disciplined, Drift, Interval, PollError, Polled, Reading, Sample,
    Source, SourceError, TimeError, TrueTime,
};

const SECOND: Duration = Duration::from_secs(1);
const MILLI: Duration = Duration::from_millis(1);

/// A peer that knows the time to the millisecond answers after one of them.
fn reply(world: &World, peer: &PeerSource<Machine>, nonce: u64) -> Reply {
    let request = peer.ask(nonce);
    world.advance(MILLI / 2);
    let now = Reading::synchronized(Interval::around(world.now(), MILLI));
    world.advance(MILLI / 2);
    request.reply(&now, &now)
}

fn exchange(world: &World, peer: &PeerSource<Machine>, nonce: u64) {
    let reply = reply(world, peer, nonce);
    peer.handle_reply(&reply)
        .expect("nothing happened to the clocks");
}

fn peers(world: &World, machine: &Machine) -> Vec<PeerSource<Machine>> {
    let peer = || PeerSource::new(machine.clone(), Drift::DEFAULT, 1000 * SECOND);
    let peers = vec![peer(), peer(), peer()];
    for peer in &peers {
        exchange(world, peer, 1);
    }
    peers
}

/// What the oscillator has not counted is in none of the kept samples, so the peers would all agree on what
/// is wrong by it.
#[test]
fn peers_forget_what_they_were_told_before_the_oscillator_stood_still() {
    for fault in [Fault::Suspend(60 * SECOND), Fault::Freeze(SECOND / 2)] {
        for known in [true, false] {
            let world = World::new(1);
            let machine = Machine::new(&world, 100);
            let combined = Combined::new(peers(&world, &machine), machine.clone(), 1);
            let clock = Disciplined::new(combined, machine.clone(), Config::default());
            if known {
                clock.poll().unwrap();
                assert!(world.is_in(&clock.now().unwrap()));
            }
            machine.strike(fault);
            world.advance(SECOND);
            for _ in 0..4 {
                assert!(
                    clock.poll().is_err(),
                    "{fault:?}: nobody has told anything since"
                );
                assert!(clock.now().is_err(), "{fault:?}");
            }
            for peer in clock.source().sources() {
                exchange(&world, peer, 2);
            }
            while clock.poll().unwrap() != Polled::Adopted {
                world.advance(MILLI);
            }
            assert!(world.is_in(&clock.now().unwrap()), "{fault:?}");
        }
    }
}

#[test]
fn an_exchange_that_the_machine_slept_in_tells_nothing() {
    let world = World::new(2);
    let machine = Machine::new(&world, 100);
    let peer = PeerSource::new(machine.clone(), Drift::DEFAULT, 1000 * SECOND);
    let reply = reply(&world, &peer, 1);
    machine.strike(Fault::Suspend(SECOND));
    let told = peer.handle_reply(&reply);
    assert!(matches!(told, Err(PeerError::Disrupted(_))), "{told:?}");
    assert_eq!(peer.sample(), Err(SourceError::TimedOut));
}

/// Sleep too short to be noticed, before the sample is asked for and after.
#[test]
fn sleep_that_is_not_seen_is_covered_in_a_kept_sample() {
    let world = World::new(3);
    let machine = Machine::new(&world, 0);
    let peer = PeerSource::new(machine.clone(), Drift::from_ppb(0), 1000 * SECOND);
    let request = peer.ask(1);
    let now = Reading::synchronized(Interval::spanning(world.now(), world.now().later(1)));
    peer.handle_reply(&request.reply(&now, &now)).unwrap();
    let config = Config {
        drift: Drift::from_ppb(0),
        ..Config::default()
    };
    let clock = Disciplined::new(peer, machine.clone(), config);
    machine.strike(Fault::Suspend(Duration::from_micros(9)));
    assert_eq!(clock.poll(), Ok(Polled::Adopted));
    machine.strike(Fault::Suspend(Duration::from_micros(9)));
    assert!(world.is_in(&clock.now().unwrap()));
    assert!(clock.poll().is_err(), "18 us are seen");
}

/// A source that answers with what it once read, and looks at no clock meanwhile.
struct Kept(std::sync::Mutex<Sample>);

fn exact(world: &World, machine: &Machine) -> Sample {
    let at = machine.local();
    Sample::between(at, at, Interval::around(world.now(), MILLI), 0)
}

impl Source for Kept {
    fn sample(&self) -> Result<Sample, SourceError> {
        Ok(*self.0.lock().expect("no panic"))
    }
}

/// Nobody has looked at the clocks since such a sample was taken.
#[test]
fn a_first_sample_from_before_the_clock_is_not_believed() {
    let world = World::new(4);
    let machine = Machine::new(&world, 100);
    let kept = Kept(exact(&world, &machine).into());
    world.advance(MILLI);
    machine.strike(Fault::Suspend(SECOND));
    let clock = Disciplined::new(kept, machine.clone(), Config::default());
    assert_eq!(clock.poll(), Ok(Polled::Older));
    assert_eq!(clock.now(), Err(TimeError::NotSynchronized));
    // Nor one that was taken since, when the machine has slept in between.
    *clock.source().0.lock().unwrap() = exact(&world, &machine);
    world.advance(MILLI);
    machine.strike(Fault::Suspend(SECOND));
    assert_eq!(clock.poll(), Ok(Polled::Older));
    assert_eq!(clock.now(), Err(TimeError::NotSynchronized));
    world.advance(SECOND);
    *clock.source().0.lock().unwrap() = exact(&world, &machine);
    assert_eq!(clock.poll(), Ok(Polled::Adopted));
    assert!(world.is_in(&clock.now().unwrap()));
    assert!(!matches!(clock.poll(), Err(PollError::Source(_))));
}

/// A sample that contradicts the last one does not settle itself, however often it is told.
#[test]
fn one_sample_told_twice_is_not_two_that_agree() {
    for settling_samples in [1, 2] {
        let world = World::new(5);
        let machine = Machine::new(&world, 100);
        let config = Config {
            settling_samples,
            ..Config::default()
        };
        let clock = Disciplined::new(
            Kept(exact(&world, &machine).into()),
            machine.clone(),
            config,
        );
        world.advance(MILLI);
        *clock.source().0.lock().unwrap() = exact(&world, &machine);
        assert_eq!(clock.poll(), Ok(Polled::Adopted));
        world.advance(SECOND);
        let right = exact(&world, &machine);
        let wrong = Interval::around(world.now().later(50_000_000), MILLI);
        *clock.source().0.lock().unwrap() = Sample {
            interval: wrong,
            ..right
        };
        assert!(matches!(clock.poll(), Err(PollError::Disrupted(_))));
        for _ in 0..3 {
            assert!(clock.now().is_err(), "of {settling_samples}");
            assert_eq!(clock.poll(), Ok(Polled::Older));
            world.advance(MILLI);
        }
        assert!(clock.now().is_err(), "of {settling_samples}");
    }
}
