//! Causality.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

mod codec;
mod dense;
mod dot;
mod entries;
mod order;
mod vector_clock;
mod version_vector;

pub use codec::{DecodeError, Limits, Reader, Wire};
pub use dense::{DenseClock, Members, NotAMember};
pub use dot::{Dot, Overflow};
pub use order::CausalOrder;
pub use vector_clock::{ReceiveError, VectorClock};
pub use version_vector::VersionVector;

/// Keeps the README's examples running.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
