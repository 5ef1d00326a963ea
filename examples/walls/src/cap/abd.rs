//! A register on majorities: Attiya, Bar-Noy and Dolev (1995), in the form for many writers of Lynch and
//! Shvartsman (1997).

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::rc::Rc;
use std::time::Duration;

use synod_sim::page::{Portrait, View};
use synod_sim::{Context, Event, KvOutput, KvRequest, NodeId, OpId, Process, Start, Value};

use crate::scene::{Ask, Board};

/// A copy of the register. No leader, no log and no consensus: it is never undecided, and FLP has
/// nothing to say of it. That it cannot answer while it is cut off is CAP's doing alone.
///
/// A write asks a majority for the highest tag, and stores its value under a higher one at a
/// majority. A read asks likewise, and before it answers stores what it found at a majority, so that
/// no later read finds less.
#[derive(Debug)]
pub struct Majority {
    id: NodeId,
    board: Rc<Board>,
    held: Held,
    open: BTreeMap<OpId, Operation>,
}

/// A version of the value: the higher tag is the later one.
type Held = (Tag, Option<Value>);

/// Counter and node.
type Tag = (u64, u64);

#[derive(Debug)]
struct Operation {
    /// What it writes, if it is a write.
    writes: Option<Value>,
    phase: Phase,
    /// Who has answered in this phase.
    heard: BTreeSet<NodeId>,
}

#[derive(Debug)]
enum Phase {
    /// What is the highest version?
    Ask(Held),
    /// Store this one.
    Store(Held),
}

/// What copies say to each other.
#[derive(Clone, Debug, Hash)]
pub enum Word {
    /// What do you hold?
    Ask(OpId),
    /// This.
    Holds(OpId, Tag, Option<Value>),
    /// Hold this, unless you hold something later.
    Store(OpId, Tag, Option<Value>),
    /// I do.
    Stored(OpId),
}

impl Process for Majority {
    type Message = Word;
    type Input = Ask;
    type Shared = Rc<Board>;

    fn start(start: Start, board: &Rc<Board>, at: &mut Context<Word>) -> io::Result<Self> {
        at.timer = Some(at.now + RETRY);
        Ok(Self {
            id: start.id,
            board: Rc::clone(board),
            held: ((0, 0), None),
            open: BTreeMap::new(),
        })
    }

    fn handle(&mut self, event: Event<Word, Ask>, at: &mut Context<Word>) -> io::Result<()> {
        match event {
            Event::Input(Ask { op, input, .. }) => {
                let writes = match input.request {
                    KvRequest::Put(value) => Some(value),
                    _ => None,
                };
                let operation = Operation {
                    writes,
                    phase: Phase::Ask(self.held.clone()),
                    heard: BTreeSet::from([self.id]),
                };
                self.open.insert(op, operation);
                self.broadcast(at, &Word::Ask(op));
                self.advance(at, op);
            }
            Event::Message { from, message } => self.receive(at, from, message),
            _ => {
                let words: Vec<Word> = self.open.iter().map(|(op, it)| it.word(*op)).collect();
                words.iter().for_each(|word| self.broadcast(at, word));
                at.timer = Some(at.now + RETRY);
            }
        }
        Ok(())
    }
}

impl Portrait for Majority {
    fn view(&self) -> View {
        let (tag, value) = &self.held;
        let mut view = View::default();
        view.text = match value {
            Some(value) => format!("holds {value:?}, tag {}.{}", tag.0, tag.1),
            None => "holds nothing".to_owned(),
        };
        let marks = self
            .open
            .iter()
            .map(|(op, operation)| match operation.phase {
                Phase::Ask(_) => format!("asks a majority for operation {}", op.0),
                Phase::Store(_) => format!("stores at a majority for operation {}", op.0),
            });
        view.marks = marks.collect();
        view
    }

    fn caption(word: &Word) -> (String, String) {
        let version = |(number, node): Tag, value: &Option<Value>| match value {
            Some(value) => format!("{value:?}, tag {number}.{node}"),
            None => "nothing".to_owned(),
        };
        let (name, op, text) = match word {
            Word::Ask(op) => ("Ask", op, "what do you hold?".to_owned()),
            Word::Holds(op, tag, value) => ("Holds", op, version(*tag, value)),
            Word::Store(op, tag, value) => ("Store", op, version(*tag, value)),
            Word::Stored(op) => ("Stored", op, "it is stored".to_owned()),
        };
        (
            name.to_owned(),
            format!("{name} for operation {}: {text}", op.0),
        )
    }
}

impl Majority {
    fn receive(&mut self, at: &mut Context<Word>, from: NodeId, word: Word) {
        match word {
            Word::Ask(op) => {
                let (tag, value) = self.held.clone();
                at.send(from, Word::Holds(op, tag, value));
            }
            Word::Store(op, tag, value) => {
                self.hold((tag, value));
                at.send(from, Word::Stored(op));
            }
            Word::Holds(op, tag, value) => self.heard(at, from, op, Some((tag, value))),
            Word::Stored(op) => self.heard(at, from, op, None),
        }
    }

    fn heard(&mut self, at: &mut Context<Word>, from: NodeId, op: OpId, theirs: Option<Held>) {
        let Some(operation) = self.open.get_mut(&op) else {
            return;
        };
        match (&mut operation.phase, theirs) {
            (Phase::Ask(latest), Some(theirs)) => {
                if theirs.0 > latest.0 {
                    *latest = theirs;
                }
            }
            (Phase::Store(_), None) => {}
            // Of the phase before.
            (Phase::Ask(_), None) | (Phase::Store(_), Some(_)) => return,
        }
        operation.heard.insert(from);
        self.advance(at, op);
    }

    /// Goes on to the next phase, or to the end, once a majority has answered.
    fn advance(&mut self, at: &mut Context<Word>, op: OpId) {
        let (id, majority) = (self.id, self.majority());
        while let Some(operation) = self.open.get_mut(&op) {
            if operation.heard.len() < majority {
                return;
            }
            match &operation.phase {
                Phase::Ask(latest) => {
                    let next = match &operation.writes {
                        // Above what this node has used since it asked, too: it may have two writes open.
                        Some(value) => {
                            let number = latest.0.0.max(self.held.0.0) + 1;
                            ((number, id.0), Some(value.clone()))
                        }
                        None => latest.clone(),
                    };
                    operation.phase = Phase::Store(next.clone());
                    operation.heard = BTreeSet::from([id]);
                    let word = operation.word(op);
                    self.hold(next);
                    self.broadcast(at, &word);
                }
                Phase::Store((_, value)) => {
                    let output = match operation.writes {
                        Some(_) => KvOutput::Done,
                        None => KvOutput::Value(value.clone()),
                    };
                    self.open.remove(&op);
                    self.board.answer(op, at.true_now, output);
                }
            }
        }
    }

    fn hold(&mut self, held: Held) {
        if held.0 > self.held.0 {
            self.held = held;
        }
    }

    fn majority(&self) -> usize {
        self.board.nodes as usize / 2 + 1
    }

    fn broadcast(&self, at: &mut Context<Word>, word: &Word) {
        for to in (1..=self.board.nodes).map(NodeId) {
            if to != self.id {
                at.send(to, word.clone());
            }
        }
    }
}

impl Operation {
    fn word(&self, op: OpId) -> Word {
        match &self.phase {
            Phase::Ask(_) => Word::Ask(op),
            Phase::Store((tag, value)) => Word::Store(op, *tag, value.clone()),
        }
    }
}

/// Each phase may be asked again: its answers are counted by who gave them.
const RETRY: Duration = Duration::from_millis(500);
