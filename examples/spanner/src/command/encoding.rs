//! The bytes of a command.
//!
//! ```text
//!  version 1 │ reign │ number │ floor: earliest, said_by │ tag │ fields of the act, in the order of their declaration
//!  1 byte      LEB128  LEB128   8 bytes, LEB128            1 byte
//! ```

use bytes::Bytes;

use super::{Act, Command, PARTICIPANTS_MAX};
use crate::codec::{Broken, Decoder, Encoder};
use crate::span::{WRITES_BYTES_MAX, WRITES_MAX};
use crate::txn::Reign;

/// The longest command, in bytes: all writes with their lengths, all participants, and the rest.
pub const COMMAND_BYTES_MAX: usize = WRITES_BYTES_MAX + 8 * WRITES_MAX + 5 * PARTICIPANTS_MAX + 128;

impl Command {
    /// The bytes that the log holds.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut to = Encoder::default();
        to.byte(VERSION);
        to.number(self.reign.0);
        to.number(self.number);
        to.floor(self.floor);
        encode_act(&self.act, &mut to);
        to.finish().into()
    }

    /// The command that the bytes hold.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Broken> {
        let mut from = Decoder::new(bytes);
        if from.byte()? != VERSION {
            return Err(Broken);
        }
        let command = Self {
            reign: Reign(from.number()?),
            number: from.number()?,
            floor: from.floor()?,
            act: decode_act(&mut from)?,
        };
        from.end()?;
        Ok(command)
    }
}

fn encode_act(act: &Act, to: &mut Encoder) {
    match act {
        Act::TakeOver { lease_end } => {
            to.byte(0);
            to.time(*lease_end);
        }
        Act::Lease { end, closed } => {
            to.byte(1);
            to.time(*end);
            to.time(*closed);
        }
        Act::Release { closed } => {
            to.byte(2);
            to.time(*closed);
        }
        Act::Collect { versions, outcomes } => {
            to.byte(3);
            to.time(*versions);
            to.time(*outcomes);
        }
        Act::Prepare {
            txn,
            at,
            has_read,
            writes,
        } => {
            to.byte(4);
            to.txn(txn);
            to.time(*at);
            to.flag(*has_read);
            to.writes(writes);
        }
        Act::Commit {
            txn,
            at,
            participants,
            writes,
        } => {
            to.byte(5);
            to.txn(txn);
            to.time(*at);
            to.shards(participants);
            to.writes(writes);
        }
        Act::Abort { txn } => {
            to.byte(6);
            to.txn(txn);
        }
        Act::Finish { txn, decision } => {
            to.byte(7);
            to.txn(txn);
            to.decision(*decision);
        }
        Act::Settled { txn } => {
            to.byte(8);
            to.txn(txn);
        }
    }
}

fn decode_act(from: &mut Decoder<'_>) -> Result<Act, Broken> {
    Ok(match from.byte()? {
        0 => Act::TakeOver {
            lease_end: from.time()?,
        },
        1 => Act::Lease {
            end: from.time()?,
            closed: from.time()?,
        },
        2 => Act::Release {
            closed: from.time()?,
        },
        3 => Act::Collect {
            versions: from.time()?,
            outcomes: from.time()?,
        },
        4 => Act::Prepare {
            txn: from.txn()?,
            at: from.time()?,
            has_read: from.flag()?,
            writes: from.writes()?,
        },
        5 => Act::Commit {
            txn: from.txn()?,
            at: from.time()?,
            participants: from.shards(PARTICIPANTS_MAX)?,
            writes: from.writes()?,
        },
        6 => Act::Abort { txn: from.txn()? },
        7 => Act::Finish {
            txn: from.txn()?,
            decision: from.decision()?,
        },
        8 => Act::Settled { txn: from.txn()? },
        _ => return Err(Broken),
    })
}

const VERSION: u8 = 1;

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use synod_truetime::{Floor, Timestamp};

    use super::*;
    use crate::span::Writes;
    use crate::txn::{Decision, ShardId, TxnId};

    fn at(nanos: i64) -> Timestamp {
        Timestamp::from_nanos(nanos)
    }

    fn commands() -> Vec<Command> {
        let txn = TxnId::first(at(0x0102), 3, 300, ShardId(7));
        let retry = txn.again(at(0x0103), 301, ShardId(7));
        let mut writes = Writes::default();
        writes.put("k".into(), Some("v".into())).unwrap();
        writes.put("l".into(), None).unwrap();
        let acts = vec![
            Act::TakeOver { lease_end: at(9) },
            Act::Lease {
                end: at(9),
                closed: at(-1),
            },
            Act::Release { closed: at(9) },
            Act::Collect {
                versions: at(1),
                outcomes: at(2),
            },
            Act::Prepare {
                txn: retry,
                at: at(5),
                has_read: true,
                writes: writes.clone(),
            },
            Act::Commit {
                txn,
                at: at(6),
                participants: vec![ShardId(2), ShardId(200)],
                writes,
            },
            Act::Abort { txn },
            Act::Finish {
                txn,
                decision: Decision::Committed(at(6)),
            },
            Act::Settled { txn },
        ];
        let floor = Floor {
            earliest: at(4),
            said_by: 2,
        };
        let command = |(number, act)| Command {
            reign: Reign(1),
            number,
            floor,
            act,
        };
        (0..).zip(acts).map(command).collect()
    }

    /// What stands in logs must be read for ever.
    #[test]
    fn the_bytes_are_those_of_version_1() {
        let golden = "\
            010100000000000000000402000000000000000009\n\
            01010100000000000000040201000000000000000\
            9ffffffffffffffff\n\
            010102000000000000000402020000000000000009\n\
            0101030000000000000004020300000000000000010000000000000002\n\
            010104000000000000000402040000000000000103\
            0203ad0207000000000000000501\
            02016b010176016c00\n\
            010105000000000000000402050000000000000102\
            0003ac0207000000000000000602\
            02c80102016b010176016c00\n\
            0101060000000000000004020600000000000001020003ac0207\n\
            0101070000000000000004020700000000000001020003ac0207010000000000000006\n\
            0101080000000000000004020800000000000001020003ac0207\n";
        let mut hex = String::new();
        for command in commands() {
            for byte in command.encode() {
                write!(hex, "{byte:02x}").unwrap();
            }
            hex.push('\n');
        }
        assert_eq!(hex, golden);
    }

    #[test]
    fn what_is_encoded_comes_back_and_what_is_changed_does_not_pass_for_another_length() {
        for command in commands() {
            let bytes = command.encode();
            assert_eq!(Command::decode(&bytes).as_ref(), Ok(&command));
            for cut in 0..bytes.len() {
                assert_eq!(Command::decode(&bytes[..cut]), Err(Broken), "cut at {cut}");
            }
            let longer = [&bytes[..], &[0]].concat();
            assert_eq!(Command::decode(&longer), Err(Broken));
            for (place, bit) in
                (0..bytes.len()).flat_map(|place| (0..8).map(move |bit| (place, bit)))
            {
                let mut flipped = bytes.to_vec();
                flipped[place] ^= 1 << bit;
                let again = Command::decode(&flipped).map(|command| command.encode());
                assert!(
                    again.is_err() || again == Ok(flipped.into()),
                    "one form each"
                );
            }
        }
    }
}
