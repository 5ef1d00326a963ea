//! Both runs over time, in the terminal.

use std::time::Duration;

use super::hall::{Record, WATCHED};
use super::judge::{NAMES, PHI};
use super::pair::Pair;
use crate::report::Page;

/// One run above the other, from a second before the silence on.
pub(super) fn draw(page: &mut Page, pair: &Pair) {
    let begins = pair.since.saturating_sub(Duration::from_secs(1));
    let column = (pair.end - begins) / COLUMNS;
    let starts: Vec<Duration> = (0..COLUMNS).map(|it| begins + column * it).collect();
    for (name, record) in [("it has left", &pair.dead), ("it is slow", &pair.slow)] {
        page.line("");
        page.line(format_args!("  {name}:"));
        let notes = starts.iter().map(|at| {
            let notes = record.notes.iter().filter(|note| note.from == WATCHED);
            let here = notes.filter(|note| (*at..*at + column).contains(&note.at));
            if here.count() > 0 { '|' } else { ' ' }
        });
        row(page, "its notes", notes.collect());
        for (judge, name) in NAMES.iter().enumerate() {
            let shown = starts.iter().map(|at| mark(record, judge, *at + column));
            row(page, name, shown.collect());
        }
    }
    let at = |moment: Duration| {
        let behind = moment.saturating_sub(begins).as_nanos() / column.as_nanos().max(1);
        usize::try_from(behind).unwrap_or(usize::MAX)
    };
    let parted = pair.parted().unwrap_or(pair.end);
    let (silent, parted) = (at(pair.since), at(parted));
    let between = parted.saturating_sub(silent + 1);
    page.line(format_args!(
        "  {:<20}{}^{}^",
        "",
        " ".repeat(silent),
        " ".repeat(between)
    ));
    page.line(format_args!(
        "  {:<20}{}silent{}the late notes come",
        "",
        " ".repeat(silent),
        " ".repeat(between.saturating_sub(5))
    ));
    page.line("  (· trusts, █ suspects; φ rises between; each column is the last of its moments)");
}

fn row(page: &mut Page, name: &str, marks: String) {
    page.line(format_args!("  {name:<20}{marks}"));
}

/// What the detector showed last before a moment.
fn mark(record: &Record, judge: usize, before: Duration) -> char {
    let shown = record.shown.iter().take_while(|it| it.at < before);
    let level = shown.last().map_or(0.0, |it| it.levels[judge]);
    match level {
        level if level >= 1.0 => '█',
        level if judge == PHI && level > 0.02 => RISING[(level * 7.0) as usize],
        _ => '·',
    }
}

const COLUMNS: u32 = 72;
const RISING: [char; 7] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇'];
