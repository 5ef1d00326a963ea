//! What the parts of Synod cost, and what measures it.
//!
//! `cargo bench -p synod-benches --bench consensus` sets the consensus cores side by side and, with `--features peers`,
//! beside those of others: three replicas in one thread, with messages by value and a log in memory, so that what is
//! left is the core itself. A core takes part by a [`Driver`]; `README.md` tells how.
//!
//! `--bench lamport` and `--bench vclock` set the logical clocks beside the least that they can cost and, with
//! `--features peers`, beside other crates, all of them in turns.
//!
//! - [`Driver`] is three replicas of a core, [`Source`] where their entries come from, [`Machine`] where they go;
//! - [`Sample`] is one measurement, [`Table`] what comes of many in turns, [`report`] how it is told;
//! - [`Counting`] is an allocator that counts, to be installed by a bench.

mod callgrind;
mod contest;
mod counting;
mod driver;
mod measure;
mod options;
pub mod report;

pub use callgrind::{has_valgrind, instructions};
pub use contest::{Contender, Kind, Row, Spread, Table, median};
pub use counting::{Allocations, Counting};
pub use driver::{Bodies, Driver, Inboxes, Machine, NUMBER_BYTES, Source};
pub use measure::{Cell, Sample, keep_freed_memory, run};
pub use options::{Count, Options, USAGE};
