//! A rate limit for log lines, which counts the suppressed ones.

use std::collections::BTreeMap;
use std::time::Duration;

/// Admits a few lines of each source in each time window, and counts the rest.
///
/// Otherwise a thousand connection attempts a second would write a thousand log lines a second. A
/// source is any key that the caller distinguishes, such as an event and its peer. Sources beyond
/// `sources_max` share one count, so neither memory nor lines grow with their number: each `window`
/// has at most `(sources_max + 1) * lines_max` lines.
///
/// Time is an argument, counted from any fixed moment.
///
/// ```
/// use std::time::Duration;
/// use synod_transport::LineLimit;
///
/// let mut limit = LineLimit::new(2, Duration::from_secs(10), 64);
/// let now = Duration::ZERO;
/// assert_eq!(limit.admit(now, "stranger"), Some(0));
/// assert_eq!(limit.admit(now, "stranger"), Some(0));
/// assert_eq!(limit.admit(now, "stranger"), None);
/// // The next line reports how many were suppressed before it.
/// assert_eq!(limit.admit(now + Duration::from_secs(10), "stranger"), Some(1));
/// ```
#[derive(Clone, Debug)]
pub struct LineLimit<K> {
    lines_max: u32,
    window: Duration,
    sources_max: usize,
    sources: BTreeMap<K, Told>,
    /// Shared by all sources beyond `sources_max`.
    others: Told,
}

/// The admitted and suppressed lines of one source.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    /// The start of the window.
    since: Duration,
    /// Lines admitted in the window.
    lines: u32,
    /// Occurrences suppressed since the last admitted line.
    suppressed: u64,
}

impl<K: Ord> LineLimit<K> {
    /// At most `lines_max` lines of each of `sources_max` sources in each `window`.
    #[must_use]
    pub const fn new(lines_max: u32, window: Duration, sources_max: usize) -> Self {
        let others = Told {
            since: Duration::ZERO,
            lines: 0,
            suppressed: 0,
        };
        Self {
            lines_max,
            window,
            sources_max,
            sources: BTreeMap::new(),
            others,
        }
    }

    /// Whether to log this occurrence: `None` to suppress it, otherwise the number of suppressed ones
    /// since the last line of the same source.
    pub fn admit(&mut self, now: Duration, source: K) -> Option<u64> {
        if !self.sources.contains_key(&source) && self.sources.len() >= self.sources_max {
            self.forget(now);
        }
        let told = if self.sources.len() < self.sources_max || self.sources.contains_key(&source) {
            let since = now;
            self.sources.entry(source).or_insert_with(|| Told {
                since,
                ..Told::default()
            })
        } else {
            &mut self.others
        };
        if now.saturating_sub(told.since) >= self.window {
            (told.since, told.lines) = (now, 0);
        }
        if told.lines < self.lines_max {
            told.lines += 1;
            Some(std::mem::take(&mut told.suppressed))
        } else {
            told.suppressed += 1;
            None
        }
    }

    /// Removes idle sources. Their suppressed lines are added to the shared count.
    fn forget(&mut self, now: Duration) {
        let (window, others) = (self.window, &mut self.others);
        self.sources.retain(|_, told| {
            let stays = now.saturating_sub(told.since) < window;
            others.suppressed += if stays { 0 } else { told.suppressed };
            stays
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_flood_makes_few_lines_and_is_counted() {
        let mut limit = LineLimit::new(3, at(1_000), 4);
        let lines = (0..1_856).filter_map(|n| limit.admit(at(n / 2), 1)).count();
        assert_eq!(lines, 3);
        assert_eq!(limit.admit(at(1_000), 1), Some(1_853));
        assert_eq!(limit.admit(at(1_000), 1), Some(0), "told once");
    }

    #[test]
    fn a_loud_source_takes_no_other_ones_lines() {
        let mut limit = LineLimit::new(1, at(1_000), 4);
        for n in 0..100 {
            limit.admit(at(n), 1);
        }
        assert_eq!(limit.admit(at(100), 2), Some(0));
    }

    #[test]
    fn sources_without_number_share_one_place() {
        let mut limit = LineLimit::new(1, at(1_000), 4);
        let lines = (0..10_000).filter_map(|n| limit.admit(at(5), n)).count();
        assert_eq!((lines, limit.sources.len()), (5, 4));
        // Idle sources make room, and their suppressed lines are still counted.
        assert_eq!(limit.admit(at(5), 0), None);
        assert_eq!(limit.admit(at(1_005), 77_777), Some(0));
        assert_eq!(limit.sources.len(), 1);
        assert_eq!(limit.others.suppressed, 9_995 + 1);
    }
}
