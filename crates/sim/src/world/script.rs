//! Faults as text, one a line.

use std::collections::BTreeSet;
use std::fmt;
use std::str::{FromStr, SplitWhitespace};
use std::time::Duration;

use crate::world::fault::{ClockChange, Crash, Fault, Strike};
use crate::world::process::NodeId;

/// Faults with their times: recorded by a world, or to be injected.
///
/// The text has one fault a line, `TIME FAULT`; blank lines and what follows a `#` are nothing.
/// Times are decimal with a unit (`s`, `ms`, `us`, `ns`), nodes are `n1`, a link one way is `n1>n2`
/// and both ways `n1-n2`:
///
/// ```text
/// 0.5s  crash n2 power in-step for 0.2s       kill | power; now | in-step | at-operation 7
/// 0.6s  power-all for 0.1s                    both without `for`: they stay down
/// 0.7s  pause n1 for 1.5s
/// 0.8s  partition n1-n2 n1>n3 for 0.5s
/// 0.9s  clog n3>n1 for 0.3s
/// 1s    clock n1 drift -200ppm                also: freeze 0.3s, jump 2s, step +1s, step -1s
/// 1.1s  disk-stall n2 for 0.4s
/// 1.2s  sync-error n2
/// 1.3s  disk-full n3 for 1s
/// 1.4s  rot n3 0x7f31
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Script(pub Vec<(Duration, Fault)>);

/// A line that is not a valid fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} is no fault: {text:?}")]
#[non_exhaustive]
pub struct ScriptError {
    /// Its number, from 1.
    pub line: usize,
    /// The text of the line.
    pub text: String,
}

impl From<&[(Duration, Fault)]> for Script {
    fn from(faults: &[(Duration, Fault)]) -> Self {
        Self(faults.to_vec())
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|(at, fault)| writeln!(f, "{} {fault}", Seconds(*at)))
    }
}

impl FromStr for Script {
    type Err = ScriptError;

    fn from_str(text: &str) -> Result<Self, ScriptError> {
        let mut faults = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let mut words = line
                .split('#')
                .next()
                .unwrap_or_default()
                .split_whitespace();
            let Some(at) = words.next() else {
                continue;
            };
            let fault = time(at).and_then(|at| Some((at, fault(&mut words)?)));
            match fault {
                Some(fault) if words.next().is_none() => faults.push(fault),
                _ => {
                    return Err(ScriptError {
                        line: number + 1,
                        text: line.to_owned(),
                    });
                }
            }
        }
        Ok(Self(faults))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Crash {
                node,
                crash,
                strike,
                down,
            } => {
                let crash = match crash {
                    Crash::Kill => "kill",
                    Crash::Power => "power",
                };
                write!(f, "crash {node} {crash} {strike}")?;
                write_down(f, *down)
            }
            Self::PowerAll { down } => {
                write!(f, "power-all")?;
                write_down(f, *down)
            }
            Self::Pause { node, lasts } => write!(f, "pause {node} for {}", Seconds(*lasts)),
            Self::Partition { cuts, lasts } => {
                write!(f, "partition")?;
                for &(from, to) in cuts {
                    match cuts.contains(&(to, from)) {
                        true if from < to => write!(f, " {from}-{to}")?,
                        true => {}
                        false => write!(f, " {from}>{to}")?,
                    }
                }
                write!(f, " for {}", Seconds(*lasts))
            }
            Self::Clog { from, to, lasts } => {
                write!(f, "clog {from}>{to} for {}", Seconds(*lasts))
            }
            Self::Clock { node, change } => write!(f, "clock {node} {change}"),
            Self::DiskStall { node, lasts } => {
                write!(f, "disk-stall {node} for {}", Seconds(*lasts))
            }
            Self::SyncError { node } => write!(f, "sync-error {node}"),
            Self::DiskFull { node, lasts } => write!(f, "disk-full {node} for {}", Seconds(*lasts)),
            Self::Rot { node, seed } => write!(f, "rot {node} {seed:#x}"),
        }
    }
}

