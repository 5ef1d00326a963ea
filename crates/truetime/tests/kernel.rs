//! The kernel's bound: by vectors, and by the kernel that the test runs on.

#![cfg(target_os = "linux")]

use std::time::Duration;

use proptest::prelude::*;
use synod_truetime::source::{Kernel, Question, Timex};
use synod_truetime::{Clocks, Source, SourceError, SystemClocks};

/// A clock that chrony keeps, just updated.
const SYNCHRONIZED: Timex = Timex {
    state: Timex::TIME_OK,
    status: Timex::STA_NANO,
    maxerror_micros: 85,
    offset: 0,
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
        offset: 0,
    };
    assert_eq!(bare.bound_nanos(), Err(SourceError::NotSynchronized));
    for timex in [
        Timex {
            state: 5,
            ..SYNCHRONIZED
        },
        Timex {
            status: Timex::STA_UNSYNC,
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
        assert_eq!(
            timex.bound_nanos(),
            Err(SourceError::NotSynchronized),
            "{timex:?}"
        );
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

proptest! {
    #[test]
    fn any_fields_have_a_bound_or_an_error(state: i32, status: i32, maxerror_micros: i64, offset: i64) {
        let timex = Timex { state, status, maxerror_micros, offset };
        let _ = timex.bound_nanos();
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
            println!("skipped: adjtimex is forbidden here: {error}");
            assert_eq!(kernel.sample(), Err(error));
            return;
        }
        Err(error) => panic!("{error}"),
    };
    if timex.state == 5 || timex.status & Timex::STA_UNSYNC != 0 {
        println!("not synchronised here: {timex:?}");
        assert_eq!(timex.sample(&question), Err(SourceError::NotSynchronized));
        return;
    }
    let sample = timex.sample(&question);
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
