//! A backup as a stream of bytes.
//!
//! ```text
//! "SYNODKVB"  version u32 │ block 0 │ block 1 │ ... │ end
//!
//! a block:  length u32  CRC-32C u32  bytes            the end:  a block without bytes, and nothing behind it
//!           the sum is of the block's number (u64), its length and its bytes
//!
//! block 0:  cluster u128  node u64  keys u64  the protocol's name
//! others:   the machine: logged time, sessions, map, each with a version of its own       integers little endian
//! ```
//!
//! Names of proposals are no part of it: in another cluster they would let new commands be taken for old ones.

use std::io::{self, Read, Write};

/// What a backup says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Of which cluster it is.
    pub(crate) cluster: u128,
    /// Which node made it.
    pub(crate) node: u64,
    /// How many keys are in it.
    pub(crate) keys: u64,
    /// By what the cluster agreed.
    pub(crate) protocol: String,
}

/// Why bytes are no backup. Each is an [`io::Error`] of the kind `InvalidData`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Damaged {
    #[error("this is no backup of kv")]
    Foreign,
    #[error("the backup has format version {0}, and this program knows {VERSION}")]
    Version(u32),
    #[error("the backup is damaged at byte {0}")]
    Block(u64),
    #[error("the backup ends early, at byte {0}: the rest of it is missing")]
    Short(u64),
    #[error("something follows the end of the backup, at byte {0}")]
    Longer(u64),
}

impl From<Damaged> for io::Error {
    fn from(damaged: Damaged) -> Self {
        Self::new(io::ErrorKind::InvalidData, damaged)
    }
}

/// Cuts what is written into blocks. [`finish`](Self::finish) makes it whole.
pub(crate) struct Blocks<W> {
    to: W,
    number: u64,
    open: Vec<u8>,
}

impl<W: Write> Blocks<W> {
    pub(crate) fn begin(mut to: W, head: &Head) -> io::Result<Self> {
        to.write_all(&OPENING)?;
        to.write_all(&VERSION.to_le_bytes())?;
        let mut blocks = Self {
            to,
            number: 0,
            open: Vec::with_capacity(BLOCK_BYTES_MAX),
        };
        blocks.write_all(&head.cluster.to_le_bytes())?;
        blocks.write_all(&head.node.to_le_bytes())?;
        blocks.write_all(&head.keys.to_le_bytes())?;
        blocks.write_all(head.protocol.as_bytes())?;
        blocks.close()?;
        Ok(blocks)
    }

    pub(crate) fn finish(mut self) -> io::Result<W> {
        if !self.open.is_empty() {
            self.close()?;
        }
        self.close()?;
        self.to.flush()?;
        Ok(self.to)
    }

    /// Writes what is open as a block.
    fn close(&mut self) -> io::Result<()> {
        let len = (self.open.len() as u32).to_le_bytes();
        let sum = sum(self.number, len, &self.open);
        for part in [&len[..], &sum.to_le_bytes(), &self.open] {
            self.to.write_all(part)?;
        }
        self.number += 1;
        self.open.clear();
        Ok(())
    }
}

impl<W: Write> Write for Blocks<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(BLOCK_BYTES_MAX - self.open.len());
        self.open.extend_from_slice(&bytes[..taken]);
        if self.open.len() == BLOCK_BYTES_MAX {
            self.close()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads a backup: first what it says of itself, then the machine's bytes. Each block is checked before any of it is
/// given out, and the end before the last of it is.
#[derive(Debug)]
pub(crate) struct Backup<R> {
    from: R,
    head: Head,
    /// Where the next block begins, in bytes, and its number.
    at: u64,
    number: u64,
    block: Vec<u8>,
    given: usize,
    is_over: bool,
}

impl<R: Read> Backup<R> {
    pub(crate) fn open(mut from: R) -> io::Result<Self> {
        let mut opening = [0; 12];
        let len = fill(&mut from, &mut opening)?;
        if len < opening.len() || opening[..8] != OPENING {
            return Err(Damaged::Foreign.into());
        }
        let version = u32::from_le_bytes([opening[8], opening[9], opening[10], opening[11]]);
        if version != VERSION {
            return Err(Damaged::Version(version).into());
        }
        let mut backup = Self {
            from,
            head: Head {
                cluster: 0,
                node: 0,
                keys: 0,
                protocol: String::new(),
            },
            at: opening.len() as u64,
            number: 0,
            block: Vec::new(),
            given: 0,
            is_over: false,
        };
        let at = backup.at;
        backup.advance()?;
        backup.head = head(&backup.block).ok_or(Damaged::Block(at))?;
        backup.advance()?;
        Ok(backup)
    }

    pub(crate) fn head(&self) -> &Head {
        &self.head
    }

    /// Reads to the end, to know that it is whole. How many bytes it has.
    pub(crate) fn verify(mut self) -> io::Result<u64> {
        while !self.is_over {
            self.advance()?;
        }
        Ok(self.at)
    }

    fn advance(&mut self) -> io::Result<()> {
        let mut header = [0; 8];
        if fill(&mut self.from, &mut header)? < header.len() {
            return Err(Damaged::Short(self.at).into());
        }
        let [l0, l1, l2, l3, s0, s1, s2, s3] = header;
        let (len, expected) = ([l0, l1, l2, l3], u32::from_le_bytes([s0, s1, s2, s3]));
        let bytes = u32::from_le_bytes(len) as usize;
        if bytes > BLOCK_BYTES_MAX {
            return Err(Damaged::Block(self.at).into());
        }
        self.block.resize(bytes, 0);
        if fill(&mut self.from, &mut self.block)? < bytes {
            return Err(Damaged::Short(self.at).into());
        }
        if sum(self.number, len, &self.block) != expected {
            return Err(Damaged::Block(self.at).into());
        }
        self.at += (header.len() + bytes) as u64;
        self.number += 1;
        self.given = 0;
        if bytes == 0 {
            self.is_over = true;
            if fill(&mut self.from, &mut [0])? > 0 {
                return Err(Damaged::Longer(self.at).into());
            }
        }
        Ok(())
    }
}

impl<R: Read> Read for Backup<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.given == self.block.len() && !self.is_over {
            self.advance()?;
        }
        let left = &self.block[self.given..];
        let taken = left.len().min(into.len());
        into[..taken].copy_from_slice(&left[..taken]);
        self.given += taken;
        Ok(taken)
    }
}

