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

    /// What is found when the package in `folder` depends on these.
    fn found(folder: &str, dependencies: &[Dependency]) -> Vec<String> {
        let manifests = FOLDERS.map(|each| Manifest {
            folder: each.to_owned(),
            name: match each.rsplit('/').next().unwrap_or_default() {
                "xtask" => "xtask".to_owned(),
                name => format!("synod-{name}"),
            },
            dependencies: if each == folder {
                dependencies.to_vec()
            } else {
                Vec::new()
            },
        });
        let mut findings = Vec::new();
        check(&manifests, &mut findings);
        findings
            .into_iter()
            .map(|finding| format!("{}:{}", finding.path, finding.line))
            .collect()
    }

    /// By the workspace's entry, which has a version.
    fn on(name: &str) -> Dependency {
        Dependency {
            package: name.to_owned(),
            line: 4,
            dev: false,
            optional: false,
            path_only: false,
        }
    }

    fn optional(name: &str) -> Dependency {
        Dependency {
            optional: true,
            ..on(name)
        }
    }

    fn by_path(name: &str) -> Dependency {
        Dependency {
            path_only: true,
            ..on(name)
        }
    }

    fn dev_by_path(name: &str) -> Dependency {
        Dependency {
            dev: true,
            ..by_path(name)
        }
    }

    fn dev(name: &str) -> Dependency {
        Dependency {
            dev: true,
            ..on(name)
        }
    }

    #[test]
    fn the_arrows_of_the_design_pass() {
        let passes = [
            ("crates/wal", vec![on("bytes"), dev_by_path("synod-sim")]),
            (
                "crates/raft",
                vec![on("synod-durable"), dev_by_path("synod-sim")],
            ),
            (
                "crates/replica",
                vec![on("synod-wal"), on("synod-transport")],
            ),
            (
                "crates/replica",
                vec![optional("synod-raft"), optional("synod-sim")],
            ),
            ("crates/replica", vec![dev_by_path("synod-replica")]),
            ("apps/kv", vec![on("synod-replica"), on("synod-sim")]),
            ("benches", vec![on("synod-raft")]),
            ("fuzz", vec![on("synod-raft"), by_path("synod-kv")]),
        ];
        for (folder, dependencies) in passes {
            assert_eq!(
                found(folder, &dependencies),
                [""; 0],
                "{folder}: {dependencies:?}"
            );
        }
    }

    #[test]
    fn every_other_arrow_is_found() {
        let fails = [
            ("crates/raft", on("synod-wal")),
            ("crates/raft", dev_by_path("synod-wal")),
            ("crates/raft", by_path("synod-sim")),
            ("crates/raft", on("synod-stranger")),
            ("crates/wal", dev("synod-sim")),
            ("crates/wal", dev_by_path("synod-transport")),
            ("crates/wal", on("synod-durable")),
            ("crates/durable", on("synod-raft")),
            ("crates/sim", on("synod-raft")),
            ("crates/sim", dev_by_path("synod-raft")),
            ("crates/replica", on("synod-raft")),
            ("crates/replica", on("synod-sim")),
            ("crates/replica", on("synod-vclock")),
            ("crates/replica", on("synod-durable")),
            ("crates/replica", by_path("synod-kv")),
            ("crates/replica", by_path("synod-replica")),
            ("apps/kv", by_path("synod-benches")),
            ("xtask", on("synod-raft")),
        ];
        for (folder, dependency) in fails {
            let line = format!("{folder}/Cargo.toml:4");
            let dependency = [dependency];
            assert_eq!(
                found(folder, &dependency),
                [line],
                "{folder}: {dependency:?}"
            );
        }
    }

    #[test]
    fn crates_that_nobody_asked_for_and_names_that_do_not_fit_are_found() {
        let mut findings = Vec::new();
        let odd = [("crates/common", "synod-common"), ("crates/raft", "raft")];
        let odd = odd.map(|(folder, name)| Manifest {
            folder: folder.to_owned(),
            name: name.to_owned(),
            dependencies: Vec::new(),
        });
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
