//! A client's request as the bytes of a log entry.

use synod_sim::{KvInput, KvRequest, OpId};

/// The name of the operation, what to do, the key, and up to two values, each behind its length.
pub(crate) fn encode(op: OpId, input: &KvInput) -> Vec<u8> {
    let (tag, values) = match &input.request {
        KvRequest::Get => (0, vec![]),
        KvRequest::Put(value) => (1, vec![value.to_vec()]),
        KvRequest::Del => (2, vec![]),
        KvRequest::Append(value) => (3, vec![value.to_vec()]),
        KvRequest::Cas { expected, new } => (4, vec![expected.to_vec(), new.to_vec()]),
    };
    let mut bytes = op.0.to_le_bytes().to_vec();
    bytes.push(tag);
    for part in [input.key.to_vec()].iter().chain(&values) {
        bytes.extend((part.len() as u32).to_le_bytes());
        bytes.extend(part);
    }
    bytes
}

/// `None`: this is no request of this version of the format, or of one before it.
pub(crate) fn decode(mut bytes: &[u8], version: u8) -> Option<(OpId, KvInput)> {
    let op = OpId(u64::from_le_bytes(*bytes.split_off(..8)?.first_chunk()?));
    let tag = *bytes.split_off_first()?;
    let key = part(&mut bytes)?;
    let request = match tag {
        0 => KvInput::get(key),
        1 => KvInput::put(key, part(&mut bytes)?),
        2 => KvInput::del(key),
        3 => KvInput::append(key, part(&mut bytes)?),
        4 if version > 1 => KvInput::cas(key, part(&mut bytes)?, part(&mut bytes)?),
        _ => return None,
    };
    bytes.is_empty().then_some((op, request))
}

fn part<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = u32::from_le_bytes(*bytes.split_off(..4)?.first_chunk()?);
    bytes.split_off(..usize::try_from(length).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_comes_back_and_half_of_one_does_not() {
        let requests = [
            KvInput::get("x"),
            KvInput::put("x", "1"),
            KvInput::del(""),
            KvInput::append("x", "23"),
            KvInput::cas("x", "", "new"),
        ];
        for (op, input) in (0..).map(OpId).zip(requests) {
            let bytes = encode(op, &input);
            assert_eq!(decode(&bytes, 2), Some((op, input.clone())));
            let is_new = matches!(input.request, KvRequest::Cas { .. });
            assert_eq!(decode(&bytes, 1).is_none(), is_new);
            for length in 0..bytes.len() {
                assert_eq!(decode(&bytes[..length], 2), None);
            }
        }
    }
}
