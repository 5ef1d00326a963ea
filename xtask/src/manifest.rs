//! As much of a package's `Cargo.toml` as the checks need, read line by line.

use crate::finding::Finding;

/// A package and what it depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    /// Where it lies, from the root: `crates/raft`.
    pub(crate) folder: String,
    pub(crate) name: String,
    pub(crate) dependencies: Vec<Dependency>,
}

/// One entry of a table of dependencies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dependency {
    /// The package, also if it was renamed.
    pub(crate) package: String,
    pub(crate) line: usize,
    /// It is needed by tests only.
    pub(crate) dev: bool,
    pub(crate) optional: bool,
    /// It is named by its path and nothing else, so that it does not count when the package is published.
    pub(crate) path_only: bool,
}

impl Manifest {
    /// Reads the lines that matter and passes over the rest.
    pub(crate) fn parse(folder: &str, text: &str) -> Self {
        let mut manifest = Self {
            folder: folder.to_owned(),
            name: String::new(),
            dependencies: Vec::new(),
        };
        let mut table = Table::Other;
        for (line, entry) in (1..).zip(text.lines().map(without_comment)) {
            if let Some(header) = entry
                .strip_prefix('[')
                .and_then(|rest| rest.strip_suffix(']'))
            {
                table = Table::of(header);
                if let Table::Dependency { dev, name } = &table {
                    manifest
                        .dependencies
                        .push(Dependency::new(name, line, *dev));
                }
                continue;
            }
            let Some((key, value)) = entry
                .split_once('=')
                .map(|(key, value)| (key.trim(), value.trim()))
            else {
                continue;
            };
            match &table {
                Table::Package if key == "name" => manifest.name = unquoted(value).to_owned(),
                Table::Dependencies { dev } => manifest.add(key, value, line, *dev),
                Table::Dependency { .. } => {
                    if let Some(dependency) = manifest.dependencies.last_mut() {
                        dependency.refine(key, value);
                    }
                }
                Table::Package | Table::Other => {}
            }
        }
        manifest
    }

    /// An entry `name = value`, `name.key = value`, or `name = { key = value, .. }`.
    fn add(&mut self, key: &str, value: &str, line: usize, dev: bool) {
        let (name, rest) = key
            .split_once('.')
            .map_or((key, None), |(name, rest)| (name, Some(rest)));
        let mut dependency = Dependency::new(unquoted(name), line, dev);
        match (
            rest,
            value
                .strip_prefix('{')
                .and_then(|inner| inner.strip_suffix('}')),
        ) {
            (Some(rest), _) => dependency.refine(rest, value),
            (None, Some(inner)) => {
                for (key, value) in inner.split(',').filter_map(|pair| pair.split_once('=')) {
                    dependency.refine(key.trim(), value.trim());
                }
            }
            (None, None) => dependency.path_only = false,
        }
        // A second dotted key of the same dependency adds to the first.
        match self
            .dependencies
            .iter_mut()
            .find(|other| rest.is_some() && other.is_same_entry(&dependency))
        {
            Some(first) => first.join(&dependency),
            None => self.dependencies.push(dependency),
        }
    }
}

impl Dependency {
    fn new(name: &str, line: usize, dev: bool) -> Self {
        Self {
            package: name.to_owned(),
            line,
            dev,
            optional: false,
            path_only: true,
        }
    }

    fn refine(&mut self, key: &str, value: &str) {
        match key {
            "package" => self.package = unquoted(value).to_owned(),
            "optional" => self.optional = value == "true",
            "workspace" | "version" | "git" | "registry" => self.path_only = false,
            _ => {}
        }
    }

    fn is_same_entry(&self, other: &Self) -> bool {
        self.package == other.package && self.dev == other.dev
    }

    fn join(&mut self, other: &Self) {
        self.optional |= other.optional;
        self.path_only &= other.path_only;
    }
}

/// Which table a line belongs to.
enum Table {
    Package,
    Dependencies { dev: bool },
    Dependency { dev: bool, name: String },
    Other,
}

impl Table {
    fn of(header: &str) -> Self {
        let parts = split_dotted(header);
        let kinds = ["dependencies", "build-dependencies", "dev-dependencies"];
        let kind = parts.iter().position(|part| kinds.contains(part));
        match (parts.as_slice(), kind) {
            (["package"], _) => Self::Package,
            (["workspace" | "patch", ..], _) | (_, None) => Self::Other,
            (parts, Some(at)) => {
                let dev = parts[at] == "dev-dependencies";
                match parts.get(at + 1) {
                    Some(name) => Self::Dependency {
                        dev,
                        name: unquoted(name).to_owned(),
                    },
                    None => Self::Dependencies { dev },
                }
            }
        }
    }
}

