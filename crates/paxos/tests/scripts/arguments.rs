//! What stands behind the name of a command: words in their order, `key=value`, and flags.

use crate::notation::parse_number;

#[derive(Debug)]
pub(crate) struct Arguments<'a> {
    words: Vec<&'a str>,
}

impl<'a> Arguments<'a> {
    pub(crate) fn parse(text: &'a str) -> Self {
        Self {
            words: text.split_whitespace().collect(),
        }
    }

    /// The next word.
    pub(crate) fn positional(&mut self) -> Option<&'a str> {
        (!self.words.is_empty()).then(|| self.words.remove(0))
    }

    pub(crate) fn number(&mut self) -> Result<u64, String> {
        parse_number(self.positional().ok_or("a number is missing")?)
    }

    /// The value in `name=value`.
    pub(crate) fn option(&mut self, name: &str) -> Option<&'a str> {
        let value = |word: &&'a str| word.strip_prefix(name)?.strip_prefix('=');
        let at = self.words.iter().position(|word| value(word).is_some())?;
        value(&self.words.remove(at))
    }

    pub(crate) fn number_option<N: TryFrom<u64>>(
        &mut self,
        name: &str,
    ) -> Result<Option<N>, String> {
        let number = self.option(name).map(parse_number).transpose()?;
        number
            .map(|number| N::try_from(number).map_err(|_| format!("`{name}` is too large")))
            .transpose()
    }

    pub(crate) fn flag(&mut self, name: &str) -> bool {
        let at = self.words.iter().position(|word| *word == name);
        at.map(|at| self.words.remove(at)).is_some()
    }

    /// # Errors
    /// What nobody asked for.
    pub(crate) fn end(&self) -> Result<(), String> {
        match self.words.first() {
            Some(word) => Err(format!("`{word}` means nothing here")),
            None => Ok(()),
        }
    }
}
