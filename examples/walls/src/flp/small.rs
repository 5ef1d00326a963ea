//! Two protocols that are no match for one crash, small enough to be searched to the end.

use std::collections::BTreeMap;

use super::protocol::all;
use super::{ProcessId, Protocol, Sends, Value};

/// Everybody tells everybody its input, waits for all, and takes the smallest.
#[derive(Clone, Debug)]
pub struct WaitForAll {
    /// How many processes.
    pub processes: usize,
}

/// Everybody tells the first process its input; that takes what comes first, and tells everybody.
#[derive(Clone, Debug)]
pub struct Arbiter {
    /// How many processes.
    pub processes: usize,
}

/// A process of either.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    at: ProcessId,
    input: Value,
    begun: bool,
    heard: BTreeMap<ProcessId, Value>,
    decided: Option<Value>,
}

/// What they say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Word {
    /// My input.
    Input(Value),
    /// What is decided.
    Decided(Value),
}

impl Member {
    fn new(at: ProcessId, input: Value) -> Self {
        Self {
            at,
            input,
            begun: false,
            heard: BTreeMap::from([(at, input)]),
            decided: None,
        }
    }
}

impl Protocol for WaitForAll {
    type State = Member;
    type Message = Word;

    fn processes(&self) -> usize {
        self.processes
    }

    fn start(&self, at: ProcessId, input: Value) -> Member {
        Member::new(at, input)
    }

    fn receive(&self, member: &mut Member, from: ProcessId, word: Word) -> Sends<Word> {
        let Word::Input(value) = word else {
            return Vec::new();
        };
        member.heard.insert(from, value);
        if member.heard.len() == self.processes {
            member.decided = member.heard.values().min().copied();
        }
        Vec::new()
    }

    fn step_alone(&self, member: &mut Member) -> Sends<Word> {
        if std::mem::replace(&mut member.begun, true) {
            return Vec::new();
        }
        let others = all(self).filter(|to| *to != member.at);
        others.map(|to| (to, Word::Input(member.input))).collect()
    }

    fn decision(&self, member: &Member) -> Option<Value> {
        member.decided
    }
}

impl Protocol for Arbiter {
    type State = Member;
    type Message = Word;

    fn processes(&self) -> usize {
        self.processes
    }

    fn start(&self, at: ProcessId, input: Value) -> Member {
        Member::new(at, input)
    }

    fn receive(&self, member: &mut Member, _from: ProcessId, word: Word) -> Sends<Word> {
        match word {
            Word::Input(value) if member.decided.is_none() => self.decide(member, value),
            Word::Input(_) => Vec::new(),
            Word::Decided(value) => {
                member.decided = Some(value);
                Vec::new()
            }
        }
    }

    fn step_alone(&self, member: &mut Member) -> Sends<Word> {
        if std::mem::replace(&mut member.begun, true) || member.decided.is_some() {
            return Vec::new();
        }
        match member.at == ARBITER {
            true => self.decide(member, member.input),
            false => vec![(ARBITER, Word::Input(member.input))],
        }
    }

    fn decision(&self, member: &Member) -> Option<Value> {
        member.decided
    }
}

impl Arbiter {
    fn decide(&self, member: &mut Member, value: Value) -> Sends<Word> {
        member.decided = Some(value);
        let others = all(self).filter(|to| *to != ARBITER);
        others.map(|to| (to, Word::Decided(value))).collect()
    }
}

const ARBITER: ProcessId = ProcessId(1);
