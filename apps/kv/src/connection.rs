//! One connection: pipelined requests, executed and answered in order.
//!
//! Order would be simple if each request waited for the one before it, and slow: a pipeline of
//! sixteen writes would pay sixteen rounds of the protocol. So requests that are there together are
//! executed in *runs* of one kind. The writes of a run are proposed one after another without
//! waiting, and the group keeps the order of the calls; the reads of a run look at the map
//! together, at one moment. Between runs the connection waits: a read is asked only when every
//! write before it was answered, and sees them; a write is proposed only when every read before it
//! was answered, so none of them can see it. What a connection answers itself (`PING`, `INFO`)
//! belongs to any run and keeps its place in the order.
//!
//! ```text
//! SET SET APPEND PING | GET MGET | INCR | GET
//! └── one round ────┘   one round   one   one       answers: one write to the socket a run
//! ```

use std::{collections::VecDeque, net::IpAddr, sync::Arc};

use bytes::Bytes;
use redis_protocol::resp2::types::BytesFrame;
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
};

use crate::{
    answer::{Answer, Resp, greeting, settings},
    channel::Channel,
    consistency::Fresh,
    cut::{Cut, NO_PLACE},
    entry::Entry,
    framing::{Framer, FramingError, RequestLimits},
    info,
    query::Query,
    request::{Local, Login, Request, RequestError, command_count, parse},
    roster::Place,
    server::Server,
    socket::{OUTPUT_BYTES_MAX, Socket},
    store::Store,
};

pub(crate) struct Connection<S> {
    server: Arc<Server<S>>,
    socket: Socket,
    framer: Framer,
    /// The request that ended the last run because it was of the other kind.
    carried: Option<Item>,
    closing: bool,
    name: Bytes,
    resp: Resp,
    fresh: Fresh,
    from: IpAddr,
    /// It has said the password, or need not.
    is_known: bool,
    /// Until when a stranger may say it.
    stranger_until: Instant,
}

/// Requests that are executed together.
struct Run {
    items: Vec<Ask>,
    /// What they hold.
    bytes: usize,
}

/// One request.
struct Item {
    ask: Ask,
    /// What it holds until it is answered.
    bytes: usize,
}

enum Ask {
    Write(Entry),
    /// A write whose answer may be as long as a value: the last of its run, so that no more than one
    /// of them is under way that nobody has counted yet.
    Swap(Entry),
    Read(Query),
    Local(Local),
    Mistake(RequestError),
    /// The stream is beyond understanding.
    Broken(FramingError),
}

/// The reads of a run.
///
/// They are the connection's own: the store is lent them for as long as the connection waits. One that is
/// cut while it waits takes them with it, and its bytes are free when they are said to be, however long the
/// store goes on waiting for an index or a leader.
struct Reading {
    queries: Arc<Vec<Query>>,
    /// Those in front that were answered.
    answered: usize,
}

/// What is waited for to answer a request.
enum Step<W> {
    Write(W),
    /// The next of the queries.
    Read,
    Local(Local),
    Mistake(RequestError),
    Broken(FramingError),
}

impl<S: Store> Connection<S> {
    pub(crate) fn new(server: Arc<Server<S>>, stream: Channel, place: Place, from: IpAddr) -> Self {
        let is_known = server.access.password.is_none();
        let mut connection = Self {
            framer: Framer::new(UNKNOWN),
            from,
            is_known,
            stranger_until: Instant::now(),
            socket: Socket::new(stream, place, server.limits.socket()),
            server,
            carried: None,
            closing: false,
            name: Bytes::new(),
            resp: Resp::default(),
            fresh: Fresh::default(),
        };
        connection.set_known(is_known);
        connection
    }

    /// Whether it is no stranger from now on, and may take as much as that entitles to.
    fn set_known(&mut self, is_known: bool) {
        let limits = &self.server.limits;
        self.is_known = is_known;
        let (request, ahead_bytes_max) = if is_known {
            (limits.request, limits.socket().ahead_bytes_max)
        } else {
            (UNKNOWN, UNKNOWN_AHEAD_BYTES_MAX)
        };
        self.framer.set_limits(request);
        self.socket.set_known(is_known, ahead_bytes_max);
        self.stranger_until = Instant::now() + limits.stall_max;
    }

