//! `cargo xtask replay`: one run again, as a page.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::sim;

/// Runs a seed again and writes what happened as a page.
pub(crate) fn run(arguments: &[&str]) -> ExitCode {
    let Some(order) = Order::parse(arguments) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    // The test runs in another directory than this chore.
    let page = match std::path::absolute(&order.page) {
        Ok(page) => page,
        Err(error) => {
            eprintln!("{}: {error}", order.page.display());
            return ExitCode::from(2);
        }
    };
    let test = match order.shrinks {
        true => "shrinks",
        false => "keeps_its_rules",
    };
    let mut command = sim::test(order.protocol, test);
    command.env("SIM_SEED", order.seed).env("SIM_HTML", page);
    sim::status(command)
}

#[derive(Debug, PartialEq, Eq)]
struct Order<'a> {
    protocol: &'a str,
    seed: &'a str,
    page: PathBuf,
    shrinks: bool,
}

impl<'a> Order<'a> {
    fn parse(arguments: &[&'a str]) -> Option<Self> {
        let (mut protocol, mut seed, mut page, mut shrinks) = ("raft", None, None, false);
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            match *argument {
                "--protocol" => {
                    let named = rest.next()?;
                    protocol = sim::PROTOCOLS.into_iter().find(|known| known == named)?;
                }
                "--html" => page = Some(PathBuf::from(rest.next()?)),
                "--shrink" => shrinks = true,
                number if seed.is_none() && sim::seed(number).is_some() => seed = Some(number),
                _ => return None,
            }
        }
        Some(Self {
            protocol,
            seed: seed?,
            page: page?,
            shrinks,
        })
    }
}

const USAGE: &str = "\
Usage: cargo xtask replay [--protocol raft|paxos] [--shrink] SEED --html FILE

Of raft, unless another protocol is named. With --shrink the failure of the seed is made small before.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_and_a_file() {
        let order = |protocol, shrinks| Order {
            protocol,
            seed: "0x2a",
            page: "a.html".into(),
            shrinks,
        };
        let parse = |text: &'static str| Order::parse(&text.split(' ').collect::<Vec<_>>());
        assert_eq!(parse("0x2a --html a.html"), Some(order("raft", false)));
        assert_eq!(
            parse("--html a.html --shrink --protocol paxos 0x2a"),
            Some(order("paxos", true))
        );
        for nonsense in [
            "0x2a",
            "--html a.html",
            "x --html a.html",
            "1 2 --html a.html",
            "1 --html",
            "1 --html a.html --protocol pigeon",
        ] {
            assert_eq!(parse(nonsense), None, "{nonsense}");
        }
    }
}