fn head(block: &[u8]) -> Option<Head> {
    let (cluster, rest) = block.split_first_chunk()?;
    let (node, rest) = rest.split_first_chunk()?;
    let (keys, protocol) = rest.split_first_chunk()?;
    Some(Head {
        cluster: u128::from_le_bytes(*cluster),
        node: u64::from_le_bytes(*node),
        keys: u64::from_le_bytes(*keys),
        protocol: String::from_utf8(protocol.to_vec()).ok()?,
    })
}

/// How much of it there was.
fn fill(from: &mut impl Read, into: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < into.len() {
        match from.read(&mut into[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn sum(number: u64, len: [u8; 4], bytes: &[u8]) -> u32 {
    let head = crc32c::crc32c_append(crc32c::crc32c(&number.to_le_bytes()), &len);
    crc32c::crc32c_append(head, bytes)
}

const OPENING: [u8; 8] = *b"SYNODKVB";
/// Unstable until the first release.
const VERSION: u32 = 1;
const BLOCK_BYTES_MAX: usize = 64 * 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(body: &[u8]) -> Vec<u8> {
        let head = Head {
            cluster: 7,
            node: 2,
            keys: 3,
            protocol: "raft".into(),
        };
        let mut blocks = Blocks::begin(Vec::new(), &head).unwrap();
        blocks.write_all(body).unwrap();
        blocks.finish().unwrap()
    }

    fn read(bytes: &[u8]) -> io::Result<(Head, Vec<u8>)> {
        let mut backup = Backup::open(bytes)?;
        let mut body = Vec::new();
        backup.read_to_end(&mut body)?;
        let head = backup.head().clone();
        Ok((head, body))
    }

    /// The sums were computed by another implementation.
    #[test]
    fn golden() {
        let bytes = sample(b"all");
        let expected = b"SYNODKVB\x01\0\0\0\
            \x24\0\0\0\xb6\x25\xe9\xc6\
            \x07\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\x03\0\0\0\0\0\0\0raft\
            \x03\0\0\0*nbpall\
            \0\0\0\0=\x1d\x83I";
        assert_eq!(
            bytes.escape_ascii().to_string(),
            expected.escape_ascii().to_string()
        );
        let (head, body) = read(&bytes).unwrap();
        assert_eq!((head.cluster, head.node, head.keys), (7, 2, 3));
        assert_eq!((&*head.protocol, &*body), ("raft", &b"all"[..]));
        assert_eq!(
            Backup::open(&bytes[..]).unwrap().verify().unwrap(),
            bytes.len() as u64
        );
    }

    #[test]
    fn any_body_comes_back() {
        for len in [
            0,
            1,
            BLOCK_BYTES_MAX - 1,
            BLOCK_BYTES_MAX,
            2 * BLOCK_BYTES_MAX + 5,
        ] {
            let body: Vec<u8> = (0..len).map(|at| at as u8).collect();
            assert_eq!(read(&sample(&body)).unwrap().1, body, "{len}");
        }
    }

    #[test]
    fn damage_is_found_wherever_it_is_and_named() {
        let bytes = sample(b"everything that was said");
        let verify = |bytes: &[u8]| Backup::open(bytes).and_then(Backup::verify);
        for at in 0..bytes.len() {
            let mut other = bytes.clone();
            other[at] ^= 0x10;
            let error = verify(&other).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "byte {at}");
            assert!(read(&other).is_err(), "byte {at}");
        }
        for cut in 0..bytes.len() {
            let error = verify(&bytes[..cut]).unwrap_err().to_string();
            let is_named = error.contains("no backup") || error.contains("ends early");
            assert!(is_named, "cut at {cut}: {error}");
        }
        let longer = verify(&[&bytes[..], b"x"].concat()).unwrap_err();
        assert!(longer.to_string().contains("something follows"), "{longer}");
        let mut newer = bytes;
        newer[8] = 9;
        assert!(
            verify(&newer)
                .unwrap_err()
                .to_string()
                .contains("version 9")
        );
    }

    /// Blocks that are whole, in another order.
    #[test]
    fn a_block_in_the_place_of_another_is_damage() {
        let body = [vec![1; BLOCK_BYTES_MAX], vec![2; BLOCK_BYTES_MAX]].concat();
        let bytes = sample(&body);
        let first = 12 + 8 + 36;
        let block = 8 + BLOCK_BYTES_MAX;
        let (head, rest) = bytes.split_at(first);
        let (one, rest) = rest.split_at(block);
        let (two, end) = rest.split_at(block);
        let swapped = [head, two, one, end].concat();
        assert!(Backup::open(&swapped[..]).is_err());
    }
}
