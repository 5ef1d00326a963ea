//! From arguments to meaning: which command, with which options.
//!
//! The errors are those that clients of Redis know, word for word.

use bytes::Bytes;

use crate::{
    answer::Resp,
    command::{Blob, Command},
    consistency::{self, Freshness},
    entry::Entry,
    expire::{self, MILLISECOND, SECOND},
    handshake,
    machine::integer,
    members::{self, Manage},
    query::Query,
    response::Refusal,
    session,
};

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Goes through the log.
    Write(Entry),
    /// The same, and the answer is the value before, however long that is.
    Swap(Entry),
    /// Looks at the machine.
    Read(Query),
    /// Is answered by this connection alone.
    Local(Local),
}

/// Requests that neither write nor read the replicated state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Local {
    /// `PING [message]`
    Ping(Option<Bytes>),
    /// `ECHO message`
    Echo(Bytes),
    /// `INFO [section ...]`; none means all.
    Info(Vec<Bytes>),
    /// `COMMAND`, with any subcommand but `COUNT`: an empty list, which every client accepts.
    CommandList,
    /// `COMMAND COUNT`
    CommandCount,
    /// `CONFIG GET parameter [parameter ...]`
    ConfigGet(Vec<Bytes>),
    /// `HELLO`
    Hello {
        /// What to speak from now on; `None` leaves it as it is.
        resp: Option<Resp>,
        /// As by `CLIENT SETNAME`.
        name: Option<Bytes>,
        /// As by `AUTH`.
        login: Option<Login>,
    },
    /// `AUTH [user] password`
    Auth(Login),
    /// `RESET`: as if just connected.
    Reset,
    /// `CLIENT ID`
    ClientId,
    /// `CLIENT GETNAME`
    ClientName,
    /// `CLIENT SETNAME name`
    ClientSetName(Bytes),
    /// `CONSISTENCY ..`
    Consistency(Freshness),
    /// `MEMBER ..`, `TRANSFER [id]`
    Manage(Manage),
    /// What has no effect here and is done at once: `CLIENT SETINFO`, `CLIENT REPLY ON`, `SELECT 0`.
    Nothing,
    /// `QUIT`
    Quit,
}

/// Who a client says that it is.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// There is one user, `default`, who need not be named.
    pub user: Option<Bytes>,
    /// What proves it.
    pub password: Bytes,
}

/// Without the password.
impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").finish_non_exhaustive()
    }
}

/// Why arguments mean nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// There is no such command.
    #[error("unknown command '{0}', with args beginning with: {1}")]
    Unknown(String, String),
    /// There is no such subcommand.
    #[error("unknown subcommand '{1}'. Try {0} HELP.")]
    UnknownSubcommand(&'static str, String),
    /// Too few or too many arguments.
    #[error("wrong number of arguments for '{0}' command")]
    Arity(&'static str),
    /// Options that do not exist or exclude one another.
    #[error("syntax error")]
    Syntax,
    /// An argument that should be a number.
    #[error("value is not an integer or out of range")]
    NotAnInteger,
    /// A time that is over before it begins, or beyond all bounds.
    #[error("invalid expire time in '{0}' command")]
    ExpireTime(&'static str),
    /// An option of `EXPIRE` that does not exist.
    #[error("Unsupported option {0}")]
    UnknownOption(String),
    /// Options of `EXPIRE` that exclude one another.
    #[error("{0} options at the same time are not compatible")]
    Options(&'static str),
    /// What changes nothing has no name: it may be asked again as it is.
    #[error("only a write has a place in a session")]
    NoWrite,
    /// The one number that cannot be negated.
    #[error("decrement would overflow")]
    Overflow,
    /// There is one database, number 0. The connection ends, as with [`Self::Switch`].
    #[error("DB index is out of range")]
    Database,
    /// It would give another meaning to what follows: a command, and what it would switch on.
    #[error(
        "'{0}' is not supported: this server has no {1}. The connection ends, so that nothing behind it is \
         obeyed by half"
    )]
    Switch(&'static str, &'static str),
    /// The client has not said the password yet.
    #[error("Authentication required.")]
    Unauthenticated,
    /// There is no password.
    #[error(
        "AUTH <password> called without any password configured for the default user. Are you sure your \
         configuration is correct?"
    )]
    NoAuth,
    /// `HELLO` with a version that does not exist.
    #[error("unsupported protocol version")]
    ProtocolVersion,
    /// `HELLO` with something else in place of a version.
    #[error("Protocol version is not an integer or out of range")]
    ProtocolNumber,
    /// `HELLO` with an option that does not exist, or half of one.
    #[error("Syntax error in HELLO option '{0}'")]
    HelloOption(String),
    /// A name with blanks or line ends would spoil a listing.
    #[error("Client names cannot contain spaces, newlines or special characters.")]
    ClientName,
    /// A setting that does not exist, or is not for clients to change.
    #[error("Unknown option or number of arguments for CONFIG SET - '{0}'")]
    UnknownSetting(String),
    /// The machine would refuse it, whatever it holds: it is not proposed.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl RequestError {
    /// The word in front of the text, by which clients tell errors apart.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.code(),
            Self::ProtocolVersion => "NOPROTO",
            Self::Unauthenticated => "NOAUTH",
            _ => "ERR",
        }
    }

    /// Whether the connection must end with it: what follows would not mean what its sender thinks.
    #[must_use]
    pub fn ends(&self) -> bool {
        matches!(self, Self::Switch(..) | Self::Database)
    }
}

