//! Which crate may know which: the arrows of the design, and no others.
//!
//! ```text
//!  lamport  vclock  truetime  transport  wal     durable       none of these knows another
//!                                │       │      │     │
//!                                │       │    raft  paxos      each knows `durable`, and nobody else
//!                                │       │      │     │
//!                                └───────┴─ replica ──┘        the only library that knows several
//!                                              │
//!    sim ── (dev-dependency; replica's feature `sim`)    apps/*, examples/*, benches ──> any library
//!                                                        fuzz ──> any library, and apps/*
//! ```

use crate::finding::Finding;
use crate::manifest::{Dependency, Manifest};

/// Checks every dependency of one of our packages on another.
pub(crate) fn check(manifests: &[Manifest], findings: &mut Vec<Finding>) {
    for manifest in manifests {
        let path = format!("{}/Cargo.toml", manifest.folder);
        let Some(house) = House::of(&manifest.folder) else {
            let message = format!("`{}` has no place in the design", manifest.folder);
            findings.push(Finding::new(&path, 1, "arrow", message));
            continue;
        };
        check_name(manifest, &path, findings);
        for dependency in &manifest.dependencies {
            let Some(target) = manifests
                .iter()
                .find(|other| other.name == dependency.package)
            else {
                check_absent(dependency, &path, findings);
                continue;
            };
            if target.folder != manifest.folder {
                if let Err(reason) = house.may_know(dependency, &target.folder) {
                    let message = format!(
                        "{} must not know {}: {reason}",
                        manifest.folder, target.folder
                    );
                    findings.push(Finding::new(&path, dependency.line, "arrow", message));
                }
            } else if !(dependency.dev && dependency.path_only) {
                let message =
                    "a package may name itself only as a dev-dependency by path".to_owned();
                findings.push(Finding::new(&path, dependency.line, "arrow", message));
            }
        }
    }
}

/// Package names carry the prefix, folders do not.
fn check_name(manifest: &Manifest, path: &str, findings: &mut Vec<Finding>) {
    let folder = manifest.folder.rsplit('/').next().unwrap_or_default();
    let expected = if folder == "xtask" {
        folder.to_owned()
    } else {
        format!("synod-{folder}")
    };
    if manifest.name != expected {
        let message = format!(
            "the package is named `{}` and not `{expected}`",
            manifest.name
        );
        findings.push(Finding::new(path, 1, "arrow", message));
    }
}

/// One of ours by its name, but not in the workspace: an arrow to it could not be judged.
fn check_absent(dependency: &Dependency, path: &str, findings: &mut Vec<Finding>) {
    if dependency.package.starts_with("synod-") {
        let message = format!("`{}` is not in the workspace", dependency.package);
        findings.push(Finding::new(path, dependency.line, "arrow", message));
    }
}

/// The parts of the house that have rules of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum House {
    /// One concept, which knows no other.
    Concept,
    /// A consensus protocol: it stands on `durable`.
    Core,
    Replica,
    Sim,
    /// Apps, examples and benches: they may know every library.
    Guest,
    /// It fuzzes everything, the server too.
    Fuzz,
    Xtask,
}

impl House {
    fn of(folder: &str) -> Option<Self> {
        match folder.split('/').collect::<Vec<_>>().as_slice() {
            ["crates", name] if CONCEPTS.contains(name) => Some(Self::Concept),
            ["crates", "raft" | "paxos"] => Some(Self::Core),
            ["crates", "replica"] => Some(Self::Replica),
            ["crates", "sim"] => Some(Self::Sim),
            ["apps" | "examples", _] | ["benches"] => Some(Self::Guest),
            ["fuzz"] => Some(Self::Fuzz),
            ["xtask"] => Some(Self::Xtask),
            _ => None,
        }
    }

    fn may_know(self, dependency: &Dependency, folder: &str) -> Result<(), &'static str> {
        if self == Self::Fuzz && folder.starts_with("apps/") {
            return Ok(());
        }
        let Some(target) = folder.strip_prefix("crates/") else {
            return Err("nothing depends on apps, examples, benches or chores");
        };
        match self {
            Self::Guest | Self::Fuzz => Ok(()),
            Self::Sim => Err("the simulator knows nobody"),
            Self::Xtask => Err("chores need nobody"),
            Self::Core if target == "durable" => Ok(()),
            Self::Core if !dependency.dev => Err("a core knows `durable` and nobody else"),
            Self::Concept if !dependency.dev => Err("no concept knows another"),
            Self::Concept | Self::Core | Self::Replica if dependency.dev && target == "sim" => {
                match dependency.path_only {
                    true => Ok(()),
                    false => Err(
                        "a dev-dependency on the simulator is by path only, or publishing goes in a circle",
                    ),
                }
            }
            Self::Concept | Self::Core => {
                Err("tests of a concept may use the simulator and nobody else")
            }
            Self::Replica if ["transport", "wal"].contains(&target) => Ok(()),
            Self::Replica if ["raft", "paxos", "sim"].contains(&target) => {
                match dependency.optional || dependency.dev {
                    true => Ok(()),
                    false => Err("it must be optional, behind the feature of its name"),
                }
            }
            Self::Replica => {
                Err("it knows raft, paxos, wal, transport, and the simulator by feature")
            }
        }
    }
}

const CONCEPTS: [&str; 6] = [
    "lamport",
    "vclock",
    "truetime",
    "transport",
    "wal",
    "durable",
];

#[cfg(test)]
mod tests {
    use super::*;

    const FOLDERS: [&str; 11] = [
        "crates/transport",
        "crates/wal",
        "crates/durable",
        "crates/raft",
        "crates/vclock",
        "crates/replica",
        "crates/sim",
        "apps/kv",
        "benches",
        "fuzz",
        "xtask",
    ];

