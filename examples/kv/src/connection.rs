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

use std::{io, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use redis_protocol::resp2::types::BytesFrame;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
};

use crate::{
    answer::{Answer, Part, settings},
    budget::Share,
    framing::{Framer, FramingError},
    info,
    query::Query,
    request::{Local, Request, RequestError, command_count, parse},
    response::Response,
    server::Server,
    store::Store,
};

pub(crate) struct Connection<S> {
    server: Arc<Server<S>>,
    stream: TcpStream,
    framer: Framer,
    input: BytesMut,
    output: BytesMut,
    share: Share,
    /// The request that ended the last run because it was of the other kind.
    carried: Option<Item>,
    closing: bool,
    id: u64,
    name: Bytes,
}

enum Item {
    Write(Bytes),
    Read(Query),
    Local(Local),
    Mistake(RequestError),
    /// The stream is beyond understanding; always the last item.
    Broken(FramingError),
}

impl<S: Store> Connection<S> {
    pub(crate) fn new(server: Arc<Server<S>>, stream: TcpStream, id: u64) -> Self {
        Self {
            framer: Framer::new(server.limits.request),
            server,
            stream,
            input: BytesMut::new(),
            output: BytesMut::new(),
            share: Share::default(),
            carried: None,
            closing: false,
            id,
            name: Bytes::new(),
        }
    }

    pub(crate) async fn run(mut self, mut stop: watch::Receiver<bool>) -> io::Result<()> {
        loop {
            let run = self.next_run();
            self.hold(run.iter().map(Item::bytes).sum())?;
            if run.is_empty() {
                self.input.reserve(READ_BYTES);
                self.hold(0)?;
                tokio::select! {
                    read = self.stream.read_buf(&mut self.input) => if read? == 0 { return Ok(()) },
                    _ = stop.changed() => return Ok(()),
                }
                continue;
            }
            self.execute(run).await?;
            self.flush().await?;
            if self.closing {
                return self.close().await;
            }
            if self.input.is_empty() && self.input.capacity() > IDLE_BYTES_MAX {
                self.input = BytesMut::new();
            }
        }
    }

    /// The requests that are there, up to the first of the other kind.
    fn next_run(&mut self) -> Vec<Item> {
        let mut run: Vec<Item> = Vec::new();
        let mut kind = None;
        while run.len() < self.server.limits.inflight_max {
            let Some(item) = self.carried.take().or_else(|| self.next_item()) else {
                break;
            };
            match (kind, item.kind()) {
                (Some(one), Some(other)) if one != other => {
                    self.carried = Some(item);
                    break;
                }
                (_, Some(one)) => kind = Some(one),
                _ => {}
            }
            let last = matches!(item, Item::Broken(_) | Item::Local(Local::Quit));
            run.push(item);
            if last {
                break;
            }
        }
        run
    }

    fn next_item(&mut self) -> Option<Item> {
        match self.framer.next(&mut self.input) {
            Ok(args) => Some(match parse(&args?) {
                Ok(Request::Write(command)) => Item::Write(command),
                Ok(Request::Read(query)) => Item::Read(query),
                Ok(Request::Local(local)) => Item::Local(local),
                Err(mistake) => Item::Mistake(mistake),
            }),
            Err(error) => Some(Item::Broken(error)),
        }
    }

    async fn execute(&mut self, mut run: Vec<Item>) -> io::Result<()> {
        let (mut writes, mut queries) = (Vec::new(), Vec::new());
        for item in &mut run {
            match item {
                Item::Write(command) => {
                    writes.push(self.server.store.write(std::mem::take(command)));
                }
                Item::Read(query) => queries.push(query.clone()),
                _ => {}
            }
        }
        let mut answers = self.read(queries).await.into_iter();
        let mut writes = writes.into_iter();
        for item in run {
            let answer = match item {
                Item::Write(_) => match writes.next() {
                    Some(write) => write.await.map_or_else(Answer::from, Answer::from),
                    None => unreachable!("each write of the run was proposed"),
                },
                Item::Read(_) => match answers.next() {
                    Some(answer) => answer,
                    None => unreachable!("each read of the run was answered"),
                },
                Item::Local(local) => self.local(local),
                Item::Mistake(RequestError::Refused(refusal)) => Response::Refused(refusal).into(),
                Item::Mistake(mistake) => Answer::error(format!("ERR {mistake}")),
                Item::Broken(broken) => {
                    self.closing = true;
                    Answer::error(format!("ERR Protocol error: {broken}"))
                }
            };
            self.answer(&answer).await?;
        }
        Ok(())
    }

