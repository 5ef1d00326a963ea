//! A store that is always there and keeps what it cannot order: dotted version vectors and gossip.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use synod_sim::page::{Portrait, View};
use synod_sim::{Context, Event, KvOutput, KvRequest, NodeId, Process, Start, Value};
use synod_vclock::DvvSet;

use crate::scene::{Ask, Board};

/// A copy. It answers from what it holds, and tells the others now and then. Values that were written
/// without knowledge of each other stay side by side, until somebody who has read both writes.
#[derive(Debug)]
pub struct Siblings {
    id: NodeId,
    board: Rc<Board>,
    set: DvvSet<u64, Value>,
}

impl Process for Siblings {
    type Message = DvvSet<u64, Value>;
    type Input = Ask;
    type Shared = Rc<Board>;

    fn start(start: Start, board: &Rc<Board>, at: &mut Context<Self::Message>) -> io::Result<Self> {
        at.timer = Some(at.now + GOSSIP);
        Ok(Self {
            id: start.id,
            board: Rc::clone(board),
            set: DvvSet::new(),
        })
    }

    fn handle(
        &mut self,
        event: Event<Self::Message, Ask>,
        at: &mut Context<Self::Message>,
    ) -> io::Result<()> {
        match event {
            Event::Input(Ask {
                op, input, context, ..
            }) => {
                let output = match input.request {
                    KvRequest::Put(value) => {
                        let written = self.set.update(&context, self.id.0, value);
                        written.map_err(io::Error::other)?;
                        KvOutput::Done
                    }
                    _ => KvOutput::Value(self.shown()),
                };
                let known = self.set.context();
                self.board.contexts.borrow_mut().insert(op, known);
                self.board.answer(op, at.true_now, output);
            }
            Event::Message { message, .. } => self.set.sync(&message),
            _ => {
                for to in (1..=self.board.nodes).map(NodeId) {
                    if to != self.id {
                        at.send(to, self.set.clone());
                    }
                }
                at.timer = Some(at.now + GOSSIP);
            }
        }
        Ok(())
    }
}

impl Portrait for Siblings {
    fn view(&self) -> View {
        let mut view = View::default();
        view.text = match self.shown() {
            Some(value) => format!("holds {value:?}"),
            None => "holds nothing".to_owned(),
        };
        view
    }

    fn caption(set: &Self::Message) -> (String, String) {
        let values: Vec<String> = set.values().map(|value| format!("{value:?}")).collect();
        let text = match values.is_empty() {
            true => "I hold nothing".to_owned(),
            false => format!("I hold {}", values.join(" and ")),
        };
        ("Gossip".to_owned(), text)
    }
}

impl Siblings {
    /// What it holds, with what it knows.
    #[must_use]
    pub fn set(&self) -> &DvvSet<u64, Value> {
        &self.set
    }

    /// A register has one value. Where there are several a reader sees them all, and no register
    /// ever held that.
    fn shown(&self) -> Option<Value> {
        let texts = self.set.values().map(Value::to_vec);
        let texts: Vec<Vec<u8>> = texts.collect();
        (!texts.is_empty()).then(|| texts.join(SEPARATOR).into())
    }
}

/// Between siblings in an answer.
pub(super) const SEPARATOR: &[u8] = b" and ";
const GOSSIP: Duration = Duration::from_millis(50);
