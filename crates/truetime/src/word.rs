//! The atomic operations that the shared types need.

use core::sync::atomic::{AtomicU64, Ordering, fence};

/// An atomic word. The shared types are generic over it inside, so that the tests run them on the
/// words of a model checker, which tries every interleaving and every outcome of the memory model.
pub(crate) trait Word {
    fn relaxed(&self) -> u64;

    fn acquire(&self) -> u64;

    fn set_relaxed(&self, value: u64);

    fn set_release(&self, value: u64);

    /// Stores the maximum of the two and returns the previous value.
    fn raise(&self, value: u64) -> u64;

    /// Stores a value and returns the previous one.
    fn swap(&self, value: u64) -> u64;

    fn fence_acquire();

    fn fence_release();

    /// Spins until another thread makes progress.
    fn pause();
}

/// Both kinds of words have this one body, so what loom checks is what runs.
macro_rules! word {
    ($atomic:ty, $fence:path, $pause:path) => {
        impl Word for $atomic {
            #[inline]
            fn relaxed(&self) -> u64 {
                self.load(Ordering::Relaxed)
            }

            #[inline]
            fn acquire(&self) -> u64 {
                self.load(Ordering::Acquire)
            }

            fn set_relaxed(&self, value: u64) {
                self.store(value, Ordering::Relaxed);
            }

            fn set_release(&self, value: u64) {
                self.store(value, Ordering::Release);
            }

            #[inline]
            fn raise(&self, value: u64) -> u64 {
                self.fetch_max(value, Ordering::AcqRel)
            }

            fn swap(&self, value: u64) -> u64 {
                <$atomic>::swap(self, value, Ordering::AcqRel)
            }

            #[inline]
            fn fence_acquire() {
                $fence(Ordering::Acquire);
            }

            fn fence_release() {
                $fence(Ordering::Release);
            }

            fn pause() {
                $pause();
            }
        }
    };
}

word!(AtomicU64, fence, core::hint::spin_loop);
#[cfg(test)]
word!(
    loom::sync::atomic::AtomicU64,
    loom::sync::atomic::fence,
    loom::thread::yield_now
);
