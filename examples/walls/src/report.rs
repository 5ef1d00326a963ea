//! What a demo prints, and whether its verdict stands.

use std::fmt::{Display, Write};

/// The end of a demo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// For a person.
    pub text: String,
    /// What was seen is what the theorem says.
    pub stands: bool,
}

/// A report that is being written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Page {
    text: String,
    stands: Vec<bool>,
}

impl Page {
    /// With the theorem first: where it was published, and what it says.
    pub(crate) fn new(title: &str, source: &str, theorem: &str) -> Self {
        let mut page = Self::default();
        page.line(title);
        page.line("=".repeat(title.chars().count()));
        page.paragraph(theorem);
        page.line(format_args!("  [{source}]"));
        page
    }

    pub(crate) fn head(&mut self, text: &str) {
        self.line("");
        self.line(text);
        self.line("-".repeat(text.chars().count()));
    }

    /// Text of any length, in lines.
    pub(crate) fn paragraph(&mut self, text: &str) {
        let mut line = String::new();
        for word in text.split_whitespace() {
            let length = line.chars().count() + 1 + word.chars().count();
            if length > COLUMNS && !line.is_empty() {
                self.line(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        self.line(line);
    }

    pub(crate) fn line(&mut self, line: impl Display) {
        let line = line.to_string();
        // To write to a string cannot fail.
        let _ = writeln!(self.text, "{}", line.trim_end());
    }

    /// One of the sentences of which the verdict consists.
    pub(crate) fn verdict(&mut self, stands: bool, sentence: &str) {
        let mark = if stands { "stands" } else { "FAILS" };
        self.paragraph(&format!("verdict: {mark}: {sentence}"));
        self.stands.push(stands);
    }

    /// A page without a verdict has shown nothing.
    pub(crate) fn end(self) -> Report {
        let stands = !self.stands.is_empty() && self.stands.iter().all(|it| *it);
        Report {
            text: self.text,
            stands,
        }
    }
}

/// A bar for a number, on a scale where `most` is `columns` long.
pub(crate) fn bar(number: f64, most: f64, columns: usize) -> String {
    if most <= 0.0 {
        return String::new();
    }
    let length = (number / most * columns as f64).round() as usize;
    let shown = if number > 0.0 { length.max(1) } else { 0 };
    "█".repeat(shown.min(columns))
}

const COLUMNS: usize = 96;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_stands_if_all_of_it_does_and_something_was_shown() {
        let page = || Page::new("title", "source", "theorem");
        assert!(!page().end().stands);
        let mut half = page();
        half.verdict(true, "one");
        assert!(half.clone().end().stands);
        half.verdict(false, "another");
        let end = half.end();
        assert!(!end.stands && end.text.contains("FAILS: another"));
    }

    #[test]
    fn what_is_not_nothing_is_seen() {
        assert_eq!(bar(1.0, 1000.0, 10), "█");
        assert_eq!(bar(0.0, 1000.0, 10), "");
        assert_eq!(bar(1000.0, 1000.0, 10), "█".repeat(10));
    }
}
