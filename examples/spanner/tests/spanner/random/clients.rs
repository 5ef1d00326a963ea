//! Clients that move money, keep a range to themselves, write blindly, or only look, all of it in transactions.

use bytes::Bytes;
use synod_spanner::{Answer, Attempt, Decision, Refused, Request, ShardId, Span, TxnId, Version};
use synod_truetime::Timestamp;

use super::run::{Run, SHARDS};

pub(super) const ACCOUNTS: [&str; 3] = ["x", "y", "z"];
/// What an account has that nobody has written.
pub(super) const START: i64 = 100;

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

/// What a read saw.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) shard: ShardId,
    pub(super) span: Span,
    pub(super) versions: Vec<Version>,
}

#[derive(Debug)]
pub(super) struct Client {
    pub(super) txn: TxnId,
    plan: Plan,
    wants: Vec<(ShardId, Span)>,
    /// What is left of the read that is under way.
    rest: Option<Span>,
    partial: Vec<Seen>,
    seen: Vec<Seen>,
    attempt: Attempt,
    has_asked: bool,
    started: i64,
    heard: i64,
}

/// An attempt that was asked to commit, as far as its client knows.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) txn: TxnId,
    pub(super) started: i64,
    /// When the answer came, and which.
    pub(super) ended: Option<(i64, Decision)>,
    pub(super) seen: Vec<Seen>,
}

impl Client {
    pub(super) fn record(self, ended: Option<(i64, Decision)>) -> Option<Record> {
        self.has_asked.then_some(Record {
            txn: self.txn,
            started: self.started,
            ended,
            seen: self.seen,
        })
    }

    fn again(&self, us: i64, name: u64) -> Self {
        let begin = Timestamp::from_nanos(us * 1000);
        let txn = self.txn.again(begin, name, self.txn.coordinator);
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
}

pub(super) fn balance(value: Option<&Bytes>) -> i64 {
    value.map_or(START, |value| {
        std::str::from_utf8(value).unwrap().parse().unwrap()
    })
}

impl Run {
    pub(super) fn begin(&mut self) {
        self.names += 1;
        let begin = Timestamp::from_nanos(self.us * 1000 + self.rng.below(4_000_000) as i64);
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
        let plan = plan[self.rng.index(plan.len())];
        let count = 2 + self.rng.index(2);
        let mut wants: Vec<_> = (0..count)
            .map(|_| all.swap_remove(self.rng.index(all.len())))
            .collect();
        let shard = SHARDS[self.rng.index(SHARDS.len())];
        match plan {
            Plan::Transfer => {}
            Plan::Alone => wants = vec![(shard, Span::between("f", "g"))],
            Plan::Blind => wants = vec![],
            Plan::Look => wants.push((shard, Span::ALL)),
        }
        let coordinator = wants.first().map_or(shard, |(shard, _)| *shard);
        let txn = TxnId::first(begin, 1, self.names, coordinator);
        let client = Client {
            txn,
            plan,
            wants,
            rest: None,
            partial: vec![],
            seen: vec![],
            attempt: Attempt::new(txn),
            has_asked: false,
            started: self.us,
            heard: self.us,
        };
        self.clients.push(client);
        self.ask(self.clients.len() - 1);
    }

    /// Somebody who has heard nothing for a while says it again.
    pub(super) fn nudge(&mut self, calm: bool) {
        let after = if calm { 20_000 } else { 30_000 };
        let late = |client: &Client| self.us - client.heard > after;
        let Some(c) = self.clients.iter().position(late) else {
            return;
        };
        self.clients[c].heard = self.us;
        let client = &self.clients[c];
        if client.has_asked && self.rng.below(2) == 0 {
            let txn = client.txn;
            return self.send(txn.coordinator, Request::Ask { txn });
        }
        for shard in client.attempt.holds_locks_at().collect::<Vec<_>>() {
            let txn = self.clients[c].txn;
            self.send(shard, Request::KeepAlive { txn });
        }
        self.ask(c);
    }

