//! As much of EDN as histories use.

use std::fmt;

/// A key or a value: numbers as a rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Atom {
    /// An integer.
    Integer(i64),
    /// A keyword, without its colon.
    Keyword(String),
    /// A string.
    Text(String),
}

/// Why a text is not a history.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
#[non_exhaustive]
pub struct EdnError {
    /// Where, from 1.
    pub line: usize,
    /// What is wrong there.
    pub what: &'static str,
}

/// A value of EDN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Nil,
    Atom(Atom),
    /// A symbol, a number that is no integer, a character: nothing that a history needs.
    Other,
    Sequence(Vec<Self>),
    Map(Vec<(Self, Self)>),
}

/// Reads one form after the other.
#[derive(Debug)]
pub(super) struct Forms<'a> {
    text: &'a str,
    place: usize,
    line: usize,
    /// Whether a bracket is open around the forms.
    is_within: bool,
}

/// How deep forms may be nested. Histories need five levels.
const DEPTH_MAX: usize = 32;

impl<'a> Forms<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            text,
            place: 0,
            line: 1,
            is_within: false,
        }
    }

    pub(super) fn line(&self) -> usize {
        self.line
    }

    /// Enters a vector or list, if one begins here.
    pub(super) fn enters(&mut self) -> bool {
        self.skip();
        self.is_within = self.rest().starts_with(['[', '(']);
        if self.is_within {
            self.place += 1;
        }
        self.is_within
    }

    /// The next form, or `None` at the end of the text; of what was entered, at its bracket.
    pub(super) fn next(&mut self) -> Result<Option<Form>, EdnError> {
        self.skip();
        match self.rest().chars().next() {
            None if self.is_within => Err(self.error("the text ends within a form")),
            None => Ok(None),
            Some(']' | ')') if self.is_within => {
                self.is_within = false;
                self.place += 1;
                Ok(None)
            }
            Some(_) => self.form(0).map(Some),
        }
    }

    fn form(&mut self, depth: usize) -> Result<Form, EdnError> {
        if depth > DEPTH_MAX {
            return Err(self.error("nested too deeply"));
        }
        self.skip();
        match self.rest().chars().next() {
            None => Err(self.error("the text ends within a form")),
            Some('[' | '(') => self.sequence(depth, [']', ')']),
            Some('{') => self.map(depth),
            Some('"') => self.string(),
            Some('#') => self.tagged(depth),
            Some(']' | ')' | '}') => Err(self.error("a bracket closes that was not opened")),
            Some(_) => self.word(),
        }
    }

    fn sequence(&mut self, depth: usize, ends: [char; 2]) -> Result<Form, EdnError> {
        self.place += 1;
        let mut forms = Vec::new();
        loop {
            self.skip();
            if self.rest().starts_with(ends) {
                self.place += 1;
                return Ok(Form::Sequence(forms));
            }
            forms.push(self.form(depth + 1)?);
        }
    }

    fn map(&mut self, depth: usize) -> Result<Form, EdnError> {
        let Form::Sequence(forms) = self.sequence(depth, ['}', '}'])? else {
            return Ok(Form::Other);
        };
        let mut pairs = Vec::with_capacity(forms.len() / 2);
        let mut forms = forms.into_iter();
        while let Some(key) = forms.next() {
            let Some(value) = forms.next() else {
                return Err(self.error("a map has a key without a value"));
            };
            pairs.push((key, value));
        }
        Ok(Form::Map(pairs))
    }

    fn string(&mut self) -> Result<Form, EdnError> {
        let mut text = String::new();
        let mut chars = self.rest().char_indices().skip(1);
        while let Some((place, char)) = chars.next() {
            match char {
                '"' => {
                    self.place += place + 1;
                    return Ok(Form::Atom(Atom::Text(text)));
                }
                '\\' => match chars.next() {
                    Some((_, 'n')) => text.push('\n'),
                    Some((_, 't')) => text.push('\t'),
                    Some((_, 'r')) => text.push('\r'),
                    Some((_, char @ ('"' | '\\'))) => text.push(char),
                    _ => return Err(self.error("an escape that is not known")),
                },
                _ => {
                    self.line += usize::from(char == '\n');
                    text.push(char);
                }
            }
        }
        Err(self.error("a string does not end"))
    }

    /// `#tag form` is the form, `#{..}` a set.
    fn tagged(&mut self, depth: usize) -> Result<Form, EdnError> {
        self.place += 1;
        if self.rest().starts_with('{') {
            return self.sequence(depth, ['}', '}']);
        }
        self.take_word();
        self.form(depth + 1)
    }

    fn word(&mut self) -> Result<Form, EdnError> {
        let word = self.take_word();
        if word.is_empty() {
            return Err(self.error("a character that is not known"));
        }
        if let Some(keyword) = word.strip_prefix(':') {
            return Ok(Form::Atom(Atom::Keyword(keyword.to_owned())));
        }
        let number = word.strip_suffix('N').unwrap_or(word);
        Ok(match number.parse() {
            Ok(number) => Form::Atom(Atom::Integer(number)),
            Err(_) if word == "nil" => Form::Nil,
            Err(_) => Form::Other,
        })
    }

    fn take_word(&mut self) -> &'a str {
        let rest = self.rest();
        let is_end = |char: char| char.is_whitespace() || "[](){}\",;#".contains(char);
        let length = rest.find(is_end).unwrap_or(rest.len());
        self.place += length;
        &rest[..length]
    }

    /// Spaces, commas, comments.
    fn skip(&mut self) {
        loop {
            match self.rest().chars().next() {
                Some(';') => {
                    let rest = self.rest();
                    self.place += rest.find('\n').unwrap_or(rest.len());
                }
                Some(char) if char.is_whitespace() || char == ',' => {
                    self.line += usize::from(char == '\n');
                    self.place += char.len_utf8();
                }
                _ => return,
            }
        }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.place..]
    }

    fn error(&self, what: &'static str) -> EdnError {
        EdnError {
            line: self.line,
            what,
        }
    }
}

impl Form {
    /// What a map has under a keyword.
    pub(super) fn field(&self, name: &str) -> Option<&Self> {
        let Self::Map(pairs) = self else {
            return None;
        };
        let mut pairs = pairs.iter();
        pairs.find_map(|(key, value)| (key.keyword() == Some(name)).then_some(value))
    }

    pub(super) fn keyword(&self) -> Option<&str> {
        match self {
            Self::Atom(Atom::Keyword(keyword)) => Some(keyword),
            _ => None,
        }
    }

    pub(super) fn integer(&self) -> Option<i64> {
        match self {
            Self::Atom(Atom::Integer(number)) => Some(*number),
            _ => None,
        }
    }
}

impl fmt::Display for Atom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(number) => write!(f, "{number}"),
            Self::Keyword(keyword) => write!(f, ":{keyword}"),
            Self::Text(text) => {
                f.write_str("\"")?;
                for char in text.chars() {
                    match char {
                        '"' | '\\' => write!(f, "\\{char}")?,
                        '\n' => f.write_str("\\n")?,
                        '\t' => f.write_str("\\t")?,
                        '\r' => f.write_str("\\r")?,
                        _ => write!(f, "{char}")?,
                    }
                }
                f.write_str("\"")
            }
        }
    }
}

impl From<i64> for Atom {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<u32> for Atom {
    fn from(number: u32) -> Self {
        Self::Integer(number.into())
    }
}

impl From<&str> for Atom {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Atom {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}
