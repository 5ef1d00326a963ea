//! A store that is always there and keeps the value of the highest stamp: last writer wins.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use synod_lamport::{LamportClock, Stamp};
use synod_sim::page::{Portrait, View};
use synod_sim::{Context, Event, KvOutput, KvRequest, NodeId, Process, Start, Value};

use crate::scene::{Ask, Board};

/// A copy. It answers from what it holds, and tells the others now and then. Stamps order all writes,
/// also those of which neither knew the other; of these one is lost, though it was acknowledged.
#[derive(Debug)]
pub struct LastWriter {
    id: NodeId,
    board: Rc<Board>,
    clock: LamportClock,
    held: Option<(Stamp<u64>, Value)>,
}

impl Process for LastWriter {
    type Message = (Stamp<u64>, Value);
    type Input = Ask;
    type Shared = Rc<Board>;

    fn start(start: Start, board: &Rc<Board>, at: &mut Context<Self::Message>) -> io::Result<Self> {
        at.timer = Some(at.now + GOSSIP);
        Ok(Self {
            id: start.id,
            board: Rc::clone(board),
            clock: LamportClock::default(),
            held: None,
        })
    }

    fn handle(
        &mut self,
        event: Event<Self::Message, Ask>,
        at: &mut Context<Self::Message>,
    ) -> io::Result<()> {
        match event {
            Event::Input(Ask { op, input, .. }) => {
                let output = match input.request {
                    KvRequest::Put(value) => {
                        let time = self.clock.tick().map_err(io::Error::other)?;
                        self.held = Some((Stamp::new(time, self.id.0), value));
                        KvOutput::Done
                    }
                    _ => KvOutput::Value(self.value().cloned()),
                };
                self.board.answer(op, at.true_now, output);
            }
            Event::Message { message, .. } => {
                self.clock
                    .receive(message.0.time)
                    .map_err(io::Error::other)?;
                let is_later = |held: &Self::Message| message.0 > held.0;
                if self.held.as_ref().is_none_or(is_later) {
                    self.held = Some(message);
                }
            }
            _ => {
                for to in (1..=self.board.nodes).map(NodeId) {
                    if let Some(held) = self.held.clone().filter(|_| to != self.id) {
                        at.send(to, held);
                    }
                }
                at.timer = Some(at.now + GOSSIP);
            }
        }
        Ok(())
    }
}

impl Portrait for LastWriter {
    fn view(&self) -> View {
        let mut view = View::default();
        view.text = match &self.held {
            Some((stamp, value)) => {
                format!(
                    "holds {value:?}, written at {} by n{}",
                    stamp.time, stamp.node
                )
            }
            None => "holds nothing".to_owned(),
        };
        view
    }

    fn caption((stamp, value): &Self::Message) -> (String, String) {
        let text = format!("{value:?}, written at {} by n{}", stamp.time, stamp.node);
        ("Gossip".to_owned(), text)
    }
}

impl LastWriter {
    /// What it holds.
    #[must_use]
    pub fn value(&self) -> Option<&Value> {
        self.held.as_ref().map(|(_, value)| value)
    }
}

const GOSSIP: Duration = Duration::from_millis(50);
