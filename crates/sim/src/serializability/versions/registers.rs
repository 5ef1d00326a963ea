//! Registers show the order of their versions as far as writers read what they replaced: these
//! make chains. In which order chains come is known of those that real time separates, and of one
//! chain behind that of the initial version.

use std::collections::BTreeSet;

use crate::history::Moment;
use crate::serializability::compiled::{Compiled, NONE, Op};
use crate::serializability::graph::{Edges, Kind, Walk};
use crate::serializability::reads::{Reads, Seen};

/// A register with chains whose order does not follow from real time.
#[derive(Debug)]
pub(in crate::serializability) struct Unordered {
    pub(in crate::serializability) key: u32,
    chains: Vec<Chain>,
    /// Pairs of chains with edges from the first to the second.
    known: BTreeSet<(usize, usize)>,
}

/// Versions each of which was replaced by the next.
#[derive(Debug)]
struct Chain {
    /// Writer of the first; `NONE` for the initial version.
    head: u32,
    /// Writer of the last.
    end: u32,
    /// Who read the last.
    readers: Vec<u32>,
    /// When the first of those who wrote or read any of them was acknowledged.
    ended: Option<Moment>,
    /// When the last of them began.
    began: Option<Moment>,
}

/// So many chains of a register are compared each with each; of more, each with so many that follow.
const CHAINS_MAX: usize = 16;
const NEIGHBOURS_MAX: usize = 8;

impl Unordered {
    /// Adds the edges that follow from those that there are: a chain comes before another one if
    /// its first writer comes before somebody who wrote or read in that. Whether there are any.
    pub(in crate::serializability) fn derive(
        &mut self,
        walk: &mut Walk<'_>,
        edges: &mut Edges,
    ) -> bool {
        let known = self.known.len();
        for (one, other) in self.pairs() {
            for pair in [(one, other), (other, one)] {
                let (first, second) = (&self.chains[pair.0], &self.chains[pair.1]);
                if !self.known.contains(&pair) && walk.leads(first.head, second.last()) {
                    first.precedes(second, self.key, edges);
                    self.known.insert(pair);
                }
            }
        }
        self.known.len() > known
    }

    /// Adds edges between two chains that may come in either order: by the places of their first
    /// writers. Whether there are two.
    pub(in crate::serializability) fn guess_one(
        &mut self,
        places: &[u32],
        edges: &mut Edges,
    ) -> bool {
        let mut pairs = self.pairs();
        let open = pairs.find(|(one, other)| {
            !self.known.contains(&(*one, *other)) && !self.known.contains(&(*other, *one))
        });
        let Some((one, other)) = open else {
            return false;
        };
        let place = |chain: usize| places[self.chains[chain].head as usize];
        let pair = match place(one) < place(other) {
            true => (one, other),
            false => (other, one),
        };
        self.chains[pair.0].precedes(&self.chains[pair.1], self.key, edges);
        self.known.insert(pair);
        true
    }

    /// The same for all that are left.
    pub(in crate::serializability) fn guess_all(&mut self, places: &[u32], edges: &mut Edges) {
        self.chains.sort_by_key(|chain| places[chain.head as usize]);
        for pair in self.chains.windows(2) {
            pair[0].precedes(&pair[1], self.key, edges);
        }
    }

    fn pairs(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let count = self.chains.len();
        let reach = if count <= CHAINS_MAX {
            count
        } else {
            NEIGHBOURS_MAX + 1
        };
        (0..count).flat_map(move |one| (one + 1..count.min(one + reach)).map(move |two| (one, two)))
    }
}

pub(super) fn add(compiled: &Compiled, reads: &Reads, edges: &mut Edges) -> Vec<Unordered> {
    let mut writers = Vec::new();
    for txn in 0..compiled.len() {
        if reads.counts[txn as usize] {
            let written = compiled.ops(txn).iter().filter_map(|op| match *op {
                Op::Write { key, .. } => Some((key, txn)),
                _ => None,
            });
            writers.extend(written);
        }
    }
    writers.sort_unstable();
    writers.dedup();
    let mut readers: Vec<(u32, u32, Seen)> = reads
        .external
        .iter()
        .filter(|read| !matches!(read.seen, Seen::Prefix(_)))
        .map(|read| (read.key, read.txn, read.seen))
        .collect();
    // Within a transaction the order is kept: the sort is stable.
    readers.sort_by_key(|(key, txn, _)| (*key, *txn));
    let mut unordered = Vec::new();
    let mut rest = &readers[..];
    for writers in writers.chunk_by(|a, b| a.0 == b.0) {
        let key = writers[0].0;
        let from = rest.partition_point(|reader| reader.0 < key);
        let to = rest.partition_point(|reader| reader.0 <= key);
        let register = Register::new(compiled, key, writers, &rest[from..to]);
        rest = &rest[to..];
        unordered.extend(register.add(edges));
    }
    unordered
}

/// The versions of a register: 0 is the initial one, the others are those of its writers.
struct Register<'a> {
    compiled: &'a Compiled,
    key: u32,
    writers: &'a [(u32, u32)],
    /// Version, and who read it.
    readers: Vec<(u32, u32)>,
    next: Vec<u32>,
    /// Those that did not read what they replaced.
    heads: Vec<u32>,
    /// Pairs that replaced the same version.
    rivals: Vec<(u32, u32)>,
}

