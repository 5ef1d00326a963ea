//! The machine is one that can be replicated: the suite of `synod_replica` says so.

use bytes::Bytes;
use synod_kv::{Blob, Command, Kv, When};
use synod_replica::conformance;

#[test]
fn the_map_conforms() {
    let set = |key: &'static str, value: &'static str, when, previous| Command::Set {
        key: Blob(key.as_bytes()),
        value: Blob(value.as_bytes()),
        when,
        previous,
    };
    let blob = |text: &'static str| Blob(text.as_bytes());
    let commands = [
        set("a", "1", When::Always, false),
        set("a", "2", When::Absent, true),
        set("b", "three", When::Always, true),
        set("", "", When::Present, true),
        set("", "empty", When::Absent, false),
        Command::Delete {
            keys: vec![blob("a"), blob("b"), blob("a")],
        },
        Command::Add {
            key: blob("a"),
            by: 41,
        },
        Command::Add {
            key: blob("b"),
            by: i64::MAX,
        },
        Command::Append {
            key: blob("song"),
            value: blob("la "),
        },
        Command::SetMany {
            pairs: vec![(blob("x"), blob("1")), (blob("y"), blob("2"))],
        },
        Command::CompareAndSwap {
            key: blob("x"),
            expected: blob("1"),
            new: blob("9"),
        },
        Command::Limit {
            keys_max: Some(5),
            bytes_max: None,
        },
        Command::Clear,
    ];
    let commands: Vec<Bytes> = commands.iter().map(Command::encode).collect();
    let view = |kv: &Kv| {
        let entries: Vec<(Vec<u8>, Bytes)> = kv
            .iter()
            .map(|(key, value)| (key.to_vec(), value.to_bytes()))
            .collect();
        (entries, kv.bytes(), kv.limits())
    };
    let report = conformance::state_machine(Kv::default, view, &commands);
    assert_eq!(report.skipped, [], "the suite could try everything");
}
