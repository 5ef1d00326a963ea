//! The map as a stream of bytes: what a snapshot file's body holds.
//!
//! ```text
//! "SYKV"  version u32  most keys u64  most bytes u64  now u64  keys u64  keys with a deadline u64  nodes u64
//!         | key length u32, key, value length u32, value | ...
//!           repeated for each key, in their order
//!         | key length u32, key, deadline u64            | ...
//!           repeated for each with a deadline
//!         | node u64, address length u32, address        | ... | "VKYS"
//!           repeated for each, in their order                         integers little endian
//! ```
//!
//! The file around it (crate `synod_wal`) has its own checksum, so damage is found there. This
//! decoder is for what a checksum cannot see: bytes that another program wrote. It checks each
//! length against the machine's limits before it allocates, and never panics.

use std::io::{self, BufReader, BufWriter, Read, Write};

use synod_replica::LogTime;

use crate::{
    capacity::{KEY_BYTES_MAX, MapLimits, VALUE_BYTES_MAX},
    machine::{ADDRESS_BYTES_MAX, ADDRESSES_MAX, Kv},
    value::Value,
};

/// Writes the whole map.
///
/// # Errors
/// Those of `to`.
pub fn write(kv: &Kv, to: &mut dyn Write) -> io::Result<()> {
    let mut to = BufWriter::with_capacity(BUFFER_BYTES, to);
    to.write_all(&OPENING)?;
    to.write_all(&VERSION.to_le_bytes())?;
    let MapLimits {
        keys_max,
        bytes_max,
    } = kv.limits();
    let (now, deadlines) = (kv.now().0, kv.deadlines());
    let (keys, ending) = (kv.len() as u64, deadlines.len() as u64);
    let nodes = kv.addresses().iter().len() as u64;
    for number in [keys_max, bytes_max, now, keys, ending, nodes] {
        to.write_all(&number.to_le_bytes())?;
    }
    for (key, value) in kv.entries() {
        to.write_all(&(key.len() as u32).to_le_bytes())?;
        to.write_all(key)?;
        to.write_all(&(value.len() as u32).to_le_bytes())?;
        value.pieces().try_for_each(|piece| to.write_all(piece))?;
    }
    for (key, at) in deadlines.iter() {
        to.write_all(&(key.len() as u32).to_le_bytes())?;
        to.write_all(key)?;
        to.write_all(&at.0.to_le_bytes())?;
    }
    for (node, at) in kv.addresses().iter() {
        to.write_all(&node.to_le_bytes())?;
        to.write_all(&(at.len() as u32).to_le_bytes())?;
        to.write_all(at)?;
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
    let mut number = || Ok::<_, io::Error>(u64::from_le_bytes(array(&mut from)?));
    let limits = MapLimits {
        keys_max: number()?,
        bytes_max: number()?,
    };
    let now = LogTime(number()?);
    let (keys, ending, nodes) = (number()?, number()?, number()?);
    let mut kv = Kv::with_limits(limits, now);
    let (mut key, mut value) = (Vec::new(), Vec::new());
    for _ in 0..keys {
        part(&mut from, KEY_BYTES_MAX, &mut key)?;
        part(&mut from, VALUE_BYTES_MAX, &mut value)?;
        kv.insert(&key, Value::new(&value));
    }
    if kv.len() as u64 != keys {
        return Err(invalid("a key-value snapshot with a key that comes twice"));
    }
    for _ in 0..ending {
        part(&mut from, KEY_BYTES_MAX, &mut key)?;
        let at = LogTime(u64::from_le_bytes(array(&mut from)?));
        if !kv.set_deadline_of(&key, at) {
            return Err(invalid("a key-value snapshot with a deadline of no key"));
        }
    }
    if kv.deadlines().len() as u64 != ending {
        return Err(invalid(
            "a key-value snapshot with a deadline that comes twice",
        ));
    }
    if nodes > ADDRESSES_MAX as u64 {
        return Err(invalid("a key-value snapshot with too many nodes"));
    }
    for _ in 0..nodes {
        let node = u64::from_le_bytes(array(&mut from)?);
        part(&mut from, ADDRESS_BYTES_MAX, &mut value)?;
        kv.note_address(node, &value);
    }
    // Unlike `fill_buf`, `bytes` goes on when a read is interrupted.
    if array(&mut from)? != CLOSING || from.bytes().next().transpose()?.is_some() {
        return Err(invalid(
            "a key-value snapshot that does not end where it should",
        ));
    }
    Ok(kv)
}

fn part(from: &mut impl Read, bytes_max: usize, into: &mut Vec<u8>) -> io::Result<()> {
    let len = u32::from_le_bytes(array(from)?) as usize;
    if len > bytes_max {
        return Err(invalid("a key-value snapshot with an entry over the limit"));
    }
    // Grows with what is really there: a length that lies costs nothing.
    into.clear();
    from.take(len as u64).read_to_end(into)?;
    if into.len() < len {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(())
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
/// Unstable until the first release.
const VERSION: u32 = 2;
const BUFFER_BYTES: usize = 64 * 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let mut kv = Kv::default();
        kv.insert(b"a", Value::new(b"1"));
        kv.insert(b"", Value::new(b""));
        let mut bytes = Vec::new();
        write(&kv, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn golden() {
        let limits = MapLimits {
            keys_max: 7,
            bytes_max: 0x0102_0304,
        };
        let mut kv = Kv::with_limits(limits, LogTime(5));
        kv.insert(b"b", Value::new(b"two"));
        kv.insert(b"a", Value::new(b""));
        assert!(kv.set_deadline_of(b"b", LogTime(9)) && !kv.set_deadline_of(b"c", LogTime(9)));
        kv.note_address(3, b"h:1");
        let mut bytes = Vec::new();
        write(&kv, &mut bytes).unwrap();
        let expected = b"SYKV\x02\0\0\0\x07\0\0\0\0\0\0\0\x04\x03\x02\x01\0\0\0\0\
            \x05\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\
            \x01\0\0\0a\0\0\0\0\x01\0\0\0b\x03\0\0\0two\
            \x01\0\0\0b\x09\0\0\0\0\0\0\0\
            \x03\0\0\0\0\0\0\0\x03\0\0\0h:1VKYS";
        assert_eq!(
            bytes.escape_ascii().to_string(),
            expected.escape_ascii().to_string()
        );
        let again = read(&mut &bytes[..]).unwrap();
        assert_eq!(
            (again.len(), again.limits(), again.bytes(), again.now()),
            (2, limits, kv.bytes(), LogTime(5))
        );
        assert_eq!(again.deadlines().get(b"b"), Some(LogTime(9)));
        assert_eq!(again.addresses(), kv.addresses());
        // The format before it knew where nodes are reached.
        bytes[4] = 1;
        assert!(read(&mut &bytes[..]).is_err());
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
        bytes[56..60].copy_from_slice(&u32::MAX.to_le_bytes());
        let error = read(&mut &bytes[..]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        bytes[32..40].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(read(&mut &bytes[..]).is_err());
    }
}
