//! Histories of client operations: the call, the return, and the outcome of each.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// A client as the history knows it: a sequential process that has at most one operation open.
///
/// After an unknown outcome the same caller continues under a new number (see
/// [`History::fresh_client`]), because its lost operation may still take effect and so overlaps
/// with all its later ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub u64);

/// Names an operation within its [`History`]; numbers follow the order of the calls as recorded,
/// from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpId(pub u64);

/// A record of operations, in the order in which they were called.
///
/// Invariants:
/// - a client has at most one operation that is not closed, and none after one of unknown outcome;
/// - an operation returns no earlier than its call, and a client calls no earlier than it last
///   returned;
/// - an operation is closed at most once.
///
/// Times are virtual or real, measured from any common epoch. One operation precedes another if it
/// returned at an earlier time than the other was called, or at the same time but was *recorded*
/// earlier. Recorders on several threads therefore share one history behind a lock, and record a
/// call before the request is sent and a return after the answer has arrived.
///
/// ```
/// use std::time::Duration;
/// use synod_sim::{ClientId, History};
///
/// let ms = Duration::from_millis;
/// let mut history = History::new();
/// let put = history.call(ClientId(1), ms(0), "put 7")?;
/// let get = history.call(ClientId(2), ms(1), "get")?;
/// history.returned(get, ms(2), "7")?;
/// history.unknown(put)?; // the connection broke: it may happen, or have happened
/// assert!(history.call(ClientId(1), ms(3), "get").is_err());     // client 1 is gone for good
/// let next = history.fresh_client();
/// history.call(next, ms(3), "get")?;
/// # Ok::<(), synod_sim::RecordError>(())
/// ```
#[derive(Clone, Debug)]
pub struct History<I, O> {
    operations: Vec<Operation<I, O>>,
    clients: BTreeMap<ClientId, Progress>,
    events: u64,
}

/// One operation of a [`History`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Operation<I, O> {
    /// The id of the operation.
    pub id: OpId,
    /// Who called.
    pub client: ClientId,
    /// The input of the call.
    pub input: I,
    /// When it was called.
    pub called: Moment,
    /// Its outcome.
    pub outcome: Outcome<O>,
}

/// A time, and the order of recording among equal times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct Moment {
    /// Since the history's epoch.
    pub at: Duration,
    /// How many calls and returns had been recorded before.
    pub sequence: u64,
}

/// What is known of an operation's end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<O> {
    /// Called and not closed yet. A checker takes it as [`Outcome::Unknown`].
    Open,
    /// It took effect between its call and this moment and returned this output.
    Returned {
        /// When the answer was there.
        at: Moment,
        /// The answer.
        output: O,
    },
    /// It certainly did not take effect and never will. It constrains nothing.
    Failed,
    /// It took effect at some time after its call, or will, or never does.
    Unknown,
}

/// How many operations ended in which way; see [`History::counts`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Ended with an output.
    pub returned: u64,
    /// Certainly did not happen.
    pub failed: u64,
    /// Outcome unknown.
    pub unknown: u64,
    /// Not closed.
    pub open: u64,
}

/// Why an event could not be recorded: the recorder is used incorrectly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The client still waits for an operation.
    #[error("{client} calls while its operation {op} is open")]
    ClientBusy {
        /// Who called.
        client: ClientId,
        /// What it waits for.
        op: OpId,
    },
    /// An earlier operation of the client has an unknown outcome; it has to go on under a new
    /// number.
    #[error("{client} calls again although the outcome of its operation {op} is unknown")]
    ClientRetired {
        /// Who called.
        client: ClientId,
        /// What was lost.
        op: OpId,
    },
    /// The time lies before the client's last event.
    #[error("an event of {client} lies before the client's last one")]
    TimeWentBack {
        /// Whose event.
        client: ClientId,
    },
    /// No such operation was called.
    #[error("no operation {op} was called")]
    NoSuchOperation {
        /// The name given.
        op: OpId,
    },
    /// The operation has been closed before.
    #[error("operation {op} was closed before")]
    AlreadyClosed {
        /// The name given.
        op: OpId,
    },
}

/// Where a client stands.
#[derive(Clone, Copy, Debug)]
struct Progress {
    last: Duration,
    state: Standing,
}

#[derive(Clone, Copy, Debug)]
enum Standing {
    Idle,
    Waits(OpId),
    Retired(OpId),
}

impl<I, O> History<I, O> {
    /// An empty history.
    #[must_use]
    pub fn new() -> Self {
        Self {
            operations: Vec::new(),
            clients: BTreeMap::new(),
            events: 0,
        }
    }

    /// Records that `client` calls `input`; must be called before the request is sent.
    ///
    /// # Errors
    /// [`RecordError::ClientBusy`], [`RecordError::ClientRetired`], [`RecordError::TimeWentBack`].
    pub fn call(&mut self, client: ClientId, at: Duration, input: I) -> Result<OpId, RecordError> {
        if let Some(progress) = self.clients.get(&client) {
            match progress.state {
                Standing::Waits(op) => return Err(RecordError::ClientBusy { client, op }),
                Standing::Retired(op) => return Err(RecordError::ClientRetired { client, op }),
                Standing::Idle if at < progress.last => {
                    return Err(RecordError::TimeWentBack { client });
                }
                Standing::Idle => {}
            }
        }
        let id = OpId(self.operations.len() as u64);
        let called = self.moment(at);
        self.operations.push(Operation {
            id,
            client,
            input,
            called,
            outcome: Outcome::Open,
        });
        self.clients.insert(
            client,
            Progress {
                last: at,
                state: Standing::Waits(id),
            },
        );
        Ok(id)
    }

