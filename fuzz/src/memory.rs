//! How much memory decoding takes: the allocator counts, and a decoder has a budget.

use std::alloc::System;

use cap::Cap;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// Runs a decoder over `len` bytes of a stranger.
///
/// # Panics
/// When it allocates, all in all, more than a multiple of what it was given and some constant: then
/// a few bytes can make a node set aside much. Threads beside it count too, so there are none.
pub(crate) fn bounded<T>(len: usize, decode: impl FnOnce() -> T) -> T {
    bounded_by(FIXED_BYTES + TIMES * len, decode)
}

/// Runs what may allocate so many bytes, all in all.
///
/// # Panics
/// When it allocates more.
pub(crate) fn bounded_by<T>(allowed: usize, work: impl FnOnce() -> T) -> T {
    let (done, taken) = allocated_by(work);
    assert!(
        taken <= allowed,
        "{taken} bytes were allocated, and {allowed} are allowed"
    );
    done
}

/// What it makes, and how many bytes it allocated, all in all.
pub(crate) fn allocated_by<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = ALLOCATOR.total_allocated();
    let done = work();
    (done, ALLOCATOR.total_allocated() - before)
}

/// A read buffer, and what a vector grows through.
const FIXED_BYTES: usize = 256 * 1024;
/// A byte that stands for an empty entry becomes a value of a hundred bytes, and a vector that
/// doubles allocates all it ever was.
const TIMES: usize = 256;
