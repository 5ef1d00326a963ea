//! What makes a node stop in order: a signal, or the end of its parent.

use std::{
    io::{self, BufRead, Read},
    sync::Arc,
};

use synod_transport::faulty::Faults;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
};

use crate::{faults::Ailing, links, output::announce};

/// What ends a node in order. A signal is noted from the moment of listening on; before it, the
/// system's own way with signals holds, which is to end the process where it stands.
pub(crate) struct Told {
    terminate: Signal,
    interrupt: Signal,
    with_parent: bool,
    parent: Parent,
}

/// What the parent may do to this node.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parent {
    /// Cut its links.
    pub(crate) links: Option<Faults>,
    /// Stall its disk, or let it be full.
    pub(crate) disk: Option<Arc<Ailing>>,
}

impl Parent {
    /// Does what a line says, and answers with a line; nothing where the parent may do nothing.
    fn obey(&self, line: &str) -> Option<String> {
        if let Some(disk) = &self.disk
            && let Ok(command) = line.parse()
        {
            return Some(disk.obey(command));
        }
        let links = self.links.as_ref()?;
        Some(links::obey(links, line))
    }
}

impl Told {
    pub(crate) fn listen(with_parent: bool, parent: Parent) -> io::Result<Self> {
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        Ok(Self {
            terminate,
            interrupt,
            with_parent,
            parent,
        })
    }

    /// Waits until it is told, and tells by what.
    pub(crate) async fn stop(mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            () = parent_gone(self.with_parent, self.parent) => "the parent is gone",
        }
    }
}

/// Waits for the end of standard input, which comes when the other end of the pipe is closed: also
/// when whoever holds it was killed.
async fn parent_gone(with_parent: bool, parent: Parent) {
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
            if let Some(answer) = parent.obey(&line) {
                announce(answer);
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
