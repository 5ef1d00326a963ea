//! Logical clocks: what happened before what, without a clock that everybody trusts.
//!
//! # The problem
//!
//! Machines that exchange messages have no common "now". Their wall clocks differ by more than a
//! message takes, so the effect is often stamped earlier than its cause. What can be known is
//! causality: `a` happened before `b` if a message, or a chain of them, could have carried word of
//! `a` to `b`. A logical clock turns that into numbers.
//!
//! # The clocks
//!
//! ```text
//!  node 1   ●1───────●2────────────────────────────●5──▶     C(send) < C(receive), on every path;
//!                     ╲ 2                         ╱ 4         1@3 and 1@1 are concurrent, and the
//!  node 2   ───────────●3────────────────●4──────╱───▶        stamp's node decides:
//!                                          ╲ 4
//!  node 3   ●1──────────────────────────────●5────────▶      1@1 < 1@3 < 2@1 < 3@2 < 4@2 < 5@1 < 5@3
//! ```
//!
//! - [`LamportClock`] counts, for one owner; [`AtomicLamportClock`] for many threads without a
//!   lock.
//! - [`Stamp`] is a time and a node: Lamport's total order, the same for everybody.
//!   What the paper made of it, mutual exclusion without a coordinator, is the example
//!   `mutual_exclusion`.
//! - [`hlc`] holds hybrid logical clocks, whose timestamps are also close to the physical time: 64
//!   bits with a written format, and no repetition across restarts.
//!
//! # The model
//!
//! Messages may be lost, repeated and reordered; a clock does not care. Nodes do not lie, but may
//! be broken: what comes from outside is never a panic and never resets a clock, and one message
//! from a far future is refused ([`LamportClock::with_jump_max`],
//! [`HybridClock::with_lead_max`](hlc::HybridClock::with_lead_max); both guards are on from the
//! start).
//!
//! # Guarantees
//!
//! - If `a` happened before `b`, `a` has the smaller time (the clock condition). **Not** the
//!   converse: of a smaller time nothing follows. To tell "before" from "concurrent" takes a vector
//!   clock.
//! - A receiving event gets a time of its own, in one step with the receipt.
//! - Time ends in an error, never at zero: nothing wraps.
//! - A refused operation changes nothing.
//!
//! They are tested on random executions against causal histories, sets of events; the shared
//! clocks by a model checker in every interleaving of a few threads.
//!
//! # The loop
//!
//! ```
//! use synod_lamport::{LamportClock, Stamp};
//!
//! let mut clock = LamportClock::default();
//! let mut log = Vec::new();
//!
//! // Something happens here, and a message tells of it: the message carries the stamp.
//! let sent = Stamp::new(clock.tick()?, "here");
//! log.push((sent, "sent"));
//!
//! // A message comes: the clock goes beyond its stamp before anything is done about it.
//! let theirs: Stamp<&str> = Stamp::new(7.into(), "there");
//! let received = Stamp::new(clock.receive(theirs.time)?, "here");
//! log.push((received, "received"));
//!
//! log.sort(); // by the total order: causes first
//! assert!(theirs < received);
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
//!
//! # What is left out
//!
//! Vector clocks, which know what is concurrent; clocks with a bound on their error, which know
//! what is simultaneous. Signatures: who can forge a stamp of another node can mislead.
//!
//! # Features
//!
//! - `std` (on by default): `hlc::SystemClock`. Without it the crate is `no_std`; it never
//!   allocates.
//! - `serde`: `Serialize` and `Deserialize` for times and stamps. Links `alloc`, as the workspace's
//!   `serde` does.
//! - `arbitrary`: `Arbitrary` for times and stamps, for fuzzing. Links the standard library.
//!
//! [`AtomicLamportClock`] and [`hlc`] need a target with 64-bit atomics.

#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(any(test, feature = "std"))]
extern crate std;

#[cfg(feature = "arbitrary")]
mod arbitrary;
#[cfg(target_has_atomic = "64")]
mod atomic;
mod clock;
mod error;
#[cfg(target_has_atomic = "64")]
pub mod hlc;
#[cfg(test)]
mod interleavings;
mod rules;
mod stamp;
mod time;
#[cfg(target_has_atomic = "64")]
mod word;

/// The examples of the README run too.
#[cfg(all(doctest, feature = "std"))]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(target_has_atomic = "64")]
pub use atomic::AtomicLamportClock;
pub use clock::LamportClock;
pub use error::{Overflow, ReceiveError};
pub use stamp::{ParseStampError, Stamp};
pub use time::{LamportTime, ParseLamportTimeError};
