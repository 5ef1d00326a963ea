//! Strict serializability: does some order of the transactions, one that respects real time,
//! explain what all of them read?
//!
//! ```text
//!                       ┌── check_positions: replay in the order that the service claims ──┐
//!   TxnHistory ─────────┤                                                                  ├─> Verdict
//!   (or Jepsen's EDN)   └── check: graph of dependencies ─> a cycle, or an order ─> replay ┘
//! ```
//!
//! - [`check`] needs only what clients see. It derives which transaction depends on which: `wr`
//!   (reads what the other wrote), `ww` (replaces it), `rw` (replaces what the other read), and `rt`
//!   (began after the other was acknowledged). A cycle is a violation, and is reported with one
//!   sentence an edge. Without a cycle the history has an order, which is replayed before the
//!   verdict is given.
//! - [`check_positions`] takes the order from the service, by commit timestamps or positions in a
//!   log, and replays it. It needs no unique values, decides registers that are written blindly, and
//!   finds a service whose timestamps are wrong even if its clients could not notice.
//! - [`edn`] reads and writes Jepsen's histories, so that Elle and this module check the same ones.
//!
//! # An example
//!
//! Two transfers from one account, of which one is lost:
//!
//! ```
//! use std::time::Duration;
//! use synod_sim::serializability::{Anomaly, TxnHistory, check};
//!
//! let ms = Duration::from_millis;
//! let mut bank = TxnHistory::new();
//! let open = bank.begin(ms(0))?;
//! bank.write(open, "alice", 100)?;
//! bank.commit(open, ms(1))?;
//! let (first, second) = (bank.begin(ms(2))?, bank.begin(ms(2))?);
//! for (transfer, left) in [(first, 70), (second, 60)] {
//!     bank.read(transfer, "alice", Some(100))?;
//!     bank.write(transfer, "alice", left)?;
//!     bank.commit(transfer, ms(4))?;
//! }
//! let verdict = check(&bank);
//! assert_eq!(verdict.violation().map(|found| found.anomaly), Some(Anomaly::LostUpdate));
//! println!("{verdict}"); // T1 -rw-> T2: T1 read 100 at "alice", which T2 replaced by 60 ..
//! # Ok::<(), synod_sim::serializability::TxnError>(())
//! ```
//!
//! # Anomalies
//!
//! A wrong read is reported before any cycle, and of cycles a shortest one; of several the first in
//! this order.
//!
//! | [`Anomaly`] | what happened | source |
//! |---|---|---|
//! | `GarbageRead` | read what nobody wrote | Elle, 4.2 |
//! | `AbortedRead` (G1a) | read what was aborted | Adya 1999, 3.1 |
//! | `IntermediateRead` (G1b) | read what its writer replaced itself | Adya 1999, 3.1 |
//! | `Internal` | contradicts its own writes | Elle, 4.2 |
//! | `DuplicateAppend` | a list holds one append twice | Elle, 4.2 |
//! | `IncompatibleOrder` | two reads show two orders of one list | Elle, 4.2 |
//! | `G0` | cycle of ww | Adya 1999, 3.1 |
//! | `G1c` | cycle of ww and wr | Adya 1999, 3.1 |
//! | `GSingle` | cycle with one rw: read skew | Adya 1999, 4.2 |
//! | `G2Item` | cycle with several rw: write skew | Adya 1999, 3.2 and 4.2 |
//! | `LostUpdate` | two replaced the version that both read | Berenson et al. 1995, P4 |
//! | `G0RealTime` .. `G2ItemRealTime` | the same cycles with edges of real time | Elle, 5.1 |
//! | `WrongVersion` | by positions: a read is not of what stands there | Corbett et al. 2012, 4.1.2 |
//! | `WrongOrder` | by positions: real time contradicts them | the same (external consistency) |
//! | `SharedPosition` | by positions: two at one do not commute | the same |
//!
//! `LostUpdate` is a special `GSingle` or `G2Item`. With edges of real time only, a history is
//! serializable, but not strictly.
//!
//! Adya 1999: *Weak Consistency: A Generalized Theory and Optimistic Implementations for
//! Distributed Transactions*; with Liskov and O'Neil 2000: *Generalized Isolation Level
//! Definitions*. Elle: Kingsbury and Alvaro 2020, *Elle: Inferring Isolation Anomalies from
//! Experimental Observations*. Corbett et al. 2012: *Spanner*.
//!
//! # What it does not decide
//!
//! - Weaker levels: a history that is snapshot isolated and has write skew is a violation.
//! - Predicates: a scan is a read of each key that it may have found. A phantom is found if the key
//!   that appeared was recorded as read and absent.
//! - Why. A cycle names what cannot be, not which of its transactions is to blame.
//!
//! Unknown outcomes: such a transaction counts as committed once another one that counts has read
//! what it wrote, and then its own reads count too; it precedes nothing in real time. That is exact:
//! what nobody read can be left out of any order.

mod checker;
mod compiled;
mod cycles;
pub mod edn;
mod graph;
mod history;
mod reads;
mod replay;
mod report;
mod versions;
mod violation;

pub use checker::{Cause, Verdict, check, check_positions};
pub use history::{Position, TxnError, TxnHistory, TxnId};
pub use violation::{Anomaly, Dependency, Step, Violation};
