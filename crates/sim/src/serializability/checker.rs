//! The two checks: a history in, a verdict out.

use std::fmt::{self, Debug};
use std::hash::Hash;

use crate::serializability::compiled::{Compiled, NONE};
use crate::serializability::cycles;
use crate::serializability::graph::{Edges, Graph, Kind, Walk};
use crate::serializability::history::{Position, TxnHistory, TxnId};
use crate::serializability::reads::{External, Reads};
use crate::serializability::replay::Replay;
use crate::serializability::report::{Link, Reporter};
use crate::serializability::versions;
use crate::serializability::violation::{Anomaly, Violation};

/// The result of a check.
#[derive(Clone, Debug)]
#[must_use = "a history that could not be decided has not been checked"]
pub enum Verdict {
    /// Strictly serializable.
    Ok {
        /// An order that explains the history: the transactions that count, and each of them sees
        /// what those before it left. Real time agrees with it, except for reads in the past.
        order: Vec<TxnId>,
    },
    /// Not strictly serializable.
    Violation(Box<Violation>),
    /// Not decided, which a caller must treat as a failed check.
    Undecided(Cause),
}

/// Why a history could not be decided.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// Writers of a register did not read what they replaced, and the order of its versions, as
    /// guessed, leads to a cycle. Another one might not.
    VersionOrder {
        /// The register; there may be others.
        key: String,
    },
    /// A value that was read was written twice, so that it does not tell who wrote it.
    RepeatedValue {
        /// Where.
        key: String,
        /// Which one.
        value: String,
    },
    /// A transaction that committed has no position.
    NoPosition {
        /// Which one.
        txn: TxnId,
    },
    /// No order that was tried explains the history, although none of its parts contradicts it.
    NotConfirmed,
}

/// Checks by what the transactions read and when they ran, without any help from the service.
///
/// It builds the graph of dependencies between transactions. A cycle is a violation; without one
/// some order is replayed, and explains the history. The answer is exact if
/// - values are unique in their register or list, and
/// - of each register's writers all but one read what they replaced. Lists need nothing of that
///   kind: a read shows the order of all appends before.
///
/// The order of blind writes is derived from real time and the other dependencies as far as it
/// follows, and guessed where it does not. If the guess fails, or a repeated value hides whose write
/// was read, the verdict is [`Verdict::Undecided`]; the other two are proven all the same.
///
/// # Costs
/// `O(n log n)` time and `O(n)` memory in the number of operations and elements of lists. To find a
/// shortest cycle takes longer the more transactions are on cycles, so that search has a budget:
/// where it is spent (components of many thousands), the cycle is a short one. So has the search for
/// the order of blind writes, behind which it is guessed.
pub fn check<K: Clone + Eq + Hash + Debug, V: Eq + Hash + Debug>(
    history: &TxnHistory<K, V>,
) -> Verdict {
    judge(history, by_graph)
}

/// Checks by the order that the service claims: the [`Position`] of each transaction.
///
/// It replays the transactions by position. Each read must see the latest version before its
/// position, two transactions that write stand in the order of real time, and what only reads can
/// be placed among them so that real time agrees: its position says what it sees, and while nothing
/// that it read has changed it may stand later or earlier as well. (Two reads at timestamps of two
/// clocks may have them the other way round, and nobody can tell.)
///
/// The answer is exact for that order: it accepts a history if and only if writers in the order of
/// their positions, those that share one side by side, and readers somewhere among them, explain
/// it, where a read is of the version at its position even if another version holds the same value.
/// A history may be strictly serializable in another order. A transaction that committed and has no
/// position is [`Verdict::Undecided`], as is one of unknown outcome that was read.
///
/// # Costs
/// `O(n log n)` time and `O(n)` memory.
pub fn check_positions<K: Clone + Eq + Hash + Debug, V: Eq + Hash + Debug>(
    history: &TxnHistory<K, V>,
) -> Verdict {
    judge(history, by_positions)
}

