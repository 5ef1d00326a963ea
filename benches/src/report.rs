//! The figures, for people and for programs.

use std::fmt::{self, Write as _};

use serde_json::{Value, json};

use crate::{Kind, Row, Spread, Table};

/// A cell as a table in Markdown.
#[must_use]
pub fn markdown(table: &Table) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ok = write_markdown(&mut text, table);
    text
}

fn write_markdown(text: &mut String, table: &Table) -> fmt::Result {
    let cell = table.cell;
    writeln!(text, "## {} B, {} in flight\n", cell.bytes, cell.in_flight)?;
    writeln!(
        text,
        "An entry, until all three machines have it: medians of {} rounds of {} entries (least to greatest).\n",
        table.rounds,
        cell.entries()
    )?;
    let instructions = table.rows.iter().any(|row| row.instructions.is_some());
    let [title, line] = if instructions {
        [" instructions |", "--:|"]
    } else {
        ["", ""]
    };
    writeln!(
        text,
        "| | CPU ns | wall ns | of the best peer | beyond the payload | allocations | bytes allocated |{title}"
    )?;
    writeln!(text, "|---|--:|--:|--:|--:|--:|--:|{line}")?;
    let best = table.best_peer().map(|row| row.name);
    for row in &table.rows {
        let name = if Some(row.name) == best {
            format!("**{}**", row.name)
        } else {
            row.name.to_owned()
        };
        write!(
            text,
            "| {name} | {} | {} | {} | {} | {:.2} | {:.0} |",
            spread(row.cpu_ns),
            spread(row.wall_ns),
            ratio(row.to_best_peer),
            ratio(row.beyond_payload),
            row.allocations,
            row.allocated_bytes
        )?;
        match row.instructions {
            Some(count) => writeln!(text, " {count:.0} |")?,
            None if instructions => writeln!(text, " |")?,
            None => writeln!(text)?,
        }
    }
    Ok(())
}

/// All cells in one table: the best peer, and what ours cost of it.
#[must_use]
pub fn summary(tables: &[Table]) -> String {
    let ours: Vec<&Row> = tables
        .first()
        .map(|table| rows(table, Kind::Ours).collect())
        .unwrap_or_default();
    let mut head = "| entry | in flight | best peer | CPU ns |".to_owned();
    let mut line = "|--:|--:|---|--:|".to_owned();
    for row in ours {
        head += &format!(" {} | of the best | beyond the payload |", row.name);
        line += "--:|--:|--:|";
    }
    let mut text = format!("## All cells, CPU time\n\n{head}\n{line}\n");
    for table in tables {
        let best = table.best_peer();
        let name = best.map_or("none", |row| row.name);
        let cost = best.map_or_else(String::new, |row| figure(row.cpu_ns.median));
        text += &format!(
            "| {} B | {} | {name} | {cost} |",
            table.cell.bytes, table.cell.in_flight
        );
        for row in rows(table, Kind::Ours) {
            text += &format!(
                " {} | {} | {} |",
                figure(row.cpu_ns.median),
                ratio(row.to_best_peer),
                ratio(row.beyond_payload)
            );
        }
        text.push('\n');
    }
    text
}

/// All cells for a program: an object with a list of cells, each with a list of contenders.
#[must_use]
pub fn json(tables: &[Table]) -> Value {
    let cells: Vec<_> = tables.iter().map(cell_json).collect();
    json!({ "benchmark": "consensus", "format": 1, "cells": cells })
}

fn cell_json(table: &Table) -> Value {
    let contenders: Vec<_> = table.rows.iter().map(row_json).collect();
    json!({
        "bytes": table.cell.bytes,
        "in_flight": table.cell.in_flight,
        "entries": table.cell.entries(),
        "rounds": table.rounds,
        "best_peer": table.best_peer().map(|row| row.name),
        "contenders": contenders,
    })
}

fn row_json(row: &Row) -> Value {
    let spread = |it: Spread| json!({ "median": it.median, "min": it.min, "max": it.max });
    json!({
        "name": row.name,
        "kind": row.kind.name(),
        "cpu_ns": spread(row.cpu_ns),
        "wall_ns": spread(row.wall_ns),
        "to_best_peer": row.to_best_peer,
        "beyond_payload": row.beyond_payload,
        "allocations": row.allocations,
        "allocated_bytes": row.allocated_bytes,
        "instructions": row.instructions,
    })
}

fn rows(table: &Table, kind: Kind) -> impl Iterator<Item = &Row> {
    table.rows.iter().filter(move |row| row.kind == kind)
}

fn spread(it: Spread) -> String {
    let [median, min, max] = [it.median, it.min, it.max].map(figure);
    format!("{median} ({min} to {max})")
}

/// Three digits say all that such a measurement knows.
fn figure(value: f64) -> String {
    if value < 100.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    }
}

fn ratio(value: Option<f64>) -> String {
    value.map_or_else(String::new, |value| format!("{value:.2}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cell, Contender, Sample};

    fn table() -> Table {
        let contender = |name, kind| Contender {
            name,
            kind,
            in_flight_min: 1,
            start: |_| unreachable!("nothing is started here"),
        };
        let contenders = [contender("own", Kind::Ours), contender("other", Kind::Peer)];
        let cell = Cell {
            bytes: 16,
            in_flight: 64,
        };
        Table::measure(cell, &contenders, 3, |contender, _| Sample {
            cpu_ns: if contender.name == "own" { 25.0 } else { 100.0 },
            wall_ns: 200.0,
            allocations: 1.0,
            allocated_bytes: 16.0,
        })
    }

    #[test]
    fn json_names_every_figure() {
        let value = json(&[table()]);
        let cell = &value["cells"][0];
        assert_eq!(cell["best_peer"], "other");
        assert_eq!((&cell["bytes"], &cell["rounds"]), (&json!(16), &json!(3)));
        let own = json!({
            "name": "own",
            "kind": "ours",
            "cpu_ns": { "median": 25.0, "min": 25.0, "max": 25.0 },
            "wall_ns": { "median": 200.0, "min": 200.0, "max": 200.0 },
            "to_best_peer": 0.25,
            "beyond_payload": null,
            "allocations": 1.0,
            "allocated_bytes": 16.0,
            "instructions": null,
        });
        assert_eq!(cell["contenders"][0], own);
    }

    #[test]
    fn markdown_has_a_line_for_each_contender() {
        let text = markdown(&table());
        assert!(
            text.contains(
                "| own | 25.0 (25.0 to 25.0) | 200 (200 to 200) | 0.25 |  | 1.00 | 16 |\n"
            )
        );
        assert!(text.contains("| **other** | 100 "));
        let columns = |line: &str| line.matches('|').count();
        let lines: Vec<_> = text.lines().filter(|line| line.starts_with('|')).collect();
        assert!(lines.iter().all(|line| columns(line) == columns(lines[0])));
    }

    #[test]
    fn the_summary_has_a_line_for_each_cell() {
        let text = summary(&[table(), table()]);
        assert_eq!(
            text.matches("| 16 B | 64 | other | 100 | 25.0 | 0.25 |  |")
                .count(),
            2
        );
    }
}
