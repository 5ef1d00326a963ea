//! Finds a shortest cycle, and its name.

use std::collections::VecDeque;

use crate::serializability::compiled::{Compiled, NONE};
use crate::serializability::graph::{Components, Edge, Graph, Kind};
use crate::serializability::report::Link;
use crate::serializability::violation::{Anomaly, Dependency};

/// The kinds of edges that a cycle may have, the gravest first.
const LEVELS: [u8; 6] = [
    WW,
    WW | WR,
    WW | WR | RW,
    WW | RT,
    WW | WR | RT,
    WW | WR | RW | RT,
];
const WW: u8 = Kind::WriteWrite as u8;
const WR: u8 = Kind::WriteRead as u8;
const RW: u8 = Kind::ReadWrite as u8;
const RT: u8 = Kind::RealTime as u8;

/// How many edges a search for a shorter cycle follows.
const EDGES_FOLLOWED_MAX: usize = 20_000_000;

/// A shortest cycle, if there is any, and of several the gravest.
pub(super) fn find(compiled: &Compiled, graph: &Graph) -> Option<Vec<Link>> {
    let mut best = pair_in_real_time(compiled, graph);
    for kinds in LEVELS {
        let is_timeless = kinds & RT == 0;
        let limit = match &best {
            // As short as what only real time shows, and graver.
            Some(best) if is_timeless && has_real_time(best) => best.len(),
            Some(best) => best.len() - 1,
            None => usize::MAX,
        };
        if limit < 2 {
            continue;
        }
        let components = graph.components(kinds);
        if components.are_single() {
            continue;
        }
        let mut finder = Finder::new(graph, &components, kinds);
        let mut limit = u32::try_from(limit).unwrap_or(NONE - 1);
        if kinds & RW != 0
            && let Some(cycle) = finder.with_one_anti_dependency(limit)
        {
            limit = cycle.len() as u32 - 1;
            best = Some(cycle);
        }
        best = finder.shortest(limit).or(best);
    }
    best
}

/// Two transactions, of which one depends on the other that began after it had ended. Most
/// violations of real time are of this kind, and it takes one look at each edge.
fn pair_in_real_time(compiled: &Compiled, graph: &Graph) -> Option<Vec<Link>> {
    let mut pairs = graph.edges().iter().filter(|edge| {
        edge.kind.is_in(WW | WR | RW)
            && graph.is_txn(edge.from)
            && graph.is_txn(edge.to)
            && compiled.precedes(edge.to, edge.from)
    });
    let found = pairs.next()?;
    let back = Edge {
        from: found.to,
        to: found.from,
        key: NONE,
        kind: Kind::RealTime,
    };
    Some(links(graph, &[*found, back]))
}

fn has_real_time(cycle: &[Link]) -> bool {
    let mut links = cycle.iter();
    links.any(|link| link.dependency == Dependency::RealTime)
}

/// Adya's name of a cycle.
pub(super) fn anomaly(cycle: &[Link]) -> Anomaly {
    let count = |of: Dependency| cycle.iter().filter(|link| link.dependency == of).count();
    let anti = count(Dependency::ReadWrite);
    match (has_real_time(cycle), anti, count(Dependency::WriteRead)) {
        (false, 0, 0) => Anomaly::G0,
        (false, 0, _) => Anomaly::G1c,
        (false, 1, _) => Anomaly::GSingle,
        (false, _, _) => Anomaly::G2Item,
        (true, 0, 0) => Anomaly::G0RealTime,
        (true, 0, _) => Anomaly::G1cRealTime,
        (true, 1, _) => Anomaly::GSingleRealTime,
        (true, _, _) => Anomaly::G2ItemRealTime,
    }
}

/// Searches by breadth within one set of components.
struct Finder<'a> {
    graph: &'a Graph,
    components: &'a Components,
    kinds: u8,
    /// By node, in the search with this number: how far it is, and by which edge.
    reached: Vec<(u32, u32, Option<Edge>)>,
    search: u32,
    followed: usize,
}

