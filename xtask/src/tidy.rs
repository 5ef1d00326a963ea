//! Runs every check over every file that git knows.

use crate::finding::Finding;
use crate::git::git;
use crate::manifest::Manifest;
use crate::{arrows, links, manifest, names, quotes, text};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{fs, io};

/// The chore: prints what it finds.
pub(crate) fn run() -> ExitCode {
    let root = root();
    let read = list_files(&root).and_then(|paths| {
        let files = texts(&root, &paths)?;
        Ok((paths, files, manifest::read(&root)?))
    });
    match read {
        Ok((paths, files, manifests)) => {
            let mut findings = check(&files, &manifests);
            links::check(&files, &paths, &mut findings);
            quotes::check(&files, &mut findings);
            for finding in &findings {
                println!("{finding}");
            }
            if findings.is_empty() {
                println!("tidy: {} files, nothing to say", files.len());
                return ExitCode::SUCCESS;
            }
            println!("tidy: {} files, {} findings", files.len(), findings.len());
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("tidy: cannot read the repository: {error}");
            ExitCode::from(2)
        }
    }
}

/// A text file of the repository: its path from the root, with `/`, and what it holds.
#[derive(Clone, Debug)]
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
}

fn check(files: &[File], manifests: &[Manifest]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for File { path, text } in files {
        names::check(path, text, &mut findings);
        text::check(path, text, &mut findings);
        // The root's manifest holds what the others inherit, and has no package of its own.
        if path.ends_with("/Cargo.toml") {
            manifest::check_inheritance(path, text, &mut findings);
        }
    }
    arrows::check(manifests, &mut findings);
    findings.sort();
    findings
}

/// Of the repository.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// The files that git tracks, or would track: what is new is checked before it is added.
pub(crate) fn list_files(root: &Path) -> io::Result<Vec<String>> {
    let arguments = [
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ];
    let listed = git(root).args(arguments).output()?;
    if !listed.status.success() {
        return Err(io::Error::other(
            String::from_utf8_lossy(&listed.stderr).trim().to_owned(),
        ));
    }
    let listed = String::from_utf8_lossy(&listed.stdout);
    Ok(listed.split_terminator('\0').map(str::to_owned).collect())
}

/// The text files among them.
fn texts(root: &Path, paths: &[String]) -> io::Result<Vec<File>> {
    let mut files = Vec::new();
    for path in paths {
        // What a fuzzer wrote is bytes, also where it looks like text.
        if path.starts_with("fuzz/corpus/") {
            continue;
        }
        match fs::read(root.join(path)) {
            // What is not UTF-8 is no text of ours.
            Ok(bytes) => files.extend(String::from_utf8(bytes).map(|text| File {
                path: path.clone(),
                text,
            })),
            // Deleted, and git has not been told.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_repository_is_listed() {
        if !root().join(".git").exists() {
            println!("skipped: the sources are not in a repository");
            return;
        }
        if crate::git::is_missing() {
            return;
        }
        let paths = list_files(&root()).expect("git lists the files");
        let files = texts(&root(), &paths).expect("they can be read");
        assert!(files.iter().any(|file| file.path == "xtask/src/tidy.rs"));
    }

    #[test]
    fn findings_of_all_checks_come_sorted() {
        let file = |path: &str, text: &str| File {
            path: path.to_owned(),
            text: text.to_owned(),
        };
        let stranger = Manifest {
            folder: "crates/raft".to_owned(),
            name: "raft".to_owned(),
            dependencies: Vec::new(),
        };
        let files = [
            file("crates/wal/src/utils.rs", "fn f() {} \n"),
            file("crates/raft/Cargo.toml", "[package]\nname = \"raft\"\n"),
        ];
        let findings = check(&files, &[stranger]);
        let rules = findings
            .iter()
            .map(|finding| (&finding.path[..], finding.rule))
            .collect::<Vec<_>>();
        let (manifest, source) = ("crates/raft/Cargo.toml", "crates/wal/src/utils.rs");
        assert_eq!(
            rules,
            [
                (manifest, "arrow"),
                (manifest, "inherit"),
                (manifest, "inherit"),
                (manifest, "inherit"),
                (manifest, "inherit"),
                (manifest, "inherit"),
                (source, "name"),
                (source, "whitespace"),
            ]
        );
        assert_eq!(
            findings[7].to_string(),
            "crates/wal/src/utils.rs:1: whitespace: spaces at the end of the line"
        );
    }
}
