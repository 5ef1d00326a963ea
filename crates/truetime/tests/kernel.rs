//! The kernel's bound: by vectors, and by the kernel that the test runs on.

#![cfg(target_os = "linux")]

use std::io::{self, Write as _};
use std::time::Duration;

use proptest::prelude::*;
use synod_truetime::source::{Kernel, Question, Timex};
use synod_truetime::{Clocks, Source, SourceError, SystemClocks, Unsynchronized};

/// A clock that chrony keeps, just updated.
const SYNCHRONIZED: Timex = Timex {
    state: Timex::TIME_OK,
    status: Timex::STA_NANO,
    maxerror_micros: 85,
    esterror_micros: 3,
    offset: 0,
    freq: 0,
    tick_micros: 10_000,
};

#[test]
fn the_step_of_a_second_is_always_added() {
    // 85 µs, the microsecond that was cut off, and a second's 500 µs; then 500 ppm of all that.
    assert_eq!(SYNCHRONIZED.bound_nanos(), Ok(586_294));
    let zero = Timex {
        maxerror_micros: 0,
        ..SYNCHRONIZED
    };
    assert_eq!(zero.bound_nanos(), Ok(501_251));
}

#[test]
fn what_is_still_to_be_slewed_counts() {
    let nanos = Timex {
        offset: -1500,
        ..SYNCHRONIZED
    };
    assert_eq!(nanos.bound_nanos(), Ok(586_294 + 1501));
    let micros = Timex {
        offset: 1500,
        status: 0,
        ..SYNCHRONIZED
    };
    assert_eq!(micros.bound_nanos(), Ok(586_294 + 1_501_000));
}

#[test]
fn three_ways_to_say_that_nothing_is_known() {
    // A virtual machine on which nothing keeps the clock, as recorded.
    let bare = Timex {
        state: 5,
        status: 0x40,
        maxerror_micros: 16_000_000,
        esterror_micros: 16_000_000,
        ..SYNCHRONIZED
    };
    let said = Err(SourceError::NotSynchronized(Unsynchronized::Said));
    assert_eq!(bare.bound_nanos(), said);
    for timex in [
        Timex {
            state: 5,
            ..SYNCHRONIZED
        },
        Timex {
            status: Timex::STA_UNSYNC,
            maxerror_micros: 16_000_000,
            ..SYNCHRONIZED
        },
        Timex {
            status: Timex::STA_CLOCKERR,
            ..SYNCHRONIZED
        },
        Timex {
            maxerror_micros: 16_000_000,
            ..SYNCHRONIZED
        },
        Timex {
            maxerror_micros: i64::MAX,
            ..SYNCHRONIZED
        },
        Timex {
            state: -1,
            ..SYNCHRONIZED
        },
        Timex {
            state: 6,
            ..SYNCHRONIZED
        },
    ] {
        assert_eq!(timex.bound_nanos(), said, "{timex:?}");
    }
    let negative = Timex {
        maxerror_micros: -1,
        ..SYNCHRONIZED
    };
    assert_eq!(negative.bound_nanos(), Err(SourceError::Malformed));
    let leaping = Timex {
        state: Timex::TIME_OOP,
        ..SYNCHRONIZED
    };
    assert_eq!(leaping.bound_nanos(), Err(SourceError::Disrupted));
}

/// chrony tells the kernel the error in any case, and clears the flag only with `rtcsync` in its configuration.
#[test]
fn a_kernel_that_was_told_an_error_and_no_more_names_what_is_missing() {
    let without_rtcsync = Timex {
        state: 5,
        status: Timex::STA_UNSYNC | Timex::STA_NANO,
        maxerror_micros: 17_288,
        ..SYNCHRONIZED
    };
    let missing = Unsynchronized::FlagNotCleared;
    assert_eq!(
        without_rtcsync.bound_nanos(),
        Err(SourceError::NotSynchronized(missing))
    );
    assert!(missing.to_string().contains("rtcsync"));
}