/// What every package takes from the workspace instead of saying it itself.
pub(crate) fn check_inheritance(path: &str, text: &str, findings: &mut Vec<Finding>) {
    let lines = text
        .lines()
        .map(|line| without_comment(line).replace(' ', ""))
        .collect::<Vec<_>>();
    for key in ["version", "edition", "rust-version", "license"] {
        if !lines.contains(&format!("{key}.workspace=true")) {
            findings.push(Finding::new(
                path,
                1,
                "inherit",
                format!("`{key}.workspace = true` is missing"),
            ));
        }
    }
    let lints = lines.iter().position(|line| line == "[lints]");
    let inherited = lints.is_some_and(|at| {
        lines
            .get(at + 1)
            .is_some_and(|line| line == "workspace=true")
    });
    if !inherited && !lines.iter().any(|line| line == "lints.workspace=true") {
        findings.push(Finding::new(
            path,
            1,
            "inherit",
            "`[lints] workspace = true` is missing",
        ));
    }
}

/// The line without its comment. A `#` within quotes is not looked for: no value here has one.
fn without_comment(line: &str) -> &str {
    line.split('#').next().unwrap_or(line).trim()
}

fn unquoted(value: &str) -> &str {
    value.trim().trim_matches(['"', '\''])
}

/// The parts of a table's name; dots within quotes do not part.
fn split_dotted(header: &str) -> Vec<&str> {
    let mut quote = None;
    let parts = header.split(|char| match (quote, char) {
        (None, '\'' | '"') => {
            quote = Some(char);
            false
        }
        (Some(open), close) if open == close => {
            quote = None;
            false
        }
        (None, '.') => true,
        _ => false,
    });
    parts.map(str::trim).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_dependency_is_read() {
        let text = r#"
[package]
name = "synod-wal" # ours
version.workspace = true

[features]
fast = ["dep:crc-fast"]

[dependencies]
bytes = { workspace = true, features = ["std"] }
plain = "1"
log = { package = "synod-raft", path = "../raft" }
synod-sim.workspace = true
synod-sim.optional = true

[target.'cfg(target.os = "linux")'.build-dependencies]
built = "1"

[dev-dependencies]
synod-sim.path = "../sim"
"quoted" = { path = "../quoted" }

[dev-dependencies.synod-wal]
path = "."
features = ["sim"]

[workspace.dependencies]
not-here = "1"
"#;
        let manifest = Manifest::parse("crates/wal", text);
        assert_eq!(
            (&manifest.folder[..], &manifest.name[..]),
            ("crates/wal", "synod-wal")
        );
        let read = manifest.dependencies.iter();
        let read = read
            .map(|d| (&d.package[..], d.line, d.dev, d.optional, d.path_only))
            .collect::<Vec<_>>();
        assert_eq!(
            read,
            [
                ("bytes", 10, false, false, false),
                ("plain", 11, false, false, false),
                ("synod-raft", 12, false, false, true),
                ("synod-sim", 13, false, true, false),
                ("built", 17, false, false, false),
                ("synod-sim", 20, true, false, true),
                ("quoted", 21, true, false, true),
                ("synod-wal", 23, true, false, true),
            ]
        );
    }

    #[test]
    fn what_is_not_inherited_is_found() {
        let whole = "version.workspace = true\nedition.workspace = true\nrust-version.workspace = true\n\
                     license.workspace = true\n[lints]\nworkspace = true\n";
        let missing = |text: &str| {
            let mut findings = Vec::new();
            check_inheritance("crates/wal/Cargo.toml", text, &mut findings);
            findings.len()
        };
        assert_eq!(missing(whole), 0);
        for line in whole.lines().filter(|line| *line != "[lints]") {
            let without = whole
                .lines()
                .filter(|other| *other != line)
                .collect::<Vec<_>>()
                .join("\n");
            assert_eq!(missing(&without), 1, "without {line}");
        }
        let own = whole.replacen("version.workspace = true", "version = \"0.1.0\"", 1);
        assert_eq!(missing(&own), 1, "a version of its own");
    }
}
