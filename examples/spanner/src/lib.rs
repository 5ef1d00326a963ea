//! A small Spanner (Corbett et al., "Spanner: Google's Globally-Distributed Database", OSDI 2012): sharded, replicated,
//! transactional, externally consistent.
//!
//! # The problem
//!
//! Keys are spread over shards, each of them replicated by a consensus group of its own. A transaction reads and
//! writes on several shards, and whoever begins after it has ended, anywhere, by whichever node's clock, must see it.
//! One log would give that order; many logs give many orders. Spanner's answer is a timestamp: each transaction gets
//! one that lies between its beginning and its end in true time, from clocks that say how wrong they may be
//! ([`synod_truetime`]), and everything else, locks, two-phase commit, leases, reads at any replica, is arranged so
//! that timestamps tell the truth.
//!
//! # The model
//!
//! Everything here is a value: no socket, no file, no clock, no thread. Time is an argument ([`Now`]), messages may
//! be lost, repeated and late, logs are those of [`synod_replica`] (Raft or Multi-Paxos), and a log may hold the
//! commands of a leader that is gone behind those of its successor. Clocks must contain true time; if one does not,
//! the causal floor on messages ([`Stamped`]) finds it before anybody acts by it, and names it.
//!
//! ```text
//! client: Attempt ── reads, writes, commit ──▶ Leader of A ── votes, outcomes ── Leader of B │   locks, oracle,
//! stages: volatile, gone with the reign │ Command, fenced by reign and number ▼ the log of shard A (raft or paxos) ╱
//! │              ╲ Shard, State    Shard, State    Shard, State      versions, prepared, outcomes, lease ▲ read
//! without locks: plan, look ── SafeTime ──────────┘   at any replica that has caught up
//! ```
//!
//! # The rooms
//!
//! | room | what is in it | lives |
//! |---|---|---|
//! | `shard`, `store`, `command` | the replicated machine: versions, prepared table, lease; its bytes | in the log |
//! | `leader`, `stage`, `locking`, `handing_over` | one leader of one shard: what comes in and goes out | one reign |
//! | `lock` | wound-wait over keys and ranges | one reign |
//! | `oracle` | timestamps inside the lease; closing | one reign |
//! | `participant`, `coordinator`, `settling` | the three parts of two-phase commit | one reign |
//! | `safe_time`, `read` | what a replica may serve, and what each read waits for | each replica |
//! | `doubt` | whether a node may believe its own clock | each node |
//! | `client` | one attempt: buffered writes, holds; when to try again | one attempt |
//! | `shard_map`, `span`, `txn`, `message`, `codec` | names, ranges, words and bytes | |
//!
//! # The walk of one transaction
//!
//! A transfer from `a` on shard A to `b` on shard B, with A as coordinator; ε is 4 ms.
//!
//! ```text
//!  client            leader of A                 log of A       leader of B                log of B
//!    │ Read a ───────▶ shared lock                              │                             │
//!    │ ◀──── value, Hold                                        │                             │
//!    │ Read b ────────────────────────────────────────────────▶ shared lock                   │
//!    │ ◀─────────────────────────────────────────── value, Hold │                             │
//!    │ Commit ───────▶ exclusive lock                           │                             │
//!    │ Prepare ───────────────────────────────────────────────▶ exclusive lock                │
//!    │                 │                                        p = latest, above all before  │
//!    │                 │                                        │ Act::Prepare at p ────────▶ │
//!    │                 │ ◀──────────── Yes { prepared: p, before: end of B's lease } ─ applied │
//!    │                 s = max(latest, p, last + 1), below `before`                           │
//!    │                 ├ Act::Commit at s ──▶ │                 │                             │
//!    │                 ┆ commit wait          │                 │                             │
//!    │                 ┆ ◀─────────── applied │                 │                             │
//!    │                 ┆ until earliest > s                     │                             │
//!    │ ◀─── Decided(s) ┤ locks go                               │                             │
//!    │                 ├ Outcome(s) ──────────────────────────▶ Act::Finish at s ───────────▶ │
//!    │                 │ ◀───────────────────────────── Settled ─ locks go ◀───────── applied │
//!    │                 ├ Act::Settled ──────▶ │                 │                             │
//! ```
//!
//! The commit wait and the log are waited for at once, so a transaction takes the longer of the two. What is told is in
//! the log and past; what is not told yet may still become an abort, by whoever leads next.
//!
//! # What is promised
//!
//! - *External consistency*: if one transaction has ended before another began, its timestamp is the smaller one
//!   (section 4.1.2), and each sees exactly what is below its own.
//! - *Atomicity*, whoever dies at whatever step: the first decision in the coordinator's log stands, and all
//!   participants come to it.
//! - *Reads without locks* never hold up a writer, at any replica, and never show what another reader might not see
//!   yet.
//! - *Progress*: with leaders, messages and clients that answer, what was begun ends; a retry keeps its age, and the
//!   oldest is never wounded.
//! - *Bounds*: [`Limits`], and the constants of this crate; what is beyond is refused ([`Refused`]), and nothing
//!   happened.
//!
//! Nothing of it rests on a lease being valid when an answer leaves: a process may pause between any look at the
//! clock and any act. The README has each rule with its function and the paper's section, and where this differs from
//! Spanner.
//!
//! # The loop
//!
//! A node puts a take-over into the log; when it comes back applied there is a [`Leader`], to be fed and drained:
//!
//! ```
//! use std::time::Duration;
//! use synod_replica::{Applying, StateMachine, embed::Instant};
//! use synod_spanner::{
//!     Act, Answer, Attempt, Command, Decision, Leader, Limits, Now, Output, Reign, Reply, Shard, ShardId, TxnId,
//! };
//! use synod_truetime::{Interval, NamedFloor, Timestamp};
//!
//! let shard = ShardId(1);
//! let (mut machine, mut index, mut floor) = (Shard::default(), 0, NamedFloor::new(1));
//! let mut log = |machine: &mut Shard, command: &Command| {
//!     index += 1; // here a group replicates it
//!     machine.apply(Applying { index, offset: 0 }, command.encode())
//! };
//! let mut clock = |ms: i64| {
//!     let time = Interval::around(Timestamp::from_nanos(ms * 1_000_000), Duration::from_millis(4));
//!     (Instant(Duration::from_millis(ms.unsigned_abs())), time, floor.outgoing(&time))
//! };
//!
//! let (local, time, floor) = clock(100);
//! let lease_end = time.earliest() + Limits::default().leader_lease;
//! let act = Act::TakeOver { lease_end };
//! let applied = log(&mut machine, &Command { reign: Reign(1), number: 0, floor, act });
//! let Reply::TookOver(standing) = applied.reply else { panic!("another was first") };
//! let now = Now { local, time, floor, state: machine.state() };
//! let mut leader = Leader::new(shard, Limits::default(), *standing, applied.index, &now);
//!
//! let mut attempt = Attempt::new(TxnId::first(time.latest(), 1, 1, shard));
//! attempt.write(shard, "key".into(), Some("value".into()))?;
//! for (_, request) in attempt.commit() {
//!     leader.handle_request(&now, request);
//! }
//! let mut told = None;
//! for ms in 100..200 {
//!     let (local, time, floor) = clock(ms);
//!     leader.handle_timeout(&Now { local, time, floor, state: machine.state() });
//!     while let Some(output) = leader.poll_output() {
//!         match output {
//!             Output::Propose(command) => {
//!                 let applied = log(&mut machine, &command);
//!                 let now = Now { local, time, floor, state: machine.state() };
//!                 leader.handle_applied(&now, command.number, applied)?;
//!             }
//!             Output::Client(_, Answer::Decided(decision, _)) => told = told.or(Some((ms, decision))),
//!             Output::Client(..) | Output::Peer(..) => {}
//!         }
//!     }
//! }
//! // `latest` was 104 ms; `earliest` had to pass that.
//! let at = Timestamp::from_nanos(104_000_000);
//! assert_eq!(told, Some((109, Decision::Committed(at))));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is left out
//!
//! - Nodes, sockets and a server: this crate is what they would run.
//! - Schemas, SQL, directories that move between shards (sections 2.2 and 2.3); the map of shards is fixed.
//! - Spanner's shortcuts for reads: `LastTS()`, safe time by key range (sections 4.1.4 and 4.2.4).
//! - Several reads of one transaction under way at one shard at once.

