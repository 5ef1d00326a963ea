//! The graph of dependencies: transactions, what orders them, and auxiliary nodes that stand for
//! many edges.

use crate::serializability::compiled::{Compiled, NONE};
use crate::serializability::violation::Dependency;

/// An edge. One that leaves an auxiliary node continues those that enter it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edge {
    pub(super) from: u32,
    pub(super) to: u32,
    pub(super) key: u32,
    pub(super) kind: Kind,
}

/// Kinds of edges; a set of them is a sum of their bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    WriteWrite = 1,
    WriteRead = 2,
    ReadWrite = 4,
    RealTime = 8,
    Continues = 16,
}

/// Edges under construction. Nodes below `txns` are transactions.
#[derive(Debug)]
pub(super) struct Edges {
    pub(super) txns: u32,
    nodes: u32,
    edges: Vec<Edge>,
}

/// Edges by the node that they leave.
#[derive(Debug)]
pub(super) struct Graph {
    pub(super) txns: u32,
    offsets: Vec<usize>,
    edges: Vec<Edge>,
}

impl Kind {
    pub(super) fn is_in(self, kinds: u8) -> bool {
        self as u8 & kinds != 0
    }

    pub(super) fn dependency(self) -> Option<Dependency> {
        match self {
            Self::WriteWrite => Some(Dependency::WriteWrite),
            Self::WriteRead => Some(Dependency::WriteRead),
            Self::ReadWrite => Some(Dependency::ReadWrite),
            Self::RealTime => Some(Dependency::RealTime),
            Self::Continues => None,
        }
    }
}

impl Edges {
    pub(super) fn new(txns: u32) -> Self {
        Self {
            txns,
            nodes: txns,
            edges: Vec::new(),
        }
    }

    /// A transaction does not come before itself.
    pub(super) fn add(&mut self, from: u32, to: u32, kind: Kind, key: u32) {
        if from != to {
            self.edges.push(Edge {
                from,
                to,
                key,
                kind,
            });
        }
    }

    pub(super) fn len(&self) -> usize {
        self.edges.len()
    }

    /// A new auxiliary node.
    pub(super) fn node(&mut self) -> u32 {
        self.nodes += 1;
        self.nodes - 1
    }

    /// What real time orders: two edges a transaction at most, by nodes that follow one another,
    /// however many overlap. Each stands for a time at which something began after something had
    /// ended since the one before.
    pub(super) fn add_real_time(&mut self, compiled: &Compiled, counts: &[bool]) {
        let mut events = Vec::with_capacity(compiled.txns.len() * 2);
        for (number, txn) in (0..).zip(&compiled.txns) {
            if counts[number as usize] && !txn.is_past {
                events.push((txn.began, number, false));
                events.extend(txn.ended.map(|ended| (ended, number, true)));
            }
        }
        events.sort_unstable();
        let mut time = NONE;
        let mut ended = Vec::new();
        for (_, txn, ends) in events {
            if ends {
                ended.push(txn);
                continue;
            }
            if !ended.is_empty() {
                let next = self.node();
                if time != NONE {
                    self.add(time, next, Kind::Continues, NONE);
                }
                for txn in ended.drain(..) {
                    self.add(txn, next, Kind::RealTime, NONE);
                }
                time = next;
            }
            if time != NONE {
                self.add(time, txn, Kind::Continues, NONE);
            }
        }
    }

    pub(super) fn graph(&self) -> Graph {
        let mut offsets = vec![0; self.nodes as usize + 2];
        for edge in &self.edges {
            offsets[edge.from as usize + 2] += 1;
        }
        for node in 2..offsets.len() {
            offsets[node] += offsets[node - 1];
        }
        let mut edges = self.edges.clone();
        for edge in &self.edges {
            let place = &mut offsets[edge.from as usize + 1];
            edges[*place] = *edge;
            *place += 1;
        }
        offsets.pop();
        Graph {
            txns: self.txns,
            offsets,
            edges,
        }
    }
}

impl Graph {
    pub(super) fn nodes(&self) -> u32 {
        self.offsets.len() as u32 - 1
    }

    pub(super) fn is_txn(&self, node: u32) -> bool {
        node < self.txns
    }

    pub(super) fn edges(&self) -> &[Edge] {
        &self.edges
    }

    pub(super) fn from(&self, node: u32) -> &[Edge] {
        let node = node as usize;
        &self.edges[self.offsets[node]..self.offsets[node + 1]]
    }

