use crate::Stratum;

/// Why a source that answers does not know the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unsynchronized {
    /// It says so.
    #[error("it says so")]
    Said,
    /// It follows no other clock: chrony's or ntpd's local reference, 127.127.1.x or `LOCL`. It calls itself
    /// synchronised, with an error of zero, and knows nothing.
    #[error("it follows its own clock and no other")]
    LocalReference,
    /// It is too many hops away from whoever knows. A local reference is served with a great stratum on purpose, and
    /// its clients show nothing else of it.
    #[error("its stratum is {stratum}, at most {stratum_max} is believed")]
    Stratum {
        /// As it says.
        stratum: Stratum,
        /// The limit.
        stratum_max: Stratum,
    },
    /// What it last learned is too old, by its own limit or by ours.
    #[error("what it last learned is too old")]
    Old,
    /// It claims an error of exactly zero, so nobody has measured one.
    #[error("it claims an error of zero, which nobody has measured")]
    Unmeasured,
    /// The kernel has been told an error, and not that the clock is synchronised.
    #[error(
        "the kernel's STA_UNSYNC is set although it was told an error: chrony clears it only with `rtcsync`"
    )]
    FlagNotCleared,
    /// It has lost its own source, and its user does not take such a clock.
    #[error("it has lost its own source")]
    FreeRunning,
}
