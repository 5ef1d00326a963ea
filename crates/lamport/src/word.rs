//! The one operation on shared memory that all shared clocks are made of.

use core::sync::atomic::{AtomicU64, Ordering};

/// An atomic word. The clocks are generic over it inside, so that the tests run them on the words
/// of a model checker, which tries every interleaving.
pub(crate) trait Word {
    fn read(&self) -> u64;

    fn write(&self, value: u64);

    /// Puts `next` where `current` is; `Err` tells what is there instead. May fail without cause.
    fn replace(&self, current: u64, next: u64) -> Result<u64, u64>;
}

/// Replaces the value by `next` of it, and gives that; `Err` leaves the value alone. Without
/// contention this is one compare-and-swap; with it another thread has made progress, so no
/// thread can hold up all others.
#[inline]
pub(crate) fn advance<W: Word, E>(
    word: &W,
    mut next: impl FnMut(u64) -> Result<u64, E>,
) -> Result<u64, E> {
    let mut current = word.read();
    loop {
        let wanted = next(current)?;
        match word.replace(current, wanted) {
            Ok(_) => return Ok(wanted),
            Err(actual) => current = actual,
        }
    }
}

/// A stamp is evidence of what happened before it. So whoever reads a clock's time must also see
/// what other threads of the process wrote before they stamped earlier events: acquire and
/// release, not less. Both kinds of words have this one body, so what loom checks is what runs.
macro_rules! word {
    ($atomic:ty) => {
        impl Word for $atomic {
            #[inline]
            fn read(&self) -> u64 {
                <$atomic>::load(self, Ordering::Acquire)
            }

            fn write(&self, value: u64) {
                <$atomic>::store(self, value, Ordering::Release);
            }

            #[inline]
            fn replace(&self, current: u64, next: u64) -> Result<u64, u64> {
                self.compare_exchange_weak(current, next, Ordering::AcqRel, Ordering::Acquire)
            }
        }
    };
}

word!(AtomicU64);
#[cfg(test)]
word!(loom::sync::atomic::AtomicU64);
