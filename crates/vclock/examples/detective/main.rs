//! Who was first, if every clock on the wall lies? Reads the log of several hosts, believes their
//! vector clocks only, says what happened before what, and draws it.
//!
//! `cargo run --example detective -p synod-vclock -- [LOG [SVG [EXPRESSION [DELIMITER]]]]`, with a log
//! in ShiViz's layout (event, then host and clock), in GoVector's, or in any other: the expression then
//! finds `(?<host>...)`, `(?<clock>{...})` and `(?<event>...)`, and the delimiter matches the lines that
//! part one execution from the next, both as in the head of a log for ShiViz. An event may begin with the
//! wall time that its host believed in, `[12:34:56.789]`. Without a log it takes the case of the last
//! ticket, which lies beside it.

mod diagram;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::{env, fs};

use diagram::Diagram;
use regex::Regex;
use synod_vclock::CausalOrder;
use synod_vclock::shiviz::{Layout, Log, Record, executions};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("detective: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let mut arguments = env::args_os().skip(1).map(PathBuf::from);
    let (log, svg) = (arguments.next(), arguments.next());
    let mut expression = || {
        let text = arguments.next().filter(|text| !text.as_os_str().is_empty());
        let text = text.map(|text| format!("(?m){}", text.display()));
        let expression = text.map(|text| Regex::new(&text));
        expression
            .transpose()
            .map_err(|error| format!("cannot read the expression: {error}"))
    };
    let (record, delimiter) = (expression()?, expression()?);
    let text = match log.as_ref().map(fs::read_to_string) {
        None => THE_LAST_TICKET.to_owned(),
        Some(Ok(text)) => text,
        Some(Err(error)) => return Err(format!("cannot read the log: {error}")),
    };
    let delimits = |line: &str| delimiter.as_ref().is_some_and(|part| part.is_match(line));
    let runs = executions(&text, delimits).map(|run| parse(run, record.as_ref()));
    let logs = runs.collect::<Result<Vec<_>, _>>()?;
    let many = logs.len() > 1;
    for (at, log) in (1..).zip(&logs) {
        if many {
            println!("Execution {at}\n");
        }
        tell_wall_order(log);
        tell_lies(log);
        tell_causes(log);
        tell_concurrent(log);
        let svg = svg.clone();
        let mut svg = svg.unwrap_or_else(|| env::temp_dir().join("detective.svg"));
        if many {
            svg.set_extension(format!("{at}.svg"));
        }
        fs::write(&svg, Diagram::from(log).to_string())
            .map_err(|error| format!("cannot write {}: {error}", svg.display()))?;
        println!("\nThe diagram is in {}", svg.display());
    }
    Ok(())
}

/// By the expression, or in the layout that fits: as it stands, or with lines passed over that are no
/// records. If none does, what is wrong in each.
fn parse(text: &str, expression: Option<&Regex>) -> Result<Log, String> {
    if let Some(expression) = expression {
        return parse_by(text, expression);
    }
    let layouts = [Layout::EventFirst, Layout::ClockFirst];
    let strict = layouts.map(|layout| Log::parse(text, layout));
    if let Some(log) = strict.iter().flatten().next() {
        return Ok(log.clone());
    }
    let loose = layouts.map(|layout| Log::parse_loosely(text, layout));
    let most = loose.iter().flatten();
    if let Some((log, passed_over)) = most.max_by_key(|read| read.0.records().len())
        && !log.records().is_empty()
    {
        println!("Passed over {passed_over} lines that are no records\n");
        return Ok(log.clone());
    }
    let [as_shiviz, as_govector] = strict.map(|read| match read {
        Ok(_) => "nothing".to_owned(),
        Err(error) => error.to_string(),
    });
    Err(format!(
        "as a log of ShiViz, {as_shiviz}; as one of GoVector, {as_govector}"
    ))
}

/// The records that the expression finds, wherever they are.
fn parse_by(text: &str, expression: &Regex) -> Result<Log, String> {
    let mut records = Vec::new();
    for found in expression.captures_iter(text) {
        let part = |name| found.name(name).map_or("", |part| part.as_str());
        let (host, clock, event) = (part("host"), part("clock"), part("event"));
        let clock = serde_json::from_str::<BTreeMap<String, u64>>(clock)
            .map_err(|error| format!("{clock} is no clock: {error}"))?;
        let event = event.lines().collect::<Vec<_>>().join(" ");
        let record = Record::new(host, clock.into_iter().collect(), event);
        records.push(record.map_err(|error| format!("{host}: {error}"))?);
    }
    if records.is_empty() {
        return Err("the expression finds nothing".to_owned());
    }
    Log::from_records(records).map_err(|error| format!("record {}: {}", error.line, error.fault))
}

