//! The three comforts, where they still are: threads in one process.

use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

/// What threads in one process have for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Comfort {
    /// How often a shared counter was raised.
    pub raised: u64,
    /// What it showed in the end.
    pub counted: u64,
    /// How many messages were handed from thread to thread.
    pub messages: u64,
    /// How many of them came before they were sent, by the one clock.
    pub early: u64,
    /// A transfer was cut off in the middle by a panic, and the next who came for the accounts was
    /// told.
    pub failure_is_told: bool,
}

/// Real threads, a real clock, and a thread that panics.
#[must_use]
pub fn one_process(threads: u64, each: u64) -> Comfort {
    let counter = Arc::new(Mutex::new(0_u64));
    let raisers = (0..threads).map(|_| {
        let counter = Arc::clone(&counter);
        thread::spawn(move || {
            for _ in 0..each {
                if let Ok(mut counter) = counter.lock() {
                    *counter += 1;
                }
            }
        })
    });
    let raisers: Vec<_> = raisers.collect();
    for raiser in raisers {
        // One that panicked has counted less, which the counter shows.
        let _ = raiser.join();
    }
    let counted = counter.lock().map_or(0, |counter| *counter);
    let (messages, early) = hand_over(each);
    Comfort {
        raised: threads * each,
        counted,
        messages,
        early,
        failure_is_told: transfer_is_told(),
    }
}

/// One thread stamps and sends, another receives and stamps.
#[expect(
    clippy::disallowed_methods,
    reason = "it is the machine's own clock that is looked at"
)]
fn hand_over(messages: u64) -> (u64, u64) {
    let (sender, receiver) = mpsc::channel();
    let sending = thread::spawn(move || {
        for _ in 0..messages {
            if sender.send(Instant::now()).is_err() {
                return;
            }
        }
    });
    let (mut came, mut early) = (0, 0);
    for sent in receiver {
        came += 1;
        early += u64::from(Instant::now() < sent);
    }
    let _ = sending.join();
    (came, early)
}

/// Half a transfer, then the thread is gone: the lock says so to the next, and who finds nobody left
/// finds the process gone with all of its memory.
fn transfer_is_told() -> bool {
    let accounts = Arc::new(Mutex::new((50_i64, 50_i64)));
    let transfer = {
        let accounts = Arc::clone(&accounts);
        thread::Builder::new().spawn(move || {
            let mut accounts = accounts.lock();
            if let Ok(accounts) = &mut accounts {
                accounts.0 -= 10;
                // As a panic does, without its words on the screen.
                std::panic::resume_unwind(Box::new("between the halves"));
            }
        })
    };
    let ended = transfer.map(thread::JoinHandle::join);
    ended.is_ok_and(|ended| ended.is_err()) && accounts.is_poisoned()
}
