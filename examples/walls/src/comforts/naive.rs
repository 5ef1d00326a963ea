//! The same program on three nodes, written as if nothing had changed.

use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;

use synod_sim::page::{Portrait, View};
use synod_sim::{Context, Event, KvOutput, KvRequest, NodeId, Process, Start, Value};

use crate::scene::{Ask, Board, map_text};

/// A node that keeps what everybody knows in its own memory. Who changes something tells the others.
#[derive(Debug)]
pub struct Naive {
    id: NodeId,
    board: Rc<Board>,
    map: BTreeMap<Box<[u8]>, Option<Value>>,
}

/// A key and what it holds now.
pub type Change = (Box<[u8]>, Option<Value>);

impl Process for Naive {
    type Message = Change;
    type Input = Ask;
    type Shared = Rc<Board>;

    fn start(start: Start, board: &Rc<Board>, _: &mut Context<Change>) -> io::Result<Self> {
        Ok(Self {
            id: start.id,
            board: Rc::clone(board),
            map: BTreeMap::new(),
        })
    }

    fn handle(&mut self, event: Event<Change, Ask>, at: &mut Context<Change>) -> io::Result<()> {
        match event {
            Event::Input(Ask { op, input, .. }) => {
                let held = self.map.entry(input.key.clone()).or_default();
                let output: KvOutput = input.request.execute(held);
                let held = held.clone();
                self.board.answer(op, at.true_now, output);
                if input.request != KvRequest::Get {
                    for to in (1..=self.board.nodes)
                        .map(NodeId)
                        .filter(|to| *to != self.id)
                    {
                        at.send(to, (input.key.clone(), held.clone()));
                    }
                }
            }
            Event::Message { message, .. } => {
                self.map.insert(message.0, message.1);
            }
            _ => {}
        }
        Ok(())
    }
}

impl Portrait for Naive {
    fn view(&self) -> View {
        let mut view = View::default();
        view.text = map_text(&self.map);
        view
    }

    fn caption((key, held): &Change) -> (String, String) {
        let text = format!("{} = {held:?}", key.escape_ascii());
        ("Change".to_owned(), text)
    }
}
