//! What a command costs the thread that applies it: nothing that grows with what the map holds.
//!
//! Time depends on the machine, so bytes are counted: those that the applying thread allocates, and
//! those that it frees. Another thread's are not counted, so a file of its own for these tests.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use bytes::Bytes;
use synod_kv::{Blob, Command, Kv, Query, Response, VALUE_BYTES_MAX, When};

/// The system's allocator, and how many bytes each thread asked of it and gave back to it.
struct Counting;

thread_local! {
    static ALLOCATED: Cell<usize> = const { Cell::new(0) };
    static FREED: Cell<usize> = const { Cell::new(0) };
}

fn count(counter: &'static std::thread::LocalKey<Cell<usize>>, bytes: usize) {
    // A thread that is ending allocates too, and counts no more.
    let _ = counter.try_with(|count| count.set(count.get() + bytes));
}

// SAFETY: every call is handed on to the system's allocator with the arguments it came with, and
// its answer is handed back, so whoever keeps the contract of `GlobalAlloc` towards this keeps it
// towards that, and gets what that promises. The counters need no destructor and no lazy start, so
// they allocate nothing.
#[allow(
    unsafe_code,
    reason = "an allocator cannot be had without; proof above"
)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(&ALLOCATED, layout.size());
        // SAFETY: the caller's promises are those that this call asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(&FREED, layout.size());
        // SAFETY: as above; `at` came from `System`, by `alloc` of this.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes that `run` allocated and that it freed.
fn cost<T>(run: impl FnOnce() -> T) -> (T, usize, usize) {
    let (allocated, freed) = (ALLOCATED.get(), FREED.get());
    let result = run();
    (result, ALLOCATED.get() - allocated, FREED.get() - freed)
}

fn set(key: &str, value: &[u8]) -> Bytes {
    let (key, value) = (Blob(key.as_bytes()), Blob(value));
    Command::Set {
        key,
        value,
        when: When::Always,
        previous: false,
    }
    .encode()
}

fn append(value: &[u8]) -> Bytes {
    Command::Append {
        key: Blob(b"long"),
        value: Blob(value),
    }
    .encode()
}

/// A value of almost the greatest length, beside a thousand others.
fn with_a_long_value() -> Kv {
    let mut kv = Kv::default();
    for number in 0..1_000 {
        kv.execute(&set(&format!("key {number}"), b"value"));
    }
    let piece = append(&vec![b'x'; 1 << 20]);
    for _ in 0..15 {
        kv.execute(&piece);
    }
    kv
}

#[test]
fn an_append_to_a_long_value_costs_what_is_appended() {
    let mut kv = with_a_long_value();
    let byte = append(b"y");
    let (_, allocated, _) = cost(|| (0..64).for_each(|_| drop(kv.execute(&byte))));
    assert!(allocated < 128 << 10, "{allocated} bytes for 64 appends");

    // While a snapshot or a reader holds the value, the first append copies the way to its end.
    for shared in ["snapshot", "reader"] {
        let frozen = (shared == "snapshot").then(|| kv.clone());
        let reader = (shared == "reader").then(|| kv.value(b"long").cloned());
        let (_, allocated, _) = cost(|| (0..64).for_each(|_| drop(kv.execute(&byte))));
        assert!(allocated < 256 << 10, "{allocated} bytes beside a {shared}");
        drop((frozen, reader));
    }
    assert_eq!(kv.value(b"long").unwrap().len(), (15 << 20) + 192);
}

#[test]
fn to_read_a_long_value_costs_a_reference() {
    let kv = with_a_long_value();
    let key = Bytes::from_static(b"long");
    for query in [Query::Get(key.clone()), Query::GetMany(vec![key; 2])] {
        let (_, allocated, _) = cost(|| query.answer(&kv));
        assert!(allocated < 4 << 10, "{allocated} bytes for {query:?}");
    }
}

/// To free much is another thread's work.
#[test]
fn what_is_flushed_overwritten_or_removed_is_freed_elsewhere() {
    let mut kv = with_a_long_value();
    for number in 0..100_000 {
        kv.execute(&set(&format!("more {number}"), b"value"));
    }
    let remove = Command::Delete {
        keys: vec![Blob(b"long")],
    };
    for command in [
        set("long", b"short"),
        remove.encode(),
        Command::Clear.encode(),
    ] {
        let (_, _, freed) = cost(|| kv.execute(&command));
        assert!(freed < 16 << 10, "{freed} bytes freed here by {command:?}");
        for _ in 0..15 {
            kv.execute(&append(&vec![b'x'; 1 << 20]));
        }
    }
    let mut restored = Vec::new();
    synod_kv::write_snapshot(&Kv::default(), &mut restored).unwrap();
    let (_, _, freed) = cost(|| synod_replica::StateMachine::restore(&mut kv, &mut &restored[..]));
    assert!(
        kv.is_empty() && freed < 256 << 10,
        "{freed} bytes freed here by a restore"
    );
}

/// A snapshot shares the whole map; what is written meanwhile copies the way to it.
#[test]
fn a_write_beside_a_snapshot_copies_a_node_a_level() {
    let mut kv = Kv::default();
    for number in 0..100_000 {
        kv.execute(&set(&format!("key {number}"), b"value"));
    }
    let (frozen, allocated, _) = cost(|| kv.clone());
    assert!(allocated < 1 << 10, "{allocated} bytes for the snapshot");
    let writes: Vec<_> = (0..100)
        .map(|number| set(&format!("key {}", number * 1_000), b"new"))
        .collect();
    let (_, allocated, _) = cost(|| writes.iter().for_each(|write| drop(kv.execute(write))));
    assert!(
        allocated < 100 * (8 << 10),
        "{allocated} bytes for a hundred writes"
    );
    assert!(*frozen.value(b"key 1000").unwrap() == b"value"[..]);
}

/// The checks above would pass on what counts nothing, and on what writes nothing.
#[test]
fn what_is_allocated_and_freed_is_counted() {
    let (_, allocated, freed) = cost(|| drop(vec![0_u8; 100_000]));
    assert!(allocated >= 100_000 && freed >= 100_000);
    let mut kv = Kv::default();
    let (response, allocated, _) = cost(|| kv.execute(&set("k", &[0; 100_000])));
    assert!(response == Response::Done && allocated >= 100_000);
    const { assert!(VALUE_BYTES_MAX >= (15 << 20) + 192) };
}
