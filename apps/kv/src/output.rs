//! What a process says on its standard streams, without waiting for whoever should listen.
//!
//! A pipe that nobody reads takes 64 KiB and then makes its writer wait, for ever. A node has one
//! thread for everything: a log line that waits would take the node with it. So lines go to a thread
//! of their own, through a queue that is bounded in bytes and in lines. What finds it full is dropped
//! and counted; the count is told before the next line that is written, and in `INFO`.
//!
//! A library for it exists (`tracing-appender`); it brings eight further crates, bounds lines and not
//! bytes, and tells nobody of what it dropped.

use std::{
    io::{self, Write},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

use tracing_subscriber::fmt::MakeWriter;

/// Lines on their way to a stream. A clone leads to the same one.
#[derive(Clone, Debug)]
pub(crate) struct Lines {
    to: SyncSender<Message>,
    counts: Arc<Counts>,
}

/// Invariant: `queued_bytes` is the length of the lines in the channel and in the thread's hands, and
/// at most [`QUEUED_BYTES_MAX`].
#[derive(Debug, Default)]
struct Counts {
    queued_bytes: AtomicUsize,
    dropped: AtomicU64,
}

#[derive(Debug)]
enum Message {
    Line(Vec<u8>),
    /// Dropped when everything before it was written.
    Flush(#[expect(dead_code, reason = "its end is the message")] SyncSender<()>),
}

impl Lines {
    /// Starts the thread that writes to `stream`.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub(crate) fn to(stream: impl Write + Send + 'static) -> io::Result<Self> {
        let (to, lines) = sync_channel(QUEUED_LINES_MAX);
        let counts = Arc::new(Counts::default());
        let counted = Arc::clone(&counts);
        thread::Builder::new()
            .name("lines".into())
            .spawn(move || write_all(&lines, &counted, stream))?;
        Ok(Self { to, counts })
    }

    /// Those of this process's standard error, the same at each call.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub(crate) fn of_stderr() -> io::Result<Self> {
        static STDERR: OnceLock<Lines> = OnceLock::new();
        if STDERR.get().is_none() {
            // Whoever comes second finds the first one's; its own thread ends with its sender.
            let _lost = STDERR.set(Self::to(io::stderr())?);
        }
        STDERR
            .get()
            .cloned()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Puts a whole line, with its end, behind those that wait; or drops and counts it. Never waits.
    pub(crate) fn put(&self, line: &[u8]) {
        let queued = self
            .counts
            .queued_bytes
            .fetch_add(line.len(), Ordering::Relaxed);
        let fits = queued + line.len() <= QUEUED_BYTES_MAX;
        if !fits || self.to.try_send(Message::Line(line.to_vec())).is_err() {
            self.counts
                .queued_bytes
                .fetch_sub(line.len(), Ordering::Relaxed);
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many lines were dropped so far.
    pub(crate) fn dropped(&self) -> u64 {
        self.counts.dropped.load(Ordering::Relaxed)
    }

    /// Waits until everything so far is written, but no longer than `wait_max`.
    pub(crate) fn flush(&self, wait_max: Duration) {
        let (written, seen) = sync_channel(1);
        if self.to.try_send(Message::Flush(written)).is_ok() {
            let ended = seen.recv_timeout(wait_max);
            debug_assert_ne!(ended, Ok(()), "nothing is ever sent");
            if ended == Err(RecvTimeoutError::Timeout) {
                self.counts.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

fn write_all(lines: &Receiver<Message>, counts: &Counts, mut stream: impl Write) {
    let mut told = 0;
    for message in lines {
        let Message::Line(line) = message else {
            continue;
        };
        let dropped = counts.dropped.load(Ordering::Relaxed);
        if dropped > told {
            let more = dropped - told;
            let notice = format!("({more} lines were dropped here: nobody read them in time)\n");
            if stream.write_all(notice.as_bytes()).is_ok() {
                told = dropped;
            }
        }
        // A stream that is closed takes nothing: there is nobody to tell it to.
        if stream.write_all(&line).is_err() {
            counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
        counts.queued_bytes.fetch_sub(line.len(), Ordering::Relaxed);
    }
}

/// For `tracing`, which hands over each event as one whole line.
impl<'a> MakeWriter<'a> for Lines {
    type Writer = LineWriter<'a>;

    fn make_writer(&'a self) -> LineWriter<'a> {
        LineWriter(self)
    }
}

/// Takes what is written in one call as a line.
#[derive(Debug)]
pub(crate) struct LineWriter<'a>(&'a Lines);

impl Write for LineWriter<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.put(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Lines of standard error that nobody read in time, since the process started.
pub(crate) fn dropped_lines() -> u64 {
    Lines::of_stderr().map_or(0, |lines| lines.dropped())
}

/// Says one line on standard output, at once or never: it may be closed, or a pipe that nobody reads.
pub(crate) fn announce(line: String) {
    let write = move || {
        // To whoever does not listen there is nothing to say.
        let _ = writeln!(io::stdout(), "{line}");
    };
    // Without a thread it is not said: nothing depends on it.
    let _ = thread::Builder::new().name("announce".into()).spawn(write);
}

/// Prints the result of a command that ends with it.
///
/// # Errors
/// Those of standard output, but for a reader that has had enough (`| head`).
pub(crate) fn print(text: impl std::fmt::Display) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

const QUEUED_BYTES_MAX: usize = 256 << 10;
const QUEUED_LINES_MAX: usize = 1_024;

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(10);

    /// A pipe whose reader takes a line when it is told to.
    struct Slow {
        take: Receiver<()>,
        seen: Sender<String>,
    }

    impl Write for Slow {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            self.take.recv().map_err(|_| io::ErrorKind::BrokenPipe)?;
            let _ = self.seen.send(String::from_utf8_lossy(line).into_owned());
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_nobody_reads_is_dropped_counted_and_told() {
        let ((go, take), (seen, lines)) = (channel(), channel());
        let log = Lines::to(Slow { take, seen }).unwrap();
        // One may be in the thread's hands, so one more than fits at the most.
        for number in 0..QUEUED_LINES_MAX + 10 {
            log.put(format!("{number}\n").as_bytes());
        }
        let dropped = log.dropped();
        assert!((9..=10).contains(&dropped), "{dropped} lines were dropped");
        let written = QUEUED_LINES_MAX + 10 - dropped as usize;
        for _ in 0..=written {
            go.send(()).unwrap();
        }
        let told = (0..=written).map(|_| lines.recv_timeout(TIMEOUT).expect("a line in time"));
        let notices: Vec<_> = told.filter(|line| line.contains("dropped")).collect();
        assert_eq!(
            notices,
            [format!(
                "({dropped} lines were dropped here: nobody read them in time)\n"
            )]
        );
        // There is room again.
        go.send(()).unwrap();
        log.put(b"again\n");
        assert_eq!(lines.recv().unwrap(), "again\n");
        assert_eq!(log.dropped(), dropped);
    }

    #[test]
    fn long_lines_are_bounded_by_their_bytes() {
        let ((go, take), (seen, _lines)) = (channel(), channel());
        let log = Lines::to(Slow { take, seen }).unwrap();
        let line = vec![b'x'; QUEUED_BYTES_MAX / 4];
        (0..5).for_each(|_| log.put(&line));
        assert_eq!(log.dropped(), 1);
        // It is not there when the thread goes on: the stream is closed, and nobody hangs.
        drop(go);
        log.flush(Duration::from_secs(600));
        log.put(b"late\n");
        log.flush(Duration::from_secs(600));
        assert_eq!(log.dropped(), 6);
    }
}
