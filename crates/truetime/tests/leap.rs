//! A leap second that is due: no sample reaches over it, by an oscillator as slow as it may be.

#![cfg(target_os = "linux")]

use core::time::Duration;

use synod_truetime::sim::{Fault, Machine, World};
use synod_truetime::source::chrony::{DATAGRAM_BYTES, Tracking, Trust, request};
use synod_truetime::source::{Question, Timex};
use synod_truetime::{Clocks, Sample, SourceError, Timestamp};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

/// So long before the end of the day, with a wall clock that is right and an oscillator that is too slow.
fn before_midnight(left: Duration) -> (World, Machine, Timestamp) {
    let world = World::new(1);
    let machine = Machine::new(&world, 500);
    machine.strike(Fault::Rate(-500_000));
    let midnight = world.now().as_nanos().div_euclid(DAY_NANOS) * DAY_NANOS + DAY_NANOS;
    let midnight = Timestamp::from_nanos(midnight);
    world.advance(midnight - world.now() - left);
    let ahead = machine.realtime().as_nanos() - world.now().as_nanos();
    machine.strike(Fault::Step(-ahead));
    (world, machine, midnight)
}

fn kernel(machine: &Machine, status: i32, state: i32) -> Result<Sample, SourceError> {
    let (question, timex) = Question::ask(machine, || Timex {
        esterror_micros: 1,
        state,
        status: status | Timex::STA_NANO,
        maxerror_micros: 1_000,
        offset: 0,
        ..Timex::default()
    });
    timex.sample(&question, None)
}

/// With servers that are asked once a day, so that nothing else bounds the age.
fn chrony(machine: &Machine, leap: u8) -> Result<Sample, SourceError> {
    let (question, datagram) = Question::ask(machine, || {
        let mut datagram: [u8; DATAGRAM_BYTES] = request(0);
        let wall = machine.realtime().as_nanos() / SECOND.as_nanos() as i64;
        datagram[1] = 2;
        datagram[4..8].copy_from_slice(&[0, 33, 0, 5]);
        datagram[28..32].copy_from_slice(&[192, 0, 2, 1]);
        datagram[53] = 2;
        datagram[55] = leap;
        datagram[56..64].copy_from_slice(&wall.to_be_bytes());
        // 2^17 s.
        datagram[100..104].copy_from_slice(&(19 << 25 | 1_u32 << 23).to_be_bytes());
        datagram
    });
    let tracking = Tracking::decode(&datagram, 0).expect("an answer that can be believed");
    let trust = Trust {
        age_max: Duration::MAX,
        ..Trust::DEFAULT
    };
    tracking.sample(&question, &trust)
}

fn samples(machine: &Machine) -> [Result<Sample, SourceError>; 4] {
    [
        kernel(machine, Timex::STA_INS, 1),
        kernel(machine, Timex::STA_DEL, 2),
        chrony(machine, 1),
        chrony(machine, 2),
    ]
}

#[test]
fn no_sample_reaches_over_a_leap_second() {
    for left in [5 * SECOND, 60 * SECOND, DAY / 2, DAY - 5 * SECOND] {
        for number in 0..4 {
            let (world, machine, midnight) = before_midnight(left);
            let sample = samples(&machine)[number].expect("an answer that can be believed");
            assert!(sample.valid_for < left, "{number} reaches over it");
            assert!(
                sample.valid_for + 2 * SECOND + left / 999 > left,
                "{number}"
            );
            // To the last instant at which it may be used.
            while machine.local().nanos_since(sample.at) < sample.valid_for.as_nanos() as u64 {
                let counted = machine.local().nanos_since(sample.at);
                let rest = sample.valid_for - Duration::from_nanos(counted);
                world.advance(rest.max(Duration::from_nanos(1)));
            }
            // A second that is left out is the last one.
            let leap = midnight.earlier(1_000_000_000);
            assert!(
                world.now() <= leap,
                "{number}, {left:?} before: {}",
                world.now()
            );
        }
    }
}

#[test]
fn in_the_last_second_there_is_no_sample() {
    for left in [SECOND, SECOND / 2, Duration::from_nanos(1)] {
        let (_, machine, _) = before_midnight(left);
        for sample in samples(&machine) {
            assert_eq!(sample, Err(SourceError::Disrupted), "{left:?}");
        }
        // The wall clock is a moment ahead of the leap: the kernel makes it at its next tick.
        let (world, machine, _) = before_midnight(left);
        world.advance(left + Duration::from_millis(5));
        for sample in samples(&machine) {
            assert_eq!(sample, Err(SourceError::Disrupted), "{left:?} and 5 ms");
        }
        // No leap second is due, or it is over: a day like any other.
        assert!(kernel(&machine, 0, Timex::TIME_OK).is_ok());
        let over = kernel(&machine, Timex::STA_INS, Timex::TIME_WAIT)
            .expect("an answer that can be believed");
        assert_eq!(over.valid_for, Duration::MAX);
        assert!(
            chrony(&machine, 0)
                .expect("an answer that can be believed")
                .valid_for
                > SECOND
        );
    }
}

const DAY_NANOS: i64 = 86_400 * 1_000_000_000;
