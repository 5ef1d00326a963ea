//! The encoding of records. The documentation of the crate draws the layout.

use crate::{GroupId, Lsn, Op, Tag};

/// The header of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    /// Set if nothing of the batch follows; the frame then extends to the end of the block.
    pub(crate) last: bool,
    /// The generation of the segment that it was written for.
    pub(crate) generation: u64,
    pub(crate) lsn: Lsn,
    /// Up to where the log was durable when the batch of this record was written.
    pub(crate) durable: Lsn,
    pub(crate) batch: u64,
    pub(crate) group: GroupId,
    /// The secret of the log, which distinguishes its records from bytes made by a client.
    pub(crate) salt: u64,
}

/// The kind of a record's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Operations, as appended.
    Ops = 1,
    /// The opening of a segment: the states of all groups.
    Head = 2,
    /// The first batch of a process, which holds only this record.
    Open = 3,
    /// Slots carried forward from the oldest segment.
    Carry = 4,
}

/// An operation as stored in a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stored<'a> {
    State(Tag),
    Truncate {
        from: u64,
    },
    Put {
        index: u64,
        tag: Tag,
        body: &'a [u8],
        body_at: usize,
    },
    Start {
        after: u64,
        tag: Tag,
    },
}

/// A group's entry in the opening of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GroupHead {
    pub(crate) group: GroupId,
    pub(crate) state: Option<Tag>,
    pub(crate) start: (u64, Tag),
}

/// A payload that does not match its kind, under a good checksum: no writer of this version made
/// it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// The length of a whole frame at `at`: header, payload, and zeros up to the next record or block.
pub(crate) fn frame_len(at: u64, payload: usize, last: bool) -> u64 {
    let end = at + (HEADER_BYTES + payload) as u64;
    end.next_multiple_of(if last { BLOCK_BYTES } else { ALIGN_BYTES }) - at
}

/// Appends an unsealed record that is not the last of its batch.
pub(crate) fn push(batch: &mut Vec<u8>, header: &Header, payload: &[u8]) {
    debug_assert_eq!(batch.len() as u64 % ALIGN_BYTES, 0, "records are aligned");
    let start = batch.len();
    batch.extend_from_slice(&MAGIC);
    batch.extend_from_slice(&[0; 4]);
    batch.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    batch.extend_from_slice(&[header.kind as u8, 0, 0, 0]);
    for field in [
        header.generation,
        header.lsn.0,
        header.durable.0,
        header.batch,
        header.group.0,
        header.salt,
    ] {
        batch.extend_from_slice(&field.to_le_bytes());
    }
    batch.extend_from_slice(payload);
    batch.resize(start + frame_len(0, payload.len(), false) as usize, 0);
}

/// Writes the checksum of the record at `start`, the last one in `batch`, which will be at offset
/// `base` of its segment.
pub(crate) fn seal(batch: &mut Vec<u8>, start: usize, base: u64, last: bool) {
    if last {
        batch.resize(
            (base as usize + batch.len()).next_multiple_of(BLOCK_BYTES as usize) - base as usize,
            0,
        );
        batch[start + LAST_AT] = 1;
    }
    let checksum = checksum(base + start as u64, &batch[start..]);
    batch[start + CHECKSUM_AT..][..4].copy_from_slice(&checksum.to_le_bytes());
}

/// Decodes a header and the length of its frame, if it could be one; the checksum is not checked.
pub(crate) fn header(at: u64, bytes: &[u8; HEADER_BYTES]) -> Option<(Header, u64)> {
    if bytes[..3] != MAGIC[..3] || bytes[LAST_AT] > 1 || bytes[LAST_AT + 1..16] != [0, 0] {
        return None;
    }
    let last = bytes[LAST_AT] == 1;
    let header = Header {
        kind: Kind::decode(bytes[12])?,
        last,
        generation: u64_at(bytes, 16)?,
        lsn: Lsn(u64_at(bytes, 24)?),
        durable: Lsn(u64_at(bytes, 32)?),
        batch: u64_at(bytes, 40)?,
        group: GroupId(u64_at(bytes, 48)?),
        salt: u64_at(bytes, 56)?,
    };
    Some((header, frame_len(at, u32_at(bytes, 8)? as usize, last)))
}

