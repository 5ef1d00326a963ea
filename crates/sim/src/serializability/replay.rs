//! Holds a history against an order: each read sees what stands at its place, and real time agrees.

use crate::history::Moment;
use crate::serializability::compiled::{Compiled, NONE, Op};
use crate::serializability::reads::{Reads, Seen};
use crate::serializability::report::Reporter;
use crate::serializability::violation::{Anomaly, Violation};

/// Equal ranks are equal positions; `NONE` of a transaction that does not count.
pub(super) struct Replay<'a> {
    reporter: &'a Reporter<'a>,
    compiled: &'a Compiled,
    reads: &'a Reads,
    ranks: &'a [u32],
    /// Each key's versions, by rank.
    versions: Vec<Version>,
    /// Where each key's versions begin.
    starts: Vec<usize>,
    /// What each list finally holds, and how much of it is as it was read.
    contents: Vec<(Vec<u32>, u32)>,
}

#[derive(Clone, Copy, Debug)]
struct Version {
    key: u32,
    rank: u32,
    txn: u32,
    /// Of a register its value, of a list its length.
    holds: u32,
}

/// Where a transaction that only reads may stand: not before the first rank, and before the
/// second.
#[derive(Clone, Copy, Debug)]
struct Room {
    from: i64,
    to: i64,
    /// Who wrote the first version that it did not see, and where.
    next: (u32, u32),
}

impl<'a> Replay<'a> {
    pub(super) fn new(reporter: &'a Reporter<'a>, reads: &'a Reads, ranks: &'a [u32]) -> Self {
        let compiled = reporter.compiled;
        let mut versions = Vec::new();
        for txn in 0..compiled.len() {
            let rank = ranks[txn as usize];
            if rank == NONE {
                continue;
            }
            for op in compiled.ops(txn) {
                if let Op::Write { key, value } | Op::Append { key, value } = *op {
                    versions.push(Version {
                        key,
                        rank,
                        txn,
                        holds: value,
                    });
                }
            }
        }
        // Within a transaction the order is kept: the sort is stable.
        versions.sort_by_key(|version| (version.key, version.rank, version.txn));
        let mut replay = Self {
            reporter,
            compiled,
            reads,
            ranks,
            versions,
            starts: Vec::new(),
            contents: vec![(Vec::new(), 0); reads.orders.len()],
        };
        replay.merge();
        replay
    }

    /// Leaves one version of each transaction and key: a register's last value, and a list's length
    /// behind all that it appends.
    fn merge(&mut self) {
        let is_list = |version: &Version| {
            let ops = self.compiled.ops(version.txn).iter();
            let mut ops = ops.filter(|op| op.key() == version.key);
            ops.any(|op| matches!(op, Op::Append { .. }))
        };
        let mut merged: Vec<Version> = Vec::with_capacity(self.versions.len());
        for versions in self.versions.chunk_by(|a, b| a.key == b.key) {
            let key = versions[0].key as usize;
            let lists = is_list(&versions[0]);
            let content = &mut self.contents[key].0;
            for version in versions {
                let mut version = *version;
                if lists {
                    content.push(version.holds);
                    version.holds = content.len() as u32;
                }
                match merged.last_mut() {
                    Some(last) if last.key == version.key && last.txn == version.txn => {
                        *last = version;
                    }
                    _ => merged.push(version),
                }
            }
        }
        for ((content, common), order) in self.contents.iter_mut().zip(&self.reads.orders) {
            let same = content.iter().zip(order).take_while(|(a, b)| a == b);
            *common = same.count() as u32;
        }
        let keys = self.contents.len() as u32;
        let start = |key| merged.partition_point(|version: &Version| version.key < key);
        self.starts = (0..=keys).map(start).collect();
        self.versions = merged;
    }

    /// Where each transaction then stands: at its rank, or, of what only reads, behind the rank.
    pub(super) fn check(&self) -> Result<Vec<i64>, Box<Violation>> {
        self.check_shared()?;
        let mut rooms = Vec::with_capacity(self.ranks.len());
        for txn in 0..self.compiled.len() {
            rooms.push(match self.ranks[txn as usize] {
                NONE => None,
                rank => Some(self.room(txn, rank)?),
            });
        }
        self.check_real_time(&rooms)
    }

    /// Whoever shares a rank touches nothing that the other writes.
    fn check_shared(&self) -> Result<(), Box<Violation>> {
        for pair in self.versions.windows(2) {
            if pair[0].key == pair[1].key && pair[0].rank == pair[1].rank {
                return Err(self.shared(pair[0].txn, pair[1].txn, pair[0].key));
            }
        }
        for read in &self.reads.external {
            let rank = self.ranks[read.txn as usize];
            if rank == NONE || !self.compiled.txn(read.txn).writes {
                continue;
            }
            let versions = self.of(read.key);
            let at = versions.partition_point(|version| version.rank < rank);
            if let Some(version) = versions.get(at)
                && version.rank == rank
                && version.txn != read.txn
            {
                return Err(self.shared(version.txn, read.txn, read.key));
            }
        }
        Ok(())
    }

    fn shared(&self, one: u32, other: u32, key: u32) -> Box<Violation> {
        let why = format!(
            "{} shares it with {}, and both touched {}, which one of them wrote",
            self.reporter.placed(one),
            self.reporter.placed(other),
            self.reporter.key(key)
        );
        let anomaly = Anomaly::SharedPosition;
        Box::new(self.reporter.fault(anomaly, [one, other], why))
    }

