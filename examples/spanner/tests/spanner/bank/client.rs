//! Clients that move money, keep a range to themselves, write blindly, or only look, all of it in transactions.

use bytes::Bytes;
use synod_sim::Rng;
use synod_spanner::{Answer, Attempt, Decision, Refused, Request, ShardId, Span, TxnId};
use synod_truetime::Timestamp;

use super::book::{Record, Seen};
use super::{ACCOUNTS, SHARDS, balance};

/// What it does with what it has read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plan {
    /// From the first account to the second; a third one is only read.
    Transfer,
    /// Puts a key where a range is empty, or empties the range.
    Alone,
    /// Writes on two shards what nobody has asked for.
    Blind,
    Look,
}

/// One attempt of a transaction, sans-IO: what it says next, and what it makes of an answer.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) txn: TxnId,
    plan: Plan,
    wants: Vec<(ShardId, Span)>,
    /// What is left of the read that is under way.
    rest: Option<Span>,
    partial: Vec<Seen>,
    seen: Vec<Seen>,
    attempt: Attempt,
    has_asked: bool,
    started: i64,
    pub(crate) heard: i64,
}

/// What follows from an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// It still waits.
    Wait,
    /// It goes on: [`Client::ask`].
    Ask,
    /// It is over, so far as it knows.
    End(Option<Decision>),
}

type Requests = Vec<(ShardId, Request)>;

impl Client {
    /// A new transaction of this node and number, at this true time.
    pub(crate) fn begin(rng: &mut Rng, us: i64, node: u64, number: u64) -> Self {
        let begin = Timestamp::from_nanos(us * 1000 + rng.below(4_000_000) as i64);
        let mut all: Vec<(ShardId, Span)> = SHARDS
            .iter()
            .flat_map(|shard| ACCOUNTS.map(|key| (*shard, Span::key(key))))
            .collect();
        let plan = [
            Plan::Transfer,
            Plan::Transfer,
            Plan::Alone,
            Plan::Blind,
            Plan::Look,
        ];
        let plan = plan[rng.index(plan.len())];
        let count = 2 + rng.index(2);
        let mut wants: Vec<_> = (0..count)
            .map(|_| all.swap_remove(rng.index(all.len())))
            .collect();
        let shard = SHARDS[rng.index(SHARDS.len())];
        match plan {
            Plan::Transfer => {}
            Plan::Alone => wants = vec![(shard, Span::between("f", "g"))],
            Plan::Blind => wants = vec![],
            Plan::Look => wants.push((shard, Span::ALL)),
        }
        let coordinator = wants.first().map_or(shard, |(shard, _)| *shard);
        let txn = TxnId::first(begin, node, number, coordinator);
        Self {
            txn,
            plan,
            wants,
            rest: None,
            partial: vec![],
            seen: vec![],
            attempt: Attempt::new(txn),
            has_asked: false,
            started: us,
            heard: us,
        }
    }

    /// The next attempt of the same transaction.
    pub(crate) fn again(&self, us: i64, number: u64) -> Self {
        let begin = Timestamp::from_nanos(us * 1000);
        let txn = self.txn.again(begin, number, self.txn.coordinator);
        Self {
            txn,
            plan: self.plan,
            wants: self.wants.clone(),
            rest: None,
            partial: vec![],
            seen: vec![],
            attempt: Attempt::new(txn),
            has_asked: false,
            started: us,
            heard: us,
        }
    }

    /// What is to be checked of it, if it was ever asked to commit.
    pub(crate) fn record(self, ended: Option<(i64, Decision)>) -> Option<Record> {
        self.has_asked.then_some(Record {
            txn: self.txn,
            started: self.started,
            ended,
            seen: self.seen,
        })
    }

