//! A human-readable description of a history that is not linearizable.

use std::collections::BTreeSet;
use std::fmt::{self, Debug};

use crate::history::{History, Moment, OpId, Operation, Outcome};
use crate::linearizability::search::DeadEnd;

/// Proof that a history is not linearizable: the operation at which every order ends, with what
/// surrounds it.
///
/// Printed, it is a drawing in which time runs to the right and each operation is a bar from its
/// call to its return:
///
/// ```text
/// key "x" is not linearizable: every order ends at #2 at the latest
/// the best one holds 2 of 3 completed operations and ends with #0 #1
///    #0 c1     0.000 ms ..     1.000 ms |--|         put 1 -> done
///    #1 c1     2.000 ms ..     4.000 ms      |-----| put 2 -> done
/// >  #2 c2     5.000 ms ..     6.000 ms ...
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Violation<K, I, O> {
    /// The object concerned.
    pub key: K,
    /// The operation that no order can place before its return: the first, by return, that fails in
    /// the order that came farthest.
    pub operation: OpId,
    /// The end of that order.
    pub order: Vec<OpId>,
    /// How many completed operations that order holds.
    pub linearized: usize,
    /// How many completed operations the object has.
    pub completed: usize,
    /// The operations to look at, by call: `operation`, the end of the order, what else could have
    /// come next, and the latest operations of unknown outcome.
    pub window: Vec<Operation<I, O>>,
}

impl<K, I: Clone, O: Clone> Violation<K, I, O> {
    pub(super) fn new(
        key: K,
        dead_end: DeadEnd,
        history: &History<I, O>,
        operations: &[&Operation<I, O>],
    ) -> Self {
        let find = |id: OpId| {
            operations
                .iter()
                .find(|operation| operation.id == id)
                .copied()
        };
        let limit = find(dead_end.blocked).and_then(|operation| returned_at(operation));
        let mut shown: BTreeSet<OpId> = dead_end.order.iter().copied().collect();
        shown.insert(dead_end.blocked);
        shown.extend(dead_end.candidates.iter().take(CANDIDATES_SHOWN_MAX));
        let lost = operations.iter().filter(|operation| {
            matches!(operation.outcome, Outcome::Unknown | Outcome::Open)
                && limit.is_none_or(|limit| operation.called < limit)
        });
        shown.extend(
            lost.rev()
                .take(UNKNOWN_SHOWN_MAX)
                .map(|operation| operation.id),
        );
        let mut window: Vec<_> = history
            .operations()
            .iter()
            .filter(|operation| shown.contains(&operation.id))
            .cloned()
            .collect();
        window.sort_by_key(|operation| operation.called);
        Self {
            key,
            operation: dead_end.blocked,
            order: dead_end.order,
            linearized: dead_end.linearized,
            completed: operations
                .iter()
                .filter(|operation| returned_at(operation).is_some())
                .count(),
            window,
        }
    }
}

impl<K: Debug, I: Debug, O: Debug> fmt::Display for Violation<K, I, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "key {} is not linearizable: every order ends at {} at the latest",
            brief(&self.key),
            self.operation
        )?;
        write!(
            f,
            "the best one holds {} of {} completed operations",
            self.linearized, self.completed
        )?;
        match self.order.is_empty() {
            true => writeln!(f)?,
            false => {
                write!(f, " and ends with")?;
                self.order.iter().try_for_each(|id| write!(f, " {id}"))?;
                writeln!(f)?;
            }
        }
        let mut moments: Vec<Moment> = self
            .window
            .iter()
            .map(|operation| operation.called)
            .collect();
        moments.extend(self.window.iter().filter_map(returned_at));
        moments.sort();
        for operation in &self.window {
            let mark = if operation.id == self.operation {
                '>'
            } else {
                ' '
            };
            write!(
                f,
                "{mark} {:>6} {:<5} ",
                operation.id.to_string(),
                operation.client.to_string()
            )?;
            write!(
                f,
                "{:>12.3} ms .. ",
                operation.called.at.as_secs_f64() * 1e3
            )?;
            match returned_at(operation) {
                Some(at) => write!(f, "{:>12.3} ms ", at.at.as_secs_f64() * 1e3)?,
                None => write!(f, "{:>12}    ", "?")?,
            }
            writeln!(
                f,
                "{} {} -> {}",
                bar(operation, &moments),
                brief(&operation.input),
                ending(operation)
            )?;
        }
        Ok(())
    }
}

fn bar<I, O>(operation: &Operation<I, O>, moments: &[Moment]) -> String {
    let end = returned_at(operation);
    let mut bar = String::with_capacity(moments.len());
    for &moment in moments {
        bar.push(match end {
            _ if moment < operation.called => ' ',
            _ if moment == operation.called => '|',
            Some(end) if moment == end => '|',
            Some(end) if moment > end => ' ',
            Some(_) => '-',
            None => '?',
        });
    }
    bar
}

fn ending<I, O: Debug>(operation: &Operation<I, O>) -> String {
    match &operation.outcome {
        Outcome::Returned { output, .. } => brief(output),
        Outcome::Open => "open".into(),
        Outcome::Failed => "failed".into(),
        Outcome::Unknown => "unknown".into(),
    }
}

/// Values may be long; the ends tell them apart.
fn brief(value: &impl Debug) -> String {
    let text = format!("{value:?}");
    let length = text.chars().count();
    if length <= VALUE_CHARS_MAX {
        return text;
    }
    let half = VALUE_CHARS_MAX / 2 - 1;
    let head: String = text.chars().take(half).collect();
    let tail: String = text.chars().skip(length - half).collect();
    format!("{head}..{tail}")
}

fn returned_at<I, O>(operation: &Operation<I, O>) -> Option<Moment> {
    match operation.outcome {
        Outcome::Returned { at, .. } => Some(at),
        _ => None,
    }
}

const CANDIDATES_SHOWN_MAX: usize = 16;
const UNKNOWN_SHOWN_MAX: usize = 6;
const VALUE_CHARS_MAX: usize = 72;
