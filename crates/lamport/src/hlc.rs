//! Hybrid logical clocks: timestamps that are close to the physical time and never contradict
//! causality.
//!
//! A physical clock tells people when something happened and lies about order: machines differ by
//! milliseconds, and clocks are set back. A Lamport clock gets the order right and tells nobody
//! when. A [`HybridClock`] does both in 64 bits: its physical part `l` is the greatest reading of
//! any physical clock that the event can know of, and a counter `c` orders the events that share
//! one.
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
//! There is one difference. The paper's `c` has no end; here it has as many bits as the [`Layout`]
//! gives it, and at its end it is carried into `l`. So `|l - pt| ≤ ε` holds as long as no counter is
//! used up, and otherwise
//!
//! ```text
//!   pt ≤ l ≤ pt + ε + n / 2^bits + 1 tick      n: the events, anywhere, that were stamped while l was ahead
//! ```
//!
//! # A step back of the physical clock
//!
//! `l` stays where it was and `c` counts until the physical clock has caught up. To refuse once `c` is
//! used up would be an outage for the rest of that time; the carry costs a tick of further lead each
//! time, which is made up for as soon as events come slower than the counter has room for.
//!
//! | layout | stamps of a tick | 60 s back, at 10,000/s | 60 s back, at 1,000,000/s | ever further from |
//! |---|---|---|---|---|
//! | [`Millis48`] | 65,536 | 9 ms further lead | 0.92 s | 65 million/s |
//! | [`Millis42`] | 4,194,304 | 0 ms | 14 ms | 4 thousand million/s |
//! | [`Nanos64`] | 1 | 0.6 ms | 60 ms | 1 thousand million/s |
//! | [`WideTimestamp`] | 4,294,967,296 | 0 | 0 | never |
//!
//! Who was set back leads by what it was set back, until that time is over, and what it sends leads with
//! it. If it was wrong before and is right now, its peers refuse its messages for as long as the lead is
//! above their `lead_max`, and say so ([`ReceiveError::TooFarAhead`]); its own
//! [`lead`](HybridClock::lead) says it too, and [`now_within`](HybridClock::now_within) gives no stamp
//! that would be refused. If it was right before and is wrong now, everybody goes on, and the peers take
//! all that it sends. It takes what they send as long as its `lead_max` covers what its clock lacks;
//! beyond that it refuses, since the guard cannot tell which of two clocks is wrong, and who refuses all
//! of its peers should look at its own. In both cases
//! nothing is out of order. A carried lead counts against the stored bound like any other: where both are
//! in the way [`NowError::AboveBound`] is told.
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
//! Beyond the paper: [`receive`](HybridClock::receive) refuses a timestamp from a far future; the
//! counter is carried and never begins again at 0 on one tick; a bound that is
//! [reserved](HybridClock::reserve) and [restored](HybridClock::restore) keeps timestamps from coming
//! again after a restart, and is refused itself where it cannot be true; [`WideClock`] has a way back
//! from a poisoned future; [`JumpDetector`] tells when the physical clock was set.

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
