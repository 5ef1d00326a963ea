//! What all nodes of a run report to: its book, and how often what happened.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use synod_replica::Applying;
use synod_sim::Coverage;
use synod_spanner::{Act, Applied, Command, Decision, Peer, Reply, ShardId, State, TxnId};
use synod_truetime::Timestamp;

use super::mail::Mail;
use crate::bank::SHARDS;
use crate::bank::book::Book;
use crate::bank::clock::Reading;

/// Where in a shard's log.
type Place = (ShardId, u64, u32);

/// Shared by all nodes, outside of what they may know.
#[derive(Clone)]
pub(super) struct Facts(Arc<Mutex<Sheet>>);

#[derive(Debug)]
pub(super) struct Sheet {
    pub(super) book: Book,
    /// The logs, as the first replica of each applied them.
    logs: BTreeMap<Place, (Bytes, Applied)>,
    /// The greatest timestamp at which a node has served a read of a shard, by the last index it had applied.
    served: BTreeMap<(u64, ShardId), BTreeMap<u64, Timestamp>>,
    /// All messages of applications: what travels is their number.
    mail: Vec<Mail>,
    /// Numbers of transactions and reads, never used twice.
    numbers: u64,
    /// Nothing goes wrong any more, and nobody begins anything.
    pub(super) is_calm: bool,
    pub(super) coverage: Coverage,
}

/// It belongs to no node, and is too much to be shown with each.
impl fmt::Debug for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Facts")
    }
}

impl Facts {
    pub(super) fn new() -> Self {
        let mut book = Book::default();
        for shard in SHARDS {
            book.watch.shards.insert(shard, Default::default());
        }
        Self(Arc::new(Mutex::new(Sheet {
            book,
            logs: BTreeMap::new(),
            served: BTreeMap::new(),
            mail: Vec::new(),
            numbers: 0,
            is_calm: false,
            coverage: Coverage::new(),
        })))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Sheet> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn count(&self, what: &'static str) {
        self.lock().coverage.add(what, 1);
    }

    /// What travels in place of a message. Its bytes are the matter of whoever serves.
    pub(super) fn post(&self, mail: Mail) -> Bytes {
        let mut state = self.lock();
        state.mail.push(mail);
        let number = state.mail.len() as u64 - 1;
        Bytes::copy_from_slice(&number.to_le_bytes())
    }

    pub(super) fn mail(&self, bytes: &Bytes) -> Mail {
        let number = u64::from_le_bytes(bytes[..].try_into().unwrap());
        self.lock().mail[number as usize].clone()
    }

    pub(super) fn number(&self) -> u64 {
        let mut state = self.lock();
        state.numbers += 1;
        state.numbers
    }
}

impl Sheet {
    /// A node in this state is about to apply a command of the log. Returns what every replica must reply.
    pub(super) fn applies(
        &mut self,
        (node, shard): (u64, ShardId),
        state: &State,
        place: Applying,
        bytes: &Bytes,
    ) -> Applied {
        let served = self.served.entry((node, shard)).or_default();
        let served = served.range(..place.index).map(|(_, at)| *at).max();
        let watch = &mut self.book.watch;
        watch.applies(state, served, bytes);
        let at = (shard, place.index, place.offset);
        if let Some((first, applied)) = self.logs.get(&at) {
            if first != bytes {
                watch.fail(format!(
                    "agreement: another command at {at:?} on node {node}"
                ));
            }
            return applied.clone();
        }
        let applied = watch.chosen(shard, place, bytes);
        self.logs.insert(at, (bytes.clone(), applied.clone()));
        self.cover(shard, bytes, &applied.reply);
        applied
    }

    pub(super) fn has_served(&mut self, node: u64, shard: ShardId, applied: u64, at: Timestamp) {
        let served = self.served.entry((node, shard)).or_default();
        let last = served.entry(applied).or_insert(at);
        *last = at.max(*last);
    }

    /// How far the log of a shard is known.
    pub(super) fn last(&self, shard: ShardId) -> u64 {
        self.book.watch.shards[&shard].machine.state().applied()
    }

    fn cover(&mut self, shard: ShardId, bytes: &Bytes, reply: &Reply) {
        let Ok(command) = Command::decode(bytes) else {
            return;
        };
        let coverage = &mut self.coverage;
        match (&command.act, reply) {
            (Act::TakeOver { .. }, Reply::TookOver(standing)) => {
                coverage.add("reigns", 1);
                coverage.add(
                    "prepared when a reign began",
                    standing.prepared.len() as u64,
                );
                coverage.add("untold when a reign began", standing.unsettled.len() as u64);
                let others = self.book.watch.shards.values();
                let waiting = others.flat_map(|other| other.machine.state().prepared().keys());
                let orphans = waiting.filter(|txn| txn.coordinator == shard).count();
                coverage.add(
                    "prepared when their coordinator was replaced",
                    orphans as u64,
                );
            }
            (Act::Release { .. }, Reply::Done) => coverage.add("leases released", 1),
            (Act::Lease { .. }, Reply::Done) => coverage.add("leases extended", 1),
            (Act::Collect { .. }, Reply::Done) => coverage.add("collections", 1),
            (Act::Abort { .. }, Reply::Decided(Decision::Aborted)) => coverage.add("aborts", 1),
            (_, Reply::Deposed(_)) => coverage.add("commands of a reign that was over", 1),
            (_, Reply::OutOfOrder) => coverage.add("commands behind a gap", 1),
            _ => {}
        }
    }

    /// A leader says this to another.
    pub(super) fn told_peer(&mut self, peer: &Peer, by: &Reading) {
        if let Peer::Outcome { txn, decision } = *peer {
            self.told(txn, decision, by);
        }
    }

    /// A decision leaves a leader.
    pub(super) fn told(&mut self, txn: TxnId, decision: Decision, by: &Reading) {
        let watch = &mut self.book.watch;
        watch.told_decision(txn, decision);
        if let Decision::Committed(at) = decision {
            watch.told(at, by, "an outcome");
        }
    }
}
