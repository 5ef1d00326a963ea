//! Both runs over time, as a drawing that stands by itself.

use std::fmt::Write;
use std::time::Duration;

use super::hall::{Record, Said, WATCHED};
use super::judge::{NAMES, PHI};
use super::pair::Pair;

/// An SVG: notes as ticks, suspicion as hatched bars, φ as a line. It loads nothing, goes with a dark
/// page, and needs no colour to be read.
#[must_use]
pub fn svg(pair: &Pair) -> String {
    let mut out = String::new();
    let scale = Scale {
        begins: pair.since.saturating_sub(Duration::from_secs(1)),
        ends: pair.end,
    };
    let height = 2 * PANEL + 70;
    // To write to a string cannot fail.
    let _ = writeln!(
        out,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-labelledby="title what" font-family="sans-serif" font-size="13">"#
    );
    out.push_str(HEAD);
    for (number, (name, record)) in [("It has left", &pair.dead), ("It is slow", &pair.slow)]
        .into_iter()
        .enumerate()
    {
        panel(&mut out, pair, &scale, name, record, 10 + number * PANEL);
    }
    let foot = 2 * PANEL + 5;
    let moments = [
        (Some(pair.since), "silent from here on"),
        (pair.parted(), "the late notes come"),
    ];
    for (moment, words) in moments {
        let Some(x) = moment.map(|at| scale.x(at)) else {
            continue;
        };
        let _ = writeln!(
            out,
            r#"<path class="moment" d="M{x:.1} 10V{foot}"/><text x="{:.1}" y="{}">{words}</text>"#,
            x + 4.0,
            foot + 2
        );
    }
    let mut second = scale.begins.as_secs() + 1;
    while Duration::from_secs(second) <= scale.ends {
        let x = scale.x(Duration::from_secs(second));
        let _ = writeln!(
            out,
            r#"<path class="axis" d="M{x:.1} {}v6"/><text x="{x:.1}" y="{}" text-anchor="middle">{second} s</text>"#,
            foot + 12,
            foot + 34
        );
        second += 1;
    }
    out.push_str("</svg>\n");
    out
}

fn panel(out: &mut String, pair: &Pair, scale: &Scale, name: &str, record: &Record, top: usize) {
    let _ = writeln!(
        out,
        r#"<text class="head" x="10" y="{}">{name}</text>"#,
        top + 14
    );
    let notes = record.notes.iter().filter(|note| note.from == WATCHED);
    let y = top + ROW;
    let _ = write!(
        out,
        r#"<text x="10" y="{}">its notes</text><path class="note" d=""#,
        y + 14
    );
    for note in notes.filter(|note| note.at >= scale.begins) {
        let _ = write!(out, "M{:.1} {}v14", scale.x(note.at), y + 3);
    }
    out.push_str("\"/>\n");
    for (judge, name) in NAMES.iter().enumerate() {
        let y = top + ROW * (judge + 2);
        let (left, width) = (LEFT, WIDTH - LEFT - RIGHT);
        let _ = writeln!(
            out,
            r#"<text x="10" y="{}">{name}</text><rect class="trust" x="{left}" y="{}" width="{width}" height="16"/>"#,
            y + 14,
            y + 2
        );
        for (from, to) in suspected(record, judge, pair.end) {
            let from = scale.x(from.max(scale.begins));
            let _ = writeln!(
                out,
                r#"<rect class="suspect" x="{from:.1}" y="{}" width="{:.1}" height="16"><title>{name}: suspected</title></rect>"#,
                y + 2,
                scale.x(to) - from
            );
        }
        if judge == PHI {
            rising(out, scale, record, y + 18);
        }
    }
}

/// From when until when it was suspected.
fn suspected(record: &Record, judge: usize, end: Duration) -> Vec<(Duration, Duration)> {
    let said: Vec<&Said> = record.said.iter().filter(|it| it.judge == judge).collect();
    let spans = said.iter().enumerate().filter(|(_, it)| it.suspects);
    let spans = spans.map(|(at, it)| (it.at, said.get(at + 1).map_or(end, |next| next.at)));
    spans.collect()
}

fn rising(out: &mut String, scale: &Scale, record: &Record, bottom: usize) {
    let shown = record.shown.iter().filter(|it| it.at >= scale.begins);
    let points = shown.map(|it| {
        let y = bottom as f64 - 16.0 * it.levels[PHI].min(1.0);
        format!("{:.1},{y:.1}", scale.x(it.at))
    });
    let points: Vec<String> = points.collect();
    let _ = writeln!(
        out,
        r#"<polyline class="phi" points="{}"/>"#,
        points.join(" ")
    );
}

struct Scale {
    begins: Duration,
    ends: Duration,
}

impl Scale {
    fn x(&self, at: Duration) -> f64 {
        let whole = (self.ends.saturating_sub(self.begins))
            .as_secs_f64()
            .max(1e-9);
        let part = at.saturating_sub(self.begins).as_secs_f64() / whole;
        LEFT as f64 + part * (WIDTH - LEFT - RIGHT) as f64
    }
}

const WIDTH: usize = 1000;
const LEFT: usize = 160;
const RIGHT: usize = 20;
const ROW: usize = 22;
const PANEL: usize = 8 * ROW;
const HEAD: &str = r##"<title id="title">A player who has left and one who is slow</title>
<desc id="what">Two runs, one above the other. Until the late notes come, all rows of both are the
same: who suspects the one that has left suspects the slow one as well.</desc>
<style>
svg{background:#fff;color:#222}text{fill:currentColor}.head{font-weight:bold}
.note,.axis{stroke:currentColor;fill:none}.moment{stroke:currentColor;stroke-dasharray:4 4;fill:none}
.trust{fill:none;stroke:currentColor;stroke-opacity:.4}.suspect{fill:url(#hatch);stroke:#d55e00}
.phi{fill:none;stroke:#0072b2;stroke-width:1.5}
@media(prefers-color-scheme:dark){svg{background:#111;color:#eee}.phi{stroke:#56b4e9}}
</style>
<defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
<path d="M0 0v6" stroke="#d55e00" stroke-width="4"/></pattern></defs>
"##;
