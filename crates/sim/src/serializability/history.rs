//! Histories of transactions, as clients record them.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::time::Duration;

use crate::history::Moment;

/// Names a transaction within its [`TxnHistory`]; numbers follow the order of
/// [`TxnHistory::begin`], from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TxnId(pub u32);

/// Where a transaction stands in the order that a service claims: a commit timestamp, the timestamp
/// of a snapshot, or a position in a log.
///
/// A transaction that writes sees what stands at smaller positions. One that only reads sees what
/// stands at its own position too. Transactions that write share a position only if neither touches
/// what the other writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub i128);

/// A record of transactions: when each began and ended, what it read and wrote, in its order.
///
/// A key holds either a register, which writes replace, or a list, to which values are appended.
/// Registers are absent and lists are empty in the beginning. A deletion is a write of a value that
/// stands for it, best one that is unique. A scan is a read of each key that it covers, the absent
/// ones included.
///
/// Times are virtual or real, measured from any common epoch. One transaction precedes another if
/// it was acknowledged at an earlier time than the other began, or at the same time but was
/// *recorded* earlier. Record the beginning before the first request is sent, and the commit after
/// its answer has arrived.
///
/// A transaction that is not closed is one of unknown outcome.
#[derive(Clone, Debug)]
pub struct TxnHistory<K, V> {
    pub(super) keys: Vec<(K, Kind)>,
    numbers: HashMap<K, u32>,
    pub(super) txns: Vec<Txn<V>>,
    events: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Txn<V> {
    pub(super) began: Moment,
    pub(super) outcome: Outcome,
    pub(super) is_past: bool,
    pub(super) position: Option<Position>,
    pub(super) name: Option<Box<str>>,
    pub(super) operations: Vec<Operation<V>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Open,
    Committed(Moment),
    Unanswered,
    Aborted,
    Unknown,
}

/// Keys are numbers in `keys`.
#[derive(Clone, Debug)]
pub(super) enum Operation<V> {
    Read(u32, Option<V>),
    Write(u32, V),
    List(u32, Vec<V>),
    Append(u32, V),
}

/// What a key holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Register,
    List,
}

/// Why an event could not be recorded: the recorder is used incorrectly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TxnError {
    /// No such transaction has begun.
    #[error("no transaction {txn} has begun")]
    NoSuchTxn {
        /// The name given.
        txn: TxnId,
    },
    /// The transaction is closed.
    #[error("transaction {txn} is closed")]
    Closed {
        /// Which one.
        txn: TxnId,
    },
    /// The time of the commit lies before the beginning.
    #[error("{txn} ends before it began")]
    TimeWentBack {
        /// Whose commit.
        txn: TxnId,
    },
    /// The key was used as a list before and is used as a register now, or the other way round.
    #[error("{txn} uses one key as a register and as a list")]
    MixedKey {
        /// Who used it last.
        txn: TxnId,
    },
    /// Only a transaction that writes nothing can read in the past.
    #[error("{txn} reads in the past, and writes")]
    WritesInThePast {
        /// Which one.
        txn: TxnId,
    },
    /// More than [`TxnHistory::TXNS_MAX`] transactions or keys.
    #[error("the history is full")]
    Full,
}

impl<K: Clone + Eq + Hash, V> TxnHistory<K, V> {
    /// How many transactions a history holds, and how many keys.
    pub const TXNS_MAX: usize = 1 << 28;

    /// An empty history.
    #[must_use]
    pub fn new() -> Self {
        Self {
            keys: Vec::new(),
            numbers: HashMap::new(),
            txns: Vec::new(),
            events: 0,
        }
    }

    /// Records that a transaction begins; must be called before its first request is sent.
    ///
    /// # Errors
    /// [`TxnError::Full`].
    pub fn begin(&mut self, at: Duration) -> Result<TxnId, TxnError> {
        let number = u32::try_from(self.txns.len()).map_err(|_| TxnError::Full)?;
        if self.txns.len() >= Self::TXNS_MAX {
            return Err(TxnError::Full);
        }
        let began = self.moment(at);
        self.txns.push(Txn {
            began,
            outcome: Outcome::Open,
            is_past: false,
            position: None,
            name: None,
            operations: Vec::new(),
        });
        Ok(TxnId(number))
    }

