//! What a client says of itself and of how it wants to be spoken to; and what it may not switch on.
//!
//! Most commands stand alone: one that this server does not know is answered with an error, and the
//! next one means what it meant before. A few give another meaning to everything behind them. Behind
//! `MULTI` a write is not a write yet, behind `SELECT 1` a key is another key, behind `CLIENT REPLY
//! OFF` there are no answers to count. A client that sends them in one piece with what follows would
//! be half obeyed, so an error is not enough: the connection ends with it ([`RequestError::ends`]).

use bytes::Bytes;

use crate::{
    answer::Resp,
    machine::integer,
    request::{Local, Login, Request, RequestError, is, local, printable},
};

/// Commands that switch on what this server has not: their names, and what that would be.
static SWITCHES: &[(&str, &str)] = &[
    ("multi", TRANSACTIONS),
    ("exec", TRANSACTIONS),
    ("discard", TRANSACTIONS),
    ("watch", TRANSACTIONS),
    ("unwatch", TRANSACTIONS),
    ("subscribe", CHANNELS),
    ("psubscribe", CHANNELS),
    ("ssubscribe", CHANNELS),
    ("unsubscribe", CHANNELS),
    ("punsubscribe", CHANNELS),
    ("sunsubscribe", CHANNELS),
    ("monitor", "monitoring"),
    ("asking", "hash slots"),
    ("sync", REPLICAS),
    ("psync", REPLICAS),
    ("replconf", REPLICAS),
];

const TRANSACTIONS: &str = "transactions";
const CHANNELS: &str = "publish and subscribe";
const REPLICAS: &str = "replicas of another program";

/// The error of a command that switches on what is not here; `None` for any other.
pub(crate) fn switch(name: &[u8]) -> Option<RequestError> {
    SWITCHES
        .iter()
        .find(|(switch, _)| is(name, switch))
        .map(|(switch, what)| RequestError::Switch(switch, what))
}

/// `HELLO [version [AUTH user password] [SETNAME name]]`
pub(crate) fn hello(args: &[Bytes]) -> Result<Request, RequestError> {
    let Some((version, mut options)) = args.split_first() else {
        return local(Local::Hello {
            resp: None,
            name: None,
            login: None,
        });
    };
    let resp = match integer(version) {
        Some(2) => Resp::Two,
        Some(3) => Resp::Three,
        Some(_) => return Err(RequestError::ProtocolVersion),
        None => return Err(RequestError::ProtocolNumber),
    };
    let (mut name, mut login) = (None, None);
    loop {
        options = match options {
            [] => break,
            [option, user, password, rest @ ..] if is(option, "auth") => {
                login = Some(Login {
                    user: Some(user.clone()),
                    password: password.clone(),
                });
                rest
            }
            [option, text, rest @ ..] if is(option, "setname") => {
                name = Some(client_name(text)?);
                rest
            }
            [option, ..] => return Err(RequestError::HelloOption(printable(option))),
        };
    }
    let resp = Some(resp);
    local(Local::Hello { resp, name, login })
}

/// `AUTH [user] password`
pub(crate) fn auth(args: &[Bytes]) -> Result<Request, RequestError> {
    let login = match args {
        [user, password] => Login {
            user: Some(user.clone()),
            password: password.clone(),
        },
        [password] => Login {
            user: None,
            password: password.clone(),
        },
        _ => return Err(RequestError::Arity("auth")),
    };
    local(Local::Auth(login))
}

/// `SELECT index`: there is one database, number 0.
pub(crate) fn select(args: &[Bytes]) -> Result<Request, RequestError> {
    match integer(&args[0]) {
        Some(0) => local(Local::Nothing),
        _ => Err(RequestError::Database),
    }
}

/// `CLIENT subcommand ..`
pub(crate) fn client(args: &[Bytes]) -> Result<Request, RequestError> {
    match args {
        [sub] if is(sub, "id") => local(Local::ClientId),
        [sub] if is(sub, "getname") => local(Local::ClientName),
        [sub, name] if is(sub, "setname") => local(Local::ClientSetName(client_name(name)?)),
        [sub, _, _] if is(sub, "setinfo") => local(Local::Nothing),
        [sub, mode] if is(sub, "reply") && is(mode, "on") => local(Local::Nothing),
        [sub, ..] if is(sub, "reply") => {
            Err(RequestError::Switch("client reply", "silent requests"))
        }
        [sub, ..] if is(sub, "tracking") || is(sub, "caching") => {
            let what = "invalidation of what clients have cached";
            Err(RequestError::Switch("client tracking", what))
        }
        [sub, ..] if is(sub, "id") => Err(RequestError::Arity("client|id")),
        [sub, ..] if is(sub, "getname") => Err(RequestError::Arity("client|getname")),
        [sub, ..] if is(sub, "setname") => Err(RequestError::Arity("client|setname")),
        [sub, ..] if is(sub, "setinfo") => Err(RequestError::Arity("client|setinfo")),
        [sub, ..] => Err(RequestError::UnknownSubcommand("CLIENT", printable(sub))),
        [] => Err(RequestError::Arity("client")),
    }
}

