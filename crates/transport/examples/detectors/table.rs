//! The table, as Markdown.

use super::runs::{Family, Run};
use super::traces::Trace;
use std::fmt::Write;
use std::time::Duration;

/// Between two lines that mark it in the README.
pub(crate) fn markdown(all: &[(Trace, Vec<Run>)]) -> String {
    let mut text = String::from(HEAD);
    for (trace, runs) in all {
        for run in runs.iter().filter(|run| run.in_table) {
            let measures = &run.measures;
            let family = match run.family {
                Family::Fixed => "deadline, fixed",
                Family::Growing => "deadline, growing",
                Family::Phi | Family::Accepting => "φ accrual",
                Family::Gossip => "gossip",
            };
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "| {} | {family} | {} | {} | {} | {:.1} | {} | {} |",
                trace.name,
                run.setting,
                seconds(measures.detection()),
                seconds(measures.detection_max()),
                measures.mistakes_a_day(),
                seconds(measures.recurrence()),
                seconds(measures.duration()),
            );
        }
    }
    text.push('\n');
    for (trace, _) in all {
        let _ = writeln!(text, "- *{}*: {}", trace.name, trace.about);
    }
    text
}

fn seconds(time: Option<Duration>) -> String {
    match time {
        None => "–".into(),
        Some(time) if time >= Duration::from_secs(100) => format!("{:.0} s", time.as_secs_f64()),
        Some(time) => format!("{:.2} s", time.as_secs_f64()),
    }
}

const HEAD: &str = "\
| world | detector | setting | detection, mean | worst | mistakes a day | recurrence, mean | duration, mean |
|---|---|---|---:|---:|---:|---:|---:|
";
