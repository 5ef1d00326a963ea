//! The orchestra: players in soundproof booths, who pass notes under the doors.
//!
//! Each player sends the conductor a note with every beat, and their detectors probe each other. How
//! long a note takes is drawn by its sender, so what becomes of one changes nothing for another.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use synod_sim::Rng;
use synod_sim::page::Recorder;
use synod_transport::NodeId;
use synod_transport::detector::{Detector, Gossip, Instant, Message, Output};

use super::judge::{self, Judge};
use super::shown::{Sent, Stage};

/// Who watches.
pub const CONDUCTOR: NodeId = NodeId(1);
/// Of whom it is asked whether it has left.
pub const WATCHED: NodeId = NodeId(2);
/// How often each player sends a note.
pub const BEAT: Duration = Duration::from_millis(100);

/// What becomes of the player who is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It walks out, and nothing tells.
    Leaves {
        /// When.
        at: Duration,
    },
    /// It plays on, and what it sends sticks under its door for a while.
    IsSlow {
        /// From then on.
        from: Duration,
        /// Then all of it comes.
        until: Duration,
    },
}

/// Something that came under the conductor's door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// When.
    pub at: Duration,
    /// Whose it is.
    pub from: NodeId,
    /// What it says.
    pub bytes: Vec<u8>,
}

/// A detector changed its mind about who is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Said {
    /// When.
    pub at: Duration,
    /// Which of the detectors.
    pub judge: usize,
    /// It suspects, or no longer does.
    pub suspects: bool,
}

/// What the detectors showed at a moment, of who is watched.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// When.
    pub at: Duration,
    /// By detector: how far it is on the way from trust, 0, to suspicion, 1 and more.
    pub levels: Vec<f64>,
}

/// What there was to see in the conductor's booth, and what came of it.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// All that came under the door.
    pub notes: Vec<Note>,
    /// What was said of it.
    pub said: Vec<Said>,
    /// What was shown, twice a beat.
    pub shown: Vec<Shown>,
    /// By detector: when the conductor went on to the next bar. It does when each player has sent a
    /// note since the last one, or is suspected.
    pub bars: Vec<Vec<Duration>>,
    /// When the first of the notes that had stuck came to anybody.
    pub first_late: Option<Duration>,
}

/// Everybody plays until then.
#[must_use]
pub fn play(seed: u64, fate: Fate, end: Duration) -> Record {
    play_on(seed, fate, end, None)
}

/// The same, with what happens from a moment on given to a recorder.
pub(super) fn play_on(
    seed: u64,
    fate: Fate,
    end: Duration,
    shown: Option<(&Recorder, Duration)>,
) -> Record {
    let mut hall = Hall::new(seed, fate);
    hall.stage = shown.map(|(recorder, from)| Stage::new(recorder, from));
    hall.play(end);
    hall.record
}

pub(super) fn everybody() -> impl Iterator<Item = NodeId> {
    (1..=PLAYERS).map(NodeId)
}

#[derive(Debug)]
struct Hall {
    now: Duration,
    fate: Fate,
    /// Numbered, so that what is due at one moment happens in the order in which it was caused.
    due: BTreeMap<(Duration, u64), Happening>,
    number: u64,
    draws: BTreeMap<NodeId, Rng>,
    judges: Vec<Judge>,
    /// Whom each judge's conductor has heard in this bar.
    heard: Vec<BTreeSet<NodeId>>,
    /// The detectors of the others.
    others: BTreeMap<NodeId, Gossip>,
    record: Record,
    /// Where it is shown.
    stage: Option<Stage>,
}

#[derive(Debug)]
enum Happening {
    Beat(NodeId),
    Arrival {
        to: NodeId,
        note: Note,
        stuck: bool,
        sent: Option<Sent>,
    },
    Look,
}

impl Hall {
    fn new(seed: u64, fate: Fate) -> Self {
        let mut rng = Rng::new(seed);
        let judges = judge::all(seed);
        let others = everybody().filter(|id| *id != CONDUCTOR);
        let mut hall = Self {
            now: Duration::ZERO,
            fate,
            due: BTreeMap::new(),
            number: 0,
            draws: everybody().map(|id| (id, rng.fork())).collect(),
            heard: vec![BTreeSet::new(); judges.len()],
            record: Record {
                bars: vec![Vec::new(); judges.len()],
                ..Record::default()
            },
            others: others.map(|id| (id, judge::gossip(id, seed))).collect(),
            judges,
            stage: None,
        };
        for id in everybody().filter(|id| *id != CONDUCTOR) {
            hall.then(Duration::ZERO, Happening::Beat(id));
        }
        hall.then(Duration::ZERO, Happening::Look);
        hall
    }

    fn play(&mut self, end: Duration) {
        loop {
            let judges = self.judges.iter().map(|it| it.detector().poll_timeout());
            let others = self.others.values().map(Detector::poll_timeout);
            let timeout = judges.chain(others).min().map(|it| it.0);
            let due = self.due.first_key_value().map(|((at, _), _)| *at);
            let Some(next) = [timeout, due].into_iter().flatten().min() else {
                return;
            };
            if next > end {
                return;
            }
            self.now = self.now.max(next);
            if self.has_left(WATCHED)
                && self.others.remove(&WATCHED).is_some()
                && let Some(stage) = &self.stage
            {
                stage.leaves(self.now, WATCHED);
            }
            // Notes first, then time: what has come is heard before silence is judged.
            while let Some(entry) = self.due.first_entry().filter(|it| it.key().0 <= self.now) {
                let happening = entry.remove();
                self.happen(happening);
            }
            self.let_time_pass();
            self.go_on();
        }
    }

