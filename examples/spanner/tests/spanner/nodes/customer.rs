//! A node of clients: a few transactions and reads at a time, sent to whichever server.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use synod_replica::NodeId;
use synod_replica::embed::Instant;
use synod_sim::Rng;
use synod_spanner::{Answer, Decision, Request, ShardId, Span, TxnId};
use synod_truetime::{Floor, Interval, NamedFloor, Timestamp};

use super::cluster::{Options, Subject};
use super::facts::Facts;
use super::mail::{Mail, Part, Shown, When};
use super::server::{Context, micros, stamp};
use crate::bank::SHARDS;
use crate::bank::book::{Look, Seen};
use crate::bank::client::{Client, Step};

/// See the module. It has no clock: it carries on what it has heard.
#[derive(Debug)]
pub(super) struct Customer {
    id: u64,
    options: Options,
    facts: Facts,
    rng: Rng,
    heard: NamedFloor,
    clients: Vec<Client>,
    reads: Vec<Reading>,
    /// Who answered last for a shard.
    hints: BTreeMap<ShardId, NodeId>,
    begins_at: Instant,
    nudges_at: Instant,
}

/// A read-only transaction under way.
#[derive(Debug)]
struct Reading {
    number: u64,
    look: Look,
    /// The first part has told its timestamp.
    has_time: bool,
    when: When,
    shards: Vec<ShardId>,
    span: Span,
    asked: i64,
}

