//! Intervals as bars, in 80 columns.

use std::fmt::Write;

use synod_truetime::{Interval, Timestamp};

use crate::panel::{State, Survey};

pub(crate) struct Picture {
    coloured: bool,
}

impl Picture {
    pub(crate) const fn new(coloured: bool) -> Self {
        Self { coloured }
    }

    pub(crate) fn draw(&self, survey: &Survey) -> String {
        let mut out = String::new();
        let scale = Scale::of(survey);
        self.draw_head(&mut out, survey, scale.as_ref());
        for row in &survey.rows {
            let (mark, colour) = match row.state {
                State::Truechimer(_) => ("●", GREEN),
                State::Falseticker(_) => ("✗", RED),
                State::Silent(_) => ("○", GREY),
            };
            let _ = match (&row.state, &scale) {
                (State::Silent(error), _) => {
                    writeln!(
                        out,
                        " {} {:<11}{}",
                        self.paint(mark, colour),
                        row.name,
                        self.paint(&error.to_string(), colour)
                    )
                }
                (State::Truechimer(interval) | State::Falseticker(interval), scale) => {
                    let bar = scale
                        .as_ref()
                        .map_or_else(String::new, |scale| scale.bar(interval));
                    let width = duration(interval.latest().nanos_since(interval.earliest()));
                    writeln!(
                        out,
                        " {} {:<11}{}{width:>11}",
                        self.paint(mark, colour),
                        row.name,
                        self.paint(&bar, colour)
                    )
                }
            };
        }
        self.draw_agreed(&mut out, survey, scale.as_ref());
        out
    }

    fn draw_head(&self, out: &mut String, survey: &Survey, scale: Option<&Scale>) {
        let known = survey
            .rows
            .iter()
            .filter(|row| row.state.interval().is_some())
            .count();
        let asked = survey.rows.len();
        let title = format!("{known} of {asked} sources know the time");
        let time = survey.middle().map_or_else(String::new, time_of_day);
        let _ = writeln!(
            out,
            "\n {} {:>width$}\n",
            self.paint(&title, BOLD),
            time,
            width = 76 - title.chars().count()
        );
        if let Some(scale) = scale {
            let half = duration(scale.half_nanos.unsigned_abs());
            let (left, right) = (format!("−{half}"), format!("+{half}"));
            let middle = CELLS - left.chars().count() - right.chars().count();
            let axis = format!("{left}{:^middle$}{right}", "┬");
            let _ = writeln!(
                out,
                "{:14}{}",
                "",
                self.paint(&format!("{axis}{:>11}", "width"), GREY)
            );
        }
    }

    fn draw_agreed(&self, out: &mut String, survey: &Survey, scale: Option<&Scale>) {
        let rule: String = "─".repeat(COLUMNS - 2);
        let _ = writeln!(out, " {}", self.paint(&rule, GREY));
        match (&survey.agreed, scale) {
            (Ok(agreed), Some(scale)) => {
                let bar = scale.bar(agreed);
                let width = duration(agreed.latest().nanos_since(agreed.earliest()));
                let _ = writeln!(
                    out,
                    "   {:<11}{}{width:>11}",
                    self.paint("agreed     ", BOLD),
                    self.paint(&bar, BOLD)
                );
                let _ = writeln!(out, "   {:<11}earliest {}", "", agreed.earliest());
                let _ = writeln!(out, "   {:<11}latest   {}", "", agreed.latest());
                let wrong = match survey.faulty_max {
                    0 => "right if each source is".to_owned(),
                    most => format!("right if at most {most} of them lie"),
                };
                let _ = writeln!(out, "   {:<11}{}", "", self.paint(&wrong, GREY));
            }
            (Err(error), Some(_)) => {
                let _ = writeln!(out, "   {}", self.paint(&error.to_string(), RED));
            }
            (_, None) => {
                let _ = writeln!(
                    out,
                    "   {}",
                    self.paint("nobody here knows the time, so there is none to show", RED)
                );
                let _ = writeln!(
                    out,
                    "   {}",
                    self.paint("try --demo, --fixed 10, or install chrony", GREY)
                );
            }
        }
    }

