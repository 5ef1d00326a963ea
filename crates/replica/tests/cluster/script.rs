//! A shrunk trial as a file: its options in the head, its faults below.
//!
//! ```text
//! #= seed 0x2a
//! #= nodes 3
//! #= clients 1
//! #= horizon 0.75s
//! #= without loss
//! 0.5s crash n2 power in-step for 0.2s
//! ```

use std::fmt::Write;

#[cfg(test)]
use synod_sim::Swarm;
use synod_sim::{FaultKind, Script, Trial};

/// The trial as text. The fault kinds of the seed that do not occur in the script and were removed
/// are named.
pub(crate) fn write(trial: &Trial, drawn: &Trial) -> String {
    let horizon = trial.horizon.as_nanos();
    let mut text = format!(
        "#= seed {:#x}\n#= nodes {}\n#= clients {}\n#= horizon {horizon}ns\n",
        trial.seed, trial.nodes, trial.clients
    );
    for kind in ALWAYS_ON {
        if drawn.options.has(kind) && !trial.options.has(kind) {
            let _ = writeln!(text, "#= without {kind}");
        }
    }
    if let Some(script) = &trial.options.script {
        text += &script.to_string();
    }
    text
}

/// Changes the drawn options to those of the text.
///
/// # Panics
/// If it is no such text, because the wrong file was given.
pub(crate) fn read(text: &str, trial: &mut Trial) {
    let script: Script = text.parse().unwrap_or_else(|error| panic!("{error}"));
    for line in text.lines().filter_map(|line| line.strip_prefix("#=")) {
        let (name, value) = line
            .trim()
            .split_once(' ')
            .unwrap_or_else(|| panic!("{line}"));
        let number = || value.parse::<u64>().unwrap_or_else(|_| panic!("{line}"));
        match name {
            "seed" => {}
            "nodes" => trial.nodes = number(),
            "clients" => trial.clients = number() as usize,
            "horizon" => {
                let nanos = value.trim_end_matches("ns").parse();
                let nanos = nanos.unwrap_or_else(|_| panic!("{line}"));
                trial.horizon = std::time::Duration::from_nanos(nanos);
            }
            "without" => {
                let kind = FaultKind::ALL
                    .into_iter()
                    .find(|kind| kind.to_string() == value);
                let kind = kind.unwrap_or_else(|| panic!("{line}"));
                trial.options.switch_off(kind);
            }
            _ => panic!("{line}"),
        }
    }
    trial.options.script = Some(script);
}

/// The seed in the text.
pub(crate) fn seed(text: &str) -> Option<u64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("#= seed 0x"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

/// Faults that stay on during a script.
const ALWAYS_ON: [FaultKind; 6] = [
    FaultKind::Loss,
    FaultKind::Duplication,
    FaultKind::OldCopy,
    FaultKind::FullLink,
    FaultKind::Drift,
    FaultKind::Step,
];

#[test]
fn a_small_trial_survives_being_written() {
    let trial = |horizon| Trial {
        seed: 3,
        nodes: 5,
        clients: 4,
        horizon,
        options: Swarm::new(horizon).draw(3),
    };
    let drawn = trial(std::time::Duration::from_secs(3));
    let mut small = drawn.clone();
    small.nodes = 2;
    small.clients = 1;
    small.horizon /= 3;
    for kind in ALWAYS_ON {
        small.options.switch_off(kind);
    }
    let faults = "0.5s crash n2 power in-step for 0.2s\n1s pause n1 for 0.1s\n";
    small.options.script = Some(faults.parse().unwrap());
    let text = write(&small, &drawn);
    let mut again = drawn;
    read(&text, &mut again);
    assert_eq!(again, small);
    assert_eq!(seed(&text), Some(3));
}
