//! A mutant as its file tells of it: a header, then a diff.
//!
//! | key | meaning |
//! |---|---|
//! | `Bug` | what is wrong, in a sentence |
//! | `Seen` | where it really happened |
//! | `Row` | its row in the torture list, the measured table, or the list of planted bugs |
//! | `Note` | what else a reader should know, above all why one bug takes several edits; may be absent |
//! | `Ring` | the kind of test that is meant for it |
//! | `Test` | that test: variables for its environment, then arguments of `cargo test` |
//! | `Checker` | a text of that test's failure, by which the check that must fire is known |
//!
//! The last three belong together and may come several times: a bug may have to fall in several rings. A line that
//! begins with a space goes on with the one before.

use std::fmt;
use std::path::{Path, PathBuf};

/// A planted bug.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mutant {
    /// The file's name without its ending.
    pub(crate) name: String,
    /// The folder of its crate, within `crates` or `examples`.
    pub(crate) folder: String,
    pub(crate) path: PathBuf,
    pub(crate) bug: String,
    pub(crate) seen: String,
    pub(crate) row: String,
    pub(crate) trials: Vec<Trial>,
    /// The files that the diff changes, from the root.
    pub(crate) touches: Vec<String>,
}

/// One test that must find the bug.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trial {
    pub(crate) ring: Ring,
    pub(crate) test: Test,
    pub(crate) checker: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ring {
    Unit,
    Script,
    Paper,
    Exhaustive,
    Simulation,
    Crash,
}

/// A call of `cargo test`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Test {
    pub(crate) env: Vec<(String, String)>,
    /// Those of cargo.
    pub(crate) arguments: Vec<String>,
    /// Those behind `--`.
    pub(crate) inner: Vec<String>,
}

/// Why a file is not a mutant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HeaderError {
    Missing(&'static str),
    Unknown {
        line: usize,
        key: String,
    },
    NoKey {
        line: usize,
    },
    Twice(&'static str),
    UnknownRing(String),
    /// Nothing behind the header changes a file.
    NoDiff,
    /// A patch may change files and nothing else, so that taking it out again is to write them back.
    CreatesOrRemoves,
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(key) => write!(f, "the header has no `{key}:`"),
            Self::Unknown { line, key } => write!(f, "line {line}: unknown key `{key}`"),
            Self::NoKey { line } => write!(f, "line {line}: neither `key: value` nor the diff"),
            Self::Twice(key) => write!(f, "`{key}:` is given twice"),
            Self::UnknownRing(ring) => {
                let rings = Ring::ALL.map(Ring::name).join(", ");
                write!(f, "`{ring}` is none of the rings {rings}")
            }
            Self::NoDiff => f.write_str("there is no diff behind the header"),
            Self::CreatesOrRemoves => f.write_str("the diff creates or removes a file"),
        }
    }
}

impl Mutant {
    /// Reads the file at `path`, whose folder is `mutants` in that of its crate.
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self, HeaderError> {
        let part = |path: Option<&Path>| {
            let name = path.and_then(Path::file_name).unwrap_or_default();
            name.to_string_lossy().into_owned()
        };
        let name = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let mut header = Header::default();
        for (key, value) in fields(text)? {
            header.take(&key, value)?;
        }
        let trials = header.trials()?;
        Ok(Self {
            name,
            folder: part(path.parent().and_then(Path::parent)),
            path: path.to_owned(),
            bug: header.bug.ok_or(HeaderError::Missing("Bug"))?,
            seen: header.seen.ok_or(HeaderError::Missing("Seen"))?,
            row: header.row.ok_or(HeaderError::Missing("Row"))?,
            trials,
            touches: touches(text)?,
        })
    }
}

/// What was read of a header so far.
#[derive(Default)]
struct Header {
    bug: Option<String>,
    seen: Option<String>,
    row: Option<String>,
    note: Option<String>,
    trials: Vec<(Ring, Option<Test>, Option<String>)>,
}

