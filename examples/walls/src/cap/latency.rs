//! The other half of PACELC: what consistency costs while nothing is cut.

use std::time::Duration;

use synod_sim::{ClientId, KvInput, NodeId, WorldOptions};

use super::execution::{KEY, NODES, PATIENCE, calm};
use crate::scene::Store;

/// What was measured at one delay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency {
    /// Of the write in the quickest pair of a write at one node and the read at another after it.
    pub write: Duration,
    /// Of the read in that pair.
    pub read: Duration,
    /// All that was seen is linearizable.
    pub linearizable: bool,
}

/// Writes at each node, and reads at each other one as soon as that is acknowledged, where each
/// message takes exactly `delay` and disks take no time.
///
/// The pair that was over soonest is taken. Two nodes, because a register that one node holds
/// answers that node's own clients at once, and is linearizable.
pub fn measure<P>(seed: u64, delay: Duration) -> Latency
where
    P: Store,
{
    let mut options = WorldOptions::default();
    options.delay_min = delay;
    options.delay_mean = Duration::ZERO;
    options.sync_min = Duration::ZERO;
    options.sync_mean = Duration::ZERO;
    let mut scene = calm::<P>(seed, options, None);
    let mut quickest = (PATIENCE, PATIENCE);
    for writer in 1..=NODES {
        for reader in (1..=NODES).filter(|reader| *reader != writer) {
            let value = format!("{writer}{reader}");
            let op = scene.ask(ClientId(1), NodeId(writer), KvInput::put(KEY, value));
            let write = scene.wait(op, PATIENCE).unwrap_or(PATIENCE);
            let op = scene.ask(ClientId(2), NodeId(reader), KvInput::get(KEY));
            let read = scene.wait(op, PATIENCE).unwrap_or(PATIENCE);
            if write + read < quickest.0 + quickest.1 {
                quickest = (write, read);
            }
        }
    }
    Latency {
        write: quickest.0,
        read: quickest.1,
        linearizable: scene.verdict().is_ok(),
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::rc::Rc;

    use synod_sim::page::{Portrait, View};
    use synod_sim::{Context, Event, KvOutput, KvRequest, OpId, Process, Start, Value};

    use super::*;
    use crate::scene::{Ask, Board};

    /// A register that the first node holds; the others pass on what they are asked.
    struct AtFirst {
        id: NodeId,
        board: Rc<Board>,
        held: Option<Value>,
    }

    #[derive(Clone, Debug, Hash)]
    enum Word {
        /// Hold this, or tell what is held.
        Do(OpId, Option<Value>),
        /// It is held, or this is.
        Done(OpId, bool, Option<Value>),
    }

    impl AtFirst {
        fn apply(&mut self, op: OpId, writes: Option<Value>) -> Word {
            let is_write = writes.is_some();
            self.held = writes.or_else(|| self.held.take());
            Word::Done(op, is_write, self.held.clone())
        }

        fn receive(&mut self, at: &mut Context<Word>, from: NodeId, word: Word) {
            match word {
                Word::Do(op, writes) => {
                    let done = self.apply(op, writes);
                    if from == self.id {
                        self.receive(at, from, done);
                    } else {
                        at.send(from, done);
                    }
                }
                Word::Done(op, true, _) => self.board.answer(op, at.true_now, KvOutput::Done),
                Word::Done(op, false, held) => {
                    let output = KvOutput::Value(held);
                    self.board.answer(op, at.true_now, output);
                }
            }
        }
    }

    impl Process for AtFirst {
        type Message = Word;
        type Input = Ask;
        type Shared = Rc<Board>;

        fn start(start: Start, board: &Rc<Board>, _: &mut Context<Word>) -> io::Result<Self> {
            Ok(Self {
                id: start.id,
                board: Rc::clone(board),
                held: None,
            })
        }

        fn handle(&mut self, event: Event<Word, Ask>, at: &mut Context<Word>) -> io::Result<()> {
            match event {
                Event::Input(Ask { op, input, .. }) => {
                    let writes = match input.request {
                        KvRequest::Put(value) => Some(value),
                        _ => None,
                    };
                    let word = Word::Do(op, writes);
                    if self.id == NodeId(1) {
                        self.receive(at, self.id, word);
                    } else {
                        at.send(NodeId(1), word);
                    }
                }
                Event::Message { from, message } => self.receive(at, from, message),
                _ => {}
            }
            Ok(())
        }
    }

    impl Portrait for AtFirst {
        fn view(&self) -> View {
            View::default()
        }
    }

    #[test]
    fn what_one_node_holds_costs_the_others_a_delay() {
        let delay = Duration::from_millis(10);
        let it = measure::<AtFirst>(1, delay);
        assert!(
            it.linearizable && it.write + it.read >= delay,
            "a delay is paid: {it:?}"
        );
    }
}
