//! What consensus cores cost an entry, side by side: ours, the least that it can cost, and the peers.
//!
//! `cargo bench -p synod-benches --features peers --bench consensus`, and `-- --help` behind it for the options.
//! `benches/README.md` tells what is measured and how each core is driven.

use std::process::ExitCode;
use std::{env, fs};

use synod_benches::{
    Contender, Count, Counting, Options, Row, Sample, Source, Table, USAGE, has_valgrind,
    instructions, keep_freed_memory, report, run,
};

mod contenders;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() -> ExitCode {
    let done = match Options::parse(env::args().skip(1)) {
        Ok(Some(options)) => match &options.count {
            Some(count) => be_counted(count),
            None => measure(&options),
        },
        Ok(None) => {
            println!("{USAGE}");
            Ok(())
        }
        Err(error) => Err(format!("{error}\n\n{USAGE}")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(options: &Options) -> Result<(), String> {
    let counts = options.instructions && has_valgrind();
    if options.instructions && !counts {
        eprintln!("no instructions are counted: there is no valgrind on this machine\n");
    }
    keep_freed_memory();
    let mut tables = Vec::new();
    for cell in options.cells() {
        let takes_part =
            |it: &Contender| options.wants(it.name) && it.in_flight_min <= cell.in_flight;
        let contenders: Vec<_> = contenders::all().into_iter().filter(takes_part).collect();
        if contenders.is_empty() {
            continue;
        }
        let mut table = Table::measure(cell, &contenders, options.rounds, |contender, cell| {
            Sample::of(&mut *(contender.start)(cell), cell)
        });
        if counts {
            table
                .rows
                .iter_mut()
                .for_each(|row| count(row, &table.cell));
        }
        println!("{}", report::markdown(&table));
        tables.push(table);
    }
    if tables.is_empty() {
        return Err("nobody of that name is measured there".to_owned());
    }
    println!("{}", report::summary(&tables));
    if let Some(path) = &options.json {
        let text = format!("{:#}\n", report::json(&tables));
        fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

/// The difference of a run and one of twice as many entries.
fn count(row: &mut Row, cell: &synod_benches::Cell) {
    let entries = COUNTED.div_ceil(cell.in_flight) * cell.in_flight;
    let [bytes, in_flight] = [cell.bytes as u64, cell.in_flight].map(|it| it.to_string());
    let [once, twice] = [entries, 2 * entries].map(|entries| {
        instructions(&[
            "--count",
            row.name,
            &bytes,
            &in_flight,
            &entries.to_string(),
        ])
    });
    row.instructions = once
        .zip(twice)
        .map(|(once, twice)| twice.saturating_sub(once) as f64 / entries as f64);
}

/// Does the work and tells nothing: somebody counts from outside.
fn be_counted(count: &Count) -> Result<(), String> {
    let named = contenders::all()
        .into_iter()
        .find(|it| it.name == count.name);
    let contender = named.ok_or_else(|| format!("{} is not measured here", count.name))?;
    let mut driver = (contender.start)(count.cell);
    let mut source = Source::of(count.cell.bytes);
    run(&mut *driver, count.cell, &mut source, count.cell.warm_up());
    run(&mut *driver, count.cell, &mut source, count.entries);
    // What an entry costs to be forgotten is in no measured time either.
    std::mem::forget(driver);
    Ok(())
}

/// Entries of the shorter one of two runs whose instructions are counted.
const COUNTED: u64 = 4096;
