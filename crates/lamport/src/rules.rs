//! Lamport's two rules on bare numbers: what the clock of one owner and the shared one have in
//! common.

use crate::{Overflow, ReceiveError};

/// IR1: between any two successive events the clock goes up.
#[inline]
pub(crate) const fn tick(now: u64) -> Result<u64, Overflow> {
    match now.checked_add(1) {
        Some(next) => Ok(next),
        None => Err(Overflow),
    }
}

/// IR2 (b): on a message of time `remote` the clock goes beyond it, and beyond its own value. The
/// paper asks for "greater than or equal to its present value" and adds IR1 for the event itself;
/// the two together are `max + 1`.
#[inline]
pub(crate) const fn receive(now: u64, remote: u64, jump_max: u64) -> Result<u64, ReceiveError> {
    let ahead = remote.saturating_sub(now);
    if ahead > jump_max {
        return Err(ReceiveError::TooFarAhead { ahead, jump_max });
    }
    let latest = if remote > now { remote } else { now };
    match latest.checked_add(1) {
        Some(next) => Ok(next),
        None => Err(ReceiveError::Overflow),
    }
}
