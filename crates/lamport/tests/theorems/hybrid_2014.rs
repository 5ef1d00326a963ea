//! What the paper of 2014 proves about hybrid logical clocks, on random executions against causal
//! histories. `l` is the physical part, `c` the counter, `pt` the physical clock, ε what clocks
//! differ by.

use std::cell::Cell;
use std::time::Duration;

use crate::execution::{Execution, MILLISECOND, Physical, START, executions};
use proptest::prelude::*;
use synod_lamport::hlc::{HybridClock, Layout, Millis42, Millis48, Nanos64, Timestamp};

/// Runs clocks with this guard along the execution; none of their operations may fail.
fn stamps<L: Layout>(execution: &Execution, lead_max: Duration) -> Vec<Timestamp<L>> {
    let physical = Cell::new(0);
    let clocks: Vec<_> = (0..execution.processes)
        .map(|_| HybridClock::<_, L>::with_layout(|| physical.get()).with_lead_max(lead_max))
        .collect();
    execution.stamp(|event, carried| {
        physical.set(event.physical);
        match carried {
            None => clocks[event.process].now().unwrap(),
            Some(stamp) => clocks[event.process].receive(stamp).unwrap(),
        }
    })
}

/// Clocks that are never further from the true time than 2 ms, so from one another than 4 ms.
fn synchronised() -> impl Strategy<Value = Execution> {
    executions(Physical::Within(2 * MILLISECOND))
}

/// Microseconds and hardly any counter.
enum Micros62 {}

impl Layout for Micros62 {
    const LOGICAL_BITS: u32 = 2;
    const TICK_NANOS: u64 = 1_000;
    const EPOCH_UNIX_SECONDS: u64 = 0;
}

const APART_MAX: Duration = Duration::from_millis(4);

/// The physical reading of an event in ticks.
fn pt<L: Layout>(execution: &Execution, event: usize) -> u64 {
    (execution.events[event].physical - L::EPOCH_UNIX_SECONDS * 1_000_000_000) / L::TICK_NANOS
}

fn theorem_1<L: Layout>(execution: &Execution, lead_max: Duration) -> Result<(), TestCaseError> {
    let stamps = stamps::<L>(execution, lead_max);
    for (cause, effect) in execution.causes() {
        prop_assert!(stamps[cause] < stamps[effect], "{cause} → {effect}");
        prop_assert!(stamps[cause].to_be_bytes() < stamps[effect].to_be_bytes());
    }
    Ok(())
}

