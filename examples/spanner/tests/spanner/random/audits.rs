//! Reads without locks, at whatever replica can serve them.

use std::time::Duration;

use synod_spanner::{Collected, Plan, ScanLimit, ShardId, Span, bounded_staleness, look, plan};
use synod_truetime::{CommitWait, Wait};

use super::run::Run;
use crate::bank::SHARDS;
use crate::bank::book::{Look, Seen};

/// A read-only transaction: one timestamp, all keys of some shards, perhaps in parts at different replicas.
#[derive(Debug)]
pub(super) struct Audit {
    look: Look,
    pub(super) shards: Vec<ShardId>,
    rest: Option<Span>,
    /// The node that has read, and what it waits for before it answers.
    gate: Option<(usize, CommitWait)>,
}

impl Run {
    pub(super) fn audit(&mut self) {
        let here = self.rng.index(self.nodes.len());
        let reading = self.read_clock(here);
        // What it begins by must not contradict what the client has heard.
        if !self.lets_in(here, self.heard.floor(), &reading) {
            return;
        }
        let mut shards = SHARDS.to_vec();
        for _ in 0..self.rng.below(3) {
            shards.remove(self.rng.index(shards.len()));
        }
        let (at, is_strong) = match self.rng.below(4) {
            0 => {
                let offers = shards.iter().map(|shard| {
                    let of = self.nodes.iter().filter(|node| node.shard == *shard);
                    let node = of.last().unwrap();
                    node.safe.at(node.machine.state())
                });
                let bound = Duration::from_millis(30);
                match bounded_staleness(offers, bound, &reading.time) {
                    Ok(at) => (at, false),
                    Err(_) => return,
                }
            }
            1 => (
                reading.time.earliest() - Duration::from_millis(self.rng.below(100)),
                false,
            ),
            _ => (reading.time.latest(), true),
        };
        self.audits.push(Audit {
            look: Look {
                at,
                is_strong,
                started: self.us,
                ended: 0,
                seen: vec![],
            },
            shards,
            rest: None,
            gate: None,
        });
    }

    /// The node serves what it can.
    pub(super) fn look(&mut self, i: usize) {
        for audit in std::mem::take(&mut self.audits) {
            let audit = self.serve(i, audit);
            match audit {
                Some(audit) if audit.shards.is_empty() && audit.gate.is_none() => {
                    self.book.looks.push(audit.look);
                }
                other => self.audits.extend(other),
            }
        }
    }

    /// `None` if it can never be served.
    fn serve(&mut self, i: usize, mut audit: Audit) -> Option<Audit> {
        let reading = self.read_clock(i);
        if let Some((node, wait)) = &mut audit.gate {
            if *node == i && wait.poll_at(&reading.time) == Wait::Done {
                if self.options.lie.is_none() {
                    // By what it shows, and not by what it has waited for.
                    for version in audit.look.seen.iter().flat_map(|seen| &seen.versions) {
                        self.book
                            .watch
                            .told(version.written, &reading, "a read without locks");
                    }
                }
                let _ = self
                    .heard
                    .incoming(reading.floor, &synod_truetime::Interval::ALL);
                audit.gate = None;
                audit.look.ended = self.us;
            }
            return Some(audit);
        }
        let shard = self.nodes[i].shard;
        if audit.shards.first() != Some(&shard) || !self.lets_in(i, self.heard.floor(), &reading) {
            return Some(audit);
        }
        let node = &mut self.nodes[i];
        match plan(audit.look.at, node.machine.state(), &node.safe) {
            Plan::Serve => {}
            Plan::Close => return Some(audit),
            Plan::Collected(_) => return None,
        }
        let span = audit.rest.take().unwrap_or(Span::ALL);
        let part = ScanLimit {
            versions_max: 4,
            bytes_max: 1000,
        };
        let looked = look(
            node.machine.state(),
            &span,
            audit.look.at,
            part,
            &reading.time,
        );
        let (scan, wait) = match looked {
            Ok(looked) => looked,
            Err(Collected { .. }) => return None,
        };
        node.has_served(audit.look.at);
        match audit
            .look
            .seen
            .last_mut()
            .filter(|seen| seen.shard == shard)
        {
            Some(seen) => seen.versions.extend(scan.versions),
            None => audit.look.seen.push(Seen {
                shard,
                span: Span::ALL,
                versions: scan.versions,
            }),
        }
        audit.rest = scan.rest;
        if audit.rest.is_none() {
            audit.shards.remove(0);
        }
        audit.gate = Some((i, wait));
        Some(audit)
    }
}
