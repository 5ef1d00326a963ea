//! Both runs as a page, as far as the conductor sees them: notes as messages, and whom its detectors
//! suspect.

use std::collections::BTreeSet;
use std::time::Duration;

use synod_sim::page::{Kind, MessageId, Recorder, View};
use synod_transport::NodeId;

use super::hall::{CONDUCTOR, GOSSIP_NOTE, WATCHED, everybody};
use super::judge::NAMES;

/// A note that is under way, as the recorder knows it.
pub(super) type Sent = MessageId;

/// What is shown of a hall.
#[derive(Debug)]
pub(super) struct Stage {
    recorder: Recorder,
    /// What comes before is left out.
    from: Duration,
    /// Who suspects the watched player.
    suspect: BTreeSet<usize>,
}

impl Stage {
    pub(super) fn new(recorder: &Recorder, from: Duration) -> Self {
        for player in everybody() {
            let name = match player {
                CONDUCTOR => "conductor".to_owned(),
                WATCHED => "the watched".to_owned(),
                NodeId(number) => format!("player {number}"),
            };
            recorder.name(id(player), &name);
            recorder.event(from, id(player), Kind::Start, "plays");
        }
        Self {
            recorder: recorder.clone(),
            from,
            suspect: BTreeSet::new(),
        }
    }

    pub(super) fn sends(
        &self,
        now: Duration,
        from: NodeId,
        to: NodeId,
        bytes: &[u8],
    ) -> Option<Sent> {
        let name = match bytes.first() {
            Some(&GOSSIP_NOTE) => "probe",
            _ => "beat",
        };
        let text = format!("a {name} of {} bytes", bytes.len());
        let caption = (name, text.as_str());
        // What the others send each other is nothing that the conductor sees.
        let is_shown = now >= self.from && [from, to].contains(&CONDUCTOR);
        is_shown.then(|| self.recorder.sent(now, id(from), id(to), caption))
    }

    pub(super) fn comes(&self, now: Duration, sent: Sent, is_gone: bool) {
        match is_gone {
            true => self.recorder.lost(now, sent, "nobody is in the booth"),
            false => drop(self.recorder.received(now, sent)),
        }
    }

    pub(super) fn leaves(&self, now: Duration, player: NodeId) {
        let text = "walks out, and nobody is told";
        self.recorder.event(now, id(player), Kind::Crash, text);
    }

    /// A detector changes its mind about the watched player.
    pub(super) fn judges(&mut self, now: Duration, judge: usize, suspects: bool) {
        match suspects {
            true => self.suspect.insert(judge),
            false => self.suspect.remove(&judge),
        };
        if now < self.from {
            return;
        }
        let (name, does) = match suspects {
            true => (NAMES[judge], "suspects"),
            false => (NAMES[judge], "trusts again"),
        };
        let text = format!("{name}: {does} the watched player");
        self.recorder.event(now, id(CONDUCTOR), Kind::Fault, &text);
        let mut view = View::default();
        let suspecting = self.suspect.iter().map(|judge| NAMES[*judge]);
        let suspecting = suspecting.collect::<Vec<_>>().join(" · ");
        view.text = match suspecting.is_empty() {
            true => "no detector suspects the watched player".to_owned(),
            false => format!("suspect the watched player: {suspecting}"),
        };
        self.recorder.view(now, id(CONDUCTOR), view);
    }
}

fn id(player: NodeId) -> synod_sim::NodeId {
    synod_sim::NodeId(player.0)
}
