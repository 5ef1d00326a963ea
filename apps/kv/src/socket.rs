//! The bytes of one connection: what has come and was not asked yet, what was answered and has not
//! left, and what both take of what all connections may hold.
//!
//! Whoever is at the other end may be slow, may send half of something, may have vanished. None of
//! that may hold a place for ever:
//!
//! | the client | what ends it |
//! |---|---|
//! | sends half a request | 64 KiB of it must come in each [`stall_max`](SocketLimits::stall_max) |
//! | does not take its answers | 64 KiB of them must leave in each, or as much come in |
//! | has vanished | the system's keepalive, or what it does not acknowledge, after two minutes |
//! | says nothing | [`idle_max`](SocketLimits::idle_max), if there is one; see also `roster.rs` |
//!
//! A client may also write a long pipeline before it reads an answer. While answers wait for it to
//! read, what it sends is taken in, up to [`ahead_bytes_max`](SocketLimits::ahead_bytes_max), so that
//! it comes to its end and reads. Beyond that its requests are dropped unread: it still comes to its end,
//! finds behind the answers to what was taken in an error that says so, and is cut. From then on it must
//! take answers: what it sends counts no more.

use std::{future::ready, io, time::Duration};

use bytes::BytesMut;
#[cfg(target_os = "linux")]
use rustix::net::sockopt::set_tcp_user_timeout;
use rustix::net::sockopt::{
    set_socket_keepalive, set_tcp_keepcnt, set_tcp_keepidle, set_tcp_keepintvl,
};
use tokio::{
    io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, split},
    net::TcpStream,
    time::{Instant, sleep_until, timeout},
};

use crate::{
    answer::{Answer, Part, Resp},
    channel::Channel,
    cut::Cut,
    roster::Place,
};

#[derive(Clone, Copy, Debug)]
pub(crate) struct SocketLimits {
    pub(crate) stall_max: Duration,
    pub(crate) idle_max: Option<Duration>,
    pub(crate) ahead_bytes_max: usize,
}

pub(crate) struct Socket {
    stream: Channel,
    place: Place,
    limits: SocketLimits,
    input: BytesMut,
    /// What `input` has allocated, parts that were taken from its front included.
    input_allocated: usize,
    output: BytesMut,
    /// What an earlier `output` has allocated that is being written.
    leaving: usize,
    /// What requests and answers take beside the buffers.
    beside: usize,
    /// How the request comes in whose front is there.
    half: Option<Pace>,
    /// When bytes last came or left.
    moved: Instant,
    /// The client sends nothing more.
    has_ended: bool,
    /// An answer may have left in part, or have to be the next that leaves.
    is_answering: bool,
    /// More came than is taken in ahead of the answers, and was dropped.
    is_overrun: bool,
}

/// Whether the other end keeps up: so many bytes in so much time.
#[derive(Clone, Copy, Debug)]
struct Pace {
    since: Instant,
    bytes: usize,
}

impl Socket {
    pub(crate) fn new(stream: Channel, place: Place, limits: SocketLimits) -> Self {
        Self {
            stream,
            place,
            limits,
            input: BytesMut::new(),
            input_allocated: 0,
            output: BytesMut::new(),
            leaving: 0,
            beside: 0,
            half: None,
            moved: Instant::now(),
            has_ended: false,
            is_answering: false,
            is_overrun: false,
        }
    }

    pub(crate) fn id(&self) -> u64 {
        self.place.id()
    }

    /// What has come and was not asked yet.
    pub(crate) fn input(&mut self) -> &mut BytesMut {
        &mut self.input
    }

    /// A whole request was found in the input; what is behind it is another.
    pub(crate) fn found_request(&mut self) {
        self.half = None;
    }

    /// How much came ahead of the answers, when that was too much: what is not in the input was dropped.
    pub(crate) fn overrun(&self) -> Option<usize> {
        self.is_overrun.then_some(self.limits.ahead_bytes_max)
    }

    /// Whether its client is no stranger from now on, and how much of it is taken in ahead of the answers.
    pub(crate) fn set_known(&mut self, is_known: bool, ahead_bytes_max: usize) {
        self.place.set_known(is_known);
        self.limits.ahead_bytes_max = ahead_bytes_max;
    }

    /// Counts what this connection holds: its buffers, and so many bytes of requests and answers.
    ///
    /// # Errors
    /// [`Cut::Bytes`]
    pub(crate) async fn hold(&mut self, beside: usize) -> Result<(), Cut> {
        self.beside = beside;
        let buffers = self.input_allocated + self.output.capacity() + self.leaving;
        self.place.hold(buffers + beside).await
    }

    /// Whether the connection has, or now gets, what whoever asks for data needs.
    pub(crate) async fn sit(&self) -> bool {
        self.place.sit().await
    }

