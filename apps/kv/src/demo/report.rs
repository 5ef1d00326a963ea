//! What a run comes to, for a person and for a program.

use std::{
    fmt::{self, Write},
    path::PathBuf,
    time::Duration,
};

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::demo::{
    history::{End, Record},
    nemesis::{Blow, How},
    verify::Verified,
};

/// All that there is to say about a run. [`Display`](fmt::Display) is the report for a person.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) protocol: String,
    /// The protocol, and its quorums where they are not majorities.
    pub(crate) agreement: String,
    pub(crate) nodes: u64,
    pub(crate) clients: usize,
    pub(crate) keys: usize,
    pub(crate) value_bytes: usize,
    /// How long the load ran.
    pub(crate) load: Duration,
    pub(crate) tally: Tally,
    pub(crate) blows: Vec<Blow>,
    /// Of all nodes together, while the load ran.
    pub(crate) log_syncs: u64,
    pub(crate) verified: Verified,
    /// Where the nodes' data is, if it is still there.
    pub(crate) data: Option<PathBuf>,
}

/// The operations of the load, by outcome.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) acknowledged: u64,
    pub(crate) rejected: u64,
    pub(crate) unknown: u64,
    /// Attempts beside the first, of all operations.
    pub(crate) again: u64,
    /// Of those acknowledged, in microseconds.
    pub(crate) latency: Histogram<u64>,
}

/// The line for a program: the fields that README and CI rely on.
#[derive(Debug, Serialize)]
struct Summary<'a> {
    protocol: &'a str,
    nodes: u64,
    clients: usize,
    acknowledged: u64,
    lost: u64,
    unknown: u64,
    linearizable: bool,
    throughput_ops_s: f64,
    latency_us: Percentiles,
    leaderless_ms: Vec<f64>,
    syncs_per_1000_ops: f64,
}

/// Latencies in microseconds.
#[derive(Debug, Serialize)]
pub(crate) struct Percentiles {
    p50: u64,
    p99: u64,
    p999: u64,
}

impl Tally {
    pub(crate) fn of(records: &[Record]) -> Self {
        let mut tally = Self {
            acknowledged: 0,
            rejected: 0,
            unknown: 0,
            again: 0,
            latency: latency_histogram(),
        };
        for record in records {
            tally.again += u64::from(record.again);
            match &record.end {
                End::Ok(_) => {
                    tally.acknowledged += 1;
                    tally
                        .latency
                        .saturating_record((record.returned - record.called).as_micros() as u64);
                }
                End::Failed => tally.rejected += 1,
                End::Unknown => tally.unknown += 1,
            }
        }
        tally
    }
}

impl Percentiles {
    pub(crate) fn of(latency: &Histogram<u64>) -> Self {
        let [p50, p99, p999] =
            [0.5, 0.99, 0.999].map(|quantile| latency.value_at_quantile(quantile));
        Self { p50, p99, p999 }
    }
}

impl Report {
    /// Nothing lost, every operation explained and its end known, and every cut was one.
    pub(crate) fn passes(&self) -> bool {
        let struck = |blow: &Blow| blow.how.struck();
        self.verified.lost == 0
            && self.verified.linearizable.is_ok()
            && self.tally.unknown == 0
            && self.blows.iter().all(struck)
    }

    /// One JSON object.
    pub(crate) fn json(&self) -> serde_json::Result<String> {
        let round = |number: f64| (number * 10.0).round() / 10.0;
        serde_json::to_string(&Summary {
            protocol: &self.protocol,
            nodes: self.nodes,
            clients: self.clients,
            acknowledged: self.tally.acknowledged,
            lost: self.verified.lost,
            unknown: self.tally.unknown,
            linearizable: self.verified.linearizable.is_ok(),
            throughput_ops_s: round(self.throughput()),
            latency_us: Percentiles::of(&self.tally.latency),
            leaderless_ms: self
                .blows
                .iter()
                .map(|blow| round(blow.leaderless.as_secs_f64() * 1e3))
                .collect(),
            syncs_per_1000_ops: round(self.syncs_per_1000_ops()),
        })
    }

