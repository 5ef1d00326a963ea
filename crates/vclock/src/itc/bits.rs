//! The encoding of trees as bits (section 5.3 of the technical report behind the paper):
//!
//! ```text
//!   id     0            00 0
//!          1            00 1
//!          (0, i)       01 i
//!          (i, 0)       10 i
//!          (i, j)       11 i j
//!   event  (0, 0, r)    0 00 r
//!          (0, l, 0)    0 01 l
//!          (0, l, r)    0 10 l r
//!          (n, 0, r)    0 11 0 0 n r      where n is encoded as the event n
//!          (n, l, 0)    0 11 0 1 n l
//!          (n, l, r)    0 11 1 n l r
//!          n            1, then n as a number in groups that grow: 0 and two bits for 0 to 3,
//!                       10 and three bits for 4 to 11, 110 and four bits for 12 to 27, ...
//! ```

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::DEPTH_MAX;
use super::event::Event;
use super::id::Id;
use crate::codec::{DecodeError, Reader};

/// Collects bits, the first in the highest place of the first byte.
#[derive(Default)]
pub(super) struct BitWriter {
    bytes: Vec<u8>,
    len: usize,
}

impl BitWriter {
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub(super) fn id(&mut self, id: &Id) {
        match id {
            Id::Empty => self.bits(0b000, 3),
            Id::Whole => self.bits(0b001, 3),
            Id::Node(halves) => match &**halves {
                (Id::Empty, right) => {
                    self.bits(0b01, 2);
                    self.id(right);
                }
                (left, Id::Empty) => {
                    self.bits(0b10, 2);
                    self.id(left);
                }
                (left, right) => {
                    self.bits(0b11, 2);
                    self.id(left);
                    self.id(right);
                }
            },
        }
    }

    pub(super) fn event(&mut self, event: &Event) {
        let (base, halves) = match event {
            Event::Leaf(base) => return self.number(*base),
            Event::Node(base, halves) => (*base, &**halves),
        };
        match (base, halves) {
            (0, (Event::Leaf(0), _)) => self.bits(0b000, 3),
            (0, (_, Event::Leaf(0))) => self.bits(0b001, 3),
            (0, _) => self.bits(0b010, 3),
            (_, (Event::Leaf(0), _)) => self.bits(0b01100, 5),
            (_, (_, Event::Leaf(0))) => self.bits(0b01101, 5),
            _ => self.bits(0b0111, 4),
        }
        if base != 0 {
            self.number(base);
        }
        match halves {
            (Event::Leaf(0), half) | (half, Event::Leaf(0)) => self.event(half),
            (left, right) => {
                self.event(left);
                self.event(right);
            }
        }
    }

    fn number(&mut self, number: u64) {
        self.bits(1, 1);
        // Sums of groups pass 64 bits in the last one.
        let (mut rest, mut group) = (u128::from(number), NUMBER_BITS_MIN);
        while rest >= 1 << group {
            self.bits(1, 1);
            rest -= 1 << group;
            group += 1;
        }
        self.bits(0, 1);
        self.bits(rest, group);
    }

    fn bits(&mut self, value: u128, count: u32) {
        for place in (0..count).rev() {
            if self.len.is_multiple_of(8) {
                self.bytes.push(0);
            }
            let bit = (value >> place) & 1 == 1;
            if let Some(last) = self.bytes.last_mut()
                && bit
            {
                *last |= 0x80 >> (self.len % 8);
            }
            self.len += 1;
        }
    }
}

/// Takes bits from bytes, and trees from bits, each node against the limit of entries.
pub(super) struct BitReader<'r, 'a> {
    reader: &'r mut Reader<'a>,
    byte: u8,
    /// Bits of `byte` that are not taken yet.
    left: u32,
    nodes_left: usize,
}

impl<'r, 'a> BitReader<'r, 'a> {
    pub(super) fn new(reader: &'r mut Reader<'a>) -> Self {
        let nodes_left = reader.limits().entries_max;
        Self {
            reader,
            byte: 0,
            left: 0,
            nodes_left,
        }
    }

    /// The end of the bits: what pads the last byte is zero.
    pub(super) const fn finish(self) -> Result<(), DecodeError> {
        if self.left > 0 && self.byte << (8 - self.left) != 0 {
            return Err(DecodeError::NotCanonical);
        }
        Ok(())
    }

