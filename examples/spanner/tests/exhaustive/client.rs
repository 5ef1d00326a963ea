//! A client with one transaction, which it tries once.

use bytes::Bytes;
use synod_spanner::{Answer, Attempt, Decision, Request, ShardId, Span, TxnId};
use synod_truetime::Timestamp;

use crate::clock;
use crate::message::Message;
use crate::server::Told;

/// What a transaction does. It reads all at once and then writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Script {
    /// The older ones have the smaller numbers.
    pub(crate) number: u64,
    pub(crate) coordinator: ShardId,
    pub(crate) reads: &'static [Place],
    pub(crate) writes: &'static [Place],
}

/// A key of a shard.
pub(crate) type Place = (ShardId, &'static str);

/// A key that was read, and the timestamp of the version that was there; `None` if there was none.
pub(crate) type Seen = (Place, Option<Timestamp>);

impl Script {
    pub(crate) fn id(&self) -> TxnId {
        TxnId::first(clock::at(0), self.number, 1, self.coordinator)
    }

    pub(crate) fn writes_at(&self, shard: ShardId) -> impl Iterator<Item = &'static str> {
        let writes = self.writes.iter().copied();
        writes.filter_map(move |(at, key)| (at == shard).then_some(key))
    }
}

#[derive(Clone, Debug, Hash)]
pub(crate) struct Client {
    pub(crate) script: Script,
    attempt: Attempt,
    pub(crate) phase: Phase,
    /// What it has read, in the order of places.
    pub(crate) seen: Vec<Seen>,
    pub(crate) has_inquired: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Phase {
    Idle,
    Reads,
    /// It has asked to commit.
    Asked,
    /// It has never asked, and never will.
    GaveUp,
    Heard(Decision),
}

impl Client {
    pub(crate) fn new(script: Script) -> Self {
        let mut attempt = Attempt::new(script.id());
        for (shard, key) in script.writes {
            let value = Some(Bytes::from(script.number.to_string()));
            let written = attempt.write(*shard, (*key).into(), value);
            written.expect("it is short");
        }
        Self {
            script,
            attempt,
            phase: Phase::Idle,
            seen: Vec::new(),
            has_inquired: false,
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        matches!(self.phase, Phase::GaveUp | Phase::Heard(_))
    }

    pub(crate) fn begin(&mut self, told: &mut Vec<Told>) -> Vec<Message> {
        told.push(Told::Began);
        self.phase = Phase::Reads;
        let txn = self.attempt.id();
        let reads = self.script.reads.iter().map(|(shard, key)| {
            let span = Span::key(key);
            Message::Request(*shard, Request::Read { txn, span })
        });
        let reads: Vec<Message> = reads.collect();
        if reads.is_empty() {
            self.ask(told)
        } else {
            reads
        }
    }

    /// What became of it?
    pub(crate) fn inquire(&mut self) -> Vec<Message> {
        self.has_inquired = true;
        let txn = self.attempt.id();
        vec![Message::Request(txn.coordinator, Request::Ask { txn })]
    }

    pub(crate) fn receive(
        &mut self,
        from: ShardId,
        answer: &Answer,
        told: &mut Vec<Told>,
    ) -> Vec<Message> {
        match (self.phase, answer) {
            (Phase::Reads, Answer::Read { span, scan, hold }) => {
                if self.attempt.read(from, span, scan, *hold).is_err() {
                    return self.give_up();
                }
                let asked = self.script.reads.iter();
                let asked =
                    asked.filter(|(shard, key)| *shard == from && span.contains(key.as_bytes()));
                for place in asked {
                    let version = scan.versions.iter().find(|version| version.key == place.1);
                    let seen = (*place, version.map(|version| version.written));
                    let before = self.seen.iter().find(|(before, _)| before == place);
                    assert!(
                        before.is_none_or(|before| *before == seen),
                        "I9: read again, and not the same"
                    );
                    if before.is_none() {
                        self.seen.push(seen);
                        self.seen.sort_unstable();
                    }
                }
                if self.seen.len() == self.script.reads.len() {
                    return self.ask(told);
                }
            }
            (Phase::Reads, Answer::Refused(_)) => return self.give_up(),
            (Phase::Asked, Answer::Decided(decision, _)) => {
                self.phase = Phase::Heard(*decision);
                told.push(Told::Ended(*decision));
            }
            _ => {}
        }
        Vec::new()
    }

    fn ask(&mut self, told: &mut Vec<Told>) -> Vec<Message> {
        self.phase = Phase::Asked;
        told.push(Told::Asked(self.seen.clone()));
        let requests = self.attempt.commit().into_iter();
        requests
            .map(|(to, request)| Message::Request(to, request))
            .collect()
    }

    fn give_up(&mut self) -> Vec<Message> {
        self.phase = Phase::GaveUp;
        let txn = self.attempt.id();
        let shards = self.attempt.holds_locks_at();
        shards
            .map(|shard| Message::Request(shard, Request::Rollback { txn }))
            .collect()
    }
}