impl<'a> Finder<'a> {
    fn new(graph: &'a Graph, components: &'a Components, kinds: u8) -> Self {
        Self {
            graph,
            components,
            kinds,
            reached: vec![(NONE, NONE, None); graph.nodes() as usize],
            search: 0,
            followed: 0,
        }
    }

    /// A shortest cycle with one anti-dependency and at most `limit` edges: for each of these, the
    /// way back without another.
    fn with_one_anti_dependency(&mut self, mut limit: u32) -> Option<Vec<Link>> {
        let graph = self.graph;
        let kinds = self.kinds & !RW;
        let enters = graph.edges().iter();
        let mut best = None;
        for edge in enters.filter(|edge| edge.kind == Kind::ReadWrite) {
            if limit < 2 || self.is_spent() {
                break;
            }
            if !self.components.join(edge.from, edge.to) {
                continue;
            }
            if let Some(way) = self.way(edge.to, edge.from, kinds, limit - 1) {
                let mut edges = vec![*edge];
                edges.extend(way);
                let cycle = links(graph, &edges);
                limit = cycle.len() as u32 - 1;
                best = Some(cycle);
            }
        }
        best
    }

    /// A shortest cycle of at most `limit` edges through the transactions that are tried.
    fn shortest(&mut self, mut limit: u32) -> Option<Vec<Link>> {
        let mut best = None;
        for txn in 0..self.graph.txns {
            if limit < 2 || (self.is_spent() && limit < NONE - 1) {
                break;
            }
            if !self.components.has_cycle(txn) {
                continue;
            }
            if let Some(way) = self.way(txn, txn, self.kinds, limit) {
                let cycle = links(self.graph, &way);
                limit = cycle.len() as u32 - 1;
                best = Some(cycle);
            }
        }
        best
    }

    fn is_spent(&self) -> bool {
        self.followed > EDGES_FOLLOWED_MAX
    }

    /// A way between two nodes with at most `limit` steps, and as few as there are. Edges that leave
    /// an auxiliary node are no steps.
    fn way(&mut self, from: u32, to: u32, kinds: u8, limit: u32) -> Option<Vec<Edge>> {
        let graph = self.graph;
        self.search += 1;
        let mut queue = VecDeque::from([(from, 0)]);
        if from != to {
            self.reached[from as usize] = (self.search, 0, None);
        }
        while let Some((node, steps)) = queue.pop_front() {
            let known = self.reached[node as usize];
            if known.0 == self.search {
                if known.1 < steps {
                    continue;
                }
                if node == to && known.2.is_some() {
                    return Some(self.back(from, to));
                }
            }
            for edge in graph.from(node) {
                self.followed += 1;
                if !edge.kind.is_in(kinds | Kind::Continues as u8)
                    || !self.components.join(edge.from, edge.to)
                {
                    continue;
                }
                let is_step = edge.kind != Kind::Continues;
                let steps = steps + u32::from(is_step);
                let known = &mut self.reached[edge.to as usize];
                if steps > limit || (known.0 == self.search && known.1 <= steps) {
                    continue;
                }
                *known = (self.search, steps, Some(*edge));
                match is_step {
                    true => queue.push_back((edge.to, steps)),
                    false => queue.push_front((edge.to, steps)),
                }
            }
        }
        None
    }

    fn back(&self, from: u32, to: u32) -> Vec<Edge> {
        let mut edges = Vec::new();
        let mut node = to;
        while let Some(edge) = self.reached[node as usize].2 {
            edges.push(edge);
            node = edge.from;
            if node == from {
                break;
            }
        }
        edges.reverse();
        edges
    }
}

/// The edges between transactions that these edges stand for.
fn links(graph: &Graph, edges: &[Edge]) -> Vec<Link> {
    let mut links: Vec<Link> = Vec::new();
    for edge in edges {
        match edge.kind.dependency() {
            Some(dependency) => links.push(Link {
                from: edge.from,
                to: edge.to,
                dependency,
                key: edge.key,
            }),
            None => {
                if let Some(last) = links.last_mut() {
                    last.to = edge.to;
                }
            }
        }
    }
    debug_assert!(links.iter().all(|link| graph.is_txn(link.from)));
    links
}
