//! The last events as a drawing: time runs down, and each node has a column.

use std::collections::BTreeSet;
use std::fmt;

use super::World;
use crate::world::process::{NodeId, Process};
use crate::world::trace::{EVERYWHERE, Happening};

impl<P: Process> World<P> {
    /// The last events, at most [`events_kept_max`](crate::WorldOptions::events_kept_max), as a
    /// drawing with one column a node: what happens to the node, and `|` beside the events of others
    /// as long as it is up. Events of the whole world stand across.
    ///
    /// ```text
    ///         ms  n1                  n2                  n3
    ///      0.000  starts, incarnation 1
    ///      0.000  |                   starts, incarnation 1
    ///      1.310  |                   <- n1 Copy(7)
    ///      1.802  -- partition n1-n2 n1-n3 for 0.5s
    ///      2.004  -x n2 Copy(8) (cut off)
    ///      2.100  is killed between .. |
    ///      2.731                      timer
    /// ```
    pub fn story(&self) -> impl fmt::Display {
        Story(self)
    }
}

struct Story<'a, P: Process>(&'a World<P>);

impl<P: Process> fmt::Display for Story<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nodes = self.0.node_ids();
        let width = (LINE_CHARS / nodes.len().max(1)).clamp(COLUMN_CHARS_MIN, COLUMN_CHARS_MAX);
        let mut heads = String::new();
        for node in &nodes {
            heads.push_str(&format!("{:<width$}", node.to_string()));
        }
        writeln!(f, "{:>11}  {}", "ms", heads.trim_end())?;
        let mut up = self.up_at_first(&nodes);
        for noted in self.0.trace.events() {
            write!(f, "{:>11.3}  ", noted.at.as_secs_f64() * 1e3)?;
            if noted.node == EVERYWHERE {
                writeln!(f, "-- {}", noted.what)?;
                continue;
            }
            match &noted.what {
                Happening::Start { .. } => up.insert(noted.node),
                Happening::Crash { .. } => up.remove(&noted.node),
                _ => false,
            };
            let mut line = String::new();
            for node in &nodes {
                let cell = match *node == noted.node {
                    true => shortened(noted.what.to_string(), width - 1),
                    false if up.contains(node) => "|".to_owned(),
                    false => String::new(),
                };
                line.push_str(&format!("{cell:<width$}"));
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

impl<P: Process> Story<'_, P> {
    /// Who was up before the first event that is kept: whose first change is not a start.
    fn up_at_first(&self, nodes: &[NodeId]) -> BTreeSet<NodeId> {
        let first_change = |node: &NodeId| {
            let mut of_node = self.0.trace.events().filter(|noted| noted.node == *node);
            of_node.find_map(|noted| match noted.what {
                Happening::Start { .. } => Some(false),
                Happening::Crash { .. } => Some(true),
                _ => None,
            })
        };
        let up =
            |node: &&NodeId| first_change(node).unwrap_or_else(|| self.0.process(**node).is_some());
        nodes.iter().filter(up).copied().collect()
    }
}

fn shortened(text: String, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some(_) => {
            let kept: String = text.chars().take(chars_max - 2).collect();
            kept + ".."
        }
        None => text,
    }
}

const LINE_CHARS: usize = 108;
const COLUMN_CHARS_MIN: usize = 14;
const COLUMN_CHARS_MAX: usize = 40;
