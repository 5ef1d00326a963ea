//! Theorems of distributed systems that a person can run, look at, and try to break.
//!
//! # The problem
//!
//! That something is impossible is hard to believe of one's own program. So each theorem is carried out
//! on a program of this workspace: the execution of its proof is built, step by step, and what comes of
//! it is judged by a checker that knows nothing of the proof.
//!
//! # The walls
//!
//! | module | what cannot be had | what helps |
//! |---|---|---|
//! | [`comforts`] | one memory, one clock, clean failure | one log, logical clocks, durable writes |
//! | [`fallacies`] | a network as one would like it | what expects it to be otherwise |
//! | [`suspicion`] | to know who has crashed | to suspect, and to be harmless when wrong |
//! | [`generals`] | certainty that a message arrived | to send it again under its name |
//! | [`clocks`] | clocks that agree | order by cause and effect; intervals |
//! | [`cap`] | an answer that is right on both sides of a cut | to be silent, or to promise less |
//! | [`flp`] | consensus that surely ends, without time | partial synchrony, coins, detectors |
//! | [`illusion`] | | what all of this is for |
//!
//! Each has a function `run`, which writes a [`Report`]: for a person, with a verdict that is computed.
//! The parts below it are public, so that tests and the curious can call them with other seeds and
//! other systems.
//!
//! ```
//! use synod_walls::flp::{Ended, Escape, Paxos, WaitForAll, pursue};
//!
//! let paxos = pursue(&Paxos::new(7), 7, 100);
//! assert!(paxos.ended.is_none() && paxos.findings.steps >= 100); // undecided, and proven to be
//!
//! let naive = pursue(&WaitForAll { processes: 3 }, 7, 100);
//! assert!(matches!(naive.ended, Some(Ended::Escape(Escape::Blocks { .. }))));
//! ```
//!
//! # Guarantees
//!
//! - Equal seeds give equal reports, but for the real threads of [`comforts`].
//! - A report without a verdict does not stand.
//! - [`scene`] and [`raft_service`] are the cluster that most of them run on, in virtual time.

pub mod cap;
pub mod clocks;
pub mod comforts;
mod command;
pub mod fallacies;
pub mod flp;
pub mod generals;
pub mod illusion;
pub mod raft_service;
mod report;
pub mod scene;
pub mod suspicion;

pub use report::Report;
