//! `cargo xtask sim`: seeded simulation from the outside, as long and as wide as one likes.

use std::process::{Command, ExitCode};

/// Runs a campaign, or one seed with its trace, in the profile that is made for it.
pub(crate) fn run(arguments: &[&str]) -> ExitCode {
    match Campaign::parse(arguments) {
        Ok(campaign) => campaign.run(),
        Err(error) => {
            eprintln!("{error}\n\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

/// The command that runs one test of the simulation; what it shall do is told by its environment.
pub(crate) fn test(protocol: &str, name: &str) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .args(["test", "--quiet", "--profile", "sim", "-p", "synod-replica"])
        .args(["--test", "simulation", "--"])
        .args(["--exact", &format!("{protocol}_{name}")])
        .args(["--nocapture", "--include-ignored"]);
    for variable in VARIABLES {
        command.env_remove(variable);
    }
    command
}

/// Runs a command; its exit status becomes this chore's.
pub(crate) fn status(mut command: Command) -> ExitCode {
    match command.status() {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("cargo cannot be run: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The protocol that was named, or all.
pub(crate) fn chosen(named: Option<&str>) -> impl Iterator<Item = &'static str> {
    let is_meant = move |known: &&str| named.is_none_or(|named| named == *known);
    PROTOCOLS.into_iter().filter(is_meant)
}

/// A seed as people write it: decimal, or hexadecimal behind `0x`.
pub(crate) fn seed(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Campaign {
    protocol: Option<String>,
    /// Environment variables and their values.
    settings: Vec<(&'static str, String)>,
}

impl Campaign {
    fn parse(arguments: &[&str]) -> Result<Self, String> {
        let mut campaign = Self::default();
        let mut rest = arguments.iter();
        while let Some(&flag) = rest.next() {
            let value = rest.next().ok_or_else(|| format!("{flag} needs a value"))?;
            let mut given = (*value).to_owned();
            let number = || seed(value).ok_or_else(|| format!("{flag}: {value} is no number"));
            match flag {
                "--protocol" if PROTOCOLS.contains(value) => {
                    campaign.protocol = Some((*value).to_owned());
                    continue;
                }
                "--protocol" => return Err(format!("no such protocol: {value}")),
                "--runs" | "--seed" | "--base" => drop(number()?),
                "--budget" if is_time(value) => {}
                "--budget" => return Err(format!("{value} is no time: 90s, 500ms")),
                // The test runs in another directory than this chore.
                "--script" => match std::fs::canonicalize(value) {
                    Ok(path) => given = path.to_string_lossy().into_owned(),
                    Err(error) => return Err(format!("{value}: {error}")),
                },
                other => return Err(format!("no such option: {other}")),
            }
            let variable = VARIABLES.iter().find(|name| {
                let name = name.trim_start_matches("SIM_").to_lowercase();
                flag.trim_start_matches('-') == name
            });
            if let Some(variable) = variable {
                campaign.settings.push((variable, given));
            }
        }
        // Who gives a budget and no number of runs wants as many as there is time for.
        let given = |name| campaign.settings.iter().any(|(known, _)| *known == name);
        if given("SIM_BUDGET") && !given("SIM_RUNS") {
            campaign.settings.push(("SIM_RUNS", RUNS_MAX.to_string()));
        }
        Ok(campaign)
    }

    /// Of one protocol, or of each, also when one fails: the other may tell whose fault it is.
    fn run(&self) -> ExitCode {
        let mut code = ExitCode::SUCCESS;
        for protocol in chosen(self.protocol.as_deref()) {
            let mut command = test(protocol, "keeps_its_rules");
            command.envs(self.settings.iter().map(|(name, value)| (name, value)));
            let ended = status(command);
            if ended != ExitCode::SUCCESS {
                code = ended;
            }
        }
        code
    }
}

/// Of the times that the simulation reads.
fn is_time(text: &str) -> bool {
    let digits = text.trim_end_matches(|unit: char| unit.is_ascii_lowercase());
    let known = ["ms", "s"].contains(&&text[digits.len()..]);
    known && digits.parse::<u64>().is_ok()
}

pub(crate) const PROTOCOLS: [&str; 2] = ["raft", "paxos"];

/// More runs than any budget has time for.
const RUNS_MAX: u64 = 1_000_000_000;

/// What the simulation reads from its environment.
const VARIABLES: [&str; 6] = [
    "SIM_SEED",
    "SIM_RUNS",
    "SIM_BASE",
    "SIM_BUDGET",
    "SIM_SCRIPT",
    "SIM_HTML",
];

const USAGE: &str = "\
Usage: cargo xtask sim [--protocol raft|paxos] [--runs N] [--base B] [--budget 90s]
       cargo xtask sim [--protocol raft|paxos] --seed S
       cargo xtask sim [--protocol raft|paxos] --script FILE

Without a protocol both are run, one after the other, each with all of the budget.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_become_the_environment() {
        let campaign =
            Campaign::parse(&["--runs", "100", "--base", "0xff", "--budget", "90s"]).unwrap();
        let expected = [
            ("SIM_RUNS", "100"),
            ("SIM_BASE", "0xff"),
            ("SIM_BUDGET", "90s"),
        ];
        let settings = expected.map(|(name, value)| (name, value.to_owned()));
        assert_eq!(campaign.settings, settings);
    }

    #[test]
    fn a_budget_alone_is_used_up() {
        let campaign = Campaign::parse(&["--budget", "90s", "--base", "7"]).unwrap();
        let runs = ("SIM_RUNS", RUNS_MAX.to_string());
        assert!(campaign.settings.contains(&runs), "{campaign:?}");
    }

    #[test]
    fn both_protocols_are_meant_unless_one_is_named() {
        assert!(chosen(None).eq(PROTOCOLS));
        assert!(chosen(Some("paxos")).eq(["paxos"]));
        let campaign = Campaign::parse(&["--protocol", "paxos"]).unwrap();
        assert_eq!(campaign.protocol.as_deref(), Some("paxos"));
    }

    #[test]
    fn nonsense_is_told() {
        for arguments in [
            &["--runs"][..],
            &["--runs", "many"],
            &["--budget", "90"],
            &["--budget", "s"],
            &["--budget", "5m"],
            &["--protocol", "pigeon"],
            &["--speed", "1"],
            &["--script", "no/such/file"],
        ] {
            assert!(Campaign::parse(arguments).is_err(), "{arguments:?}");
        }
    }
}
