//! The whole history, held against the order of timestamps: what each transaction read must be what stood there, what
//! ended before another began must stand before it, and no money is made or lost at any timestamp (I4, I7, I9).

use std::collections::BTreeMap;
use std::fmt;
use std::ops::AddAssign;

use bytes::Bytes;
use synod_spanner::{Decision, ShardId, TxnId, Version};
use synod_truetime::Timestamp;

use super::book::{Book, Look, Record, Seen};
use super::{ACCOUNTS, SHARDS, START, balance};

/// What is wrong with a history.
#[derive(Debug)]
pub(crate) enum Violation {
    /// At a step, not in the history.
    Step(String),
    /// The first ended before the second began, and the order of timestamps is the other way round.
    RealTime(Event, Event),
    /// It read what did not stand there.
    Read(Event, Seen),
    /// Its client heard what the log does not say.
    Told(TxnId),
    /// The accounts do not have what they had.
    Money(Timestamp, i64),
    /// A check of `synod-sim` does not accept it.
    Check(String),
    /// What the logs say was written is not what is there.
    Lost(TxnId, ShardId),
}

/// A transaction in true time and by its timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// `None` of a read without locks.
    pub(crate) txn: Option<TxnId>,
    pub(crate) at: Timestamp,
    pub(crate) started: i64,
    pub(crate) ended: i64,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.txn {
            Some(txn) => write!(f, "transaction {}", txn.number)?,
            None => f.write_str("a read without locks")?,
        }
        write!(f, " from {} µs of true time", self.started)?;
        match self.ended {
            i64::MAX => f.write_str(", whose client never heard of its end,")?,
            ended => write!(f, " to {ended} µs")?,
        }
        write!(f, " at timestamp {}", self.at)
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Step(what) => f.write_str(what),
            Self::RealTime(first, second) => {
                write!(f, "I4: {first} ended before {second} began")
            }
            Self::Read(event, seen) => write!(f, "I9: {event} has seen {seen:?}"),
            Self::Told(txn) => write!(f, "{txn:?} was told what the log does not say"),
            Self::Money(at, sum) => write!(f, "at {at} there is {sum}"),
            Self::Check(verdict) => f.write_str(verdict),
            Self::Lost(txn, shard) => write!(f, "I7: {txn:?} is not whole on {shard:?}"),
        }
    }
}

/// How much happened.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    committed: u64,
    across: u64,
    aborted: u64,
    unknown: u64,
    strong: u64,
    past: u64,
    reigns: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.committed += other.committed;
        self.across += other.across;
        self.aborted += other.aborted;
        self.unknown += other.unknown;
        self.strong += other.strong;
        self.past += other.past;
        self.reigns += other.reigns;
    }
}

impl Counts {
    /// Each by its name.
    pub(crate) fn all(&self) -> [(&'static str, u64); 6] {
        [
            ("commits", self.committed),
            ("commits on several shards", self.across),
            ("commits unknown to their clients", self.unknown),
            ("attempts aborted", self.aborted),
            ("strong reads", self.strong),
            ("reads in the past", self.past),
        ]
    }

    pub(crate) fn is_rich(&self, seeds: u64) -> bool {
        let all = [
            self.committed,
            self.across,
            self.aborted,
            self.strong,
            self.past,
            self.reigns,
        ];
        all.iter().all(|count| *count > seeds) && self.unknown > 0
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} committed ({} on several shards, {} unknown to their clients), {} aborted, {} strong reads, {} in the \
             past, {} reigns",
            self.committed,
            self.across,
            self.unknown,
            self.aborted,
            self.strong,
            self.past,
            self.reigns
        )
    }
}

type Model = BTreeMap<(ShardId, Bytes), (Timestamp, Option<Bytes>)>;

impl Book {
    pub(crate) fn check(&self) -> Result<Counts, Violation> {
        if let Some(what) = &self.watch.found {
            return Err(Violation::Step(what.clone()));
        }
        let committed = self.committed()?;
        self.replay(&committed)?;
        self.check_real_time(&committed)?;
        if self.is_over {
            self.check_money(&committed)?;
        }
        let (by_reads, by_timestamps) = self.verdicts(&committed);
        for verdict in [by_reads, by_timestamps] {
            if !verdict.is_ok() {
                return Err(Violation::Check(verdict.to_string()));
            }
        }
        let across = |txn: &TxnId| {
            let shards = self.watch.written.keys().filter(|(of, _)| of == txn);
            shards.count() > 1
        };
        let reign = |shard: &ShardId| self.watch.shards[shard].machine.state().reign().0;
        let strong = self.looks.iter().filter(|look| look.is_strong).count() as u64;
        Ok(Counts {
            committed: committed.len() as u64,
            across: committed
                .iter()
                .filter(|(event, _)| across(&event.txn.unwrap()))
                .count() as u64,
            aborted: (self.watch.decided.len() - committed.len()) as u64,
            unknown: committed
                .iter()
                .filter(|(event, _)| event.ended == i64::MAX)
                .count() as u64,
            strong,
            past: self.looks.len() as u64 - strong,
            reigns: SHARDS.iter().map(reign).sum(),
        })
    }

