//! The state of a node at a moment, as described by its own program.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use crate::world::Process;

/// The displayed state of a node: its role, its log, and other information.
///
/// Fields left at their defaults are not shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct View {
    /// Its role in the protocol: `leader`, `coordinator`. A change of it is shown as an event.
    pub role: String,
    /// The term, ballot or view that it is in.
    pub epoch: String,
    /// Whether it considers itself the leader.
    pub leads: bool,
    /// Its commit index.
    pub committed: u64,
    /// The log begins behind this index; what stood there is in a snapshot.
    pub log_start: u64,
    /// What stands in its log, by index. The page keeps the last [`LOG_ENTRIES_MAX`] of it.
    pub log: BTreeMap<u64, Entry>,
    /// What holds of it: "has voted for n2", "waits for a disk". What is new is shown with the event
    /// that brought it.
    pub marks: Vec<String>,
    /// Anything else, in one line.
    pub text: String,
    /// Between which two times it takes the true time to be, counted as its wall clock counts.
    pub clock: Option<(Duration, Duration)>,
}

/// An entry of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// The term or ballot of it.
    pub epoch: String,
    /// What it says, in short.
    pub text: String,
}

/// A process that can be shown on a page; see [`World::recorded`](crate::World::recorded).
///
/// Called after each of its steps; must not change its state.
pub trait Portrait: Process {
    /// The current view.
    fn view(&self) -> View;

    /// The name of a message, by which a reader finds others like it, and what it says. By default
    /// both come from its `Debug`.
    fn caption(message: &Self::Message) -> (String, String) {
        caption_of(message)
    }
}

/// A caption from `Debug`: the innermost name of nested variants, and the text, with numbers that have
/// a type of their own written as numbers. Of `Replicate(Append { term: Term(3) })` the name is
/// `Append` and the text `Replicate(Append { term: 3 })`; the name of `Vote(2)` is `Vote`.
#[must_use]
pub fn caption_of(message: &impl Debug) -> (String, String) {
    let text = format!("{message:?}");
    let mut rest = text.as_str();
    loop {
        let (name, behind) = rest.split_at(name_length(rest));
        match behind.strip_prefix('(') {
            Some(inner) if inner.starts_with(|char: char| char.is_ascii_uppercase()) => {
                rest = inner;
            }
            _ => return (name.to_owned(), with_plain_numbers(&text)),
        }
    }
}

fn name_length(text: &str) -> usize {
    let end = text.find(|char: char| !char.is_alphanumeric() && char != '_');
    end.unwrap_or(text.len())
}

/// `Term(3)` becomes `3`, but for the name that all begins with.
fn with_plain_numbers(text: &str) -> String {
    let (first, mut rest) = text.split_at(name_length(text));
    let mut plain = first.to_owned();
    while let Some(char) = rest.chars().next() {
        let (name, behind) = rest.split_at(name_length(rest));
        let number = behind
            .strip_prefix('(')
            .and_then(|inner| inner.split_once(')'));
        match number {
            Some((digits, after)) if is_number(digits) && !name.is_empty() => {
                plain.push_str(digits);
                rest = after;
            }
            _ => {
                let taken = name.len().max(char.len_utf8());
                plain.push_str(&rest[..taken]);
                rest = &rest[taken..];
            }
        }
    }
    plain
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

impl View {
    /// Without what is too much for a page.
    pub(super) fn bounded(mut self) -> Self {
        while self.log.len() > LOG_ENTRIES_MAX {
            self.log.pop_first();
        }
        for entry in self.log.values_mut() {
            shorten(&mut entry.text, ENTRY_CHARS_MAX);
        }
        self.marks.truncate(MARKS_MAX);
        shorten(&mut self.text, TEXT_CHARS_MAX);
        self
    }
}

/// Keeps the first `chars_max` characters.
pub(super) fn shorten(text: &mut String, chars_max: usize) {
    if let Some((end, _)) = text.char_indices().nth(chars_max) {
        text.truncate(end);
        text.push_str("..");
    }
}

/// Of a node's log the page shows the last so many entries.
pub const LOG_ENTRIES_MAX: usize = 64;
/// Longer texts are cut.
pub(super) const TEXT_CHARS_MAX: usize = 300;
const ENTRY_CHARS_MAX: usize = 40;
const MARKS_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    #[allow(dead_code, reason = "only shown")]
    enum Outer {
        Replicate(Inner),
        Vote(u8),
        Done,
    }

    #[derive(Debug)]
    #[allow(dead_code, reason = "only shown")]
    enum Inner {
        Append { term: Term, of: Option<Term> },
    }

    #[derive(Debug)]
    #[allow(dead_code, reason = "only shown")]
    struct Term(u8);

    #[test]
    fn messages_have_the_name_of_their_innermost_variant() {
        let name = |message: Outer| caption_of(&message).0;
        let (term, of) = (Term(3), Some(Term(4)));
        let (append, text) = caption_of(&Outer::Replicate(Inner::Append { term, of }));
        assert_eq!(append, "Append");
        assert_eq!(text, "Replicate(Append { term: 3, of: Some(4) })");
        assert_eq!(caption_of(&Outer::Vote(2)).1, "Vote(2)");
        assert_eq!(name(Outer::Vote(2)), "Vote");
        assert_eq!(name(Outer::Done), "Done");
    }

    #[test]
    fn what_is_too_much_is_cut() {
        let entry = |text: &str| Entry {
            epoch: String::new(),
            text: text.to_owned(),
        };
        let log = (1..=1000).map(|index| (index, entry("é")));
        let mut view = View {
            log: log.collect(),
            ..View::default()
        };
        view.log.insert(1001, entry(&"é".repeat(500)));
        let view = view.bounded();
        assert_eq!(view.log.len(), LOG_ENTRIES_MAX);
        assert_eq!(view.log[&1001].text.chars().count(), ENTRY_CHARS_MAX + 2);
    }
}
