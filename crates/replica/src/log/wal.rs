//! `synod_wal` as a log: every sync has completed when it returns.

use std::io;
use std::ops::RangeInclusive;
use std::sync::Arc;

use synod_wal::{
    AppendError, Disk, GroupId, Lsn, Mark, Op, ReadError, Reader, Seal, Slot, Snapshot,
    SnapshotError, Snapshots, Wal,
};

use super::{Log, LogError, LogReader, LogStats, Recovered, SnapshotStore, failed};
use crate::protocol::Position;

impl<D: Disk> Log for Wal<D> {
    fn append(
        &mut self,
        group: GroupId,
        ops: &mut dyn Iterator<Item = Op<'_>>,
    ) -> Result<Lsn, LogError> {
        Self::append(self, group, ops).map_err(|error| match error {
            AppendError::Full => LogError::Full,
            other => failed(other),
        })
    }

    fn sync(&mut self) -> Result<(), LogError> {
        Self::sync(self).map_err(failed)
    }

    fn durable(&self) -> Lsn {
        Self::durable(self)
    }

    fn recover(&mut self, group: GroupId) -> Result<Recovered, LogError> {
        let recovered = Self::recover(self, group).map_err(read_failed)?;
        let (index, tag) = recovered.start;
        let snapshot = Self::snapshots(self).list(group);
        let snapshot = snapshot.map_err(list_failed)?.pop();
        let slots = Box::new(recovered.slots.map(|slot| slot.map_err(read_failed)));
        Ok(Recovered {
            state: recovered.state,
            start: Position { index, tag },
            snapshot,
            slots,
        })
    }

    fn reader(&self) -> Arc<dyn LogReader> {
        Arc::new(Self::reader(self))
    }

    fn snapshots(&self) -> Arc<dyn SnapshotStore> {
        Arc::new(Self::snapshots(self))
    }

    fn stats(&self) -> LogStats {
        let stats = Self::stats(self);
        LogStats {
            syncs: stats.syncs,
            bytes_written: stats.bytes_written,
        }
    }

    fn has_room(&mut self) -> bool {
        let bytes = self.options().record_bytes_max;
        Self::has_room(self, bytes)
    }

    fn room_bytes(&self) -> u64 {
        Self::room_bytes(self)
    }

    fn mark(&self) -> Option<Mark> {
        Some(Self::mark(self))
    }

    fn record_bytes_max(&self) -> usize {
        self.options().record_bytes_max
    }
}

impl<D: Disk> LogReader for Reader<D> {
    fn read(
        &self,
        group: GroupId,
        range: RangeInclusive<u64>,
        bytes_max: usize,
    ) -> Result<Vec<Slot>, LogError> {
        Self::read(self, group, range, bytes_max).map_err(read_failed)
    }
}

impl<D: Disk> SnapshotStore for Snapshots<D> {
    fn create(
        &self,
        group: GroupId,
        snapshot: &Snapshot,
        write: &mut dyn FnMut(&mut dyn io::Write) -> io::Result<()>,
    ) -> Result<u64, SnapshotError> {
        Self::create(self, group, snapshot, write)
    }

    fn write_part(
        &self,
        group: GroupId,
        snapshot: &Snapshot,
        seal: &Seal,
        at: u64,
        bytes: &[u8],
    ) -> Result<(), SnapshotError> {
        Self::write_part(self, group, snapshot, seal, at, bytes)
    }

    fn finish_part(
        &self,
        group: GroupId,
        snapshot: &Snapshot,
        seal: &Seal,
    ) -> Result<(), SnapshotError> {
        Self::finish_part(self, group, snapshot, seal)
    }

    fn discard_part(&self, group: GroupId, snapshot: &Snapshot) -> Result<(), SnapshotError> {
        Self::discard_part(self, group, snapshot)
    }

    fn seal(&self, group: GroupId, index: u64) -> Result<Seal, SnapshotError> {
        Self::seal(self, group, index)
    }

    fn read(
        &self,
        group: GroupId,
        index: u64,
        at: u64,
        into: &mut [u8],
    ) -> Result<usize, SnapshotError> {
        Self::read(self, group, index, at, into)
    }

    fn open(
        &self,
        group: GroupId,
        index: u64,
    ) -> Result<(Snapshot, Box<dyn io::Read + Send>), SnapshotError> {
        Self::open(self, group, index)
            .map(|(snapshot, reader)| (snapshot, Box::new(reader) as Box<dyn io::Read + Send>))
    }

    fn remove_before(&self, group: GroupId, index: u64) -> Result<(), SnapshotError> {
        Self::remove_before(self, group, index)
    }
}

fn list_failed(error: SnapshotError) -> LogError {
    match error {
        SnapshotError::Full => LogError::Full,
        other => failed(other),
    }
}

fn read_failed(error: ReadError) -> LogError {
    match error {
        ReadError::Cut { start } => LogError::Cut { start },
        other => failed(other),
    }
}
