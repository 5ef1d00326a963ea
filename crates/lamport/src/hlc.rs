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
//! counter ends in an error and not at 0; and a bound that is [reserved](HybridClock::reserve) and
//! [restored](HybridClock::restore) keeps timestamps from coming again after a restart.

mod clock;
mod error;
mod layout;
mod physical;
mod reservation;
#[cfg(feature = "serde")]
mod serde;
mod text;
mod timestamp;

pub use clock::HybridClock;
pub use error::{NowError, ReceiveError, ReserveError};
pub use layout::{Layout, Millis42, Millis48, Nanos64};
pub use physical::PhysicalClock;
#[cfg(feature = "std")]
pub use physical::SystemClock;
pub use reservation::Reservation;
pub use text::ParseTimestampError;
pub use timestamp::Timestamp;
#[cfg(test)]
pub(crate) use {clock::Refused, clock::Shared};
