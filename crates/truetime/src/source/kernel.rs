//! The Linux kernel's own bound: `adjtimex`, read and never written.

use core::time::Duration;

use crate::source::{Question, Sample, Source, SourceError, Unsynchronized};
use crate::timestamp::nanos;
use crate::{Clocks, Drift};

mod sys;

/// A source that reads the kernel's error bound of the wall clock, by `adjtimex`.
///
/// A daemon (chrony, ntpd, ptp4l) sets the maximum error of the wall clock at each update. The
/// kernel increases it by 500 ppm from then on, and reports the clock as not synchronised when it
/// reaches 16 seconds; the death of a daemon is thus detected late, but the bound stays correct.
///
/// ```text
///  maxerror                      ╱┃            The kernel adds 500 µs at the end of each second,
///     │            ┏━━━━━       ╱ ┃            so the truth is up to one step above what it shows;
///     │      ┏━━━━━┛           ╱  ┃            that step is always added here.
///     │┏━━━━━┛                    ┗━━━━
///     └──────────────────────────────────▶
///       1 s   2 s   3 s        update
/// ```
///
/// chrony clears the kernel's unsynchronised flag only if its configuration has the line `rtcsync`
/// ([`Unsynchronized::FlagNotCleared`]).
///
/// It is as good as the daemon. Some simple daemons (systemd-timesyncd, busybox) claim an error of 0 at each update,
/// however far the server is. Such a claim is rejected ([`Unsynchronized::Unmeasured`]) unless the caller states a
/// bound instead: [`with_unmeasured`](Self::with_unmeasured). The kernel also does not know the daemon's reference:
/// where a server may follow only its own clock, use [`Chrony`](crate::source::Chrony), which checks the stratum.
#[derive(Clone, Copy, Debug)]
pub struct Kernel<C> {
    clocks: C,
    unmeasured: Option<Duration>,
}

impl<C: Clocks> Kernel<C> {
    /// A source that queries this machine's kernel.
    pub const fn new(clocks: C) -> Self {
        Self {
            clocks,
            unmeasured: None,
        }
    }

    /// Accepts a daemon that claims an error of zero, and assumes this error at its updates instead.
    #[must_use]
    pub const fn with_unmeasured(mut self, bound: Duration) -> Self {
        self.unmeasured = Some(bound);
        self
    }

    /// Queries the kernel.
    ///
    /// # Errors
    /// [`SourceError::Denied`] or [`SourceError::Unavailable`]: a sandbox forbids the system call.
    pub fn timex(&self) -> Result<Timex, SourceError> {
        sys::adjtimex()
    }
}

impl<C: Clocks> Source for Kernel<C> {
    fn sample(&self) -> Result<Sample, SourceError> {
        let (question, timex) = Question::ask(&self.clocks, sys::adjtimex);
        timex?.sample(&question, self.unmeasured)
    }
}

/// The fields of the kernel's `struct timex` that a bound is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timex {
    /// The return value: 0 is `TIME_OK`, 5 is `TIME_ERROR`, values between are leap second states.
    pub state: i32,
    /// The `STA_` bits.
    pub status: i32,
    /// The greatest error, in microseconds.
    pub maxerror_micros: i64,
    /// The estimated error, in microseconds.
    pub esterror_micros: i64,
    /// The offset still to be slewed by the kernel's own loop, in microseconds, or nanoseconds if
    /// `status` has [`STA_NANO`](Self::STA_NANO).
    pub offset: i64,
    /// By how much the clock is made to run faster than the oscillator, in parts per million times 65,536.
    pub freq: i64,
    /// What the clock counts at each tick of the kernel, in microseconds; 10,000 if it is not adjusted. 0 if it is not
    /// known, which counts as not adjusted.
    pub tick_micros: i64,
}

impl Timex {
    /// A leap second is to be inserted at the end of the UTC day.
    pub const STA_INS: i32 = 0x0010;
    /// A leap second is to be left out at the end of the UTC day.
    pub const STA_DEL: i32 = 0x0020;
    /// The clock is not synchronised.
    pub const STA_UNSYNC: i32 = 0x0040;
    /// The clock's hardware has failed.
    pub const STA_CLOCKERR: i32 = 0x1000;
    /// `offset` is in nanoseconds.
    pub const STA_NANO: i32 = 0x2000;

    /// No leap second is near.
    pub const TIME_OK: i32 = 0;
    /// A leap second is being inserted: the last second of the day runs a second time.
    pub const TIME_OOP: i32 = 3;
    /// A leap second is over, and the daemon has not cleared its flag yet.
    pub const TIME_WAIT: i32 = 4;