fn write_down(f: &mut fmt::Formatter<'_>, down: Option<Duration>) -> fmt::Result {
    match down {
        Some(down) => write!(f, " for {}", Seconds(down)),
        None => Ok(()),
    }
}

impl fmt::Display for Strike {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Now => write!(f, "now"),
            Self::InStep => write!(f, "in-step"),
            Self::AtOperation(operations) => write!(f, "at-operation {operations}"),
        }
    }
}

impl fmt::Display for ClockChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Drift { ppm } => write!(f, "drift {ppm:+}ppm"),
            Self::Freeze { lasts } => write!(f, "freeze {}", Seconds(*lasts)),
            Self::Jump { by } => write!(f, "jump {}", Seconds(*by)),
            Self::StepForward { by } => write!(f, "step +{}", Seconds(*by)),
            Self::StepBack { by } => write!(f, "step -{}", Seconds(*by)),
        }
    }
}

/// An exact time in seconds, without trailing zeros.
pub(super) struct Seconds(pub(super) Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = format!("{:09}", self.0.subsec_nanos());
        match nanos.trim_end_matches('0') {
            "" => f.pad(&format!("{}s", self.0.as_secs())),
            nanos => f.pad(&format!("{}.{nanos}s", self.0.as_secs())),
        }
    }
}

fn fault(words: &mut SplitWhitespace<'_>) -> Option<Fault> {
    Some(match words.next()? {
        "crash" => Fault::Crash {
            node: node(words.next()?)?,
            crash: match words.next()? {
                "kill" => Crash::Kill,
                "power" => Crash::Power,
                _ => return None,
            },
            strike: match words.next()? {
                "now" => Strike::Now,
                "in-step" => Strike::InStep,
                "at-operation" => Strike::AtOperation(words.next()?.parse().ok()?),
                _ => return None,
            },
            down: down(words)?,
        },
        "power-all" => Fault::PowerAll { down: down(words)? },
        "pause" => Fault::Pause {
            node: node(words.next()?)?,
            lasts: lasts(words)?,
        },
        "partition" => partition(words)?,
        "clog" => {
            let (from, to) = words.next()?.split_once('>')?;
            Fault::Clog {
                from: node(from)?,
                to: node(to)?,
                lasts: lasts(words)?,
            }
        }
        "clock" => Fault::Clock {
            node: node(words.next()?)?,
            change: clock_change(words)?,
        },
        "disk-stall" => Fault::DiskStall {
            node: node(words.next()?)?,
            lasts: lasts(words)?,
        },
        "sync-error" => Fault::SyncError {
            node: node(words.next()?)?,
        },
        "disk-full" => Fault::DiskFull {
            node: node(words.next()?)?,
            lasts: lasts(words)?,
        },
        "rot" => Fault::Rot {
            node: node(words.next()?)?,
            seed: u64::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok()?,
        },
        _ => return None,
    })
}

fn partition(words: &mut SplitWhitespace<'_>) -> Option<Fault> {
    let mut cuts = BTreeSet::new();
    loop {
        let word = words.next()?;
        if word == "for" {
            let lasts = time(words.next()?)?;
            return Some(Fault::Partition { cuts, lasts });
        }
        if let Some((from, to)) = word.split_once('>') {
            cuts.insert((node(from)?, node(to)?));
        } else {
            let (one, other) = word.split_once('-')?;
            let (one, other) = (node(one)?, node(other)?);
            cuts.extend([(one, other), (other, one)]);
        }
    }
}

fn clock_change(words: &mut SplitWhitespace<'_>) -> Option<ClockChange> {
    let (what, how) = (words.next()?, words.next()?);
    Some(match what {
        "drift" => {
            let ppm = how.strip_suffix("ppm")?.parse().ok()?;
            if ppm <= -1_000_000 {
                return None;
            }
            ClockChange::Drift { ppm }
        }
        "freeze" => ClockChange::Freeze { lasts: time(how)? },
        "jump" => ClockChange::Jump { by: time(how)? },
        "step" => match how.strip_prefix('-') {
            Some(by) => ClockChange::StepBack { by: time(by)? },
            None => ClockChange::StepForward {
                by: time(how.strip_prefix('+')?)?,
            },
        },
        _ => return None,
    })
}