/// systemd-timesyncd tells an error of zero and an estimate of zero at each update, and the kernel adds to the first.
#[test]
fn an_error_of_zero_is_no_measure() {
    let clocks = SystemClocks::new();
    let (question, ()) = Question::ask(&clocks, || ());
    for seconds in [0, 1, 31, 2048] {
        let claimed = Timex {
            maxerror_micros: 500 * seconds,
            esterror_micros: 0,
            ..SYNCHRONIZED
        };
        let unmeasured = Err(SourceError::NotSynchronized(Unsynchronized::Unmeasured));
        assert_eq!(claimed.sample(&question, None), unmeasured);
        let bound = Duration::from_millis(100);
        let sample = claimed.sample(&question, Some(bound)).unwrap();
        assert!(sample.interval.epsilon() >= bound);
    }
    for measured in [
        Timex {
            maxerror_micros: 501,
            esterror_micros: 0,
            ..SYNCHRONIZED
        },
        Timex {
            maxerror_micros: 500,
            esterror_micros: 1,
            ..SYNCHRONIZED
        },
    ] {
        assert!(measured.sample(&question, None).is_ok(), "{measured:?}");
    }
}

/// What the kernel corrects is what the raw oscillator is off by: a TSC that was calibrated wrongly.
#[test]
fn the_corrections_of_the_kernel_are_in_the_drift() {
    let drift = |freq: i64, tick_micros: i64| {
        Timex {
            freq,
            tick_micros,
            ..SYNCHRONIZED
        }
        .drift_ppb()
    };
    assert_eq!(drift(0, 10_000), 500_000);
    assert_eq!(drift(250 << 16, 10_000), 750_000);
    assert_eq!(drift(-(250 << 16) - 1, 10_000), 750_001);
    // chrony makes 1,100 ppm of eleven microseconds a tick.
    assert_eq!(drift(0, 10_011), 1_600_000);
    assert_eq!(drift(7 << 16, 9_989), 1_607_000);
    assert_eq!(drift(0, 0), 500_000);
    assert_eq!(drift(i64::MIN, i64::MAX), u32::MAX);
}

proptest! {
    #[test]
    fn any_fields_have_a_bound_or_an_error(
        state: i32, status: i32, maxerror_micros: i64, offset: i64, freq: i64, tick_micros: i64,
    ) {
        let esterror_micros = 1;
        let timex = Timex { state, status, maxerror_micros, esterror_micros, offset, freq, tick_micros };
        let _ = timex.bound_nanos();
        prop_assert!(timex.drift_ppb() >= 500_000);
        let timex = Timex { state: state.rem_euclid(6), status: status & 0x2000, ..timex };
        if let Ok(bound_nanos) = timex.bound_nanos() {
            prop_assert!(bound_nanos >= maxerror_micros.unsigned_abs() * 1000 + 500_000);
            prop_assert!(bound_nanos >= offset.unsigned_abs());
        }
    }
}

/// For real: what this machine's kernel says decides which half of the test runs, and it says which.
#[test]
fn the_kernel_of_this_machine() {
    let clocks = SystemClocks::new();
    let kernel = Kernel::new(clocks);
    let (question, timex) = Question::ask(&clocks, || kernel.timex());
    let timex = match timex {
        Ok(timex) => timex,
        Err(error @ (SourceError::Denied | SourceError::Unavailable)) => {
            // Past the harness, which shows the output of a test only if it fails.
            let _ = writeln!(
                io::stderr(),
                "SKIPPED most of the_kernel_of_this_machine: adjtimex is forbidden here: {error}"
            );
            assert_eq!(kernel.sample(), Err(error));
            return;
        }
        Err(error) => panic!("{error}"),
    };
    if timex.state == 5 || timex.status & Timex::STA_UNSYNC != 0 {
        println!("not synchronised here: {timex:?}");
        let sample = timex.sample(&question, None);
        assert!(
            matches!(sample, Err(SourceError::NotSynchronized(_))),
            "{sample:?}"
        );
        return;
    }
    // Whoever keeps the clock may measure nothing: then the bound is this one's word.
    let sample = timex.sample(&question, Some(Duration::from_secs(1)));
    println!("synchronised here: {timex:?}, {sample:?}");
    let sample = match sample {
        // On the evening before a leap second, say.
        Err(error) => {
            assert_eq!(error, SourceError::Disrupted);
            return;
        }
        Ok(sample) => sample,
    };
    // By the clock's reading in the question, so that nobody can have set it meanwhile.
    assert!(sample.interval.contains(question.wall()));
    assert!(sample.interval.epsilon() > Duration::from_micros(500));
    assert!(clocks.local() >= sample.at);
}
