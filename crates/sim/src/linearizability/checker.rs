//! The public checker: a history in, a verdict out.

use std::collections::BTreeMap;

use crate::history::{History, Outcome};
use crate::linearizability::entries::Entries;
use crate::linearizability::model::Model;
use crate::linearizability::search::{Answer, Search};
use crate::linearizability::violation::Violation;

/// Checks histories against a [`Model`], one object after the other.
///
/// An operation of unknown outcome may take effect at any time after its call, or never; one that
/// failed constrains nothing. The answer is exact: a search that ends has found an order or
/// excluded them all. In the worst case it takes exponential time, so it has a budget, and to run
/// out of it is a verdict of its own which a caller must treat as a failed check.
///
/// ```
/// use std::time::Duration;
/// use synod_sim::{Checker, ClientId, History, Kv, KvInput, KvOutput, Verdict};
///
/// let ms = Duration::from_millis;
/// let mut history = History::new();
/// let put = history.call(ClientId(1), ms(0), KvInput::put("x", "1"))?;
/// history.returned(put, ms(1), KvOutput::Done)?;
/// let get = history.call(ClientId(2), ms(2), KvInput::get("x"))?;
/// history.returned(get, ms(3), KvOutput::absent())?;                   // a stale read
///
/// let Verdict::Violation(violation) = Checker::new(Kv).check(&history) else { panic!("the read is stale") };
/// assert_eq!(violation.operation, get);
/// println!("{violation}");
/// # Ok::<(), synod_sim::RecordError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Checker<M> {
    model: M,
    steps_max: u64,
}

/// The result of a check.
#[derive(Clone, Debug)]
#[must_use = "a history that could not be decided has not been checked"]
pub enum Verdict<K, I, O> {
    /// Linearizable.
    Ok {
        /// Operations that took part: all but those that surely failed.
        operations_checked: u64,
        /// How often the model was asked; see [`Checker::steps_max`].
        steps: u64,
    },
    /// Not linearizable.
    Violation(Box<Violation<K, I, O>>),
    /// The budget did not suffice for this object. No other object was found in violation.
    Undecided {
        /// The first such object.
        key: K,
        /// The budget in steps an object.
        steps_max: u64,
    },
}

/// Checks with the default budget; see [`Checker`].
pub fn check<M: Model>(
    model: M,
    history: &History<M::Input, M::Output>,
) -> Verdict<M::Key, M::Input, M::Output> {
    Checker::new(model).check(history)
}

impl<M: Model> Checker<M> {
    /// A checker with a budget of ten million steps an object: some ten seconds and a gigabyte at
    /// the worst.
    pub fn new(model: M) -> Self {
        Self {
            model,
            steps_max: STEPS_MAX,
        }
    }

    /// Sets the budget: calls of [`Model::step`] an object. A linearizable history takes one or two
    /// for each operation, and up to some fifty where dozens of clients write one object or many
    /// outcomes are unknown.
    #[must_use]
    pub fn steps_max(mut self, steps_max: u64) -> Self {
        self.steps_max = steps_max;
        self
    }

    /// Checks `history`. Objects are taken in the order of their keys, all of them unless one is
    /// found in violation.
    pub fn check(
        &self,
        history: &History<M::Input, M::Output>,
    ) -> Verdict<M::Key, M::Input, M::Output> {
        let mut objects = BTreeMap::<M::Key, Vec<_>>::new();
        let mut operations_checked = 0;
        for operation in history.operations() {
            if !matches!(operation.outcome, Outcome::Failed) {
                operations_checked += 1;
                objects
                    .entry(self.model.key(&operation.input))
                    .or_default()
                    .push(operation);
            }
        }
        let mut undecided = None;
        let mut steps = 0;
        for (key, operations) in objects {
            let entries = Entries::new(&self.model, &operations);
            let (answer, taken) = Search::new(&self.model, entries, self.steps_max).run();
            steps += taken;
            match answer {
                Answer::Linearizable => {}
                Answer::NotLinearizable(dead_end) => {
                    return Verdict::Violation(Box::new(Violation::new(
                        key,
                        dead_end,
                        history,
                        &operations,
                    )));
                }
                Answer::OutOfSteps => {
                    undecided.get_or_insert(key);
                }
            }
        }
        match undecided {
            Some(key) => Verdict::Undecided {
                key,
                steps_max: self.steps_max,
            },
            None => Verdict::Ok {
                operations_checked,
                steps,
            },
        }
    }
}

impl<K, I, O> Verdict<K, I, O> {
    /// Whether every operation was checked and the history is linearizable.
    pub fn is_ok(&self) -> bool {
        matches!(self, Self::Ok { .. })
    }

    /// Whether the history was shown not to be linearizable.
    pub fn is_violation(&self) -> bool {
        matches!(self, Self::Violation(_))
    }
}

const STEPS_MAX: u64 = 10_000_000;
