//! One test, run by cargo in the copied tree, with its end bounded.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use std::{env, io, thread};

use super::patch::Test;
use super::tree::Tree;

/// How tests of one tree are run.
pub(crate) struct Cargo {
    program: PathBuf,
    tree: PathBuf,
    target: PathBuf,
    logs: PathBuf,
}

/// What became of a test.
pub(crate) struct Run {
    pub(crate) ended: Ended,
    /// Without the build.
    pub(crate) took: Duration,
    pub(crate) output: String,
    /// How many tests passed.
    pub(crate) passed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Passed,
    Failed,
    DoesNotBuild,
    /// It was stopped.
    Hung,
}

impl Cargo {
    pub(crate) fn new(tree: &Tree, home: &Path) -> io::Result<Self> {
        let cargo = Self {
            program: env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from),
            tree: tree.path().to_owned(),
            target: home.join("target"),
            logs: home.join("logs"),
        };
        fs::create_dir_all(&cargo.logs)?;
        Ok(cargo)
    }

    /// Builds and runs a test, which is stopped after `time_max`. Its output stays in the folder of logs.
    pub(crate) fn run(&self, test: &Test, time_max: Duration, log: &str) -> io::Result<Run> {
        let log = self.logs.join(format!("{log}.txt"));
        let mut build = Command::new(&self.program);
        build.arg("test").arg("--no-run").args(&test.arguments);
        let (built, _) = self.end(&mut build, test, None, &log)?;
        if built != Ended::Passed {
            return Ok(Run {
                ended: Ended::DoesNotBuild,
                took: Duration::ZERO,
                output: read(&log)?,
                passed: 0,
            });
        }
        // A mutant may loop, and eat memory while it does. The shell sets the bounds that outlive this process. Of
        // addresses a browser reserves more than there is memory: it may take the bound away for itself.
        let mut run = Command::new("sh");
        let processor_seconds = 4 * time_max.as_secs().max(1);
        run.arg("-c").arg(format!(
            "ulimit -t {processor_seconds}; ulimit -S -v {MEMORY_KIB_MAX} 2>/dev/null; exec \"$@\""
        ));
        run.arg("sh")
            .arg(&self.program)
            .arg("test")
            .args(&test.arguments)
            .arg("--")
            .args(&test.inner);
        let (ended, took) = self.end(&mut run, test, Some(time_max), &log)?;
        let output = read(&log)?;
        let passed = passed(&output);
        Ok(Run {
            ended,
            took,
            output,
            passed,
        })
    }

    fn end(
        &self,
        command: &mut Command,
        test: &Test,
        time_max: Option<Duration>,
        log: &Path,
    ) -> io::Result<(Ended, Duration)> {
        let output = File::create(log)?;
        for (name, _) in env::vars_os().filter(|(name, _)| is_ours(&name.to_string_lossy())) {
            command.env_remove(name);
        }
        command
            .current_dir(&self.tree)
            .env("CARGO_TARGET_DIR", &self.target)
            .env("CARGO_TERM_COLOR", "never")
            // A bug changes one crate a little, nobody steps through it, and it is built once.
            .env("CARGO_INCREMENTAL", "1")
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .env("CARGO_PROFILE_RELEASE_DEBUG", "0")
            .env("CARGO_PROFILE_SIM_DEBUG", "0")
            // What one mutant was caught by must not help against the next.
            .env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "1")
            .env_remove("RUST_BACKTRACE")
            .envs(test.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stderr(output.try_clone()?)
            .stdout(output)
            .process_group(0);
        let start = now();
        let status = wait(command.spawn()?, time_max)?;
        let took = now().saturating_duration_since(start);
        let ended = match status {
            None => Ended::Hung,
            Some(status) if status.success() => Ended::Passed,
            Some(_) => Ended::Failed,
        };
        Ok((ended, took))
    }
}

/// How the child ended; nothing when its time was over, and it was killed with all its own.
fn wait(mut child: Child, time_max: Option<Duration>) -> io::Result<Option<ExitStatus>> {
    let Some(time_max) = time_max else {
        return child.wait().map(Some);
    };
    let group = child.id();
    let (ended, end) = mpsc::channel();
    thread::spawn(move || {
        // Nobody listens any more if the child could not be killed.
        let _gone = ended.send(child.wait());
    });
    if let Ok(status) = end.recv_timeout(time_max) {
        return status.map(Some);
    }
    // Without a dependency the shell is the only way to the whole group.
    let kill = format!("kill -s KILL -- -{group}");
    Command::new("sh").args(["-c", &kill]).status()?;
    match end.recv_timeout(GRACE) {
        Ok(_) => Ok(None),
        Err(_) => Err(io::Error::other(format!(
            "process group {group} does not end"
        ))),
    }
}

/// Set outside, these would change what the tests run.
fn is_ours(variable: &str) -> bool {
    [
        "SIM_",
        "RAFT_",
        "PAXOS_",
        "IMAGES",
        "EXHAUSTIVE_",
        "PROPTEST_",
        "UPDATE",
    ]
    .iter()
    .any(|start| variable.starts_with(start))
}

fn read(log: &Path) -> io::Result<String> {
    Ok(String::from_utf8_lossy(&fs::read(log)?).into_owned())
}

/// The sum over the lines `test result: ok. 3 passed; ..` of all binaries.
fn passed(output: &str) -> u64 {
    let results = output
        .lines()
        .filter_map(|line| line.strip_prefix("test result: "));
    let counts = results.filter_map(|result| {
        let (before, _) = result.split_once(" passed")?;
        before.rsplit(' ').next()?.parse::<u64>().ok()
    });
    counts.sum()
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long a test took is told to a person"
)]
fn now() -> Instant {
    Instant::now()
}

/// What is killed ends within this.
const GRACE: Duration = Duration::from_secs(30);
/// Address space of a test.
const MEMORY_KIB_MAX: u64 = 6 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Child {
        let mut command = Command::new("sh");
        command
            .args(["-c", script])
            .process_group(0)
            .spawn()
            .expect("there is a shell")
    }

    #[test]
    fn what_takes_too_long_is_killed_with_its_children() {
        let long = shell("sleep 600 & wait");
        assert!(
            wait(long, Some(Duration::from_millis(50)))
                .expect("it can be waited for")
                .is_none()
        );
    }

    #[test]
    fn what_ends_by_itself_tells_how() {
        for (script, success) in [("exit 0", true), ("exit 7", false)] {
            let status =
                wait(shell(script), Some(Duration::from_secs(60))).expect("it can be waited for");
            assert_eq!(status.map(|status| status.success()), Some(success));
        }
    }

    #[test]
    fn passed_tests_are_counted_over_all_binaries() {
        let output = "running 2 tests\ntest result: ok. 2 passed; 0 failed; 0 ignored\n\
                      test result: FAILED. 1 passed; 1 failed; 0 ignored\ntest result: ok. 0 passed; 0 failed\n";
        assert_eq!(passed(output), 3);
        assert_eq!(passed(""), 0);
    }
}
