//! A page for each planted bug: the run that shows it, as the checker caught it.
//!
//! A simulation, a script, a search and a story that a test tells by hand leave a page when they fail, and say where it
//! is. Of a failing seed it is made again from the shrunk run. What other tests catch has no run to be looked at, and
//! the gallery says so.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use std::{fs, io};

use super::gallery::{self, Exhibit};
use super::patch::{Mutant, Test, Trial};
use super::tree::Tree;
use super::trial::{Cargo, Ended, Run};
use super::verdict::failure;
use super::{Order, mutants};
use crate::tidy;

/// The chore; exit status 1 if a bug that should leave a page does not.
pub(crate) fn run(arguments: &[&str]) -> ExitCode {
    let order = match Order::parse(arguments) {
        Ok(order) if !order.check && !order.markdown => order,
        Ok(_) => {
            eprintln!("museum: neither --check nor --markdown");
            return ExitCode::from(2);
        }
        Err(message) => {
            eprintln!("museum: {message}");
            return ExitCode::from(2);
        }
    };
    match hang(&tidy::root(), &order) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("museum: {error}");
            ExitCode::from(2)
        }
    }
}

fn hang(root: &Path, order: &Order) -> io::Result<bool> {
    let (home, hall) = (root.join("target/mutants"), root.join("target/museum"));
    fs::create_dir_all(&hall)?;
    let tree = Tree::sync(root, &home.join("tree"))?;
    let cargo = Cargo::new(&tree, &home)?;
    let stories = stories(root)?;
    let mut whole = true;
    for mutant in mutants(root, order)? {
        let Some(trial) = shown_trial(&mutant, &stories) else {
            println!("{}: no run", mutant.name);
            continue;
        };
        let words = hang_one(&tree, &cargo, &mutant, trial, &hall)?;
        match words {
            Some(words) => println!("{}: {words}", mutant.name),
            None if leaves(&trial.test, &stories) == Some(Leaves::Mostly) => {
                println!("{}: no run after all", mutant.name);
            }
            None => {
                println!("{}: LEAVES NO PAGE", mutant.name);
                whole = false;
            }
        }
    }
    let all = mutants(root, &Order::default())?;
    let exhibits = all
        .iter()
        .map(|mutant| Exhibit::of(mutant, shown_trial(mutant, &stories), &hall));
    let exhibits: Vec<Exhibit<'_>> = exhibits.collect();
    let index = hall.join("index.html");
    fs::write(&index, gallery::page(&exhibits))?;
    let hung = exhibits.iter().filter(|exhibit| exhibit.page.is_some());
    println!("museum: {} pages hang in {}", hung.count(), index.display());
    Ok(whole)
}

/// The names of all scripts: each is a file, and a test of the same name plays it.
fn stories(root: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for package in fs::read_dir(root.join("crates"))? {
        let Ok(files) = fs::read_dir(package?.path().join("tests/testdata")) else {
            continue;
        };
        for file in files {
            let path = file?.path();
            let stem = path.file_stem().and_then(|stem| stem.to_str());
            names.extend(stem.map(str::to_owned));
        }
    }
    Ok(names)
}

/// The trial whose failure is a run: a campaign of seeds before all others, for it is the whole node.
fn shown_trial<'a>(mutant: &'a Mutant, stories: &[String]) -> Option<&'a Trial> {
    let shown = mutant.trials.iter().filter_map(|trial| {
        let leaves = leaves(&trial.test, stories)?;
        Some((shrinks(&trial.test).is_none(), leaves, trial))
    });
    let first = shown.min_by_key(|(is_small, leaves, _)| (*is_small, *leaves));
    first.map(|(.., trial)| trial)
}

/// Whether a test that fails leaves a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Leaves {
    Always,
    /// If the nodes that it drives are those of a recorded cluster; a search, if it is a rule that is broken, and not a
    /// goal that was missed.
    Mostly,
}

fn leaves(test: &Test, stories: &[String]) -> Option<Leaves> {
    if shrinks(test).is_some() {
        return Some(Leaves::Always);
    }
    let mut words = test.arguments.iter();
    words.find(|word| *word == "--test")?;
    match words.next()?.as_str() {
        // A test beside the scripts plays none.
        "scripts" => {
            let filter = words.next()?;
            let plays = stories.iter().any(|name| name.contains(filter.as_str()));
            plays.then_some(Leaves::Always)
        }
        "cluster" | "exhaustive" | "synod_exhaustive" | "paper" | "made_simple" => {
            Some(Leaves::Mostly)
        }
        _ => None,
    }
}

