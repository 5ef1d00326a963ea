//! What the snapshot files of a disk must be, given what was confirmed.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use bytes::Bytes;
use synod_wal::{Disk, GroupId, Snapshot, SnapshotError, Snapshots, Tag};

/// The snapshots of all groups: those that must be there, and those that may.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shelf {
    /// For each snapshot that may be there, which writings of it are possible.
    pub(crate) may: BTreeMap<(u64, u64), Vec<u64>>,
    /// Confirmed, and not removed since.
    pub(crate) must: BTreeSet<(u64, u64)>,
}

impl Shelf {
    /// A writing begins.
    pub(crate) fn begin(&mut self, group: u64, index: u64, stamp: u64) {
        self.may.entry((group, index)).or_default().push(stamp);
    }

    /// The call has confirmed it as durable.
    pub(crate) fn finish(&mut self, group: u64, index: u64, stamp: u64) {
        self.may.insert((group, index), vec![stamp]);
        self.must.insert((group, index));
    }

    pub(crate) fn begin_removal(&mut self, group: u64, before: u64) {
        self.must
            .retain(|(of, index)| *of != group || *index >= before);
    }

    pub(crate) fn finish_removal(&mut self, group: u64, before: u64) {
        self.may
            .retain(|(of, index), _| *of != group || *index >= before);
    }

    /// The newest snapshot of a group that is certainly there; 0 if there is none.
    pub(crate) fn newest(&self, group: u64) -> u64 {
        let of = self.must.range((group, 0)..=(group, u64::MAX));
        of.map(|(_, index)| *index).next_back().unwrap_or_default()
    }

    /// Compares the files with what they must be; returns what they are.
    pub(crate) fn check<D: Disk>(&self, snapshots: &Snapshots<D>, groups: u64) -> Self {
        let mut found = Self::default();
        for group in 0..groups {
            let listed = snapshots.list(GroupId(group));
            let listed = listed.unwrap_or_else(|error| panic!("snapshots of {group}: {error}"));
            for snapshot in listed {
                let at = (group, snapshot.index);
                let stamp = open(snapshots, group, snapshot.index)
                    .unwrap_or_else(|error| panic!("snapshot {at:?}: {error}"));
                let may = self.may.get(&at);
                assert!(
                    may.is_some_and(|may| may.contains(&stamp)),
                    "snapshot {at:?} is of writing {stamp}, which is none of {may:?}"
                );
                found.finish(group, snapshot.index, stamp);
            }
        }
        let lost = self.must.difference(&found.must).next();
        assert!(lost.is_none(), "snapshot {lost:?} is lost");
        found
    }

    /// Like [`check`](Self::check), with rot in `rotten`, which may make these snapshots
    /// unreadable, but no other ones, and must not turn one snapshot into another. Returns how many
    /// were reported as bad.
    pub(crate) fn check_rotten<D: Disk>(
        &self,
        snapshots: &Snapshots<D>,
        groups: u64,
        rotten: &BTreeSet<(u64, u64)>,
    ) -> u64 {
        let mut told = 0;
        for group in 0..groups {
            let is_told = |error: &SnapshotError| match error {
                SnapshotError::Corrupt { group: of, index } => {
                    of.0 == group && rotten.contains(&(group, *index))
                }
                _ => false,
            };
            let newest = self.newest(group);
            match snapshots.list(GroupId(group)) {
                Ok(listed) => {
                    let last = listed.last().map_or(0, |snapshot| snapshot.index);
                    assert!(last >= newest, "snapshot {newest} of {group} was left out");
                }
                Err(error) => assert!(is_told(&error), "snapshots of {group}: {error:?}"),
            }
        }
        for (group, index) in &self.must {
            match open(snapshots, *group, *index) {
                Ok(stamp) => assert!(
                    self.may[&(*group, *index)].contains(&stamp),
                    "snapshot {index} of {group} is another one"
                ),
                Err(error) => {
                    let expected = matches!(error, SnapshotError::Corrupt { group: of, index: at }
                        if (of.0, at) == (*group, *index) && rotten.contains(&(*group, *index)));
                    assert!(expected, "snapshot {index} of {group}: {error:?}");
                    told += 1;
                }
            }
        }
        told
    }
}

/// Reads a snapshot to its end; returns the number of its writing.
fn open<D: Disk>(snapshots: &Snapshots<D>, group: u64, index: u64) -> Result<u64, SnapshotError> {
    let (found, mut reader) = snapshots.open(GroupId(group), index)?;
    let mut read = Vec::new();
    reader.read_to_end(&mut read)?;
    let stamp = read.first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
    let stamp = stamp.unwrap_or_else(|| panic!("snapshot {index} of {group} is too short"));
    assert_eq!(found, identity(index), "the header is as it was written");
    assert!(
        read == body(stamp, read.len()),
        "snapshot {index} of {group} mixes writings"
    );
    Ok(stamp)
}

/// The header of a snapshot in these tests.
pub(crate) fn identity(index: u64) -> Snapshot {
    Snapshot {
        index,
        tag: Tag([index as u8; 32]),
        meta: Bytes::from_static(b"the owner's"),
    }
}

/// A body that identifies its writing.
pub(crate) fn body(stamp: u64, len: usize) -> Vec<u8> {
    let mut body = stamp.to_le_bytes().to_vec();
    body.extend((8..len).map(|at| {
        (stamp as u8)
            .wrapping_mul(29)
            .wrapping_add((at % 251) as u8)
    }));
    body
}