impl Header {
    fn take(&mut self, key: &str, value: String) -> Result<(), HeaderError> {
        match key {
            "Bug" => once("Bug", &mut self.bug, value),
            "Seen" => once("Seen", &mut self.seen, value),
            "Row" => once("Row", &mut self.row, value),
            "Note" => once("Note", &mut self.note, value),
            "Ring" => {
                self.trials.push((Ring::parse(&value)?, None, None));
                Ok(())
            }
            "Test" => {
                let (_, test, _) = self.trials.last_mut().ok_or(HeaderError::Missing("Ring"))?;
                once("Test", test, Test::parse(&value))
            }
            // That of a `Checker`, the only key left: `fields` gives no others.
            _ => {
                let (_, _, checker) = self.trials.last_mut().ok_or(HeaderError::Missing("Ring"))?;
                once("Checker", checker, value)
            }
        }
    }

    fn trials(&mut self) -> Result<Vec<Trial>, HeaderError> {
        if self.trials.is_empty() {
            return Err(HeaderError::Missing("Ring"));
        }
        let whole = |(ring, test, checker): (Ring, Option<Test>, Option<String>)| {
            Ok(Trial {
                ring,
                test: test.ok_or(HeaderError::Missing("Test"))?,
                checker: checker.ok_or(HeaderError::Missing("Checker"))?,
            })
        };
        self.trials.drain(..).map(whole).collect()
    }
}

fn once<T>(key: &'static str, place: &mut Option<T>, value: T) -> Result<(), HeaderError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(HeaderError::Twice(key)),
    }
}

/// The header's keys and values; it ends at the diff.
fn fields(text: &str) -> Result<Vec<(String, String)>, HeaderError> {
    let mut fields: Vec<(String, String)> = Vec::new();
    for (line, content) in (1..).zip(text.lines()) {
        if content.starts_with("diff --git ") {
            break;
        }
        match (content.strip_prefix(' '), fields.last_mut()) {
            (Some(more), Some((_, value))) => {
                value.push(' ');
                value.push_str(more.trim());
            }
            _ if content.trim().is_empty() => {}
            _ => {
                let (key, value) = content.split_once(':').ok_or(HeaderError::NoKey { line })?;
                let key = key.to_owned();
                if !KEYS.contains(&key.as_str()) {
                    return Err(HeaderError::Unknown { line, key });
                }
                fields.push((key, value.trim().to_owned()));
            }
        }
    }
    fields.retain(|(_, value)| !value.is_empty());
    Ok(fields)
}

/// The files that the diff changes.
fn touches(text: &str) -> Result<Vec<String>, HeaderError> {
    let mut touches = Vec::new();
    let diff = text
        .lines()
        .skip_while(|line| !line.starts_with("diff --git "));
    for line in diff {
        if line == "--- /dev/null" || line == "+++ /dev/null" {
            return Err(HeaderError::CreatesOrRemoves);
        }
        if let Some(path) = line.strip_prefix("+++ b/") {
            touches.push(path.trim_end().to_owned());
        }
    }
    if touches.is_empty() {
        return Err(HeaderError::NoDiff);
    }
    Ok(touches)
}

impl Ring {
    const ALL: [Self; 6] = [
        Self::Unit,
        Self::Script,
        Self::Paper,
        Self::Exhaustive,
        Self::Simulation,
        Self::Crash,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Unit => "unit",
            Self::Script => "script",
            Self::Paper => "paper",
            Self::Exhaustive => "exhaustive",
            Self::Simulation => "simulation",
            Self::Crash => "crash",
        }
    }

    fn parse(name: &str) -> Result<Self, HeaderError> {
        let ring = Self::ALL.into_iter().find(|ring| ring.name() == name);
        ring.ok_or_else(|| HeaderError::UnknownRing(name.to_owned()))
    }
}

impl Test {
    fn parse(line: &str) -> Self {
        let mut words = line.split_whitespace().map(str::to_owned).peekable();
        let mut env = Vec::new();
        while let Some((name, value)) = words.peek().and_then(|word| word.split_once('='))
            && is_variable(name)
        {
            env.push((name.to_owned(), value.to_owned()));
            words.next();
        }
        let arguments = words.by_ref().take_while(|word| word != "--").collect();
        Self {
            env,
            arguments,
            inner: words.collect(),
        }
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.env {
            write!(f, "{name}={value} ")?;
        }
        f.write_str(&self.arguments.join(" "))?;
        if !self.inner.is_empty() {
            write!(f, " -- {}", self.inner.join(" "))?;
        }
        Ok(())
    }
}

fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'_'))
}

const KEYS: [&str; 7] = ["Bug", "Seen", "Row", "Note", "Ring", "Test", "Checker"];

