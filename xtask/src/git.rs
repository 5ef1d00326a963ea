//! Git, asked about one folder and about nothing above it.

use std::path::Path;
use std::process::Command;

/// The command, to be run in `at`, an absolute path. It takes a repository for one only if `at` is its top: a copy of
/// the sources inside a folder that the repository ignores would else pass for empty, and a folder of temporary files
/// for a part of whatever it lies in.
pub(crate) fn git(at: &Path) -> Command {
    let mut git = Command::new("git");
    git.current_dir(at);
    if let Some(above) = at.parent() {
        git.env("GIT_CEILING_DIRECTORIES", above);
    }
    // Set for what a hook of another repository runs.
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"] {
        git.env_remove(name);
    }
    // In a container the sources often belong to somebody else than who builds them.
    let is_trusted = format!("safe.directory={}", at.display());
    git.args(["-c", &is_trusted]);
    git
}

/// Whether a test that needs git has to skip itself; it says so.
#[cfg(test)]
pub(crate) fn is_missing() -> bool {
    let missing = Command::new("git").arg("--version").output().is_err();
    if missing {
        println!("skipped: git is not installed");
    }
    missing
}
