//! Contenders that take turns, so that what else the machine does falls on all of them alike.
//!
//! A turn is a sample of every contender, one after the other. What comes out is a table of medians over
//! all turns, in which each contender is set against the first one of the same turn. Where the two are
//! close, the table has the instructions an event takes, which no other load can change; they are counted
//! by Valgrind, in this same program started once more for that one contender.

use std::hint::black_box;
use std::time::{Duration, Instant};
use std::{env, fmt, iter};

/// One of a group: its name, and what runs so many events.
pub(crate) struct Contender<'a> {
    name: &'static str,
    run: Box<dyn FnMut(u64) + 'a>,
}

impl<'a> Contender<'a> {
    /// `event` is given the number of each event.
    pub(crate) fn new<T>(name: &'static str, mut event: impl FnMut(u64) -> T + 'a) -> Self {
        let run = move |events| {
            for number in 0..events {
                black_box(event(black_box(number)));
            }
        };
        Self {
            name,
            run: Box::new(run),
        }
    }
}

/// What is done with a group.
pub(crate) enum Turns {
    /// Those whose name has this in it.
    Measure { only: String },
    /// Run so many events of one contender and nothing else, while somebody counts.
    Count {
        group: String,
        contender: String,
        events: u64,
    },
}

impl Turns {
    /// What the arguments of the program ask for.
    pub(crate) fn from_args() -> Self {
        let arguments: Vec<String> = env::args().skip(1).collect();
        if let [flag, group, contender, events] = arguments.as_slice()
            && flag == COUNT
        {
            return Self::Count {
                group: group.clone(),
                contender: contender.clone(),
                events: events.parse().expect("a number of events"),
            };
        }
        // Cargo says `--bench` to every bench.
        let only = arguments.into_iter().find(|it| !it.starts_with('-'));
        Self::Measure {
            only: only.unwrap_or_default(),
        }
    }

    /// The first contender is what the others are compared with.
    pub(crate) fn group(&mut self, name: &str, mut contenders: Vec<Contender<'_>>) {
        match self {
            Self::Measure { only } if name.contains(only.as_str()) => measure(name, contenders),
            Self::Count {
                group,
                contender,
                events,
            } if group == name => {
                let asked = contenders.iter_mut().filter(|it| it.name == *contender);
                asked.for_each(|it| (it.run)(*events));
            }
            Self::Measure { .. } | Self::Count { .. } => {}
        }
    }
}

fn measure(name: &str, mut contenders: Vec<Contender<'_>>) {
    let names: Vec<_> = contenders.iter().map(|it| it.name).collect();
    let batches: Vec<_> = contenders.iter_mut().map(batch).collect();
    // Of each contender, nanoseconds an event in each turn.
    let mut turns = vec![Vec::with_capacity(TURNS); contenders.len()];
    for turn in 0..WARM_UP + TURNS {
        let each = contenders.iter_mut().zip(&batches).zip(&mut turns);
        for ((contender, events), turns) in each {
            let taken = timed(contender, *events);
            if turn >= WARM_UP {
                turns.push(taken.as_secs_f64() * 1e9 / *events as f64);
            }
        }
    }
    println!("{}", Table::of(name, &names, &turns));
}

/// How many events make a sample.
fn batch(contender: &mut Contender<'_>) -> u64 {
    let doubled = iter::successors(Some(1_u64), |events| events.checked_mul(2));
    let mut long_enough = doubled.skip_while(|events| timed(contender, *events) < SAMPLE);
    long_enough.next().unwrap_or(u64::MAX)
}

#[expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
fn timed(contender: &mut Contender<'_>, events: u64) -> Duration {
    let start = Instant::now();
    (contender.run)(events);
    start.elapsed()
}

struct Table {
    group: String,
    turns: usize,
    rows: Vec<Row>,
}

/// Medians over the turns. That of a ratio is not the ratio of medians: it is steadier, since the two
/// times of a turn had the same luck.
struct Row {
    name: &'static str,
    nanos: f64,
    /// Nanoseconds more than the first one took.
    above: f64,
    /// The time of the first one divided by this one's.
    speed: f64,
    instructions: Option<f64>,
}

impl Table {
    fn of(group: &str, names: &[&'static str], turns: &[Vec<f64>]) -> Self {
        let against = |at: usize, compare: fn(f64, f64) -> f64| {
            let pairs = turns[0].iter().zip(&turns[at]);
            median(pairs.map(|(first, it)| compare(*first, *it)).collect())
        };
        let row = |(at, name): (usize, &&'static str)| Row {
            name,
            nanos: median(turns[at].clone()),
            above: against(at, |first, it| it - first),
            speed: against(at, |first, it| first / it),
            instructions: None,
        };
        let mut rows: Vec<_> = names.iter().enumerate().map(row).collect();
        let close = |row: &Row| (1.0 / CLOSE..=CLOSE).contains(&row.speed);
        if rows[1..].iter().any(close) {
            for row in rows.iter_mut().filter(|row| close(row)) {
                row.instructions = instructions(group, row);
            }
        }
        Self {
            group: group.to_owned(),
            turns: turns[0].len(),
            rows,
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: medians of {} turns", self.group, self.turns)?;
        writeln!(
            f,
            "{:30} {:>11} {:>13} {:>11} {:>13} {:>13}",
            "", "time", "- first", "/ first", "times as fast", "instructions"
        )?;
        for row in &self.rows {
            let slower = 1.0 / row.speed;
            write!(
                f,
                "  {:28} {:>8.1} ns {:>10.1} ns {slower:>11.3} {:>13.2}",
                row.name, row.nanos, row.above, row.speed
            )?;
            match row.instructions {
                Some(count) => writeln!(f, " {count:>13.1}")?,
                None => writeln!(f, " {:>13}", "")?,
            }
        }
        Ok(())
    }
}

/// Instructions an event takes in user space: the difference of two runs, so that what the program
/// does at its start drops out. None where there is no Valgrind.
fn instructions(group: &str, row: &Row) -> Option<f64> {
    let events = (COUNTED.as_nanos() as f64 / row.nanos) as u64 + 1;
    let [once, twice] = [events, 2 * events].map(|events| counted(group, row.name, events));
    Some((twice? - once?) / events as f64)
}

fn counted(group: &str, contender: &str, events: u64) -> Option<f64> {
    let count = synod_benches::instructions(&[COUNT, group, contender, &events.to_string()]);
    count.map(|count| count as f64)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    synod_benches::median(&values)
}

/// Long against the reading of the clock, short against a time slice.
const SAMPLE: Duration = Duration::from_micros(100);

/// Samples of each contender: some seconds for a group.
const TURNS: usize = 2_001;

/// Turns before the first one that counts.
const WARM_UP: usize = 500;

/// What is run, about so long, to count instructions.
const COUNTED: Duration = Duration::from_millis(1);

/// Times that differ by less than this factor may be the other way round on another machine.
const CLOSE: f64 = 1.5;

const COUNT: &str = "--count";
