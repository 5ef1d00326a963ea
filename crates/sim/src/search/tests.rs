use std::collections::BTreeSet;

use super::{Found, Inputs, State, Step, System, permutations, search};

/// Three nodes, each of which says once that it is there, and when it has heard both others, that
/// all are.
#[derive(Debug, Default)]
struct Roll {
    silent: bool,
    alike: bool,
    deaf: bool,
    bug: Option<Bug>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bug {
    PanicsWhenAllAreThere,
    AllAfterOne,
}

#[derive(Clone, Debug, Hash)]
struct Node {
    id: usize,
    heard: BTreeSet<usize>,
    is_done: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Message {
    Here(usize),
    All(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Input {
    Speak,
    Receive,
}

impl System for Roll {
    type Node = Node;
    type Message = Message;
    type Input = Input;
    type Budget = ();
    /// Who was there.
    type Checker = BTreeSet<usize>;
    type Note = ();
    type Goal = &'static str;

    fn start(&self) -> (Vec<Node>, BTreeSet<usize>, ()) {
        let node = |id| Node {
            id,
            heard: BTreeSet::new(),
            is_done: false,
        };
        ((0..3).map(node).collect(), BTreeSet::new(), ())
    }

    fn inputs(&self, _: &Node, (): &(), inputs: &mut Inputs<Input>) {
        inputs.push(Input::Speak);
        inputs.push_with_messages(Input::Receive);
    }

    fn spend(&self, _: &Node, _: Input, (): &mut ()) {}

    fn hears(&self, node: &Node, message: &Message) -> bool {
        matches!(message, Message::Here(from) if *from != node.id)
    }

    fn step(&self, node: &Node, input: Input, message: Option<&Message>) -> Option<Step<Self>> {
        let mut node = node.clone();
        let mut sent = Vec::new();
        match (input, message) {
            (Input::Receive, Some(Message::Here(from))) => drop(node.heard.insert(*from)),
            (Input::Speak, _) => return Some(step(node.clone(), vec![Message::Here(node.id)])),
            _ => return None,
        }
        let enough = if self.bug == Some(Bug::AllAfterOne) {
            1
        } else {
            2
        };
        if node.heard.len() >= enough && !node.is_done {
            assert_ne!(self.bug, Some(Bug::PanicsWhenAllAreThere), "out of range");
            node.is_done = true;
            sent.push(Message::All(node.id));
        }
        Some(step(node, sent))
    }

    fn check(
        &self,
        there: &BTreeSet<usize>,
        step: &Step<Self>,
    ) -> Result<Option<BTreeSet<usize>>, String> {
        let mut there = there.clone();
        for message in &step.sent {
            match message {
                Message::Here(id) => drop(there.insert(*id)),
                Message::All(id) if there.iter().filter(|other| *other != id).count() < 2 => {
                    return Err(format!("{id} says all are"));
                }
                Message::All(_) => {}
            }
        }
        Ok(Some(there))
    }

    fn check_state(&self, state: &State<'_, Self>) -> Result<Vec<&'static str>, String> {
        let all = state.nodes().all(|node| node.is_done);
        Ok(all.then_some("all know").into_iter().collect())
    }

    fn check_end(&self, state: &State<'_, Self>) -> Result<(), String> {
        match state.nodes().find(|node| !node.is_done) {
            Some(node) => Err(format!("{} waits for ever", node.id)),
            None => Ok(()),
        }
    }

    fn carries(&self, _: &Message) -> bool {
        !self.deaf
    }

    fn is_silent(&self, input: Input, step: &Step<Self>) -> bool {
        self.silent && input == Input::Receive && step.sent.is_empty()
    }

    fn renamings(&self) -> Vec<Vec<usize>> {
        if self.alike {
            permutations(3)
        } else {
            Vec::new()
        }
    }

    fn rename_message(&self, message: &Message, renaming: &[usize]) -> Message {
        match message {
            Message::Here(id) => Message::Here(renaming[*id]),
            Message::All(id) => Message::All(renaming[*id]),
        }
    }

    fn rename_checker(&self, there: &BTreeSet<usize>, renaming: &[usize]) -> BTreeSet<usize> {
        there.iter().map(|id| renaming[*id]).collect()
    }
}

fn step(node: Node, sent: Vec<Message>) -> Step<Roll> {
    Step {
        node,
        sent,
        goals: Vec::new(),
        note: (),
    }
}

fn explore(roll: &Roll) -> Found<&'static str> {
    search(roll, 100_000)
}

#[test]
fn every_state_is_visited_and_the_goal_is_met() {
    let found = explore(&Roll::default());
    assert!(found.is_complete, "{:?}", found.violation);
    assert!(found.met.contains("all know"));
    // Each has heard some of the others that have spoken.
    let by_speakers = [1, 2 * 2, 2 * 2 * 4, 4 * 4 * 4];
    let states = by_speakers
        .iter()
        .zip([1, 3, 3, 1])
        .map(|(heard, ways)| heard * ways);
    assert_eq!(found.states, states.sum::<usize>());
    assert_eq!((found.node_states, found.messages), (3 * 4, 6));
}

#[test]
fn nodes_that_are_alike_make_fewer_states_and_the_same_verdict() {
    let (all, alike) = (
        explore(&Roll::default()),
        explore(&Roll {
            alike: true,
            ..Roll::default()
        }),
    );
    assert!(alike.is_complete && alike.met == all.met);
    // The classes of those 125 under the six ways to name three nodes, counted one by one.
    assert_eq!((all.states, alike.states), (125, 30));
    let bug = Some(Bug::AllAfterOne);
    let violation = explore(&Roll {
        alike: true,
        bug,
        ..Roll::default()
    })
    .violation;
    assert!(violation.is_some());
}

#[test]
fn silent_steps_make_fewer_states_and_lose_none_that_can_be_seen() {
    let (all, silent) = (
        explore(&Roll::default()),
        explore(&Roll {
            silent: true,
            ..Roll::default()
        }),
    );
    assert!(
        silent.is_complete && silent.met == all.met,
        "not all is seen: {silent}"
    );
    assert!(silent.states < all.states, "{silent}");
}

#[test]
fn a_broken_rule_is_told_with_a_shortest_way_to_it() {
    let bug = Some(Bug::AllAfterOne);
    let violation = explore(&Roll {
        bug,
        ..Roll::default()
    })
    .violation
    .unwrap();
    assert_eq!(
        violation.to_string(),
        "1 says all are\nafter 2 steps:\n  1. 0: Speak\n  2. 1: Receive Here(0)\n"
    );
}

#[test]
fn a_panic_in_a_node_is_a_broken_rule() {
    let bug = Some(Bug::PanicsWhenAllAreThere);
    let violation = explore(&Roll {
        bug,
        ..Roll::default()
    })
    .violation
    .unwrap();
    assert!(violation.rule.contains("out of range"), "{violation}");
    assert_eq!(violation.story.len(), 4);
}

#[test]
fn an_end_is_looked_at_and_what_is_not_carried_never_comes() {
    let violation = explore(&Roll {
        deaf: true,
        ..Roll::default()
    })
    .violation
    .unwrap();
    assert_eq!(violation.rule, "0 waits for ever");
}

#[test]
fn a_search_that_is_cut_short_is_not_complete() {
    let found = search(&Roll::default(), 10);
    assert!(!found.is_complete && found.violation.is_none());
    assert!(found.states <= 20, "{found}");
}

/// How many lines a list of a page has.
fn count(page: &str, list: &str) -> usize {
    let (_, rest) = page.split_once(&format!("\"{list}\":[\n")).expect(list);
    rest.lines()
        .take_while(|line| line.starts_with('['))
        .count()
}

#[test]
fn a_way_to_a_broken_rule_is_a_page_with_its_silent_steps() {
    for silent in [false, true] {
        let found = explore(&Roll {
            silent,
            bug: Some(Bug::PanicsWhenAllAreThere),
            ..Roll::default()
        });
        let violation = found.violation.expect("a violation");
        let page = found.run.expect("a run").html();
        // Two speak, and the third hears both of them; a silent step is no line of the story.
        assert_eq!(violation.story.len(), if silent { 3 } else { 4 });
        assert_eq!(count(&page, "events"), 4, "silent: {silent}");
        assert_eq!(count(&page, "nodes"), 3);
        assert_eq!(count(&page, "messages"), 4, "each to both others");
        assert!(page.contains("\"violation\":[4,\"assertion"));
    }
    assert!(explore(&Roll::default()).run.is_none());
}
