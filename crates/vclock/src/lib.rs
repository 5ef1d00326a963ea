//! Exact tracking of causality: which events happened before others, and which are concurrent.
//!
//! # The problem
//!
//! Clocks of different machines disagree, so a later wall-clock time does not imply a causal
//! dependency. Lamport (1978) defined an order without physical clocks: an event happened before
//! another if it came earlier in the same process, if it was the sending of the message that the
//! other received, or by a chain of such steps. Two events without such a chain are concurrent:
//! neither can have influenced the other. A scalar clock is consistent with that order; the clocks
//! of this crate represent it exactly: they distinguish before, after and concurrent.
//!
//! ```text
//!   a  ──●────────●─────────────────●──▶        e1 happened before f2, by the message
//!       e1        │ e2              │ e3        f1 and e1 are concurrent, and so are f1 and e2
//!        {a:1}    │ {a:2}           │ {a:3, b:3}
//!                 └──────▶          │
//!   b  ──●────────────────●────●────┘           e3 knows of everything
//!       f1                f2   f3
//!        {b:1}             {a:2, b:2}  {a:2, b:3}
//! ```
//!
//! # Which clock
//!
//! | for | use |
//! |---|---|
//! | processes that send messages | [`VectorClock`], or [`Stamp`](itc::Stamp) for dynamic sets of processes |
//! | replicas of an object | [`VersionVector`], [`DvvSet`] for its concurrent values |
//! | a fixed group, and speed | [`DenseClock`] with [`Members`] |
//! | single changes that arrive out of order | [`CausalContext`] |
//! | objects with very many writers | [`Pruned`], at the price of false conflicts |
//! | messages that must not arrive before their causes | [`CausalBuffer`] |
//! | detecting what every member has, for garbage collection | [`MatrixClock`] |
//! | visualising executions | [`shiviz`] logs; the example `detective` reads and draws them |
//!
//! # The model
//!
//! Processes are sequential, and messages may be lost, duplicated, delayed and reordered. A name
//! (an actor, a member) belongs to one process at a time, which must not lose its own counter; a
//! message that reveals such a loss is rejected. Peers may be faulty: whatever they send is
//! rejected with a reason or is harmless. Consistent lies cannot be detected: claims about events
//! of third parties are trusted.
//!
//! # The loop
//!
//! All types are values without I/O, time or threads. Call the clock for each event, put its value
//! into each message, and pass it in on receipt:
//!
//! ```
//! use synod_vclock::{CausalOrder, VectorClock};
//!
//! let (mut a, mut b) = (VectorClock::new("a"), VectorClock::new("b"));
//! let e1 = a.tick()?.clone();
//! let message = a.send()?; // e2
//! let f1 = b.tick()?.clone();
//! let f2 = b.receive(&message)?.clone();
//!
//! assert_eq!(e1.causal_cmp(&f2), CausalOrder::Before);
//! assert_eq!(e1.causal_cmp(&f1), CausalOrder::Concurrent);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Guarantees
//!
//! - The orders are exact, and each theorem behind them is a test of that name which drives random
//!   executions against sets of events. [`Pruned`] may return "unknown"; any other answer is exact.
//! - Each history has one representation (no zero entries, no other tree forms), also after
//!   decoding, so equality, hashes and bytes can be relied on.
//! - No counter wraps: [`Overflow`].
//! - No input panics, recurses without bound, or allocates beyond [`Limits`].
//! - The order of clocks is partial, and no total order is offered:
//!
//! ```
//! fn partially_ordered<T: PartialOrd>(_: T) {}
//! partially_ordered(synod_vclock::VersionVector::<u64>::new());
//! ```
//! ```compile_fail,E0277
//! fn totally_ordered<T: Ord>(_: T) {}
//! totally_ordered(synod_vclock::VersionVector::<u64>::new());
//! ```
//!
//! # Terminology
//!
//! | elsewhere | here |
//! |---|---|
//! | vector timestamp, vector time | the [`VersionVector`] of an event |
//! | merge, least upper bound | `join` |
//! | greatest lower bound, glb | `meet` |
//! | dominates, descends | `descends`, which includes equality |
//! | version vector with exceptions, dot cloud | [`CausalContext`] |
//! | causal stability, stable cut | [`MatrixClock::stable`] |
//!
//! # Out of scope
//!
//! Scalar and hybrid clocks (they are in `synod-lamport`), CRDTs, propagation of clocks in tracing
//! headers, and membership changes in [`CausalBuffer`], which are left to a group membership
//! service.
//!
//! # Features
//!
//! `serde`: `Serialize` and `Deserialize` for clocks and messages. `arbitrary`: generated values for
//! fuzzing, which needs the standard library. Otherwise the crate is `no_std` with `alloc`; it has no
//! unsafe code.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

extern crate alloc;
// For the code that deriving `Arbitrary` makes.
#[cfg(all(feature = "arbitrary", not(test)))]
extern crate std;

pub mod itc;
pub mod shiviz;

mod actor;
#[cfg(feature = "arbitrary")]
mod arbitrary;
mod causal_buffer;
mod codec;
mod context;
mod dense;
mod dot;
mod dvv_set;
mod entries;
mod iter;
mod matrix_clock;
mod order;
mod pruned;
#[cfg(feature = "serde")]
mod serde_form;
mod text;
mod vector_clock;
mod version_vector;

pub use actor::Actor;
pub use causal_buffer::{BufferError, BufferLimits, CausalBuffer, Envelope, Receipt};
pub use codec::{AsText, DecodeError, Limits, Reader, Wire};
pub use context::CausalContext;
pub use dense::{DenseClock, Members, NotAMember};
pub use dot::{Dot, Overflow};
pub use dvv_set::{ContextError, DvvSet};
pub use iter::{IntoIter, Iter};
pub use matrix_clock::{MatrixClock, Stranger};
pub use order::{CausalOrder, causal_sort};
pub use pruned::{LossyOrder, PrunePolicy, Pruned};
pub use text::ParseError;
pub use vector_clock::{ReceiveError, VectorClock};
pub use version_vector::VersionVector;

/// Keeps the README's examples running.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
