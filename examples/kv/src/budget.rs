//! How much all connections together may hold.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes that may be held, and that are.
///
/// Invariant: `used` is the sum of what the living [`Share`]s hold, and at most `bytes_max`.
#[derive(Debug)]
pub(crate) struct Budget {
    bytes_max: usize,
    used: AtomicUsize,
}

/// What one connection holds of a budget; its last act is to make it nothing again.
#[derive(Debug, Default)]
pub(crate) struct Share {
    held: usize,
}

impl Budget {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            used: AtomicUsize::new(0),
        }
    }

    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Makes a share this large. `false`, and nothing has changed, when the budget has not enough
    /// left for it.
    pub(crate) fn resize(&self, share: &mut Share, bytes: usize) -> bool {
        if bytes <= share.held {
            self.used.fetch_sub(share.held - bytes, Ordering::Relaxed);
        } else {
            let more = bytes - share.held;
            let taken = self
                .used
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                    used.checked_add(more)
                        .filter(|used| *used <= self.bytes_max)
                });
            if taken.is_err() {
                return false;
            }
        }
        share.held = bytes;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_never_exceed_the_budget_and_what_is_given_back_can_be_had_again() {
        let budget = Budget::new(100);
        let (mut one, mut other) = (Share::default(), Share::default());
        assert!(budget.resize(&mut one, 60));
        assert!(!budget.resize(&mut other, 41));
        assert!(budget.resize(&mut other, 40));
        assert!(!budget.resize(&mut one, usize::MAX));
        assert_eq!(budget.used(), 100);
        assert!(budget.resize(&mut one, 10));
        assert!(budget.resize(&mut other, 90));
        assert!(budget.resize(&mut one, 0) && budget.resize(&mut other, 0));
        assert_eq!(budget.used(), 0);
    }
}
