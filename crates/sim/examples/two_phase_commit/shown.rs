//! The blocking state as a page: a protocol that no world runs, told to a recorder by hand.

use std::time::Duration;

use synod_sim::NodeId;
use synod_sim::page::{Kind, MessageId, Recorder, View};

use crate::protocol::{Message, Node, PARTICIPANTS};

/// The coordinator is gone when all have voted and nobody has been told.
pub(crate) fn blocked() -> Recorder {
    let mut run = Run::new(Recorder::new("Two-phase commit blocks"));
    let requests = run.happens(0, Kind::Input, "is asked to commit", Node::begin);
    let votes: Vec<_> = requests
        .into_iter()
        .flat_map(|request| run.hears(request))
        .collect();
    run.crashes(0);
    for (id, ..) in votes {
        run.recorder.lost(run.now, id, "nobody there");
    }
    for number in 1..=PARTICIPANTS {
        run.happens(number, Kind::Timer, "may not give up", Node::give_up);
    }
    run.recorder
        .violation("blocked: somebody has voted, and nobody knows what came of it");
    run.recorder
}

/// A message on its way: its name in the recording, for whom it is, and what it says.
type Sent = (MessageId, usize, Message);

struct Run {
    nodes: Vec<Node>,
    now: Duration,
    recorder: Recorder,
}

impl Run {
    fn new(recorder: Recorder) -> Self {
        let nodes = Node::group(PARTICIPANTS);
        let run = Self {
            nodes,
            now: Duration::ZERO,
            recorder,
        };
        for (number, node) in run.nodes.iter().enumerate() {
            let name = match number {
                0 => "coordinator".to_owned(),
                number => format!("participant {number}"),
            };
            run.recorder.name(id(number), &name);
            (run.recorder).event(run.now, id(number), Kind::Start, "begins");
            run.recorder.view(run.now, id(number), view(node));
        }
        run
    }

    /// Something happens to a node, and what it says leaves.
    fn happens(
        &mut self,
        number: usize,
        kind: Kind,
        what: &str,
        input: impl FnOnce(&mut Node) -> Vec<Message>,
    ) -> Vec<Sent> {
        self.now += Duration::from_millis(1);
        self.recorder.event(self.now, id(number), kind, what);
        self.ends(number, input)
    }

    fn hears(&mut self, (sent, number, message): Sent) -> Vec<Sent> {
        self.now += Duration::from_millis(1);
        self.recorder.received(self.now, sent);
        self.ends(number, |node| node.handle(message))
    }

    fn ends(&mut self, number: usize, input: impl FnOnce(&mut Node) -> Vec<Message>) -> Vec<Sent> {
        let said = input(&mut self.nodes[number]);
        let mut sent = Vec::new();
        for message in said {
            let text = message.to_string();
            let hears = |to: &usize| *to != number && self.nodes[*to].hears(message);
            for to in (0..self.nodes.len()).filter(hears) {
                let name = text.split('(').next().unwrap_or_default();
                let caption = (name, text.as_str());
                let left = (self.recorder).sent(self.now, id(number), id(to), caption);
                sent.push((left, to, message));
            }
        }
        let view = view(&self.nodes[number]);
        self.recorder.view(self.now, id(number), view);
        sent
    }

    fn crashes(&mut self, number: usize) {
        self.now += Duration::from_millis(1);
        self.nodes[number] = Node::Gone;
        (self.recorder).event(self.now, id(number), Kind::Crash, "is gone for good");
    }
}

fn view(node: &Node) -> View {
    let mut view = View::default();
    view.role = match node {
        Node::Coordinator { votes, .. } => format!("has {} votes", votes.len()),
        Node::Participant { voted: None, .. } => "has not voted".to_owned(),
        Node::Participant { .. } => "has voted".to_owned(),
        Node::Gone => "gone".to_owned(),
    };
    let decided = node.decided();
    view.marks.extend(decided.map(|what| format!("{what:?}")));
    if node.is_in_doubt() {
        view.marks.push("in doubt".to_owned());
    }
    view
}

fn id(number: usize) -> NodeId {
    NodeId(number as u64)
}
