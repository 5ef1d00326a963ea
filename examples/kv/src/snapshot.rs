//! The map as a stream of bytes: what a snapshot file's body holds.
//!
//! ```text
//! "SYKV"  version u32  keys u64 | key length u32, key, value length u32, value | ... | "VKYS"
//!                                 integers little endian; repeated for each key
//! ```
//!
//! The file around it (crate `synod_wal`) has its own checksum, so damage is found there. This
//! decoder is for what a checksum cannot see: bytes that another program wrote. It checks each
//! length against the machine's limits before it allocates, and never panics.

use std::io::{self, BufReader, BufWriter, Read, Write};

use bytes::Bytes;

use crate::machine::{KEY_BYTES_MAX, Kv, VALUE_BYTES_MAX};

/// Writes the whole map.
///
/// # Errors
/// Those of `to`.
pub fn write(kv: &Kv, to: &mut dyn Write) -> io::Result<()> {
    let mut to = BufWriter::with_capacity(BUFFER_BYTES, to);
    to.write_all(&OPENING)?;
    to.write_all(&VERSION.to_le_bytes())?;
    to.write_all(&(kv.len() as u64).to_le_bytes())?;
    for (key, value) in kv.iter() {
        for part in [key, value] {
            to.write_all(&(part.len() as u32).to_le_bytes())?;
            to.write_all(part)?;
        }
    }
    to.write_all(&CLOSING)?;
    to.flush()
}

/// Reads a whole map, to the end of `from`.
///
/// # Errors
/// Those of `from`, and [`io::ErrorKind::InvalidData`] or [`io::ErrorKind::UnexpectedEof`] when the
/// bytes are not exactly one map.
pub fn read(from: &mut dyn Read) -> io::Result<Kv> {
    let mut from = BufReader::with_capacity(BUFFER_BYTES, from);
    if array(&mut from)? != OPENING {
        return Err(invalid("no key-value snapshot"));
    }
    if u32::from_le_bytes(array(&mut from)?) != VERSION {
        return Err(invalid("a key-value snapshot of an unknown version"));
    }
    let keys = u64::from_le_bytes(array(&mut from)?);
    let mut kv = Kv::default();
    for _ in 0..keys {
        let key = part(&mut from, KEY_BYTES_MAX)?;
        let value = part(&mut from, VALUE_BYTES_MAX)?;
        kv.insert(key, value);
    }
    if kv.len() as u64 != keys {
        return Err(invalid("a key-value snapshot with a key that comes twice"));
    }
    // Unlike `fill_buf`, `bytes` goes on when a read is interrupted.
    if array(&mut from)? != CLOSING || from.bytes().next().transpose()?.is_some() {
        return Err(invalid(
            "a key-value snapshot that does not end where it should",
        ));
    }
    Ok(kv)
}

fn part(from: &mut impl Read, bytes_max: usize) -> io::Result<Bytes> {
    let len = u32::from_le_bytes(array(from)?) as usize;
    if len > bytes_max {
        return Err(invalid("a key-value snapshot with an entry over the limit"));
    }
    // Grows with what is really there: a length that lies costs nothing.
    let mut bytes = Vec::with_capacity(len.min(BUFFER_BYTES));
    from.take(len as u64).read_to_end(&mut bytes)?;
    if bytes.len() < len {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    bytes.shrink_to_fit();
    Ok(bytes.into())
}

fn array<const N: usize>(from: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

const OPENING: [u8; 4] = *b"SYKV";
const CLOSING: [u8; 4] = *b"VKYS";
/// Zero: unstable until the first release.
const VERSION: u32 = 0;
const BUFFER_BYTES: usize = 64 * 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let mut kv = Kv::default();
        kv.insert(Bytes::from_static(b"a"), Bytes::from_static(b"1"));
        kv.insert(Bytes::from_static(b""), Bytes::from_static(b""));
        let mut bytes = Vec::new();
        write(&kv, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn a_snapshot_cut_anywhere_is_refused() {
        let bytes = sample();
        assert_eq!(read(&mut &bytes[..]).unwrap().len(), 2);
        for cut in 0..bytes.len() {
            assert!(read(&mut &bytes[..cut]).is_err(), "cut at {cut}");
        }
        let longer = [&bytes[..], b"x"].concat();
        assert!(read(&mut &longer[..]).is_err());
    }

    #[test]
    fn a_length_over_the_limit_is_refused_before_it_is_allocated() {
        let mut bytes = sample();
        bytes[16..20].copy_from_slice(&u32::MAX.to_le_bytes());
        let error = read(&mut &bytes[..]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        bytes[8..16].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(read(&mut &bytes[..]).is_err());
    }
}
