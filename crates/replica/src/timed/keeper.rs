//! What a node's own clock says of logged time, and when its leader must say it unasked.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{LogTime, Stamp, Standing};

/// Measures, with a clock of this node that never falls, how long ago this node applied each anchor.
///
/// A value: every moment is an argument, as the time since any fixed point. Whoever drives it awaits
/// [`Timed::watch`](super::Timed::watch), calls [`observe`](Self::observe) at once when it changes (what is observed
/// late lengthens deadlines and never shortens them), [stamps](Self::stamp) commands that count time, and where the
/// group's leader is proposes a [`tick`](super::tick) when [`next_tick`](Self::next_tick) is reached.
#[derive(Clone, Debug, Default)]
pub struct Timekeeper {
    standing: Standing,
    /// When each anchor that may be named was seen first.
    seen: BTreeMap<u64, Duration>,
    ticked: Option<Duration>,
    /// When `standing` became as it is.
    changed: Duration,
}

impl Timekeeper {
    /// Takes note of what was applied.
    pub fn observe(&mut self, standing: &Standing, now: Duration) {
        let anchors = standing.time.anchors();
        if anchors.start < self.standing.time.anchors().start {
            // A machine that begins anew: its anchors are not those that were seen.
            self.seen.clear();
        }
        self.seen.retain(|anchor, _| anchors.contains(anchor));
        for anchor in anchors {
            self.seen.entry(anchor).or_insert(now);
        }
        if self.standing != *standing {
            self.standing.clone_from(standing);
            self.changed = now;
        }
    }

    /// What to say now: of all anchors, the one by which it is latest.
    #[must_use]
    pub fn stamp(&self, now: Duration) -> Stamp {
        let stamps = self.seen.iter().map(|(anchor, seen)| Stamp {
            anchor: *anchor,
            elapsed: now.saturating_sub(*seen),
        });
        let latest = stamps.max_by_key(|stamp| self.standing.time.reach(*stamp));
        latest.unwrap_or_else(|| Stamp {
            anchor: self.standing.time.anchors().start,
            elapsed: Duration::ZERO,
        })
    }

    /// How late it is, as far as this clock can tell: not before the time in the log, and never to be decided by.
    #[must_use]
    pub fn estimate(&self, now: Duration) -> LogTime {
        let reached = self.standing.time.reach(self.stamp(now));
        self.standing.time.now().max(reached.unwrap_or_default())
    }

    /// When a leader has to propose a tick next; `None` while nothing is due at any time.
    #[must_use]
    pub fn next_tick(&self) -> Option<Duration> {
        let due = self.standing.due?;
        let anchored = self.seen.values().max().copied().unwrap_or_default();
        let mut next = self
            .changed
            .saturating_add(self.wait_for(due))
            .min(anchored + TICK_EVERY_MAX);
        if self.standing.time.is_capped() {
            // Nobody can measure what passes until there is a new anchor. Commands that count time bring one too, but
            // not for ever.
            next = next.min((self.changed + SETTLE).min(anchored + ANCHOR_AFTER_MAX));
        }
        match self.ticked {
            None => Some(next),
            Some(ticked) if self.changed >= ticked => Some(next.max(ticked + SETTLE)),
            Some(ticked) => Some(next.max(ticked + RETRY)),
        }
    }

    /// Notes that a tick was proposed: the next follows when this one is applied, or a while later if it is lost.
    pub fn ticked(&mut self, now: Duration) {
        self.ticked = Some(now);
    }

    /// From the last change on, until it is `due` by this clock.
    fn wait_for(&self, due: LogTime) -> Duration {
        let reached = self.standing.time.reach(self.stamp(self.changed));
        due.since(reached.unwrap_or_else(|| self.standing.time.now()))
    }
}

/// Ticks stand so far apart, and so long after a deadline they make an anchor of their own.
const SETTLE: Duration = Duration::from_millis(25);
/// Without other anchors a tick makes one at least so often while deadlines are counted.
const ANCHOR_AFTER_MAX: Duration = Duration::from_millis(100);
/// A tick that is not applied is proposed again after this.
const RETRY: Duration = Duration::from_millis(250);
/// Less than half of what one stamp may raise the time by.
const TICK_EVERY_MAX: Duration = Duration::from_secs(240);
