//! The packages of the workspace and what they depend on, as cargo reads them.

use std::path::Path;
use std::{fs, io};

use cargo_metadata::semver::VersionReq;
use cargo_metadata::{DependencyKind, MetadataCommand, Package};

use crate::finding::Finding;

/// A package and what it depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    /// The package's folder, from the root: `crates/raft`.
    pub(crate) folder: String,
    pub(crate) name: String,
    pub(crate) dependencies: Vec<Dependency>,
}

/// One entry of a table of dependencies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dependency {
    /// The package's own name, also where it is renamed.
    pub(crate) package: String,
    /// The first line that names it, counted from 1.
    pub(crate) line: usize,
    /// Only tests, examples and benches need it.
    pub(crate) dev: bool,
    pub(crate) optional: bool,
    /// It is named by its path and nothing else, so that it does not count when the package is published.
    pub(crate) path_only: bool,
}

/// The manifests of all members of the workspace in `root`.
///
/// # Errors
/// When cargo cannot read one of them.
pub(crate) fn read(root: &Path) -> io::Result<Vec<Manifest>> {
    let metadata = MetadataCommand::new()
        .manifest_path(root.join("Cargo.toml"))
        .no_deps()
        .exec()
        .map_err(io::Error::other)?;
    let root = metadata.workspace_root.as_std_path();
    let packages = metadata.packages.iter();
    packages
        .map(|package| Manifest::of(package, root))
        .collect()
}

impl Manifest {
    fn of(package: &Package, root: &Path) -> io::Result<Self> {
        let path = package.manifest_path.as_std_path();
        let folder = path
            .parent()
            .and_then(|folder| folder.strip_prefix(root).ok());
        let folder =
            folder.ok_or_else(|| io::Error::other(format!("{} is outside", path.display())))?;
        let text = fs::read_to_string(path)?;
        let dependencies = package.dependencies.iter();
        Ok(Self {
            folder: folder.to_string_lossy().replace('\\', "/"),
            name: package.name.to_string(),
            dependencies: dependencies
                .map(|dependency| Dependency::of(dependency, &text))
                .collect(),
        })
    }
}

impl Dependency {
    fn of(dependency: &cargo_metadata::Dependency, text: &str) -> Self {
        let dev = dependency.kind == DependencyKind::Development;
        let key = dependency.rename.as_ref().unwrap_or(&dependency.name);
        Self {
            package: dependency.name.clone(),
            line: line_of(text, key, dev),
            dev,
            optional: dependency.optional,
            path_only: dependency.path.is_some() && dependency.req == VersionReq::STAR,
        }
    }
}

/// The line with this key in a table of dependencies, or the first line of all.
fn line_of(text: &str, key: &str, dev: bool) -> usize {
    let mut in_table = false;
    for (line, entry) in (1..).zip(text.lines().map(without_comment)) {
        if let Some(header) = entry.strip_prefix('[') {
            in_table =
                header.contains("dependencies") && header.contains("dev-dependencies") == dev;
        }
        let name = entry.trim_start_matches('[').rsplit("dependencies.").next();
        let names_it = name.is_some_and(|name| {
            let name = name.trim_start_matches(['"', '\'']);
            let rest = name.strip_prefix(key);
            rest.is_some_and(|rest| rest.starts_with([' ', '=', '.', '"', '\'', ']']))
        });
        if in_table && names_it {
            return line;
        }
    }
    1
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_dependency_is_read() {
        let root = std::env::temp_dir().join(format!("synod-manifests-{}", std::process::id()));
        let sim = "[package]\nname = \"synod-sim\"\nversion = \"0.1.0\"\n";
        let wal = r#"
[package]
name = "synod-wal" # ours
version = "0.1.0"

[features]
fast = ["dep:quick"]

[dependencies]
plain = "1"
quick = { version = "1", optional = true }
log = { package = "synod-sim", path = "../sim", optional = true }

[target.'cfg(target_os = "linux")'.build-dependencies]
synod-sim.workspace = true

[dev-dependencies]
synod-sim.path = "../sim"

[dev-dependencies.synod-wal]
path = "."
features = ["fast"]
"#;
        let workspace = "[workspace]\nmembers = [\"crates/*\"]\nresolver = \"3\"\n[workspace.dependencies]\n\
                         synod-sim = { path = \"crates/sim\", version = \"0.1.0\" }\nnot-here = \"1\"\n";
        let files = [
            ("Cargo.toml", workspace),
            ("crates/sim/Cargo.toml", sim),
            ("crates/sim/src/lib.rs", ""),
            ("crates/wal/Cargo.toml", wal),
            ("crates/wal/src/lib.rs", ""),
        ];
        for (path, text) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().expect("in a folder")).expect("a folder");
            fs::write(path, text).expect("a file");
        }
        let manifests = read(&root);
        fs::remove_dir_all(&root).expect("removed");
        let manifests = manifests.expect("read");
        let manifest = manifests
            .iter()
            .find(|manifest| manifest.folder == "crates/wal")
            .expect("a member");
        assert_eq!(manifest.name, "synod-wal");
        let mut read = manifest
            .dependencies
            .iter()
            .map(|d| (d.line, &d.package[..], d.dev, d.optional, d.path_only))
            .collect::<Vec<_>>();
        read.sort_unstable();
        assert_eq!(
            read,
            [
                (10, "plain", false, false, false),
                (11, "quick", false, true, false),
                (12, "synod-sim", false, true, true),
                (15, "synod-sim", false, false, false),
                (18, "synod-sim", true, false, true),
                (20, "synod-wal", true, false, true),
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
