//! `cargo xtask shrink`: a failing seed, made small enough to read.

use std::process::ExitCode;

use crate::sim;

/// Shrinks the failure of a seed and leaves a script of faults that still fails.
pub(crate) fn run(arguments: &[&str]) -> ExitCode {
    let Some((protocol, seed)) = parse(arguments) else {
        eprintln!("Usage: cargo xtask shrink [--protocol raft|paxos] SEED");
        return ExitCode::from(2);
    };
    let mut code = ExitCode::SUCCESS;
    for protocol in sim::chosen(protocol) {
        let mut command = sim::test(protocol, "shrinks");
        command.env("SIM_SEED", seed);
        let ended = sim::status(command);
        if ended != ExitCode::SUCCESS {
            code = ended;
        }
    }
    code
}

/// The protocol, if one is named, and the seed.
fn parse<'a>(arguments: &[&'a str]) -> Option<(Option<&'a str>, &'a str)> {
    let (protocol, seed) = match *arguments {
        [seed] => (None, seed),
        ["--protocol", protocol, seed] | [seed, "--protocol", protocol] => (Some(protocol), seed),
        _ => return None,
    };
    let known = protocol.is_none_or(|named| sim::PROTOCOLS.contains(&named));
    (known && sim::seed(seed).is_some()).then_some((protocol, seed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_and_perhaps_a_protocol() {
        assert_eq!(parse(&["0x2a"]), Some((None, "0x2a")));
        assert_eq!(
            parse(&["--protocol", "paxos", "42"]),
            Some((Some("paxos"), "42"))
        );
        assert_eq!(
            parse(&["42", "--protocol", "raft"]),
            Some((Some("raft"), "42"))
        );
        for nonsense in [
            &[][..],
            &["x"],
            &["--protocol", "pigeon", "42"],
            &["1", "2"],
        ] {
            assert_eq!(parse(nonsense), None, "{nonsense:?}");
        }
    }
}
