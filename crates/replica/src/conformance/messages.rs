//! Test messages that name their sender and receiver, and of which every byte is checked.

use bytes::{BufMut, Bytes, BytesMut};
use synod_transport::{Lane, NodeId, Parcel};

use super::random::Random;

/// The contents of a test message.
///
/// It begins with a number, where a frame has its group. The head holds the contents and the body
/// repeats them, so a transport that joins the head of one message to the body of another is
/// detected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TestMessage {
    pub(super) from: NodeId,
    pub(super) to: NodeId,
    /// The number of the message, from this sender to this receiver.
    pub(super) number: u64,
    /// The length of the message, in bytes; at least [`TestMessage::BYTES_MIN`].
    pub(super) bytes: usize,
    pub(super) control: bool,
}

impl TestMessage {
    /// The bytes that head and body take at least.
    pub(super) const BYTES_MIN: usize = 2 * FIELDS_BYTES;

    pub(super) fn lane(&self) -> Lane {
        if self.control {
            Lane::Control
        } else {
            Lane::Bulk
        }
    }

    /// Encodes the message: a head, and a body in `parts` parts, some of them empty.
    pub(super) fn parcel(&self, parts: usize) -> Parcel {
        let whole = self.message();
        let (head, body) = (whole.slice(..FIELDS_BYTES), whole.slice(FIELDS_BYTES..));
        let each = body.len() / parts.max(1) + 1;
        let mut pieces = Vec::new();
        for at in (0..body.len()).step_by(each) {
            pieces.push(body.slice(at..body.len().min(at + each)));
            if parts > 3 {
                pieces.push(Bytes::new());
            }
        }
        Parcel {
            head,
            parts: pieces,
        }
    }

    /// Decodes a message, and checks that `from` sent it to `to`.
    pub(super) fn read(from: NodeId, to: NodeId, message: &Bytes) -> Result<Self, String> {
        let word = |at: usize| -> Option<u64> {
            Some(u64::from_le_bytes(*message.get(at..)?.first_chunk()?))
        };
        let fields = (word(0), word(8), word(16), word(24));
        let (Some(number), Some(ends), Some(bytes), Some(control)) = fields else {
            return Err(format!("{} bytes arrived that no node sent", message.len()));
        };
        let sent = Self {
            from: NodeId(ends >> 32),
            to: NodeId(ends & 0xffff_ffff),
            number,
            bytes: bytes as usize,
            control: control == 1,
        };
        if sent.bytes != message.len() {
            let (is, was) = (message.len(), sent.bytes);
            return Err(format!(
                "message {number} has {is} bytes, and was sent with {was}"
            ));
        }
        if *message != sent.message() {
            return Err(format!("message {number} of {bytes} bytes arrived changed"));
        }
        if (sent.from, sent.to) != (from, to) {
            return Err(format!(
                "message {number} from {} to {} arrived at {to} as if from {from}",
                sent.from, sent.to
            ));
        }
        Ok(sent)
    }

    fn message(&self) -> Bytes {
        let mut message = BytesMut::with_capacity(self.bytes + 8);
        let fields = [
            self.number,
            self.from.0 << 32 | self.to.0,
            self.bytes as u64,
            u64::from(self.control),
        ];
        for field in fields.into_iter().chain(fields) {
            message.put_u64_le(field);
        }
        let mut random = Random(self.number.wrapping_mul(0x1_0001) ^ fields[1]);
        while message.len() < self.bytes {
            message.put_u64_le(random.next());
        }
        message.truncate(self.bytes);
        message.freeze()
    }
}

const FIELDS_BYTES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_is_read_back_whole_and_not_otherwise() {
        let (one, two) = (NodeId(1), NodeId(2));
        for bytes in [TestMessage::BYTES_MIN, 65, 1_000] {
            let sent = TestMessage {
                from: one,
                to: two,
                number: 7,
                bytes,
                control: true,
            };
            for parts in [0, 1, 5] {
                let message = sent.parcel(parts).to_bytes();
                assert_eq!(TestMessage::read(one, two, &message), Ok(sent));
                TestMessage::read(two, one, &message).unwrap_err();
                for at in 0..message.len() {
                    let mut bad = message.to_vec();
                    bad[at] ^= 1;
                    TestMessage::read(one, two, &bad.into()).unwrap_err();
                    TestMessage::read(one, two, &message.slice(..at)).unwrap_err();
                }
            }
        }
    }
}
