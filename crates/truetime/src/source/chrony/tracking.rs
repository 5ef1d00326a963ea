//! The encoding of the tracking request and of its answer.

use super::Float;
use thiserror::Error;

/// The length of a request and of its answer. Requests are padded to the length of the answer, so
/// that `chronyd` cannot be used to amplify traffic.
pub const DATAGRAM_BYTES: usize = 104;

/// A request for a [`Tracking`] report.
///
/// ```text
///  version  type  -  -   command      attempt   sequence, 4 bytes   zeros
///  06       01    00 00  00 21 (33)   00 00     chosen by the asker  ...   104 bytes in all
/// ```
#[must_use]
pub fn request(sequence: u32) -> [u8; DATAGRAM_BYTES] {
    let mut datagram = [0; DATAGRAM_BYTES];
    datagram[0] = VERSION;
    datagram[1] = TYPE_REQUEST;
    datagram[4..6].copy_from_slice(&COMMAND_TRACKING.to_be_bytes());
    datagram[8..12].copy_from_slice(&sequence.to_be_bytes());
    datagram
}

/// `chronyd`'s report of its own synchronisation.
///
/// The numbers are kept in chrony's format ([`Float`]); those that are part of a bound are rounded
/// up when converted to integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tracking {
    /// Its source: an IPv4 address, the hash of an IPv6 address, or the name of a reference clock.
    pub reference_id: [u8; 4],
    /// Hops to a reference clock; 0 when it has never been synchronised.
    pub stratum: u16,
    /// Whether it reports being synchronised, and whether a leap second is due.
    pub leap: Leap,
    /// The time of its last update, in nanoseconds since 1970 by the clock that it disciplines;
    /// deliberately up to a second too early, to conceal the phase of its polling.
    pub reference_time_nanos: i64,
    /// By how much the clock of this machine is ahead of the estimated time, in seconds: the
    /// remaining slew.
    pub correction: Float,
    /// The estimated offset at its last update, in seconds.
    pub last_offset: Float,
    /// A long-term average of the offset, in seconds.
    pub rms_offset: Float,
    /// The frequency error of the clock without correction, in ppm.
    pub frequency_ppm: Float,
    /// The residual frequency error from its last measurements, in ppm.
    pub residual_ppm: Float,
    /// The error bound that it claims for the frequency, in ppm.
    pub skew_ppm: Float,
    /// The round trip to the reference clock at the end of all hops, in seconds.
    pub root_delay: Float,
    /// The error accumulated over all hops, in seconds, as of the report.
    pub root_dispersion: Float,
    /// The time between its last two updates, in seconds.
    pub update_interval: Float,
}

/// `chronyd`'s synchronisation and leap second status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Leap {
    /// Synchronised by its own account, which it keeps reporting without a source.
    Normal,
    /// Synchronised, and the last minute of this UTC day has 61 seconds.
    Insert,
    /// Synchronised, and the last minute of this UTC day has 59 seconds.
    Delete,
    /// Not synchronised.
    Unsynchronized,
}

/// Why a datagram is not a valid answer to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReplyError {
    /// Shorter or longer than an answer.
    #[error("an answer has {DATAGRAM_BYTES} bytes, not {bytes}")]
    Length {
        /// The length of the datagram.
        bytes: usize,
    },
    /// Another protocol, or another version of it.
    #[error("version {version} of the protocol is not known here")]
    Version {
        /// The received value.
        version: u8,
    },
    /// Not an answer, or the answer to another command.
    #[error("not a tracking report")]
    NotTracking,
    /// The answer to another request, or a forgery.
    #[error("sequence number {found} answers another request")]
    Sequence {
        /// The received value.
        found: u32,
    },
    /// `chronyd` refused the request or failed.
    #[error("chronyd answers with status {status}")]
    Refused {
        /// Its number for the reason; 2 is "not authorised".
        status: u16,
    },
    /// A field has a value that the protocol does not define.
    #[error("the field {field} makes no sense")]
    Field {
        /// The name of the field.
        field: &'static str,
    },
}

impl ReplyError {
    /// Whether it may be a stray datagram, after which the right answer can still arrive.
    #[must_use]
    pub const fn is_stray(self) -> bool {
        !matches!(self, Self::Refused { .. } | Self::Field { .. })
    }
}

impl Tracking {
    /// Decodes the answer to the [`request`] with this sequence number.
    ///
    /// # Errors
    ///
    /// When the bytes are not such an answer.
    pub fn decode(datagram: &[u8], sequence: u32) -> Result<Self, ReplyError> {
        let bytes = datagram.len();
        let datagram: &[u8; DATAGRAM_BYTES] = datagram
            .try_into()
            .map_err(|_| ReplyError::Length { bytes })?;
        check_header(datagram, sequence)?;
        let mut body = Fields(&datagram[HEADER_BYTES..]);
        let reference_id = body.array();
        // Its source's address: 16 bytes, of which an IPv4 address takes the first four; then
        // family and padding.
        let _: ([u8; 16], [u8; 4]) = (body.array(), body.array());
        let stratum = body.u16();
        let leap = match body.u16() {
            0 => Leap::Normal,
            1 => Leap::Insert,
            2 => Leap::Delete,
            3 => Leap::Unsynchronized,
            _ => {
                return Err(ReplyError::Field {
                    field: "leap status",
                });
            }
        };
        let reference_time_nanos = body.time().ok_or(ReplyError::Field {
            field: "reference time",
        })?;
        let tracking = Self {
            reference_id,
            stratum,
            leap,
            reference_time_nanos,
            correction: body.float(),
            last_offset: body.float(),
            rms_offset: body.float(),
            frequency_ppm: body.float(),
            residual_ppm: body.float(),
            skew_ppm: body.float(),
            root_delay: body.float(),
            root_dispersion: body.float(),
            update_interval: body.float(),
        };
        debug_assert!(body.0.is_empty(), "the fields are all of the datagram");
        tracking.check_signs()?;
        Ok(tracking)
    }

