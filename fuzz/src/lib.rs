//! Fuzz targets: functions that a coverage-guided fuzzer gives bytes, and that panic when a promise is broken.
//!
//! ```text
//!  corpus/NAME/*  ──> Target::run ── panics: a finding
//!      ▲                  │ coverage
//!      └── what is new ───┘          libFuzzer, in a build with `--cfg fuzzing`
//! ```
//!
//! A target is an ordinary function. `cargo test -p synod-fuzz` runs each over its kept corpus on any
//! machine, so that what was found once stays mended; `.ci/fuzz` looks for more. The README has the rest.
//!
//! | kind | the bytes are | what is asserted |
//! |---|---|---|
//! | decoders | what a stranger sent, or a file | no panic, memory bounded by the length, and one reading |
//! | recovery | a log, and what befell it | no panic, bounded memory; what opened once opens again and is the same |
//! | liars | messages of peers that make things up | a core's own invariants, no panic, bounded work for each message |
//! | engines | frames, deadlines, completions | each ticket ends once, no panic, bounded memory |
//! | clusters | a schedule of honest nodes | `synod_raft::check` and `synod_paxos::check` see no rule broken |

mod clusters;
mod decoders;
mod disk;
mod engines;
mod liars;
mod memory;
mod recovery;
mod script;
mod seeds;
mod wal;

pub use seeds::write_seeds;

/// One thing to fuzz.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, also of its folder in `corpus`.
    pub name: &'static str,
    body: fn(&[u8]),
    seeds: fn() -> Vec<Vec<u8>>,
}

impl Target {
    /// Does with `data` what the target is about.
    ///
    /// # Panics
    /// When a promise is broken: that is a finding.
    pub fn run(&self, data: &[u8]) {
        (self.body)(data);
    }

    /// Inputs to begin with, made by the encoders of today.
    #[must_use]
    pub fn seeds(&self) -> Vec<Vec<u8>> {
        (self.seeds)()
    }
}

/// The target of that name.
#[must_use]
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

macro_rules! targets {
    ($($name:literal: $module:path,)*) => {
        /// All targets.
        pub static TARGETS: &[Target] = &[$({
            use $module as module;
            Target { name: $name, body: module::run, seeds: module::seeds }
        },)*];
    };
}

targets! {
    "identity": decoders::identity,
    "kv-request": decoders::kv_request,
    "kv-state": decoders::kv_state,
    "lamport-text": decoders::lamport_text,
    "paxos-cluster": clusters::paxos,
    "paxos-engine": engines::paxos,
    "paxos-liars": liars::paxos,
    "paxos-wire": decoders::paxos_wire,
    "raft-cluster": clusters::raft,
    "raft-engine": engines::raft,
    "raft-liars": liars::raft,
    "raft-wire": decoders::raft_wire,
    "replica-body": decoders::replica_body,
    "shiviz": decoders::shiviz,
    "transport-stream": decoders::transport_stream,
    "truetime-source": decoders::truetime_source,
    "vclock-text": decoders::vclock_text,
    "vclock-wire": decoders::vclock_wire,
    "wal-record": decoders::wal_record,
    "wal-recovery": recovery,
    "wal-snapshot": decoders::wal_snapshot,
}