    /// By how much the wall clock may be wrong, in nanoseconds.
    ///
    /// # Errors
    /// - [`SourceError::NotSynchronized`] if the kernel reports so in any of three ways.
    /// - [`SourceError::Disrupted`] during a leap second: the wall clock repeats that second.
    /// - [`SourceError::Malformed`] for a negative error.
    pub fn bound_nanos(&self) -> Result<u64, SourceError> {
        let told_an_error =
            (0..UNSYNCHRONIZED_MICROS.cast_signed()).contains(&self.maxerror_micros);
        if self.has(Self::STA_UNSYNC) && told_an_error {
            return Err(SourceError::NotSynchronized(Unsynchronized::FlagNotCleared));
        }
        if !(Self::TIME_OK..=Self::TIME_WAIT).contains(&self.state) {
            return Err(SourceError::NotSynchronized(Unsynchronized::Said));
        }
        if self.has(Self::STA_UNSYNC) || self.has(Self::STA_CLOCKERR) {
            return Err(SourceError::NotSynchronized(Unsynchronized::Said));
        }
        if self.state == Self::TIME_OOP {
            return Err(SourceError::Disrupted);
        }
        let maxerror_micros =
            u64::try_from(self.maxerror_micros).map_err(|_| SourceError::Malformed)?;
        if maxerror_micros >= UNSYNCHRONIZED_MICROS {
            return Err(SourceError::NotSynchronized(Unsynchronized::Said));
        }
        let unit = if self.has(Self::STA_NANO) {
            1
        } else {
            NANOS_PER_MICRO
        };
        // The daemon and the kernel may have cut off most of a microsecond, of the error and of the
        // offset.
        let offset_nanos = match self.offset.unsigned_abs() {
            0 => 0,
            offset => offset.saturating_add(1).saturating_mul(unit),
        };
        let error_nanos = (maxerror_micros + 1) * NANOS_PER_MICRO + GROWTH_NANOS;
        // The kernel counts seconds by the oscillator, and those of one that is slow by 500 ppm are
        // longer. What it has grown cannot be told from the rest, so all of it is stretched.
        let error_nanos = Drift::from_ppb(DRIFT_PPB).most(error_nanos);
        Ok(error_nanos.saturating_add(offset_nanos))
    }

    /// Whether the daemon claimed an error of zero at its last update: the estimated error is zero, and the
    /// maximum error is no more than the kernel's growth since then, 500 microseconds a second.
    #[must_use]
    pub const fn is_unmeasured(&self) -> bool {
        self.esterror_micros == 0 && self.maxerror_micros % GROWTH_MICROS == 0
    }

    /// The greatest error of the oscillator's rate that the kernel admits, in parts per thousand million, rounded up:
    /// what it corrects by `freq` and `tick`, and what it takes for left of it.
    ///
    /// `CLOCK_MONOTONIC_RAW` has none of these corrections. Where the oscillator was calibrated badly, they are most
    /// of its error.
    #[must_use]
    pub fn drift_ppb(&self) -> u32 {
        let freq_ppb = self
            .freq
            .unsigned_abs()
            .saturating_mul(1000)
            .div_ceil(1 << 16);
        let tick_ppb = match self.tick_micros {
            0 => 0,
            tick => tick.abs_diff(TICK_MICROS).saturating_mul(TICK_PPB),
        };
        let ppb = u64::from(DRIFT_PPB)
            .saturating_add(freq_ppb)
            .saturating_add(tick_ppb);
        u32::try_from(ppb).unwrap_or(u32::MAX)
    }

    /// The sample from these fields, received as the answer to that question. `unmeasured` is the error to assume
    /// for a daemon that measures none, or `None` to reject such daemons.
    ///
    /// # Errors
    /// As [`bound_nanos`](Self::bound_nanos), [`Unsynchronized::Unmeasured`], and [`SourceError::Disrupted`] when a
    /// leap second is due within a second and the bound.
    pub fn sample(
        &self,
        question: &Question,
        unmeasured: Option<Duration>,
    ) -> Result<Sample, SourceError> {
        let mut bound_nanos = self.bound_nanos()?;
        if self.is_unmeasured() {
            let bound =
                unmeasured.ok_or(SourceError::NotSynchronized(Unsynchronized::Unmeasured))?;
            bound_nanos = bound_nanos.saturating_add(nanos(bound));
        }
        let mut sample = question.sample(bound_nanos);
        sample.drift_ppb = self.drift_ppb();
        let leap_is_due = self.has(Self::STA_INS) || self.has(Self::STA_DEL);
        if leap_is_due && self.state != Self::TIME_WAIT {
            sample.valid_for = question
                .until_leap(bound_nanos)
                .ok_or(SourceError::Disrupted)?;
        }
        Ok(sample)
    }

    const fn has(&self, bit: i32) -> bool {
        self.status & bit != 0
    }
}

/// The kernel's increase of the error at the end of each second.
const GROWTH_NANOS: u64 = 500_000;
const GROWTH_MICROS: i64 = 500;
/// A tick that is not adjusted: `USER_HZ` is 100 on all machines that are in use.
const TICK_MICROS: i64 = 10_000;
/// A microsecond more or less in such a tick.
const TICK_PPB: u64 = 100_000;
/// The same as a rate: the kernel's assumed maximum error of an oscillator.
const DRIFT_PPB: u32 = 500_000;
/// The error from which on the kernel reports the clock as unsynchronised.
const UNSYNCHRONIZED_MICROS: u64 = 16_000_000;
const NANOS_PER_MICRO: u64 = 1_000;