    /// What is asked of the store from now on is waited for, and the client is not.
    pub(crate) fn begin(&mut self) {
        self.is_answering = true;
        self.place.set_busy(true);
    }

    /// What it waits for now is no work of anybody's: it counts as idle.
    pub(crate) fn rest(&self) {
        self.place.set_busy(false);
    }

    /// Waits for more of the client. `false` when there will be no more.
    ///
    /// # Errors
    /// [`Cut`]
    pub(crate) async fn receive(&mut self) -> Result<bool, Cut> {
        if self.has_ended {
            return Ok(false);
        }
        if self.input.is_empty() {
            self.half = None;
            if self.input_allocated > READ_BYTES {
                (self.input, self.input_allocated) = (BytesMut::new(), 0);
            }
        } else if self.half.is_none() {
            self.half = Some(Pace::new(Instant::now()));
        }
        self.make_room();
        self.hold(0).await?;
        let deadline = match self.half {
            Some(pace) => Some(pace.since + self.limits.stall_max),
            None => self.limits.idle_max.map(|idle_max| self.moved + idle_max),
        };
        let read = tokio::select! {
            biased;
            read = self.stream.read_buf(&mut self.input) => read?,
            () = sleep_until(deadline.unwrap_or(self.moved)), if deadline.is_some() => {
                return Err(match self.half {
                    Some(_) => Cut::HalfRequest,
                    None => Cut::Idle,
                });
            }
        };
        self.took_in(read);
        Ok(read > 0)
    }

    /// Puts an answer behind those that wait, and hands them to the socket when they are many. What
    /// is long is written from where it lies.
    ///
    /// # Errors
    /// [`Cut`]
    pub(crate) async fn put(&mut self, answer: &Answer, resp: Resp) -> Result<(), Cut> {
        self.is_answering = true;
        for part in answer.parts(resp) {
            match part {
                Part::Bytes(bytes) if bytes.len() > OUTPUT_BYTES_MAX => {
                    self.write_output().await?;
                    self.write(bytes).await?;
                }
                short => short.put(&mut self.output),
            }
            if self.output.len() > OUTPUT_BYTES_MAX {
                self.write_output().await?;
            }
        }
        self.hold(self.beside).await
    }

    /// Hands all answers to the socket.
    ///
    /// # Errors
    /// [`Cut`]
    pub(crate) async fn flush(&mut self) -> Result<(), Cut> {
        self.place.set_busy(false);
        let written = self.write_output().await;
        // Also if its client was waited for meanwhile.
        self.place.set_busy(false);
        self.is_answering &= written.is_err();
        written
    }