mod client;
mod codec;
mod command;
mod coordinator;
mod doubt;
mod handing_over;
mod leader;
mod lock;
mod locking;
mod message;
mod oracle;
mod participant;
mod read;
mod safe_time;
mod settling;
mod shard;
mod shard_map;
mod span;
mod stage;
mod store;
mod txn;

pub use client::{Attempt, Failed, Retry};
pub use codec::Broken;
pub use command::{
    Act, Applied, COMMAND_BYTES_MAX, Command, PARTICIPANTS_MAX, Prepared, Reply, Standing,
};
pub use doubt::Doubt;
pub use leader::{Ended, Leader};
pub use lock::{Lock, LockTable, LocksFull, Mode, Turned};
pub use message::{Answer, Output, Part, Peer, Refused, Request, Stamped, Vote};
pub use oracle::{LeaseOver, Oracle};
pub use read::{Plan, TooStale, bounded_staleness, look, plan};
pub use safe_time::{AHEAD_MAX, Promise, SafeTime};
pub use shard::{Outcome, Shard, State};
pub use shard_map::{NoShardMap, ShardMap};
pub use span::{
    KEY_BYTES_MAX, Span, TooLarge, VALUE_BYTES_MAX, WRITES_BYTES_MAX, WRITES_MAX, Writes,
};
pub use stage::Limits;
pub use store::{Collected, Scan, ScanLimit, Store, Version};
pub use txn::{Decision, Hold, Now, Reign, ShardId, TxnId};