/// Whether the checksum of a whole frame at `at` is right.
pub(crate) fn verify(at: u64, frame: &[u8]) -> bool {
    u32_at(frame, CHECKSUM_AT) == Some(checksum(at, frame))
}

/// The payload of a verified frame.
pub(crate) fn payload(frame: &[u8]) -> Option<&[u8]> {
    frame.get(HEADER_BYTES..)?.get(..u32_at(frame, 8)? as usize)
}

/// The version of the format that a frame claims.
pub(crate) fn version(frame: &[u8]) -> u8 {
    frame.get(3).copied().unwrap_or_default()
}

/// Appends an operation to a payload.
pub(crate) fn encode_op(payload: &mut Vec<u8>, op: &Op<'_>) {
    match op {
        Op::State(tag) => {
            payload.push(STATE);
            payload.extend_from_slice(&tag.0);
        }
        Op::Truncate { from } => {
            payload.push(TRUNCATE);
            payload.extend_from_slice(&from.to_le_bytes());
        }
        Op::Put { index, tag, body } => encode_put(payload, *index, *tag, body),
        Op::Start { after, tag } => {
            payload.push(START);
            payload.extend_from_slice(&after.to_le_bytes());
            payload.extend_from_slice(&tag.0);
        }
    }
}

/// Appends a `Put` to a payload.
pub(crate) fn encode_put(payload: &mut Vec<u8>, index: u64, tag: Tag, body: &[u8]) {
    payload.push(PUT);
    payload.extend_from_slice(&index.to_le_bytes());
    payload.extend_from_slice(&tag.0);
    payload.extend_from_slice(&(body.len() as u32).to_le_bytes());
    payload.extend_from_slice(body);
}

/// The length of an operation in a payload.
pub(crate) fn op_len(op: &Op<'_>) -> usize {
    match op {
        Op::State(_) => 33,
        Op::Truncate { .. } => 9,
        Op::Put { body, .. } => PUT_BYTES + body.len(),
        Op::Start { .. } => 41,
    }
}

/// The operations in a payload; ends after the first malformed one.
pub(crate) fn decode_ops(payload: &[u8]) -> impl Iterator<Item = Result<Stored<'_>, Malformed>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        if at >= payload.len() {
            return None;
        }
        let stored = decode_op(payload, &mut at);
        if stored.is_none() {
            at = payload.len();
        }
        Some(stored.ok_or(Malformed))
    })
}

fn decode_op<'a>(payload: &'a [u8], at: &mut usize) -> Option<Stored<'a>> {
    let mut take = |count: usize| {
        let bytes = payload.get(*at..at.checked_add(count)?)?;
        *at += count;
        Some((*at, bytes))
    };
    let code = take(1)?.1[0];
    match code {
        STATE => Some(Stored::State(tag_at(take(32)?.1, 0)?)),
        TRUNCATE => Some(Stored::Truncate {
            from: u64_at(take(8)?.1, 0)?,
        }),
        PUT => {
            let head = take(44)?.1;
            let (end, body) = take(u32_at(head, 40)? as usize)?;
            Some(Stored::Put {
                index: u64_at(head, 0)?,
                tag: tag_at(head, 8)?,
                body,
                body_at: end - body.len(),
            })
        }
        START => {
            let bytes = take(40)?.1;
            Some(Stored::Start {
                after: u64_at(bytes, 0)?,
                tag: tag_at(bytes, 8)?,
            })
        }
        _ => None,
    }
}

