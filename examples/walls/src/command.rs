//! A client's requests as the bytes of one log entry.

use synod_sim::{KvInput, KvRequest, OpId};

/// The name of the operation; then of each request what to do, the key, and up to two values, each
/// behind its length.
pub(crate) fn encode(op: OpId, inputs: &[KvInput]) -> Vec<u8> {
    let mut bytes = op.0.to_le_bytes().to_vec();
    inputs.iter().for_each(|input| append(&mut bytes, input));
    bytes
}

fn append(bytes: &mut Vec<u8>, input: &KvInput) {
    let (tag, values) = match &input.request {
        KvRequest::Get => (0, vec![]),
        KvRequest::Put(value) => (1, vec![value.to_vec()]),
        KvRequest::Del => (2, vec![]),
        KvRequest::Append(value) => (3, vec![value.to_vec()]),
        KvRequest::Cas { expected, new } => (4, vec![expected.to_vec(), new.to_vec()]),
    };
    bytes.push(tag);
    for part in [input.key.to_vec()].iter().chain(&values) {
        bytes.extend((part.len() as u32).to_le_bytes());
        bytes.extend(part);
    }
}

/// `None`: these are no requests of this version of the format, or of one before it. There is at least
/// one.
pub(crate) fn decode(mut bytes: &[u8], version: u8) -> Option<(OpId, Vec<KvInput>)> {
    let op = OpId(u64::from_le_bytes(*bytes.split_off(..8)?.first_chunk()?));
    let mut inputs = vec![request(&mut bytes, version)?];
    while !bytes.is_empty() {
        inputs.push(request(&mut bytes, version)?);
    }
    Some((op, inputs))
}

fn request(bytes: &mut &[u8], version: u8) -> Option<KvInput> {
    let tag = *bytes.split_off_first()?;
    let key = part(bytes)?;
    Some(match tag {
        0 => KvInput::get(key),
        1 => KvInput::put(key, part(bytes)?),
        2 => KvInput::del(key),
        3 => KvInput::append(key, part(bytes)?),
        4 if version > 1 => KvInput::cas(key, part(bytes)?, part(bytes)?),
        _ => return None,
    })
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
            let is_new = matches!(input.request, KvRequest::Cas { .. });
            let one = encode(op, std::slice::from_ref(&input));
            let inputs = vec![input.clone(), input];
            let two = encode(op, &inputs);
            assert_eq!(decode(&two, 2), Some((op, inputs)));
            assert_eq!(decode(&two, 1).is_none(), is_new);
            for length in 0..two.len() {
                let half = decode(&two[..length], 2);
                assert_eq!(half.is_some(), length == one.len());
            }
        }
    }
}