    /// Serves the client until one of the two, or `stop`, ends it.
    ///
    /// # Errors
    /// [`Cut`]
    pub(crate) async fn run(&mut self, stop: &mut watch::Receiver<bool>) -> Result<(), Cut> {
        loop {
            let run = self.next_run();
            if run.items.is_empty() {
                if let Some(bytes_max) = self.socket.overrun() {
                    return self.end_overrun(bytes_max).await;
                }
                tokio::select! {
                    // Also of one that sends without end.
                    biased;
                    () = sleep_until(self.stranger_until), if !self.is_known => {
                        return Err(Cut::Stranger);
                    }
                    more = self.socket.receive() => if !more? { return Ok(()) },
                    _ = stop.changed() => return Ok(()),
                }
                continue;
            }
            let carried = self.carried.as_ref().map_or(0, |item| item.bytes);
            self.socket.hold(run.bytes + carried).await?;
            if run.items.iter().any(Ask::is_of_data) && !self.socket.sit().await {
                self.closing = true;
                let text = String::from_utf8_lossy(&NO_PLACE[1..])
                    .trim_end()
                    .to_owned();
                self.socket.put(&Answer::error(text), self.resp).await?;
            } else {
                self.execute(run, carried).await?;
            }
            self.socket.flush().await?;
            if self.closing {
                return self.socket.close().await;
            }
        }
    }

    /// Says, behind the answers to what was taken in, that the rest was not.
    async fn end_overrun(&mut self, bytes_max: usize) -> Result<(), Cut> {
        let whose = match self.is_known {
            true => "a quarter of --clients-bytes-max",
            false => "the password was not said",
        };
        let text = format!(
            "ERR more than {bytes_max} bytes came before the answers were read ({whose}): this request and all behind \
             it were not done"
        );
        self.socket.put(&Answer::error(text), self.resp).await?;
        self.socket.flush().await?;
        self.socket.close().await?;
        Err(Cut::Ahead)
    }

    /// See [`Socket::last_word`].
    pub(crate) fn last_word(&mut self, cut: &Cut) {
        self.socket.last_word(cut);
    }

    /// The requests that are there, up to the first of the other kind.
    fn next_run(&mut self) -> Run {
        let (mut items, mut bytes) = (Vec::new(), 0);
        let mut kind = None;
        while items.len() < self.server.limits.inflight_max && bytes < RUN_BYTES_MAX {
            let Some(item) = self.carried.take().or_else(|| self.next_item()) else {
                break;
            };
            match (kind, item.ask.kind()) {
                (Some(one), Some(other)) if one != other => {
                    self.carried = Some(item);
                    break;
                }
                (_, Some(one)) => kind = Some(one),
                _ => {}
            }
            let last = item.ask.is_last();
            bytes += item.bytes;
            items.push(item.ask);
            if last {
                break;
            }
        }
        Run { items, bytes }
    }

    fn next_item(&mut self) -> Option<Item> {
        let there = self.socket.input().len();
        let args = match self.framer.next(self.socket.input()) {
            Ok(args) => args?,
            Err(error) => {
                let (ask, bytes) = (Ask::Broken(error), size_of::<Ask>());
                return Some(Item { ask, bytes });
            }
        };
        self.socket.found_request();
        // Arguments are slices of the request, which incarnations as long as any of them.
        let wire = there - self.socket.input().len();
        let args_bytes = wire + args.len() * size_of::<Bytes>();
        let (bytes, ask) = match parse(&args) {
            // What is wrong with it is nobody's business either.
            asked if !self.is_known && !is_for_all(&asked) => {
                (MISTAKE_BYTES, Ask::Mistake(RequestError::Unauthenticated))
            }
            Ok(Request::Write(entry)) => (entry.len(), Ask::Write(entry)),
            Ok(Request::Swap(entry)) => (entry.len(), Ask::Swap(entry)),
            Ok(Request::Read(query)) => (args_bytes, Ask::Read(query)),
            Ok(Request::Local(local)) => (args_bytes, Ask::Local(local)),
            Err(mistake) => (MISTAKE_BYTES, Ask::Mistake(mistake)),
        };
        let bytes = bytes + size_of::<Ask>();
        Some(Item { ask, bytes })
    }

