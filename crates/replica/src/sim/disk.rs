//! The log's medium on a simulated disk, and bit rot in it.

use std::io;

use synod_sim as sim;
use synod_wal::{Disk, File};

/// A simulated disk as the log's medium. Clones refer to the same disk.
#[derive(Clone, Debug)]
pub struct SimDisk(pub sim::Disk);

/// A file of a [`SimDisk`].
#[derive(Debug)]
pub struct SimFile {
    disk: sim::Disk,
    name: String,
}

impl SimDisk {
    /// An empty disk whose faults are drawn from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(sim::Disk::new(seed))
    }
}

impl Disk for SimDisk {
    type File = SimFile;

    fn open(&self, name: &str) -> io::Result<SimFile> {
        self.0.create(name)?;
        Ok(SimFile {
            disk: self.0.clone(),
            name: name.to_owned(),
        })
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.0.names()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name)
    }

    fn free_bytes(&self) -> io::Result<Option<u64>> {
        Ok(Some(self.0.free_bytes()))
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_names()
    }
}

impl File for SimFile {
    fn len(&self) -> io::Result<u64> {
        self.disk.len(&self.name)
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        self.disk.read_at(&self.name, at, into)
    }

    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.disk.write_at(&self.name, at, bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.sync(&self.name)
    }
}

/// Flips one bit of a log record or of a snapshot. Returns whether there was anything to damage.
///
/// The last batch of the log is spared: there a damaged record cannot be distinguished from a torn
/// one and is cut, as the log documents. So is the batch before it, as the last one may be in the
/// page cache only and be lost with the power.
pub(super) fn rot(disk: &sim::Disk, rng: &mut sim::Rng) -> bool {
    let Some((name, from, len)) = rotten(disk, rng) else {
        return false;
    };
    let at = from + rng.below(len);
    disk.flip(&name, at, 1 << rng.below(8)).is_ok()
}

/// A record of the log or a snapshot: its file, offset and length in bytes.
fn rotten(disk: &sim::Disk, rng: &mut sim::Rng) -> Option<(String, u64, u64)> {
    let names = disk.names().ok()?;
    let mut places: Vec<(String, u64, u64)> = names
        .into_iter()
        .filter(|name| name.ends_with(".snap"))
        .filter_map(|name| Some((name.clone(), 0, disk.len(&name).ok()?)))
        .collect();
    let snapshots = places.len();
    let log = SimDisk(disk.clone());
    let records: Vec<_> = synod_wal::dump(&log).ok()?.map_while(Result::ok).collect();
    let last = records.last().map_or(0, |record| record.batch);
    let old = records.iter().filter(|record| record.batch + 1 < last);
    places.extend(old.map(|record| {
        let name = format!("{:08}.log", record.segment);
        (name, record.offset, record.len)
    }));
    // There are few snapshots and many records: each sort gets half of the draws.
    let sort = match (snapshots, places.len() - snapshots) {
        (0, 0) => return None,
        (0, _) => snapshots..places.len(),
        (_, 0) => 0..snapshots,
        _ if rng.chance(0.5) => 0..snapshots,
        _ => snapshots..places.len(),
    };
    let drawn = sort.start + rng.index(sort.len());
    Some(places.swap_remove(drawn)).filter(|(_, _, len)| *len > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use synod_wal::{GroupId, Op, OpenError, Options, Tag, Wal};

    /// Whichever bit is damaged, the log reports it; or it was in a snapshot, and the log is
    /// intact.
    #[test]
    fn rot_is_never_taken_for_a_torn_write() {
        let mut refused = 0;
        for seed in 0..50 {
            let disk = sim::Disk::new(seed);
            let mut options = Options::default();
            options.segment_bytes = 16 << 10;
            options.record_bytes_max = 1 << 10;
            options.reserve_bytes = 0;
            options.salt = Some(seed);
            let mut wal = Wal::open(SimDisk(disk.clone()), options.clone()).unwrap();
            let body = Bytes::from_static(b"entry");
            for index in 1..9 {
                let put = Op::Put {
                    index,
                    tag: Tag::default(),
                    body: &body,
                };
                wal.append(GroupId(1), &mut [put].into_iter()).unwrap();
                wal.sync().unwrap();
            }
            drop(wal);
            let mut rng = sim::Rng::new(seed);
            assert!(rot(&disk, &mut rng));
            match Wal::open(SimDisk(disk), options) {
                Err(OpenError::Corrupt(_) | OpenError::Missing { .. }) => refused += 1,
                Err(error) => panic!("seed {seed}: {error:?}"),
                Ok(_) => panic!("seed {seed}: the log does not notice"),
            }
        }
        assert_eq!(refused, 50);
    }
}