    fn has_left(&self, id: NodeId) -> bool {
        id == WATCHED && matches!(self.fate, Fate::Leaves { at } if at <= self.now)
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Beat(id) if self.has_left(id) => {}
            Happening::Beat(id) => {
                let uneven = self.drawn(id, |rng| rng.below(5_000));
                self.then(BEAT + Duration::from_micros(uneven), Happening::Beat(id));
                self.send(id, CONDUCTOR, vec![BEAT_NOTE]);
            }
            Happening::Arrival {
                to,
                note,
                stuck,
                sent,
            } => {
                if let (Some(stage), Some(sent)) = (&self.stage, sent) {
                    let is_gone = to == WATCHED && !self.others.contains_key(&to);
                    stage.comes(self.now, sent, is_gone);
                }
                if stuck {
                    self.record.first_late.get_or_insert(self.now);
                }
                self.arrive(to, note);
            }
            Happening::Look => {
                self.then(BEAT / 2, Happening::Look);
                let levels = self.judges.iter().map(|it| it.level(self.now, WATCHED));
                let levels = levels.collect();
                let at = self.now;
                self.record.shown.push(Shown { at, levels });
            }
        }
    }

    fn arrive(&mut self, to: NodeId, note: Note) {
        let (from, now) = (note.from, self.now);
        let message = match note.bytes.split_first() {
            Some((&GOSSIP_NOTE, bytes)) => Message::decode(bytes).ok(),
            _ => None,
        };
        if to == CONDUCTOR {
            for judge in &mut self.judges {
                judge.hear(now, from, message.as_ref());
            }
            for heard in &mut self.heard {
                heard.insert(from);
            }
            self.record.notes.push(note);
        } else if let (Some(other), Some(message)) = (self.others.get_mut(&to), message) {
            other.handle_message(Instant(now), from, judge::LIFE, &message);
        }
        self.drain();
    }

    fn let_time_pass(&mut self) {
        let now = Instant(self.now);
        for judge in &mut self.judges {
            if judge.detector().poll_timeout() <= now {
                judge.detector_mut().handle_timeout(now);
            }
        }
        for other in self.others.values_mut() {
            if other.poll_timeout() <= now {
                other.handle_timeout(now);
            }
        }
        self.drain();
    }

    /// Notes what the detectors have to say, and sends what they want sent.
    fn drain(&mut self) {
        let mut sends = Vec::new();
        for (number, judge) in self.judges.iter_mut().enumerate() {
            while let Some(output) = judge.detector_mut().poll_output() {
                let suspects = match output {
                    Output::Suspect(WATCHED) => true,
                    Output::Trust(WATCHED) => false,
                    Output::Send(to, message) => {
                        sends.push((CONDUCTOR, to, message));
                        continue;
                    }
                    _ => continue,
                };
                if let Some(stage) = &mut self.stage {
                    stage.judges(self.now, number, suspects);
                }
                self.record.said.push(Said {
                    at: self.now,
                    judge: number,
                    suspects,
                });
            }
        }
        for (own, other) in &mut self.others {
            while let Some(output) = other.poll_output() {
                if let Output::Send(to, message) = output {
                    sends.push((*own, to, message));
                }
            }
        }
        for (from, to, message) in sends {
            let mut bytes = vec![GOSSIP_NOTE];
            bytes.extend_from_slice(&message.encode());
            self.send(from, to, bytes);
        }
    }

    fn go_on(&mut self) {
        for (number, judge) in self.judges.iter().enumerate() {
            let heard = &mut self.heard[number];
            let detector = judge.detector();
            let mut players = everybody().filter(|id| *id != CONDUCTOR);
            if players.all(|id| heard.contains(&id) || detector.suspects(id)) {
                heard.clear();
                self.record.bars[number].push(self.now);
            }
        }
    }

    fn send(&mut self, from: NodeId, to: NodeId, bytes: Vec<u8>) {
        let mean = Duration::from_millis(2);
        let takes = self.drawn(from, |rng| rng.exponential(mean));
        let takes = takes.clamp(Duration::from_micros(100), Duration::from_millis(20));
        let freed = match self.fate {
            Fate::IsSlow { from: since, until } if from == WATCHED => {
                (since..until).contains(&self.now).then_some(until)
            }
            _ => None,
        };
        let at = freed.unwrap_or(self.now) + takes;
        let note = Note { at, from, bytes };
        let stuck = freed.is_some();
        let stage = self.stage.as_ref();
        let sent = stage.and_then(|stage| stage.sends(self.now, from, to, &note.bytes));
        let arrival = Happening::Arrival {
            to,
            note,
            stuck,
            sent,
        };
        self.then(at - self.now, arrival);
    }

    fn drawn<T: Default>(&mut self, id: NodeId, draw: impl FnOnce(&mut Rng) -> T) -> T {
        self.draws.get_mut(&id).map(draw).unwrap_or_default()
    }

    fn then(&mut self, after: Duration, happening: Happening) {
        self.number += 1;
        self.due.insert((self.now + after, self.number), happening);
    }
}

const PLAYERS: u64 = 5;
const BEAT_NOTE: u8 = 0;
pub(super) const GOSSIP_NOTE: u8 = 1;
