use core::time::Duration;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Peer, PeerError, Reply, Request};
use crate::source::{Sample, Source, SourceError};
use crate::watch::{self, Observation, SLEEP_SLACK_NANOS};
use crate::{Clocks, Disruption, Drift};

/// A [`Peer`] that is shared: the transport's thread fills it, and as a [`Source`] it answers with
/// what it was told last.
///
/// What it answers may be much older than the question. So it looks at the clocks itself: after the
/// machine has slept, or its oscillator has stood still or run off, it forgets what it was told before.
#[derive(Debug)]
pub struct PeerSource<C> {
    clocks: C,
    heard: Mutex<Heard>,
}

#[derive(Debug)]
struct Heard {
    peer: Peer,
    /// The clocks before the exchange that is under way was begun.
    asked: Option<Observation>,
    /// The clocks before that exchange which brought the best answer.
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

    /// Begins an exchange, and gives up the one before it. The request must go now: what it waits
    /// counts as its way.
    pub fn ask(&self, nonce: u64) -> Request {
        let mut heard = self.lock();
        // Before the oscillator is read, so that no sleep lies between the two.
        heard.asked = Some(Observation::of(&self.clocks));
        heard.peer.ask(nonce, self.clocks.local())
    }

    /// Takes an answer, which must have come just now.
    ///
    /// # Errors
    /// As [`Peer::handle_reply`], and [`PeerError::Disrupted`] if something happened to the clocks
    /// during the exchange.
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

    /// Forgets all if something happened to the oscillator since it was seen so.
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
        // What was heard is whole between any two statements.
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C: Clocks> Source for PeerSource<C> {
    /// The narrowest of its answers; [`SourceError::TimedOut`] if the last one is too old, or was
    /// told before something happened to the clocks.
    fn sample(&self) -> Result<Sample, SourceError> {
        let mut heard = self.lock();
        let told = heard.told;
        self.undisturbed(&mut heard, told)
            .map_err(|_| SourceError::TimedOut)?;
        let now = self.clocks.local();
        let mut sample = heard.peer.best(now).ok_or(SourceError::TimedOut)?;
        if self.clocks.may_sleep() {
            // Since the exchange; who asks counts only what may hide from now on.
            sample.interval = sample.interval.after_span(0, SLEEP_SLACK_NANOS);
        }
        Ok(sample)
    }
}