    /// Records that `op` was answered; must be called after the answer has arrived.
    ///
    /// # Errors
    /// [`RecordError::NoSuchOperation`], [`RecordError::AlreadyClosed`],
    /// [`RecordError::TimeWentBack`].
    pub fn returned(&mut self, op: OpId, at: Duration, output: O) -> Result<(), RecordError> {
        let operation = self.open(op)?;
        if at < operation.called.at {
            return Err(RecordError::TimeWentBack {
                client: operation.client,
            });
        }
        let at = self.moment(at);
        self.close(op, at.at, Standing::Idle, Outcome::Returned { at, output })
    }

    /// Records that `op` certainly did not happen and never will, according to the service.
    ///
    /// # Errors
    /// [`RecordError::NoSuchOperation`], [`RecordError::AlreadyClosed`].
    pub fn fail(&mut self, op: OpId) -> Result<(), RecordError> {
        let called = self.open(op)?.called.at;
        self.close(op, called, Standing::Idle, Outcome::Failed)
    }

    /// Records that the outcome of `op` will never be known. Its client is retired.
    ///
    /// # Errors
    /// [`RecordError::NoSuchOperation`], [`RecordError::AlreadyClosed`].
    pub fn unknown(&mut self, op: OpId) -> Result<(), RecordError> {
        let called = self.open(op)?.called.at;
        self.close(op, called, Standing::Retired(op), Outcome::Unknown)
    }

    /// A new client, under a number above all others: for a caller whose last outcome is unknown.
    pub fn fresh_client(&mut self) -> ClientId {
        let last = self.clients.last_key_value().map(|(client, _)| client.0);
        let client = ClientId(last.map_or(0, |last| last.saturating_add(1)));
        self.clients.insert(
            client,
            Progress {
                last: Duration::ZERO,
                state: Standing::Idle,
            },
        );
        client
    }

    /// All operations, in the order of their recording.
    #[must_use]
    pub fn operations(&self) -> &[Operation<I, O>] {
        &self.operations
    }

    /// How many operations ended in which way.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for operation in &self.operations {
            match operation.outcome {
                Outcome::Open => counts.open += 1,
                Outcome::Returned { .. } => counts.returned += 1,
                Outcome::Failed => counts.failed += 1,
                Outcome::Unknown => counts.unknown += 1,
            }
        }
        counts
    }

    fn open(&self, op: OpId) -> Result<&Operation<I, O>, RecordError> {
        let index = usize::try_from(op.0).map_err(|_| RecordError::NoSuchOperation { op })?;
        let operation = self
            .operations
            .get(index)
            .ok_or(RecordError::NoSuchOperation { op })?;
        match operation.outcome {
            Outcome::Open => Ok(operation),
            _ => Err(RecordError::AlreadyClosed { op }),
        }
    }

    fn close(
        &mut self,
        op: OpId,
        last: Duration,
        state: Standing,
        outcome: Outcome<O>,
    ) -> Result<(), RecordError> {
        let operation = usize::try_from(op.0)
            .ok()
            .and_then(|index| self.operations.get_mut(index));
        let operation = operation.ok_or(RecordError::NoSuchOperation { op })?;
        operation.outcome = outcome;
        self.clients
            .insert(operation.client, Progress { last, state });
        Ok(())
    }

    fn moment(&mut self, at: Duration) -> Moment {
        let sequence = self.events;
        self.events += 1;
        Moment { at, sequence }
    }
}

impl<I, O> Operation<I, O> {
    /// When it was answered, if it was.
    #[must_use]
    pub fn returned_at(&self) -> Option<Duration> {
        match &self.outcome {
            Outcome::Returned { at, .. } => Some(at.at),
            Outcome::Open | Outcome::Failed | Outcome::Unknown => None,
        }
    }
}

impl<I, O> Default for History<I, O> {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{}", self.0)
    }
}

impl fmt::Display for OpId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: ClientId = ClientId(1);

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_client_has_one_open_operation() {
        let mut history = History::<&str, ()>::new();
        let op = history.call(ONE, ms(1), "a").unwrap();
        assert_eq!(
            history.call(ONE, ms(2), "b"),
            Err(RecordError::ClientBusy { client: ONE, op })
        );
        history.returned(op, ms(2), ()).unwrap();
        assert!(history.call(ONE, ms(2), "b").is_ok());
        assert_eq!(
            [history.fresh_client(), history.fresh_client()],
            [ClientId(2), ClientId(3)]
        );
    }

    #[test]
    fn an_unknown_outcome_retires_the_client_and_a_failure_does_not() {
        let mut history = History::<&str, ()>::new();
        let failed = history.call(ONE, ms(1), "a").unwrap();
        history.fail(failed).unwrap();
        let lost = history.call(ONE, ms(2), "b").unwrap();
        history.unknown(lost).unwrap();
        assert_eq!(
            history.call(ONE, ms(3), "c"),
            Err(RecordError::ClientRetired {
                client: ONE,
                op: lost
            })
        );
        assert_eq!(
            history.counts(),
            Counts {
                failed: 1,
                unknown: 1,
                ..Counts::default()
            }
        );
    }

    #[test]
    fn time_and_closings_are_checked() {
        let mut history = History::<&str, u8>::new();
        let op = history.call(ONE, ms(5), "a").unwrap();
        assert_eq!(
            history.returned(op, ms(4), 0),
            Err(RecordError::TimeWentBack { client: ONE })
        );
        history.returned(op, ms(9), 0).unwrap();
        assert_eq!(
            history.returned(op, ms(9), 0),
            Err(RecordError::AlreadyClosed { op })
        );
        assert_eq!(
            history.call(ONE, ms(8), "b"),
            Err(RecordError::TimeWentBack { client: ONE })
        );
        assert_eq!(
            history.unknown(OpId(7)),
            Err(RecordError::NoSuchOperation { op: OpId(7) })
        );
    }
}