/// Encodes the payload of a segment's opening.
pub(crate) fn encode_head(
    oldest: u64,
    groups: impl ExactSizeIterator<Item = GroupHead>,
) -> Vec<u8> {
    let mut payload = Vec::with_capacity(head_len(groups.len()));
    payload.extend_from_slice(HEAD_NAME);
    payload.extend_from_slice(&oldest.to_le_bytes());
    payload.extend_from_slice(&(groups.len() as u64).to_le_bytes());
    for head in groups {
        payload.extend_from_slice(&head.group.0.to_le_bytes());
        payload.extend_from_slice(&head.start.0.to_le_bytes());
        payload.extend_from_slice(&head.start.1.0);
        payload.extend_from_slice(&u64::from(head.state.is_some()).to_le_bytes());
        payload.extend_from_slice(&head.state.unwrap_or_default().0);
    }
    payload
}

/// The length of the payload of an opening with `groups` groups.
pub(crate) fn head_len(groups: usize) -> usize {
    24 + groups * HEAD_GROUP_BYTES
}

/// Decodes the oldest generation that is still part of the log, and the states of all groups.
pub(crate) fn decode_head(
    payload: &[u8],
) -> Result<(u64, impl Iterator<Item = GroupHead>), Malformed> {
    let fixed = || Some((payload.get(..8)?, u64_at(payload, 8)?, u64_at(payload, 16)?));
    let (name, oldest, count) = fixed().ok_or(Malformed)?;
    let groups = &payload[24..];
    if name != HEAD_NAME
        || (groups.len() / HEAD_GROUP_BYTES) as u64 != count
        || !groups.len().is_multiple_of(HEAD_GROUP_BYTES)
    {
        return Err(Malformed);
    }
    Ok((
        oldest,
        groups
            .chunks_exact(HEAD_GROUP_BYTES)
            .filter_map(decode_group_head),
    ))
}

fn decode_group_head(bytes: &[u8]) -> Option<GroupHead> {
    let state = (u64_at(bytes, 48)? == 1).then_some(tag_at(bytes, 56)?);
    Some(GroupHead {
        group: GroupId(u64_at(bytes, 0)?),
        state,
        start: (u64_at(bytes, 8)?, tag_at(bytes, 16)?),
    })
}

impl Kind {
    fn decode(code: u8) -> Option<Self> {
        [Self::Ops, Self::Head, Self::Open, Self::Carry]
            .into_iter()
            .find(|kind| *kind as u8 == code)
    }
}

/// The offset is included, though it is not stored: a copy of a record elsewhere is not valid.
fn checksum(at: u64, frame: &[u8]) -> u32 {
    let checksum = crc32c::crc32c_append(crc32c::crc32c(&at.to_le_bytes()), &frame[..CHECKSUM_AT]);
    crc32c::crc32c_append(checksum, &frame[CHECKSUM_AT + 4..])
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn tag_at(bytes: &[u8], at: usize) -> Option<Tag> {
    Some(Tag(*bytes.get(at..)?.first_chunk()?))
}

/// The unit of writes: no byte of a durable batch shares its block with a later write.
pub(crate) const BLOCK_BYTES: u64 = 4096;
/// The alignment of records.
pub(crate) const ALIGN_BYTES: u64 = 8;
/// The length of a record's header.
pub(crate) const HEADER_BYTES: usize = 64;
/// What a `Put` takes besides its body.
pub(crate) const PUT_BYTES: usize = 45;
/// The first bytes of each record; the fourth is the version of the format.
pub(crate) const MAGIC: [u8; 4] = *b"SYN\0";
const CHECKSUM_AT: usize = 4;
const LAST_AT: usize = 13;
const HEAD_NAME: &[u8; 8] = b"synodwal";
const HEAD_GROUP_BYTES: usize = 88;
const STATE: u8 = 1;
const TRUNCATE: u8 = 2;
const PUT: u8 = 3;
const START: u8 = 4;
