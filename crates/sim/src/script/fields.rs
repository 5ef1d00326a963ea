//! What stands between the brackets of a message.

use super::arguments::parse_number;

/// What a message says, as `Name(field, name value, [item], [item])` is written. Each field is taken by
/// whoever knows it; what is left at the [`end`](Self::end) is a mistake.
#[derive(Debug)]
pub struct Fields<'a> {
    name: &'a str,
    fields: Vec<&'a str>,
}

impl<'a> Fields<'a> {
    /// The fields of a message.
    ///
    /// # Errors
    /// If that is no message.
    pub fn parse(text: &'a str) -> Result<Self, String> {
        let parts = text.strip_suffix(')').and_then(|text| text.split_once('('));
        let (name, fields) = parts.ok_or_else(|| format!("`{text}` is no message"))?;
        Ok(Self {
            name,
            fields: fields.split(", ").collect(),
        })
    }

    /// The name of the message.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// What stands behind this name.
    ///
    /// # Errors
    /// If it is not there.
    pub fn value(&mut self, name: &str) -> Result<&'a str, String> {
        let value = |field: &&'a str| field.strip_prefix(name)?.strip_prefix(' ');
        let at = self.fields.iter().position(|field| value(field).is_some());
        let at = at.ok_or_else(|| format!("`{name}` is missing"))?;
        Ok(value(&self.fields.remove(at)).unwrap_or_default().trim())
    }

    /// The number behind this name.
    ///
    /// # Errors
    /// If it is not there, or is none.
    pub fn number(&mut self, name: &str) -> Result<u64, String> {
        parse_number(self.value(name)?)
    }

    /// Whether the word is there.
    pub fn flag(&mut self, name: &str) -> bool {
        let at = self.fields.iter().position(|field| *field == name);
        at.map(|at| self.fields.remove(at)).is_some()
    }

    /// Everything in brackets of its own.
    ///
    /// # Errors
    /// The first that is wrong.
    pub fn list<T>(&mut self, parse: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
        let item = |field: &&'a str| field.strip_prefix('[')?.strip_suffix(']');
        let list = self.fields.iter().filter_map(item).map(parse).collect();
        self.fields.retain(|field| item(field).is_none());
        list
    }

    /// # Errors
    /// What nobody asked for.
    pub fn end(&self) -> Result<(), String> {
        match self.fields.first() {
            Some(field) => Err(format!("`{field}` is not of {}", self.name)),
            None => Ok(()),
        }
    }
}
