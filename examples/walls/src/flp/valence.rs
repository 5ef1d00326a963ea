//! Every configuration of a small protocol, and which values can still be decided from it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::configuration::Configuration;
use super::protocol::all;
use super::{Event, ProcessId, Protocol, Value};

/// All that can happen from some inputs on. There is no such value unless the search came to its
/// end, so what it says of valence is so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Valences {
    /// By number of steps from the beginning, the configurations first met there: how many are
    /// bivalent, 0-valent, 1-valent, and such that nothing can be decided any more.
    pub layers: Vec<Layer>,
    /// Whose steps lead from a bivalent configuration to a 0-valent or a 1-valent one, where there is
    /// one of each: in such a step the decision falls.
    pub critical: Vec<ProcessId>,
}

/// Counts of configurations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layer {
    /// 0 and 1 can be decided.
    pub bivalent: usize,
    /// 0 and nothing else.
    pub zero: usize,
    /// 1 and nothing else.
    pub one: usize,
    /// Neither.
    pub dead: usize,
}

struct Node {
    depth: usize,
    /// Whether 0, and whether 1, can be decided from here.
    reaches: [bool; 2],
    parents: Vec<usize>,
    children: Vec<(ProcessId, usize)>,
}

/// Searches all runs in which the `silent` process, if there is one, takes no step. `None` if there
/// are more configurations than this may look at.
pub fn search<P: Protocol>(
    protocol: &P,
    inputs: &[Value],
    silent: Option<ProcessId>,
    configurations_max: usize,
) -> Option<Valences> {
    let start = Configuration::new(protocol, inputs);
    let mut numbers = BTreeMap::from([(start.text(), 0)]);
    let mut nodes = vec![Node::new(protocol, &start, 0)];
    let mut queue = VecDeque::from([start]);
    let mut at = 0;
    while let Some(here) = queue.pop_front() {
        for event in events(protocol, &here, silent) {
            let mut next = here.clone();
            next.take(protocol, event);
            let text = next.text();
            let known = numbers.get(&text).copied();
            let number = known.unwrap_or(nodes.len());
            if number == at {
                continue;
            }
            if known.is_none() {
                if nodes.len() == configurations_max {
                    return None;
                }
                nodes.push(Node::new(protocol, &next, nodes[at].depth + 1));
                numbers.insert(text, number);
                queue.push_back(next);
            }
            nodes[number].parents.push(at);
            nodes[at].children.push((event.at(), number));
        }
        at += 1;
    }
    spread(&mut nodes);
    Some(describe(&nodes))
}

impl Valences {
    /// How many configurations there are.
    #[must_use]
    pub fn total(&self) -> Layer {
        self.layers
            .iter()
            .fold(Layer::default(), |sum, layer| Layer {
                bivalent: sum.bivalent + layer.bivalent,
                zero: sum.zero + layer.zero,
                one: sum.one + layer.one,
                dead: sum.dead + layer.dead,
            })
    }
}

fn events<P: Protocol>(
    protocol: &P,
    here: &Configuration<P>,
    silent: Option<ProcessId>,
) -> Vec<Event> {
    let awake = all(protocol).filter(|at| Some(*at) != silent);
    let of_one = |at| {
        let taken = here.waiting_for(at).map(|(event, _)| event);
        taken.chain([Event::Alone { at }])
    };
    awake.flat_map(of_one).collect()
}

/// From what is decided back to where it still can be.
fn spread(nodes: &mut [Node]) {
    for value in [0, 1] {
        let decided = (0..nodes.len()).filter(|at| nodes[*at].reaches[value]);
        let mut queue: Vec<usize> = decided.collect();
        while let Some(at) = queue.pop() {
            for parent in nodes[at].parents.clone() {
                if !std::mem::replace(&mut nodes[parent].reaches[value], true) {
                    queue.push(parent);
                }
            }
        }
    }
}

fn describe(nodes: &[Node]) -> Valences {
    let mut valences = Valences {
        layers: Vec::new(),
        critical: Vec::new(),
    };
    let mut critical = BTreeSet::new();
    for node in nodes {
        if valences.layers.len() <= node.depth {
            valences.layers.push(Layer::default());
        }
        let layer = &mut valences.layers[node.depth];
        match node.reaches {
            [true, true] => layer.bivalent += 1,
            [true, false] => layer.zero += 1,
            [false, true] => layer.one += 1,
            [false, false] => layer.dead += 1,
        }
        let leads_to = |reaches: [bool; 2]| {
            let children = node.children.iter();
            children.filter(move |(_, child)| nodes[*child].reaches == reaches)
        };
        let (mut zero, mut one) = (leads_to([true, false]), leads_to([false, true]));
        if let (Some(zero_first), Some(one_first)) = (zero.next(), one.next()) {
            let steps = zero.chain(one).chain([zero_first, one_first]);
            critical.extend(steps.map(|(at, _)| *at));
        }
    }
    valences.critical = critical.into_iter().collect();
    valences
}

impl Node {
    fn new<P: Protocol>(protocol: &P, here: &Configuration<P>, depth: usize) -> Self {
        let decided = |value| all(protocol).any(|at| here.decision(protocol, at) == Some(value));
        Self {
            depth,
            reaches: [decided(Value::Zero), decided(Value::One)],
            parents: Vec::new(),
            children: Vec::new(),
        }
    }
}