#[cfg(test)]
mod tests {
    use super::*;

    const DIFF: &str = "\
diff --git a/crates/raft/src/quorum.rs b/crates/raft/src/quorum.rs
--- a/crates/raft/src/quorum.rs
+++ b/crates/raft/src/quorum.rs
@@ -1 +1 @@
-a: 1
+a: 2
";

    fn parse(header: &str) -> Result<Mutant, HeaderError> {
        Mutant::parse(
            Path::new("r/crates/raft/mutants/half.patch"),
            &format!("{header}\n{DIFF}"),
        )
    }

    const WHOLE: &str = "\
Bug: Half of the voters are a quorum.
Seen: somewhere,
  long ago: twice
Row: quorum_half
Ring: unit
Test: -p synod-raft --lib quorum
Checker: half of an even set
Ring: simulation
Test: SIM_RUNS=5 SIM_BASE=0x7 -p synod-replica --profile sim a=b -- --nocapture
Checker: election safety
";

    #[test]
    fn a_whole_header_is_read() {
        let mutant = parse(WHOLE).expect("it is whole");
        assert_eq!((&mutant.name[..], &mutant.folder[..]), ("half", "raft"));
        assert_eq!(mutant.bug, "Half of the voters are a quorum.");
        assert_eq!(mutant.seen, "somewhere, long ago: twice");
        assert_eq!(mutant.touches, ["crates/raft/src/quorum.rs"]);
        let [unit, simulation] = &mutant.trials[..] else {
            panic!("two trials: {mutant:?}")
        };
        assert_eq!((unit.ring, simulation.ring), (Ring::Unit, Ring::Simulation));
        assert_eq!(unit.test.to_string(), "-p synod-raft --lib quorum");
        let test = &simulation.test;
        assert_eq!(
            test.env.len(),
            2,
            "a filter with an equals sign is no variable: {test:?}"
        );
        assert_eq!(test.arguments.last().map(String::as_str), Some("a=b"));
        assert_eq!(test.inner, ["--nocapture"]);
        assert!(WHOLE.contains(&test.to_string()));
    }

    #[test]
    fn what_is_missing_is_named() {
        for key in ["Bug", "Seen", "Row"] {
            let mut lines: Vec<&str> = WHOLE.lines().collect();
            let at = lines
                .iter()
                .position(|line| line.starts_with(key))
                .expect("it is there");
            lines[at] = "";
            lines.retain(|line| !(key == "Seen" && line.starts_with(' ')));
            assert_eq!(parse(&lines.join("\n")), Err(HeaderError::Missing(key)));
        }
        let without_checker = WHOLE
            .trim_end()
            .trim_end_matches("Checker: election safety");
        assert_eq!(parse(without_checker), Err(HeaderError::Missing("Checker")));
        assert_eq!(
            parse(&WHOLE.replacen("Ring: unit\n", "", 1)),
            Err(HeaderError::Missing("Ring"))
        );
        let empty = WHOLE.replacen("Row: quorum_half", "Row:", 1);
        assert_eq!(parse(&empty), Err(HeaderError::Missing("Row")));
    }

    #[test]
    fn what_does_not_belong_is_named() {
        let line = |line: &str| parse(&format!("{line}\n{WHOLE}"));
        let unknown = HeaderError::Unknown {
            line: 1,
            key: "Bugs".to_owned(),
        };
        assert_eq!(line("Bugs: many"), Err(unknown));
        assert_eq!(line("many bugs"), Err(HeaderError::NoKey { line: 1 }));
        assert_eq!(line("Bug: another"), Err(HeaderError::Twice("Bug")));
        let ring = parse(&WHOLE.replacen("Ring: unit", "Ring: nose", 1));
        assert_eq!(ring, Err(HeaderError::UnknownRing("nose".to_owned())));
    }

    #[test]
    fn a_diff_changes_files_that_exist() {
        let path = Path::new("crates/raft/mutants/half.patch");
        assert_eq!(Mutant::parse(path, WHOLE), Err(HeaderError::NoDiff));
        let creates = format!(
            "{WHOLE}{}",
            DIFF.replacen("--- a/crates/raft/src/quorum.rs", "--- /dev/null", 1)
        );
        assert_eq!(
            Mutant::parse(path, &creates),
            Err(HeaderError::CreatesOrRemoves)
        );
    }
}
