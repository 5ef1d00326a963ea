//! The detectors of synod-transport, as they are.

use std::time::Duration;

use synod_sim::Rng;
use synod_transport::NodeId;
use synod_transport::detector::{
    Deadline, DeadlineSettings, Detector, Gossip, GossipSettings, Incarnation, Instant, Message,
    PhiAccrual, PhiSettings,
};

use super::hall::{BEAT, CONDUCTOR, everybody};

/// A detector in the conductor's booth.
#[derive(Debug)]
pub(super) enum Judge {
    /// A deadline, or none at all.
    Deadline(Deadline),
    Phi(PhiAccrual),
    Gossip(Box<Gossip>),
}

/// What they are called, in the order of [`all`].
pub(super) const NAMES: [&str; 5] = [
    "deadline, 3 beats",
    "deadline, 30 beats",
    "φ accrual, 8",
    "SWIM",
    "never suspects",
];
/// Which of them has levels between trust and suspicion.
pub(super) const PHI: usize = 2;

/// Each judges all players but the conductor.
pub(super) fn all(seed: u64) -> Vec<Judge> {
    let deadline = |settings| {
        let made = Deadline::new(Instant::default(), players(), settings);
        Judge::Deadline(made.expect("settings that fit"))
    };
    let beats = |beats| DeadlineSettings {
        timeout_first: BEAT.saturating_mul(beats),
        timeout_max: BEAT.saturating_mul(10 * beats),
        ..DeadlineSettings::of(BEAT)
    };
    let never = DeadlineSettings {
        timeout_first: Duration::MAX,
        timeout_max: Duration::MAX,
        ..DeadlineSettings::of(BEAT)
    };
    let phi = PhiAccrual::new(Instant::default(), players(), PhiSettings::of(BEAT));
    vec![
        deadline(beats(3)),
        deadline(beats(30)),
        Judge::Phi(phi.expect("settings that fit")),
        Judge::Gossip(Box::new(gossip(CONDUCTOR, seed))),
        deadline(never),
    ]
}

/// Each player has one of these: probes are answered, and passed on for others.
pub(super) fn gossip(own: NodeId, seed: u64) -> Gossip {
    let seed = Rng::new(seed ^ own.0).next_u64();
    let settings = GossipSettings::of(2 * BEAT, seed);
    let made = Gossip::new(Instant::default(), own, LIFE, everybody(), settings);
    made.expect("settings that fit")
}

impl Judge {
    pub(super) fn detector(&self) -> &dyn Detector {
        match self {
            Self::Deadline(it) => it,
            Self::Phi(it) => it,
            Self::Gossip(it) => it.as_ref(),
        }
    }

    pub(super) fn detector_mut(&mut self) -> &mut dyn Detector {
        match self {
            Self::Deadline(it) => it,
            Self::Phi(it) => it,
            Self::Gossip(it) => it.as_mut(),
        }
    }

    /// Any note is a sign of who has sent it, whatever it is about.
    pub(super) fn hear(&mut self, now: Duration, from: NodeId, message: Option<&Message>) {
        let (now, detector) = (Instant(now), self.detector_mut());
        match message {
            Some(message) => detector.handle_message(now, from, LIFE, message),
            None => detector.handle_frame(now, from, LIFE),
        }
    }

    /// How far it is on the way from trust, 0, to suspicion, 1.
    pub(super) fn level(&self, now: Duration, of: NodeId) -> f64 {
        match self {
            Self::Phi(it) => it.phi(Instant(now), of).unwrap_or(0.0) / THRESHOLD,
            other => f64::from(u8::from(other.detector().suspects(of))),
        }
    }
}

fn players() -> impl Iterator<Item = NodeId> {
    everybody().filter(|id| *id != CONDUCTOR)
}

/// Nobody is started twice.
pub(super) const LIFE: Incarnation = Incarnation(1);
/// That of [`PhiSettings::of`].
const THRESHOLD: f64 = 8.0;
