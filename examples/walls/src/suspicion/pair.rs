//! Two runs that the conductor cannot tell apart, until it is too late.

use std::time::Duration;

use synod_sim::Rng;
use synod_sim::page::Recorder;

use super::hall::{Fate, Record, play, play_on};
use crate::scene::begin_run;

/// The same orchestra twice: in one run a player leaves, in the other its notes stick for longer than
/// any detector waits that does not wait for ever.
#[derive(Clone, Debug)]
pub struct Pair {
    /// When it leaves, or becomes slow.
    pub since: Duration,
    /// When the runs end.
    pub end: Duration,
    /// It has left.
    pub dead: Record,
    /// It is slow.
    pub slow: Record,
}

/// What a detector comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Horn {
    /// It suspects who has left, so the others go on; and as soon, who is slow.
    SuspectsTheSlow {
        /// After how long a silence.
        after: Duration,
    },
    /// It suspects neither, and the others wait for who has left.
    LetsNobodyGoOn,
    /// Neither: no detector can.
    Escapes,
}

impl Pair {
    /// First the run in which the player leaves. It shows how long the other has to be silent. A
    /// recorder is given both, from shortly before the silence on.
    #[must_use]
    pub fn new(seed: u64, recorder: Option<&Recorder>) -> Self {
        let mut rng = Rng::new(!seed);
        let mut drawn = |bound| Duration::from_millis(rng.below(bound));
        let since = Duration::from_secs(4) + drawn(1_000);
        let leaves = Fate::Leaves { at: since };
        let dead = play(seed, leaves, since + SILENCE_MAX);
        let suspicions = dead.said.iter().filter(|it| it.suspects && it.at >= since);
        let last = suspicions.map(|it| it.at).max().unwrap_or(since);
        let until = last + Duration::from_millis(200) + drawn(1_500);
        let end = until + Duration::from_secs(2);
        let shown = recorder.map(|recorder| (recorder, since.saturating_sub(BEFORE)));
        begin_run(recorder, "It has left");
        let dead = play_on(seed, leaves, end, shown);
        begin_run(recorder, "It is slow: its notes stick under its door");
        let slow = play_on(seed, Fate::IsSlow { from: since, until }, end, shown);
        if let (Some(recorder), Some(parted)) = (recorder, slow.first_late) {
            let text = "the last moment before the late notes come: the conductor cannot tell this run \
                        from the other";
            let before = parted.saturating_sub(Duration::from_nanos(1));
            recorder.opens_at(before, text);
        }
        Self {
            since,
            end,
            dead,
            slow,
        }
    }

    /// When the first late note came. Nothing: it never did.
    #[must_use]
    pub fn parted(&self) -> Option<Duration> {
        self.slow.first_late
    }

    /// How many notes the conductor had had by then, and how many bytes, if in both runs they were the
    /// same, from the same, at the same moments.
    #[must_use]
    pub fn seen_alike(&self) -> Option<(usize, usize)> {
        let parted = self.parted()?;
        let before = |record: &Record| {
            let notes = record.notes.iter().filter(|note| note.at < parted);
            notes.cloned().collect::<Vec<_>>()
        };
        let (dead, slow) = (before(&self.dead), before(&self.slow));
        let bytes = dead.iter().map(|note| note.bytes.len()).sum();
        (dead == slow).then_some((dead.len(), bytes))
    }

    /// Whether by then each detector had shown and said the same in both.
    #[must_use]
    pub fn said_alike(&self) -> bool {
        let Some(parted) = self.parted() else {
            return false;
        };
        let said = |record: &Record| {
            let said = record.said.iter().filter(|it| it.at < parted);
            let shown = record.shown.iter().filter(|it| it.at < parted);
            let (said, shown) = (said.copied(), shown.cloned());
            (said.collect::<Vec<_>>(), shown.collect::<Vec<_>>())
        };
        said(&self.dead) == said(&self.slow)
    }

    /// When a detector first suspected the player in this silence, before the late note came.
    #[must_use]
    pub fn suspected(&self, record: &Record, judge: usize) -> Option<Duration> {
        let parted = self.parted()?;
        let mut said = record.said.iter().filter(|it| it.judge == judge);
        let first = said.find(|it| it.suspects && (self.since..parted).contains(&it.at))?;
        Some(first.at - self.since)
    }

    /// How many bars the conductor went on after the note had come that never does when the player
    /// has left.
    #[must_use]
    pub fn bars_after(&self, record: &Record, judge: usize) -> usize {
        let parted = self.parted().unwrap_or(self.end);
        let bars = record.bars[judge].iter();
        bars.filter(|at| **at > parted).count()
    }

    /// On which horn the detector is caught.
    #[must_use]
    pub fn horn(&self, judge: usize) -> Horn {
        let goes_on = self.bars_after(&self.dead, judge) > 0;
        let suspected = [&self.dead, &self.slow].map(|record| self.suspected(record, judge));
        match suspected {
            [Some(dead), Some(slow)] if dead == slow && goes_on => {
                Horn::SuspectsTheSlow { after: dead }
            }
            [None, None] if !goes_on => Horn::LetsNobodyGoOn,
            _ => Horn::Escapes,
        }
    }

    /// Whether at the end the detector has taken back what it said of the slow one, and not what it said
    /// of the other.
    #[must_use]
    pub fn ends_well(&self, judge: usize) -> bool {
        let [dead, slow] = [&self.dead, &self.slow].map(|record| {
            let mut said = record.said.iter().filter(|it| it.judge == judge);
            said.next_back().is_some_and(|it| it.suspects)
        });
        dead && !slow
    }
}

/// How much of the playing before the silence is on a page.
const BEFORE: Duration = Duration::from_millis(300);
/// Far longer than any of the detectors waits that suspect at all.
const SILENCE_MAX: Duration = Duration::from_secs(10);