    /// It has heard nothing for a while: says it again, or asks what became of it.
    pub(crate) fn nudge(&mut self, rng: &mut Rng, us: i64) -> Requests {
        self.heard = us;
        let txn = self.txn;
        if self.has_asked && rng.below(2) == 0 {
            return vec![(txn.coordinator, Request::Ask { txn })];
        }
        let alive = self.attempt.holds_locks_at();
        let mut requests: Requests = alive
            .map(|shard| (shard, Request::KeepAlive { txn }))
            .collect();
        requests.extend(self.ask(rng));
        requests
    }

    /// The next read, or the commit.
    pub(crate) fn ask(&mut self, rng: &mut Rng) -> Requests {
        let txn = self.txn;
        if let Some((shard, span)) = self.wants.get(self.seen.len()).cloned() {
            let span = self.rest.clone().unwrap_or(span);
            return vec![(shard, Request::Read { txn, span })];
        }
        if !self.has_asked {
            self.has_asked = true;
            self.write(rng);
        }
        self.attempt.commit()
    }

    fn write(&mut self, rng: &mut Rng) {
        let name = self.txn.number;
        let mut puts: Vec<(ShardId, Bytes, Option<Bytes>)> = Vec::new();
        match self.plan {
            Plan::Transfer => {
                for (seen, by) in self.seen.iter().zip([-1, 1]) {
                    let found = seen.versions.first().and_then(|found| found.value.as_ref());
                    let sum = (balance(found) + by).to_string();
                    puts.push((seen.shard, seen.span.from.clone(), Some(sum.into())));
                }
            }
            Plan::Alone => {
                let seen = &self.seen[0];
                let there = seen
                    .versions
                    .iter()
                    .filter(|version| version.value.is_some());
                puts.extend(there.map(|version| (seen.shard, version.key.clone(), None)));
                if puts.is_empty() {
                    let key = format!("f{}", name % 7);
                    puts.push((seen.shard, key.into(), Some(name.to_string().into())));
                }
            }
            Plan::Blind => {
                let first = self.txn.coordinator;
                let second = SHARDS[rng.index(SHARDS.len())];
                for shard in [first, second] {
                    let key = format!("w{}", rng.below(3));
                    puts.push((shard, key.into(), Some(name.to_string().into())));
                }
            }
            Plan::Look => {}
        }
        for (shard, key, value) in puts {
            self.attempt.write(shard, key, value).unwrap();
        }
    }

    /// A leader of this shard answers.
    pub(crate) fn answer(&mut self, us: i64, from: ShardId, answer: Answer) -> Step {
        self.heard = us;
        let has_asked = self.has_asked;
        match answer {
            Answer::Decided(decision, _) => Step::End(Some(decision)),
            Answer::Refused(Refused::OutOfTurn | Refused::Busy | Refused::Leaving) => Step::Wait,
            // Nobody knows any more what became of it.
            Answer::Refused(Refused::Forgotten) if has_asked => Step::End(None),
            Answer::Refused(_) if has_asked => Step::Wait,
            Answer::Refused(_) => Step::End(Some(Decision::Aborted)),
            Answer::Read { .. } if has_asked => Step::Wait,
            Answer::Read { span, scan, hold } => {
                let Some((shard, wanted)) = self.wants.get(self.seen.len()).cloned() else {
                    return Step::Wait;
                };
                // An answer to an earlier read that comes twice is none to this one.
                if shard != from || span != *self.rest.as_ref().unwrap_or(&wanted) {
                    return Step::Wait;
                }
                if self.attempt.read(shard, &span, &scan, hold).is_err() {
                    return Step::End(Some(Decision::Aborted));
                }
                let mut seen = match self.rest.take() {
                    Some(_) => self.partial.pop().unwrap(),
                    None => Seen {
                        shard,
                        span: wanted,
                        versions: vec![],
                    },
                };
                seen.versions.extend(scan.versions);
                self.rest = scan.rest;
                if self.rest.is_some() {
                    self.partial.push(seen);
                } else {
                    self.seen.push(seen);
                }
                Step::Ask
            }
        }
    }
}
