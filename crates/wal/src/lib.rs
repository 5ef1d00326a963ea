//! A durable write-ahead log of numbered slots, shared by many groups, with snapshot files beside
//! it.
//!
//! # Problem
//!
//! A node of a replicated system makes promises to its peers: a vote, a ballot, an entry that it
//! holds. A promise is worth no more than the disk behind it, and disks forget: a write without a
//! sync, a name without a sync of its directory, the second half of a write, or the first half.
//! This crate stores promises durably. It does not interpret them: a group has a *state* of 32
//! bytes, *slots* with a number, a tag of 32 bytes and a body, and a *start*, below which slots are
//! forgotten because a snapshot contains them.
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
//! - What [`Wal::sync`] has confirmed is there at the next [`Wal::open`], or `open` fails and names
//!   the bad record. There is one exception: rot in the very last batch cannot be distinguished
//!   from a torn write, so the batch is cut, although it was confirmed.
//! - An append is there completely or not at all, and never without all appends before it, of
//!   whichever group.
//! - Nothing is there that was not appended: no record of a segment's previous use, of a torn
//!   batch, or inside a body, even if a client made the body look like records.
//! - A failed write or sync closes the log for good. It is never retried: after a failed sync the
//!   pages count as clean, and the next sync would succeed without doing anything (Rebello et al.,
//!   *Can Applications Recover from fsync Failures?*, ATC 2020). A full disk is no failure, nor is
//!   a process without a free file descriptor: appends are then refused before anything of them is
//!   taken. A reserve keeps space for records without a body, such as a leader's first entry, and a
//!   further one for votes and for what cuts the log. Beside the log space is reserved for a
//!   snapshot, so that a log that has filled its disk can be cut.
//! - What `open` has found is durable, even if the previous process was killed between a write and
//!   its sync.
//! - A [snapshot](Snapshots) is there completely or not at all, and is verified before its body is
//!   read.
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
//! wal.sync()?;                                               // all pending appends share one sync
//! assert!(wal.durable() >= lsn);                             // now the promise may be sent
//! # Ok(()) }
//! ```
//!
//! # Torn or corrupt?
//!
//! A batch is written only when everything before it is durable, so a crash can tear the final
//! batch and no other. But a bad record alone does not show whether it is part of a torn batch or
//! an acknowledged record that has rotted, and cutting the latter would break a promise (Alagappan
//! et al., *Protocol-Aware Recovery*, FAST 2018). So **every record states up to where the log was
//! durable when its batch was written.** After a bad record, recovery looks at each place where a
//! record may begin. A good record that was written when the bad one was already durable proves
//! that the bad one is corrupt: [`OpenError::Corrupt`]. If there is none, the bad record belongs to
//! the final batch and is cut, together with any good records of that batch after it, which are
//! there if sectors were written out of order.
//!
//! The opening of a segment may be that of its previous use, if the write of the new one was lost.
//! So recovery looks for such a proof also in files that, by their openings, are not part of the
//! log.
//!
//! Good records of a cut batch remain on the disk and must not come back. The first batch of each
//! process is a single record, with a number that no durable batch has. A batch of one record
//! leaves no good part behind, and later batches have greater numbers, so the remains of an earlier
//! process have a number that is already used.
//!
//! A client can foresee where a body will be stored, and with it the numbers and the checksum of a
//! record. So a body could contain records that would be believed after a torn one, or that would
//! prove it corrupt. Therefore **every record carries the salt of the log**, 64 random bits that
//! are never shown to a client, and bytes with another salt than the opening of their segment are
//! not a record. The salt is not merely mixed into the checksum, because a CRC is linear and only
//! 32 of its bits would count. And it is not in the opening alone, because a rotten opening would
//! be lost together with the proof that it was durable.
//!
//! So a flipped byte is detected anywhere outside of the final batch, padding included. A flip in
//! space that was never written, or in a segment that waits to be used, is harmless.
//!
//! # Segments
//!
//! A segment is filled with zeros before its first use and overwritten when it is recycled: writing
//! into blocks that were written before changes only data. It opens with the state and start of
//! every group. When most of the log is garbage, slots that still live in the oldest segment are
//! appended again, a few with each batch. So an idle group pins no segments, and the log is at most
//! about twice the size of its live contents plus a few segments. A segment is overwritten only
//! when the opening of a later one durably states that it is no longer part of the log. So the last
//! waiting segment is begun only if that releases one: a log on a full disk in which everything was
//! forgotten can always continue.
//!
//! The next segment is filled when half of the current one is used and no segment is ready: 256 KiB
//! after each batch, and more after a large one. This upkeep runs where the batch was synced, and
//! costs as much as a second sync while the log grows; a log that is cut regularly recycles and
//! never fills.
//!
//! # What a sync costs
//!
//! `cargo run --release -p synod-wal --example sync_cost`, one run on ext4 on a virtio disk with
//! write-back cache. The two cores were shared with other work, which causes the long tails; when
//! that work takes all of the cores, everything costs milliseconds. Compare lines of one run only.
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
//! Overwriting blocks is 1.7 times as fast as appending. `fdatasync` and `O_DSYNC` do not differ
//! reproducibly, so the log uses `fdatasync`: snapshots and the filling of segments can then write
//! much and sync once through the same [`File`], and a sync is a call that a test can make fail.
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
//!                 bytes 0 to 4, and bytes 8 to the end of the padding
//!       8      4  length of the payload, n
//!      12      1  kind: 1 operations, 2 head, 3 open, 4 carried forward
//!      13      1  1 if it is the last record of its batch
//!      14      2  zero
//!      16      8  generation of the segment, from 1
//!      24      8  lsn, one more than that of the record before
//!      32      8  lsn up to which the log was durable when the batch was written
//!      40      8  number of the batch, greater than that of the batch before
//!      48      8  group, for kinds 1 and 4
//!      56      8  salt, a secret of the log: the same in all records
//!      64      n  payload
//!  64 + n         zeros up to a multiple of 8; after the last record of a batch, of 4,096
//!
//!  operations, carried: a sequence of             head, the first record of a segment:
//!     1  tag 32                      state           0   8  "synodwal"
//!     2  from 8                      truncate        8   8  oldest generation of the log
//!     3  index 8, tag 32, n 4, n     put            16   8  how many groups follow, each with
//!     4  after 8, tag 32             start               8  group
//!                                                        8  start: last slot not in the log
//!  open: nothing                                        32  start: its tag
//!                                                        8  1 if it has a state
//!                                                       32  state
//!
//!  offset  bytes  snapshot  GROUP-INDEX.snap; .new while it is written; GROUP-INDEX-CRC.part while it is received
//!       0      8  "synodown"
//!       8      4  version of the format, 1
//!      12      4  CRC-32C of bytes 0 to 12 and 16 to 24
//!      16      8  salt of the log that the file belongs to
//!                 the transferred part begins here; its offsets and length count from here:
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
//! 1. What was written before a successful sync stays, except for rot, which checksums detect; the
//!    same holds for names and a sync of the directory.
//! 2. A power loss during a write may leave any mixture of old and new bytes in the 4 KiB blocks
//!    that are written, or unreadable blocks, on which `open` then fails; it affects no other
//!    block.
//! 3. A rename is atomic: after a crash a name refers to the old file or to the new one.
//! 4. Nobody else writes to the directory: [`Directory`] locks it. The tests of the crate replace
//!    it by a simulated disk that loses, tears and reorders everything that it may.
//! 5. Checksums protect against accidents. Anyone who can read or write the files can forge a
//!    record. The hash of a snapshot proves that it is the one the sender has, not that the sender
//!    is honest.
//!
//! # What is left out
//!
//! The log repairs nothing, and a node whose log is corrupt has to be replaced by one with another
//! identity. The peers could send the lost bodies again, as protocol-aware recovery has them do. But
//! a record also holds votes and terms, and whoever has lost those must not vote until a quorum has
//! told what they may have been: a second protocol beside the consensus, for what replacing the node
//! does as well while a majority is whole. If records rotted on a majority at once, replacing does
//! not help, even where each record is whole on some node; recovery by parts would. The log has one
//! writer and one sync at a time, on the caller's thread ([`Wal::sync`]) or on any other
//! ([`Wal::begin_sync`]). Each live slot takes some 100 bytes of memory, not counting its body,
//! which is on disk only. A group cannot be removed: its state stays in every head.

#![forbid(unsafe_code)]

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

/// Keeps the README's example running.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
#[derive(Debug)]
pub struct ReadmeDoctests;
