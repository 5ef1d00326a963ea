//! What may stand in a file, line by line.

use crate::finding::Finding;

/// Checks the lines of any text file, and more of them in Rust sources.
pub(crate) fn check(path: &str, text: &str, findings: &mut Vec<Finding>) {
    let rust = path.ends_with(".rs");
    if rust {
        check_length(path, text, findings);
    }
    if !text.is_empty() && !text.ends_with('\n') {
        let last = text.lines().count();
        findings.push(Finding::new(
            path,
            last,
            "whitespace",
            "no newline at the end of the file",
        ));
    }
    for (number, line) in (1..).zip(text.split_terminator('\n')) {
        let mut find =
            |rule, message: String| findings.push(Finding::new(path, number, rule, message));
        if line.ends_with([' ', '\t', '\r']) {
            find("whitespace", "spaces at the end of the line".to_owned());
        }
        if let Some(place) = MACHINE_PATHS.iter().find(|place| has_path(line, place)) {
            find(
                "machine-path",
                format!("`{place}` is a path of one machine"),
            );
        }
        if !path.ends_with(".md") {
            for (word, instead) in NOTES.iter().filter(|(word, _)| has_word(line, word)) {
                find("banned", format!("`{word}`: {instead}"));
            }
        }
        if rust {
            check_rust_line(line, &mut find);
            // Who drives another's crate writes methods of its traits, by the names that they have.
            if !path.starts_with(PEERS) && has_word(line, concat!("fn ge", "t_*")) {
                find(
                    "banned",
                    concat!("`ge", "t_`: name what is returned, `term()` and not more").to_owned(),
                );
            }
        }
    }
}

fn check_rust_line(line: &str, find: &mut impl FnMut(&'static str, String)) {
    let columns = line.chars().count();
    // A line that is one raw string, a pinned text, cannot be broken.
    if columns > COLUMNS_MAX && !line.trim_start().starts_with("r#\"") {
        find(
            "line-length",
            format!("{columns} columns, at most {COLUMNS_MAX}"),
        );
    }
    for (call, instead) in CALLS.iter().filter(|(call, _)| has_word(line, call)) {
        find("banned", format!("`{call}`: {instead}"));
    }
    if let Some(stray) = line.chars().find(|char| !is_welcome(*char)) {
        find(
            "character",
            format!(
                "`{}` (U+{:04X}): write an escape",
                stray.escape_unicode(),
                u32::from(stray)
            ),
        );
    }
}

fn check_length(path: &str, text: &str, findings: &mut Vec<Finding>) {
    let is_test = path
        .split('/')
        .any(|part| part == "tests" || part == "benches");
    let (lines_max, kind) = if is_test {
        (TEST_LINES_MAX, "tests")
    } else {
        (SOURCE_LINES_MAX, "a source")
    };
    let lines = text.lines().count();
    if lines > lines_max {
        let message = format!("{lines} lines, at most {lines_max} for {kind}: split it by concept");
        findings.push(Finding::new(path, lines, "file-length", message));
    }
}

/// Whether `word` stands in `line` and is not part of a longer word. A `*` at its end allows a longer one.
fn has_word(line: &str, word: &str) -> bool {
    let (word, open) = word
        .strip_suffix('*')
        .map_or((word, false), |word| (word, true));
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at]
            .chars()
            .next_back()
            .is_none_or(|char| !is_word(char));
        let after = line[at + word.len()..]
            .chars()
            .next()
            .is_none_or(|char| !is_word(char));
        let ends_in_word = word.chars().next_back().is_some_and(is_word);
        before && (open || after || !ends_in_word)
    })
}

/// Whether an absolute path begins with `place` in `line`.
fn has_path(line: &str, place: &str) -> bool {
    line.match_indices(place).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        before
            .is_none_or(|char| !is_word(char) && !matches!(char, '.' | '-' | '/' | '}' | '~' | '*'))
    })
}