impl<'a> Register<'a> {
    fn new(
        compiled: &'a Compiled,
        key: u32,
        writers: &'a [(u32, u32)],
        reads: &[(u32, u32, Seen)],
    ) -> Self {
        let version_of = |txn: u32| writers.binary_search(&(key, txn)).ok();
        let mut replaced = vec![NONE; writers.len() + 1];
        let mut readers = Vec::new();
        for (_, txn, seen) in reads {
            let version = match *seen {
                Seen::Absent | Seen::Prefix(_) => Some(0),
                // A value of two writers does not tell which of them.
                Seen::Value(value) if compiled.value(value).is_repeated => None,
                Seen::Value(value) => version_of(compiled.value(value).writer).map(|at| at + 1),
            };
            let version = version.map_or(NONE, |version| version as u32);
            if version == NONE {
                continue;
            }
            readers.push((version, *txn));
            if let Some(own) = version_of(*txn) {
                replaced[own + 1] = version;
            }
        }
        readers.sort_unstable();
        readers.dedup();
        let mut register = Self {
            compiled,
            key,
            writers,
            readers,
            next: vec![NONE; writers.len() + 1],
            heads: Vec::new(),
            rivals: Vec::new(),
        };
        for version in 1..=writers.len() as u32 {
            match replaced[version as usize] {
                NONE => register.heads.push(version),
                before => {
                    let next = &mut register.next[before as usize];
                    if *next != NONE {
                        register.rivals.push((*next, version));
                    }
                    *next = version;
                }
            }
        }
        register
    }

    fn add(&self, edges: &mut Edges) -> Option<Unordered> {
        for (version, reader) in &self.readers {
            if let Some(writer) = self.writer(*version) {
                edges.add(writer, *reader, Kind::WriteRead, self.key);
            }
            if let Some(next) = self.writer(self.next[*version as usize]) {
                edges.add(*reader, next, Kind::ReadWrite, self.key);
            }
        }
        for (version, next) in (0..).zip(&self.next) {
            if let (Some(first), Some(second)) = (self.writer(version), self.writer(*next)) {
                edges.add(first, second, Kind::WriteWrite, self.key);
            }
        }
        // Each has lost the other's update.
        for (one, other) in &self.rivals {
            if let (Some(one), Some(other)) = (self.writer(*one), self.writer(*other)) {
                edges.add(one, other, Kind::ReadWrite, self.key);
                edges.add(other, one, Kind::ReadWrite, self.key);
            }
        }
        let initial = self.chain(0);
        let mut chains: Vec<Chain> = self.heads.iter().map(|head| self.chain(*head)).collect();
        initial.precedes_all(&chains, self.key, edges);
        if chains.len() < 2 {
            return None;
        }
        chains.sort_by_key(|chain| (chain.ended.is_none(), chain.ended, chain.head));
        let mut is_ordered = true;
        for pair in chains.windows(2) {
            // If each must precede the other, one of the two is enough to close a cycle.
            match pair[0].must_precede(&pair[1]) {
                true => pair[0].precedes(&pair[1], self.key, edges),
                false => is_ordered = false,
            }
        }
        (!is_ordered).then_some(Unordered {
            key: self.key,
            chains,
            known: BTreeSet::new(),
        })
    }

    fn chain(&self, head: u32) -> Chain {
        let mut chain = Chain {
            head: self.writer(head).unwrap_or(NONE),
            end: NONE,
            readers: Vec::new(),
            ended: None,
            began: None,
        };
        let mut version = head;
        loop {
            if let Some(writer) = self.writer(version) {
                chain.touch(self.compiled, writer);
                chain.end = writer;
            }
            let from = self.readers.partition_point(|reader| reader.0 < version);
            let to = self.readers.partition_point(|reader| reader.0 <= version);
            let readers = &self.readers[from..to];
            for (_, reader) in readers {
                chain.touch(self.compiled, *reader);
            }
            match self.next[version as usize] {
                NONE => {
                    chain.readers = readers.iter().map(|(_, reader)| *reader).collect();
                    return chain;
                }
                next => version = next,
            }
        }
    }

    fn writer(&self, version: u32) -> Option<u32> {
        let writer = self.writers.get((version as usize).checked_sub(1)?)?;
        Some(writer.1)
    }
}

impl Chain {
    fn touch(&mut self, compiled: &Compiled, txn: u32) {
        let txn = compiled.txn(txn);
        if !txn.is_past {
            self.ended = [self.ended, txn.ended].into_iter().flatten().min();
            self.began = self.began.max(Some(txn.began));
        }
    }

    /// Whether somebody who touched this one was done before somebody who touched the other began.
    fn must_precede(&self, other: &Self) -> bool {
        matches!((self.ended, other.began), (Some(ended), Some(began)) if ended < began)
    }

    /// All who touch it come before one of these, or are it.
    fn last(&self) -> impl Iterator<Item = u32> + '_ {
        self.readers.iter().copied().chain([self.end])
    }

    fn precedes(&self, other: &Self, key: u32, edges: &mut Edges) {
        self.precedes_all(std::slice::from_ref(other), key, edges);
    }

    fn precedes_all(&self, others: &[Self], key: u32, edges: &mut Edges) {
        let after = match others {
            [] => return,
            [only] => only.head,
            _ => edges.node(),
        };
        if others.len() > 1 {
            for other in others {
                edges.add(after, other.head, Kind::Continues, key);
            }
        }
        if self.end != NONE {
            edges.add(self.end, after, Kind::WriteWrite, key);
        }
        for reader in &self.readers {
            edges.add(*reader, after, Kind::ReadWrite, key);
        }
    }
}