impl Verdict {
    /// Whether the history is strictly serializable.
    pub fn is_ok(&self) -> bool {
        matches!(self, Self::Ok { .. })
    }

    /// What is wrong with the history, if it was shown not to be strictly serializable.
    pub fn violation(&self) -> Option<&Violation> {
        match self {
            Self::Violation(violation) => Some(violation),
            _ => None,
        }
    }
}

fn judge<K: Clone + Eq + Hash + Debug, V: Eq + Hash + Debug>(
    history: &TxnHistory<K, V>,
    by: impl Fn(&Reporter<'_>) -> Result<Verdict, Box<Violation>>,
) -> Verdict {
    let (compiled, names) = Compiled::new(history);
    let reporter = Reporter {
        compiled: &compiled,
        names: &names,
    };
    by(&reporter).unwrap_or_else(Verdict::Violation)
}

fn by_graph(reporter: &Reporter<'_>) -> Result<Verdict, Box<Violation>> {
    let compiled = reporter.compiled;
    let reads = Reads::new(reporter)?;
    let mut edges = Edges::new(compiled.len());
    let mut unordered = versions::add(compiled, &reads, &mut edges);
    edges.add_real_time(compiled, &reads.counts);
    let mut edges_left = EDGES_FOLLOWED_MAX;
    let mut has_guessed = false;
    // Each round either proves more, or guesses once, or is the last.
    let order = loop {
        let graph = edges.graph();
        let components = graph.components(ALL);
        if !components.are_single() {
            if has_guessed {
                let key = reporter.key(unordered[0].key);
                return Ok(Verdict::Undecided(Cause::VersionOrder { key }));
            }
            let cycle = cycles::find(compiled, &graph).unwrap_or_default();
            return Err(Box::new(explain(reporter, &reads, &cycle)));
        }
        let order = Order::new(&graph, &components.of, &reads);
        if unordered.is_empty() {
            break order;
        }
        edges_left = edges_left.saturating_sub(edges.len());
        let mut walk = Walk::new(&graph, &components, edges_left);
        let mut derives = false;
        for register in &mut unordered {
            derives |= register.derive(&mut walk, &mut edges);
        }
        edges_left = walk.edges_left();
        if derives {
            continue;
        }
        has_guessed = true;
        let mut registers = unordered.iter_mut();
        if edges_left > 0 && registers.any(|one| one.guess_one(&order.ranks, &mut edges)) {
            continue;
        }
        for register in &mut unordered {
            register.guess_all(&order.ranks, &mut edges);
        }
        let graph = edges.graph();
        let components = graph.components(ALL);
        if !components.are_single() {
            let key = reporter.key(unordered[0].key);
            return Ok(Verdict::Undecided(Cause::VersionOrder { key }));
        }
        break Order::new(&graph, &components.of, &reads);
    };
    if Replay::new(reporter, &reads, &order.ranks).check().is_ok() {
        return Ok(Verdict::Ok { order: order.txns });
    }
    Ok(Verdict::Undecided(match reads.unclear {
        Some(unclear) => repeated(reporter, unclear),
        None => Cause::NotConfirmed,
    }))
}

fn explain(reporter: &Reporter<'_>, reads: &Reads, cycle: &[Link]) -> Violation {
    let steps = cycle.iter().map(|link| reporter.link(reads, *link));
    let anomaly = match is_lost_update(reporter.compiled, reads, cycle) {
        true => Anomaly::LostUpdate,
        false => cycles::anomaly(cycle),
    };
    reporter.violation(anomaly, steps.collect(), &[])
}

/// Both transactions read the same version of one key, and both replaced it.
fn is_lost_update(compiled: &Compiled, reads: &Reads, cycle: &[Link]) -> bool {
    let [one, other] = cycle else {
        return false;
    };
    let seen = |txn| {
        let mut reads = reads.of(txn).iter();
        reads
            .find(|read: &&External| read.key == one.key)
            .map(|read| read.seen)
    };
    let writes = |txn| {
        let wrote = compiled.last_write(txn, one.key);
        wrote
            .or_else(|| compiled.appends(txn, one.key).next())
            .is_some()
    };
    one.key != NONE
        && one.key == other.key
        && seen(one.from).is_some()
        && seen(one.from) == seen(one.to)
        && writes(one.from)
        && writes(one.to)
}

fn by_positions(reporter: &Reporter<'_>) -> Result<Verdict, Box<Violation>> {
    let compiled = reporter.compiled;
    let reads = Reads::new(reporter)?;
    let mut placed: Vec<(Position, bool, u32)> = Vec::new();
    for (number, txn) in (0..).zip(&compiled.txns) {
        if !reads.counts[number as usize] {
            continue;
        }
        let Some(position) = txn.position else {
            let txn = TxnId(number);
            return Ok(Verdict::Undecided(Cause::NoPosition { txn }));
        };
        placed.push((position, !txn.writes, number));
    }
    placed.sort_unstable();
    let mut ranks = vec![NONE; compiled.txns.len()];
    for (rank, equal) in (0..).zip(placed.chunk_by(|a, b| a.0 == b.0)) {
        for (_, _, number) in equal {
            ranks[*number as usize] = rank;
        }
    }
    let stands = match (Replay::new(reporter, &reads, &ranks).check(), reads.unclear) {
        (Ok(stands), _) => stands,
        // One of unknown outcome may have written what was read, and then counts.
        (Err(_), Some(unclear)) if compiled.has_unknown() => {
            return Ok(Verdict::Undecided(repeated(reporter, unclear)));
        }
        (Err(violation), _) => return Err(violation),
    };
    let began = |number: u32| compiled.txn(number).began;
    placed.sort_unstable_by_key(|(_, reads, number)| {
        (stands[*number as usize], *reads, began(*number))
    });
    let order = placed.into_iter().map(|(_, _, number)| TxnId(number));
    Ok(Verdict::Ok {
        order: order.collect(),
    })
}

fn repeated(reporter: &Reporter<'_>, (key, value): (u32, u32)) -> Cause {
    Cause::RepeatedValue {
        key: reporter.key(key),
        value: reporter.value(value),
    }
}

/// An order in which no edge leads back.
struct Order {
    txns: Vec<TxnId>,
    /// By transaction.
    ranks: Vec<u32>,
}

impl Order {
    /// The numbers of components fall along edges.
    fn new(graph: &Graph, components: &[u32], reads: &Reads) -> Self {
        let mut numbers: Vec<u32> = (0..graph.txns)
            .filter(|txn| reads.counts[*txn as usize])
            .collect();
        numbers.sort_unstable_by_key(|txn| std::cmp::Reverse(components[*txn as usize]));
        let mut ranks = vec![NONE; graph.txns as usize];
        for (rank, txn) in (0..).zip(&numbers) {
            ranks[*txn as usize] = rank;
        }
        Self {
            txns: numbers.into_iter().map(TxnId).collect(),
            ranks,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok { order } => write!(f, "strictly serializable: {} transactions", order.len()),
            Self::Violation(violation) => write!(f, "{violation}"),
            Self::Undecided(cause) => write!(f, "undecided: {cause}"),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::VersionOrder { key } => write!(
                f,
                "writers of {key} did not read what they replaced, and the order of its versions \
                 does not follow"
            ),
            Self::RepeatedValue { key, value } => {
                write!(f, "{value} was written to {key} twice, and read")
            }
            Self::NoPosition { txn } => write!(f, "{txn} has no position"),
            Self::NotConfirmed => f.write_str("no order that was tried explains the history"),
        }
    }
}

/// How many edges are followed to find the order of versions that were written blindly.
const EDGES_FOLLOWED_MAX: usize = 50_000_000;
const ALL: u8 =
    Kind::WriteWrite as u8 | Kind::WriteRead as u8 | Kind::ReadWrite as u8 | Kind::RealTime as u8;