    /// Answers a run. `carried` is what the request behind it holds.
    async fn execute(&mut self, run: Run, carried: usize) -> Result<(), Cut> {
        let mut queries = Vec::new();
        let store = &self.server.store;
        let step = |ask| match ask {
            Ask::Write(entry) | Ask::Swap(entry) => Step::Write(store.write(entry)),
            Ask::Read(query) => {
                queries.push(query);
                Step::Read
            }
            Ask::Local(local) => Step::Local(local),
            Ask::Mistake(mistake) => Step::Mistake(mistake),
            Ask::Broken(broken) => Step::Broken(broken),
        };
        let steps: Vec<_> = run.items.into_iter().map(step).collect();
        let mut reading = Reading {
            queries: Arc::new(queries),
            answered: 0,
        };
        let beside = run.bytes + carried + size_of_val(&*steps);
        self.socket.begin();
        self.socket.hold(beside).await?;
        let mut answers = VecDeque::new();
        for step in steps {
            let answer = match step {
                Step::Write(write) => {
                    let answer: Answer = write.await.map_or_else(Answer::from, Answer::from);
                    if answer.bytes_max() > OUTPUT_BYTES_MAX {
                        self.socket.hold(beside + answer.bytes_max()).await?;
                    }
                    answer
                }
                Step::Read => {
                    if answers.is_empty() {
                        answers = self.read(&mut reading).await;
                        let bytes: usize = answers.iter().map(Answer::bytes_max).sum();
                        self.socket.hold(beside + bytes).await?;
                    }
                    match answers.pop_front() {
                        Some(answer) => answer,
                        None => {
                            unreachable!("at least one of the queries that are left is answered")
                        }
                    }
                }
                Step::Local(Local::Manage(manage)) => {
                    let done = self.server.store.manage(manage).await;
                    done.unwrap_or_else(|why| Answer::error(format!("REFUSED {why}")))
                }
                Step::Local(local) => match self.refused(&local).await {
                    Some(answer) => answer,
                    None => self.local(local),
                },
                Step::Mistake(mistake) => {
                    self.closing |= mistake.ends();
                    Answer::error(format!("{} {mistake}", mistake.code()))
                }
                Step::Broken(broken) => {
                    self.closing = true;
                    Answer::error(format!("ERR Protocol error: {broken}"))
                }
            };
            self.socket.put(&answer, self.resp).await?;
        }
        Ok(())
    }

    /// Answers the queries that are left, together: all, unless the answers become too much to hold. The rest
    /// is asked later, and may see more.
    async fn read(&mut self, reading: &mut Reading) -> VecDeque<Answer> {
        let (asked, from) = (Arc::downgrade(&reading.queries), reading.answered);
        let count = reading.queries.len() - from;
        let time = self.server.store.time();
        let answer = move |kv: &_, age| {
            let (mut answers, mut bytes) = (VecDeque::new(), 0);
            // None, when nobody waits for the answers any more.
            let asked = asked.upgrade().unwrap_or_default();
            for query in asked.iter().skip(from) {
                let answer = query.answer_at(kv, time);
                bytes += answer.bytes_max();
                answers.push_back(answer);
                if bytes >= ANSWERS_BYTES_MAX {
                    break;
                }
            }
            (answers, age)
        };
        let read = self.server.store.read_as(self.fresh.level(), answer);
        let answers = match read.await {
            Ok((answers, age)) => {
                self.fresh.seen(age);
                answers
            }
            Err(failure) => vec![failure.into(); count].into(),
        };
        reading.answered += answers.len();
        answers
    }

    /// What a client is answered that has to say the password first, or says it.
    async fn refused(&mut self, local: &Local) -> Option<Answer> {
        match local {
            Local::Auth(login)
            | Local::Hello {
                login: Some(login), ..
            } => self.log_in(login).await,
            Local::Hello { login: None, .. } if !self.is_known => {
                let text = "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO \
                            <proto> AUTH <user> <pass> option can be used to authenticate the client and select the \
                            RESP protocol version at the same time";
                Some(Answer::error(text.into()))
            }
            _ => None,
        }
    }

    /// What a client is answered whose password is not the one. It waits for that answer, and its connection counts
    /// as idle.
    async fn log_in(&mut self, login: &Login) -> Option<Answer> {
        let Some(password) = &self.server.access.password else {
            return Some(Answer::error(format!("ERR {}", RequestError::NoAuth)));
        };
        let is_user = login.user.as_deref().is_none_or(|user| user == b"default");
        if password.is(&login.password) && is_user {
            self.server.throttle().passed(self.from);
            self.set_known(true);
            return None;
        }
        let wait = self.server.throttle().failed(self.from, Instant::now());
        self.socket.rest();
        sleep(wait).await;
        self.socket.begin();
        let text = "WRONGPASS invalid username-password pair or user is disabled.";
        Some(Answer::error(text.into()))
    }

