//! What stands behind the name of a command: words in their order, `key=value`, and flags.

use std::time::Duration;

/// The words behind the name of a command. Each is taken by whoever knows it; what is left at the
/// [`end`](Self::end) is a mistake.
#[derive(Debug)]
pub struct Arguments<'a> {
    words: Vec<&'a str>,
}

impl<'a> Arguments<'a> {
    /// Of the text behind the name.
    pub fn parse(text: &'a str) -> Self {
        Self {
            words: text.split_whitespace().collect(),
        }
    }

    /// The next word.
    pub fn positional(&mut self) -> Option<&'a str> {
        (!self.words.is_empty()).then(|| self.words.remove(0))
    }

    /// The next word, which is a number.
    ///
    /// # Errors
    /// If it is none, or there is none.
    pub fn number(&mut self) -> Result<u64, String> {
        parse_number(self.positional().ok_or("a number is missing")?)
    }

    /// The value in `name=value`.
    pub fn option(&mut self, name: &str) -> Option<&'a str> {
        let value = |word: &&'a str| word.strip_prefix(name)?.strip_prefix('=');
        let at = self.words.iter().position(|word| value(word).is_some())?;
        value(&self.words.remove(at))
    }

    /// The number in `name=number`.
    ///
    /// # Errors
    /// If it is none, or too large.
    pub fn number_option<N: TryFrom<u64>>(&mut self, name: &str) -> Result<Option<N>, String> {
        let number = self.option(name).map(parse_number).transpose()?;
        number
            .map(|number| N::try_from(number).map_err(|_| format!("`{name}` is too large")))
            .transpose()
    }

    /// Whether the word is there.
    pub fn flag(&mut self, name: &str) -> bool {
        let at = self.words.iter().position(|word| *word == name);
        at.map(|at| self.words.remove(at)).is_some()
    }

    /// # Errors
    /// What nobody asked for.
    pub fn end(&self) -> Result<(), String> {
        match self.words.first() {
            Some(word) => Err(format!("`{word}` means nothing here")),
            None => Ok(()),
        }
    }
}

/// A number without a sign.
///
/// # Errors
/// If it is none.
pub fn parse_number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("`{text}` is no number"))
}

/// A time like `40ms` or `2s`.
///
/// # Errors
/// If it is none.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no duration like 40ms or 2s");
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, 1),
        None => (text.strip_suffix('s').ok_or_else(wrong)?, 1000),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    Ok(Duration::from_millis(number.saturating_mul(unit)))
}