    /// By the logs, in the order of timestamps. Whoever never heard of its end may have ended at any time.
    pub(crate) fn committed(&self) -> Result<Vec<(Event, &Record)>, Violation> {
        let mut committed = Vec::new();
        for record in &self.records {
            let logged = self.watch.decided.get(&record.txn).copied();
            let told = record.ended.map(|(_, decision)| decision);
            match (told, logged) {
                (Some(Decision::Aborted), Some(Decision::Committed(_)))
                | (Some(Decision::Committed(_)), None | Some(Decision::Aborted)) => {
                    return Err(Violation::Told(record.txn));
                }
                _ => {}
            }
            if let Some(Decision::Committed(at)) = logged {
                let event = Event {
                    txn: Some(record.txn),
                    at,
                    started: record.started,
                    ended: record.ended.map_or(i64::MAX, |(ended, _)| ended),
                };
                committed.push((event, record));
            }
        }
        committed.sort_by_key(|(event, _)| (event.at, event.txn));
        Ok(committed)
    }

    fn replay(&self, committed: &[(Event, &Record)]) -> Result<(), Violation> {
        let mut model = Model::new();
        let mut looks: Vec<&Look> = self.looks.iter().collect();
        looks.sort_by_key(|look| look.at);
        let mut looks = looks.into_iter().peekable();
        for (event, record) in committed {
            while let Some(look) = looks.next_if(|look| look.at < event.at) {
                saw(&model, look.event(), &look.seen)?;
            }
            saw(&model, *event, &record.seen)?;
            for shard in SHARDS {
                let Some(writes) = self.watch.written.get(&(record.txn, shard)) else {
                    continue;
                };
                for (key, value) in writes {
                    model.insert((shard, key.clone()), (event.at, value.clone()));
                }
            }
        }
        looks.try_for_each(|look| saw(&model, look.event(), &look.seen))?;
        // Before that outcomes may be on their way.
        if self.is_over {
            self.check_whole(&model, committed)?;
        }
        Ok(())
    }

    /// What is at the end in the machines is what was committed.
    fn check_whole(&self, model: &Model, committed: &[(Event, &Record)]) -> Result<(), Violation> {
        for ((shard, key), (written, value)) in model {
            let state = self.watch.shards[shard].machine.state();
            let there = state.store().get(key, Timestamp::MAX).unwrap();
            let is_there = there
                .as_ref()
                .is_some_and(|there| there.written == *written);
            if !is_there && value.is_some() {
                let by = committed
                    .iter()
                    .find(|(event, _)| event.at == *written)
                    .unwrap();
                return Err(Violation::Lost(by.1.txn, *shard));
            }
        }
        Ok(())
    }

    fn check_real_time(&self, committed: &[(Event, &Record)]) -> Result<(), Violation> {
        let strong: Vec<&Look> = self.looks.iter().filter(|look| look.is_strong).collect();
        for (first, _) in committed {
            for (second, _) in committed {
                if first.ended < second.started && second.at <= first.at {
                    return Err(Violation::RealTime(*first, *second));
                }
            }
            for look in &strong {
                let event = look.event();
                if first.ended < event.started && event.at < first.at {
                    return Err(Violation::RealTime(*first, event));
                }
                // It may come with a timestamp that was read at, if it wrote where nobody read.
                let meets = look.seen.iter().any(|seen| {
                    self.watch
                        .written
                        .contains_key(&(first.txn.unwrap(), seen.shard))
                });
                if event.ended < first.started && first.at <= event.at && meets {
                    return Err(Violation::RealTime(event, *first));
                }
            }
        }
        // What one read has shown, one that began after it shows too.
        for first in &strong {
            let shown = first.seen.iter().flat_map(|seen| &seen.versions);
            let shown = shown.map(|version| version.written).max();
            for second in &strong {
                if first.ended < second.started && shown > Some(second.at) {
                    return Err(Violation::RealTime(first.event(), second.event()));
                }
            }
        }
        Ok(())
    }

    /// At each timestamp that can still be read.
    fn check_money(&self, committed: &[(Event, &Record)]) -> Result<(), Violation> {
        let states = SHARDS.map(|shard| self.watch.shards[&shard].machine.state());
        let horizon = states
            .iter()
            .map(|state| state.store().horizon())
            .max()
            .unwrap();
        let times = committed.iter().map(|(event, _)| event.at);
        for at in times.filter(|at| *at >= horizon).chain([Timestamp::MAX]) {
            let mut sum = 0;
            for state in states {
                for key in ACCOUNTS {
                    let found = state.store().get(key.as_bytes(), at).unwrap();
                    sum += balance(found.and_then(|found| found.value).as_ref());
                }
            }
            if sum != START * (SHARDS.len() * ACCOUNTS.len()) as i64 {
                return Err(Violation::Money(at, sum));
            }
        }
        Ok(())
    }
}

fn saw(model: &Model, event: Event, all: &[Seen]) -> Result<(), Violation> {
    for seen in all {
        let there = model
            .range((seen.shard, seen.span.from.clone())..)
            .take_while(|((shard, key), _)| *shard == seen.shard && seen.span.contains(key))
            .filter(|(_, (_, value))| value.is_some())
            .map(|((_, key), (written, value))| (key, written, value));
        // A tombstone may be collected or not: it shows the same.
        let shown = seen
            .versions
            .iter()
            .filter(|version| version.value.is_some());
        if !shown
            .map(
                |Version {
                     key,
                     written,
                     value,
                 }| (key, written, value),
            )
            .eq(there)
        {
            return Err(Violation::Read(event, seen.clone()));
        }
    }
    Ok(())
}
