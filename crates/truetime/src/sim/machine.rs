use core::time::Duration;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::World;
use super::rng::Rng;
use crate::timestamp::nanos;
use crate::{Clocks, Local, Timestamp};

/// The clocks of one node. Clones are handles to the same node.
///
/// The oscillator's frequency is a random walk within its bound: every 100 ms of true time it changes
/// by up to a quarter of the bound.
#[derive(Clone, Debug)]
pub struct Machine {
    world: World,
    state: Arc<Mutex<State>>,
}

/// A fault of a machine's clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The wall clock is stepped by so many nanoseconds.
    Step(i64),
    /// The oscillator stops for so long, while the other clocks continue.
    Freeze(Duration),
    /// The frequency error is fixed at so many ppb from now on, regardless of the bound; 0 resumes the
    /// random walk.
    Rate(i32),
    /// All clocks but the oscillator are slewed by so many ppb from now on; 0 ends it.
    Slew(i32),
    /// The machine is suspended for so long: true time passes, and only `boottime` and `realtime`
    /// advance.
    Suspend(Duration),
    /// The virtual machine is paused for so long: true time passes, and no clock advances. Only a hypervisor that
    /// reports pauses reveals it ([`Machine::with_hypervisor`]).
    Pause(Duration),
}

#[derive(Debug)]
struct State {
    rng: Rng,
    drift_ppb: i64,
    rate_ppb: i64,
    forced_ppb: Option<i64>,
    slew_ppb: i64,
    /// True time up to which the clocks have counted.
    counted_picos: u64,
    walk_at_picos: u64,
    frozen_until_picos: u64,
    /// In units of 1e-21 s, which avoids rounding.
    local_zeptos: i128,
    monotonic_zeptos: i128,
    asleep_nanos: u64,
    wall_nanos: i64,
    granularity: u32,
    may_sleep: bool,
    /// The number of pauses, if the hypervisor reports them.
    marker: Option<u64>,
}

impl Machine {
    /// A node in a world, with an oscillator whose drift is bounded by so many parts per million. Its
    /// clocks start at random values, its wall clock within a second of true time.
    #[must_use]
    pub fn new(world: &World, drift_ppm: u32) -> Self {
        let mut rng = world.rng();
        let drift_ppb = i64::from(drift_ppm) * 1000;
        let mut begin = |nanos: i64| i128::from(rng.between(0, nanos * 1000)) * ZEPTOS_PER_PICO;
        let (local_zeptos, monotonic_zeptos) = (begin(DAY_NANOS), begin(DAY_NANOS));
        let uptime = (monotonic_zeptos / ZEPTOS_PER_NANO) as i64;
        let wall = world.now().as_nanos() - uptime + rng.between(-SECOND_NANOS, SECOND_NANOS);
        Self {
            world: world.clone(),
            state: Arc::new(Mutex::new(State {
                drift_ppb,
                rate_ppb: rng.between(-drift_ppb, drift_ppb),
                forced_ppb: None,
                slew_ppb: 0,
                counted_picos: world.elapsed_picos(),
                walk_at_picos: world.elapsed_picos(),
                frozen_until_picos: 0,
                local_zeptos,
                monotonic_zeptos,
                asleep_nanos: 0,
                wall_nanos: wall,
                granularity: 1,
                may_sleep: true,
                marker: None,
                rng,
            })),
        }
    }

    /// With an oscillator that is read in steps of so many nanoseconds, as `CLOCK_MONOTONIC_COARSE`.
    #[must_use]
    pub fn with_granularity(self, nanos: u32) -> Self {
        self.counted().granularity = nanos.max(1);
        self
    }

    /// A machine that declares that it is never suspended, so readers skip the check.
    #[must_use]
    pub fn sleepless(self) -> Self {
        self.counted().may_sleep = false;
        self
    }

