//! A register on three nodes that survives the loss of one of them, and of the memory of all: the
//! algorithm of Attiya, Bar-Noy and Dolev (1995) with one writer. A value is kept once two nodes
//! have it on disk.

use std::collections::{BTreeSet, VecDeque};

use synod_durable::{Coalesce, Durable, Outbox, Receipt, Record, Refused, Write};

type Node = usize;

/// A value, and how many values were set before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Stamped(u64, &'static str);

impl Record for Stamped {
    type Own = u64;

    fn own(&self) -> u64 {
        self.0
    }
}

/// Asks to keep this value. It promises nothing and is sent at once.
struct Keep(Node, Stamped);

/// Reports that the sender has the value with this stamp, or a later one. Only a disk can make that
/// true.
#[derive(Debug, PartialEq)]
struct Kept(Node, u64);

impl Coalesce for Kept {
    fn coalesce(waiting: &mut [Self], later: Self) -> Option<Self> {
        match waiting.iter_mut().find(|kept| kept.0 == later.0) {
            Some(kept) => kept.1 = later.1,
            None => return Some(later),
        }
        None
    }
}

#[derive(Default)]
struct Register {
    id: Node,
    value: Stamped,
    written: Stamped,
    kept_by: BTreeSet<Node>,
    outbox: Outbox<Stamped, Keep, Kept>,
}

impl Register {
    fn set(&mut self, value: &'static str) {
        self.value = Stamped(self.value.0 + 1, value);
        self.kept_by.clear();
        for peer in (0..NODES).filter(|peer| *peer != self.id) {
            self.outbox.send_now(Keep(peer, self.value));
        }
    }

    fn handle_keep(&mut self, from: Node, value: Stamped) {
        self.value = self.value.max(value);
        self.outbox.send_after_write(Kept(from, self.value.0));
    }

    fn handle_kept(&mut self, from: Node, stamp: u64) {
        if stamp == self.value.0 {
            self.kept_by.insert(from);
        }
    }

    /// Its own copy counts as one of the two once it is on disk.
    fn count_own_copy(&mut self, stamp: Durable<u64>) {
        self.handle_kept(self.id, *stamp);
    }

    fn handle_persisted(&mut self, receipt: Receipt<Stamped>) -> Result<(), Refused> {
        let stamp = self.outbox.settle(receipt)?;
        self.count_own_copy(stamp);
        Ok(())
    }

    fn poll_write(&mut self) -> Option<Write<Stamped, Kept>> {
        if self.value == self.written && !self.outbox.has_waiting() {
            return None;
        }
        let write = self.outbox.write(|| self.value)?;
        self.written = self.value;
        Some(write)
    }
}

const NODES: usize = 3;

/// The driver: nodes, their disks, and a network that loses messages to nodes that are down.
struct Cluster {
    nodes: [Option<Register>; NODES],
    disks: [Stamped; NODES],
}

impl Cluster {
    fn new() -> Self {
        let disks = [Stamped::default(); NODES];
        let nodes = disks.map(|_| None);
        let mut cluster = Self { nodes, disks };
        (0..NODES).for_each(|id| cluster.start(id));
        cluster
    }

    /// Restarts the node from its disk, whatever was in memory.
    fn start(&mut self, id: Node) {
        let value = self.disks[id];
        self.nodes[id] = Some(Register {
            id,
            value,
            written: value,
            ..Register::default()
        });
    }

    fn crash(&mut self, id: Node) {
        self.nodes[id] = None;
    }

    fn set(&mut self, id: Node, value: &'static str) {
        if let Some(node) = &mut self.nodes[id] {
            node.set(value);
        }
        self.run();
    }