    fn throughput(&self) -> f64 {
        self.tally.acknowledged as f64 / self.load.as_secs_f64()
    }

    fn syncs_per_1000_ops(&self) -> f64 {
        self.log_syncs as f64 * 1e3 / self.tally.acknowledged.max(1) as f64
    }

    fn failure(&self) -> &'static str {
        match self.verified.lost == 0 && self.verified.linearizable.is_ok() {
            true if self.tally.unknown > 0 => {
                "FAIL  not every operation that was asked again under its name got an answer"
            }
            true => "FAIL  links or disks that were to fail did not: this run shows nothing",
            false => "FAIL  the cluster did not keep what it acknowledged",
        }
    }

    fn write_blows(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for blow in &self.blows {
            let more = if blow.recovered { "" } else { " and more" };
            let (name, width, pause, met) = match blow.how {
                How::Killed => ("killed", 26, LEADERLESS, String::new()),
                How::Cut { swallowed } => {
                    let met = format!(", {} messages swallowed", grouped(swallowed));
                    ("cut", 42, LEADERLESS, met)
                }
                How::Restarted => ("restarted", 26, SILENT, String::new()),
                How::Replaced => ("replaced", 42, SILENT, String::new()),
                How::Stalled { met } => (
                    "disk stalled",
                    26,
                    SILENT,
                    format!(", kept waiting {met} times"),
                ),
                How::Filled { met } => ("disk full", 26, SILENT, format!(", refused {met} times")),
            };
            writeln!(
                f,
                "  {name:<15} {:<width$} {:>6} ms {pause}{more}{met}",
                format!("{} at {:.1} s", blow.what, blow.at.as_secs_f64()),
                grouped(blow.leaderless.as_millis() as u64),
            )?;
        }
        Ok(())
    }

    fn write_verdict(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verified = &self.verified;
        writeln!(
            f,
            "  lost            {} of {} acknowledged appends and write-once keys",
            grouped(verified.lost),
            grouped(verified.promised)
        )?;
        match &verified.linearizable {
            Ok(()) => writeln!(
                f,
                "  linearizable    yes: {} operations on {} keys, checked in {:.1} s",
                grouped(verified.operations),
                grouped(verified.keys as u64),
                verified.took.as_secs_f64()
            )?,
            Err(why) => {
                writeln!(f, "  linearizable    no")?;
                why.lines()
                    .take(VIOLATION_LINES_MAX)
                    .try_for_each(|line| writeln!(f, "    {line}"))?;
            }
        }
        if let Some(data) = &self.data {
            writeln!(f, "  data            {}", data.display())?;
        }
        writeln!(f)?;
        if self.passes() {
            write!(
                f,
                "PASS  nothing that was acknowledged is missing, and every answer is explained"
            )
        } else {
            write!(f, "{}", self.failure())
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}: {} nodes, {} clients, {} keys, values of {} bytes, {:.1} s of load\n",
            self.agreement,
            self.nodes,
            self.clients,
            grouped(self.keys as u64),
            grouped(self.value_bytes as u64),
            self.load.as_secs_f64()
        )?;
        let tally = &self.tally;
        writeln!(
            f,
            "  throughput      {} operations/s",
            grouped(self.throughput() as u64)
        )?;
        writeln!(
            f,
            "  operations      {} acknowledged, {} rejected, {} stayed unknown ({} asked again)",
            grouped(tally.acknowledged),
            grouped(tally.rejected),
            grouped(tally.unknown),
            grouped(tally.again)
        )?;
        let latency = Percentiles::of(&tally.latency);
        writeln!(
            f,
            "  latency         p50 {}   p99 {}   p99.9 {}",
            milliseconds(latency.p50),
            milliseconds(latency.p99),
            milliseconds(latency.p999)
        )?;
        writeln!(
            f,
            "  log syncs       {:.1} for each 1,000 operations, all nodes together",
            self.syncs_per_1000_ops()
        )?;
        self.write_blows(f)?;
        self.write_verdict(f)
    }
}

