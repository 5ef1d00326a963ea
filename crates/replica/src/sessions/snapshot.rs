//! The sessions as bytes, in front of the machine's in a snapshot.
//!
//! ```text
//! "SYSE" version u32 length u64 │ limits 5 u64, next id, turn, sessions
//!                               │ for each: id, highest, floor, used, ends (all ones: never), names
//!                               │           for each: sequence, turn (0: no reply), length u32, reply
//!                               └────────────── length bytes; numbers u64 unless said, little-endian ──────────
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::sync::Arc;

use bytes::Bytes;

use super::table::{Frozen, Reply, Session, Table};
use super::{SessionId, SessionLimits};
use crate::timed::LogTime;

pub(super) fn write(frozen: &Frozen, to: &mut dyn Write) -> io::Result<()> {
    let mut body = Vec::new();
    let mut put = |number: u64| body.extend_from_slice(&number.to_le_bytes());
    frozen.limits.numbers().into_iter().for_each(&mut put);
    [frozen.next, frozen.turn, frozen.sessions.len() as u64]
        .into_iter()
        .for_each(&mut put);
    for (id, session) in &frozen.sessions {
        let ends = session.ends.map_or(NEVER, |ends| ends.0);
        let names = session.done.len() as u64;
        for number in [
            id.0,
            session.highest,
            session.floor,
            session.used,
            ends,
            names,
        ] {
            body.extend_from_slice(&number.to_le_bytes());
        }
        for (sequence, reply) in &session.done {
            let (turn, bytes) = match reply {
                Reply::Kept { turn, bytes } => (*turn, &bytes[..]),
                Reply::Gone => (0, &[][..]),
            };
            body.extend_from_slice(&sequence.to_le_bytes());
            body.extend_from_slice(&turn.to_le_bytes());
            let len = u32::try_from(bytes.len()).map_err(io::Error::other)?;
            body.extend_from_slice(&len.to_le_bytes());
            body.extend_from_slice(bytes);
        }
    }
    to.write_all(&OPENING)?;
    to.write_all(&VERSION.to_le_bytes())?;
    to.write_all(&(body.len() as u64).to_le_bytes())?;
    to.write_all(&body)
}

pub(super) fn read(from: &mut dyn Read) -> io::Result<Table> {
    let mut head = [0; 16];
    from.read_exact(&mut head)?;
    let mut fields = &head[..];
    if take::<4>(&mut fields)? != OPENING || take(&mut fields)? != VERSION.to_le_bytes() {
        return Err(invalid("no sessions of a known version"));
    }
    let len = u64::from_le_bytes(take(&mut fields)?);
    // Grows with what is really there: a length that lies costs nothing.
    let mut body = Vec::new();
    from.take(len).read_to_end(&mut body)?;
    if body.len() as u64 != len {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut body = &body[..];
    let table = read_table(&mut body)?;
    if !body.is_empty() {
        return Err(invalid("sessions with something behind them"));
    }
    Ok(table)
}

fn read_table(from: &mut &[u8]) -> io::Result<Table> {
    let mut numbers = [0; 5];
    for number in &mut numbers {
        *number = word(from)?;
    }
    let (next, turn, count) = (word(from)?, word(from)?, word(from)?);
    let mut sessions = BTreeMap::new();
    // Turns name what they order, so none comes twice.
    let mut turns = BTreeSet::new();
    for _ in 0..count {
        let id = SessionId(word(from)?);
        let session = read_session(from, turn, &mut turns)?;
        if id.0 >= next || sessions.insert(id, Arc::new(session)).is_some() {
            return Err(invalid("a session that was not given out, or comes twice"));
        }
    }
    if next > NUMBER_MAX || turn > NUMBER_MAX {
        return Err(invalid("sessions beyond what any log can hold"));
    }
    Ok(Table::thaw(Frozen {
        limits: SessionLimits::of_numbers(numbers),
        next,
        turn,
        sessions,
    }))
}

fn read_session(from: &mut &[u8], last: u64, turns: &mut BTreeSet<u64>) -> io::Result<Session> {
    let (highest, floor) = (word(from)?, word(from)?);
    let (used, ends, names) = (word(from)?, word(from)?, word(from)?);
    let mut is_new = |turn| turn <= last && turns.insert(turn);
    if !is_new(used) {
        return Err(invalid("a session with an impossible turn"));
    }
    let mut done = BTreeMap::new();
    for _ in 0..names {
        let (sequence, turn) = (word(from)?, word(from)?);
        let len = u32::from_le_bytes(take(from)?) as usize;
        let (bytes, rest) = from
            .split_at_checked(len)
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        *from = rest;
        let reply = match turn {
            0 if bytes.is_empty() => Reply::Gone,
            _ if is_new(turn) => Reply::Kept {
                turn,
                bytes: Bytes::copy_from_slice(bytes),
            },
            _ => return Err(invalid("a reply with an impossible turn")),
        };
        if sequence < floor || sequence > highest || done.insert(sequence, reply).is_some() {
            return Err(invalid(
                "a name outside of its session's, or one that comes twice",
            ));
        }
    }
    let ends = (ends != NEVER).then_some(LogTime(ends));
    Ok(Session {
        highest,
        floor,
        done,
        used,
        ends,
    })
}

fn word(from: &mut &[u8]) -> io::Result<u64> {
    Ok(u64::from_le_bytes(take(from)?))
}

fn take<const N: usize>(from: &mut &[u8]) -> io::Result<[u8; N]> {
    let (taken, rest) = from
        .split_first_chunk()
        .ok_or(io::ErrorKind::UnexpectedEof)?;
    *from = rest;
    Ok(*taken)
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

const OPENING: [u8; 4] = *b"SYSE";
const VERSION: u32 = 0;
const NEVER: u64 = u64::MAX;
/// No log reaches it.
const NUMBER_MAX: u64 = u64::MAX / 2;

#[cfg(test)]
mod tests {
    use super::super::{Sequence, SessionName};
    use super::*;

    #[test]
    fn golden() {
        let mut table = Table::new(SessionLimits::default());
        let session = table.open(Some(LogTime(7)));
        table.open(None);
        let name = |sequence| SessionName {
            session,
            sequence: Sequence(sequence),
        };
        table.applied(name(3), Some(b"ab".to_vec()), None);
        table.applied(name(4), None, None);
        let mut bytes = Vec::new();
        write(&table.freeze(), &mut bytes).unwrap();

        let word = |number: u64| number.to_le_bytes().to_vec();
        let body = [
            [10_000, 64, 4_096, 16 << 20, 3_600_000_000, 3, 6, 2]
                .map(word)
                .concat(),
            [1, 4, 0, 5, 7, 2].map(word).concat(),
            [3, 4].map(word).concat(),
            b"\x02\0\0\0ab".to_vec(),
            [4, 0].map(word).concat(),
            b"\0\0\0\0".to_vec(),
            [2, 0, 0, 2, u64::MAX, 0].map(word).concat(),
        ]
        .concat();
        let head = [b"SYSE\0\0\0\0", &(body.len() as u64).to_le_bytes()[..]].concat();
        assert_eq!(bytes, [head, body].concat());
        let again = read(&mut &bytes[..]).unwrap();
        let mut copy = Vec::new();
        write(&again.freeze(), &mut copy).unwrap();
        assert_eq!((copy, again.reply_bytes()), (bytes, 2));
    }
}
