//! Segments of a log, record by record: what their headers claim and what their payloads hold is the fuzzer's, and
//! the checksums are right, for with wrong ones nothing but the checksum would be tried.

use synod_wal::{Wal, dump};

use crate::disk::Memory;
use crate::memory::bounded_by;
use crate::script::Script;
use crate::wal::{contents, options};

/// Records, one behind the other, in up to three segments.
pub(crate) fn run(data: &[u8]) {
    let mut script = Script::new(data);
    let disk = Memory::default();
    let mut lsn = 1;
    for number in 1..=1 + script.below(3) {
        let segment = segment(&mut script, number, &mut lsn);
        disk.put(&format!("{number:08}.log"), &segment);
    }
    if script.flag() {
        disk.put("00000009.log", script.rest());
    }
    check(&disk);
}

/// What opens, opens again and is the same; what does not, is told and left as it was.
fn check(disk: &Memory) {
    let before = disk.left_over(|| true);
    // Each record of a log that is read costs a little; all the files together are read a few times over.
    let dumped = bounded_by(DUMP_BYTES, || {
        dump(disk).map(|records| records.take(10_000).count())
    });
    assert!(dumped.is_err() || dumped.is_ok_and(|records| records < 10_000));
    let opened = bounded_by(OPEN_BYTES, || Wal::open(disk.clone(), options()));
    match opened {
        Ok(wal) => {
            let found = contents(&wal);
            drop(wal);
            let again = Wal::open(disk.clone(), options()).expect("what opened once opens again");
            assert_eq!(
                contents(&again),
                found,
                "a log that was opened is another one"
            );
        }
        Err(error) => {
            let again = Wal::open(disk.clone(), options()).map(|_| ());
            let again = again.expect_err("an error went away by itself");
            assert_eq!(again.to_string(), error.to_string());
            for name in before.names() {
                assert_eq!(disk.bytes(&name), before.bytes(&name), "{name} was changed");
            }
        }
    }
}

/// A segment begins with a head, mostly.
fn segment(script: &mut Script<'_>, number: u64, lsn: &mut u64) -> Vec<u8> {
    let mut segment = Vec::new();
    let records = script.below(8);
    for at in 0..=records {
        let kind = if at == 0 && !script.one_in(16) {
            HEAD
        } else {
            script.pick(&[OPERATIONS, OPERATIONS, OPEN, CARRIED, HEAD, 9])
        };
        let payload = match kind {
            HEAD => head(script, number),
            OPERATIONS | CARRIED => operations(script),
            _ => script.take(4).to_vec(),
        };
        let last = at == 0 || kind == OPEN || script.below(4) < 3;
        let honest = [
            number,
            *lsn,
            lsn.saturating_sub(1),
            *lsn,
            1 + script.below(2),
            SALT,
        ];
        *lsn += 1;
        // Mostly as a writer would have it, else nothing gets past the first look.
        let fields = honest.map(|field| {
            if script.one_in(20) {
                script.number()
            } else {
                field
            }
        });
        push(&mut segment, kind, last, fields, &payload);
        if script.one_in(20) {
            let at = usize::from(script.half()) % segment.len();
            segment[at] ^= 1 << script.below(8);
        }
        if segment.len() >= SEGMENT_BYTES {
            break;
        }
    }
    if !script.one_in(16) {
        segment.resize(SEGMENT_BYTES.max(segment.len()), 0);
    }
    segment
}

fn head(script: &mut Script<'_>, number: u64) -> Vec<u8> {
    let groups = script.below(3);
    let oldest = if script.one_in(8) {
        script.number()
    } else {
        number.min(1 + script.below(3))
    };
    let mut payload = b"synodwal".to_vec();
    let count = if script.one_in(16) {
        script.number()
    } else {
        groups
    };
    payload.extend([oldest, count].iter().flat_map(|word| word.to_le_bytes()));
    for group in 1..=groups {
        payload.extend(
            [group, script.number()]
                .iter()
                .flat_map(|word| word.to_le_bytes()),
        );
        payload.extend([script.byte(); 32]);
        payload.extend(script.below(2).to_le_bytes());
        payload.extend([script.byte(); 32]);
    }
    payload
}

fn operations(script: &mut Script<'_>) -> Vec<u8> {
    let mut payload = Vec::new();
    for _ in 0..script.below(5) {
        let code = script.pick(&[1, 2, 3, 3, 3, 4, 5]);
        payload.push(code);
        match code {
            1 => payload.extend([script.byte(); 32]),
            2 => payload.extend(script.number().to_le_bytes()),
            3 => {
                let body = script.below(40) as u32;
                let said = if script.one_in(16) {
                    script.number() as u32
                } else {
                    body
                };
                payload.extend(script.number().to_le_bytes());
                payload.extend([script.byte(); 32]);
                payload.extend(said.to_le_bytes());
                payload.extend(vec![script.byte(); body as usize]);
            }
            4 => {
                payload.extend(script.number().to_le_bytes());
                payload.extend([script.byte(); 32]);
            }
            _ => payload.extend(script.take(8)),
        }
    }
    payload
}

/// Adds a record with a right checksum; the layout is drawn in the documentation of `synod_wal`.
fn push(segment: &mut Vec<u8>, kind: u8, last: bool, fields: [u64; 6], payload: &[u8]) {
    let start = segment.len();
    segment.extend(b"SYN\0");
    segment.extend([0; 4]);
    segment.extend((payload.len() as u32).to_le_bytes());
    segment.extend([kind, u8::from(last), 0, 0]);
    segment.extend(fields.iter().flat_map(|field| field.to_le_bytes()));
    segment.extend(payload);
    let to = if last { BLOCK_BYTES } else { 8 };
    segment.resize(segment.len().next_multiple_of(to), 0);
    let place = crc32c::crc32c(&(start as u64).to_le_bytes());
    let sum = crc32c::crc32c_append(place, &segment[start..start + 4]);
    let sum = crc32c::crc32c_append(sum, &segment[start + 8..]);
    segment[start + 4..start + 8].copy_from_slice(&sum.to_le_bytes());
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    // Numbers that lead down every path, more or less.
    (1..9_u8)
        .map(|by| (0..250_u8).map(|at| at.wrapping_mul(by)).collect())
        .collect()
}

const OPERATIONS: u8 = 1;
const HEAD: u8 = 2;
const OPEN: u8 = 3;
const CARRIED: u8 = 4;
const SALT: u64 = 0x5A17;
const BLOCK_BYTES: usize = 4096;
const SEGMENT_BYTES: usize = 4 * BLOCK_BYTES;
/// What `dump` may allocate for three small segments.
const DUMP_BYTES: usize = 4 << 20;
/// What `open` may: buffers of its own, a new segment, and what is read.
const OPEN_BYTES: usize = 16 << 20;
