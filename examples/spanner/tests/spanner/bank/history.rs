//! The same history, as the checks of `synod-sim` take it: they know nothing of shards, locks and clocks.
//!
//! A value is the timestamp at which its version was written, so that no two are alike. A key that a read does not show
//! was absent, unless somebody deleted it: then it may be a tombstone that is collected, and the read is left out.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use synod_sim::serializability::{Position, TxnHistory, TxnId, Verdict, check, check_positions};
use synod_spanner::ShardId;
use synod_truetime::Timestamp;

use super::book::{Book, Record, Seen};
use super::witness::Event;
use super::{ACCOUNTS, SHARDS};

type Key = (ShardId, Bytes);
type History = TxnHistory<Key, Timestamp>;

/// A transaction, what it read, and what else is to be recorded of it.
struct Entry<'a> {
    event: Event,
    seen: &'a [Seen],
    is_past: bool,
}

impl Book {
    /// By what was read, and by the timestamps.
    pub(crate) fn verdicts(&self, committed: &[(Event, &Record)]) -> (Verdict, Verdict) {
        let history = self.history(committed);
        (check(&history), check_positions(&history))
    }

    fn history(&self, committed: &[(Event, &Record)]) -> History {
        let mut entries: Vec<Entry<'_>> = committed
            .iter()
            .map(|(event, record)| Entry {
                event: *event,
                seen: &record.seen,
                is_past: false,
            })
            .collect();
        entries.extend(self.looks.iter().map(|look| Entry {
            event: look.event(),
            seen: &look.seen,
            is_past: !look.is_strong,
        }));
        // What begins when something ends does not come after it.
        let mut times: Vec<(i64, bool, usize)> = Vec::new();
        for (number, entry) in entries.iter().enumerate() {
            times.push((entry.event.started, false, number));
            times.push((entry.event.ended, true, number));
        }
        times.sort_unstable();
        let (all, deleted) = self.keys();
        let mut history = History::new();
        let mut ids = vec![TxnId(0); entries.len()];
        for (us, ends, number) in times {
            let (entry, at) = (&entries[number], Duration::from_micros(us.cast_unsigned()));
            if !ends {
                let id = history.begin(at).unwrap();
                ids[number] = id;
                self.record(&mut history, id, entry, &all, &deleted);
            } else if us == i64::MAX {
                history.commit_unanswered(ids[number]).unwrap();
            } else {
                history.commit(ids[number], at).unwrap();
            }
        }
        history
    }

    fn record(
        &self,
        history: &mut History,
        id: TxnId,
        entry: &Entry<'_>,
        all: &BTreeSet<Key>,
        deleted: &BTreeSet<Key>,
    ) {
        let at = entry.event.at;
        if entry.is_past {
            history.in_the_past(id).unwrap();
        }
        history.place(id, Position(at.as_nanos().into())).unwrap();
        for seen in entry.seen {
            let covered = all
                .iter()
                .filter(|(shard, key)| *shard == seen.shard && seen.span.contains(key));
            for key in covered {
                let mut versions = seen.versions.iter();
                match versions.find(|version| version.key == key.1) {
                    Some(version) => {
                        let written = Some(version.written);
                        history.read(id, key.clone(), written).unwrap();
                    }
                    None if deleted.contains(key) => {}
                    None => history.read(id, key.clone(), None).unwrap(),
                }
            }
        }
        let Some(txn) = entry.event.txn else {
            history.name(id, "a read without locks").unwrap();
            return;
        };
        history
            .name(id, format!("transaction {}", txn.number))
            .unwrap();
        for shard in SHARDS {
            for (key, _) in self.watch.written.get(&(txn, shard)).into_iter().flatten() {
                history.write(id, (shard, key.clone()), at).unwrap();
            }
        }
    }

    /// All keys that there ever were, and those that were deleted.
    fn keys(&self) -> (BTreeSet<Key>, BTreeSet<Key>) {
        let accounts = |shard: ShardId| ACCOUNTS.map(|key| (shard, Bytes::from(key)));
        let mut all: BTreeSet<Key> = SHARDS.into_iter().flat_map(accounts).collect();
        let mut deleted = BTreeSet::new();
        for ((_, shard), writes) in &self.watch.written {
            for (key, value) in writes {
                let key = (*shard, key.clone());
                if value.is_none() {
                    deleted.insert(key.clone());
                }
                all.insert(key);
            }
        }
        (all, deleted)
    }
}
