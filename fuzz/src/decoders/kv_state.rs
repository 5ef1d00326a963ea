//! The key-value machine: commands in the log, and the body of a snapshot.

use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use synod_kv::{Blob, Command, Kv, Response, When, read_snapshot, write_snapshot};
use synod_replica::embed::{Applier, Instant, Job};
use synod_replica::{GroupId, Snapshot, SnapshotStore};
use synod_wal::{Options, Tag, Wal};

use crate::disk::Memory;
use crate::memory::bounded;
use crate::script::Script;

/// First byte: commands, a snapshot's body, or the body with the runtime's part in front.
pub(crate) fn run(data: &[u8]) {
    let mut script = Script::new(data);
    match script.below(3) {
        0 => commands(&mut script),
        1 => snapshot(script.rest()),
        _ => restore(script.rest()),
    }
}

/// A replica that is given the same, and one that goes on from a snapshot, end in the same state.
fn commands(script: &mut Script<'_>) {
    let (mut kv, mut second) = (Kv::default(), Kv::default());
    let mut given = 0;
    while !script.is_over() && given < COMMANDS_MAX {
        let len = usize::from(script.byte());
        let command = script.take(len);
        if let Some(read) = bounded(command.len(), || Command::decode(command)) {
            assert_eq!(Command::decode(&read.encode()), Some(read));
        }
        let before = kv.clone();
        let answer = kv.execute(command);
        assert_eq!(second.execute(command), answer);
        if matches!(answer, Response::Refused(_)) {
            assert!(
                kv.iter().eq(before.iter()),
                "a refused command has an effect"
            );
        }
        if given == COMMANDS_MAX / 2 {
            second = copy(&kv);
        }
        given += 1;
    }
    assert!(kv.iter().eq(second.iter()), "replicas differ");
    assert!(
        copy(&kv).iter().eq(kv.iter()),
        "a snapshot is another state"
    );
}

fn copy(kv: &Kv) -> Kv {
    let mut file = Vec::new();
    write_snapshot(kv, &mut file).expect("memory takes it");
    read_snapshot(&mut &file[..]).expect("what was written is read")
}

fn snapshot(body: &[u8]) {
    // The buffer and the machine's empty shards come in any case.
    if let Ok(kv) = bounded(body.len(), || read_snapshot(&mut &body[..])) {
        assert!(
            copy(&kv).iter().eq(kv.iter()),
            "a snapshot is another state"
        );
    }
}

/// As the runtime does it: a file that is whole by its checksums, with anything in it.
fn restore(body: &[u8]) {
    let options = Options::default();
    let wal = Wal::open(Memory::default(), options).expect("an empty disk opens");
    let snapshots = wal.snapshots();
    let snapshot = Snapshot {
        index: 5,
        tag: Tag::default(),
        meta: Bytes::new(),
    };
    let write = &mut |to: &mut dyn Write| to.write_all(body);
    let created = snapshots.create(GROUP, &snapshot, write);
    created.expect("memory takes it");
    let store: Arc<dyn SnapshotStore> = Arc::new(snapshots);
    let mut applier = Applier::new(GROUP, Kv::default(), Bytes::new(), store);
    let restored = bounded(body.len(), || {
        applier.run(Job::<Nobody>::Restore(snapshot.clone()))
    });
    let applied = if restored.is_ok() { 5 } else { 0 };
    assert_eq!(applier.applied(), applied, "restored in part");
}

/// Waits for nothing.
struct Nobody;

impl synod_replica::embed::Ticket<Kv> for Nobody {
    fn applied(self, _: Response) {}
    fn read(self, _: &Kv, _: Option<Instant>) {}
    fn failed(self, _: synod_replica::Failure) {}
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let (key, value) = (Blob(b"k"), Blob(b"12"));
    let set = |when, previous| Command::Set {
        key,
        value,
        when,
        previous,
    };
    let commands = [
        set(When::Always, false),
        set(When::Absent, true),
        Command::Add { key, by: -7 },
        Command::Append { key, value },
        Command::SetMany {
            pairs: vec![(value, key), (key, value)],
        },
        Command::CompareAndSwap {
            key,
            expected: value,
            new: key,
        },
        Command::Delete {
            keys: vec![key, value],
        },
        Command::Clear,
    ];
    let (mut all, mut kv) = (vec![0], Kv::default());
    for command in commands {
        let bytes = command.encode();
        all.push(bytes.len() as u8);
        all.extend_from_slice(&bytes);
        if !matches!(command, Command::Delete { .. } | Command::Clear) {
            let _answer = kv.execute(&bytes);
        }
    }
    let mut body = Vec::new();
    write_snapshot(&kv, &mut body).expect("memory takes it");
    // No names: the version of their table, and a count of zero.
    let table = [0; 9];
    vec![
        all,
        [&[1][..], &body].concat(),
        [&[2][..], &table, &body].concat(),
    ]
}

const GROUP: GroupId = GroupId(1);
const COMMANDS_MAX: usize = 40;
