//! The encoding of PTP management messages of `ptp4l`: IEEE 1588's format, and one linuxptp extension.
//!
//! ```text
//!   0  type and version   2 bytes    34  target port      10 bytes, all ones    48  TLV type  u16  1: answer, 2: error
//!   2  length             u16        46  action           0: get, 2: answer     50  length    u16
//!   4  domain             u8                                                    52  what      u16
//!  30  sequence           u16                            all big-endian         54  the answer
//! ```

use crate::source::{SourceError, Unsynchronized};

/// The data set to query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// The offset from the master and the mean path delay.
    CurrentDataSet,
    /// The time scale.
    TimeProperties,
    /// Whether there is a master.
    TimeStatus,
}

impl Item {
    const fn id(self) -> u16 {
        match self {
            Self::CurrentDataSet => 0x2001,
            Self::TimeProperties => 0x2003,
            Self::TimeStatus => 0xc000,
        }
    }
}

pub(super) const REQUEST_BYTES: usize = 54;

/// A request for a data set; `port` identifies the sender.
pub(super) fn request(item: Item, domain: u8, sequence: u16, port: u16) -> [u8; REQUEST_BYTES] {
    let mut bytes = [0; REQUEST_BYTES];
    bytes[0] = MANAGEMENT;
    bytes[1] = VERSION;
    bytes[2..4].copy_from_slice(&(REQUEST_BYTES as u16).to_be_bytes());
    bytes[4] = domain;
    bytes[28..30].copy_from_slice(&port.to_be_bytes());
    bytes[30..32].copy_from_slice(&sequence.to_be_bytes());
    (bytes[32], bytes[33]) = (CONTROL_MANAGEMENT, 0x7f);
    bytes[34..44].fill(0xff);
    bytes[48..50].copy_from_slice(&TLV_MANAGEMENT.to_be_bytes());
    bytes[50..52].copy_from_slice(&2_u16.to_be_bytes());
    bytes[52..54].copy_from_slice(&item.id().to_be_bytes());
    bytes
}

/// The data of the answer to that request; `None` if the datagram does not answer it.
pub(super) fn answer(
    datagram: &[u8],
    item: Item,
    sequence: u16,
) -> Option<Result<&[u8], SourceError>> {
    let is_management = datagram.len() >= REQUEST_BYTES
        && datagram[0] & 0xf == MANAGEMENT
        && datagram[1] & 0xf == VERSION
        && u16_at(datagram, 30) == sequence
        && datagram[46] & 0xf == ACTION_RESPONSE;
    if !is_management {
        return None;
    }
    let bytes = usize::from(u16_at(datagram, 50));
    // An item's number and its data; of an error, its number and then the item's.
    match (u16_at(datagram, 48), u16_at(datagram, 52)) {
        (TLV_MANAGEMENT, id) if id == item.id() => {
            let data = datagram.get(54..52 + bytes);
            Some(data.ok_or(SourceError::Malformed))
        }
        (TLV_ERROR, _) => Some(Err(SourceError::Denied)),
        _ => None,
    }
}

/// The part of the bound from the offset to the master and the path delay.
pub(super) fn error_nanos(current: &[u8]) -> Result<u64, SourceError> {
    let fields = || Some((i64_at(current, 2)?, i64_at(current, 10)?));
    let (offset, delay) = fields().ok_or(SourceError::Malformed)?;
    // Both are in parts of 2^-16 ns. All of the delay may be in one direction; a negative delay counts
    // as zero.
    let nanos = |scaled: i64| scaled.unsigned_abs().div_ceil(1 << 16);
    if delay < 0 {
        return Err(SourceError::Malformed);
    }
    Ok(nanos(offset).saturating_add(nanos(delay)))
}

/// Checks that there is a master. Without one `ptp4l` follows its own clock and reports an offset of
/// zero.
pub(super) fn check_master(status: &[u8]) -> Result<(), SourceError> {
    let present = status.get(38..42).ok_or(SourceError::Malformed)?;
    if present == [0; 4] {
        return Err(SourceError::NotSynchronized(Unsynchronized::FreeRunning));
    }
    Ok(())
}

/// How many seconds the clock is ahead of UTC; `None` if the number is not marked as valid.
pub(super) fn ahead_seconds(properties: &[u8]) -> Result<Option<i16>, SourceError> {
    let [high, low, flags, ..] = *properties else {
        return Err(SourceError::Malformed);
    };
    if flags & (FLAG_LEAP_61 | FLAG_LEAP_59) != 0 {
        // The offset changes at some midnight, and the message does not say which.
        return Err(SourceError::Disrupted);
    }
    let vouched = FLAG_UTC_OFFSET_VALID | FLAG_PTP_TIMESCALE;
    Ok((flags & vouched == vouched).then(|| i16::from_be_bytes([high, low])))
}

/// The caller has checked the length.
fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn i64_at(bytes: &[u8], at: usize) -> Option<i64> {
    let field = bytes.get(at..)?.first_chunk()?;
    Some(i64::from_be_bytes(*field))
}

const MANAGEMENT: u8 = 0xd;
const VERSION: u8 = 2;
const CONTROL_MANAGEMENT: u8 = 4;
const ACTION_RESPONSE: u8 = 2;
const TLV_MANAGEMENT: u16 = 1;
const TLV_ERROR: u16 = 2;
const FLAG_LEAP_61: u8 = 1;
const FLAG_LEAP_59: u8 = 2;
const FLAG_UTC_OFFSET_VALID: u8 = 4;
const FLAG_PTP_TIMESCALE: u8 = 8;