    fn paint(&self, text: &str, colour: &str) -> String {
        if self.coloured {
            format!("\x1b[{colour}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

/// Which instants the cells of a bar stand for.
struct Scale {
    middle: Timestamp,
    half_nanos: i64,
}

impl Scale {
    /// Wide enough for what is right, round, and not much wider; what is wrong may lie outside.
    fn of(survey: &Survey) -> Option<Self> {
        let middle = survey.middle()?;
        let reach = |interval: Interval| {
            let before = middle.nanos_since(interval.earliest());
            before.max(interval.latest().nanos_since(middle))
        };
        let right = survey.rows.iter().filter_map(|row| match row.state {
            State::Truechimer(interval) => Some(reach(interval)),
            State::Falseticker(_) | State::Silent(_) => None,
        });
        let wanted = right.max()?.saturating_add(1);
        let steps = (0..18).flat_map(|power| [1, 2, 5].map(|digit| digit * 10_i64.pow(power)));
        let half_nanos = steps
            .into_iter()
            .find(|step| step.unsigned_abs() >= wanted)?;
        Some(Self { middle, half_nanos })
    }

    /// The cell of an instant; outside of the bar it is below zero or too great.
    fn cell(&self, instant: Timestamp) -> i64 {
        let offset = i128::from(instant.as_nanos()) - i128::from(self.middle.as_nanos());
        let cells = CELLS as i128;
        let cell =
            (offset + i128::from(self.half_nanos)) * cells / (2 * i128::from(self.half_nanos));
        cell.clamp(-1, cells) as i64
    }

    fn bar(&self, interval: &Interval) -> String {
        let last_cell = CELLS as i64 - 1;
        let (first, last) = (self.cell(interval.earliest()), self.cell(interval.latest()));
        if last < 0 {
            return format!("◀{:1$}", "", CELLS - 1);
        }
        if first > last_cell {
            return format!("{:1$}▶", "", CELLS - 1);
        }
        let middle = CELLS as i64 / 2;
        (0..=last_cell)
            .map(|cell| match cell {
                _ if cell == first && cell == last => '┃',
                0 if first < 0 => '◀',
                _ if cell == last_cell && last > last_cell => '▶',
                _ if cell == first => '┣',
                _ if cell == last => '┫',
                _ if first < cell && cell < last => '━',
                _ if cell == middle => '┊',
                _ => ' ',
            })
            .collect()
    }
}

/// Four digits and a unit.
fn duration(nanos: u64) -> String {
    let (unit, nanos_per_unit) = match nanos {
        0..1_000 => return format!("{nanos} ns"),
        1_000..1_000_000 => ("µs", 1e3),
        1_000_000..1_000_000_000 => ("ms", 1e6),
        _ => ("s", 1e9),
    };
    let value = nanos as f64 / nanos_per_unit;
    let decimals = match value {
        _ if value.fract() == 0.0 => 0,
        _ if value < 10.0 => 3,
        _ if value < 100.0 => 2,
        _ => 1,
    };
    format!("{value:.decimals$} {unit}")
}

fn time_of_day(instant: Timestamp) -> String {
    let millis = instant.as_nanos().rem_euclid(86_400_000_000_000) / 1_000_000;
    let (seconds, millis) = (millis / 1000, millis % 1000);
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    format!(
        "{hours:02}:{minutes:02}:{:02}.{millis:03} UTC",
        seconds % 60
    )
}

const COLUMNS: usize = 80;
/// Of a bar: an odd number, so that there is one in the middle.
const CELLS: usize = 53;
const GREEN: &str = "32";
const RED: &str = "31";
const GREY: &str = "90";
const BOLD: &str = "1";
