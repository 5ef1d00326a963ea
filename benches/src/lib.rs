//! What the parts of Synod cost, and what measures it.
//!
//! `cargo bench -p synod-benches --bench core` runs three replicas of the consensus core in one
//! thread, with messages by value and a disk that is always done: what is left is the core itself.
//!
//! - [`Trio`] is those replicas;
//! - [`Counting`] is an allocator that counts, to be installed by a bench.

mod counting;
mod trio;

pub use counting::{Allocations, Counting};
pub use trio::Trio;