    /// Checks what the transaction read.
    fn room(&self, txn: u32, rank: u32) -> Result<Room, Box<Violation>> {
        let writes = self.compiled.txn(txn).writes;
        let mut room = Room {
            from: -1,
            to: i64::MAX,
            next: (NONE, NONE),
        };
        for read in self.reads.of(txn) {
            let versions = self.of(read.key);
            let seen = versions.partition_point(|version| match writes {
                true => version.rank < rank,
                false => version.rank <= rank,
            });
            let before = seen.checked_sub(1).map(|last| versions[last]);
            if !self.fits(read.key, read.seen, before) {
                return Err(self.wrong(txn, read.key, read.seen, before));
            }
            room.from = room
                .from
                .max(before.map_or(-1, |version| version.rank.into()));
            if let Some(next) = versions.get(seen)
                && i64::from(next.rank) < room.to
            {
                room.to = next.rank.into();
                room.next = (next.txn, read.key);
            }
        }
        Ok(room)
    }

    fn of(&self, key: u32) -> &[Version] {
        &self.versions[self.starts[key as usize]..self.starts[key as usize + 1]]
    }

    fn fits(&self, key: u32, seen: Seen, before: Option<Version>) -> bool {
        match (seen, before) {
            (Seen::Absent | Seen::Prefix(0), None) => true,
            (Seen::Value(value), Some(version)) => version.holds == value,
            (Seen::Prefix(length), Some(version)) => {
                version.holds == length && length <= self.contents[key as usize].1
            }
            (Seen::Absent, Some(_)) | (_, None) => false,
        }
    }

    fn wrong(&self, txn: u32, key: u32, seen: Seen, before: Option<Version>) -> Box<Violation> {
        let list = |list: &[u32]| self.reporter.list(list);
        let (read, holds) = match seen {
            Seen::Prefix(length) => {
                let holds = before.map_or(0, |version| version.holds) as usize;
                (
                    list(&self.reads.orders[key as usize][..length as usize]),
                    list(&self.contents[key as usize].0[..holds]),
                )
            }
            Seen::Value(value) => (
                self.reporter.value(value),
                self.reporter
                    .value(before.map_or(NONE, |version| version.holds)),
            ),
            Seen::Absent => (
                self.reporter.value(NONE),
                self.reporter
                    .value(before.map_or(NONE, |version| version.holds)),
            ),
        };
        let by = before.map_or_else(
            || "nobody having written there".into(),
            |version| format!("by {}", self.reporter.placed(version.txn)),
        );
        let why = format!(
            "{} read {read} at {}, where {holds} stands, {by}",
            self.reporter.placed(txn),
            self.reporter.key(key)
        );
        let other = before.map_or(txn, |version| version.txn);
        let anomaly = Anomaly::WrongVersion;
        Box::new(self.reporter.fault(anomaly, [txn, other], why))
    }

    /// In the order of time. What writes stands where it stands; what only reads stands as early as
    /// it may: not before what had ended when it began. If even that is too late, or something that
    /// ended stands behind what began later, there is no order.
    fn check_real_time(&self, rooms: &[Option<Room>]) -> Result<Vec<i64>, Box<Violation>> {
        let mut events: Vec<(Moment, u32, bool)> = Vec::with_capacity(rooms.len() * 2);
        for (txn, view) in (0..).zip(&self.compiled.txns) {
            if rooms[txn as usize].is_some() && !view.is_past {
                events.push((view.began, txn, false));
                events.extend(view.ended.map(|ended| (ended, txn, true)));
            }
        }
        events.sort_unstable();
        // Where the last of those stands that have ended, and who that is.
        let mut latest = (-1, NONE);
        let from = |room: &Option<Room>| room.map_or(-1, |room| room.from);
        let mut stands: Vec<i64> = rooms.iter().map(from).collect();
        for (_, txn, ends) in events {
            let Some(room) = rooms[txn as usize] else {
                continue;
            };
            let rank = i64::from(self.ranks[txn as usize]);
            let place = &mut stands[txn as usize];
            if ends {
                if latest.0 < *place {
                    latest = (*place, txn);
                }
            } else if self.compiled.txn(txn).writes {
                if rank <= latest.0 {
                    return Err(self.out_of_order(latest.1, txn, None));
                }
                *place = rank;
            } else {
                *place = room.from.max(latest.0);
                if *place >= room.to {
                    return Err(self.out_of_order(latest.1, txn, Some(room)));
                }
            }
        }
        Ok(stands)
    }

    fn out_of_order(&self, first: u32, second: u32, room: Option<Room>) -> Box<Violation> {
        let reporter = self.reporter;
        let mut steps = vec![reporter.step(first, second, None, reporter.before(first, second))];
        let mut others = Vec::new();
        let (one, other) = (reporter.placed(first), reporter.placed(second));
        let why = match room {
            Some(Room { next, .. }) => {
                others.push(next.0);
                format!(
                    "{other} read {} as it was before {}, and {one} is not before that",
                    reporter.key(next.1),
                    reporter.placed(next.0)
                )
            }
            None if self.compiled.txn(first).writes => {
                format!("but {one} is not before {other}")
            }
            None => format!("but {one} shows what is not before {other}"),
        };
        steps.push(reporter.step(first, second, None, why));
        Box::new(reporter.violation(Anomaly::WrongOrder, steps, &others))
    }
}
