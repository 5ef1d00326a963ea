//! Interval tree clocks (Almeida, Baquero, Fonte, *Interval Tree Clocks: A Logical Clock for Dynamic
//! Systems*, OPODIS 2008): causality for processes that come and go, without names.
//!
//! A vector needs a name a process and keeps the names of all that ever were. Here a process owns a
//! part of the interval [0, 1) instead: [`Stamp::seed`] owns all of it, [`Stamp::fork`] halves what
//! one owns, [`Stamp::join`] gives it back. The clock is a function from the interval to counters,
//! kept as a tree that is as fine as it must be, and an event raises it somewhere on the own part.
//! Trees grow with forks and shrink again as parts come home.
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
//! The numbers do not count events: two stamps are compared, and nothing else is read from them.

mod bits;
mod event;
mod id;
mod stamp;
mod text;

pub use stamp::{EventError, OverlappingIds, Stamp, TooDeep};

/// How deep trees may be. A fork beyond it is refused, and so are bytes: nothing here recurses
/// deeper, whatever a stranger sends. The children of one parent do not get there; a child of a child
/// of a child does after this many generations in which nobody gives a part back by joining.
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