fn tell_wall_order(log: &Log) {
    let mut records = log.records().iter().collect::<Vec<_>>();
    if records.iter().all(|record| wall_millis(record).is_none()) {
        return;
    }
    println!("The story as the clocks on the wall tell it");
    records.sort_by_key(|record| wall_millis(record));
    for record in records {
        println!("  {}", name(record));
    }
    println!();
}

/// Messages that came before they were sent, if one believes the wall: for each pair of hosts by how
/// much at least the one clock is ahead of the other.
fn tell_lies(log: &Log) {
    let mut lies: Vec<(&str, &str, u64)> = Vec::new();
    for (from, to) in log.messages() {
        let (cause, effect) = (&log.records()[from], &log.records()[to]);
        let walls = wall_millis(cause).zip(wall_millis(effect));
        let by = walls.map_or(0, |(cause, effect)| cause.saturating_sub(effect));
        if by == 0 {
            continue;
        }
        let known = lies
            .iter_mut()
            .find(|lie| (lie.0, lie.1) == (cause.host(), effect.host()));
        match known {
            Some(lie) => lie.2 = lie.2.max(by),
            None => lies.push((cause.host(), effect.host(), by)),
        }
    }
    if lies.is_empty() {
        return;
    }
    println!("It cannot be true: messages arrive before they are sent");
    for (ahead, behind, millis) in lies {
        println!("  {ahead}'s clock is at least {millis} ms ahead of {behind}'s");
    }
    println!();
}

fn tell_causes(log: &Log) {
    println!("What happened before what (causes above effects; direct causes named)");
    let messages = log.messages();
    let mut order = (0..log.records().len()).collect::<Vec<_>>();
    // The number of events in the past rises along every cause.
    order.sort_by_key(|at| {
        let known = log.records()[*at]
            .clock()
            .iter()
            .map(|dot| u128::from(dot.counter.get()));
        (known.sum::<u128>(), *at)
    });
    for at in order {
        println!("  {}", name(&log.records()[at]));
        for (from, _) in messages.iter().filter(|message| message.1 == at) {
            println!("      because of {}", name(&log.records()[*from]));
        }
    }
}

fn tell_concurrent(log: &Log) {
    println!("\nConcurrent, so that nobody can say who was first");
    let records = log.records();
    let mut any = false;
    for (at, one) in records.iter().enumerate() {
        let concurrent = records[at + 1..]
            .iter()
            .filter(|other| one.clock().causal_cmp(other.clock()) == CausalOrder::Concurrent)
            .map(name)
            .collect::<Vec<_>>();
        if let [first, more @ ..] = concurrent.as_slice() {
            any = true;
            println!("  {}\n      and {first}", name(one));
            let (shown, rest) = more.split_at(more.len().min(SHOWN_MAX));
            shown.iter().for_each(|other| println!("      and {other}"));
            if !rest.is_empty() {
                println!("      and {} more", rest.len());
            }
        }
    }
    if !any {
        println!("  nothing");
    }
}

fn name(record: &Record) -> String {
    format!("{:<5} {}", record.host(), record.event())
}

/// The wall time that the event's host believed in, if it says one: milliseconds of the day.
fn wall_millis(record: &Record) -> Option<u64> {
    let (wall, _) = record.event().strip_prefix('[')?.split_once(']')?;
    let (clock, millis) = wall.split_once('.')?;
    let mut parts = clock.split(':').map(|part| part.parse::<u64>().ok());
    let (hours, minutes, seconds) = (parts.next()??, parts.next()??, parts.next()??);
    let seconds = hours
        .checked_mul(60)?
        .checked_add(minutes)?
        .checked_mul(60)?
        .checked_add(seconds)?;
    seconds
        .checked_mul(1_000)?
        .checked_add(millis.parse().ok()?)
}

const SHOWN_MAX: usize = 4;

/// Ada and Bob both bought the last ticket of the evening, and both were let in. Was it sold twice?
const THE_LAST_TICKET: &str = include_str!("detective.log");