/// Reads one request. `args` holds at least the command's name.
///
/// # Errors
/// [`RequestError`]; the connection goes on after it, unless it [ends](RequestError::ends) it.
///
/// ```
/// use synod_kv::{Query, Request, parse};
///
/// assert_eq!(parse(&["get".into(), "k".into()]), Ok(Request::Read(Query::Get("k".into()))));
/// let error = parse(&["get".into()]).unwrap_err();
/// assert_eq!(error.to_string(), "wrong number of arguments for 'get' command");
/// ```
pub fn parse(args: &[Bytes]) -> Result<Request, RequestError> {
    let (name, rest) = args.split_first().ok_or(RequestError::Syntax)?;
    let entry = TABLE
        .iter()
        .find(|entry| name.eq_ignore_ascii_case(entry.name.as_bytes()));
    let entry =
        entry.ok_or_else(|| handshake::switch(name).unwrap_or_else(|| unknown(name, rest)))?;
    if rest.len() < entry.args_min || rest.len() > entry.args_max {
        return Err(RequestError::Arity(entry.name));
    }
    (entry.parse)(rest)
}

/// How many commands there are.
#[must_use]
pub fn command_count() -> usize {
    TABLE.len()
}

struct Row {
    name: &'static str,
    /// Behind the name.
    args_min: usize,
    args_max: usize,
    parse: fn(&[Bytes]) -> Result<Request, RequestError>,
}

const fn entry(
    name: &'static str,
    args_min: usize,
    args_max: usize,
    parse: fn(&[Bytes]) -> Result<Request, RequestError>,
) -> Row {
    Row {
        name,
        args_min,
        args_max,
        parse,
    }
}

/// The busiest first: the table is searched from the front.
static TABLE: &[Row] = &[
    entry("get", 1, 1, |args| {
        Ok(Request::Read(Query::Get(args[0].clone())))
    }),
    entry("set", 2, MANY, expire::set),
    entry("cas", 3, 3, |args| {
        let [key, expected, new] = [0, 1, 2].map(|at| Blob(&args[at]));
        write(&Command::CompareAndSwap { key, expected, new })
    }),
    entry("session", 1, MANY, session::session),
    entry("append", 2, 2, |args| {
        write(&Command::Append {
            key: Blob(&args[0]),
            value: Blob(&args[1]),
        })
    }),
    entry("incr", 1, 1, |args| {
        write(&Command::Add {
            key: Blob(&args[0]),
            by: 1,
        })
    }),
    entry("decr", 1, 1, |args| {
        write(&Command::Add {
            key: Blob(&args[0]),
            by: -1,
        })
    }),
    entry("incrby", 2, 2, |args| {
        let by = integer(&args[1]).ok_or(RequestError::NotAnInteger)?;
        write(&Command::Add {
            key: Blob(&args[0]),
            by,
        })
    }),
    entry("decrby", 2, 2, |args| {
        let by = integer(&args[1]).ok_or(RequestError::NotAnInteger)?;
        let by = by.checked_neg().ok_or(RequestError::Overflow)?;
        write(&Command::Add {
            key: Blob(&args[0]),
            by,
        })
    }),
    entry("del", 1, MANY, |args| {
        write(&Command::Delete {
            keys: args.iter().map(|key| Blob(key)).collect(),
        })
    }),
    entry("delex", 1, 3, expire::delete_if),
    entry("setex", 3, 3, |args| {
        expire::set_within("setex", args, SECOND)
    }),
    entry("psetex", 3, 3, |args| {
        expire::set_within("psetex", args, MILLISECOND)
    }),
    entry("expire", 2, MANY, |args| {
        expire::expire("expire", args, SECOND)
    }),
    entry("pexpire", 2, MANY, |args| {
        expire::expire("pexpire", args, MILLISECOND)
    }),
    entry("ttl", 1, 1, |args| expire::left(args, false)),
    entry("pttl", 1, 1, |args| expire::left(args, true)),
    entry("persist", 1, 1, |args| {
        write(&Command::Persist {
            key: Blob(&args[0]),
        })
    }),
    entry("exists", 1, MANY, |args| {
        Ok(Request::Read(Query::Exists(args.to_vec())))
    }),
    entry("strlen", 1, 1, |args| {
        Ok(Request::Read(Query::Len(args[0].clone())))
    }),
    entry("mget", 1, MANY, |args| {
        Ok(Request::Read(Query::GetMany(args.to_vec())))
    }),
    entry("mset", 2, MANY, set_many),
    entry("dbsize", 0, 0, |_| Ok(Request::Read(Query::Count))),
    entry("flushall", 0, 1, |args| match args.first() {
        Some(mode) if !is(mode, "async") && !is(mode, "sync") => Err(RequestError::Syntax),
        _ => write(&Command::Clear),
    }),
    entry("ping", 0, 1, |args| {
        local(Local::Ping(args.first().cloned()))
    }),
    entry("echo", 1, 1, |args| local(Local::Echo(args[0].clone()))),
    entry("info", 0, MANY, |args| local(Local::Info(args.to_vec()))),
    entry("command", 0, MANY, |args| match args.first() {
        Some(sub) if is(sub, "count") => local(Local::CommandCount),
        _ => local(Local::CommandList),
    }),
    entry("config", 1, MANY, config),
    entry("consistency", 0, 2, consistency::consistency),
    entry("client", 1, MANY, handshake::client),
    entry("select", 1, 1, handshake::select),
    entry("hello", 0, MANY, handshake::hello),
    entry("auth", 1, 2, handshake::auth),
    entry("reset", 0, 0, |_| local(Local::Reset)),
    entry("member", 1, MANY, members::member),
    entry("transfer", 0, 1, members::transfer),
    entry("backup", 1, 2, members::backup),
    entry("quit", 0, MANY, |_| local(Local::Quit)),
];

