//! How good a detector is (Chen, Toueg, Aguilera, *On the quality of service of failure detectors*, 2002).

use std::time::Duration;

/// What one detector did in one world.
#[derive(Clone, Debug, Default)]
pub(crate) struct Measures {
    /// For so long peers that lived were watched, all of them together.
    pub(crate) watched: Duration,
    /// T_D: from a crash to the suspicion that lasts.
    detections: Vec<Duration>,
    /// T_M: how long each mistake lasted.
    mistakes: Vec<Duration>,
    /// T_MR: from the beginning of one mistake to that of the next, of one watcher and peer.
    recurrences: Vec<Duration>,
}

impl Measures {
    pub(crate) fn detected(&mut self, after: Duration) {
        self.detections.push(after);
    }

    pub(crate) fn add(&mut self, mut record: Record, end: Duration) {
        record.trust(end);
        self.watched += end;
        self.mistakes.extend(record.mistakes);
        self.recurrences.extend(record.recurrences);
    }

    pub(crate) fn mistakes_a_day(&self) -> f64 {
        self.mistakes.len() as f64 / self.watched.as_secs_f64() * DAY_SECONDS
    }

    pub(crate) fn detection(&self) -> Option<Duration> {
        mean(&self.detections)
    }

    pub(crate) fn detection_max(&self) -> Option<Duration> {
        self.detections.iter().max().copied()
    }

    pub(crate) fn recurrence(&self) -> Option<Duration> {
        mean(&self.recurrences)
    }

    pub(crate) fn duration(&self) -> Option<Duration> {
        mean(&self.mistakes)
    }
}

/// The mistakes of one watcher about one peer, in the order of time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Record {
    since: Option<Duration>,
    before: Option<Duration>,
    mistakes: Vec<Duration>,
    recurrences: Vec<Duration>,
}

impl Record {
    pub(crate) fn suspect(&mut self, at: Duration) {
        if self.since.is_none() {
            self.recurrences
                .extend(self.before.map(|before| at - before));
            (self.since, self.before) = (Some(at), Some(at));
        }
    }

    pub(crate) fn trust(&mut self, at: Duration) {
        self.mistakes
            .extend(self.since.take().map(|since| at - since));
    }
}

fn mean(times: &[Duration]) -> Option<Duration> {
    let sum: Duration = times.iter().sum();
    let count = u32::try_from(times.len()).ok().filter(|count| *count > 0)?;
    Some(sum / count)
}

const DAY_SECONDS: f64 = 86_400.0;
