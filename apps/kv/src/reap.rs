//! Memory that is given back on a thread of its own.
//!
//! To free a map of a million keys takes a tenth of a second, and a value of 16 MiB is a thousand
//! allocations. The thread that applies commands also answers heartbeats, so it hands what is no
//! longer needed to this one.

use std::{
    sync::{
        OnceLock,
        mpsc::{SyncSender, sync_channel},
    },
    thread,
};

use crate::{map::Map, value::Value};

/// What is no longer needed.
#[derive(Debug)]
#[expect(dead_code, reason = "nobody looks into it again: it is dropped")]
pub(crate) enum Garbage {
    /// A whole map.
    Map(Map),
    /// Values of one command.
    Values(Vec<Value>),
}

/// Frees elsewhere, soon. With [`QUEUED_MAX`] deliveries waiting it is freed here: whoever makes more
/// than another thread can free has to wait for it.
pub(crate) fn reap(garbage: Garbage) {
    static REAPER: OnceLock<Option<SyncSender<Garbage>>> = OnceLock::new();
    if let Some(reaper) = REAPER.get_or_init(start) {
        // What does not go comes back, and is dropped here.
        let _freed_here = reaper.try_send(garbage);
    }
}

/// `None`, and everything is freed where it lies, when the system has no thread left.
fn start() -> Option<SyncSender<Garbage>> {
    let (to, garbage) = sync_channel(QUEUED_MAX);
    let thread = thread::Builder::new().name("reaper".into());
    let run = move || garbage.into_iter().for_each(drop);
    thread.spawn(run).ok().map(|_| to)
}

const QUEUED_MAX: usize = 1_024;