    /// What is found when the package in `folder` has these lines in its manifest.
    fn found(folder: &str, lines: &str) -> Vec<String> {
        let name = |folder: &str| match folder.rsplit('/').next().unwrap_or_default() {
            "xtask" => "xtask".to_owned(),
            name => format!("synod-{name}"),
        };
        let manifests = FOLDERS.map(|each| {
            let lines = if each == folder { lines } else { "" };
            Manifest::parse(
                each,
                &format!("[package]\nname = \"{}\"\n{lines}", name(each)),
            )
        });
        let mut findings = Vec::new();
        check(&manifests, &mut findings);
        findings
            .into_iter()
            .map(|finding| format!("{}:{}", finding.path, finding.line))
            .collect()
    }

    #[test]
    fn the_arrows_of_the_design_pass() {
        let passes = [
            (
                "crates/wal",
                "[dependencies]\nbytes = \"1\"\n[dev-dependencies]\nsynod-sim.path = \"../sim\"",
            ),
            (
                "crates/raft",
                "[dependencies]\nsynod-durable.workspace = true\n[dev-dependencies]\nsynod-sim.path = \"../sim\"",
            ),
            (
                "crates/replica",
                "[dependencies]\nsynod-wal.workspace = true\nsynod-transport.workspace = true",
            ),
            (
                "crates/replica",
                "[dependencies]\nsynod-raft = { workspace = true, optional = true }",
            ),
            (
                "crates/replica",
                "[dependencies]\nsynod-sim = { workspace = true, optional = true }",
            ),
            (
                "crates/replica",
                "[dev-dependencies]\nsynod-replica = { path = \".\", features = [\"sim\"] }",
            ),
            (
                "apps/kv",
                "[dependencies]\nsynod-replica.workspace = true\nsynod-sim.workspace = true",
            ),
            ("benches", "[dependencies]\nsynod-raft.workspace = true"),
            (
                "fuzz",
                "[dependencies]\nsynod-raft.workspace = true\nsynod-kv.path = \"../apps/kv\"",
            ),
        ];
        for (folder, lines) in passes {
            assert_eq!(found(folder, lines), [""; 0], "{folder}: {lines}");
        }
    }

    #[test]
    fn every_other_arrow_is_found() {
        let fails = [
            ("crates/raft", "[dependencies]\nsynod-wal.workspace = true"),
            (
                "crates/raft",
                "[dev-dependencies]\nsynod-wal.path = \"../wal\"",
            ),
            (
                "crates/raft",
                "[dependencies]\nlog = { package = \"synod-wal\", path = \"../wal\" }",
            ),
            (
                "crates/raft",
                "[build-dependencies]\nsynod-sim.path = \"../sim\"",
            ),
            (
                "crates/raft",
                "[target.'cfg(unix)'.dependencies]\nsynod-sim.path = \"../sim\"",
            ),
            (
                "crates/wal",
                "[dev-dependencies]\nsynod-sim.workspace = true",
            ),
            (
                "crates/wal",
                "[dev-dependencies]\nsynod-transport.path = \"../transport\"",
            ),
            ("crates/sim", "[dependencies]\nsynod-raft.workspace = true"),
            (
                "crates/sim",
                "[dev-dependencies]\nsynod-raft.path = \"../raft\"",
            ),
            (
                "crates/replica",
                "[dependencies]\nsynod-raft.workspace = true",
            ),
            (
                "crates/replica",
                "[dependencies]\nsynod-sim.workspace = true",
            ),
            (
                "crates/replica",
                "[dependencies]\nsynod-vclock.workspace = true",
            ),
            (
                "crates/replica",
                "[dependencies]\nsynod-kv.path = \"../../apps/kv\"",
            ),
            (
                "crates/replica",
                "[dependencies]\nsynod-replica.path = \".\"",
            ),
            (
                "apps/kv",
                "[dependencies]\nsynod-benches.path = \"../../benches\"",
            ),
            ("crates/raft", "[dependencies]\nsynod-stranger = \"1\""),
            ("xtask", "[dependencies]\nsynod-raft.workspace = true"),
        ];
        for (folder, lines) in fails {
            assert_eq!(
                found(folder, lines),
                [format!("{folder}/Cargo.toml:4")],
                "{folder}: {lines}"
            );
        }
    }

    #[test]
    fn durable_is_for_cores_and_knows_nobody() {
        let manifest = |name| format!("[dependencies]\nsynod-{name}.workspace = true");
        assert_eq!(found("crates/raft", &manifest("durable")), [""; 0]);
        for (folder, name) in [
            ("crates/durable", "raft"),
            ("crates/wal", "durable"),
            ("crates/replica", "durable"),
        ] {
            let line = format!("{folder}/Cargo.toml:4");
            assert_eq!(found(folder, &manifest(name)), [line], "{folder}: {name}");
        }
    }

    #[test]
    fn crates_that_nobody_asked_for_and_names_that_do_not_fit_are_found() {
        let mut findings = Vec::new();
        let odd = [
            Manifest::parse("crates/common", "[package]\nname = \"synod-common\"\n"),
            Manifest::parse("crates/raft", "[package]\nname = \"raft\"\n"),
        ];
        check(&odd, &mut findings);
        let said = findings
            .iter()
            .map(|finding| &finding.message[..])
            .collect::<Vec<_>>();
        assert_eq!(
            said,
            [
                "`crates/common` has no place in the design",
                "the package is named `raft` and not `synod-raft`",
            ]
        );
    }
}
