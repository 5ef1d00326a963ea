//! The clock of another node, by an exchange of two messages.
//!
//! Nothing here sends anything: a [`Request`] and a [`Reply`] are a few bytes that ride on any
//! transport, or on messages that are sent anyway.
//!
//! ```text
//!  peer         ────────────[received]────[sent]────────────▶     its own intervals
//!                          ╱                    ╲
//!                 request ╱                      ╲ reply
//!                        ╱                        ╲
//!  this node    ──────[asked]────────────────────[answered]─▶     its oscillator
//! ```
//!
//! The request left after `asked` was read, so true time at `asked` was at most `received.latest`.
//! The reply arrived before `answered` was read, so true time at `answered` was at least
//! `sent.earliest`, and at `asked` no more than the round trip before that. Nothing is assumed of
//! the ways, and above all not that they are equally long: the width is the round trip less what the
//! peer held it, and the peer's own width. Half of that is NTP's maximum error; the middle is NTP's
//! offset.

use core::time::Duration;

use thiserror::Error;

#[cfg(feature = "std")]
mod shared;

#[cfg(feature = "std")]
pub use shared::PeerSource;

use crate::source::{Sample, SourceError, Unsynchronized};
use crate::{BoundKind, Disruption, Drift, Interval, Local, Reading, Scale, Stratum, Timestamp};

/// Asks a peer for its interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Request {
    /// Tells the answer to this request from others.
    pub nonce: u64,
}

impl Request {
    /// The bytes of a request.
    pub const BYTES: usize = 8;

    /// The nonce, most significant byte first.
    #[must_use]
    pub const fn encode(self) -> [u8; Self::BYTES] {
        self.nonce.to_be_bytes()
    }

    /// Any eight bytes are a request.
    #[must_use]
    pub const fn decode(bytes: [u8; Self::BYTES]) -> Self {
        Self {
            nonce: u64::from_be_bytes(bytes),
        }
    }

    /// Answers, with what this node's clock showed when the request had come and when the reply is
    /// about to go. The same reading twice is right, and as wide as the time in between.
    #[must_use]
    pub fn reply(self, received: &Reading, sent: &Reading) -> Reply {
        Reply {
            nonce: self.nonce,
            received: received.interval,
            sent: sent.interval,
            bound: if received.bound < sent.bound {
                sent.bound
            } else {
                received.bound
            },
            stratum: received.stratum.max(sent.stratum),
            scale: sent.scale,
        }
    }
}

/// A peer's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Reply {
    /// That of the request.
    pub nonce: u64,
    /// The peer's interval after the request had come.
    pub received: Interval,
    /// The peer's interval before the reply went.
    pub sent: Interval,
    /// What kind of promise the two are together.
    pub bound: BoundKind,
    /// How far the peer is from whoever knows the time.
    pub stratum: Stratum,
    /// On which scale both intervals are.
    pub scale: Scale,
}

impl Reply {
    /// The bytes of a reply.
    pub const BYTES: usize = 46;

    /// The nonce and the ends of both intervals, 8 bytes each; how many readings of a thousand million may be wrong,
    /// 4 bytes; the stratum and the scale, 1 byte each. Most significant bytes first.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::BYTES] {
        let ends = [
            self.received.earliest(),
            self.received.latest(),
            self.sent.earliest(),
            self.sent.latest(),
        ];
        let mut bytes = [0; Self::BYTES];
        let words = [self.nonce.to_be_bytes()]
            .into_iter()
            .chain(ends.map(|end| end.as_nanos().to_be_bytes()));
        for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word);
        }
        if let BoundKind::Statistical { miss_ppb } = self.bound {
            bytes[MISS_AT..STRATUM_AT].copy_from_slice(&miss_ppb.to_be_bytes());
        }
        bytes[STRATUM_AT] = self.stratum.get();
        bytes[SCALE_AT] = self.scale.to_byte();
        bytes
    }

    /// Decodes a reply.
    ///
    /// # Errors
    /// [`PeerError::Malformed`] if an interval ends before it begins, for a stratum beyond
    /// [`Stratum::UNSYNCHRONIZED`], or for a scale that is not known here.
    pub fn decode(bytes: &[u8; Self::BYTES]) -> Result<Self, PeerError> {
        let word = |i: usize| -> [u8; 8] { core::array::from_fn(|k| bytes[8 * i + k]) };
        let end = |i| Timestamp::from_nanos(i64::from_be_bytes(word(i)));
        let interval = |i| Interval::new(end(i), end(i + 1)).ok_or(PeerError::Malformed);
        let miss_ppb = u32::from_be_bytes(core::array::from_fn(|k| bytes[MISS_AT + k]));
        Ok(Self {
            nonce: u64::from_be_bytes(word(0)),
            received: interval(1)?,
            sent: interval(3)?,
            bound: match miss_ppb {
                0 => BoundKind::Hard,
                miss_ppb => BoundKind::Statistical { miss_ppb },
            },
            stratum: Stratum::from_byte(bytes[STRATUM_AT]).ok_or(PeerError::Malformed)?,
            scale: Scale::from_byte(bytes[SCALE_AT]).ok_or(PeerError::Malformed)?,
        })
    }
}