fn client_name(name: &Bytes) -> Result<Bytes, RequestError> {
    if name.iter().all(u8::is_ascii_graphic) && name.len() <= CLIENT_NAME_BYTES_MAX {
        // Not a slice of the request, which would live as long as the name.
        Ok(Bytes::copy_from_slice(name))
    } else {
        Err(RequestError::ClientName)
    }
}

const CLIENT_NAME_BYTES_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::parse;

    fn ask(request: &str) -> Result<Request, RequestError> {
        let args: Vec<_> = request
            .split(' ')
            .map(|arg| arg.to_owned().into())
            .collect();
        parse(&args)
    }

    #[test]
    fn a_greeting_is_taken_whole_or_not_at_all() {
        let hello = |resp, name: Option<&'static str>| {
            let name = name.map(Into::into);
            let login = None;
            local(Local::Hello { resp, name, login })
        };
        assert_eq!(ask("HELLO"), hello(None, None));
        assert_eq!(ask("hello 2"), hello(Some(Resp::Two), None));
        assert_eq!(
            ask("HELLO 3 SETNAME a setname b"),
            hello(Some(Resp::Three), Some("b"))
        );
        for (request, error) in [
            ("HELLO 4", RequestError::ProtocolVersion),
            ("HELLO -3", RequestError::ProtocolVersion),
            ("HELLO three", RequestError::ProtocolNumber),
            (
                "HELLO 3 AUTH default",
                RequestError::HelloOption("AUTH".into()),
            ),
            (
                "HELLO 3 SETNAME",
                RequestError::HelloOption("SETNAME".into()),
            ),
            ("HELLO 3 x", RequestError::HelloOption("x".into())),
            ("AUTH", RequestError::Arity("auth")),
            ("AUTH a b c", RequestError::Arity("auth")),
        ] {
            let found = ask(request).unwrap_err();
            assert!(!found.ends(), "{request}");
            assert_eq!(found, error, "{request}");
        }
    }

    #[test]
    fn a_password_is_taken_as_it_is_said_and_not_shown() {
        let login = |user: Option<&'static str>| Login {
            user: user.map(Into::into),
            password: "secret".into(),
        };
        let name = |name: Option<&'static str>| name.map(Into::into);
        let hello = |set: Option<&'static str>| {
            local(Local::Hello {
                resp: Some(Resp::Three),
                name: name(set),
                login: Some(login(Some("default"))),
            })
        };
        assert_eq!(ask("AUTH secret"), local(Local::Auth(login(None))));
        assert_eq!(ask("auth u secret"), local(Local::Auth(login(Some("u")))));
        assert_eq!(ask("HELLO 3 AUTH default secret"), hello(None));
        let both = "HELLO 3 SETNAME a AUTH default secret";
        assert_eq!(ask(both), hello(Some("a")));
        assert!(!format!("{:?}", ask(both)).contains("secret"));
    }

    #[test]
    fn what_gives_another_meaning_to_what_follows_ends_the_connection() {
        for request in [
            "MULTI",
            "multi x",
            "EXEC",
            "DISCARD",
            "WATCH k",
            "UNWATCH",
            "SUBSCRIBE c",
            "PSUBSCRIBE c",
            "MONITOR",
            "SYNC",
            "CLIENT REPLY OFF",
            "CLIENT REPLY SKIP",
            "CLIENT TRACKING ON",
            "SELECT 1",
            "SELECT x",
        ] {
            assert!(ask(request).is_err_and(|error| error.ends()), "{request}");
        }
        for request in [
            "CLIENT KILL x",
            "LPUSH l 1",
            "GET",
            "SET k v EXAT 1",
            "SELECT",
        ] {
            assert!(ask(request).is_err_and(|error| !error.ends()), "{request}");
        }
        for request in ["SELECT 0", "CLIENT REPLY ON"] {
            assert_eq!(ask(request), local(Local::Nothing), "{request}");
        }
    }
}