    fn local(&mut self, local: Local) -> Answer {
        let frame = match local {
            Local::Ping(message) => match (self.server.store.closed(), message) {
                // Whoever asks this wants to know whether to send more.
                (Some(reason), _) => {
                    let text = format!("CLOSED this node serves nothing any more: {reason}");
                    return Answer::error(text);
                }
                (None, None) => return Answer::simple("PONG"),
                (None, Some(message)) => BytesFrame::BulkString(message),
            },
            Local::Echo(message) => BytesFrame::BulkString(message),
            Local::Info(sections) => {
                let consensus = self.server.store.consensus();
                BytesFrame::BulkString(
                    info::text(&sections, self.server.facts(), &consensus).into(),
                )
            }
            Local::CommandList => BytesFrame::Array(Vec::new()),
            Local::CommandCount => BytesFrame::Integer(command_count() as i64),
            Local::ConfigGet(names) => return settings(&names, None),
            Local::Auth(_) => return Answer::simple("OK"),
            Local::Hello { resp, name, .. } => {
                self.resp = resp.unwrap_or(self.resp);
                self.name = name.unwrap_or_else(|| std::mem::take(&mut self.name));
                return greeting(self.resp, self.socket.id());
            }
            Local::Reset => {
                (self.resp, self.name) = (Resp::default(), Bytes::new());
                self.fresh = Fresh::default();
                if self.server.access.password.is_some() {
                    self.set_known(false);
                }
                return Answer::simple("RESET");
            }
            Local::ClientId => BytesFrame::Integer(self.socket.id() as i64),
            Local::ClientName if self.name.is_empty() => return Answer::Value(None),
            Local::ClientName => BytesFrame::BulkString(self.name.clone()),
            Local::Consistency(asked) => return self.fresh.answer(asked),
            Local::Manage(_) => unreachable!("it was waited for"),
            Local::ClientSetName(name) => {
                self.name = name;
                return Answer::simple("OK");
            }
            Local::Nothing => return Answer::simple("OK"),
            Local::Quit => {
                self.closing = true;
                return Answer::simple("OK");
            }
        };
        Answer::Frame(frame)
    }
}

impl Ask {
    /// Whether it needs the store, and so a seat.
    fn is_of_data(&self) -> bool {
        self.kind().is_some()
    }

    /// Whether it writes; `None` when it goes with either.
    fn kind(&self) -> Option<bool> {
        match self {
            Self::Write(_) | Self::Swap(_) => Some(true),
            Self::Read(_) => Some(false),
            Self::Local(_) | Self::Mistake(_) | Self::Broken(_) => None,
        }
    }

    /// Whether it ends its run: mostly because nothing behind it is obeyed.
    fn is_last(&self) -> bool {
        match self {
            // Who the client is may be another behind it.
            Self::Local(Local::Auth(_) | Local::Hello { .. } | Local::Reset) => true,
            // The reads behind it are others.
            Self::Local(Local::Consistency(_)) => true,
            Self::Swap(_) | Self::Broken(_) | Self::Local(Local::Quit) => true,
            Self::Mistake(mistake) => mistake.ends(),
            _ => false,
        }
    }
}

/// Whether it needs no password.
fn is_for_all(asked: &Result<Request, RequestError>) -> bool {
    let Ok(Request::Local(local)) = asked else {
        return false;
    };
    matches!(
        local,
        Local::Auth(_) | Local::Hello { .. } | Local::Reset | Local::Quit
    )
}

/// Of whoever has not said the password: enough for that.
const UNKNOWN: RequestLimits = RequestLimits {
    bulk_bytes_max: 1_024,
    args_max: 16,
    request_bytes_max: 4_096,
};
const UNKNOWN_AHEAD_BYTES_MAX: usize = 8 * 1_024;
/// Requests are executed together until they hold this much; the last one may go beyond.
const RUN_BYTES_MAX: usize = 256 * 1_024;
/// Reads are answered together until their answers are this long; the last one may go beyond.
const ANSWERS_BYTES_MAX: usize = 1_024 * 1_024;
/// Of the texts in a mistake, which are shortened.
const MISTAKE_BYTES: usize = 1_024;
