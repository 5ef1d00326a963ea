/// How long a leader waits for the acknowledgement of a message before it sends the message again.
///
/// The unit is an answered heartbeat: a heartbeat of the timer that was sent, was echoed and showed
/// no progress. Rounds are not suitable as a unit, because reads begin them at any rate; nor is
/// time, because on a link with high latency more than one heartbeat is in flight. A peer that is
/// out of contact causes no resends.
///
/// A message with values may arrive long after later heartbeats, because they overtake it, and on a
/// slow link one message may take many heartbeats. So the limit grows with each resend, up to what
/// a link of 200 kB/s may need. When the peer makes progress again, the limit becomes twice what
/// that took, so a slow link is misjudged only a few times. Progress at every heartbeat brings the
/// limit back to [`LIMIT_MIN`].
///
/// Invariants: `silent <= limit`, `LIMIT_MIN <= limit <= LIMIT_MAX`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Backoff {
    /// A heartbeat in flight: an echo of this round or a later one answers it.
    heartbeat: Option<u64>,
    /// Answered heartbeats since the peer's last progress.
    silent: u32,
    /// How many answered heartbeats without progress count as a loss.
    limit: u32,
}

impl Backoff {
    pub(crate) fn new() -> Self {
        Self {
            heartbeat: None,
            silent: 0,
            limit: LIMIT_MIN,
        }
    }

    /// Notes that the timer sent the heartbeat of `round`.
    pub(crate) fn begin_heartbeat(&mut self, round: u64) {
        self.heartbeat = self.heartbeat.or(Some(round));
    }

    /// Notes that the peer holds more without a gap than before.
    pub(crate) fn handle_progress(&mut self) {
        self.limit = (2 * self.silent + 1).clamp(LIMIT_MIN, LIMIT_MAX);
        self.handle_contact();
    }

    /// Notes that something arrived, even if it is not new, or that nothing is expected.
    pub(crate) fn handle_contact(&mut self) {
        self.silent = 0;
        self.heartbeat = None;
    }

    /// Handles an echo of `round` while a message sent before that round is missing. Returns
    /// whether the message now counts as lost.
    ///
    /// `bytes` is everything in flight to the peer. Little data cannot be far behind the
    /// heartbeats, however often the link has lost it.
    pub(crate) fn is_exhausted_by(&mut self, round: u64, bytes: usize) -> bool {
        if self
            .heartbeat
            .take_if(|heartbeat| *heartbeat <= round)
            .is_none()
        {
            return false;
        }
        self.silent += 1;
        let heartbeats = u32::try_from(bytes / BYTES_A_HEARTBEAT).unwrap_or(LIMIT_MAX);
        let most = LIMIT_MIN.saturating_add(heartbeats).min(LIMIT_MAX);
        let limit = self.limit.min(most);
        if self.silent < limit {
            return false;
        }
        if limit == most {
            self.silent /= 2;
        }
        self.limit = (2 * limit + 1).min(most);
        true
    }
}

/// Low, because a group that is otherwise idle waits for it. Not one, because on any link a
/// heartbeat or two may overtake a message of some hundred kilobytes.
const LIMIT_MIN: u32 = 3;
/// Five seconds with heartbeats every 40 ms: a message of a megabyte over a link of 200 kB/s.
const LIMIT_MAX: u32 = 127;
/// The bytes that such a link carries from one heartbeat to the next.
const BYTES_A_HEARTBEAT: usize = 8_000;

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    const MEGABYTE: usize = 1_000_000;

    /// The heartbeats, counted from 1, at which silence counts as a loss.
    fn losses(backoff: &mut Backoff, heartbeats: u64) -> Vec<u64> {
        let lost = |round: &u64| {
            backoff.begin_heartbeat(*round);
            backoff.is_exhausted_by(*round, MEGABYTE)
        };
        (1..=heartbeats).filter(lost).collect()
    }

    #[test]
    fn each_resend_is_waited_for_twice_as_long_and_never_without_end() {
        let expected = [3, 7, 15, 31, 63, 127, 191, 255];
        assert_eq!(losses(&mut Backoff::new(), 300), expected);
    }

    #[test]
    fn what_is_short_is_not_waited_for_long() {
        let mut backoff = Backoff::new();
        let mut lost = |round: &u64| {
            backoff.begin_heartbeat(*round);
            backoff.is_exhausted_by(*round, 100)
        };
        let heartbeats: Vec<u64> = (1..10).filter(&mut lost).collect();
        assert_eq!(heartbeats, [3, 5, 7, 9]);
    }

    #[test]
    fn what_a_slow_link_took_is_not_taken_for_a_loss_again() {
        let mut backoff = Backoff::new();
        assert_eq!(losses(&mut backoff, 12), [3, 7]);
        for _ in 0..3 {
            backoff.handle_progress();
            assert_eq!(losses(&mut backoff, 12), []);
        }
        backoff.handle_progress();
        backoff.handle_progress();
        assert_eq!(losses(&mut backoff, 3), [3], "it became fast");
    }

    #[test]
    fn only_beats_of_the_timer_that_were_answered_count() {
        let mut backoff = Backoff::new();
        backoff.begin_heartbeat(1);
        assert!(
            (1..100).all(|round| !backoff.is_exhausted_by(round, MEGABYTE)),
            "reads"
        );
        for round in 100..200 {
            backoff.begin_heartbeat(round);
        }
        assert!(
            !backoff.is_exhausted_by(99, MEGABYTE),
            "an echo from before the heartbeat"
        );
        assert!(!backoff.is_exhausted_by(199, MEGABYTE), "the second");
        backoff.begin_heartbeat(200);
        assert!(backoff.is_exhausted_by(200, MEGABYTE));
    }
}
