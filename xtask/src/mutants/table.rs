//! The table of mutants: for a person at the end of a run, and for the repository.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::time::Duration;
use std::{fs, io};

use super::Tried;
use super::patch::{Mutant, Trial};
use super::verdict::{Verdict, effort};

/// One mutant in one ring.
pub(crate) struct Row {
    name: String,
    folder: String,
    bug: String,
    seen: String,
    row: String,
    ring: &'static str,
    verdict: Verdict,
    /// After how many seeds or states.
    after: Option<String>,
    took: Option<Duration>,
}

impl Row {
    pub(crate) fn new(mutant: &Mutant, trial: &Trial, tried: Tried) -> Self {
        let caught = tried.run.filter(|_| tried.verdict == Verdict::Caught);
        Self {
            name: mutant.name.clone(),
            folder: mutant.folder.clone(),
            bug: mutant.bug.clone(),
            seen: mutant.seen.clone(),
            row: mutant.row.clone(),
            ring: trial.ring.name(),
            verdict: tried.verdict,
            after: caught.as_ref().and_then(|run| effort(&run.output)),
            took: caught.map(|run| run.took),
        }
    }

    pub(crate) fn is_caught(&self) -> bool {
        self.verdict == Verdict::Caught
    }

    fn after(&self) -> &str {
        self.after.as_deref().unwrap_or_default()
    }

    fn seconds(&self) -> String {
        self.took
            .map(|took| format!("{:.1}", took.as_secs_f64()))
            .unwrap_or_default()
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}/{}, {}: {}",
            self.folder, self.name, self.ring, self.verdict
        )
    }
}

/// In columns, with a last line that counts.
pub(crate) fn plain(rows: &[Row]) -> String {
    let mut cells = vec![["mutant", "ring", "", "after", "s", "bug"].map(str::to_owned)];
    cells.extend(rows.iter().map(|row| {
        let name = format!("{}/{}", row.folder, row.name);
        [
            name,
            row.ring.to_owned(),
            row.verdict.to_string(),
            row.after().to_owned(),
            row.seconds(),
            row.bug.clone(),
        ]
    }));
    let widths: [usize; 6] = std::array::from_fn(|column| {
        let widths = cells.iter().map(|row| row[column].chars().count());
        widths.max().unwrap_or(0)
    });
    let mut text = String::new();
    for row in &cells {
        let line: Vec<String> = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        text.push_str(line.join("  ").trim_end());
        text.push('\n');
    }
    let caught = rows.iter().filter(|row| row.is_caught()).count();
    text.push_str(&format!("{caught} of {} caught", rows.len()));
    text
}

/// As Markdown: of each crate a section with a table, which has a row for each mutant and ring.
fn sections(rows: &[Row]) -> BTreeMap<String, String> {
    let mut sections = BTreeMap::new();
    for rows in rows.chunk_by(|row, next| row.folder == next.folder) {
        let folder = rows.first().map_or("", |row| &row.folder);
        let mutants = rows.chunk_by(|row, next| row.name == next.name);
        let lines: String = mutants.clone().map(markdown_of_one).collect();
        let heads = "| mutant | bug | seen | row | ring | verdict | after | s |";
        let rule = "---|".repeat(8);
        let count = mutants.count();
        let section = format!("{SECTION}{folder}: {count} bugs\n\n{heads}\n|{rule}\n{lines}");
        sections.insert(folder.to_owned(), section);
    }
    sections
}

/// The sections that a document has, by crate.
fn sections_of(table: &str) -> BTreeMap<String, String> {
    let section = |text: &str| {
        let (folder, _) = text.split_once(':')?;
        Some((folder.to_owned(), format!("{SECTION}{}\n", text.trim_end())))
    };
    table.split(SECTION).skip(1).filter_map(section).collect()
}

/// The rows of one mutant. What they have in common stands in the first.
fn markdown_of_one(rows: &[Row]) -> String {
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        let once = |cell: &str| {
            if number == 0 {
                cell.replace('|', "\\|")
            } else {
                String::new()
            }
        };
        let cells = [
            once(&format!("`{}`", row.name)),
            once(&row.bug),
            once(&row.seen),
            once(&row.row),
            row.ring.to_owned(),
            row.verdict.to_string().replace('|', "\\|"),
            row.after().to_owned(),
            row.seconds(),
        ];
        text.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    text
}

/// Puts the tables between their marks in a document; crates of which there are no rows keep theirs.
pub(crate) fn write(document: &Path, rows: &[Row]) -> io::Result<()> {
    let text = fs::read_to_string(document)?;
    let text = replaced(&text, rows).ok_or_else(|| {
        io::Error::other(format!(
            "{} has no marks `{BEGIN}` and `{END}`",
            document.display()
        ))
    })?;
    fs::write(document, text)
}

fn replaced(text: &str, rows: &[Row]) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (old, after) = rest.split_once(END)?;
    let mut tables = sections_of(old);
    tables.extend(sections(rows));
    let tables: Vec<String> = tables.into_values().collect();
    Some(format!(
        "{before}{BEGIN}\n\n{}\n{END}{after}",
        tables.join("\n")
    ))
}

const SECTION: &str = "### ";
const BEGIN: &str = "<!-- written by `cargo xtask mutants --markdown` -->";
const END: &str = "<!-- end of the table -->";

#[cfg(test)]
mod tests {
    use super::*;

    fn row(ring: &'static str, verdict: Verdict) -> Row {
        Row {
            name: "quorum_half".to_owned(),
            folder: "raft".to_owned(),
            bug: "Half is enough: a|b.".to_owned(),
            seen: "somewhere".to_owned(),
            row: "quorum_half".to_owned(),
            ring,
            verdict,
            after: Some("seed 3".to_owned()),
            took: Some(Duration::from_millis(1240)),
        }
    }

    #[test]
    fn the_plain_table_counts() {
        let text = plain(&[
            row("unit", Verdict::Caught),
            row("simulation", Verdict::Survived),
        ]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4);
        assert_eq!(
            lines[1],
            "raft/quorum_half  unit        caught    seed 3  1.2  Half is enough: a|b."
        );
        assert_eq!(lines[3], "1 of 2 caught");
    }

    #[test]
    fn the_table_stands_between_its_marks() {
        let rows = [
            row("unit", Verdict::Caught),
            row("simulation", Verdict::Caught),
        ];
        let old = "### raft: 7 bugs\n\nold\n\n### wal: 1 bugs\n\nkept\n";
        let document = format!("# T\n{BEGIN}\n\n{old}\n{END}\nend\n");
        let once = replaced(&document, &rows).unwrap_or_default();
        assert!(
            once.starts_with("# T\n")
                && once.ends_with(&format!("{END}\nend\n"))
                && !once.contains("old")
        );
        assert!(once.contains("### raft: 1 bugs\n\n| mutant |"));
        assert!(once.contains("### wal: 1 bugs\n\nkept\n"));
        assert!(once.contains("| Half is enough: a\\|b. | somewhere |"));
        assert!(once.contains("|  |  |  |  | simulation | caught | seed 3 | 1.2 |"));
        assert_eq!(replaced(&once, &rows).as_deref(), Some(&once[..]));
        assert_eq!(replaced("# T\n", &rows), None);
    }
}