    /// The next read, or the commit.
    fn ask(&mut self, c: usize) {
        let client = &mut self.clients[c];
        let txn = client.txn;
        if let Some((shard, span)) = client.wants.get(client.seen.len()).cloned() {
            let span = client.rest.clone().unwrap_or(span);
            return self.send(shard, Request::Read { txn, span });
        }
        if !client.has_asked {
            client.has_asked = true;
            self.write(c);
        }
        for (to, request) in self.clients[c].attempt.commit() {
            self.send(to, request);
        }
    }

    fn write(&mut self, c: usize) {
        let client = &mut self.clients[c];
        let name = client.txn.number;
        let mut puts: Vec<(ShardId, Bytes, Option<Bytes>)> = Vec::new();
        match client.plan {
            Plan::Transfer => {
                for (seen, by) in client.seen.iter().zip([-1, 1]) {
                    let found = seen.versions.first().and_then(|found| found.value.as_ref());
                    let sum = (balance(found) + by).to_string();
                    puts.push((seen.shard, seen.span.from.clone(), Some(sum.into())));
                }
            }
            Plan::Alone => {
                let seen = &client.seen[0];
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
                let first = client.txn.coordinator;
                let second = SHARDS[self.rng.index(SHARDS.len())];
                for shard in [first, second] {
                    let key = format!("w{}", self.rng.below(3));
                    puts.push((shard, key.into(), Some(name.to_string().into())));
                }
            }
            Plan::Look => {}
        }
        for (shard, key, value) in puts {
            client.attempt.write(shard, key, value).unwrap();
        }
    }

    pub(super) fn answer(&mut self, from: ShardId, txn: TxnId, answer: Answer) {
        let Some(c) = self.clients.iter().position(|client| client.txn == txn) else {
            return;
        };
        let us = self.us;
        self.clients[c].heard = us;
        let has_asked = self.clients[c].has_asked;
        match answer {
            Answer::Decided(decision, _) => self.end(c, Some(decision)),
            Answer::Refused(Refused::OutOfTurn | Refused::Busy | Refused::Leaving) => {}
            // Nobody knows any more what became of it.
            Answer::Refused(Refused::Forgotten) if has_asked => self.end(c, None),
            Answer::Refused(_) if has_asked => {}
            Answer::Refused(_) => self.end(c, Some(Decision::Aborted)),
            Answer::Read { .. } if has_asked => {}
            Answer::Read { span, scan, hold } => {
                let client = &mut self.clients[c];
                let Some((shard, wanted)) = client.wants.get(client.seen.len()).cloned() else {
                    return;
                };
                // An answer to an earlier read that comes twice is none to this one.
                if shard != from || span != *client.rest.as_ref().unwrap_or(&wanted) {
                    return;
                }
                if client.attempt.read(shard, &span, &scan, hold).is_err() {
                    return self.end(c, Some(Decision::Aborted));
                }
                let mut seen = match client.rest.take() {
                    Some(_) => client.partial.pop().unwrap(),
                    None => Seen {
                        shard,
                        span: wanted,
                        versions: vec![],
                    },
                };
                seen.versions.extend(scan.versions);
                client.rest = scan.rest;
                if client.rest.is_some() {
                    client.partial.push(seen);
                } else {
                    client.seen.push(seen);
                }
                self.ask(c);
            }
        }
    }

    fn end(&mut self, c: usize, decision: Option<Decision>) {
        let client = self.clients.swap_remove(c);
        if decision == Some(Decision::Aborted) {
            let txn = client.txn;
            for shard in SHARDS {
                self.send(shard, Request::Rollback { txn });
            }
            if self.rng.below(3) > 0 {
                self.names += 1;
                self.clients.push(client.again(self.us, self.names));
                self.ask(self.clients.len() - 1);
            }
        }
        let us = self.us;
        self.records
            .extend(client.record(decision.map(|decision| (us, decision))));
    }
}
