//! What the parts of Synod cost, and what measures it.
//!
//! `cargo bench -p synod-benches --bench core` runs three replicas of the consensus core in one
//! thread, with messages by value and a disk that is always done: what is left is the core itself.
//!
//! `--bench lamport` and `--bench vclock` set the logical clocks beside the least that they can cost
//! and, with `--features peers`, beside other crates, all of them in turns.
//!
//! - [`Trio`] is those replicas;
//! - [`Counting`] is an allocator that counts, to be installed by a bench.

mod counting;
mod trio;

pub use counting::{Allocations, Counting};
pub use trio::Trio;
