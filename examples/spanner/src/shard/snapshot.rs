//! The state of a shard as bytes, written and read in parts of bounded length.
//!
//! ```text
//!  version 1 │ the small things │ rows: tag 1 prepared, 2 decided, 3 unsettled, 4 version │ tag 0
//!            └───────────── each of them a part: its length (u32, big-endian), then its bytes ─────────────┘
//! ```

use std::cmp::Reverse;
use std::io::{self, Read, Write};

use synod_truetime::Timestamp;

use super::State;
use super::outcomes::Outcomes;
use crate::codec::{Broken, Decoder, Encoder};
use crate::command::{COMMAND_BYTES_MAX, PARTICIPANTS_MAX, Prepared};
use crate::store::{Store, Sweep, Versions};
use crate::txn::Reign;

pub(super) fn write(state: &State, to: &mut dyn Write) -> io::Result<()> {
    let mut parts = Parts {
        to,
        part: Encoder::default(),
    };
    let (horizon, sweeping, versions) = state.store.parts();
    write_head(state, horizon, sweeping, &mut parts.part);
    parts.flush()?;
    for (txn, prepared) in &state.prepared {
        parts.part.byte(PREPARED);
        parts.part.txn(txn);
        parts.part.time(prepared.at);
        write_time(prepared.before, &mut parts.part);
        parts.part.writes(&prepared.writes);
        parts.end_row()?;
    }
    for (txn, decision) in state.outcomes.iter() {
        parts.part.byte(DECIDED);
        parts.part.txn(txn);
        parts.part.decision(*decision);
        parts.end_row()?;
    }
    for (txn, participants) in state.outcomes.unsettled() {
        parts.part.byte(UNSETTLED);
        parts.part.txn(txn);
        parts.part.shards(participants);
        parts.end_row()?;
    }
    for ((key, Reverse(written)), value) in versions.iter().flatten() {
        parts.part.byte(VERSION_ROW);
        parts.part.bytes(key);
        parts.part.time(*written);
        parts.part.value(value.as_ref());
        parts.end_row()?;
    }
    parts.part.byte(END);
    parts.flush()
}

pub(super) fn read(from: &mut dyn Read) -> io::Result<State> {
    let head = read_part(from)?;
    let (mut state, horizon, sweeping) = read_head(&head)?;
    let mut versions = Versions::default();
    let mut is_whole = false;
    while !is_whole {
        let part = read_part(from)?;
        let mut rows = Decoder::new(&part);
        while !is_whole {
            match rows.byte()? {
                END => is_whole = true,
                VERSION_ROW => {
                    let place = (rows.key()?, Reverse(rows.time()?));
                    versions.insert(place, rows.value()?);
                }
                row => read_row(row, &mut rows, &mut state)?,
            }
            if rows.is_empty() {
                break;
            }
        }
        rows.end()?;
    }
    state.store = Store::from_parts(horizon, sweeping, versions);
    match from.read(&mut [0])? {
        0 => Ok(state),
        _ => Err(Broken.into()),
    }
}

fn write_head(state: &State, horizon: Timestamp, sweeping: Option<&Sweep>, to: &mut Encoder) {
    to.byte(VERSION);
    to.number(state.reign.0);
    to.number(state.next);
    to.flag(state.is_released);
    to.time(state.lease_end);
    to.time(state.assigned);
    to.time(state.closed);
    to.time(state.outcomes.from());
    to.number(state.applied);
    to.time(horizon);
    to.flag(sweeping.is_some());
    if let Some(Sweep { from, covered }) = sweeping {
        to.bytes(&from.0);
        to.time(from.1.0);
        to.value(covered.as_ref());
    }
}

fn read_head(head: &[u8]) -> Result<(State, Timestamp, Option<Sweep>), Broken> {
    let mut from = Decoder::new(head);
    if from.byte()? != VERSION {
        return Err(Broken);
    }
    let state = State {
        reign: Reign(from.number()?),
        next: from.number()?,
        is_released: from.flag()?,
        lease_end: from.time()?,
        assigned: from.time()?,
        closed: from.time()?,
        outcomes: Outcomes::known_from(from.time()?),
        applied: from.number()?,
        ..State::default()
    };
    let horizon = from.time()?;
    let sweeping = match from.flag()? {
        false => None,
        true => Some(Sweep {
            from: (from.key()?, Reverse(from.time()?)),
            covered: from.value()?,
        }),
    };
    from.end()?;
    Ok((state, horizon, sweeping))
}

fn read_row(row: u8, from: &mut Decoder<'_>, state: &mut State) -> Result<(), Broken> {
    match row {
        PREPARED => {
            let txn = from.txn()?;
            let prepared = Prepared {
                at: from.time()?,
                before: from.flag()?.then(|| from.time()).transpose()?,
                writes: from.writes()?,
            };
            state.prepared.insert(txn, prepared);
        }
        DECIDED => {
            let txn = from.txn()?;
            state.outcomes.insert(txn, from.decision()?);
        }
        UNSETTLED => {
            let txn = from.txn()?;
            let participants = from.shards(PARTICIPANTS_MAX)?;
            state.outcomes.insert_unsettled(txn, participants);
        }
        _ => return Err(Broken),
    }
    Ok(())
}

fn write_time(time: Option<Timestamp>, to: &mut Encoder) {
    to.flag(time.is_some());
    if let Some(time) = time {
        to.time(time);
    }
}

fn read_part(from: &mut dyn Read) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length);
    if length as usize > PART_BYTES_MAX + COMMAND_BYTES_MAX {
        return Err(Broken.into());
    }
    // What is there decides how much memory it takes, not what is said to be there.
    let mut part = Vec::new();
    from.take(u64::from(length)).read_to_end(&mut part)?;
    if part.len() != length as usize {
        return Err(Broken.into());
    }
    Ok(part)
}

/// Rows, gathered so that none of them costs a call.
struct Parts<'a> {
    to: &'a mut dyn Write,
    part: Encoder,
}

impl Parts<'_> {
    fn end_row(&mut self) -> io::Result<()> {
        if self.part.len() >= PART_BYTES_MAX {
            return self.flush();
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        let part = self.part.take();
        let length = u32::try_from(part.len()).map_err(io::Error::other)?;
        self.to.write_all(&length.to_be_bytes())?;
        self.to.write_all(&part)
    }
}

impl From<Broken> for io::Error {
    fn from(broken: Broken) -> Self {
        Self::new(io::ErrorKind::InvalidData, broken)
    }
}

const VERSION: u8 = 1;
const END: u8 = 0;
const PREPARED: u8 = 1;
const DECIDED: u8 = 2;
const UNSETTLED: u8 = 3;
const VERSION_ROW: u8 = 4;
/// A part ends with the row that reaches this.
const PART_BYTES_MAX: usize = 1 << 16;
