//! Causality.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod itc;
pub mod shiviz;

mod causal_buffer;
mod codec;
mod context;
mod dense;
mod diagram;
mod dot;
mod dvv_set;
mod entries;
mod matrix_clock;
mod order;
mod pruned;
mod vector_clock;
mod version_vector;

pub use causal_buffer::{BufferError, BufferLimits, CausalBuffer, Envelope, Receipt};
pub use codec::{DecodeError, Limits, Reader, Wire};
pub use context::CausalContext;
pub use dense::{DenseClock, Members, NotAMember};
pub use diagram::{Diagram, DiagramError, EventId};
pub use dot::{Dot, Overflow};
pub use dvv_set::DvvSet;
pub use matrix_clock::{MatrixClock, Stranger};
pub use order::CausalOrder;
pub use pruned::{LossyOrder, PrunePolicy, Pruned};
pub use vector_clock::{ReceiveError, VectorClock};
pub use version_vector::VersionVector;

/// Keeps the README's examples running.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