    /// Puts an answer behind those that wait, and hands them to the socket when they are many. What
    /// is long is written from where it lies.
    async fn answer(&mut self, answer: &Answer) -> io::Result<()> {
        let len = answer.bytes_max();
        if len > OUTPUT_BYTES_MAX {
            self.flush().await?;
            self.hold(len)?;
        }
        for part in answer.parts() {
            match part {
                Part::Bytes(bytes) if bytes.len() > OUTPUT_BYTES_MAX => {
                    self.flush().await?;
                    self.stream.write_all(bytes).await?;
                }
                short => short.put(&mut self.output),
            }
            if self.output.len() > OUTPUT_BYTES_MAX {
                self.flush().await?;
            }
        }
        Ok(())
    }

    async fn read(&self, queries: Vec<Query>) -> Vec<Answer> {
        let count = queries.len();
        if count == 0 {
            return Vec::new();
        }
        let answer = move |kv: &_| queries.iter().map(|query| query.answer(kv)).collect();
        self.server
            .store
            .read(answer)
            .await
            .unwrap_or_else(|failure| vec![failure.into(); count])
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
            Local::ConfigGet(names) => settings(&names, None),
            Local::ClientId => BytesFrame::Integer(self.id as i64),
            Local::ClientName if self.name.is_empty() => BytesFrame::Null,
            Local::ClientName => BytesFrame::BulkString(self.name.clone()),
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

    async fn flush(&mut self) -> io::Result<()> {
        self.stream.write_all(&self.output).await?;
        self.output.clear();
        if self.output.capacity() > IDLE_BYTES_MAX {
            self.output = BytesMut::new();
        }
        Ok(())
    }

    /// Counts what this connection holds: its buffers, and so many bytes of requests or answers
    /// beside them.
    ///
    /// # Errors
    /// When the budget of all connections has no room for it. Without a word to the client: what it
    /// asked for may have been done, and an answer would have to say so.
    fn hold(&mut self, beside: usize) -> io::Result<()> {
        let bytes = self.input.capacity() + self.output.capacity() + beside;
        if self.server.budget.resize(&mut self.share, bytes) {
            Ok(())
        } else {
            Err(io::ErrorKind::OutOfMemory.into())
        }
    }

    /// Closes so that the last answer arrives: to close a socket with unread bytes in it resets the
    /// connection, and what was written last may be lost on the way.
    async fn close(mut self) -> io::Result<()> {
        self.stream.shutdown().await?;
        let drain = async {
            let mut left = DRAIN_BYTES_MAX;
            let mut buffer = [0; 4_096];
            while left > 0 {
                match self.stream.read(&mut buffer).await {
                    Ok(0) | Err(_) => return,
                    Ok(read) => left = left.saturating_sub(read),
                }
            }
        };
        // Who does not close in turn is cut off.
        let _ = tokio::time::timeout(DRAIN_PATIENCE, drain).await;
        Ok(())
    }
}

impl<S> Drop for Connection<S> {
    fn drop(&mut self) {
        self.server.budget.resize(&mut self.share, 0);
    }
}

impl Item {
    /// What it copied out of the input. A read's keys are slices of it.
    fn bytes(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::Write(command) => command.len(),
                _ => 0,
            }
    }

    /// Whether it writes; `None` when it goes with either.
    fn kind(&self) -> Option<bool> {
        match self {
            Self::Write(_) => Some(true),
            Self::Read(_) => Some(false),
            Self::Local(_) | Self::Mistake(_) | Self::Broken(_) => None,
        }
    }
}

/// Of free space before each read.
const READ_BYTES: usize = 16 * 1_024;
/// Answers are handed to the socket when they are more than this, even within a run.
const OUTPUT_BYTES_MAX: usize = 64 * 1_024;
/// A buffer that a large request or answer left behind is given back.
const IDLE_BYTES_MAX: usize = 128 * 1_024;
const DRAIN_BYTES_MAX: usize = 1_024 * 1_024;
const DRAIN_PATIENCE: Duration = Duration::from_secs(1);
