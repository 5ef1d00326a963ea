//! Test suites for your own [`Log`](crate::Log), [`Transport`](crate::Transport) or
//! [`StateMachine`](crate::StateMachine): each suite is called from one test.
//!
//! # Problem
//!
//! The traits are small, and what breaks a cluster is not in their signatures: a truncation that a
//! restart forgets, a `durable` that runs ahead of the disk, a queue that blocks when a peer is
//! slow, a snapshot that was frozen by reference. Such a log passes every test in which nothing
//! crashes. These suites test everything that the runtime relies on, promise by promise; the
//! implementations of this workspace pass them.
//!
//! ```
//! use synod_replica::conformance;
//! # use synod_replica::{Applying, Bytes, StateMachine};
//! # use std::io::{self, Read, Write};
//! # #[derive(Default)] struct Counter(u64);
//! # impl StateMachine for Counter {
//! #     type Response = u64;
//! #     type Frozen = u64;
//! #     fn apply(&mut self, _: Applying, command: Bytes) -> u64 { self.0 += command.len() as u64; self.0 }
//! #     fn freeze(&self) -> u64 { self.0 }
//! #     fn write(frozen: u64, to: &mut dyn Write) -> io::Result<()> { to.write_all(&frozen.to_le_bytes()) }
//! #     fn restore(&mut self, from: &mut dyn Read) -> io::Result<()> {
//! #         let mut bytes = [0; 8];
//! #         from.read_exact(&mut bytes)?;
//! #         self.0 = u64::from_le_bytes(bytes);
//! #         Ok(())
//! #     }
//! # }
//!
//! // #[test]
//! fn my_machine_conforms() {
//!     let commands = [&b"one"[..], b"two", b"a longer one"];
//!     conformance::state_machine(Counter::default, |counter| counter.0, &commands);
//! }
//! # my_machine_conforms();
//! ```
//!
//! A case that fails panics with its name, what it observed, and what the trait promises. Abilities
//! that a store or network need not have, such as losing power, are requested through methods with
//! a default; without them the cases that need them are skipped, and a line says so. No case
//! depends on timing: what must not block is given far more time than it can need, and what must
//! happen is waited for.
//!
//! The module is behind the feature `conformance`, because it is 3,000 lines of tests that an
//! ordinary build should not compile.
//!
//! # What is left out
//!
//! A suite finds bugs and does not prove their absence. Crashes inside an operation need a medium
//! that can be stopped there: `synod_wal`'s own tests do that to 100,000 disks, and `synod_sim`
//! provides the means for a log of your own.

mod log;
mod machine;
mod messages;
mod random;
mod suite;
mod transport;

pub use log::{LogStore, log};
pub use machine::state_machine;
pub use suite::{Report, Unsupported};
pub use transport::{Network, NetworkLimits, transport};
