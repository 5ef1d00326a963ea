//! The plot: a panel a world, mistakes a day against the time to detect, a curve a kind of detector.

use super::runs::{Family, Run};
use super::traces::Trace;
use std::fmt::Write;

/// A picture that needs nothing but itself.
pub(crate) fn svg(all: &[(Trace, Vec<Run>)]) -> String {
    let mut text = String::new();
    let (width, height) = (COLUMNS * PANEL_WIDTH, 2 * PANEL_HEIGHT);
    // Writing to a string cannot fail, here and below.
    let _ = writeln!(
        text,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"11\">"
    );
    text.push_str("<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n");
    for (place, (trace, runs)) in all.iter().enumerate() {
        let (x, y) = corner(place);
        let _ = writeln!(text, "<g transform=\"translate({x} {y})\">");
        axes(&mut text, trace.name);
        for family in FAMILIES {
            curve(&mut text, family, runs);
        }
        text.push_str("</g>\n");
    }
    let (x, y) = corner(all.len());
    let _ = writeln!(text, "<g transform=\"translate({x} {y})\">");
    legend(&mut text);
    text.push_str("</g>\n</svg>\n");
    text
}

fn corner(place: usize) -> (usize, usize) {
    let (row, column) = (place / COLUMNS, place % COLUMNS);
    (column * PANEL_WIDTH + 48, row * PANEL_HEIGHT + 28)
}

fn axes(text: &mut String, name: &str) {
    let _ = writeln!(
        text,
        "<text x=\"0\" y=\"-10\" font-size=\"13\" font-weight=\"bold\">{name}</text>\n\
         <rect width=\"{AREA_WIDTH}\" height=\"{AREA_HEIGHT}\" fill=\"none\" stroke=\"#888\"/>"
    );
    for seconds in (0..=SECONDS_MAX as u32).step_by(3) {
        let x = across(f64::from(seconds));
        let _ = writeln!(
            text,
            "<path d=\"M{x:.1} 0V{AREA_HEIGHT}\" stroke=\"#eee\"/>\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{seconds}</text>",
            AREA_HEIGHT + 14.0
        );
    }
    for (mistakes, label) in [
        (NONE, "0"),
        (1.0, "1"),
        (10.0, "10"),
        (100.0, "100"),
        (1e3, "1000"),
    ] {
        let y = up(mistakes);
        let _ = writeln!(
            text,
            "<path d=\"M0 {y:.1}H{AREA_WIDTH}\" stroke=\"#eee\"/>\
             <text x=\"-5\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
            y + 4.0
        );
    }
}

fn curve(text: &mut String, family: Family, runs: &[Run]) {
    let (colour, _) = style(family);
    let points: Vec<(f64, f64)> = runs
        .iter()
        .filter(|run| run.family == family)
        .filter_map(|run| {
            let detection = run.measures.detection()?.as_secs_f64();
            (detection <= SECONDS_MAX)
                .then(|| (across(detection), up(run.measures.mistakes_a_day())))
        })
        .collect();
    let line: Vec<String> = points
        .iter()
        .map(|(x, y)| format!("{x:.1},{y:.1}"))
        .collect();
    let _ = writeln!(
        text,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>",
        line.join(" ")
    );
    for (x, y) in points {
        let _ = writeln!(
            text,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>"
        );
    }
}

fn legend(text: &mut String) {
    for (row, family) in FAMILIES.into_iter().enumerate() {
        let (colour, name) = style(family);
        let y = 20 * row + 20;
        let _ = writeln!(
            text,
            "<circle cx=\"6\" cy=\"{y}\" r=\"4\" fill=\"{colour}\"/><text x=\"18\" y=\"{}\">{name}</text>",
            y + 4
        );
    }
    for (row, line) in [
        "across: seconds from a crash to the",
        "suspicion that lasts, on average",
        "up: mistakes a day, of one watcher",
        "about one peer (0 at the bottom)",
    ]
    .into_iter()
    .enumerate()
    {
        let _ = writeln!(text, "<text x=\"0\" y=\"{}\">{line}</text>", 16 * row + 135);
    }
}

fn style(family: Family) -> (&'static str, &'static str) {
    match family {
        Family::Fixed => ("#0072b2", "deadline, fixed: 1.2 to 10 s"),
        Family::Growing => ("#56b4e9", "deadline, growing: from 1.5 s on"),
        Family::Phi => ("#d55e00", "φ accrual: thresholds 1 to 32"),
        Family::Accepting => ("#cc79a7", "φ accrual, 8: 1 to 7 s accepted"),
        Family::Gossip => ("#009e73", "gossip: 0 to 8 s to refute"),
    }
}

fn across(seconds: f64) -> f64 {
    seconds / SECONDS_MAX * AREA_WIDTH
}

/// By decades; the lowest stands for none at all.
fn up(mistakes: f64) -> f64 {
    let decades = (mistakes.max(NONE) / NONE).log10();
    AREA_HEIGHT - decades / DECADES * AREA_HEIGHT
}

const FAMILIES: [Family; 5] = [
    Family::Fixed,
    Family::Growing,
    Family::Phi,
    Family::Accepting,
    Family::Gossip,
];
const COLUMNS: usize = 3;
const PANEL_WIDTH: usize = 300;
const PANEL_HEIGHT: usize = 240;
const AREA_WIDTH: f64 = 235.0;
const AREA_HEIGHT: f64 = 180.0;
const SECONDS_MAX: f64 = 15.0;
/// Less than once in the days that were watched.
const NONE: f64 = 0.1;
const DECADES: f64 = 5.0;