const MANY: usize = usize::MAX;

fn set_many(args: &[Bytes]) -> Result<Request, RequestError> {
    let (pairs, rest) = args.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(RequestError::Arity("mset"));
    }
    let pairs = pairs
        .iter()
        .map(|[key, value]| (Blob(key), Blob(value)))
        .collect();
    write(&Command::SetMany { pairs })
}

fn config(args: &[Bytes]) -> Result<Request, RequestError> {
    match args {
        [sub, names @ ..] if is(sub, "get") && !names.is_empty() => {
            let replicated =
                |name: &Bytes| ["*", MAXMEMORY, MAXKEYS].iter().any(|word| is(name, word));
            if names.iter().any(replicated) {
                Ok(Request::Read(Query::Config(names.to_vec())))
            } else {
                local(Local::ConfigGet(names.to_vec()))
            }
        }
        [sub, pairs @ ..] if is(sub, "set") && !pairs.is_empty() => config_set(pairs),
        [sub] if is(sub, "get") => Err(RequestError::Arity("config|get")),
        [sub, ..] => Err(RequestError::UnknownSubcommand("CONFIG", printable(sub))),
        [] => Err(RequestError::Arity("config")),
    }
}

/// The limits of the map are a part of it, so they change through the log.
fn config_set(args: &[Bytes]) -> Result<Request, RequestError> {
    let (pairs, rest) = args.as_chunks::<2>();
    if let [name] = rest {
        return Err(RequestError::UnknownSetting(printable(name)));
    }
    let (mut keys_max, mut bytes_max) = (None, None);
    for [name, number] in pairs {
        let limit = match name {
            name if is(name, MAXKEYS) => &mut keys_max,
            name if is(name, MAXMEMORY) => &mut bytes_max,
            _ => return Err(RequestError::UnknownSetting(printable(name))),
        };
        let number = integer(number).and_then(|number| u64::try_from(number).ok());
        // In Redis, zero is no limit; here there is always one.
        *limit = Some(
            number
                .filter(|number| *number > 0)
                .ok_or(RequestError::NotAnInteger)?,
        );
    }
    write(&Command::Limit {
        keys_max,
        bytes_max,
    })
}

fn unknown(name: &[u8], rest: &[Bytes]) -> RequestError {
    let mut args = String::new();
    for arg in rest {
        if args.len() > ERROR_TEXT_BYTES_MAX {
            break;
        }
        args.push('\'');
        args.push_str(&printable(arg));
        args.push_str("' ");
    }
    RequestError::Unknown(printable(name), args)
}

/// An error is one line: what a client sent goes into it shortened and without control characters.
pub(crate) fn printable(bytes: &[u8]) -> String {
    let bytes = &bytes[..bytes.len().min(ERROR_TEXT_BYTES_MAX)];
    String::from_utf8_lossy(bytes)
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

pub(crate) fn is(arg: &[u8], word: &str) -> bool {
    arg.eq_ignore_ascii_case(word.as_bytes())
}

pub(crate) fn write(command: &Command<'_>) -> Result<Request, RequestError> {
    command.check()?;
    Ok(Request::Write(Entry::new(command)))
}

pub(crate) fn local(local: Local) -> Result<Request, RequestError> {
    Ok(Request::Local(local))
}

/// Bytes of the map: Redis' name for it.
pub(crate) const MAXMEMORY: &str = "maxmemory";
/// Keys of the map.
pub(crate) const MAXKEYS: &str = "maxkeys";
const ERROR_TEXT_BYTES_MAX: usize = 128;
