//! What makes a node stop in order: a signal, or the end of its parent.

use std::io::{self, BufRead, Read};

use synod_transport::faulty::Faults;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
};

use crate::{links::obey, output::announce};

/// What ends a node in order. A signal is noted from the moment of listening on; before it, the
/// system's own way with signals holds, which is to end the process where it stands.
pub(crate) struct Told {
    terminate: Signal,
    interrupt: Signal,
    with_parent: bool,
    /// What the parent may do to the links.
    links: Option<Faults>,
}

impl Told {
    pub(crate) fn listen(with_parent: bool, links: Option<Faults>) -> io::Result<Self> {
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        Ok(Self {
            terminate,
            interrupt,
            with_parent,
            links,
        })
    }

    /// Waits until it is told, and tells by what.
    pub(crate) async fn stop(mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            () = parent_gone(self.with_parent, self.links) => "the parent is gone",
        }
    }
}

/// Waits for the end of standard input, which comes when the other end of the pipe is closed: also
/// when whoever holds it was killed.
async fn parent_gone(with_parent: bool, links: Option<Faults>) {
    if !with_parent {
        return std::future::pending().await;
    }
    let (gone, seen) = oneshot::channel::<()>();
    // A thread of its own, because a read of standard input cannot be given up, and would hold up
    // the end of the runtime.
    std::thread::spawn(move || {
        let mut stdin = io::stdin().lock();
        let mut line = String::new();
        // What is not text ends the node, as the end does: the parent is not the one that was meant.
        while (&mut stdin)
            .take(LINE_BYTES_MAX)
            .read_line(&mut line)
            .is_ok_and(|read| read > 0)
        {
            if let Some(faults) = &links {
                announce(obey(faults, &line));
            }
            line.clear();
        }
        drop(gone);
    });
    // The other half is dropped, never used.
    let _ = seen.await;
}

/// Of a command; the rest of a longer one is another.
const LINE_BYTES_MAX: u64 = 1_024;