impl Customer {
    pub(super) fn start(id: u64, options: Options, facts: Facts, seed: u64) -> Self {
        Self {
            id,
            options,
            facts,
            rng: Rng::new(!seed),
            heard: NamedFloor::new(id),
            clients: Vec::new(),
            reads: Vec::new(),
            hints: BTreeMap::new(),
            begins_at: Instant::default(),
            nudges_at: Instant::default(),
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.clients.is_empty() && self.reads.is_empty()
    }

    pub(super) fn time_out<S: Subject>(&mut self, context: &mut Context<'_, S>) {
        let now = context.now();
        if self.begins_at <= now {
            self.begins_at = now + self.rng.exponential(self.options.gap);
            if !self.facts.lock().is_calm {
                self.begin(context);
            }
        }
        if self.nudges_at <= now {
            self.nudges_at = now + NUDGES;
            self.nudge(context);
        }
        context.set_timer(Some(self.begins_at.min(self.nudges_at)));
    }

    fn begin<S: Subject>(&mut self, context: &mut Context<'_, S>) {
        let us = micros(context.true_now());
        if self.rng.chance(0.6) {
            if self.clients.len() < CLIENTS_MAX {
                let number = self.facts.number();
                let mut client = Client::begin(&mut self.rng, us, self.id, number);
                let requests = client.ask(&mut self.rng);
                self.clients.push(client);
                self.send(requests, context);
            }
        } else if self.reads.len() < READS_MAX {
            self.read(us, context);
        }
    }

    fn send<S: Subject>(
        &mut self,
        requests: Vec<(ShardId, Request)>,
        context: &mut Context<'_, S>,
    ) {
        for (shard, request) in requests {
            let to = self.hints.get(&shard).copied();
            let to = to.unwrap_or_else(|| self.any_server());
            let mail = Mail::Request(shard, stamp(self.heard.floor(), request));
            context.send(to, self.facts.post(mail));
        }
    }

    fn any_server(&mut self) -> NodeId {
        NodeId(1 + self.rng.below(self.options.servers))
    }

    fn nudge<S: Subject>(&mut self, context: &mut Context<'_, S>) {
        let us = micros(context.true_now());
        let mut requests = Vec::new();
        for client in &mut self.clients {
            if us - client.heard > SILENT_US {
                requests.extend(client.nudge(&mut self.rng, us));
            }
        }
        if !requests.is_empty() {
            self.hints.clear();
        }
        self.send(requests, context);
        for i in 0..self.reads.len() {
            if us - self.reads[i].asked > SILENT_US {
                self.ask(i, us, context);
            }
        }
    }

    /// A read of some shards, now, in the past, or as of a bounded time ago.
    fn read<S: Subject>(&mut self, us: i64, context: &mut Context<'_, S>) {
        let mut shards = SHARDS.to_vec();
        for _ in 0..self.rng.below(3) {
            shards.remove(self.rng.index(shards.len()));
        }
        let when = match self.rng.below(5) {
            0 => When::AtMost(Duration::from_millis(100), shards.clone()),
            1 => When::Ago(Duration::from_millis(self.rng.below(300))),
            _ => When::Now,
        };
        self.reads.push(Reading {
            number: self.facts.number(),
            look: Look {
                at: Timestamp::MIN,
                is_strong: matches!(when, When::Now),
                started: us,
                ended: 0,
                seen: vec![],
            },
            has_time: false,
            when,
            shards,
            span: Span::ALL,
            asked: us,
        });
        self.ask(self.reads.len() - 1, us, context);
    }

    /// The next part, of whichever server.
    fn ask<S: Subject>(&mut self, i: usize, us: i64, context: &mut Context<'_, S>) {
        let to = self.any_server();
        let read = &mut self.reads[i];
        read.asked = us;
        let when = match read.has_time {
            true => When::At(read.look.at),
            false => read.when.clone(),
        };
        let part = Part {
            number: read.number,
            shard: read.shards[0],
            span: read.span.clone(),
            when,
        };
        let mail = Mail::Look(stamp(self.heard.floor(), part));
        context.send(to, self.facts.post(mail));
    }

    pub(super) fn receive<S: Subject>(
        &mut self,
        from: NodeId,
        bytes: &Bytes,
        context: &mut Context<'_, S>,
    ) {
        match self.facts.mail(bytes) {
            Mail::Answer(shard, answer) => {
                self.hear(answer.floor);
                self.hints.insert(shard, from);
                let (txn, answer) = answer.message;
                self.answer(shard, txn, answer, context);
            }
            Mail::Shown(shown) => {
                self.hear(shown.floor);
                self.shown(shown.message, context);
            }
            _ => {}
        }
    }

    fn hear(&mut self, floor: Floor) {
        let _ = self.heard.incoming(floor, &Interval::ALL);
    }

    fn answer<S: Subject>(
        &mut self,
        from: ShardId,
        txn: TxnId,
        answer: Answer,
        context: &mut Context<'_, S>,
    ) {
        let us = micros(context.true_now());
        let Some(c) = self.clients.iter().position(|client| client.txn == txn) else {
            return;
        };
        match self.clients[c].answer(us, from, answer) {
            Step::Wait => {}
            Step::Ask => {
                let requests = self.clients[c].ask(&mut self.rng);
                self.send(requests, context);
            }
            Step::End(decision) => self.end(c, us, decision, context),
        }
    }

    fn end<S: Subject>(
        &mut self,
        c: usize,
        us: i64,
        decision: Option<Decision>,
        context: &mut Context<'_, S>,
    ) {
        let client = self.clients.swap_remove(c);
        if decision == Some(Decision::Aborted) {
            let txn = client.txn;
            let all = SHARDS.map(|shard| (shard, Request::Rollback { txn }));
            self.send(all.into(), context);
            if self.rng.below(3) > 0 && !self.facts.lock().is_calm {
                let mut again = client.again(us, self.facts.number());
                let requests = again.ask(&mut self.rng);
                self.clients.push(again);
                self.send(requests, context);
            }
        }
        let record = client.record(decision.map(|decision| (us, decision)));
        self.facts.lock().book.records.extend(record);
    }

    fn shown<S: Subject>(&mut self, shown: Shown, context: &mut Context<'_, S>) {
        let us = micros(context.true_now());
        let is_next = |read: &Reading| {
            let same_part = read.shards.first() == Some(&shown.shard) && read.span == shown.span;
            let same_time = !read.has_time || read.look.at == shown.at;
            read.number == shown.number && same_part && (same_time || shown.scan.is_none())
        };
        let Some(i) = self.reads.iter().position(is_next) else {
            return;
        };
        let Some(scan) = shown.scan else {
            self.reads.swap_remove(i);
            return;
        };
        let read = &mut self.reads[i];
        read.look.at = shown.at;
        read.has_time = true;
        let seen = &mut read.look.seen;
        match seen.last_mut().filter(|seen| seen.shard == shown.shard) {
            Some(seen) => seen.versions.extend(scan.versions),
            None => seen.push(Seen {
                shard: shown.shard,
                span: Span::ALL,
                versions: scan.versions,
            }),
        }
        match scan.rest {
            Some(rest) => read.span = rest,
            None => {
                read.shards.remove(0);
                read.span = Span::ALL;
            }
        }
        if read.shards.is_empty() {
            let mut read = self.reads.swap_remove(i);
            read.look.ended = us;
            if matches!(read.when, When::AtMost(..)) {
                self.facts.count("reads of bounded staleness");
            }
            self.facts.lock().book.looks.push(read.look);
        } else {
            self.ask(i, us, context);
        }
    }
}

/// Its node dies, and nobody knows what its clients have heard.
impl Drop for Customer {
    fn drop(&mut self) {
        let clients = std::mem::take(&mut self.clients).into_iter();
        let records = clients.filter_map(|client| client.record(None));
        self.facts.lock().book.records.extend(records);
    }
}

const CLIENTS_MAX: usize = 3;
const READS_MAX: usize = 3;
const NUDGES: Duration = Duration::from_millis(25);
const SILENT_US: i64 = 70_000;
