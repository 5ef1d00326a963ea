//! The requests with which keys get a time: what Redis accepts, and its errors word for word.

use bytes::Bytes;

use crate::{
    command::{Blob, Command, Expiry, Unless, When},
    machine::integer,
    query::Query,
    request::{Request, RequestError, is, printable, write},
};

/// `SET key value [NX|XX] [GET] [EX seconds|PX milliseconds|KEEPTTL]`
pub(crate) fn set(args: &[Bytes]) -> Result<Request, RequestError> {
    let (mut when, mut previous, mut expiry) = (When::Always, false, None);
    let mut options = args[2..].iter();
    while let Some(option) = options.next() {
        if is(option, "nx") && when != When::Present {
            when = When::Absent;
        } else if is(option, "xx") && when != When::Absent {
            when = When::Present;
        } else if is(option, "get") {
            previous = true;
        } else if is(option, "keepttl") && matches!(expiry, None | Some(Expiry::Keep)) {
            expiry = Some(Expiry::Keep);
        } else if let Some(unit) = unit(option)
            && expiry.is_none()
            && let Some(number) = options.next()
        {
            let millis = lasting("set", number, unit)?;
            expiry = Some(Expiry::Within { millis });
        } else {
            return Err(RequestError::Syntax);
        }
    }
    let (key, value) = (Blob(&args[0]), Blob(&args[1]));
    let set = match expiry {
        None => write(&Command::Set {
            key,
            value,
            when,
            previous,
        }),
        Some(expiry) => write(&Command::SetExpiring {
            key,
            value,
            when,
            previous,
            expiry,
        }),
    };
    match set? {
        Request::Write(entry) if previous => Ok(Request::Swap(entry)),
        set => Ok(set),
    }
}

/// `SETEX key seconds value`, `PSETEX key milliseconds value`
pub(crate) fn set_within(
    name: &'static str,
    args: &[Bytes],
    unit: u64,
) -> Result<Request, RequestError> {
    let millis = lasting(name, &args[1], unit)?;
    write(&Command::SetExpiring {
        key: Blob(&args[0]),
        value: Blob(&args[2]),
        when: When::Always,
        previous: false,
        expiry: Expiry::Within { millis },
    })
}

/// `EXPIRE key seconds [NX|XX|GT|LT]`, `PEXPIRE key milliseconds [..]`
pub(crate) fn expire(
    name: &'static str,
    args: &[Bytes],
    unit: u64,
) -> Result<Request, RequestError> {
    let number = integer(&args[1]).ok_or(RequestError::NotAnInteger)?;
    // What is past is removed.
    let millis = millis(number.max(0), unit).ok_or(RequestError::ExpireTime(name))?;
    let unless = condition(&args[2..])?;
    write(&Command::Expire {
        key: Blob(&args[0]),
        millis,
        unless,
    })
}

fn condition(options: &[Bytes]) -> Result<Unless, RequestError> {
    let [mut nx, mut xx, mut gt, mut lt] = [false; 4];
    for option in options {
        match option {
            option if is(option, "nx") => nx = true,
            option if is(option, "xx") => xx = true,
            option if is(option, "gt") => gt = true,
            option if is(option, "lt") => lt = true,
            option => return Err(RequestError::UnknownOption(printable(option))),
        }
    }
    match (nx, xx, gt, lt) {
        (true, false, false, false) => Ok(Unless::Ending),
        (true, ..) => Err(RequestError::Options("NX and XX, GT or LT")),
        (_, _, true, true) => Err(RequestError::Options("GT and LT")),
        // What lasts for ever is not made to last longer anyway.
        (_, _, true, _) => Ok(Unless::Sooner),
        (_, true, _, true) => Ok(Unless::LaterOrLasting),
        (_, _, _, true) => Ok(Unless::Later),
        (_, true, ..) => Ok(Unless::Lasting),
        _ => Ok(Unless::Never),
    }
}

/// `TTL key`, `PTTL key`
pub(crate) fn left(args: &[Bytes], millis: bool) -> Result<Request, RequestError> {
    let key = args[0].clone();
    Ok(Request::Read(Query::Left { key, millis }))
}

/// `DELEX key [IFEQ value|IFNE value]`
pub(crate) fn delete_if(args: &[Bytes]) -> Result<Request, RequestError> {
    let key = Blob(&args[0]);
    match &args[1..] {
        [] => write(&Command::Delete { keys: vec![key] }),
        [condition, value] if is(condition, "ifeq") || is(condition, "ifne") => {
            write(&Command::DeleteIf {
                key,
                value: Blob(value),
                is: is(condition, "ifeq"),
            })
        }
        _ => Err(RequestError::Syntax),
    }
}

fn unit(option: &[u8]) -> Option<u64> {
    match option {
        option if is(option, "ex") => Some(SECOND),
        option if is(option, "px") => Some(MILLISECOND),
        _ => None,
    }
}

/// How long a key that is set is to last.
fn lasting(name: &'static str, number: &[u8], unit: u64) -> Result<u64, RequestError> {
    let number = integer(number).ok_or(RequestError::NotAnInteger)?;
    let millis = millis(number, unit).filter(|millis| *millis > 0);
    millis.ok_or(RequestError::ExpireTime(name))
}

fn millis(number: i64, unit: u64) -> Option<u64> {
    let millis = u64::try_from(number).ok()?.checked_mul(unit)?;
    (millis <= MILLIS_MAX).then_some(millis)
}

/// In milliseconds.
pub(crate) const SECOND: u64 = 1_000;
pub(crate) const MILLISECOND: u64 = 1;
/// A hundred thousand years, so that no deadline is beyond all numbers.
const MILLIS_MAX: u64 = 1 << 52;
