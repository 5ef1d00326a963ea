//! The body of an entry: a name and commands.

use synod_replica::body::{commands, name};

use crate::memory::bounded;

/// All of it is a body.
pub(crate) fn run(data: &[u8]) {
    let (named, bytes) = bounded(data.len(), || {
        let bytes = commands(data).map(|command| 4 + command.len());
        (name(data), bytes.sum::<usize>())
    });
    assert_eq!(named.is_some(), data.len() >= NAME_BYTES);
    assert!(
        bytes <= data.len().saturating_sub(NAME_BYTES),
        "commands of more bytes than there are"
    );
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut body: Vec<u8> = [1_u64, 2, 3]
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .collect();
    body.extend(b"\x02\0\0\0ab\0\0\0\0\x01\0\0\0c");
    vec![body]
}

const NAME_BYTES: usize = 24;
