//! Names of files, folders and modules that say nothing.

use crate::finding::Finding;

/// Checks the name of each part of the path, and of the modules that a source declares.
pub(crate) fn check(path: &str, text: &str, findings: &mut Vec<Finding>) {
    if let Some(name) = path.split('/').map(stem).find(|name| is_empty_name(name)) {
        findings.push(Finding::new(path, 1, "name", message(name)));
    }
    if !path.ends_with(".rs") {
        return;
    }
    for (number, line) in (1..).zip(text.lines()) {
        if let Some(name) = declared_module(line).filter(|name| is_empty_name(name)) {
            findings.push(Finding::new(path, number, "name", message(name)));
        }
    }
}

fn message(name: &str) -> String {
    format!("`{name}` says nothing: name the concept it holds")
}

fn stem(part: &str) -> &str {
    part.split('.').next().unwrap_or(part)
}

/// The name in `pub(crate) mod name;` or `mod name {`.
fn declared_module(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let line = match line.strip_prefix("pub") {
        Some(rest) if rest.starts_with('(') => rest.split_once(')')?.1,
        Some(rest) => rest,
        None => line,
    };
    let name = line.trim_start().strip_prefix("mod ")?;
    Some(name.trim_end_matches([';', '{', ' ']).trim())
}

fn is_empty_name(name: &str) -> bool {
    [
        "util", "utils", "common", "commons", "helper", "helpers", "misc",
    ]
    .contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &str, text: &str) -> Vec<usize> {
        let mut findings = Vec::new();
        check(path, text, &mut findings);
        findings.iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn files_and_folders_are_named_for_what_they_hold() {
        for path in [
            "crates/raft/src/utils.rs",
            "crates/common/src/lib.rs",
            "tests/helpers/mod.rs",
            "misc.md",
        ] {
            assert_eq!(lines(path, ""), [1], "{path}");
        }
        assert_eq!(lines("crates/raft/src/commonplace.rs", ""), [0; 0]);
    }

    #[test]
    fn modules_are_named_for_what_they_hold() {
        for line in [
            "mod utils;",
            "pub mod common {",
            "    pub(crate) mod helpers;",
            "pub(in crate::a) mod misc {",
        ] {
            assert_eq!(lines("src/lib.rs", &format!("\n{line}\n")), [2], "{line}");
        }
        for line in [
            "mod log;",
            "// mod utils;",
            "pub fn common() {",
            "let common = model::utils;",
        ] {
            assert_eq!(lines("src/lib.rs", line), [0; 0], "{line}");
        }
        assert_eq!(lines("README.md", "mod utils;"), [0; 0]);
    }
}
