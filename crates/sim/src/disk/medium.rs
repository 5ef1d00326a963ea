//! The state of a simulated disk: files by number, two maps of names, and the unsynced changes.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};

use super::{DiskOptions, DiskStats, SECTOR_BYTES};
use crate::rng::split_mix;

/// A file lives under a number, so that a name can move from one file to another and back.
#[derive(Clone, Default)]
pub(super) struct Medium {
    pub(super) nodes: BTreeMap<u64, Node>,
    pub(super) names: BTreeMap<String, u64>,
    pub(super) durable_names: BTreeMap<String, u64>,
    pub(super) changes: Vec<Change>,
    pub(super) next_node: u64,
    pub(super) random: Random,
    pub(super) options: DiskOptions,
    pub(super) stats: DiskStats,
    pub(super) used_bytes_max: Option<u64>,
    /// No file can grow.
    pub(super) full: bool,
    pub(super) crash_in: Option<u64>,
    pub(super) dead: bool,
    pub(super) fail_next_sync: bool,
    pub(super) fail_syncs: bool,
}

#[derive(Clone, Default)]
pub(super) struct Node {
    pub(super) live: Vec<u8>,
    pub(super) durable: Vec<u8>,
    pub(super) unsynced: Vec<Write>,
}

/// What the page cache held, in whole sectors, when a write was done.
#[derive(Clone)]
pub(super) struct Write {
    at: usize,
    bytes: Vec<u8>,
}

#[derive(Clone)]
pub(super) enum Change {
    Create(String, u64),
    Rename(String, String),
    Remove(String),
}

/// A stream of SplitMix64 from this state.
#[derive(Clone, Default)]
pub(super) struct Random(pub(super) u64);

impl Medium {
    pub(super) fn operation(&mut self) -> io::Result<()> {
        self.stats.operations += 1;
        match &mut self.crash_in {
            Some(0) => {
                self.dead = true;
                return Err(died());
            }
            Some(left) => *left -= 1,
            None => {}
        }
        Ok(())
    }

    pub(super) fn restart(&mut self) {
        self.dead = false;
        self.crash_in = None;
    }

    pub(super) fn sync_fails(&mut self) -> bool {
        std::mem::take(&mut self.fail_next_sync) || self.fail_syncs
    }

    pub(super) fn node(&mut self, name: &str) -> io::Result<&mut Node> {
        let node = self
            .names
            .get(name)
            .and_then(|node| self.nodes.get_mut(node));
        node.ok_or_else(|| ErrorKind::NotFound.into())
    }

    pub(super) fn change(&mut self, change: Change) {
        change.apply(&mut self.names);
        self.changes.push(change);
    }

    pub(super) fn used(&self) -> u64 {
        self.names
            .values()
            .filter_map(|node| self.nodes.get(node))
            .map(|node| node.live.len() as u64)
            .sum()
    }

    /// How many bytes written at `at` fit.
    pub(super) fn space(&mut self, name: &str, at: u64) -> usize {
        let max = match self.used_bytes_max {
            _ if self.full => 0,
            Some(max) => max,
            None => return usize::MAX,
        };
        let others = self.used();
        let len = self.node(name).map_or(0, |node| node.live.len() as u64);
        // Blocks that the file has already cost nothing; only growth does.
        let end_max = len.saturating_add(max.saturating_sub(others));
        usize::try_from(end_max.saturating_sub(at)).unwrap_or(usize::MAX)
    }

    pub(super) fn power_loss(&mut self) {
        self.stats.power_losses += 1;
        let total = self.changes.len() as u64;
        let lost = self.random.percent(self.options.names_lost_percent);
        let kept = if lost {
            0
        } else {
            self.random.below(total + 1)
        };
        self.stats.lost_names += total - kept;
        self.changes
            .drain(..)
            .take(kept as usize)
            .for_each(|change| change.apply(&mut self.durable_names));
        self.names = self.durable_names.clone();
        self.collect();
        for node in self.nodes.values_mut() {
            for write in std::mem::take(&mut node.unsynced) {
                let (random, draw) = (&mut self.random, self.options);
                if random.percent(draw.lost_percent) {
                    self.stats.lost_writes += 1;
                } else if random.percent(draw.torn_percent) {
                    self.stats.torn_writes += 1;
                    node.settle(&write, |_| random.percent(50));
                } else {
                    node.settle(&write, |_| true);
                }
            }
            node.live.clone_from(&node.durable);
        }
        self.restart();
    }

    /// Removes files that no name refers to any more, not even after a power loss.
    pub(super) fn collect(&mut self) {
        let created = |node: &u64| {
            self.changes
                .iter()
                .any(|c| matches!(c, Change::Create(_, new) if new == node))
        };
        let named = |node: &u64| {
            self.names
                .values()
                .chain(self.durable_names.values())
                .any(|other| other == node)
        };
        self.nodes.retain(|node, _| named(node) || created(node));
    }
}

impl Node {
    pub(super) fn write(&mut self, at: usize, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let end = at + bytes.len();
        if self.live.len() < end {
            self.live.resize(end, 0);
        }
        self.live[at..end].copy_from_slice(bytes);
        let from = at / SECTOR_BYTES * SECTOR_BYTES;
        let to = end.next_multiple_of(SECTOR_BYTES).min(self.live.len());
        self.unsynced.push(Write {
            at: from,
            bytes: self.live[from..to].to_vec(),
        });
    }

    pub(super) fn settle(&mut self, write: &Write, mut survives: impl FnMut(usize) -> bool) {
        for (sector, bytes) in write.bytes.chunks(SECTOR_BYTES).enumerate() {
            if survives(sector) {
                let at = write.at + sector * SECTOR_BYTES;
                let end = at + bytes.len();
                if self.durable.len() < end {
                    self.durable.resize(end, 0);
                }
                self.durable[at..end].copy_from_slice(bytes);
            }
        }
    }

    pub(super) fn flip(&mut self, at: usize, mask: u8) -> io::Result<()> {
        *self.live.get_mut(at).ok_or(ErrorKind::UnexpectedEof)? ^= mask;
        if let Some(byte) = self.durable.get_mut(at) {
            *byte ^= mask;
        }
        for write in &mut self.unsynced {
            if let Some(byte) = at
                .checked_sub(write.at)
                .and_then(|at| write.bytes.get_mut(at))
            {
                *byte ^= mask;
            }
        }
        Ok(())
    }
}

impl Change {
    fn apply(&self, names: &mut BTreeMap<String, u64>) {
        match self {
            Self::Create(name, node) => {
                names.insert(name.clone(), *node);
            }
            Self::Rename(from, to) => {
                if let Some(node) = names.remove(from) {
                    names.insert(to.clone(), node);
                }
            }
            Self::Remove(name) => {
                names.remove(name);
            }
        }
    }
}

impl Random {
    /// The modulo bias does not matter for faults.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        split_mix(&mut self.0) % bound.max(1)
    }

    fn percent(&mut self, percent: u8) -> bool {
        self.below(100) < u64::from(percent)
    }
}

pub(super) fn died() -> io::Error {
    io::Error::other("the simulated process is dead")
}
