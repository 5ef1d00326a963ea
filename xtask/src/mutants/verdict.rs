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
pub(super) fn failure(output: &str) -> &str {
    let mut parts = output.split("\nfailures:\n");
    let all = parts.next().unwrap_or_default();
    parts.next().unwrap_or(all)
}

/// The message of the first panic, or the last thing that was said.
fn first_words(output: &str) -> String {
    let failure = failure(output);
    let told = |line: &&str| !line.trim().is_empty() && !line.starts_with("note: run with");
    let behind = |mark: &str| {
        let lines = failure.lines().skip_while(|line| !line.contains(mark));
        lines.skip(1).find(told)
    };
    // A campaign of seeds tells of itself first.
    let message = behind("FAILED at seed").or_else(|| behind("panicked at"));
    let last = || failure.lines().rev().find(told);
    let words = message.or_else(last).unwrap_or("nothing was said");
    words.trim().chars().take(WORDS_MAX).collect()
}

/// After how many seeds, states or the like the check fired, as the failure tells in one of the forms
/// `from seed 0x0 .. at seed 0x11`, `12345 states`, `seed 17`.
pub(crate) fn effort(output: &str) -> Option<String> {
    let separators = [' ', '\n', ',', ':', ';', '(', ')', '`', '.'];
    let words = failure(output).split(separators);
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let seed = |before: &str| {
        let mut triples = words.windows(3);
        let said = |words: &&[&str]| words[0] == before && words[1] == "seed";
        triples.find(said).and_then(|words| number(words[2]))
    };
    if let (Some(first), Some(failed)) = (seed("from"), seed("at")) {
        return Some(match failed.wrapping_sub(first) {
            0 => "1 seed".to_owned(),
            before => format!("{} seeds", before.wrapping_add(1)),
        });
    }
    let mut pairs = words.windows(2);
    let counted = |words: &&[&str]| number(words[0]).is_some() && words[1] == "states";
    if let Some(words) = pairs.find(counted) {
        return Some(format!("{} states", words[0]));
    }
    let mut pairs = words.windows(2);
    let single = pairs.find(|words| words[0] == "seed" && number(words[1]).is_some());
    single.map(|words| format!("seed {}", words[1]))
}

/// Decimal, or hexadecimal behind `0x`.
fn number(word: &str) -> Option<u64> {
    match word.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => word.parse().ok(),
    }
}

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
        let told = |output: &str| effort(output);
        assert_eq!(told(FAILED).as_deref(), Some("seed 17"));
        let states = "violated after 12345 states.";
        assert_eq!(told(states).as_deref(), Some("12345 states"));
        let campaign =
            "raft: 23 of 200 runs from seed 0x10 in 1.2 s\n3 states\nFAILED at seed 0x21\n";
        assert_eq!(told(campaign).as_deref(), Some("18 seeds"));
        assert_eq!(told("the seed is lost, of 200 runs, 3 terms later"), None);
    }
}
