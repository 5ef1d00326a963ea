//! What is wrong with a history, in sentences.

use std::fmt;

use crate::serializability::history::TxnId;

/// Proof that a history is not strictly serializable.
///
/// Printed, it names the anomaly, gives one sentence for each step of the proof, and lists the
/// transactions with their times:
///
/// ```text
/// not strictly serializable: G-single (read skew), a cycle of 2 transactions
///   T1 -rw-> T0: T1 read 100 at "a", which T0 replaced by 50
///   T0 -wr-> T1: T0 wrote 150 to "b", which T1 read
///   T0 from 0.000 ms to 2.000 ms: read "a" 100, read "b" 100, write "a" 50, write "b" 150
///   T1 from 1.000 ms to 3.000 ms: read "a" 100, read "b" 150
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Violation {
    /// Which kind it is.
    pub anomaly: Anomaly,
    /// The steps of the proof; of a cycle its edges, each beginning where the one before ended.
    pub steps: Vec<Step>,
    /// The transactions that take part, by number, each with its times and operations.
    pub transactions: Vec<(TxnId, String)>,
}

/// A step of a proof: of a cycle, one edge.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Step {
    /// The first transaction, which an order would have to place first; of a wrong read the
    /// reader.
    pub from: TxnId,
    /// The second one. Both are the same where one transaction contradicts itself, or where the
    /// other party is nobody.
    pub to: TxnId,
    /// Why it must come second; `None` where the step is not about an order.
    pub dependency: Option<Dependency>,
    /// The reason in one sentence.
    pub why: String,
}

/// Why one transaction comes before another in every order that explains the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dependency {
    /// The second replaces what the first wrote.
    WriteWrite,
    /// The second reads what the first wrote.
    WriteRead,
    /// The second replaces what the first read. Adya calls it an anti-dependency.
    ReadWrite,
    /// The first was acknowledged before the second began.
    RealTime,
}

/// The kinds of violations. The names `G..` are Adya's (1999, chapters 3 and 4), the others as in
/// Kingsbury and Alvaro (2020).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Anomaly {
    /// A read returns what nobody ever wrote there.
    GarbageRead,
    /// G1a: a committed transaction reads what an aborted one wrote.
    AbortedRead,
    /// G1b: a transaction reads what another one wrote and then replaced itself.
    IntermediateRead,
    /// A transaction does not see its own write, or sees one that it makes later.
    Internal,
    /// A list holds twice what was appended once.
    DuplicateAppend,
    /// Two reads of a list are not one the beginning of the other, or a list has one transaction's
    /// appends in another order than that made them, or only the later of them.
    IncompatibleOrder,
    /// Two transactions read the same version and both replaced it (P4): one update is lost. It is
    /// a cycle of one or two anti-dependencies.
    LostUpdate,
    /// A cycle of write dependencies.
    G0,
    /// A cycle of write and read dependencies.
    G1c,
    /// A cycle with exactly one anti-dependency: read skew.
    GSingle,
    /// A cycle with several anti-dependencies on items: write skew, for one.
    G2Item,
    /// A cycle of write dependencies and real time.
    G0RealTime,
    /// A cycle of write and read dependencies and real time: a read from the future.
    G1cRealTime,
    /// A cycle with exactly one anti-dependency, and real time: a stale read, for one.
    GSingleRealTime,
    /// A cycle with several anti-dependencies, and real time: a long fork seen from outside.
    G2ItemRealTime,
    /// By positions: a read did not return what stands at its position.
    WrongVersion,
    /// By positions: real time and the order of positions disagree.
    WrongOrder,
    /// By positions: two transactions share one, and one wrote what the other touched.
    SharedPosition,
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::GarbageRead => "garbage read",
            Self::AbortedRead => "G1a (aborted read)",
            Self::IntermediateRead => "G1b (intermediate read)",
            Self::Internal => "internal inconsistency",
            Self::DuplicateAppend => "duplicate append",
            Self::IncompatibleOrder => "incompatible order",
            Self::LostUpdate => "lost update",
            Self::G0 => "G0 (write cycle)",
            Self::G1c => "G1c (circular information flow)",
            Self::GSingle => "G-single (read skew)",
            Self::G2Item => "G2-item (several anti-dependencies)",
            Self::G0RealTime => "G0-realtime",
            Self::G1cRealTime => "G1c-realtime",
            Self::GSingleRealTime => "G-single-realtime",
            Self::G2ItemRealTime => "G2-item-realtime",
            Self::WrongVersion => "wrong version",
            Self::WrongOrder => "wrong order",
            Self::SharedPosition => "shared position",
        })
    }
}

impl fmt::Display for Dependency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WriteWrite => "ww",
            Self::WriteRead => "wr",
            Self::ReadWrite => "rw",
            Self::RealTime => "rt",
        })
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not strictly serializable: {}", self.anomaly)?;
        let is_cycle = self.steps.iter().all(|step| step.dependency.is_some());
        match is_cycle {
            true => writeln!(f, ", a cycle of {} transactions", self.steps.len())?,
            false => writeln!(f)?,
        }
        for Step {
            from,
            to,
            dependency,
            why,
        } in &self.steps
        {
            match dependency {
                Some(dependency) => writeln!(f, "  {from} -{dependency}-> {to}: {why}")?,
                None => writeln!(f, "  {why}")?,
            }
        }
        for (_, line) in &self.transactions {
            writeln!(f, "  {line}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Violation {}
