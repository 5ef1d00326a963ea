//! Reads without locks at one server, while they wait: for safe time, and for what they would show to have passed.

use std::time::Duration;

use synod_replica::NodeId;
use synod_replica::embed::Instant;
use synod_spanner::{Plan, Scan, ScanLimit, ShardId, Span, bounded_staleness, look, plan};
use synod_truetime::{CommitWait, Interval, Timestamp, Wait};

use super::cluster::{Subject, group};
use super::mail::{Mail, Part, Shown, When};
use super::server::{Context, Server, now_of, stamp};
use crate::bank::clock::Reading;

/// At most so many wait; of more the oldest are forgotten, and their clients ask again.
const WAITING_MAX: usize = 64;
const WAITS_FOR: Duration = Duration::from_millis(300);
const CLOSE_AGAIN: Duration = Duration::from_millis(10);
const PART: ScanLimit = ScanLimit {
    versions_max: 4,
    bytes_max: 1000,
};

#[derive(Debug, Default)]
pub(super) struct Looks(Vec<Waiting>);

#[derive(Debug)]
struct Waiting {
    from: NodeId,
    number: u64,
    shard: ShardId,
    span: Span,
    at: Timestamp,
    /// Then it is forgotten: here it cannot be served, and its client asks elsewhere.
    until: Instant,
    /// It has read, and waits before it answers.
    gate: Option<(Scan, CommitWait)>,
}

impl Looks {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// When to look again at those whose end is known.
    pub(super) fn wake(&self, now: Instant, time: &Interval) -> Option<Instant> {
        let gates = self.0.iter().map(|waiting| match &waiting.gate {
            Some((_, wait)) => now + wait.left(time),
            None => now + CLOSE_AGAIN,
        });
        gates.min()
    }

    /// A client asks; the timestamp is chosen here, unless it was before.
    pub(super) fn begin<S: Subject>(
        &mut self,
        server: &mut Server,
        from: NodeId,
        part: Part,
        reading: &Reading,
        context: &mut Context<'_, S>,
    ) {
        let Part {
            number,
            shard,
            span,
            when,
        } = part;
        let at = match when {
            When::Now => Some(reading.time.latest()),
            When::Ago(time) => Some(reading.time.earliest() - time),
            When::At(at) => Some(at),
            When::AtMost(bound, shards) => {
                let offers = shards.iter().map(|shard| {
                    let state = now_of(*shard, reading, context).state;
                    server.seats[shard].safe.at(state)
                });
                bounded_staleness(offers, bound, &reading.time).ok()
            }
        };
        let Some(at) = at else {
            server.facts.count("reads refused as too stale");
            let at = Timestamp::MIN;
            return show(
                server,
                from,
                (number, shard, span, at, None),
                reading,
                context,
            );
        };
        if self.0.len() >= WAITING_MAX {
            self.0.remove(0);
        }
        self.0.push(Waiting {
            from,
            number,
            shard,
            span,
            at,
            until: reading.local + WAITS_FOR,
            gate: None,
        });
    }

    /// Serves what can be served.
    pub(super) fn serve<S: Subject>(&mut self, server: &mut Server, context: &mut Context<'_, S>) {
        for waiting in std::mem::take(&mut self.0) {
            let reading = server.read_clock(context);
            self.0.extend(serve(waiting, server, &reading, context));
        }
    }
}

/// Returns it if it still waits.
fn serve<S: Subject>(
    mut waiting: Waiting,
    server: &mut Server,
    reading: &Reading,
    context: &mut Context<'_, S>,
) -> Option<Waiting> {
    let (shard, at) = (waiting.shard, waiting.at);
    if let Some((scan, mut wait)) = waiting.gate.take() {
        if wait.poll_at(&reading.time) != Wait::Done {
            waiting.gate = Some((scan, wait));
            return Some(waiting);
        }
        let mut facts = server.facts.lock();
        for version in &scan.versions {
            let watch = &mut facts.book.watch;
            watch.told(version.written, reading, "a read without locks");
        }
        drop(facts);
        let is_leader = server.seats[&shard].leader.is_some();
        server.facts.count(match is_leader {
            true => "parts read at leaders",
            false => "parts read at followers",
        });
        let shown = (waiting.number, shard, waiting.span, at, Some(scan));
        show(server, waiting.from, shown, reading, context);
        return None;
    }
    let state = now_of(shard, reading, context).state;
    let seat = server.seats.get_mut(&shard)?;
    let planned = plan(at, state, &seat.safe);
    if planned == Plan::Close && waiting.until <= reading.local {
        return None;
    }
    if planned == Plan::Close {
        if seat.asked_to_close <= reading.local {
            seat.asked_to_close = reading.local + CLOSE_AGAIN;
            let mail = Mail::Close(shard, stamp(reading.floor, at));
            server.send_to_leader(shard, mail, context);
        }
        return Some(waiting);
    }
    let looked = match planned {
        Plan::Collected(_) => None,
        _ => look(state, &waiting.span, at, PART, &reading.time).ok(),
    };
    match looked {
        Some(read) => {
            let (id, applied) = (server.id(), state.applied());
            server.facts.lock().has_served(id, shard, applied, at);
            waiting.gate = Some(read);
            serve(waiting, server, reading, context)
        }
        None => {
            server.facts.count("reads of what was collected");
            let shown = (waiting.number, shard, waiting.span, at, None);
            show(server, waiting.from, shown, reading, context);
            None
        }
    }
}

fn show<S: Subject>(
    server: &Server,
    to: NodeId,
    (number, shard, span, at, scan): (u64, ShardId, Span, Timestamp, Option<Scan>),
    reading: &Reading,
    context: &mut Context<'_, S>,
) {
    debug_assert!(context.group(group(shard)).is_some());
    let shown = Shown {
        number,
        shard,
        span,
        at,
        scan,
    };
    let mail = Mail::Shown(stamp(reading.floor, shown));
    context.send(to, server.facts.post(mail));
}
