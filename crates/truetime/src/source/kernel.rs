//! The Linux kernel's own bound: `adjtimex`, read and never written.

use core::time::Duration;

use crate::source::{Question, Sample, Source, SourceError, Unsynchronized};
use crate::timestamp::nanos;
use crate::{Clocks, Drift};

mod sys;

/// What the kernel says of the wall clock, by `adjtimex`.
///
/// A daemon (chrony, ntpd, ptp4l) tells the kernel at each update by how much the wall clock may be
/// wrong. The kernel adds 500 ppm from then on, and says that the clock is not synchronised when
/// that makes 16 seconds, so a daemon that died is noticed late and soundly.
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
/// chrony tells the kernel only if its configuration has the line `rtcsync`; without it the kernel goes on saying
/// that the clock is not synchronised ([`Unsynchronized::FlagNotCleared`]).
///
/// It is as good as the daemon. Some simple ones (systemd-timesyncd, busybox) claim an error of 0 at each update,
/// however far the server is. That claim is refused ([`Unsynchronized::Unmeasured`]) unless the caller gives a bound
/// instead of it: [`with_unmeasured`](Self::with_unmeasured). Nor does the kernel know what the daemon goes by: where
/// a server may follow only its own clock, ask [`Chrony`](crate::source::Chrony), which sees the stratum.
#[derive(Clone, Copy, Debug)]
pub struct Kernel<C> {
    clocks: C,
    unmeasured: Option<Duration>,
}

impl<C: Clocks> Kernel<C> {
    /// Asks the kernel that this process runs on.
    pub const fn new(clocks: C) -> Self {
        Self {
            clocks,
            unmeasured: None,
        }
    }

    /// Believes a daemon that claims an error of zero, and takes the clock for as wrong as this at its updates.
    #[must_use]
    pub const fn with_unmeasured(mut self, bound: Duration) -> Self {
        self.unmeasured = Some(bound);
        self
    }

    /// What the kernel says now.
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
    /// What the call returned: 0 is `TIME_OK`, 5 is `TIME_ERROR`, between them stands what the next
    /// leap second is doing.
    pub state: i32,
    /// The `STA_` bits.
    pub status: i32,
    /// The greatest error, in microseconds.
    pub maxerror_micros: i64,
    /// The estimated error, in microseconds.
    pub esterror_micros: i64,
    /// What is still to be slewed away by the kernel's own loop, in microseconds, or nanoseconds if
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
    /// A leap second is over, and nobody has told the daemon's flag so yet.
    pub const TIME_WAIT: i32 = 4;

    /// By how much the wall clock may be wrong, in nanoseconds.
    ///
    /// # Errors
    /// - [`SourceError::NotSynchronized`] if the kernel says so in any of the three ways it has.
    /// - [`SourceError::Disrupted`] during a leap second: the wall clock shows that second twice.
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

    /// Whether the daemon claimed an error of zero at its last update: nothing estimated, and nothing but what the
    /// kernel has added since, 500 microseconds a second.
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

    /// The sample that these fields make if they answer that question. `unmeasured` is what to add for a daemon that
    /// measures no error, or `None` if none such is believed.
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

/// What the kernel adds to the error, each second at once.
const GROWTH_NANOS: u64 = 500_000;
const GROWTH_MICROS: i64 = 500;
/// A tick that is not adjusted: `USER_HZ` is 100 on all machines that are in use.
const TICK_MICROS: i64 = 10_000;
/// A microsecond more or less in such a tick.
const TICK_PPB: u64 = 100_000;
/// The same as a rate: what the kernel takes for the greatest error of an oscillator.
const DRIFT_PPB: u32 = 500_000;
/// From here on the kernel itself says that there is no synchronisation.
const UNSYNCHRONIZED_MICROS: u64 = 16_000_000;
const NANOS_PER_MICRO: u64 = 1_000;