fn is_word(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

/// ASCII, letters and signs of Western European names, Greek, and what drawings and formulas need.
fn is_welcome(char: char) -> bool {
    match char {
        '\t' => false,
        ' '..='~' => true,
        // Latin-1 but for its controls, the no-break space and the soft hyphen.
        '\u{a1}'..='\u{ac}' | '\u{ae}'..='\u{ff}' => true,
        // Greek.
        '\u{391}'..='\u{3c9}' => true,
        // Dashes, quotation marks, ellipsis; super- and subscript figures.
        '\u{2013}'
        | '\u{2014}'
        | '\u{2018}'..='\u{201d}'
        | '\u{2026}'
        | '\u{2070}'..='\u{209c}' => true,
        // Arrows, mathematical operators.
        '\u{2190}'..='\u{22ff}' => true,
        // Lines, blocks, shapes, check marks.
        '\u{2500}'..='\u{25ff}' | '\u{2713}' | '\u{2717}' => true,
        _ => false,
    }
}

const PEERS: &str = "benches/benches/contenders/";
const SOURCE_LINES_MAX: usize = 500;
const TEST_LINES_MAX: usize = 800;
const COLUMNS_MAX: usize = 120;

// Written in halves, so that this file passes its own check.
const NOTES: [(&str, &str); 3] = [
    (concat!("TO", "DO"), "do it, or open an issue"),
    (concat!("FIX", "ME"), "fix it, or open an issue"),
    (concat!("XX", "X"), "say what is the matter"),
];
const CALLS: [(&str, &str); 3] = [
    (
        concat!("to", "do!("),
        "write it, or leave the path out of the types",
    ),
    (
        concat!("unimple", "mented!("),
        "write it, or leave the path out of the types",
    ),
    (concat!("db", "g!("), "use `tracing`, or nothing"),
];
const MACHINE_PATHS: [&str; 3] = [
    concat!("/ho", "me/"),
    concat!("/ro", "ot/"),
    concat!("/wo", "rk/"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(path: &str, text: &str) -> Vec<(usize, &'static str)> {
        let mut findings = Vec::new();
        check(path, text, &mut findings);
        findings
            .into_iter()
            .map(|finding| (finding.line, finding.rule))
            .collect()
    }

    fn rust(line: &str) -> Vec<(usize, &'static str)> {
        rules("crates/raft/src/raft.rs", &format!("//! Fine.\n{line}\n"))
    }

    #[test]
    fn clean_text_passes() {
        assert_eq!(
            rust("pub fn target(&self) -> u64 { self.forget_me_not } // µs → ≤ └─ é λ"),
            []
        );
        assert_eq!(rust("/// A method; todos, a dbg build, XXXL."), []);
        assert_eq!(rules("README.md", ""), []);
    }

    #[test]
    fn files_have_a_length() {
        let lines = |count| "x\n".repeat(count);
        assert_eq!(rules("crates/raft/src/raft.rs", &lines(500)), []);
        assert_eq!(
            rules("crates/raft/src/raft.rs", &lines(501)),
            [(501, "file-length")]
        );
        assert_eq!(rules("crates/raft/tests/paper.rs", &lines(800)), []);
        assert_eq!(
            rules("crates/raft/tests/paper.rs", &lines(801)),
            [(801, "file-length")]
        );
        assert_eq!(rules("README.md", &lines(1000)), []);
    }

    #[test]
    fn lines_have_a_length_in_columns() {
        assert_eq!(rust(&"é".repeat(120)), []);
        assert_eq!(rust(&"x".repeat(121)), [(2, "line-length")]);
        assert_eq!(rust(&format!("r#\"{}\"#", "x".repeat(121))), []);
    }

    #[test]
    fn banned_calls_and_notes_are_found() {
        for call in [
            concat!("to", "do!()"),
            concat!("unimple", "mented!(\"later\")"),
            concat!("db", "g!(x)"),
        ] {
            assert_eq!(
                rust(&format!("    let x = {call};")),
                [(2, "banned")],
                "{call}"
            );
        }
        for note in [
            concat!("// TO", "DO: later"),
            concat!("/* FIX", "ME */"),
            concat!("// XX", "X"),
        ] {
            assert_eq!(rust(note), [(2, "banned")], "{note}");
            assert_eq!(
                rules(".ci/run", &format!("{note}\n")),
                [(1, "banned")],
                "{note}"
            );
        }
        let getter = concat!("    pub fn ge", "t_term(&self) -> Term {");
        assert_eq!(rust(getter), [(2, "banned")]);
        let of_a_peers_trait = "benches/benches/contenders/peer.rs";
        assert_eq!(rules(of_a_peers_trait, &format!("{getter}\n")), []);
        assert_eq!(rust("    let x = map.get_mut(&key);"), []);
    }

    #[test]
    fn stray_whitespace_is_found() {
        assert_eq!(rust("let x = 1; "), [(2, "whitespace")]);
        assert_eq!(
            rules("Cargo.toml", "a\t\nb\r\n"),
            [(1, "whitespace"), (2, "whitespace")]
        );
        assert_eq!(rules("README.md", "no newline"), [(1, "whitespace")]);
    }

    #[test]
    fn stray_characters_are_found() {
        for stray in [
            '\u{a0}',
            '\u{200b}',
            '\u{202e}',
            '\u{1f600}',
            '\u{430}',
            '\t',
        ] {
            assert_eq!(
                rust(&format!("let x = \"{stray}\";")),
                [(2, "character")],
                "{stray:?}"
            );
        }
    }

    #[test]
    fn paths_of_a_machine_are_found_in_any_file() {
        for place in MACHINE_PATHS {
            for path in ["crates/wal/src/lib.rs", "README.md", ".ci/run"] {
                assert_eq!(
                    rules(path, &format!("cd {place}me\n")),
                    [(1, "machine-path")],
                    "{place} in {path}"
                );
            }
            assert_eq!(
                rules(
                    "README.md",
                    &format!("https://example.org{place}x and net{place}x\n")
                ),
                []
            );
        }
    }
}