    /// Runs until no node has anything to do.
    fn run(&mut self) {
        let mut order: VecDeque<Node> = (0..NODES).collect();
        while let Some(id) = order.pop_front() {
            while let Some(Keep(to, value)) = self.up(id).and_then(|node| node.outbox.poll_now()) {
                if let Some(peer) = self.up(to) {
                    peer.handle_keep(id, value);
                    order.push_back(to);
                }
            }
            let Some(write) = self.up(id).and_then(Register::poll_write) else {
                continue;
            };
            let disk = &mut self.disks[id];
            let stored = write.persist(|record| {
                *disk = record;
                Ok::<(), std::convert::Infallible>(())
            });
            let Ok((messages, receipt)) = stored;
            if let Some(node) = self.up(id) {
                node.handle_persisted(receipt).expect("its own receipt");
            }
            for Kept(to, stamp) in messages {
                if let Some(peer) = self.up(to) {
                    peer.handle_kept(id, stamp);
                }
            }
            order.push_back(id);
        }
    }

    fn up(&mut self, id: Node) -> Option<&mut Register> {
        self.nodes[id].as_mut()
    }

    fn is_kept(&self, id: Node) -> bool {
        let node = self.nodes[id].as_ref();
        node.is_some_and(|node| 2 * node.kept_by.len() > NODES)
    }
}

fn main() {
    let mut cluster = Cluster::new();
    cluster.crash(2);
    cluster.set(0, "ready");
    println!("kept with one node down: {}", cluster.is_kept(0));

    // A power failure also destroys the disk of the writer. Any two of three nodes still know the
    // value.
    cluster.disks[0] = Stamped::default();
    (0..NODES).for_each(|id| cluster.start(id));
    println!("on disk after the fire: {:?}", cluster.disks);
    assert_eq!(cluster.disks.iter().max(), Some(&Stamped(1, "ready")));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn persist(register: &mut Register, write: Write<Stamped, Kept>) -> Vec<Kept> {
        let Ok((messages, receipt)) = write.persist(|_| Ok::<(), std::convert::Infallible>(()));
        register.handle_persisted(receipt).unwrap();
        messages.into_iter().collect()
    }

    #[test]
    fn a_kept_value_outlives_a_node() {
        main();
    }

    #[test]
    fn two_disks_are_needed() {
        let mut cluster = Cluster::new();
        cluster.crash(1);
        cluster.crash(2);
        cluster.set(0, "ready");
        assert!(!cluster.is_kept(0));
        cluster.start(1);
        cluster.set(0, "steady");
        assert!(cluster.is_kept(0));
        assert_eq!(cluster.disks[1], Stamped(2, "steady"));
    }

    #[test]
    fn the_receipt_of_an_older_value_does_not_count_for_a_later_one() {
        let mut register = Register::default();
        register.set("first");
        let first = register.poll_write().unwrap();
        register.set("second");
        assert!(register.poll_write().is_none(), "one write is in flight");
        persist(&mut register, first);
        assert!(register.kept_by.is_empty());
        let second = register.poll_write().unwrap();
        persist(&mut register, second);
        assert_eq!(register.kept_by, BTreeSet::from([0]));
    }

    #[test]
    fn what_is_asked_during_a_write_is_answered_once_by_the_next() {
        let mut register = Register::default();
        register.handle_keep(1, Stamped(1, "first"));
        let first = register.poll_write().unwrap();
        for stamp in [2, 3] {
            register.handle_keep(1, Stamped(stamp, "later"));
        }
        assert_eq!(persist(&mut register, first), [Kept(1, 1)]);
        let second = register.poll_write().unwrap();
        assert_eq!(persist(&mut register, second), [Kept(1, 3)]);
        assert!(register.poll_write().is_none());
    }

    #[test]
    fn a_disk_that_fails_says_nothing() {
        let mut register = Register::default();
        register.handle_keep(1, Stamped(1, "ready"));
        let write = register.poll_write().unwrap();
        assert!(write.persist(|_| Err("broken")).is_err());
        register.handle_keep(1, Stamped(2, "steady"));
        assert!(register.poll_write().is_none(), "and nothing ever again");
    }
}
