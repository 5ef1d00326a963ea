//! A durable segmented log of many groups, and snapshot files beside it.

mod catalog;
#[cfg(unix)]
mod directory;
mod disk;
mod dump;
mod error;
mod format;
mod index;
mod options;
mod power_loss;
mod reader;
mod recovery;
mod scan;
mod slot;
mod snapshot;
mod snapshot_file;
mod spares;
mod upkeep;
mod wal;
mod writer;

#[cfg(unix)]
pub use directory::{Directory, DirectoryError, DirectoryFile};
pub use disk::{Disk, File};
pub use dump::{DumpedContent, DumpedOp, DumpedRecord, dump};
pub use error::{AppendError, Corruption, OpenError, ReadError, SnapshotError, SyncError};
pub use options::{Options, Stats};
pub use power_loss::{PowerLoss, PowerLossFile};
pub use reader::{Reader, Recovered, Slots};
pub use slot::{GroupId, Lsn, Op, Slot, Tag};
pub use snapshot::{Snapshot, Snapshots};
pub use snapshot_file::SnapshotReader;
pub use wal::Wal;