    /// Closes so that the last answer arrives: to close a socket with unread bytes in it resets the
    /// connection, and what was written last may be lost on the way.
    pub(crate) async fn close(&mut self) -> Result<(), Cut> {
        let drain = async {
            // Under TLS this says so, and waits for whoever does not read.
            if self.stream.shutdown().await.is_err() {
                return;
            }
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
        let _ = timeout(DRAIN_TIMEOUT, drain).await;
        Ok(())
    }

    /// Says why, where it would be taken for the answer to what the client waits for; without waiting
    /// for it to listen. Not while anything is executed: it may have been done, and a word would have to say
    /// so.
    pub(crate) fn last_word(&mut self, cut: &Cut) {
        let has_asked = !self.input.is_empty() || self.beside > 0 || matches!(cut, Cut::Rejected);
        let line = cut.last_word();
        if let Some(line) = line.filter(|_| has_asked && !self.is_answering) {
            self.stream.try_write(line);
        }
    }

    async fn write_output(&mut self) -> Result<(), Cut> {
        let mut output = std::mem::take(&mut self.output);
        self.leaving = output.capacity();
        let written = self.write(&output).await;
        self.leaving = 0;
        if output.capacity() <= OUTPUT_KEPT_BYTES_MAX {
            output.clear();
            self.output = output;
        }
        written
    }

    /// Writes all of it, at the pace that the client must keep, and takes in meanwhile what it sends.
    async fn write(&mut self, mut bytes: &[u8]) -> Result<(), Cut> {
        let mut pace = Pace::new(Instant::now());
        // What is sealed may wait until it is flushed, at the same pace.
        let mut waits = !bytes.is_empty() && self.stream.holds_back();
        while !bytes.is_empty() || waits {
            // As a rule there is room, and nothing of what follows is needed.
            let wrote = tokio::select! {
                biased;
                wrote = write_or_flush(&mut self.stream, bytes) => wrote?,
                () = ready(()) => self.write_and_read(bytes, &mut pace).await?,
            };
            waits &= !bytes.is_empty();
            bytes = &bytes[wrote..];
            let now = Instant::now();
            pace.took(wrote, now);
            self.moved(now);
        }
        Ok(())
    }

    /// Writes some of it when the client has made room, and reads until then. How much it wrote.
    async fn write_and_read(&mut self, bytes: &[u8], pace: &mut Pace) -> Result<usize, Cut> {
        self.place.set_busy(false);
        loop {
            let ahead = self.input.len();
            if !self.is_overrun && ahead >= self.limits.ahead_bytes_max {
                (self.is_overrun, *pace) = (true, Pace::new(Instant::now()));
            }
            let reads = !self.has_ended;
            if reads {
                self.make_room();
            }
            self.hold(self.beside).await?;
            let deadline = pace.since + self.limits.stall_max;
            // Whoever sends for ever leaves no moment in which nothing else is ready.
            if self.is_overrun && Instant::now() >= deadline {
                return Err(Cut::Ahead);
            }
            let (mut reader, mut writer) = split(&mut self.stream);
            let read = tokio::select! {
                biased;
                wrote = write_or_flush(&mut writer, bytes) => match wrote? {
                    0 if !bytes.is_empty() => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
                    wrote => {
                        self.place.set_busy(self.is_answering);
                        return Ok(wrote);
                    }
                },
                read = reader.read_buf(&mut self.input), if reads => read?,
                () = sleep_until(deadline) => {
                    return Err(if self.is_overrun { Cut::Ahead } else { Cut::Unread });
                }
            };
            self.took_in(read);
            if self.is_overrun {
                self.input.truncate(ahead);
            } else {
                pace.took(read, self.moved);
            }
        }
    }

    /// There is room for what comes next, in a buffer of which all is known.
    fn make_room(&mut self) {
        let len = self.input.len();
        if self.input.capacity() - len >= READ_BYTES_MIN {
            return;
        }
        let wanted = len + (len / 2).clamp(READ_BYTES, GROWTH_BYTES_MAX);
        let mut larger = BytesMut::with_capacity(wanted);
        larger.extend_from_slice(&self.input);
        (self.input, self.input_allocated) = (larger, wanted);
    }

    fn took_in(&mut self, read: usize) {
        let now = Instant::now();
        self.has_ended |= read == 0;
        if let Some(half) = &mut self.half {
            half.took(read, now);
        }
        if read > 0 {
            self.moved(now);
        }
    }

    fn moved(&mut self, now: Instant) {
        self.moved = now;
        self.place.moved(now);
    }
}

impl Pace {
    fn new(since: Instant) -> Self {
        Self { since, bytes: 0 }
    }

    fn took(&mut self, bytes: usize, now: Instant) {
        self.bytes += bytes;
        if self.bytes >= PACE_BYTES {
            *self = Self::new(now);
        }
    }
}

/// Writes some of it, or, when nothing is left, lets all leave that was written before.
async fn write_or_flush(to: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<usize> {
    if bytes.is_empty() {
        to.flush().await.map(|()| 0)
    } else {
        to.write(bytes).await
    }
}

/// Sets what every connection of a client has.
///
/// # Errors
/// Those of the socket.
pub(crate) fn prepare(stream: &TcpStream) -> io::Result<()> {
    // Replies are written whole; waiting to fill a segment would only delay them.
    stream.set_nodelay(true)?;
    // A host that vanished says nothing, and nobody says so for it: it is asked now and then.
    set_tcp_keepidle(stream, KEEPALIVE_IDLE)?;
    set_tcp_keepintvl(stream, KEEPALIVE_EVERY)?;
    set_tcp_keepcnt(stream, KEEPALIVE_PROBES)?;
    set_socket_keepalive(stream, true)?;
    // It is not asked while answers are under way to it, which are sent again for a quarter of an hour.
    #[cfg(target_os = "linux")]
    set_tcp_user_timeout(stream, VANISHED_MS)?;
    Ok(())
}

/// What must move in each `stall_max`: whoever moves less holds its place for too little.
const PACE_BYTES: usize = 64 * 1_024;
/// Of free space in a fresh buffer, which an idle connection keeps.
const READ_BYTES: usize = 8 * 1_024;
/// With less than that before a read, the buffer grows: by half, and no more than this at a time.
const READ_BYTES_MIN: usize = 1_024;
const GROWTH_BYTES_MAX: usize = 512 * 1_024;
/// Answers are handed to the socket when they are more than this, even within a run.
pub(crate) const OUTPUT_BYTES_MAX: usize = 64 * 1_024;
/// An idle connection keeps no larger buffer for answers.
const OUTPUT_KEPT_BYTES_MAX: usize = 4 * 1_024;
const DRAIN_BYTES_MAX: usize = 1_024 * 1_024;
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(15);
const KEEPALIVE_PROBES: u32 = 4;
/// How long what was sent may stay unacknowledged: as long as a silent host is believed to be there.
#[cfg(target_os = "linux")]
const VANISHED_MS: u32 = 120_000;

#[cfg(test)]
mod tests;
