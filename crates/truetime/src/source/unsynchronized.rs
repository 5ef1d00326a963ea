use crate::Stratum;

/// Why a source that answers counts as unsynchronised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unsynchronized {
    /// It reports so itself.
    #[error("it reports so itself")]
    Said,
    /// It follows no other clock: chrony's or ntpd's local reference, 127.127.1.x or `LOCL`. It reports
    /// being synchronised, with an error of zero, without any reference.
    #[error("it follows its own clock and no other")]
    LocalReference,
    /// It is too many hops away from a reference clock. Local references are deliberately served with a high
    /// stratum, which is the only indication that their clients have.
    #[error("its stratum is {stratum}, at most {stratum_max} is accepted")]
    Stratum {
        /// The reported stratum.
        stratum: Stratum,
        /// The limit.
        stratum_max: Stratum,
    },
    /// Its last update is too old, by its own limit or by ours.
    #[error("its last update is too old")]
    Old,
    /// It claims an error of exactly zero, which cannot be a measured one.
    #[error("it claims an error of zero, which cannot be measured")]
    Unmeasured,
    /// The kernel has an error bound, but its flag still marks the clock as unsynchronised.
    #[error(
        "the kernel's STA_UNSYNC is set although it has an error bound: chrony clears it only with `rtcsync`"
    )]
    FlagNotCleared,
    /// It has lost its own source, and its user does not accept a free-running clock.
    #[error("it has lost its own source")]
    FreeRunning,
}