/// An exchange that has been begun.
///
/// ```
/// use synod_truetime::source::peer::{Exchange, Request};
/// use synod_truetime::{Drift, Interval, Local, Reading, Timestamp};
///
/// let at = |ms: i64| Timestamp::from_nanos(ms * 1_000_000);
/// let from = |ms: i64| Reading::synchronized(Interval::new(at(ms), at(ms + 2)).unwrap());
/// let local = |ms: u64| Local::from_nanos(ms * 1_000_000);
///
/// // Its clock is right by 1 ms, and it holds the request for 2 ms; the whole takes 12 ms.
/// let exchange = Exchange::begin(7, local(100), Drift::DEFAULT);
/// let reply = exchange.request().reply(&from(5_000), &from(5_002));
/// let sample = exchange.finish(&reply, local(112))?;
/// assert_eq!(sample.at, local(100));
/// assert_eq!(sample.interval.latest(), at(5_002));
/// assert_eq!(sample.interval.epsilon().as_millis(), 6); // (12 - 2) / 2 + 1
/// # Ok::<(), synod_truetime::source::peer::PeerError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exchange {
    nonce: u64,
    asked: Local,
    drift: Drift,
}

impl Exchange {
    /// Begins an exchange. `asked` is read before the request goes; the nonce has not been used
    /// before, and who shall not answer in the peer's place cannot guess it.
    pub const fn begin(nonce: u64, asked: Local, drift: Drift) -> Self {
        Self {
            nonce,
            asked,
            drift,
        }
    }

    /// What to send.
    #[must_use]
    pub const fn request(&self) -> Request {
        Request { nonce: self.nonce }
    }

    /// Ends the exchange. `answered` is read after the reply has come.
    ///
    /// # Errors
    /// - [`PeerError::Nonce`] if it answers another request.
    /// - [`PeerError::Stratum`] if the peer is as far as a clock that follows nobody.
    /// - [`PeerError::Backwards`] if the local clock went back.
    /// - [`PeerError::Contradiction`] if no true time agrees with all of it: one of the two clocks
    ///   breaks its bound.
    pub fn finish(&self, reply: &Reply, answered: Local) -> Result<Sample, PeerError> {
        if reply.nonce != self.nonce {
            return Err(PeerError::Nonce);
        }
        if answered < self.asked {
            return Err(PeerError::Backwards);
        }
        if reply.stratum.next() > Stratum::MAX_DEFAULT {
            return Err(PeerError::Stratum);
        }
        // Two readings that are equal may be almost a nanosecond apart.
        let elapsed_nanos = answered.nanos_since(self.asked).saturating_add(1);
        let earliest = reply
            .sent
            .earliest()
            .earlier(self.drift.most(elapsed_nanos));
        let interval = Interval::new(earliest, reply.received.latest());
        // The request came before the reply went, so this holds too, and tells a peer whose clock
        // was set in between.
        let held = reply.received.earliest() <= reply.sent.latest();
        Ok(Sample {
            at: self.asked,
            interval: interval.filter(|_| held).ok_or(PeerError::Contradiction)?,
            drift_ppb: 0,
            valid_for: Duration::MAX,
            bound: reply.bound,
            stratum: reply.stratum.next(),
            scale: reply.scale,
        })
    }
}