fn theorems_2_to_4<L: Layout>(execution: &Execution) -> Result<(), TestCaseError> {
    let stamps = stamps::<L>(execution, APART_MAX);
    let same_l = execution.chains(|cause, effect| stamps[cause].ticks() == stamps[effect].ticks());
    for (event, stamp) in stamps.iter().enumerate() {
        let own = pt::<L>(execution, event);
        let past = &execution.events[event].past;
        prop_assert!(stamp.ticks() >= own, "theorem 2: l ≥ pt");
        let known = past.iter().map(|cause| pt::<L>(execution, *cause));
        let greatest = known.max().unwrap_or(0).max(own);
        prop_assert_eq!(
            stamp.ticks(),
            greatest,
            "theorem 3: l is the greatest pt known"
        );
        let apart_max = APART_MAX.as_nanos() as u64 / L::TICK_NANOS;
        // The readings are rounded down to ticks.
        prop_assert!(
            stamp.ticks() - own <= apart_max + 1,
            "corollary 1: |l - pt| ≤ ε"
        );
        prop_assert_eq!(
            stamp.logical(),
            same_l[event],
            "theorem 4: c is a chain that shares l"
        );
        let sharing = past
            .iter()
            .filter(|cause| stamps[**cause].ticks() == stamp.ticks());
        prop_assert!(stamp.logical() <= sharing.count() as u64, "corollary 2");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// e → f implies (l.e, c.e) < (l.f, c.f).
    #[test]
    fn theorem_1_happened_before_has_the_smaller_timestamp(execution in synchronised()) {
        theorem_1::<Millis48>(&execution, APART_MAX)?;
        theorem_1::<Millis42>(&execution, APART_MAX)?;
        // Here a timestamp may also run ahead by the events that crowd on a nanosecond.
        theorem_1::<Nanos64>(&execution, APART_MAX + Duration::from_nanos(100))?;
    }

    /// l ≥ pt; l is the greatest pt in the causal past; |l - pt| ≤ ε; c is the length of a chain of
    /// events that share l, so no more than there are such events.
    #[test]
    fn theorems_2_3_4_and_corollaries_1_2(execution in synchronised()) {
        theorems_2_to_4::<Millis48>(&execution)?;
        theorems_2_to_4::<Millis42>(&execution)?;
    }

    /// c ≤ N (ε + 1), where the events of a node are at least a tick apart, and ε is as large as
    /// the execution makes it.
    #[test]
    fn corollary_3_the_counter_is_bounded_by_nodes_and_uncertainty(
        execution in executions(Physical::Rising(2 * MILLISECOND))
    ) {
        let stamps = stamps::<Millis48>(&execution, Duration::MAX);
        let apart = execution.causes().map(|(cause, effect)| {
            pt::<Millis48>(&execution, cause).saturating_sub(pt::<Millis48>(&execution, effect))
        });
        let apart_max = apart.max().unwrap_or(0);
        for stamp in stamps {
            prop_assert!(stamp.logical() <= execution.processes as u64 * (apart_max + 1));
        }
    }

    /// Without a counter the first two theorems hold as they are, and l runs ahead of the clocks by
    /// no more than the events there were.
    #[test]
    fn nanos64_keeps_order_and_closeness(execution in synchronised()) {
        let events = execution.events.len() as u64;
        let stamps = stamps::<Nanos64>(&execution, APART_MAX + Duration::from_nanos(events));
        for (event, stamp) in stamps.iter().enumerate() {
            let own = execution.events[event].physical;
            prop_assert!(stamp.ticks() >= own);
            prop_assert!(stamp.ticks() - own <= APART_MAX.as_nanos() as u64 + events);
        }
    }

    /// With a counter of two bits that is carried all the time: the first theorem and `l ≥ pt` hold as
    /// they are, and `l` is ahead by what clocks differ by and a tick for each four events.
    #[test]
    fn a_carried_counter_keeps_order_and_its_new_bound(execution in synchronised()) {
        let events = execution.events.len() as u64;
        let carried_max = Duration::from_micros(events / 4 + 1);
        theorem_1::<Micros62>(&execution, APART_MAX + carried_max)?;
        let stamps = stamps::<Micros62>(&execution, APART_MAX + carried_max);
        for (event, stamp) in stamps.iter().enumerate() {
            let own = pt::<Micros62>(&execution, event);
            prop_assert!(stamp.ticks() >= own);
            let apart_max = APART_MAX.as_micros() as u64;
            prop_assert!(stamp.ticks() - own <= apart_max + events / 4 + 1);
        }
    }

    /// However the physical clocks jump, back or forth, order is kept.
    #[test]
    fn theorem_1_under_steps_of_the_physical_clock(
        execution in executions(Physical::Wild(4_000_000_000_000_000_000))
    ) {
        theorem_1::<Millis48>(&execution, Duration::MAX)?;
        theorem_1::<Millis42>(&execution, Duration::MAX)?;
        theorem_1::<Nanos64>(&execution, Duration::MAX)?;
    }

    /// The guard: refused if and only if it is further ahead of the physical clock than allowed,
    /// and then nothing has changed.
    #[test]
    fn a_far_future_is_refused_and_changes_nothing(ahead in 0..2_000_u64, lead_max in 0..2_000_u64) {
        let clock = HybridClock::new(|| START)
            .with_lead_max(Duration::from_millis(lead_max));
        let first = clock.now().unwrap();
        let remote = Timestamp::from_parts(START / MILLISECOND + ahead, 5).unwrap();
        let received = clock.receive(remote);
        if ahead > lead_max {
            prop_assert!(received.is_err());
            prop_assert_eq!(clock.latest(), first);
            prop_assert_eq!(clock.now().unwrap().as_u64(), first.as_u64() + 1);
        } else {
            prop_assert_eq!(received.unwrap().as_u64(), remote.as_u64() + 1);
        }
    }
}

/// The guard is against the physical clock, not against what was taken before: a liar gets no
/// further by small steps.
#[test]
fn a_liar_does_not_creep_ahead_step_by_step() {
    let clock = HybridClock::new(|| START);
    let tick = |ahead| Timestamp::from_parts(START / MILLISECOND + ahead, 0).unwrap();
    let refused = (1..=2_000).filter(|ahead| clock.receive(tick(*ahead)).is_err());
    assert_eq!(refused.count(), 1_500);
    assert_eq!(clock.lead(), Some(Duration::from_millis(500)));
}

/// A run by hand: a clock whose wall clock stands, goes on, and steps back, with messages from one
/// that is ahead.
#[test]
fn a_run_by_hand() {
    #[derive(Clone, Copy)]
    enum Step {
        Now,
        Receive(u64, u64),
    }
    use Step::{Now, Receive};
    let physical = Cell::new(0);
    let clock = HybridClock::new(|| physical.get()).with_lead_max(Duration::from_secs(1));
    let run = [
        (100, Now, (100, 0)),
        (100, Now, (100, 1)),
        (101, Now, (101, 0)),
        (101, Receive(90, 77), (101, 1)),
        (102, Receive(90, 77), (102, 0)),
        (102, Receive(102, 5), (102, 6)),
        (102, Receive(102, 5), (102, 7)),
        (103, Receive(110, 3), (110, 4)),
        (104, Now, (110, 5)),
        (90, Now, (110, 6)),
        (90, Receive(109, 900), (110, 7)),
        (110, Now, (110, 8)),
        (110, Receive(110, 65_000), (110, 65_001)),
        (111, Now, (111, 0)),
    ];
    for (line, (wall, step, expected)) in run.into_iter().enumerate() {
        physical.set(wall * MILLISECOND);
        let stamp = match step {
            Now => clock.now().unwrap(),
            Receive(ticks, logical) => {
                let message = Timestamp::from_parts(ticks, logical).unwrap();
                clock.receive(message).unwrap()
            }
        };
        assert_eq!((stamp.ticks(), stamp.logical()), expected, "line {line}");
    }
}
