//! Instructions, which no other load of the machine can change.

use std::env;
use std::process::{Command, Stdio};

/// Runs this program once more with these arguments under Valgrind, and tells how many instructions it took in user
/// space from beginning to end. None where there is no Valgrind, or where the program fails under it.
///
/// What is asked for is the difference of two such runs, so that what the program does at its start drops out.
#[must_use]
pub fn instructions(arguments: &[&str]) -> Option<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env::current_exe().ok()?)
        .args(arguments)
        .output()
        .ok()?;
    let report = String::from_utf8_lossy(&output.stderr);
    let (_, collected) = report.split_once("Collected :")?;
    collected.split_whitespace().next()?.parse().ok()
}

/// Whether this machine has Valgrind.
#[must_use]
pub fn has_valgrind() -> bool {
    let mut version = Command::new("valgrind");
    version.arg("--version").stdout(Stdio::null());
    version.status().is_ok_and(|status| status.success())
}
