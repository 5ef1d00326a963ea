//! The calls and returns of one object's operations, as a list from which an operation can be
//! lifted and put back.

use crate::history::{Moment, Operation, Outcome};
use crate::linearizability::model::{Effect, Model};

/// One object's history, prepared for the search.
///
/// ```text
///  head ─> call a ─> call b ─> return a ─> call c ─> return b ─> return c
///          └── may come first ──┘ └── nothing may pass this return before `a` is linearized
/// ```
///
/// Invariants: the list is sorted by position; a completed operation has both entries in it or
/// neither; the first entry, if any, is a call.
#[derive(Debug)]
pub(super) struct Entries<'h, M: Model> {
    /// Completed operations by call.
    pub(super) completed: Vec<Completed<'h, M>>,
    /// Operations of unknown outcome by call, without those that only read.
    pub(super) unknown: Vec<Unknown<'h, M>>,
    /// Entry `e > 0` is the call of operation `owner[e].0` if `owner[e].1`, else its return. Entry
    /// 0 is the head.
    owner: Vec<(u32, bool)>,
    /// Where the entry stands among all calls and returns of the object.
    position: Vec<u32>,
    next: Vec<u32>,
    previous: Vec<u32>,
    remaining: usize,
}

/// An operation whose output is known.
#[derive(Debug)]
pub(super) struct Completed<'h, M: Model> {
    pub(super) operation: &'h Operation<M::Input, M::Output>,
    pub(super) output: &'h M::Output,
    pub(super) effect: Effect,
    call: u32,
    back: u32,
}

/// An operation that may take effect at any time after its call.
#[derive(Debug)]
pub(super) struct Unknown<'h, M: Model> {
    pub(super) operation: &'h Operation<M::Input, M::Output>,
    pub(super) effect: Effect,
    position: u32,
}

impl<'h, M: Model> Entries<'h, M> {
    pub(super) fn new(model: &M, operations: &[&'h Operation<M::Input, M::Output>]) -> Self {
        let mut entries = Self {
            completed: Vec::new(),
            unknown: Vec::new(),
            owner: vec![(0, false)],
            position: vec![0],
            next: vec![0],
            previous: vec![0],
            remaining: 0,
        };
        let mut events: Vec<(Moment, _, Option<&'h M::Output>)> = Vec::new();
        for &operation in operations {
            events.push((operation.called, operation, None));
            if let Outcome::Returned { at, output } = &operation.outcome {
                events.push((*at, operation, Some(output)));
            }
        }
        events.sort_by_key(|event| event.0);

        let mut numbers = std::collections::BTreeMap::new();
        for (position, (_, operation, returned)) in (1_u32..).zip(events) {
            match (returned, &operation.outcome) {
                (Some(_), _) => {
                    let number = numbers[&operation.id];
                    entries.completed[number as usize].back = entries.push(number, false, position);
                }
                (None, Outcome::Returned { output, .. }) => {
                    let number = entries.completed.len() as u32;
                    numbers.insert(operation.id, number);
                    let call = entries.push(number, true, position);
                    let effect = model.effect(&operation.input, Some(output));
                    entries.completed.push(Completed {
                        operation,
                        output,
                        effect,
                        call,
                        back: 0,
                    });
                }
                (None, Outcome::Failed) => {}
                (None, Outcome::Open | Outcome::Unknown) => {
                    let effect = model.effect(&operation.input, None);
                    if effect != Effect::Reads {
                        entries.unknown.push(Unknown {
                            operation,
                            effect,
                            position,
                        });
                    }
                }
            }
        }
        entries.remaining = entries.completed.len();
        entries
    }

    /// Completed operations that are not linearized.
    pub(super) fn remaining(&self) -> usize {
        self.remaining
    }

    /// The first operation, in the order of the calls, that may come next; see
    /// [`Self::candidate_after`].
    pub(super) fn first_candidate(&self) -> Option<u32> {
        self.call_at(self.next[0])
    }

    /// The one after `number`, which must be in the list. Operations may come next as long as no
    /// return stands before their call.
    pub(super) fn candidate_after(&self, number: u32) -> Option<u32> {
        self.call_at(self.next[self.completed[number as usize].call as usize])
    }

    /// The completed operation that must be linearized before any later call, and the position of
    /// its return.
    pub(super) fn first_return(&self) -> Option<(u32, u32)> {
        let mut entry = self.next[0] as usize;
        while entry != 0 {
            let (number, is_call) = self.owner[entry];
            if !is_call {
                return Some((number, self.position[entry]));
            }
            entry = self.next[entry] as usize;
        }
        None
    }

    /// How many of `unknown`, from the front, were called before the first return.
    pub(super) fn unknown_eligible(&self) -> usize {
        let limit = self
            .first_return()
            .map_or(u32::MAX, |(_, position)| position);
        self.unknown
            .partition_point(|unknown| unknown.position < limit)
    }

    /// Takes an operation out: it is linearized.
    pub(super) fn lift(&mut self, number: u32) {
        let Completed { call, back, .. } = self.completed[number as usize];
        for entry in [call, back] {
            let (previous, next) = (self.previous[entry as usize], self.next[entry as usize]);
            self.next[previous as usize] = next;
            self.previous[next as usize] = previous;
        }
        self.remaining -= 1;
    }

    /// Puts it back. Operations come back in the reverse order of their lifting.
    pub(super) fn unlift(&mut self, number: u32) {
        let Completed { call, back, .. } = self.completed[number as usize];
        for entry in [back, call] {
            let (previous, next) = (self.previous[entry as usize], self.next[entry as usize]);
            self.next[previous as usize] = entry;
            self.previous[next as usize] = entry;
        }
        self.remaining += 1;
    }

    fn call_at(&self, entry: u32) -> Option<u32> {
        let (number, is_call) = self.owner[entry as usize];
        (entry != 0 && is_call).then_some(number)
    }

    fn push(&mut self, number: u32, is_call: bool, position: u32) -> u32 {
        let entry = self.owner.len() as u32;
        let last = self.previous[0];
        self.owner.push((number, is_call));
        self.position.push(position);
        self.previous.push(last);
        self.next.push(0);
        self.next[last as usize] = entry;
        self.previous[0] = entry;
        entry
    }
}