/// From a microsecond to a minute, to three digits.
pub(crate) fn latency_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000, 3).expect("the bounds are in order")
}

/// Microseconds, for a person.
pub(crate) fn milliseconds(micros: u64) -> String {
    format!("{:.2} ms", micros as f64 / 1e3)
}

/// A number with a comma between each three digits.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        // Writing to a string cannot fail.
        let _ = grouped.write_char(digit);
    }
    grouped
}

const LEADERLESS: &str = "without a leader";
/// The longest pause of what takes a while.
const SILENT: &str = "without an acknowledged write";
const VIOLATION_LINES_MAX: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn report(lost: u64, linearizable: Result<(), String>) -> Report {
        let mut latency = latency_histogram();
        latency.record_n(1_234, 1_000).unwrap();
        let kill = |what: &str, ms| Blow {
            how: How::Killed,
            what: what.into(),
            at: Duration::from_secs(5),
            leaderless: Duration::from_millis(ms),
            recovered: true,
        };
        Report {
            protocol: "raft".into(),
            agreement: "raft".into(),
            nodes: 3,
            clients: 32,
            keys: 1_000,
            value_bytes: 64,
            load: Duration::from_secs(20),
            tally: Tally {
                acknowledged: 400_000,
                rejected: 3,
                unknown: 0,
                again: 2,
                latency,
            },
            blows: vec![kill("leader, node 2", 412), kill("all nodes", 1_655)],
            log_syncs: 60_000,
            verified: Verified {
                promised: 50_000,
                lost,
                linearizable,
                operations: 400_002,
                keys: 9,
                took: Duration::ZERO,
            },
            data: None,
        }
    }

    #[test]
    fn the_line_for_a_program_has_exactly_the_promised_fields() {
        let line = report(0, Ok(())).json().unwrap();
        let expected = concat!(
            r#"{"protocol":"raft","nodes":3,"clients":32,"acknowledged":400000,"lost":0,"unknown":0,"linearizable":true,"#,
            r#""throughput_ops_s":20000.0,"latency_us":{"p50":1234,"p99":1234,"p999":1234},"leaderless_ms":[412.0,1655.0],"#,
            r#""syncs_per_1000_ops":150.0}"#
        );
        assert_eq!(line, expected);
    }

    #[test]
    fn it_passes_only_if_nothing_is_lost_and_all_is_explained() {
        assert!(report(0, Ok(())).passes());
        assert!(!report(1, Ok(())).passes());
        assert!(!report(0, Err("why".into())).passes());
        let text = report(1, Err("why".into())).to_string();
        assert!(
            text.contains("lost            1 of 50,000")
                && text.contains("linearizable    no\n    why"),
            "{text}"
        );
    }

    #[test]
    fn what_stays_unknown_fails() {
        let mut report = report(0, Ok(()));
        report.tally.unknown = 1;
        assert!(!report.passes());
        assert!(
            report
                .to_string()
                .contains("1 stayed unknown (2 asked again)")
        );
    }

    #[test]
    fn a_fault_that_did_nothing_was_none() {
        let mut report = report(0, Ok(()));
        for (met, passes) in [(7, true), (0, false)] {
            let cut = How::Cut { swallowed: met };
            for how in [cut, How::Stalled { met }, How::Filled { met }] {
                report.blows[0].how = how;
                assert_eq!(report.passes(), passes, "{how:?}");
            }
        }
    }

    #[test]
    fn digits_are_grouped() {
        let cases = [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (1_234_567, "1,234,567"),
        ];
        for (number, text) in cases {
            assert_eq!(grouped(number), text);
        }
    }
}
