//! The node's part of a backup: the state at one moment, given out piece by piece.

use std::{
    io::{self, BufWriter, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use bytes::Bytes;
use synod_replica::{Consistency, Group, StateMachine};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};

use super::format::{Blocks, Head};
use crate::entry::Machine;

/// The backup that is given out, if any: one at a time, since each keeps the values that were overwritten
/// since it began.
#[derive(Clone, Debug)]
pub(crate) struct Backups {
    cluster: u128,
    running: Arc<Mutex<Option<Running>>>,
}

#[derive(Debug)]
struct Running {
    number: u64,
    /// Not here while a piece is waited for.
    pieces: Option<Pieces>,
    asked: Instant,
}

type Pieces = mpsc::Receiver<io::Result<Bytes>>;

impl Backups {
    pub(crate) fn new(cluster: u128) -> Self {
        Self {
            cluster,
            running: Arc::default(),
        }
    }

    /// Takes the state, with everything that was acknowledged before the call, and tells the number under
    /// which its pieces are to be asked for.
    pub(crate) async fn begin(&self, group: &Group<Machine>) -> Result<u64, String> {
        let is_free = |running: &Option<Running>| {
            (running.as_ref()).is_none_or(|running| running.asked.elapsed() >= IDLE_MAX)
        };
        if !is_free(&self.lock()) {
            return Err("another backup is under way".into());
        }
        let status = group.status();
        let (cluster, node, protocol) = (self.cluster, status.id.0, status.protocol.to_owned());
        let look = |machine: &Machine| (machine.freeze(), machine.machine().machine().len());
        let taken = group.read(Consistency::Linearizable, look).await;
        let (frozen, keys) = taken.map_err(|failure| failure.to_string())?;
        let head = Head {
            cluster,
            node,
            keys: keys as u64,
            protocol,
        };
        let number = drawn().map_err(|error| error.to_string())?;
        let (to, pieces) = mpsc::channel(PIECES_MAX);
        thread::Builder::new()
            .name("backup".into())
            .spawn(move || {
                if let Err(error) = write(frozen, &head, &to) {
                    // Nobody waits for it any more when it was given up.
                    let _gone = to.blocking_send(Err(error));
                }
            })
            .map_err(|error| error.to_string())?;
        let mut running = self.lock();
        // Another may have begun meanwhile.
        if !is_free(&running) {
            return Err("another backup is under way".into());
        }
        *running = Some(Running {
            number,
            pieces: Some(pieces),
            asked: Instant::now(),
        });
        drop(running);
        tokio::spawn(self.clone().give_up(number));
        Ok(number)
    }

    /// The next piece; nothing at the end.
    pub(crate) async fn next(&self, number: u64) -> Result<Bytes, String> {
        let mut pieces = self
            .take(number)
            .ok_or("there is no such backup: begin again")?;
        let piece = pieces.recv().await;
        let mut running = self.lock();
        let own = running.as_mut().filter(|running| running.number == number);
        match (piece, own) {
            (Some(Ok(piece)), own) => {
                if let Some(own) = own {
                    (own.pieces, own.asked) = (Some(pieces), Instant::now());
                }
                Ok(piece)
            }
            (ended, own) => {
                if own.is_some() {
                    *running = None;
                }
                match ended {
                    Some(Err(error)) => Err(error.to_string()),
                    _ => Ok(Bytes::new()),
                }
            }
        }
    }

    fn take(&self, number: u64) -> Option<Pieces> {
        let mut running = self.lock();
        let own = running
            .as_mut()
            .filter(|running| running.number == number)?;
        own.asked = Instant::now();
        own.pieces.take()
    }

    /// Lets the state go when nobody has asked for a piece for long.
    async fn give_up(self, number: u64) {
        loop {
            sleep(IDLE_MAX).await;
            let mut running = self.lock();
            match running.as_ref() {
                Some(own) if own.number == number => {
                    if own.asked.elapsed() >= IDLE_MAX {
                        *running = None;
                        return;
                    }
                }
                _ => return,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn write(
    frozen: <Machine as StateMachine>::Frozen,
    head: &Head,
    to: &mpsc::Sender<io::Result<Bytes>>,
) -> io::Result<()> {
    let pieces = BufWriter::with_capacity(PIECE_BYTES_MAX, Sending(to));
    let mut blocks = Blocks::begin(pieces, head)?;
    Machine::write(frozen, &mut blocks)?;
    blocks.finish()?.flush()
}

/// Each write is a piece. Waits until there is room for it.
struct Sending<'a>(&'a mpsc::Sender<io::Result<Bytes>>);

impl Write for Sending<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = Bytes::copy_from_slice(bytes);
        let sent = self.0.blocking_send(Ok(piece));
        sent.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Such as an integer of RESP can be, and not zero.
fn drawn() -> io::Result<u64> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes) >> 1 | 1)
}

const PIECE_BYTES_MAX: usize = 128 * 1_024;
/// Written ahead of whoever asks.
const PIECES_MAX: usize = 2;
/// How long the state is kept for whoever does not ask for the next piece.
const IDLE_MAX: Duration = Duration::from_secs(30);
