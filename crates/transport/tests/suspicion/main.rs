//! Failure detectors: their documented guarantees, and the README's measurements.

mod gossip;
mod laws;
mod measured;
mod messages;
mod sentences;

use std::time::Duration;
use synod_transport::NodeId;
use synod_transport::detector::{Detector, Incarnation, Instant, Output};

const PEER: NodeId = NodeId(2);
const LIFE: Incarnation = Incarnation(1);

fn at(ms: u64) -> Instant {
    Instant(Duration::from_millis(ms))
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Lets time pass with an owner that polls in time.
fn wait(detector: &mut (impl Detector + ?Sized), until: Instant) {
    loop {
        let due = detector.poll_timeout();
        if due >= until {
            return;
        }
        detector.handle_timeout(due);
    }
}

/// A frame of [`PEER`], after an owner that polled in time.
fn hear(detector: &mut (impl Detector + ?Sized), now: Instant) {
    wait(detector, now);
    detector.handle_frame(now, PEER, LIFE);
}

/// When [`PEER`] is suspected if nothing more arrives from it.
fn suspected_at(detector: &mut impl Detector) -> Instant {
    let mut now = Instant::default();
    while !detector.suspects(PEER) {
        now = detector.poll_timeout();
        detector.handle_timeout(now);
    }
    now
}

fn outputs(detector: &mut (impl Detector + ?Sized)) -> Vec<Output> {
    std::iter::from_fn(|| detector.poll_output()).collect()
}
