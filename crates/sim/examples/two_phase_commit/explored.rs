//! What a search has to know of the protocol.

use synod_sim::search::{Inputs, State, Step, System, permutations};

use crate::protocol::{Decision, Message, Node, PARTICIPANTS};

/// Every schedule of a coordinator and two participants, so many of whom crash for good.
#[derive(Debug)]
pub(crate) struct Schedules {
    pub(crate) crashes: u8,
    /// That it blocks is known, and is no violation.
    pub(crate) may_block: bool,
}

/// What may happen to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    Receive,
    Begin,
    GiveUp,
    Crash,
}

impl System for Schedules {
    type Node = Node;
    type Message = Message;
    type Input = Input;
    /// Crashes that are left.
    type Budget = u8;
    type Checker = ();
    type Note = ();
    type Goal = &'static str;

    fn start(&self) -> (Vec<Node>, (), u8) {
        (Node::group(PARTICIPANTS), (), self.crashes)
    }

    fn inputs(&self, node: &Node, crashes: &u8, inputs: &mut Inputs<Input>) {
        inputs.push_if(Input::Begin, matches!(node, Node::Coordinator { .. }));
        inputs.push_if(Input::GiveUp, matches!(node, Node::Participant { .. }));
        inputs.push_if(Input::Crash, *crashes > 0 && *node != Node::Gone);
        inputs.push_with_messages(Input::Receive);
    }

    fn spend(&self, _: &Node, input: Input, crashes: &mut u8) {
        *crashes -= u8::from(input == Input::Crash);
    }

    fn hears(&self, node: &Node, message: &Message) -> bool {
        node.hears(*message)
    }

    fn step(&self, node: &Node, input: Input, message: Option<&Message>) -> Option<Step<Self>> {
        let mut node = node.clone();
        let sent = match input {
            Input::Receive => node.handle(*message?),
            Input::Begin => node.begin(),
            Input::GiveUp => node.give_up(),
            Input::Crash => {
                node = Node::Gone;
                Vec::new()
            }
        };
        Some(Step {
            node,
            sent,
            goals: Vec::new(),
            note: (),
        })
    }

    fn check_state(&self, state: &State<'_, Self>) -> Result<Vec<&'static str>, String> {
        atomic(state.nodes())
    }

    /// Who knows could be asked. So it blocks where nobody does who is up, and somebody has voted.
    fn check_end(&self, state: &State<'_, Self>) -> Result<(), String> {
        let knows = state.nodes().any(|node| node.decided().is_some());
        let waits = state.nodes().any(Node::is_in_doubt);
        match waits && !knows && !self.may_block {
            true => Err("blocked: somebody has voted, and nobody knows what came of it".to_owned()),
            false => Ok(()),
        }
    }

    fn renamings(&self) -> Vec<Vec<usize>> {
        let participants = permutations(PARTICIPANTS).into_iter();
        let with_coordinator = participants.map(|names| {
            let places = names.iter().map(|place| place + 1);
            [0].into_iter().chain(places).collect()
        });
        with_coordinator.collect()
    }

    fn rename_message(&self, message: &Message, renaming: &[usize]) -> Message {
        match *message {
            // Participants have the numbers of their places.
            Message::Vote { of, yes } => Message::Vote {
                of: renaming[of],
                yes,
            },
            other => other,
        }
    }

    fn tell(&self, place: usize, input: Input, message: Option<&Message>) -> String {
        let who = match place {
            0 => "the coordinator".to_owned(),
            number => format!("participant {number}"),
        };
        match (input, message) {
            (Input::Receive, Some(Message::Prepare)) => format!("{who} votes yes"),
            (_, Some(message)) => format!("{who} receives {message}"),
            (Input::Begin, _) => format!("{who} asks for votes"),
            (Input::GiveUp, _) => format!("{who} gives up"),
            (Input::Crash, _) => format!("{who} crashes"),
            (Input::Receive, None) => format!("{who} receives nothing"),
        }
    }
}

/// Nobody commits what another aborts. Tells what everybody has come to.
fn atomic<'a>(nodes: impl Iterator<Item = &'a Node>) -> Result<Vec<&'static str>, String> {
    let decided: Vec<Option<Decision>> = nodes.map(Node::decided).collect();
    let any = |decision| decided.contains(&Some(decision));
    let all = |decision| decided.iter().all(|decided| *decided == Some(decision));
    if any(Decision::Commit) && any(Decision::Abort) {
        return Err("atomicity: one commits, another aborts".to_owned());
    }
    let met = [
        ("all commit", all(Decision::Commit)),
        ("all abort", all(Decision::Abort)),
    ];
    Ok(met
        .iter()
        .filter(|(_, met)| *met)
        .map(|(what, _)| *what)
        .collect())
}
