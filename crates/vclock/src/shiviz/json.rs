//! The clock of a record: a JSON object of host names and counters, and no more of JSON than that.

use alloc::collections::BTreeMap;
use alloc::string::String;
use core::fmt::{self, Write};
use core::iter::Peekable;
use core::str::Chars;

use crate::VersionVector;

/// A clock as GoVector writes it, with a space after each comma.
pub(super) struct Json<'a>(pub(super) &'a VersionVector<String>);

impl fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('{')?;
        for (at, dot) in self.0.iter().enumerate() {
            f.write_str(if at == 0 { "\"" } else { ", \"" })?;
            for char in dot.actor.chars() {
                match char {
                    '"' | '\\' => write!(f, "\\{char}")?,
                    // Unprintable, or a line break to ShiViz.
                    '\0'..' ' | '\u{7f}'..='\u{a0}' | '\u{2028}' | '\u{2029}' => {
                        write!(f, "\\u{:04x}", u32::from(char))?;
                    }
                    _ => f.write_char(char)?,
                }
            }
            write!(f, "\":{}", dot.counter)?;
        }
        f.write_char('}')
    }
}

/// The clock in `text`, which must be one object and nothing else. A counter of zero says nothing
/// and is left out. `None` if it is anything else, or names a host twice.
pub(super) fn parse(text: &str) -> Option<VersionVector<String>> {
    let mut parser = Parser {
        rest: text.chars().peekable(),
    };
    let clock = parser.object()?;
    parser.spaces();
    parser.rest.next().is_none().then_some(clock)
}

struct Parser<'a> {
    rest: Peekable<Chars<'a>>,
}

impl Parser<'_> {
    fn object(&mut self) -> Option<VersionVector<String>> {
        let mut entries = BTreeMap::new();
        self.token('{')?;
        if self.token('}').is_some() {
            return Some(VersionVector::new());
        }
        loop {
            let host = self.string()?;
            self.token(':')?;
            let counter = self.number()?;
            if entries.insert(host, counter).is_some() {
                return None;
            }
            if self.token(',').is_none() {
                break;
            }
        }
        self.token('}')?;
        Some(entries.into_iter().collect())
    }

    /// The character, after any spaces; nothing is taken if another one stands there.
    fn token(&mut self, char: char) -> Option<()> {
        self.spaces();
        self.rest.next_if_eq(&char).map(drop)
    }

    fn spaces(&mut self) {
        while self
            .rest
            .next_if(|char| matches!(char, ' ' | '\t'))
            .is_some()
        {}
    }

    fn number(&mut self) -> Option<u64> {
        self.spaces();
        let first = u64::from(self.rest.next()?.to_digit(10)?);
        let mut number = first;
        while let Some(digit) = self.rest.peek().and_then(|char| char.to_digit(10)) {
            // JSON has no leading zeros.
            if number == 0 {
                return None;
            }
            number = number.checked_mul(10)?.checked_add(u64::from(digit))?;
            self.rest.next();
        }
        Some(number)
    }

    fn string(&mut self) -> Option<String> {
        self.token('"')?;
        let mut string = String::new();
        loop {
            match self.rest.next()? {
                '"' => return Some(string),
                '\\' => string.push(self.escape()?),
                '\0'..' ' => return None,
                char => string.push(char),
            }
        }
    }

    fn escape(&mut self) -> Option<char> {
        match self.rest.next()? {
            char @ ('"' | '\\' | '/') => Some(char),
            'b' => Some('\u{8}'),
            'f' => Some('\u{c}'),
            'n' => Some('\n'),
            'r' => Some('\r'),
            't' => Some('\t'),
            'u' => {
                let unit = self.hex()?;
                if !(0xd800..0xdc00).contains(&unit) {
                    return char::from_u32(unit);
                }
                // A character of two units, the second escaped like the first.
                self.rest.next_if_eq(&'\\')?;
                self.rest.next_if_eq(&'u')?;
                let low = self.hex()?.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
                char::from_u32(0x10000 + ((unit - 0xd800) << 10) + low)
            }
            _ => None,
        }
    }

    fn hex(&mut self) -> Option<u32> {
        (0..4).try_fold(0, |unit, _| {
            Some(unit << 4 | self.rest.next()?.to_digit(16)?)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(entries in proptest::collection::btree_map(any::<String>(), 1_u64.., 0..4)) {
            let clock = entries.into_iter().collect();
            let text = Json(&clock).to_string();
            prop_assert!(!text.contains(super::super::LINE_BREAKS));
            prop_assert_eq!(parse(&text), Some(clock));
        }

        #[test]
        fn anything_is_read_or_refused(text in "[{}\":,0-9a-z\\\\u ]{0,30}") {
            if let Some(clock) = parse(&text) {
                prop_assert_eq!(parse(&Json(&clock).to_string()), Some(clock));
            }
        }
    }

    #[test]
    fn json_is_read_as_json() {
        let clock = |entries: &[(&str, u64)]| {
            let owned = entries
                .iter()
                .map(|(host, counter)| ((*host).to_owned(), *counter));
            Some(owned.collect::<VersionVector<_>>())
        };
        assert_eq!(parse("{}"), clock(&[]));
        assert_eq!(
            parse(" { \"a\" : 1 ,\"b\":20 } "),
            clock(&[("a", 1), ("b", 20)])
        );
        assert_eq!(
            parse(r#"{"\u0061\ud83d\ude00\/":1}"#),
            clock(&[("a\u{1f600}/", 1)])
        );
        assert_eq!(parse(r#"{"a":1,"b":0}"#), clock(&[("a", 1)]));
        for broken in [
            "",
            "{",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{\"a\":1}}",
            "{\"a\":01}",
            "{\"a\":-1}",
            "{\"a\":1.5}",
            "{\"a\":1,\"a\":1}",
            "{\"a\":18446744073709551616}",
            "{a:1}",
            r#"{"\ud83d":1}"#,
            r#"{"\x":1}"#,
        ] {
            assert_eq!(parse(broken), None, "{broken}");
        }
    }
}
