//! Interval tree clocks (Almeida, Baquero, Fonte, *Interval Tree Clocks: A Logical Clock for Dynamic
//! Systems*, OPODIS 2008): causality for dynamic sets of processes, without names.
//!
//! A vector needs a name for each process, and keeps the names of all past ones. Here a process
//! owns a part of the interval [0, 1) instead: [`Stamp::seed`] owns all of it, [`Stamp::fork`]
//! splits the owned part, [`Stamp::join`] merges parts. The clock is a function from the interval
//! to counters, stored as a tree that is only as fine as necessary, and an event increments it
//! somewhere on the owned part. Trees grow with forks and shrink again with joins.
//!
//! ```text
//!   seed ── fork ──┬── event ───────────┬── join ── (whole again)
//!   [0, 1)         │ [0, 1/2)           │
//!                  └── fork ──┬─ event ─┴── ...
//!                   [1/2, 1)  └─ [3/4, 1)
//! ```
//!
//! ```
//! use synod_vclock::{CausalOrder, itc::Stamp};
//!
//! let mut alice = Stamp::seed();
//! let mut bob = alice.fork()?;
//! alice.event()?;
//! bob.event()?;
//! assert_eq!(alice.causal_cmp(&bob), CausalOrder::Concurrent);
//!
//! let message = alice.send()?;
//! bob.receive(&message)?;
//! assert_eq!(alice.causal_cmp(&bob), CausalOrder::Before);
//!
//! bob.join(alice)?; // alice retires
//! assert_eq!(bob.to_string(), "(1, 2)"); // one owner of everything, and one number
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The numbers do not count events; they are only meaningful when comparing stamps.

mod bits;
mod event;
mod id;
mod stamp;
mod text;

pub use stamp::{EventError, OverlappingIds, Stamp, TooDeep};

/// The maximum depth of trees, which also bounds recursion on untrusted input: forks and encodings
/// beyond it are rejected. The children of one parent do not reach it; a chain of children of
/// children does after this many generations without a join.
///
/// ```
/// use synod_vclock::itc::{DEPTH_MAX, Stamp, TooDeep};
///
/// let mut stamp = Stamp::seed();
/// for _ in 0..DEPTH_MAX {
///     stamp = stamp.fork()?; // a child of a child
/// }
/// assert!(stamp.fork().is_err());
/// # Ok::<(), TooDeep>(())
/// ```
pub const DEPTH_MAX: u32 = 256;
