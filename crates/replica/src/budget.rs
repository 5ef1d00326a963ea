//! How much of one turn of the loop a node's machines may use.
//!
//! Applying runs user code of unknown cost, on the thread that also sends heartbeats and receives
//! frames. So a turn stops applying after a number of commands, of bytes, or a time, whichever
//! comes first; it then sends the protocol's messages, and the next turn continues. The driver
//! checks the time between two commands. A single command is never interrupted, and one that takes
//! an election timeout costs a leader its leadership.

use std::time::Duration;

use crate::time::Instant;

/// The bounds of a [`Budget`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    pub(crate) commands_max: usize,
    pub(crate) bytes_max: usize,
    pub(crate) time_max: Duration,
}

/// What is left of a turn's share.
#[derive(Debug)]
pub(crate) struct Budget {
    commands: usize,
    bytes: usize,
    until: Instant,
    spent: bool,
}

impl Budget {
    pub(crate) fn new(now: Instant, share: Share) -> Self {
        Self {
            commands: share.commands_max,
            bytes: share.bytes_max,
            until: now + share.time_max,
            spent: false,
        }
    }

    /// Records that a command of this length was applied, or that the machine was used otherwise.
    /// Returns whether another may follow.
    pub(crate) fn spend(&mut self, now: Instant, bytes: usize) -> bool {
        self.commands = self.commands.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
        self.spent |= self.commands == 0 || self.bytes == 0 || now >= self.until;
        !self.spent
    }

    pub(crate) const fn is_spent(&self) -> bool {
        self.spent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant(Duration::from_millis(ms))
    }

    const SHARE: Share = Share {
        commands_max: 3,
        bytes_max: 100,
        time_max: Duration::from_millis(10),
    };

    #[test]
    fn each_bound_ends_a_share() {
        let mut budget = Budget::new(at(5), SHARE);
        assert!(budget.spend(at(5), 1) && budget.spend(at(5), 1) && !budget.spend(at(5), 1));
        assert!(budget.is_spent());
        let mut budget = Budget::new(at(5), SHARE);
        assert!(budget.spend(at(5), 99) && !budget.spend(at(5), 1));
        let mut budget = Budget::new(at(5), SHARE);
        assert!(budget.spend(at(14), 0) && !budget.spend(at(15), 0));
        assert!(!budget.spend(at(5), 0), "what is spent stays spent");
    }
}
