//! Lists show the order of their versions themselves: it is the longest that was read, and behind
//! it, in any order, what nobody has read.

use crate::serializability::compiled::{Compiled, NONE, Op};
use crate::serializability::graph::{Edges, Kind};
use crate::serializability::reads::{Reads, Seen};

pub(super) fn add(compiled: &Compiled, reads: &Reads, edges: &mut Edges) {
    for (key, order) in (0..).zip(&reads.orders) {
        if reads.repeats[key as usize] {
            continue;
        }
        for pair in order.windows(2) {
            let [first, second] = [pair[0], pair[1]].map(|value| compiled.value(value).writer);
            edges.add(first, second, Kind::WriteWrite, key);
        }
    }
    // Who read all that is known of a list, and who appended what is not.
    let (mut readers, mut unseen) = (Vec::new(), unseen(compiled, reads));
    for external in &reads.external {
        let (txn, key) = (external.txn, external.key);
        let Seen::Prefix(length) = external.seen else {
            continue;
        };
        if reads.repeats[key as usize] {
            continue;
        }
        let order = &reads.orders[key as usize];
        let writer = |place: usize| order.get(place).map(|value| compiled.value(*value).writer);
        if let Some(last) = (length as usize).checked_sub(1).and_then(writer) {
            edges.add(last, txn, Kind::WriteRead, key);
        }
        match writer(length as usize) {
            Some(next) => edges.add(txn, next, Kind::ReadWrite, key),
            None => readers.push((key, txn)),
        }
    }
    readers.sort_unstable();
    readers.dedup();
    unseen.sort_unstable();
    unseen.dedup();
    for members in unseen.chunk_by(|a, b| a.0 == b.0) {
        let key = members[0].0;
        let from = readers.partition_point(|reader| reader.0 < key);
        let to = readers.partition_point(|reader| reader.0 <= key);
        let last = reads.orders[key as usize].last();
        let tail = Tail {
            key,
            members,
            readers: &readers[from..to],
            writer: last.map_or(NONE, |value| compiled.value(*value).writer),
        };
        tail.add(edges);
    }
}

/// Appends that no read shows, by key.
fn unseen(compiled: &Compiled, reads: &Reads) -> Vec<(u32, u32)> {
    let mut unseen = Vec::new();
    for txn in 0..compiled.len() {
        if !reads.counts[txn as usize] {
            continue;
        }
        for op in compiled.ops(txn) {
            if let Op::Append { key, value } = *op
                && reads.places[value as usize] == NONE
                && !reads.repeats[key as usize]
            {
                unseen.push((key, txn));
            }
        }
    }
    unseen
}

/// What comes behind the last element that was read.
struct Tail<'a> {
    key: u32,
    /// They appended what nobody read. Pairs with the key, like the readers.
    members: &'a [(u32, u32)],
    /// They read all that was.
    readers: &'a [(u32, u32)],
    /// Of the last element.
    writer: u32,
}

impl Tail<'_> {
    fn add(&self, edges: &mut Edges) {
        let mut sources: Vec<(u32, Kind)> = self
            .readers
            .iter()
            .map(|(_, reader)| (*reader, Kind::ReadWrite))
            .collect();
        if self.writer != NONE {
            sources.push((self.writer, Kind::WriteWrite));
        }
        if let [(_, only)] = *self.members {
            for (source, kind) in sources {
                edges.add(source, only, kind, self.key);
            }
            return;
        }
        // Each comes before all members, by one node between them. A source that is a member itself
        // would come before itself, so it has edges of its own.
        let after = edges.node();
        for (_, member) in self.members {
            edges.add(after, *member, Kind::Continues, self.key);
        }
        let (inside, outside): (Vec<_>, Vec<_>) = sources
            .into_iter()
            .partition(|(source, _)| self.has(*source));
        for (source, kind) in outside {
            edges.add(source, after, kind, self.key);
        }
        // Two readers that appended have each lost the other's update. That is enough to find it.
        for pair in inside.windows(2) {
            edges.add(pair[0].0, pair[1].0, pair[0].1, self.key);
            edges.add(pair[1].0, pair[0].0, pair[1].1, self.key);
        }
        if let Some((source, kind)) = inside.first() {
            for (_, member) in self.members {
                edges.add(*source, *member, *kind, self.key);
            }
        }
    }

    fn has(&self, txn: u32) -> bool {
        self.members.binary_search(&(self.key, txn)).is_ok()
    }
}
