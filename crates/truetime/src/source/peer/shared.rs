use core::time::Duration;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Peer, PeerError, Reply, Request};
use crate::source::{Sample, Source, SourceError};
use crate::watch::{self, Observation, SLEEP_SLACK_NANOS};
use crate::{Clocks, Disruption, Drift};

/// A shared [`Peer`]: filled by the transport's thread, and a [`Source`] that returns the best
/// answer so far.
///
/// An answer may be much older than the query for a sample. Therefore it observes the clocks itself:
/// after a suspend, or when the oscillator stopped or ran at a wrong rate, it discards earlier answers.
#[derive(Debug)]
pub struct PeerSource<C> {
    clocks: C,
    heard: Mutex<Heard>,
}

#[derive(Debug)]
struct Heard {
    peer: Peer,
    /// The clocks before the pending exchange.
    asked: Option<Observation>,
    /// The clocks before the exchange with the best answer.
    told: Option<Observation>,
}

impl<C: Clocks> PeerSource<C> {
    /// As [`Peer::new`].
    pub const fn new(clocks: C, drift: Drift, age_max: Duration) -> Self {
        Self {
            clocks,
            heard: Mutex::new(Heard {
                peer: Peer::new(drift, age_max),
                asked: None,
                told: None,
            }),
        }
    }

    /// Begins an exchange, and abandons the previous one. The request must be sent at once: any
    /// delay counts as part of the round trip.
    pub fn ask(&self, nonce: u64) -> Request {
        let mut heard = self.lock();
        // Observed before the oscillator is read, so that a suspend in between is detected.
        heard.asked = Some(Observation::of(&self.clocks));
        heard.peer.ask(nonce, self.clocks.local())
    }

    /// Handles a reply that has just arrived.
    ///
    /// # Errors
    /// As [`Peer::handle_reply`], and [`PeerError::Disrupted`] if the clocks were disrupted during
    /// the exchange.
    pub fn handle_reply(&self, reply: &Reply) -> Result<Sample, PeerError> {
        let answered = self.clocks.local();
        let mut heard = self.lock();
        let asked = heard.asked;
        self.undisturbed(&mut heard, asked)
            .map_err(PeerError::Disrupted)?;
        let sample = heard.peer.handle_reply(reply, answered)?;
        if heard.peer.best(answered) == Some(sample) {
            heard.told = asked;
        }
        Ok(sample)
    }

    /// Discards all answers if the oscillator was disrupted since this observation.
    fn undisturbed(&self, heard: &mut Heard, since: Option<Observation>) -> Result<(), Disruption> {
        let Some(since) = since else {
            return Ok(());
        };
        let happened = if watch::slept(&self.clocks, since.asleep) {
            Err(Disruption::Suspended)
        } else {
            Observation::of(&self.clocks).compare_oscillator(&since)
        };
        if happened.is_err() {
            heard.peer.forget();
            (heard.asked, heard.told) = (None, None);
        }
        happened
    }

    fn lock(&self) -> MutexGuard<'_, Heard> {
        // A poisoned lock is safe to use: the state is consistent between any two statements.
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C: Clocks> Source for PeerSource<C> {
    /// The narrowest answer; [`SourceError::TimedOut`] if the last one is too old or from before a
    /// disruption of the clocks.
    fn sample(&self) -> Result<Sample, SourceError> {
        let mut heard = self.lock();
        let told = heard.told;
        self.undisturbed(&mut heard, told)
            .map_err(|_| SourceError::TimedOut)?;
        let now = self.clocks.local();
        let mut sample = heard.peer.best(now).ok_or(SourceError::TimedOut)?;
        if self.clocks.may_sleep() {
            // For the time since the exchange; the caller accounts only for undetected suspends
            // from now on.
            sample.interval = sample.interval.after_span(0, SLEEP_SLACK_NANOS);
        }
        Ok(sample)
    }
}