/// Plants the bug and keeps the page that its test leaves. Tells the checker's words.
fn hang_one(
    tree: &Tree,
    cargo: &Cargo,
    mutant: &Mutant,
    trial: &Trial,
    hall: &Path,
) -> io::Result<Option<String>> {
    let planted = match tree.plant(&mutant.path, &mutant.touches)? {
        Ok(planted) => planted,
        Err(reason) => return Err(io::Error::other(format!("{}: {reason}", mutant.name))),
    };
    let log = format!("museum-{}", mutant.name);
    let run = cargo.run(&trial.test, CAUGHT_MAX, &log);
    let shrunk = match &run {
        Ok(run) => shrink(cargo, &trial.test, run, &log),
        Err(_) => Ok(None),
    };
    planted.restore()?;
    let (run, shrunk) = (run?, shrunk?);
    if run.ended != Ended::Failed {
        return Ok(None);
    }
    let output = shrunk.as_ref().unwrap_or(&run.output);
    let Some(page) = page_of(output) else {
        return Ok(None);
    };
    fs::copy(&page, hall.join(format!("{}.html", mutant.name)))?;
    let words = words(output, &trial.checker);
    fs::write(hall.join(format!("{}.txt", mutant.name)), &words)?;
    Ok(Some(words))
}

/// What is said of the same failure with less, if it leaves a page.
fn shrink(cargo: &Cargo, test: &Test, run: &Run, log: &str) -> io::Result<Option<String>> {
    let (Some(mut shrinks), Some(seed)) = (shrinks(test), seed_of(&run.output)) else {
        return Ok(None);
    };
    shrinks.env.push(("SIM_SEED".to_owned(), seed));
    let shrunk = cargo.run(&shrinks, SHRUNK_MAX, &format!("{log}-shrunk"))?;
    Ok(Some(shrunk.output).filter(|output| page_of(output).is_some()))
}

/// The test that shrinks a seed of a campaign.
fn shrinks(test: &Test) -> Option<Test> {
    let (name, arguments) = test.arguments.split_last()?;
    let protocol = name.strip_suffix("_keeps_its_rules")?;
    let mut arguments = arguments.to_vec();
    arguments.push(format!("{protocol}_shrinks"));
    Some(Test {
        env: Vec::new(),
        arguments,
        inner: vec!["--include-ignored".to_owned(), "--nocapture".to_owned()],
    })
}

/// Where the last page is that a test has left.
fn page_of(output: &str) -> Option<PathBuf> {
    let mut lines = output.lines().rev();
    let path = lines.find_map(|line| line.strip_prefix("--- page: "))?;
    Some(PathBuf::from(path.trim()))
}

fn seed_of(output: &str) -> Option<String> {
    let (_, behind) = output.split_once("FAILED at seed ")?;
    behind.split_whitespace().next().map(str::to_owned)
}

/// The line in which the checker that is meant says what is wrong.
fn words(output: &str, checker: &str) -> String {
    let mut lines = failure(output).lines();
    let line = lines.find(|line| line.contains(checker));
    let words = line.unwrap_or(checker).trim();
    words.chars().take(WORDS_CHARS_MAX).collect()
}

const CAUGHT_MAX: Duration = Duration::from_secs(600);
const SHRUNK_MAX: Duration = Duration::from_secs(600);
const WORDS_CHARS_MAX: usize = 300;

#[cfg(test)]
mod tests {
    use super::*;

    fn test(arguments: &str) -> Test {
        Test {
            env: vec![("SIM_RUNS".to_owned(), "200".to_owned())],
            arguments: arguments.split(' ').map(str::to_owned).collect(),
            inner: Vec::new(),
        }
    }

    #[test]
    fn a_campaign_is_shrunk_and_nothing_else() {
        let shrunk = shrinks(&test(
            "--profile sim -p synod-replica --test simulation raft_keeps_its_rules",
        ));
        let shrunk = shrunk.expect("it is a campaign").to_string();
        let expected = "--profile sim -p synod-replica --test simulation raft_shrinks";
        assert_eq!(
            shrunk,
            format!("{expected} -- --include-ignored --nocapture")
        );
        assert_eq!(
            shrinks(&test("-p synod-raft --test scripts a1_figure_8")),
            None
        );
    }

    #[test]
    fn tests_of_recorded_runs_leave_a_page() {
        for (arguments, expected) in [
            (
                "-p synod-raft --test scripts a1_figure",
                Some(Leaves::Always),
            ),
            ("-p synod-raft --test scripts an_expectation_fails", None),
            (
                "--release -p synod-paxos --test synod_exhaustive two_proposers",
                Some(Leaves::Mostly),
            ),
            (
                "-p synod-raft --test paper all_servers_apply",
                Some(Leaves::Mostly),
            ),
            (
                "--profile sim -p synod-replica --test simulation raft_keeps_its_rules",
                Some(Leaves::Always),
            ),
            ("-p synod-sim --lib script::player::tests", None),
            ("-p synod-raft --lib", None),
        ] {
            let stories = ["a1_figure_8".to_owned()];
            assert_eq!(leaves(&test(arguments), &stories), expected, "{arguments}");
        }
    }

    #[test]
    fn what_a_test_leaves_is_found_in_its_output() {
        let output = "FAILED at seed 0x1f\n--- page: a/first.html\n\nfailures:\n\nelection safety: two\n\
                      --- page: a/second.html\n";
        assert_eq!(page_of(output), Some(PathBuf::from("a/second.html")));
        assert_eq!(seed_of(output).as_deref(), Some("0x1f"));
        assert_eq!(words(output, "election safety"), "election safety: two");
        assert_eq!(words("nothing", "election safety"), "election safety");
        assert_eq!((page_of(""), seed_of("")), (None, None));
    }
}