    /// The transaction read `value` from a register; `None`: it was absent.
    ///
    /// # Errors
    /// [`TxnError::NoSuchTxn`], [`TxnError::Closed`], [`TxnError::MixedKey`], [`TxnError::Full`].
    pub fn read(&mut self, txn: TxnId, key: K, value: Option<V>) -> Result<(), TxnError> {
        let key = self.number(txn, key, Kind::Register, false)?;
        self.push(txn, Operation::Read(key, value))
    }

    /// The transaction wrote `value` to a register, whatever it held before.
    ///
    /// # Errors
    /// As [`read`](Self::read), and [`TxnError::WritesInThePast`].
    pub fn write(&mut self, txn: TxnId, key: K, value: V) -> Result<(), TxnError> {
        let key = self.number(txn, key, Kind::Register, true)?;
        self.push(txn, Operation::Write(key, value))
    }

    /// The transaction read a whole list, its own appends included.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_list(&mut self, txn: TxnId, key: K, values: Vec<V>) -> Result<(), TxnError> {
        let key = self.number(txn, key, Kind::List, false)?;
        self.push(txn, Operation::List(key, values))
    }

    /// The transaction appended `value` to a list.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn append(&mut self, txn: TxnId, key: K, value: V) -> Result<(), TxnError> {
        let key = self.number(txn, key, Kind::List, true)?;
        self.push(txn, Operation::Append(key, value))
    }

    /// Records that the transaction committed and its client learnt that at `at`; must be called
    /// after the answer has arrived.
    ///
    /// # Errors
    /// [`TxnError::NoSuchTxn`], [`TxnError::Closed`], [`TxnError::TimeWentBack`].
    pub fn commit(&mut self, txn: TxnId, at: Duration) -> Result<(), TxnError> {
        if at < self.open(txn)?.began.at {
            return Err(TxnError::TimeWentBack { txn });
        }
        let at = self.moment(at);
        self.close(txn, Outcome::Committed(at))
    }

    /// Records that the transaction committed, according to the service's log, and that its client
    /// never got the answer: it precedes nothing in real time.
    ///
    /// # Errors
    /// [`TxnError::NoSuchTxn`], [`TxnError::Closed`].
    pub fn commit_unanswered(&mut self, txn: TxnId) -> Result<(), TxnError> {
        self.close(txn, Outcome::Unanswered)
    }

    /// Records that the transaction certainly had no effect and never will. What it read
    /// constrains nothing.
    ///
    /// # Errors
    /// [`TxnError::NoSuchTxn`], [`TxnError::Closed`].
    pub fn abort(&mut self, txn: TxnId) -> Result<(), TxnError> {
        self.close(txn, Outcome::Aborted)
    }

    /// Records that the outcome will never be known: it commits at some time after its beginning,
    /// or never. It counts as committed once another one that counts has read what it wrote.
    ///
    /// # Errors
    /// [`TxnError::NoSuchTxn`], [`TxnError::Closed`].
    pub fn unknown(&mut self, txn: TxnId) -> Result<(), TxnError> {
        self.close(txn, Outcome::Unknown)
    }

    /// Where the service claims that the transaction stands; also after its end.
    ///
    /// # Errors
    /// [`TxnError::NoSuchTxn`].
    pub fn place(&mut self, txn: TxnId, position: Position) -> Result<(), TxnError> {
        self.find(txn)?.position = Some(position);
        Ok(())
    }

    /// The transaction reads in the past, as its client asked for: it need not show what had
    /// committed before it began. It must still show one state of the past, and with a position
    /// that of its position.
    ///
    /// # Errors
    /// [`TxnError::NoSuchTxn`], [`TxnError::WritesInThePast`].
    pub fn in_the_past(&mut self, txn: TxnId) -> Result<(), TxnError> {
        let found = self.find(txn)?;
        if found.operations.iter().any(Operation::writes) {
            return Err(TxnError::WritesInThePast { txn });
        }
        found.is_past = true;
        Ok(())
    }

    /// What reports call the transaction beside its number; also after its end.
    ///
    /// # Errors
    /// [`TxnError::NoSuchTxn`].
    pub fn name(&mut self, txn: TxnId, name: impl Into<Box<str>>) -> Result<(), TxnError> {
        self.find(txn)?.name = Some(name.into());
        Ok(())
    }

    /// How many transactions have begun.
    #[must_use]
    pub fn len(&self) -> usize {
        self.txns.len()
    }

    /// Whether none has begun.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.txns.is_empty()
    }

    fn number(&mut self, txn: TxnId, key: K, kind: Kind, writes: bool) -> Result<u32, TxnError> {
        if self.open(txn)?.is_past && writes {
            return Err(TxnError::WritesInThePast { txn });
        }
        if let Some(number) = self.numbers.get(&key) {
            return match self.keys[*number as usize].1 == kind {
                true => Ok(*number),
                false => Err(TxnError::MixedKey { txn }),
            };
        }
        let number = u32::try_from(self.keys.len()).map_err(|_| TxnError::Full)?;
        if self.keys.len() >= Self::TXNS_MAX {
            return Err(TxnError::Full);
        }
        self.keys.push((key.clone(), kind));
        self.numbers.insert(key, number);
        Ok(number)
    }

    fn push(&mut self, txn: TxnId, operation: Operation<V>) -> Result<(), TxnError> {
        self.open(txn)?.operations.push(operation);
        Ok(())
    }

    fn close(&mut self, txn: TxnId, outcome: Outcome) -> Result<(), TxnError> {
        self.open(txn)?.outcome = outcome;
        Ok(())
    }

    fn open(&mut self, txn: TxnId) -> Result<&mut Txn<V>, TxnError> {
        let found = self.find(txn)?;
        match found.outcome {
            Outcome::Open => Ok(found),
            _ => Err(TxnError::Closed { txn }),
        }
    }

    fn find(&mut self, txn: TxnId) -> Result<&mut Txn<V>, TxnError> {
        let found = self.txns.get_mut(txn.0 as usize);
        found.ok_or(TxnError::NoSuchTxn { txn })
    }

    fn moment(&mut self, at: Duration) -> Moment {
        let sequence = self.events;
        self.events += 1;
        Moment { at, sequence }
    }
}

