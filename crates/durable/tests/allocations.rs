//! A write with one message allocates nothing, from sending to the receipt.

#![expect(
    unsafe_code,
    reason = "an allocator that counts can be had no other way"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::convert::Infallible;
use std::hint::black_box;

use synod_durable::{Coalesce, Outbox, Record};

/// Forwards everything to the system allocator, and counts per thread, so that tests do not affect
/// each other.
struct Counting;

// SAFETY: each call is forwarded unchanged to the system's allocator, so its guarantees are kept.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // A thread that ends may allocate after its counter is gone.
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's guarantees for `layout` are those that are needed.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from `alloc`, which got it from the system.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Stored(u64);

impl Record for Stored {
    type Own = u64;

    fn own(&self) -> u64 {
        self.0
    }
}

struct Acknowledged(#[expect(dead_code, reason = "a message of some size")] [u64; 4]);

impl Coalesce for Acknowledged {}

/// The number of allocations of a write with this many messages.
fn allocations(messages: u64) -> u64 {
    let mut outbox = Outbox::<Stored, u64, Acknowledged>::new();
    // The lane that does not wait keeps its capacity.
    outbox.send_now(0);
    outbox.poll_now();
    let before = ALLOCATIONS.get();
    outbox.send_now(1);
    for message in 0..messages {
        outbox.send_after_write(Acknowledged([message; 4]));
    }
    black_box(outbox.poll_now());
    let write = outbox.write(|| Stored(7)).expect("none is in flight");
    let Ok((messages, receipt)) = write.persist(|_| Ok::<_, Infallible>(()));
    for message in messages {
        black_box(message);
    }
    assert_eq!(outbox.settle(receipt).map(|own| *own), Ok(7));
    ALLOCATIONS.get() - before
}

#[test]
fn one_message_costs_none_and_two_cost_one() {
    assert_eq!([0, 1, 2].map(allocations), [0, 0, 1]);
}