    /// On a hypervisor that reports pauses, as by VMClock.
    #[must_use]
    pub fn with_hypervisor(self) -> Self {
        self.counted().marker = Some(0);
        self
    }

    /// The world it is in.
    #[must_use]
    pub fn world(&self) -> &World {
        &self.world
    }

    /// Injects a fault now.
    pub fn strike(&self, fault: Fault) {
        let mut state = self.counted();
        match fault {
            Fault::Step(nanos) => state.wall_nanos = state.wall_nanos.saturating_add(nanos),
            Fault::Freeze(duration) => {
                let until = state.counted_picos + nanos(duration) * 1000;
                state.frozen_until_picos = until;
            }
            Fault::Rate(0) => state.forced_ppb = None,
            Fault::Rate(ppb) => state.forced_ppb = Some(i64::from(ppb)),
            Fault::Slew(ppb) => state.slew_ppb = i64::from(ppb),
            Fault::Suspend(duration) => {
                self.world.advance(duration);
                state.counted_picos = self.world.elapsed_picos();
                state.asleep_nanos += nanos(duration);
            }
            Fault::Pause(duration) => {
                self.world.advance(duration);
                state.marker = state.marker.map(|marker| marker + 1);
                state.counted_picos = self.world.elapsed_picos();
            }
        }
    }

    /// The state, advanced to the present.
    fn counted(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.count(self.world.elapsed_picos());
        state
    }
}

impl State {
    fn count(&mut self, now_picos: u64) {
        while self.counted_picos < now_picos {
            if self.walk_at_picos <= self.counted_picos {
                let step = self.drift_ppb / 4;
                let moved = self.rate_ppb + self.rng.between(-step, step);
                self.rate_ppb = moved.clamp(-self.drift_ppb, self.drift_ppb);
                self.walk_at_picos = self.counted_picos + WALK_PICOS;
            }
            let frozen = self.counted_picos < self.frozen_until_picos;
            let mut until = now_picos.min(self.walk_at_picos);
            if frozen {
                until = until.min(self.frozen_until_picos);
            }
            let span = i128::from(until - self.counted_picos);
            let rate = self.forced_ppb.unwrap_or(self.rate_ppb);
            let counted = span * i128::from(GIGA + rate);
            if !frozen {
                self.local_zeptos += counted;
            }
            self.monotonic_zeptos += counted + span * i128::from(self.slew_ppb);
            self.counted_picos = until;
        }
    }

    fn monotonic(&self) -> u64 {
        (self.monotonic_zeptos / ZEPTOS_PER_NANO) as u64
    }
}

impl Clocks for Machine {
    fn local(&self) -> Local {
        let state = self.counted();
        let nanos = (state.local_zeptos / ZEPTOS_PER_NANO) as u64;
        Local::from_nanos(nanos - nanos % u64::from(state.granularity))
    }

    fn monotonic(&self) -> u64 {
        self.counted().monotonic()
    }

    fn boottime(&self) -> u64 {
        let state = self.counted();
        state.monotonic() + state.asleep_nanos
    }

    fn realtime(&self) -> Timestamp {
        let state = self.counted();
        let since_boot = state.monotonic() + state.asleep_nanos;
        Timestamp::from_nanos(state.wall_nanos).later(since_boot)
    }

    fn granularity(&self) -> u32 {
        self.counted().granularity
    }

    fn disruption_marker(&self) -> u64 {
        self.counted().marker.unwrap_or(0)
    }

    fn may_sleep(&self) -> bool {
        self.counted().may_sleep
    }
}

const GIGA: i64 = 1_000_000_000;

const SECOND_NANOS: i64 = 1_000_000_000;

const DAY_NANOS: i64 = 86_400 * SECOND_NANOS;

const WALK_PICOS: u64 = 100_000_000_000;

const ZEPTOS_PER_NANO: i128 = 1_000_000_000_000;

const ZEPTOS_PER_PICO: i128 = 1_000_000_000;
