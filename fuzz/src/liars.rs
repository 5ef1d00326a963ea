//! One node among peers that make things up: what they say is well-formed and otherwise anything. The core may be
//! misled, as by any liar; it must not panic, break a rule that concerns this node alone, or work without bound.

pub(crate) mod paxos;
pub(crate) mod raft;

/// What one input may make a node allocate, all in all.
const INPUT_BYTES_MAX: usize = 4 << 20;
/// What one input may make a node say and do.
const OUTPUTS_MAX: usize = 1_000;
