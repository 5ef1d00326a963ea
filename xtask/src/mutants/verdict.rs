//! What a run of the patched tree says about the mutant.

use std::fmt;

use super::trial::{Ended, Run};

/// What became of a mutant in one trial. Only the first is what is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The test fails with it, passes without it, and it is the named check that fails.
    Caught,
    Survived,
    /// The test fails, but not by the check that was named: the first words of the one that did.
    CaughtByAnother(String),
    Hung,
    DoesNotBuild,
    DoesNotApply(String),
    FailsWithoutPatch,
    /// No test has that name.
    NoSuchTest,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Caught => f.write_str("caught"),
            Self::Survived => f.write_str("survived"),
            Self::CaughtByAnother(checker) => write!(f, "caught by another checker: {checker}"),
            Self::Hung => f.write_str("hung"),
            Self::DoesNotBuild => f.write_str("does not build"),
            Self::DoesNotApply(reason) => write!(f, "does not apply: {reason}"),
            Self::FailsWithoutPatch => f.write_str("the test fails without the patch"),
            Self::NoSuchTest => f.write_str("there is no such test"),
        }
    }
}

/// Judges a run of the patched tree. `checker` must be in the failure; the word `hung` stands for a test that does not
/// end.
pub(crate) fn judge(run: &Run, checker: &str) -> Verdict {
    match run.ended {
        Ended::DoesNotBuild => Verdict::DoesNotBuild,
        Ended::Passed => Verdict::Survived,
        Ended::Hung if checker == "hung" => Verdict::Caught,
        Ended::Hung => Verdict::Hung,
        Ended::Failed if failure(&run.output).contains(checker) => Verdict::Caught,
        Ended::Failed => Verdict::CaughtByAnother(first_words(&run.output)),
    }
}

/// What the failed tests said. The test harness collects it between two lines `failures:`, and names of tests that
/// passed stand before them. A process that was killed has no such lines: then it is all it said.
fn failure(output: &str) -> &str {
    let mut parts = output.split("\nfailures:\n");
    let all = parts.next().unwrap_or_default();
    parts.next().unwrap_or(all)
}

/// The message of the first panic, or the last thing that was said.
fn first_words(output: &str) -> String {
    let failure = failure(output);
    let told = |line: &&str| !line.trim().is_empty() && !line.starts_with("note: run with");
    let panic = failure
        .lines()
        .skip_while(|line| !line.contains("panicked at"));
    let message = panic.skip(1).find(told);
    let last = || failure.lines().rev().find(told);
    let words = message.or_else(last).unwrap_or("nothing was said");
    words.trim().chars().take(WORDS_MAX).collect()
}

/// After how many seeds, states or the like the check fired, as the failure tells in one of the forms `seed 17`,
/// `12345 states`, `7 runs`, `300 schedules`.
pub(crate) fn effort(output: &str) -> Option<String> {
    let failure = failure(output);
    let words: Vec<&str> = failure
        .split([' ', '\n', ',', ':', ';', '(', ')', '`'])
        .filter(|w| !w.is_empty())
        .collect();
    let pairs = || words.windows(2);
    let counted =
        pairs().find(|pair| is_count(pair[0]) && UNITS.contains(&pair[1].trim_end_matches('.')));
    if let Some(pair) = counted {
        return Some(format!("{} {}", pair[0], pair[1].trim_end_matches('.')));
    }
    let seed = pairs().find(|pair| pair[0].eq_ignore_ascii_case("seed") && is_seed(pair[1]));
    seed.map(|pair| format!("seed {}", pair[1]))
}

fn is_count(word: &str) -> bool {
    word.starts_with(|char: char| char.is_ascii_digit())
        && word
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'_')
}

fn is_seed(word: &str) -> bool {
    is_count(word)
        || word
            .strip_prefix("0x")
            .is_some_and(|hex| !hex.is_empty() && hex.bytes().all(|b| b.is_ascii_hexdigit()))
}

const UNITS: [&str; 6] = ["seeds", "states", "runs", "schedules", "images", "lives"];
const WORDS_MAX: usize = 120;

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const FAILED: &str = "\
running 2 tests
test election_safety ... ok
test figure_8 ... FAILED

failures:

---- figure_8 stdout ----

thread 'figure_8' panicked at crates/raft/tests/scripts.rs:9:5:
leader completeness: n2 lacks 1.2 (seed 17)

failures:
    figure_8

test result: FAILED. 1 passed; 1 failed
";

    fn run(ended: Ended, output: &str) -> Run {
        Run {
            ended,
            took: Duration::ZERO,
            output: output.to_owned(),
            passed: 1,
        }
    }

    #[test]
    fn only_the_named_check_catches() {
        let verdict = |checker| judge(&run(Ended::Failed, FAILED), checker);
        assert_eq!(verdict("leader completeness"), Verdict::Caught);
        let other =
            Verdict::CaughtByAnother("leader completeness: n2 lacks 1.2 (seed 17)".to_owned());
        assert_eq!(verdict("log matching"), other);
        assert_eq!(
            verdict("election_safety"),
            other,
            "the name of a test that passed is no failure"
        );
        assert_eq!(verdict("1 failed"), other, "nor is what stands behind");
    }

    #[test]
    fn everything_else_is_named_for_what_it_is() {
        let verdict = |ended, checker| judge(&run(ended, "leader completeness"), checker);
        assert_eq!(
            verdict(Ended::Passed, "leader completeness"),
            Verdict::Survived
        );
        assert_eq!(
            verdict(Ended::DoesNotBuild, "leader completeness"),
            Verdict::DoesNotBuild
        );
        assert_eq!(verdict(Ended::Hung, "leader completeness"), Verdict::Hung);
        assert_eq!(verdict(Ended::Hung, "hung"), Verdict::Caught);
        assert_eq!(
            verdict(Ended::Failed, "leader completeness"),
            Verdict::Caught,
            "a process that died"
        );
    }

    #[test]
    fn a_failure_without_a_panic_is_told_by_its_last_line() {
        let verdict = judge(
            &run(
                Ended::Failed,
                "one\nmemory allocation of 8 bytes failed\n\n",
            ),
            "x",
        );
        assert_eq!(
            verdict,
            Verdict::CaughtByAnother("memory allocation of 8 bytes failed".to_owned())
        );
        assert_eq!(
            judge(&run(Ended::Failed, ""), "x"),
            Verdict::CaughtByAnother("nothing was said".to_owned())
        );
    }

    #[test]
    fn the_effort_is_read_in_its_stable_forms() {
        assert_eq!(effort(FAILED).as_deref(), Some("seed 17"));
        assert_eq!(
            effort("seed 0x9f: after 12 runs").as_deref(),
            Some("12 runs")
        );
        assert_eq!(
            effort("violated after 12345 states.").as_deref(),
            Some("12345 states")
        );
        assert_eq!(effort("the seed is lost, 3 terms later").as_deref(), None);
    }
}