impl<V> Operation<V> {
    pub(super) fn writes(&self) -> bool {
        matches!(self, Self::Write(..) | Self::Append(..))
    }
}

impl<K: Clone + Eq + Hash, V> Default for TxnHistory<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for TxnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "T{}", self.0)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_use_is_a_typed_error() {
        let ms = Duration::from_millis;
        let mut history = TxnHistory::<&str, u8>::new();
        let txn = history.begin(ms(5)).unwrap();
        history.write(txn, "x", 1).unwrap();
        let mixed = Err(TxnError::MixedKey { txn });
        assert_eq!(history.append(txn, "x", 2), mixed);
        let past = TxnError::WritesInThePast { txn };
        assert_eq!(history.in_the_past(txn), Err(past));
        let back = Err(TxnError::TimeWentBack { txn });
        assert_eq!(history.commit(txn, ms(4)), back);
        history.commit(txn, ms(5)).unwrap();
        assert_eq!(history.abort(txn), Err(TxnError::Closed { txn }));
        assert_eq!(history.read(txn, "x", None), Err(TxnError::Closed { txn }));
        let nobody = TxnId(7);
        assert_eq!(
            history.place(nobody, Position(1)),
            Err(TxnError::NoSuchTxn { txn: nobody })
        );
        let looks = history.begin(ms(6)).unwrap();
        history.in_the_past(looks).unwrap();
        assert_eq!(
            history.write(looks, "x", 3),
            Err(TxnError::WritesInThePast { txn: looks })
        );
    }
}
