//! `SESSION`: writes that take effect once, however often they are asked.

use std::time::Duration;

use bytes::Bytes;
use synod_replica::{Sequence, SessionId, SessionLimits, SessionName};

use crate::{
    entry::Entry,
    machine::integer,
    request::{Request, RequestError, is, parse, printable},
};

/// `SESSION NEW`, `SESSION id sequence command ..`, `SESSION CLOSE id`,
/// `SESSION LIMIT sessions window reply-bytes replies-bytes idle-milliseconds`
pub(crate) fn session(args: &[Bytes]) -> Result<Request, RequestError> {
    match args {
        [sub] if is(sub, "new") => Ok(Request::Write(Entry::open())),
        [sub, session] if is(sub, "close") => {
            let session = SessionId(number(session)?);
            Ok(Request::Write(Entry::close(session)))
        }
        [sub, limits @ ..] if is(sub, "limit") => limit(limits),
        [session, sequence, command @ ..] if !command.is_empty() => {
            let name = SessionName {
                session: SessionId(number(session)?),
                sequence: Sequence(number(sequence)?),
            };
            named(name, command)
        }
        [sub, ..] if integer(sub).is_none() => {
            Err(RequestError::UnknownSubcommand("SESSION", printable(sub)))
        }
        _ => Err(RequestError::Arity("session")),
    }
}

fn named(name: SessionName, command: &[Bytes]) -> Result<Request, RequestError> {
    let request = parse(command)?;
    let under_name = |entry: &Entry| entry.named(name).ok_or(RequestError::Syntax);
    match &request {
        Request::Write(entry) => Ok(Request::Write(under_name(entry)?)),
        Request::Swap(entry) => Ok(Request::Swap(under_name(entry)?)),
        Request::Read(_) | Request::Local(_) => Err(RequestError::NoWrite),
    }
}

/// Refused here if it is beyond what the format allows: what is applied is brought within it.
fn limit(args: &[Bytes]) -> Result<Request, RequestError> {
    let [sessions_max, window, reply, replies, idle] = args else {
        return Err(RequestError::Arity("session|limit"));
    };
    let limits = SessionLimits {
        sessions_max: number(sessions_max)?,
        window: number(window)?,
        reply_bytes_max: number(reply)?,
        replies_bytes_max: number(replies)?,
        idle: Duration::from_millis(number(idle)?),
    };
    if limits != limits.within_bounds() {
        return Err(RequestError::NotAnInteger);
    }
    Ok(Request::Write(Entry::limit(limits)))
}

fn number(text: &[u8]) -> Result<u64, RequestError> {
    let number = integer(text).and_then(|number| u64::try_from(number).ok());
    number.ok_or(RequestError::NotAnInteger)
}
