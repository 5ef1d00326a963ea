//! Snapshot files, whole and in parts, and the names they have.

use std::io::{Read, Write};

use bytes::Bytes;
use synod_wal::{Snapshot, SnapshotError, Tag, Wal};

use crate::disk::Memory;
use crate::memory::bounded_by;
use crate::script::Script;
use crate::wal::options;

/// First byte: what is put right. Then the file's name, or what it stands for, and the file.
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
    for (at, piece) in file.chunks(100).enumerate() {
        let written = snapshots.write_part(GROUP, &wanted, 100 * at as u64, piece);
        written.expect("memory takes it");
    }
    match bounded_by(BYTES, || snapshots.finish_part(GROUP, &wanted)) {
        Ok(()) => {
            let (found, _) = snapshots.open(GROUP, INDEX).expect("it was taken");
            assert_eq!(found, wanted, "something else was taken");
        }
        Err(error) => {
            let expected = matches!(
                error,
                SnapshotError::Corrupt { .. } | SnapshotError::NotFound { .. }
            );
            assert!(expected, "{error}");
            assert!(snapshots.open(GROUP, INDEX).is_err(), "refused, and there");
        }
    }
}

/// Puts the checksums and the length right, wherever the header says that they are.
fn seal(file: &mut Vec<u8>) {
    file.resize(file.len().max(80), 0);
    let meta = u32::from_le_bytes([file[12], file[13], file[14], file[15]]) as usize;
    let len = file.len();
    if let Some(head) = meta.checked_add(64).filter(|head| *head <= len - 16) {
        let sum = crc32c::crc32c(&file[..head]);
        file[head..head + 4].copy_from_slice(&sum.to_le_bytes());
    }
    file[len - 12..len - 4].copy_from_slice(&(len as u64).to_le_bytes());
    let sum = crc32c::crc32c(&file[..len - 4]);
    file[len - 4..].copy_from_slice(&sum.to_le_bytes());
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
    vec![
        [&[1, 0, 0][..], &file].concat(),
        with_name,
        [&[1, 0, 1][..], &file].concat(),
        [&[0, 0, 1][..], &file].concat(),
    ]
}

const GROUP: synod_wal::GroupId = synod_wal::GroupId(1);
const INDEX: u64 = 5;
const TRAILER_BYTES: usize = 12;
/// The longest meta data there may be, and buffers; a file's body is not read into memory.
const BYTES: usize = 4 << 20;
