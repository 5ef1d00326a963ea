//! One direction of a link: messages that await a flush, bandwidth, or the end of their delay.

use super::fate::Fate;
use super::faults::OnLink;
use crate::outbox::Outbox;
use crate::{Lane, LaneLimits, Parcel};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// A flush moves messages from `staged` to `waiting`; when the link is free they move on to `under_way`, and they are
/// sent when their delay is over.
///
/// Invariants: each of the three has the bounds of both lanes; messages of one lane that are not reordered keep
/// their order.
#[derive(Debug)]
pub(super) struct Link {
    numbers: u64,
    staged: Outbox<Held>,
    waiting: Outbox<Held>,
    /// Ordered by due time, then by departure.
    under_way: BTreeMap<(Instant, u64), (Lane, Parcel)>,
    under_way_bytes: usize,
    departures: u64,
    /// When a bandwidth-limited link has finished sending the last message.
    free_at: Option<Instant>,
    /// When the last message of each lane is due.
    last_due: [Option<Instant>; 2],
    lost: u64,
}

#[derive(Debug)]
struct Held {
    parcel: Parcel,
    fate: Fate,
    /// When the message was flushed.
    since: Option<Instant>,
}

impl Default for Link {
    fn default() -> Self {
        let outbox = || Outbox::new(LaneLimits::CONTROL, LaneLimits::BULK);
        Self {
            numbers: 0,
            staged: outbox(),
            waiting: outbox(),
            under_way: BTreeMap::new(),
            under_way_bytes: 0,
            departures: 0,
            free_at: None,
            last_due: [None; 2],
            lost: 0,
        }
    }
}

impl Link {
    /// Returns the number of the next message.
    pub(super) fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    pub(super) fn is_empty(&self) -> bool {
        self.staged.is_empty() && self.waiting.is_empty() && self.under_way.is_empty()
    }

    pub(super) fn take(&mut self, lane: Lane, parcel: Parcel, fate: Fate) {
        let bytes = parcel.len();
        let since = None;
        let held = Held {
            parcel,
            fate,
            since,
        };
        self.lost += self.staged.push(lane, bytes, held);
    }

    pub(super) fn flush(&mut self, now: Instant) {
        while let Some((lane, mut held)) = self.staged.pop() {
            held.since = Some(now);
            self.lost += self.waiting.push(lane, held.parcel.len(), held);
        }
    }

    /// Moves messages onto the link as far as its bandwidth allows by `now`.
    pub(super) fn depart(&mut self, now: Instant, faults: &OnLink) {
        if faults.link.bytes_per_second.is_none() {
            self.free_at = None;
        }
        while self.free_at.is_none_or(|free_at| free_at <= now) {
            let Some((lane, held)) = self.waiting.pop() else {
                return;
            };
            // Timers fire late; counting from the flush keeps a busy link at its full bandwidth.
            let since = held.since.unwrap_or(now);
            let begin = self.free_at.map_or(since, |free_at| free_at.max(since));
            let bytes = held.parcel.len();
            let end = match faults.link.bytes_per_second {
                Some(rate) => begin + time_of(bytes, rate),
                None => begin,
            };
            self.free_at = faults.link.bytes_per_second.map(|_| end);
            self.set_off(end, lane, held);
        }
    }

    fn set_off(&mut self, left: Instant, lane: Lane, held: Held) {
        let bytes = held.parcel.len();
        let fits = self.under_way_bytes.saturating_add(bytes) <= UNDER_WAY_BYTES_MAX;
        if !fits || self.under_way.len() >= UNDER_WAY_MAX {
            self.lost += 1;
            return;
        }
        let mut due = left.checked_add(held.fate.delay).unwrap_or(left + FAR);
        let last = &mut self.last_due[usize::from(lane == Lane::Bulk)];
        if held.fate.reordered {
            due += held.fate.held_back.min(FAR);
        } else {
            due = last.map_or(due, |last| last.max(due));
            *last = Some(due);
        }
        self.departures += 1;
        self.under_way_bytes += bytes;
        self.under_way
            .insert((due, self.departures), (lane, held.parcel));
    }

    /// The next message that is due.
    pub(super) fn arrive(&mut self, now: Instant) -> Option<(Lane, Parcel)> {
        let first = self.under_way.first_entry()?;
        if first.key().0 > now {
            return None;
        }
        let (lane, parcel) = first.remove();
        self.under_way_bytes -= parcel.len();
        Some((lane, parcel))
    }

    /// The time of the next event on this link.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let due = self.under_way.first_key_value().map(|((due, _), _)| *due);
        let free = self.free_at.filter(|_| !self.waiting.is_empty());
        due.into_iter().chain(free).min()
    }

    /// How many messages were lost to full queues since the last call.
    pub(super) fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }
}

fn time_of(bytes: usize, bytes_per_second: u64) -> Duration {
    let nanos = bytes as u128 * 1_000_000_000 / u128::from(bytes_per_second.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)).min(FAR)
}

const UNDER_WAY_MAX: usize = LaneLimits::CONTROL.messages_max + LaneLimits::BULK.messages_max;
const UNDER_WAY_BYTES_MAX: usize = LaneLimits::CONTROL.bytes_max + LaneLimits::BULK.bytes_max;
/// The longest delay; longer ones are shortened to it.
const FAR: Duration = Duration::from_secs(365 * 86_400);
