//! Snapshot files, whole and in parts, and the names they have.

use std::io::{Read, Write};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use synod_wal::{Disk as _, GroupId, Seal, Snapshot, SnapshotError, Tag, Wal};

use crate::disk::Memory;
use crate::memory::bounded_by;
use crate::script::Script;
use crate::wal::options;

/// First bytes: what is put right. Then the file's name, or what it stands for, and the file.
pub(crate) fn run(data: &[u8]) {
    let mut script = Script::new(data);
    let (sealed, named, pulled) = (script.flag(), script.flag(), script.flag());
    let disk = Memory::default();
    let wal = Wal::open(disk.clone(), options()).expect("an empty disk opens");
    let name = if named {
        let len = script.below(60) as usize;
        String::from_utf8_lossy(script.take(len)).into_owned()
    } else {
        format!("{GROUP}-{INDEX:020}.snap")
    };
    let mut file = script.rest().to_vec();
    if sealed {
        seal(&mut file);
    }
    if pulled {
        return pull(&wal, &file);
    }
    if sealed {
        file.splice(..0, owner(&disk, &wal));
    }
    disk.put(&name, &file);
    let snapshots = wal.snapshots();
    let listed = bounded_by(BYTES, || snapshots.list(GROUP));
    let _damaged = bounded_by(BYTES, || snapshots.damaged(GROUP));
    let Ok(listed) = listed else {
        return;
    };
    for snapshot in listed {
        // The list reads headers, and opening reads all.
        let Ok((found, mut body)) = bounded_by(BYTES, || snapshots.open(GROUP, snapshot.index))
        else {
            continue;
        };
        assert_eq!(found, snapshot);
        let mut bytes = Vec::new();
        body.read_to_end(&mut bytes).expect("memory is read");
        let end = file.len() - TRAILER_BYTES;
        assert_eq!(bytes, file[end - bytes.len()..end], "another body");
    }
}

/// The pieces of a file come from a peer, in order; it is taken if it is what was asked for.
fn pull(wal: &Wal<Memory>, file: &[u8]) {
    let snapshots = wal.snapshots();
    let wanted = snapshot();
    let told = Seal {
        len: file.len() as u64,
        hash: file.last_chunk().copied().unwrap_or_default(),
    };
    for (at, piece) in file.chunks(100).enumerate() {
        let written = snapshots.write_part(GROUP, &wanted, &told, 100 * at as u64, piece);
        written.expect("memory takes it");
    }
    match bounded_by(BYTES, || snapshots.finish_part(GROUP, &wanted, &told)) {
        Ok(()) => {
            let (found, _) = snapshots.open(GROUP, INDEX).expect("it was taken");
            assert_eq!(found, wanted, "something else was taken");
        }
        Err(error) => {
            let expected = matches!(
                error,
                SnapshotError::Corrupt { .. }
                    | SnapshotError::NotFound { .. }
                    | SnapshotError::Seal { .. }
            );
            assert!(expected, "{error}");
            assert!(snapshots.open(GROUP, INDEX).is_err(), "refused, and there");
        }
    }
}

/// Puts the checksum, the length and the hash right, wherever the header says that they are.
fn seal(file: &mut Vec<u8>) {
    file.resize(file.len().max(FIXED_BYTES + 4 + TRAILER_BYTES), 0);
    let meta = u32::from_le_bytes([file[12], file[13], file[14], file[15]]) as usize;
    let len = file.len();
    let end = len - TRAILER_BYTES;
    if let Some(head) = meta.checked_add(FIXED_BYTES).filter(|head| head + 4 <= end) {
        let sum = crc32c::crc32c(&file[..head]);
        file[head..head + 4].copy_from_slice(&sum.to_le_bytes());
    }
    file[end..end + 8].copy_from_slice(&(len as u64).to_le_bytes());
    let hash = Sha256::digest(&file[..end + 8]);
    file[end + 8..].copy_from_slice(&hash);
}

/// What stands in front of every file of this log, and never leaves its node.
fn owner(disk: &Memory, wal: &Wal<Memory>) -> Vec<u8> {
    let other = GroupId(GROUP.0 + 1);
    let created = wal.snapshots().create(other, &snapshot(), &mut |_| Ok(()));
    created.expect("memory takes it");
    let name = format!("{other}-{INDEX:020}.snap");
    let mut file = disk.bytes(&name).unwrap_or_default();
    disk.remove(&name).expect("it was created");
    file.truncate(OWNER_BYTES);
    file
}

fn snapshot() -> Snapshot {
    Snapshot {
        index: INDEX,
        tag: Tag([7; 32]),
        meta: Bytes::from_static(b"voters"),
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let disk = Memory::default();
    let Ok(wal) = Wal::open(disk.clone(), options()) else {
        return Vec::new();
    };
    let write = &mut |to: &mut dyn Write| to.write_all(b"the machine");
    let created = wal.snapshots().create(GROUP, &snapshot(), write);
    created.expect("memory takes it");
    let names = disk.names();
    let name = names.iter().find(|name| name.ends_with(".snap"));
    let name = name.cloned().unwrap_or_default();
    let file = disk.bytes(&name).unwrap_or_default();
    let with_name = [&[0, 1, 0, name.len() as u8][..], name.as_bytes(), &file].concat();
    let file = &file[OWNER_BYTES..];
    vec![
        [&[1, 0, 0][..], file].concat(),
        with_name,
        [&[1, 0, 1][..], file].concat(),
        [&[0, 0, 1][..], file].concat(),
    ]
}

const GROUP: GroupId = GroupId(1);
const INDEX: u64 = 5;
const OWNER_BYTES: usize = 24;
const FIXED_BYTES: usize = 64;
const TRAILER_BYTES: usize = 40;
/// The longest meta data there may be, and buffers; a file's body is not read into memory.
const BYTES: usize = 4 << 20;
