//! An allocator that counts what a thread asks it for.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator, with a count beside each call. The count costs about a nanosecond an
/// allocation, which is in all times of a bench that installs it.
#[derive(Clone, Copy, Debug)]
pub struct Counting;

/// What this thread has asked for so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allocations {
    /// Calls that gave memory, also those that made a piece grow or shrink.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Allocations {
    /// Up to now. Zeros in a program that has not installed [`Counting`].
    #[must_use]
    pub fn so_far() -> Self {
        SO_FAR.get()
    }

    /// Those that came after `earlier`.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            count: self.count - earlier.count,
            bytes: self.bytes - earlier.bytes,
        }
    }
}

thread_local! {
    static SO_FAR: Cell<Allocations> = const { Cell::new(Allocations { count: 0, bytes: 0 }) };
}

fn count(bytes: usize) {
    // A thread that is ending has no counter any more, and nothing to measure.
    let _gone = SO_FAR.try_with(|so_far| {
        let Allocations { count, bytes: sum } = so_far.get();
        so_far.set(Allocations {
            count: count + 1,
            bytes: sum + bytes as u64,
        });
    });
}

#[allow(
    unsafe_code,
    reason = "an allocator that counts can be had in no other way"
)]
// SAFETY: every call is passed on to `System` unchanged, and what `System` promises is what
// `GlobalAlloc` asks for. Counting touches a thread-local cell that needs no allocation.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller keeps the contract of `alloc`, which is that of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: as for `alloc`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: `pointer` came from `System` with this layout, by one of these methods.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as for `realloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}