fn down(words: &mut SplitWhitespace<'_>) -> Option<Option<Duration>> {
    match words.next() {
        Some("for") => Some(Some(time(words.next()?)?)),
        Some(_) => None,
        None => Some(None),
    }
}

fn lasts(words: &mut SplitWhitespace<'_>) -> Option<Duration> {
    (words.next()? == "for").then_some(())?;
    time(words.next()?)
}

fn node(word: &str) -> Option<NodeId> {
    Some(NodeId(digits(word.strip_prefix('n')?)?))
}

/// A decimal number with a unit, exact to the nanosecond.
pub(crate) fn time(word: &str) -> Option<Duration> {
    let unit_at = word.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = word.split_at(unit_at);
    let digits_max = match unit {
        "s" => 9,
        "ms" => 6,
        "us" => 3,
        "ns" => 0,
        _ => return None,
    };
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    if part.len() > digits_max.max(1) || (digits_max == 0 && number.contains('.')) {
        return None;
    }
    let scale = 10_u64.pow(digits_max as u32);
    let part = digits(part)? * scale / 10_u64.pow(part.len() as u32);
    Some(Duration::from_nanos(
        digits(whole)?.checked_mul(scale)?.checked_add(part)?,
    ))
}

/// Digits and nothing else; [`u64::from_str`] takes a sign.
fn digits(word: &str) -> Option<u64> {
    (word.bytes().all(|byte| byte.is_ascii_digit())).then(|| word.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_is_a_line_and_back() {
        let text = "\
0.5s crash n2 power in-step for 0.2s
0.500000001s crash n1 kill now
0.6s crash n12 power at-operation 7 for 1s
0.6s power-all for 0.1s
0.65s power-all
0.7s pause n1 for 1.5s
0.8s partition n1-n2 n1>n3 n3>n2 for 0.5s
0.9s clog n3>n1 for 0.3s
1s clock n1 drift -200ppm
1s clock n1 drift +50ppm
1s clock n1 freeze 0.3s
1s clock n1 jump 2s
1s clock n1 step +1s
1s clock n1 step -0.25s
1.1s disk-stall n2 for 0.4s
1.2s sync-error n2
1.3s disk-full n3 for 1s
1.4s rot n3 0x7f31
";
        let script: Script = text.parse().unwrap();
        assert_eq!(script.to_string(), text);
        assert_eq!(script.0.len(), 18);
    }

    #[test]
    fn times_are_exact_and_take_units() {
        for (word, nanos) in [
            ("1s", 1_000_000_000),
            ("1.5ms", 1_500_000),
            ("0.001us", 1),
            ("7ns", 7),
            ("1.000000001s", 1_000_000_001),
            ("18446744073s", 18_446_744_073_000_000_000),
        ] {
            assert_eq!(time(word), Some(Duration::from_nanos(nanos)), "{word}");
        }
        for word in [
            "1",
            "s",
            "1.s",
            "1.0000000001s",
            "0.5ns",
            "-1s",
            "+1s",
            "1e3s",
            "99999999999s",
            "1m",
        ] {
            assert_eq!(time(word), None, "{word}");
        }
    }

    #[test]
    fn a_line_that_is_no_fault_is_named() {
        for line in [
            "crash n1 kill now",
            "1s",
            "1s crash n1 kill",
            "1s crash n1 kill now 1s",
            "1s pause n1 for 1s more",
            "1s pause 1 for 1s",
            "1s partition n1 for 1s",
            "1s clog n1-n2 for 1s",
            "1s clock n1 step 1s",
            "1s clock n1 drift -1000000ppm",
            "1s rot n1 12",
        ] {
            let text = format!("# fine\n\n  {line}");
            let error = text.parse::<Script>().unwrap_err();
            assert_eq!((error.line, error.text.trim()), (3, line));
        }
    }
}
