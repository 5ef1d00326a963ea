//! `CONSISTENCY`: how fresh the reads of a connection are.

use std::time::Duration;

use bytes::Bytes;
use redis_protocol::resp2::types::BytesFrame;
use synod_replica::Consistency;

use crate::{
    answer::Answer,
    request::{Local, Request, RequestError},
};

/// What `CONSISTENCY` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// How fresh the reads of this connection are.
    Show,
    /// How old the state was, in milliseconds, at most, that the last read of this connection saw.
    Age,
    /// From now on they are to be so fresh.
    Set(Consistency),
}

/// How fresh the reads of a connection are, and how old the last one was at most.
#[derive(Debug)]
pub(crate) struct Fresh {
    level: Consistency,
    age: Option<Duration>,
}

impl Default for Fresh {
    fn default() -> Self {
        Self {
            level: Consistency::Linearizable,
            age: None,
        }
    }
}

impl Fresh {
    pub(crate) fn level(&self) -> Consistency {
        self.level
    }

    /// A read has seen a state that was so old.
    pub(crate) fn seen(&mut self, age: Option<Duration>) {
        self.age = age;
    }

    pub(crate) fn answer(&mut self, asked: Freshness) -> Answer {
        match asked {
            Freshness::Set(level) => {
                self.level = level;
                Answer::simple("OK")
            }
            Freshness::Show => Answer::Frame(BytesFrame::BulkString(text(self.level).into())),
            Freshness::Age => self.age.map_or(Answer::Value(None), |age| {
                // Rounded up: it is never too small.
                let ms = age.as_micros().div_ceil(1000);
                Answer::Frame(BytesFrame::Integer(i64::try_from(ms).unwrap_or(i64::MAX)))
            }),
        }
    }
}

/// `CONSISTENCY`, `CONSISTENCY AGE`,
/// `CONSISTENCY LINEARIZABLE|LEASE|STALE`, `CONSISTENCY BOUNDED milliseconds`
pub(crate) fn consistency(args: &[Bytes]) -> Result<Request, RequestError> {
    let is = |arg: &Bytes, name: &str| arg.eq_ignore_ascii_case(name.as_bytes());
    let asked = match args {
        [] => Freshness::Show,
        [word] if is(word, "age") => Freshness::Age,
        [word] if is(word, "linearizable") => Freshness::Set(Consistency::Linearizable),
        [word] if is(word, "lease") => Freshness::Set(Consistency::Lease),
        [word] if is(word, "stale") => Freshness::Set(Consistency::Stale),
        [word, most] if is(word, "bounded") => {
            let ms = std::str::from_utf8(most).ok();
            let ms = ms.and_then(|ms| ms.parse::<u64>().ok());
            let ms = ms.ok_or(RequestError::NotAnInteger)?;
            Freshness::Set(Consistency::Bounded(Duration::from_millis(ms)))
        }
        _ => return Err(RequestError::Syntax),
    };
    Ok(Request::Local(Local::Consistency(asked)))
}

/// As the command takes it.
fn text(consistency: Consistency) -> String {
    match consistency {
        Consistency::Linearizable => "linearizable".into(),
        Consistency::Lease => "lease".into(),
        Consistency::Bounded(most) => format!("bounded {}", most.as_millis()),
        Consistency::Stale => "stale".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Request, RequestError> {
        let args: Vec<Bytes> = text
            .split_whitespace()
            .map(|arg| Bytes::copy_from_slice(arg.as_bytes()))
            .collect();
        consistency(&args)
    }

    #[test]
    fn what_is_shown_can_be_set() {
        for level in [
            Consistency::Linearizable,
            Consistency::Lease,
            Consistency::Bounded(Duration::from_millis(250)),
            Consistency::Stale,
        ] {
            let set = Request::Local(Local::Consistency(Freshness::Set(level)));
            assert_eq!(read(&text(level).to_uppercase()), Ok(set));
        }
        for nonsense in ["bounded", "strong", "stale 5", "age 1", "bounded 1 2"] {
            assert_eq!(read(nonsense), Err(RequestError::Syntax), "{nonsense}");
        }
        assert_eq!(read("bounded -1"), Err(RequestError::NotAnInteger));
    }
}
