//! Stamps as texts, in the notation of the paper.

use alloc::boxed::Box;
use core::str::FromStr;

use super::event::Event;
use super::id::Id;
use super::{DEPTH_MAX, Stamp};
use crate::{Limits, ParseError};

/// What `Display` writes: trees in normal form, with the limits of [`Limits::default`].
///
/// ```
/// use synod_vclock::{ParseError, itc::Stamp};
///
/// let stamp: Stamp = "((1, 0), (0, 1, 0))".parse()?;
/// assert_eq!(stamp.to_string(), "((1, 0), (0, 1, 0))");
/// assert_eq!("((1, 1), 0)".parse::<Stamp>(), Err(ParseError)); // the two halves are the whole
/// # Ok::<(), ParseError>(())
/// ```
impl FromStr for Stamp {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let nodes_left = Limits::default().entries_max;
        let mut text = Text {
            rest: text,
            nodes_left,
        };
        text.take("(")?;
        let id = text.id(0)?;
        text.take(", ")?;
        text.nodes_left = nodes_left;
        let event = text.event(0, 0)?;
        text.take(")")?;
        if !text.rest.is_empty() {
            return Err(ParseError);
        }
        Ok(Self::from_parts(id, event))
    }
}

struct Text<'a> {
    rest: &'a str,
    nodes_left: usize,
}

impl Text<'_> {
    fn take(&mut self, token: &str) -> Result<(), ParseError> {
        self.rest = self.rest.strip_prefix(token).ok_or(ParseError)?;
        Ok(())
    }

    fn number(&mut self) -> Result<u64, ParseError> {
        let end = self.rest.find(|letter: char| !letter.is_ascii_digit());
        let (digits, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        crate::text::number(digits)
    }

    fn enter(&mut self, depth: u32) -> Result<(), ParseError> {
        self.nodes_left = self.nodes_left.checked_sub(1).ok_or(ParseError)?;
        if depth > DEPTH_MAX {
            return Err(ParseError);
        }
        Ok(())
    }

    fn id(&mut self, depth: u32) -> Result<Id, ParseError> {
        self.enter(depth)?;
        if !self.rest.starts_with('(') {
            return match self.number()? {
                0 => Ok(Id::Empty),
                1 => Ok(Id::Whole),
                _ => Err(ParseError),
            };
        }
        self.take("(")?;
        let left = self.id(depth + 1)?;
        self.take(", ")?;
        let right = self.id(depth + 1)?;
        self.take(")")?;
        match Id::node(left, right) {
            node @ Id::Node(_) => Ok(node),
            Id::Empty | Id::Whole => Err(ParseError),
        }
    }

    /// A tree under bases of the sum `above`.
    fn event(&mut self, depth: u32, above: u64) -> Result<Event, ParseError> {
        self.enter(depth)?;
        if !self.rest.starts_with('(') {
            let base = self.number()?;
            above.checked_add(base).ok_or(ParseError)?;
            return Ok(Event::Leaf(base));
        }
        self.take("(")?;
        let base = self.number()?;
        let above = above.checked_add(base).ok_or(ParseError)?;
        self.take(", ")?;
        let left = self.event(depth + 1, above)?;
        self.take(", ")?;
        let right = self.event(depth + 1, above)?;
        self.take(")")?;
        let read = Event::Node(base, Box::new((left, right)));
        if !read.is_normal() {
            return Err(ParseError);
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "(1)",
            "(1, 0",
            "(1,0)",
            "(2, 0)",
            "(1, 0))",
            "((1, 1), 0)",
            "((0, 0), 0)",
            "(1, (0, 0, 0))",
            "(1, (0, 1, 1))",
            "(1, (1, 2, 3))",
            "(01, 0)",
            "(1, -1)",
            "(1, +1)",
            "(1, (18446744073709551615, 0, 1))",
        ] {
            assert!(text.parse::<Stamp>().is_err(), "{text}");
        }
        let deep = "(".repeat(100_000);
        assert!(deep.parse::<Stamp>().is_err());
    }

    #[test]
    fn what_is_written_is_read() {
        let mut stamp = Stamp::seed();
        for _ in 0..40 {
            let mut child = stamp.fork().unwrap();
            child.event().unwrap();
            stamp.receive(&child).unwrap();
            for stamp in [&stamp, &child] {
                assert_eq!(stamp.to_string().parse().as_ref(), Ok(stamp));
            }
        }
    }
}