/// Why an exchange tells nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PeerError {
    /// An interval ends before it begins, or the stratum or the scale is unknown.
    #[error("the reply makes no sense")]
    Malformed,
    /// It answers another request, or one that was given up.
    #[error("the reply answers another request")]
    Nonce,
    /// The local clock was read earlier after the exchange than before it.
    #[error("the local clock went back")]
    Backwards,
    /// The machine slept during the exchange, or its oscillator stood still or ran off.
    #[error("the local clock was disrupted: {0}")]
    Disrupted(Disruption),
    /// The two clocks cannot both be right.
    #[error("the reply contradicts the local clock")]
    Contradiction,
    /// The peer is too many hops away from whoever knows the time, [`Stratum::MAX_DEFAULT`] from here at most: it and
    /// others learn from each other, and from nobody else.
    #[error("the peer is too far from whoever knows the time")]
    Stratum,
}

impl From<PeerError> for SourceError {
    fn from(error: PeerError) -> Self {
        match error {
            PeerError::Stratum => Self::NotSynchronized(Unsynchronized::Stratum {
                stratum: Stratum::MAX_DEFAULT.next(),
                stratum_max: Stratum::MAX_DEFAULT,
            }),
            _ => Self::Malformed,
        }
    }
}

const MISS_AT: usize = 40;
const STRATUM_AT: usize = 44;
const SCALE_AT: usize = 45;

/// What one peer has told: exchanges fill it, a clock asks it.
///
/// Of several answers it keeps the one that is narrowest now. Exchanges that were quick beat those
/// that were queued somewhere, until drift has made them as wide.
///
/// It sees no clock but the oscillator. Whoever notices that the machine has slept, or that its oscillator
/// stood still, says so ([`forget`](Self::forget)); [`PeerSource`] does that by itself.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    drift: Drift,
    age_max: Duration,
    pending: Option<Exchange>,
    best: Option<Sample>,
}

impl Peer {
    /// Nothing is known yet. Answers older than `age_max` are forgotten; `drift` bounds the local
    /// oscillator.
    pub const fn new(drift: Drift, age_max: Duration) -> Self {
        Self {
            drift,
            age_max,
            pending: None,
            best: None,
        }
    }

    /// Begins an exchange, and gives up the one before it. As [`Exchange::begin`].
    pub const fn ask(&mut self, nonce: u64, asked: Local) -> Request {
        let exchange = Exchange::begin(nonce, asked, self.drift);
        self.pending = Some(exchange);
        exchange.request()
    }

    /// Takes an answer; a reply counts once.
    ///
    /// # Errors
    /// As [`Exchange::finish`]; the pending exchange goes on after a reply that is not its own.
    pub fn handle_reply(&mut self, reply: &Reply, answered: Local) -> Result<Sample, PeerError> {
        let exchange = self.pending.ok_or(PeerError::Nonce)?;
        let sample = exchange.finish(reply, answered);
        if sample != Err(PeerError::Nonce) {
            self.pending = None;
        }
        let sample = sample?;
        let width = |sample: &Sample| self.at(sample, answered).map(|now| now.width());
        let kept = self
            .best
            .filter(|best| match (width(best), width(&sample)) {
                (Some(best), Some(new)) => best < new,
                (best, _) => best.is_some(),
            });
        self.best = Some(kept.unwrap_or(sample));
        Ok(sample)
    }

    /// Something happened to the oscillator: what was told before says nothing of now, and neither
    /// will an exchange that is under way.
    pub const fn forget(&mut self) {
        self.pending = None;
        self.best = None;
    }

    /// The narrowest answer, if one is young enough.
    #[must_use]
    pub fn best(&self, now: Local) -> Option<Sample> {
        self.best.filter(|best| self.at(best, now).is_some())
    }

    /// Where true time is now, by an answer that is not too old.
    fn at(&self, sample: &Sample, now: Local) -> Option<Interval> {
        let elapsed_nanos = now.nanos_since(sample.at);
        let young = Duration::from_nanos(elapsed_nanos) <= self.age_max;
        young.then(|| self.drift.extrapolate(sample.interval, elapsed_nanos))
    }
}