    /// Strongly connected components by the edges of these kinds, by Tarjan's algorithm: for each
    /// node the number of its component. Numbers fall along edges: a component has a greater number
    /// than all that it leads to.
    pub(super) fn components(&self, kinds: u8) -> Components {
        let nodes = self.nodes() as usize;
        let mut tarjan = Tarjan {
            graph: self,
            kinds,
            index: vec![NONE; nodes],
            low: vec![NONE; nodes],
            next: 0,
            stack: Vec::new(),
            found: Components {
                of: vec![NONE; nodes],
                sizes: Vec::new(),
            },
        };
        for node in 0..self.nodes() {
            if tarjan.index[node as usize] == NONE {
                tarjan.visit(node);
            }
        }
        tarjan.found
    }
}

#[derive(Debug)]
pub(super) struct Components {
    pub(super) of: Vec<u32>,
    sizes: Vec<u32>,
}

impl Components {
    pub(super) fn are_single(&self) -> bool {
        self.sizes.iter().all(|size| *size == 1)
    }

    /// Whether the node is on a cycle.
    pub(super) fn has_cycle(&self, node: u32) -> bool {
        self.sizes[self.of[node as usize] as usize] > 1
    }

    pub(super) fn join(&self, one: u32, other: u32) -> bool {
        self.of[one as usize] == self.of[other as usize]
    }
}

struct Tarjan<'a> {
    graph: &'a Graph,
    kinds: u8,
    index: Vec<u32>,
    low: Vec<u32>,
    next: u32,
    stack: Vec<u32>,
    found: Components,
}

impl Tarjan<'_> {
    /// Without recursion: histories are longer than stacks are deep.
    fn visit(&mut self, root: u32) {
        let mut calls = vec![(root, 0)];
        self.open(root);
        while let Some((node, edge)) = calls.last_mut() {
            let node = *node;
            let Some(next) = self.graph.from(node).get(*edge) else {
                calls.pop();
                self.close(node);
                if let Some((caller, _)) = calls.last() {
                    let low = self.low[node as usize];
                    let caller = &mut self.low[*caller as usize];
                    *caller = low.min(*caller);
                }
                continue;
            };
            *edge += 1;
            if !next.kind.is_in(self.kinds | Kind::Continues as u8) {
                continue;
            }
            let to = next.to as usize;
            if self.index[to] == NONE {
                self.open(next.to);
                calls.push((next.to, 0));
            } else if self.found.of[to] == NONE {
                let low = &mut self.low[node as usize];
                *low = self.index[to].min(*low);
            }
        }
    }

    fn open(&mut self, node: u32) {
        self.index[node as usize] = self.next;
        self.low[node as usize] = self.next;
        self.next += 1;
        self.stack.push(node);
    }

    fn close(&mut self, node: u32) {
        if self.low[node as usize] != self.index[node as usize] {
            return;
        }
        let number = self.found.sizes.len() as u32;
        let mut size = 0;
        while let Some(member) = self.stack.pop() {
            self.found.of[member as usize] = number;
            size += 1;
            if member == node {
                break;
            }
        }
        self.found.sizes.push(size);
    }
}

/// Looks for ways in a graph without cycles.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    graph: &'a Graph,
    components: &'a Components,
    /// By node: the last search that came there.
    met: Vec<u32>,
    search: u32,
    /// How many edges may still be followed; what would take more is not found.
    edges_left: usize,
}

impl<'a> Walk<'a> {
    pub(super) fn new(graph: &'a Graph, components: &'a Components, edges_max: usize) -> Self {
        Self {
            graph,
            components,
            met: vec![0; graph.nodes() as usize],
            search: 0,
            edges_left: edges_max,
        }
    }

    pub(super) fn edges_left(&self) -> usize {
        self.edges_left
    }

    /// Whether a way leads from the node to one of the others.
    pub(super) fn leads(&mut self, from: u32, to: impl Iterator<Item = u32>) -> bool {
        let targets: Vec<u32> = to.collect();
        let place = |node: u32| self.components.of[node as usize];
        // Places fall along edges: behind the last target is none.
        let Some(last) = targets.iter().map(|node| place(*node)).min() else {
            return false;
        };
        self.search += 1;
        let mut stack = vec![from];
        while let Some(node) = stack.pop() {
            for edge in self.graph.from(node) {
                let Some(left) = self.edges_left.checked_sub(1) else {
                    return false;
                };
                self.edges_left = left;
                let met = &mut self.met[edge.to as usize];
                if *met == self.search || place(edge.to) < last {
                    continue;
                }
                *met = self.search;
                if targets.contains(&edge.to) {
                    return true;
                }
                stack.push(edge.to);
            }
        }
        false
    }
}
