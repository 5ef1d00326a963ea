//! The text form of clocks: `FromStr` accepts exactly what `Display` writes.

use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use crate::entries::Entries;
use crate::{CausalContext, Dot, Limits, VersionVector};

/// A text is not the `Display` form of such a value.
///
/// ```
/// use synod_vclock::{Dot, ParseError, VersionVector};
///
/// assert_eq!("a:0".parse::<Dot<String>>(), Err(ParseError));
/// assert_eq!("{b:1, a:2}".parse::<VersionVector<String>>(), Err(ParseError)); // not ascending
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("the text is not one that such a value is written as")]
pub struct ParseError;

/// A number in its one form: no sign, no leading zero.
pub(crate) fn number(text: &str) -> Result<u64, ParseError> {
    if text.starts_with('+') || (text.len() > 1 && text.starts_with('0')) {
        return Err(ParseError);
    }
    text.parse().map_err(|_| ParseError)
}

/// `actor:counter`. The actor may contain colons.
///
/// ```
/// use synod_vclock::Dot;
///
/// let dot: Dot<String> = "[::1]:8080:3".parse()?;
/// assert_eq!((dot.actor.as_str(), dot.counter.get()), ("[::1]:8080", 3));
/// # Ok::<(), synod_vclock::ParseError>(())
/// ```
impl<A: FromStr> FromStr for Dot<A> {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let (actor, counter) = text.rsplit_once(':').ok_or(ParseError)?;
        let actor = actor.parse().map_err(|_| ParseError)?;
        Self::new(actor, number(counter)?).ok_or(ParseError)
    }
}

/// `{a:2, b:1}`, at most as many entries as [`Limits::default`] allows. An actor whose text contains
/// a comma and a space, or a brace, may be read as something else.
///
/// ```
/// use synod_vclock::VersionVector;
///
/// let vector: VersionVector<String> = "{a:2, b:1}".parse()?;
/// assert_eq!((vector.get("a"), vector.to_string().as_str()), (2, "{a:2, b:1}"));
/// # Ok::<(), synod_vclock::ParseError>(())
/// ```
impl<A: FromStr + Ord> FromStr for VersionVector<A> {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut entries = Entries::new();
        for dot in dots(text)? {
            if !entries.push(dot) {
                return Err(ParseError);
            }
        }
        Ok(Self::from_entries(entries))
    }
}

/// The vector and, if there are gaps, ` + ` and the dots beyond them: `{a:1} + {a:3, b:9}`.
///
/// ```
/// use synod_vclock::{CausalContext, Dot};
///
/// let context = CausalContext::from_iter([Dot::new("a", 1).unwrap(), Dot::new("b", 9).unwrap()]);
/// assert_eq!(context.to_string(), "{a:1} + {b:9}");
/// ```
impl<A: fmt::Display> fmt::Display for CausalContext<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.vector().fmt(f)?;
        if self.is_vector() {
            return Ok(());
        }
        f.write_str(" + {")?;
        for (at, dot) in self.cloud().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{dot}")?;
        }
        f.write_str("}")
    }
}

/// What `Display` writes; the limits and the actors are those of a vector.
///
/// ```
/// use synod_vclock::{CausalContext, ParseError};
///
/// let context: CausalContext<String> = "{a:1} + {a:3, b:9}".parse()?;
/// assert_eq!(context.to_string(), "{a:1} + {a:3, b:9}");
/// // A dot that follows on the vector belongs into it.
/// assert_eq!("{a:1} + {a:2}".parse::<CausalContext<String>>(), Err(ParseError));
/// # Ok::<(), ParseError>(())
/// ```
impl<A: FromStr + Ord + Clone> FromStr for CausalContext<A> {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let (vector, cloud) = match text.split_once("} + {") {
            Some((vector, _)) => text.split_at(vector.len() + 1),
            None => (text, ""),
        };
        let vector = vector.parse()?;
        let cloud = match cloud.strip_prefix(" + ") {
            Some(cloud) => dots(cloud)?,
            None => return Ok(Self::from(vector)),
        };
        let ascending = cloud.windows(2).all(|pair| pair[0] < pair[1]);
        let len = cloud.len();
        let context = Self::from_parts(vector, cloud);
        if len == 0 || !ascending || context.cloud().len() != len {
            return Err(ParseError);
        }
        Ok(context)
    }
}

/// The dots between braces.
fn dots<A: FromStr>(text: &str) -> Result<Vec<Dot<A>>, ParseError> {
    let inner = text
        .strip_prefix('{')
        .and_then(|text| text.strip_suffix('}'));
    let inner = inner.ok_or(ParseError)?;
    if inner.is_empty() {
        return Ok(Vec::new());
    }
    let entries_max = Limits::default().entries_max;
    let mut dots = Vec::new();
    for dot in inner.split(", ") {
        if dots.len() == entries_max {
            return Err(ParseError);
        }
        dots.push(dot.parse()?);
    }
    Ok(dots)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::{String, ToString};

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "a",
            "a:",
            ":",
            "a:0",
            "a:01",
            "a:+1",
            "a:-1",
            "a:18446744073709551616",
        ] {
            assert_eq!(text.parse::<Dot<String>>(), Err(ParseError), "{text}");
        }
        for text in [
            "",
            "{",
            "}",
            "{a:1",
            "a:1}",
            "{a:1, }",
            "{b:1, a:1}",
            "{a:1, a:2}",
            "{a:0}",
            "{a:1} ",
            "{a:1} + {}",
        ] {
            assert!(text.parse::<VersionVector<String>>().is_err(), "{text}");
        }
        for text in [
            "{a:1} + {}",
            "{a:1} + {a:1}",
            "{a:1} + {a:2}",
            "{} + {b:3, a:3}",
            "{} + a:3",
        ] {
            assert!(text.parse::<CausalContext<String>>().is_err(), "{text}");
        }
        let many = (0..4_097_u32)
            .map(|actor| (actor, 1))
            .collect::<VersionVector<_>>();
        assert!(many.to_string().parse::<VersionVector<u32>>().is_err());
    }

    #[test]
    fn what_is_written_is_read() {
        for text in ["{}", "{a:1}", "{a:1, b:18446744073709551615}"] {
            let vector = text.parse::<VersionVector<String>>().unwrap();
            assert_eq!(vector.to_string(), text);
        }
        for text in ["{}", "{a:1}", "{} + {a:2}", "{a:1} + {a:3, b:2}"] {
            let context = text.parse::<CausalContext<String>>().unwrap();
            assert_eq!(context.to_string(), text);
        }
    }
}
