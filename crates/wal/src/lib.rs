//! A durable log of numbered slots of many groups, and snapshot files beside it.
//!
//! # Problem
//!
//! A node of a replicated system promises things to its peers: a vote, a ballot, an entry that it
//! holds. A promise is worth what the disk behind it is worth, and a disk forgets: a write without
//! a sync, a name without a sync of its directory, the second half of a write, the first half. This
//! crate is the place where promises are kept. It knows nothing of what they mean: a group has a
//! *state* of 32 bytes, *slots* with a number, a tag of 32 bytes and a body, and a *start* below
//! which slots are forgotten because a snapshot has them.
//!
//! ```text
//!   append(group 1, ..)  append(group 2, ..)            sync()
//!           │                    │                        │
//!           ▼                    ▼                        ▼
//!   ┌─ pending batch, in memory ─────────┐    one write, one sync, all groups
//!   │ record lsn 7 │ record lsn 8 │ ...  │ ─────────────────────────────────┐
//!   └────────────────────────────────────┘                                  ▼
//!   00000003.log, generation 5     00000001.log, generation 6     00000004.log, generation 7
//!   ┌──────┬───────┬───────┐       ┌──────┬───────┬──────────┐    ┌──────┬───────┬───────────┐
//!   │ head │ batch │ batch │       │ head │ batch │ batch    │    │ head │ batch │ zeros ... │
//!   └──────┴───────┴───────┘       └──────┴───────┴──────────┘    └──────┴───────┴───────────┘
//!    oldest: when no slot in it is live, it is recycled as generation 8
//! ```
//!
//! # Guarantees
//!
//! - What [`Wal::sync`] has answered for is there at the next [`Wal::open`], or `open` fails and
//!   says which record is bad. There is one exception: rot in the very last batch cannot be told
//!   from a write that was torn, and cuts it, though it was answered for.
//! - An append is there wholly or not at all, and never without those before it, of whichever
//!   group.
//! - Nothing is there that was not appended: no record of a segment's former incarnation, of a torn batch,
//!   or within a body, also when a client made the body up to look like records.
//! - A failed write or sync latches the log shut. It is never tried again: after a failed sync the
//!   pages count as clean, and the next sync would succeed without doing anything (Rebello et al.,
//!   *Can Applications Recover from fsync Failures?*, ATC 2020). A full disk is no failure, nor is a
//!   process without a free descriptor: appends are refused before anything of them is taken. What
//!   has no body, as the entry by which a leader begins, finds a reserve for longer, and votes and
//!   what cuts the log for longer still. Beside the log space is kept back for a snapshot, so that a
//!   log that has filled its disk can be cut.
//! - What `open` has found is durable, also if the process before was killed between a write and
//!   its sync.
//! - A [snapshot](Snapshots) is there wholly or not at all, and verified before its body is read.
//!
//! # The loop
//!
//! ```
//! # use bytes::Bytes;
//! # use synod_wal::{Directory, GroupId, Op, Options, Tag, Wal};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let temporary = tempfile::tempdir()?;
//! # let path = temporary.path();
//! let mut wal = Wal::open(Directory::open(path)?, Options::default())?;
//! let recovered = wal.recover(GroupId(1))?;                  // state, start, and the slots as a stream
//! let mut next = recovered.start.0 + 1;
//! for slot in recovered.slots {
//!     next = slot?.index + 1;
//! }
//! let body = Bytes::from_static(b"command");
//! let lsn = wal.append(GroupId(1), &mut [Op::Put { index: next, tag: Tag::default(), body: &body }].into_iter())?;
//! wal.sync()?;                                               // as many appends as there are share one sync
//! assert!(wal.durable() >= lsn);                             // now the promise may be told
//! # Ok(()) }
//! ```
//!
//! # Torn or corrupt?
//!
//! A batch is written only when everything before it is durable, so a crash can tear the final
//! batch and no other. But from a bad record alone nobody can tell a torn batch from an
//! acknowledged record that has rotted, and to cut the latter is to break a promise (Alagappan et
//! al., *Protocol-Aware Recovery*, FAST 2018). So **every record says up to where the log was
//! durable when its batch was written.** Behind a bad record recovery looks at each place where a
//! record may begin. A good record that was written when the bad one was durable already convicts
//! it: [`OpenError::Corrupt`]. If there is none, the bad one belongs to the final batch and is cut;
//! good records of that batch behind it, which are there when sectors were written out of order, go
//! with it.
//!
//! The opening of a segment may be the one of its former incarnation, when the write of the new one got lost.
//! So recovery looks for such a proof in files too that are no part of the log by their openings.
//!
//! Good records of a cut batch stay behind on the disk and must not come back. The first batch of
//! each process is one record alone, with a number that no durable batch has. A batch of one record
//! leaves no good part behind, and a later batch has a greater number, so what is left of an
//! earlier process has a number that is used up.
//!
//! A client can foresee where a body will stand, and the numbers and the checksum of a record with
//! it. So a body could hold records that are believed behind a torn one, or that convict it.
//! Therefore **every record carries the salt of the log**, 64 random bits that are never shown to a
//! client, and what has another salt than the opening of its segment is no record. The salt is not
//! merely mixed into the checksum, because a CRC is linear: 32 of its bits would be left. And it is
//! not in the opening alone, because an opening that rots would take it along, and with it the
//! proof that it was durable.
//!
//! A flipped byte anywhere in a batch that is not the final one is thus told, padding included. A
//! flip in space that was never written, or in a segment that waits to be used, is harmless.
//!
//! # Segments
//!
//! A segment is filled with zeros before its first use and written over when it is recycled: a
//! write into blocks that were written before changes nothing but data. It opens with the state and
//! start of every group, and slots that still live in the oldest segment are appended anew when
//! most of the log is garbage, a little with each batch. So an idle group pins nothing, and the log
//! is at most about twice what lives in it, and a few segments. A segment is written over only when
//! the opening of a later one is durable that says that it is no part of the log any more. So the last
//! segment in waiting is begun only when that gives one back: a log on a full disk of which all was
//! forgotten can always go on.
//!
//! The next segment is filled when half of the last one is used and none waits that may be begun,
//! 256 KiB behind each batch, and more behind a large one. That is upkeep, done where the batch was
//! synced, and costs as much as a second sync while the log grows; a log that is cut regularly
//! recycles and never fills.
//!
//! # What a sync costs
//!
//! `cargo run --release -p synod-wal --example sync_cost`, one run on ext4 on a virtio disk with
//! write-back cache, two cores shared with other work, which is where the tails come from. When
//! that work takes all of the cores everything costs milliseconds: compare lines of one run only.
//! In microseconds:
//!
//! | 4 KiB at a time | p50 | p99 |
//! |---|---|---|
//! | append, fdatasync | 234 | 8,019 |
//! | overwrite, fdatasync | 135 | 5,457 |
//! | overwrite, `O_DSYNC` | 128 | 5,500 |
//! | **this log**, 256 B a batch, while it grows | 120 | 4,105 |
//! | **this log**, 256 B a batch, while it recycles | 107 | 3,716 |
//! | **this log**, 64 KiB a batch, while it recycles | 191 | 7,995 |
//!
//! To write over blocks is worth 1.7 times. Between `fdatasync` and `O_DSYNC` there is no
//! difference that would survive a second run, so the log uses `fdatasync`: snapshots and the
//! filling of segments can then write much and sync once through the same [`File`], and a sync
//! stays a call that a test can let fail.
//!
//! # Layout, version 0
//!
//! All integers are little-endian. A segment `NNNNNNNN.log` is a sequence of batches, each at a
//! multiple of 4,096 so that no byte of a durable batch shares a block with a later write. A batch
//! is a sequence of records, each at a multiple of 8:
//!
//! ```text
//!  offset  bytes  record
//!       0      3  "SYN"
//!       3      1  version of the format, 0
//!       4      4  CRC-32C over: the record's offset in its segment (8 bytes, not stored),
//!                 bytes 0 to 4, bytes 8 to the end
//!                 of the padding
//!       8      4  length of the payload, n
//!      12      1  kind: 1 operations, 2 head, 3 open, 4 carried forward
//!      13      1  1 when it is the last record of its batch
//!      14      2  zero
//!      16      8  generation of the segment, from 1
//!      24      8  lsn, one more than that of the record before
//!      32      8  lsn up to which the log was durable when the batch was written
//!      40      8  number of the batch, greater than that of the batch before
//!      48      8  group, for kinds 1 and 4
//!      56      8  salt, a secret of the log: the same in all records
//!      64      n  payload
//!  64 + n         zeros up to a multiple of 8; behind the last record of a batch, of 4,096
//!
//!  operations, carried: a sequence of             head, the first record of a segment:
//!     1  tag 32                      state           0   8  "synodwal"
//!     2  from 8                      truncate        8   8  oldest generation of the log
//!     3  index 8, tag 32, n 4, n     put            16   8  how many groups follow, each with
//!     4  after 8, tag 32             start               8  group
//!                                                        8  start: last slot that is not in the log
//!  open: nothing                                        32  start: its tag
//!                                                        8  1 when it has a state
//!                                                       32  state
//!
//!  offset  bytes  snapshot  GROUP-INDEX.snap; .new while it is written; GROUP-INDEX-CRC.part while it is received
//!       0      8  "synodown"
//!       8      4  version of the format, 1
//!      12      4  CRC-32C of bytes 0 to 12 and 16 to 24
//!      16      8  salt of the log that it lies beside
//!                 from here on the file is transferred, and offsets and the length count from here:
//!       0      8  "synodsnp"
//!       8      4  version of the format, 1
//!      12      4  length of the owner's bytes, m, at most 1 MiB
//!      16      8  group
//!      24      8  index
//!      32     32  tag
//!      64      m  the owner's bytes
//!  64 + m      4  CRC-32C of all before it
//!  68 + m         body
//!     end - 40 8  length
//!    end - 32 32  SHA-256 of all before it
//! ```
//!
//! # Assumptions about the medium
//!
//! 1. What was written before a sync that succeeded stays, with the exception of rot, which
//!    checksums find; names likewise with a sync of the directory.
//! 2. A power loss during a write may leave any mixture of old and new bytes in the 4 KiB blocks
//!    that are written, or unreadable ones that an `open` then fails on; it touches no other block.
//! 3. A rename is atomic: after a crash a name leads to the old file or to the new one.
//! 4. Nobody else writes to the directory: [`Directory`] locks it, and the tests of the crate
//!    replace it by a simulated disk that loses, tears and reorders all it may.
//! 5. The checksum is against accidents. Whoever can write or read the files can forge a record. The hash of a
//!    snapshot says that it is the one that its sender has, not that its sender is honest.
//!
//! # What is left out
//!
//! The log repairs nothing: a node whose log is corrupt is to be rebuilt from its peers. It has one
//! writer, and one sync at a time, on the caller's thread ([`Wal::sync`]) or on any other
//! ([`Wal::begin_sync`]). Each live slot takes some 100 bytes of memory, its body
//! none. A group cannot be forgotten: its state stays in every head.

mod catalog;
#[cfg(unix)]
mod directory;
mod disk;
mod dump;
mod error;
mod format;
mod index;
mod mark;
mod options;
mod power_loss;
mod reader;
mod recovery;
mod reserve;
mod room;
mod scan;
mod slot;
mod snapshot;
mod snapshot_file;
mod spares;
mod sync;
mod upkeep;
mod wal;
mod writer;

#[cfg(unix)]
pub use directory::{Directory, DirectoryError, DirectoryFile};
pub use disk::{Disk, File, is_full};
pub use dump::{DumpedContent, DumpedOp, DumpedRecord, dump};
pub use error::{AppendError, Corruption, OpenError, ReadError, SnapshotError, SyncError};
pub use mark::Mark;
pub use options::{Options, Stats};
pub use power_loss::{PowerLoss, PowerLossFile};
pub use reader::{Reader, Recovered, Slots};
pub use reserve::give_up_reserve;
pub use slot::{GroupId, Lsn, Op, Slot, Tag};
pub use snapshot::{Snapshot, Snapshots, remove_unfinished};
pub use snapshot_file::{Seal, SnapshotReader};
pub use sync::{SyncDone, SyncWork};
pub use wal::Wal;