    pub(super) fn id(&mut self, depth: u32) -> Result<Id, DecodeError> {
        self.enter(depth)?;
        let (left, right) = match self.bits(2)? {
            0b00 => {
                let owned = self.bits(1)? == 1;
                return Ok(if owned { Id::Whole } else { Id::Empty });
            }
            0b01 => (Id::Empty, self.id(depth + 1)?),
            0b10 => (self.id(depth + 1)?, Id::Empty),
            _ => {
                let (left, right) = (self.id(depth + 1)?, self.id(depth + 1)?);
                // With an empty half another tag is due.
                if left == Id::Empty || right == Id::Empty {
                    return Err(DecodeError::NotCanonical);
                }
                (left, right)
            }
        };
        match (&left, &right) {
            (Id::Empty, Id::Empty) | (Id::Whole, Id::Whole) => Err(DecodeError::NotCanonical),
            _ => Ok(Id::Node(Box::new((left, right)))),
        }
    }

    /// A tree under bases of the sum `above`.
    pub(super) fn event(&mut self, depth: u32, above: u64) -> Result<Event, DecodeError> {
        self.enter(depth)?;
        if self.bits(1)? == 1 {
            let base = self.number()?;
            above.checked_add(base).ok_or(DecodeError::OutOfRange)?;
            return Ok(Event::Leaf(base));
        }
        let tag = match self.bits(2)? {
            0b11 => match self.bits(1)? {
                0 => 0b1100 | self.bits(1)?,
                _ => 0b111,
            },
            tag => tag,
        };
        let base = if tag > 0b10 { self.base()? } else { 0 };
        let above = above.checked_add(base).ok_or(DecodeError::OutOfRange)?;
        let (left, right) = match tag {
            0b00 | 0b1100 => (Event::Leaf(0), self.event(depth + 1, above)?),
            0b01 | 0b1101 => (self.event(depth + 1, above)?, Event::Leaf(0)),
            _ => {
                let halves = (self.event(depth + 1, above)?, self.event(depth + 1, above)?);
                // With a half that is zero another tag is due.
                if halves.0 == Event::Leaf(0) || halves.1 == Event::Leaf(0) {
                    return Err(DecodeError::NotCanonical);
                }
                halves
            }
        };
        let read = Event::Node(base, Box::new((left, right)));
        if !read.is_normal() {
            return Err(DecodeError::NotCanonical);
        }
        Ok(read)
    }

    /// The base of a node that has one: a number in the form of an event, and not zero.
    fn base(&mut self) -> Result<u64, DecodeError> {
        if self.bits(1)? == 0 {
            return Err(DecodeError::NotCanonical);
        }
        match self.number()? {
            0 => Err(DecodeError::NotCanonical),
            base => Ok(base),
        }
    }

    fn number(&mut self) -> Result<u64, DecodeError> {
        let (mut number, mut group) = (0_u128, NUMBER_BITS_MIN);
        while self.bits(1)? == 1 {
            number += 1 << group;
            group += 1;
            if group > u64::BITS {
                return Err(DecodeError::OutOfRange);
            }
        }
        number += u128::from(self.bits(group)?);
        u64::try_from(number).map_err(|_| DecodeError::OutOfRange)
    }

    fn enter(&mut self, depth: u32) -> Result<(), DecodeError> {
        if depth > DEPTH_MAX {
            return Err(DecodeError::TooDeep);
        }
        let entries_max = self.reader.limits().entries_max;
        let too_many = DecodeError::TooManyEntries { entries_max };
        self.nodes_left = self.nodes_left.checked_sub(1).ok_or(too_many)?;
        Ok(())
    }

    fn bits(&mut self, count: u32) -> Result<u64, DecodeError> {
        let mut value = 0;
        for _ in 0..count {
            if self.left == 0 {
                self.byte = self.reader.take(1)?[0];
                self.left = 8;
            }
            self.left -= 1;
            value = value << 1 | u64::from(self.byte >> self.left & 1);
        }
        Ok(value)
    }
}

/// The first group of a number.
const NUMBER_BITS_MIN: u32 = 2;
