//! The clock of another node, by an exchange of two messages.
//!
//! This module does no I/O: a [`Request`] and a [`Reply`] are a few bytes for any transport, or to
//! piggyback on other messages.
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
//! `sent.earliest`, and at `asked` no more than the round trip before that. No symmetry of the
//! delays is assumed: the width is the round trip less the time at the peer, plus the peer's own
//! width. Half of that is NTP's maximum error; the middle is NTP's offset.

use core::time::Duration;

use thiserror::Error;

#[cfg(feature = "std")]
mod shared;

#[cfg(feature = "std")]
pub use shared::PeerSource;

use crate::source::{Sample, SourceError, Unsynchronized};
use crate::{BoundKind, Disruption, Drift, Interval, Local, Reading, Scale, Stratum, Timestamp};

/// A request for a peer's interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Request {
    /// Identifies the answer to this request.
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

    /// The reply, with this node's readings after the request arrived and before the reply is sent.
    /// The same reading may be used for both, at the cost of a width increased by the time in
    /// between.
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
    /// The nonce of the request.
    pub nonce: u64,
    /// The peer's interval after the request arrived.
    pub received: Interval,
    /// The peer's interval before the reply was sent.
    pub sent: Interval,
    /// The kind of bound of both intervals together.
    pub bound: BoundKind,
    /// The peer's distance from a reference clock.
    pub stratum: Stratum,
    /// The scale of both intervals.
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

/// A pending exchange.
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
    /// Begins an exchange. `asked` must be read before the request is sent; the nonce must be
    /// unused and, to prevent forged replies, unpredictable.
    pub const fn begin(nonce: u64, asked: Local, drift: Drift) -> Self {
        Self {
            nonce,
            asked,
            drift,
        }
    }

    /// The request to send.
    #[must_use]
    pub const fn request(&self) -> Request {
        Request { nonce: self.nonce }
    }

    /// Completes the exchange. `answered` must be read after the reply arrived.
    ///
    /// # Errors
    /// - [`PeerError::Nonce`] if it answers another request.
    /// - [`PeerError::Stratum`] if the peer's stratum is that of an unsynchronised clock.
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
        // The request arrived before the reply was sent, so this must hold too; it detects a peer
        // whose clock was set in between.
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

/// Why an exchange yields no sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PeerError {
    /// An interval ends before it begins, or the stratum or the scale is unknown.
    #[error("the reply makes no sense")]
    Malformed,
    /// It answers another request, or an abandoned one.
    #[error("the reply answers another request")]
    Nonce,
    /// The local clock was read earlier after the exchange than before it.
    #[error("the local clock went back")]
    Backwards,
    /// The machine was suspended during the exchange, or its oscillator stopped or ran at a wrong
    /// rate.
    #[error("the local clock was disrupted: {0}")]
    Disrupted(Disruption),
    /// The two clocks cannot both be right.
    #[error("the reply contradicts the local clock")]
    Contradiction,
    /// The peer's stratum is above [`Stratum::MAX_DEFAULT`]: peers synchronise only with each other.
    #[error("the peer is too far from a reference clock")]
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

/// The answers of one peer: filled by exchanges, read by a clock.
///
/// It keeps the answer that is narrowest now: quick exchanges are preferred to delayed ones, until
/// drift has made them as wide.
///
/// It reads no clock but the oscillator. A caller that detects a suspend or a stopped oscillator must call
/// [`forget`](Self::forget); [`PeerSource`] does that itself.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    drift: Drift,
    age_max: Duration,
    pending: Option<Exchange>,
    best: Option<Sample>,
}

impl Peer {
    /// A peer without answers. Answers older than `age_max` are discarded; `drift` bounds the local
    /// oscillator.
    pub const fn new(drift: Drift, age_max: Duration) -> Self {
        Self {
            drift,
            age_max,
            pending: None,
            best: None,
        }
    }

    /// Begins an exchange, and abandons the previous one. As [`Exchange::begin`].
    pub const fn ask(&mut self, nonce: u64, asked: Local) -> Request {
        let exchange = Exchange::begin(nonce, asked, self.drift);
        self.pending = Some(exchange);
        exchange.request()
    }

    /// Handles a reply; each counts once.
    ///
    /// # Errors
    /// As [`Exchange::finish`]; the exchange stays pending after a reply that is not its own.
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

    /// Discards all answers and the pending exchange, after a disruption of the oscillator.
    pub const fn forget(&mut self) {
        self.pending = None;
        self.best = None;
    }

    /// The narrowest answer, if one is young enough.
    #[must_use]
    pub fn best(&self, now: Local) -> Option<Sample> {
        self.best.filter(|best| self.at(best, now).is_some())
    }

    /// The current interval from an answer that is not too old.
    fn at(&self, sample: &Sample, now: Local) -> Option<Interval> {
        let elapsed_nanos = now.nanos_since(sample.at);
        let young = Duration::from_nanos(elapsed_nanos) <= self.age_max;
        young.then(|| self.drift.extrapolate(sample.interval, elapsed_nanos))
    }
}
