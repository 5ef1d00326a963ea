//! Hybrid logical clocks: timestamps that are close to physical time and never contradict
//! causality.
//!
//! A physical clock shows when an event happened, but not reliably in which order: machines differ
//! by milliseconds, and clocks are set back. A Lamport clock gives the right order without the
//! time. A [`HybridClock`] does both in 64 bits: its physical part `l` is the greatest physical
//! clock reading in the event's causal past, and a counter `c` orders events with equal `l`.
//!
//! ```text
//!            event                                    l'                     c'
//!  now       send or local        max(l, pt)                  l' == l ? c + 1 : 0
//!  receive   message (l_m, c_m)   max(l, l_m, pt)             the greatest c of those that have l', + 1;
//!                                                             0 if only pt has it
//! ```
//!
//! The rules are those of Kulkarni and others, *Logical Physical Clocks and Consistent Snapshots
//! in Globally Distributed Databases* (2014), figure 5. What is proved there holds here, and is
//! tested on random executions: what happened before has the smaller timestamp; `l` is not below
//! the physical clock and differs from it by no more than the clocks differ; `c` is bounded by the
//! events that share `l`.
//!
//! There is one difference. The paper's `c` is unbounded; here it has as many bits as the [`Layout`]
//! provides, and overflows into `l`. So `|l - pt| ≤ ε` holds as long as no counter overflows, and
//! otherwise
//!
//! ```text
//!   pt ≤ l ≤ pt + ε + n / 2^bits + 1 tick      n: the events, anywhere, that were stamped while l was ahead
//! ```
//!
//! # A step back of the physical clock
//!
//! `l` stays where it was and `c` counts until the physical clock has caught up. Failing once `c` is
//! exhausted would be an outage for the rest of that time; instead each carry costs a tick of
//! additional lead, which is recovered as soon as events are slower than the counter's capacity.
//!
//! | layout | stamps of a tick | 60 s back, at 10,000/s | 60 s back, at 1,000,000/s | ever further from |
//! |---|---|---|---|---|
//! | [`Millis48`] | 65,536 | 9 ms further lead | 0.92 s | 65 million/s |
//! | [`Millis42`] | 4,194,304 | 0 ms | 14 ms | 4 thousand million/s |
//! | [`Nanos64`] | 1 | 0.6 ms | 60 ms | 1 thousand million/s |
//! | [`WideTimestamp`] | 4,294,967,296 | 0 | 0 | never |
//!
//! A node whose clock was set back leads its physical clock by the size of the step until that time has
//! passed, and so do its messages. If its clock was wrong before and is right now, its peers reject its
//! messages with [`ReceiveError::TooFarAhead`] while the lead is above their `lead_max`; its own
//! [`lead`](HybridClock::lead) shows it too, and [`now_within`](HybridClock::now_within) returns no stamp
//! that would be rejected. If its clock was right before and is wrong now, all nodes continue, and the
//! peers accept its messages. It accepts theirs as long as its `lead_max` covers the error of its clock;
//! beyond that it rejects them, since the guard cannot determine which of two clocks is wrong: a node
//! that rejects all of its peers should check its own clock. In both cases the order stays correct. A
//! carried lead counts against the stored bound like any other: if both limits are exceeded, the error is
//! [`NowError::AboveBound`].
//!
//! ```
//! use synod_lamport::hlc::{HybridClock, SystemClock, Timestamp};
//!
//! let clock = HybridClock::new(SystemClock);
//! let sent = clock.now()?; // travels in the message, as eight bytes or as text
//! let message = sent.to_be_bytes();
//!
//! let received = clock.receive(Timestamp::from_be_bytes(message))?;
//! assert!(received > sent);
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
//!
//! Additions to the paper: [`receive`](HybridClock::receive) rejects a timestamp from the far future;
//! the counter is carried and never restarts at 0 within a tick; a bound that is
//! [reserved](HybridClock::reserve) and [restored](HybridClock::restore) prevents repeated timestamps
//! after a restart, and is itself rejected if implausible; [`WideClock`] can recover from a poisoned
//! future; [`JumpDetector`] reports when the physical clock was set.

mod clock;
mod convert;
mod error;
mod jumps;
mod layout;
mod physical;
mod reservation;
mod restart;
#[cfg(feature = "serde")]
mod serde;
mod text;
mod timestamp;
#[cfg(feature = "std")]
mod waiting;
mod wide;
mod wide_clock;

pub use clock::HybridClock;
pub use convert::TimeOutOfRange;
pub use error::{NowError, ReceiveError, ReserveError, RestoreError};
pub use jumps::{Jump, JumpDetector};
pub use layout::{Layout, Millis42, Millis48, Nanos64};
#[cfg(feature = "std")]
pub use physical::SystemClock;
pub use physical::{PhysicalClock, Through};
pub use reservation::Reservation;
pub use text::ParseTimestampError;
pub use timestamp::Timestamp;
pub use wide::WideTimestamp;
pub use wide_clock::WideClock;
#[cfg(test)]
pub(crate) use {clock::Refused, clock::Shared};