    /// The bound on the error of this machine's clock when the report was made, in nanoseconds,
    /// rounded up: `root_delay / 2 + root_dispersion + |correction|`.
    #[must_use]
    pub fn bound_nanos(&self) -> u64 {
        let delay_nanos = self.root_delay.magnitude_above(NANOS_PER_SECOND);
        let dispersion_nanos = self.root_dispersion.magnitude_above(NANOS_PER_SECOND);
        let correction_nanos = self.correction.magnitude_above(NANOS_PER_SECOND);
        delay_nanos
            .div_ceil(2)
            .saturating_add(dispersion_nanos)
            .saturating_add(correction_nanos)
    }

    /// The greatest error of the oscillator's rate, as far as `chronyd` has learned it, in parts
    /// per thousand million, rounded up: the frequency that it corrects, what is left of it, and
    /// the skew.
    #[must_use]
    pub fn drift_ppb(&self) -> u64 {
        [self.frequency_ppm, self.residual_ppm, self.skew_ppm]
            .iter()
            .map(|rate| rate.magnitude_above(PPB_PER_PPM))
            .fold(0, u64::saturating_add)
    }

    fn check_signs(&self) -> Result<(), ReplyError> {
        let negative = |field| Err(ReplyError::Field { field });
        if self.root_delay.is_negative() {
            return negative("root delay");
        }
        if self.root_dispersion.is_negative() {
            return negative("root dispersion");
        }
        if self.update_interval.is_negative() {
            return negative("update interval");
        }
        Ok(())
    }
}

/// ```text
///  0        1     2        4        6      8        10       16        20      28
///  version  type  - -      command  reply  status   - - -    sequence  - -     the report
///  06       02    00 00    00 21    00 05  00 00
/// ```
fn check_header(datagram: &[u8; DATAGRAM_BYTES], sequence: u32) -> Result<(), ReplyError> {
    if datagram[0] != VERSION {
        return Err(ReplyError::Version {
            version: datagram[0],
        });
    }
    let mut fields = Fields(&datagram[4..HEADER_BYTES]);
    let (command, reply, status) = (fields.u16(), fields.u16(), fields.u16());
    let _: [u8; 6] = fields.array();
    let found = fields.u32();
    if datagram[1] != TYPE_REPLY || command != COMMAND_TRACKING {
        return Err(ReplyError::NotTracking);
    }
    // Checked before anything else, including a refusal.
    if found != sequence {
        return Err(ReplyError::Sequence { found });
    }
    if status != STATUS_SUCCESS {
        return Err(ReplyError::Refused { status });
    }
    if reply != REPLY_TRACKING {
        return Err(ReplyError::NotTracking);
    }
    Ok(())
}

/// The remaining bytes of a datagram whose length has been checked.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn array<const N: usize>(&mut self) -> [u8; N] {
        let (field, rest) = self
            .0
            .split_first_chunk()
            .expect("the length of the datagram has been checked");
        self.0 = rest;
        *field
    }

    fn u16(&mut self) -> u16 {
        u16::from_be_bytes(self.array())
    }

    fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.array())
    }

    fn float(&mut self) -> Float {
        Float::from_bits(self.u32())
    }

    /// Nanoseconds since 1970, `None` when they are no time: two words of seconds and one of
    /// nanoseconds.
    fn time(&mut self) -> Option<i64> {
        let (high, low, nanos) = (self.u32(), self.u32(), self.u32());
        // A machine with seconds of 32 bits says so instead of a high word.
        let high = if high == NO_HIGH_WORD { 0 } else { high };
        let seconds = (u64::from(high) << 32 | u64::from(low)).cast_signed();
        if nanos >= NANOS_PER_SECOND {
            return None;
        }
        seconds
            .checked_mul(i64::from(NANOS_PER_SECOND))?
            .checked_add(i64::from(nanos))
    }
}

const VERSION: u8 = 6;
const TYPE_REQUEST: u8 = 1;
const TYPE_REPLY: u8 = 2;
const COMMAND_TRACKING: u16 = 33;
const REPLY_TRACKING: u16 = 5;
const STATUS_SUCCESS: u16 = 0;
const HEADER_BYTES: usize = 28;
const NO_HIGH_WORD: u32 = 0x7fff_ffff;
const NANOS_PER_SECOND: u32 = 1_000_000_000;
const PPB_PER_PPM: u32 = 1_000;
