//! Clients: their requests, and what they do with the answers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use synod_replica::embed::{Instant, Ticket};
use synod_replica::sim::SimRequest;
use synod_replica::{Consistency, Failure, NodeId, Reason};
use synod_sim::{ClientId, Coverage, History, KvInput, KvOutput, OpId, Rng, Value};

use super::backup::Backup;
use super::clocks::Clocks;
use super::options::{Load, ms};
use super::reference::{Reference, compact, number};
use super::{Tokens, Verdict, Violation, must};

/// Requests that have ended since the last look.
pub(crate) type Ends = Arc<Mutex<Vec<(u64, End)>>>;

#[derive(Debug)]
pub(crate) enum End {
    Length(u64),
    /// And how fresh the machine was, by the clock of the node.
    Value(Option<Vec<u8>>, Option<Instant>),
    Rejected(Reason, Option<NodeId>),
    Unknown,
}

/// The ticket of a request. Dropping it leaves the outcome unknown, as a crash does.
#[derive(Debug)]
pub(crate) struct Noted {
    request: u64,
    key: u8,
    backup: Option<Backup>,
    ends: Option<Ends>,
}

impl Noted {
    fn end(mut self, end: End) {
        let ends = self.ends.take().expect("a ticket ends once");
        ends.lock().unwrap().push((self.request, end));
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        if let Some(ends) = self.ends.take() {
            ends.lock().unwrap().push((self.request, End::Unknown));
        }
    }
}

impl Ticket<Tokens> for Noted {
    fn applied(self, length: u64) {
        self.end(End::Length(length));
    }

    fn read(self, machine: &Tokens, fresh: Option<Instant>) {
        if let Some(backup) = &self.backup {
            backup.take(machine);
        }
        let value = machine.value(self.key).map(<[u8]>::to_vec);
        self.end(End::Value(value, fresh));
    }

    fn failed(self, failure: Failure) {
        self.end(match failure {
            Failure::Rejected { reason, leader } => End::Rejected(reason, leader),
            Failure::Unknown => End::Unknown,
        });
    }
}

/// A request in progress.
#[derive(Clone, Debug)]
pub(crate) struct Open {
    pub(crate) node: u64,
    pub(crate) called: Duration,
    pub(crate) timeout: Duration,
    client: usize,
    key: u8,
    /// For a write, the token and its number.
    token: Option<(u64, Bytes)>,
    /// The operation in the history; `None` for a read that may be stale.
    op: Option<OpId>,
    /// The length that its key's value was known to have when the request was made.
    floor: u64,
    /// For a read that may be stale: how stale.
    bound: Option<Duration>,
    attempt: u32,
}

/// A request that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) request: u64,
    pub(crate) open: Open,
    pub(crate) answered: bool,
}

/// The fate of a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Fate {
    acknowledged: bool,
    /// An attempt may have taken effect.
    in_doubt: bool,
}

#[derive(Debug)]
struct Client {
    id: ClientId,
    /// When the client makes its next request, unless one is in progress.
    next: Option<Duration>,
    /// A rejected request, to be retried.
    again: Option<(Open, Option<NodeId>)>,
    /// A key that was just written, to be read at another node than this one.
    look: Option<(u8, u64)>,
}

/// A request on its way to a node.
pub(crate) struct Asked {
    pub(crate) at: Duration,
    pub(crate) node: u64,
    pub(crate) request: SimRequest<Noted>,
}

/// All clients of a run, and what they know.
pub(crate) struct Clients {
    load: Load,
    retired: bool,
    rng: Rng,
    clients: Vec<Client>,
    ends: Ends,
    open: BTreeMap<u64, Open>,
    requests: u64,
    tokens: u64,
    fates: BTreeMap<u64, Fate>,
    /// The length that each key's value is known to have.
    floors: BTreeMap<u8, u64>,
    /// The same at each true time, where reads may have an age.
    known: BTreeMap<u8, Vec<(Duration, u64)>>,
    /// For each node, the last of its writes that was answered or overtaken.
    decided: BTreeMap<u64, u64>,
    history: History<KvInput, KvOutput>,
    /// Operations of unknown outcome, and their tokens.
    lost: Vec<(OpId, Option<u64>)>,
    coverage: Coverage,
    answered: u64,
}

impl Clients {
    pub(crate) fn new(seed: u64, load: Load) -> Self {
        let mut rng = Rng::new(seed ^ CLIENTS);
        let mut history = History::new();
        let gap = load.gap;
        let clients = (0..load.clients).map(|_| Client {
            id: history.fresh_client(),
            next: Some(rng.exponential(gap)),
            again: None,
            look: None,
        });
        let clients = clients.collect();
        Self {
            rng,
            clients,
            ends: Ends::default(),
            open: BTreeMap::new(),
            requests: 0,
            tokens: 0,
            fates: BTreeMap::new(),
            floors: BTreeMap::new(),
            known: BTreeMap::new(),
            decided: BTreeMap::new(),
            history,
            lost: Vec::new(),
            coverage: Coverage::new(),
            answered: 0,
            retired: false,
            load,
        }
    }

    /// When the next request is due.
    pub(crate) fn next_at(&self) -> Option<Duration> {
        self.clients.iter().filter_map(|client| client.next).min()
    }

    /// The requests in progress.
    pub(crate) fn open(&self) -> impl Iterator<Item = &Open> {
        self.open.values()
    }

    /// No client makes a request before `time`.
    pub(crate) fn put_off(&mut self, time: Duration) {
        for next in self
            .clients
            .iter_mut()
            .filter_map(|client| client.next.as_mut())
        {
            *next += time;
        }
    }

    /// The next client's next request, to one of these nodes.
    pub(crate) fn ask(&mut self, nodes: &BTreeSet<u64>) -> Option<Asked> {
        let (client, at) = (self.clients.iter().enumerate())
            .filter_map(|(index, client)| Some((index, client.next?)))
            .min_by_key(|(_, at)| *at)?;
        self.clients[client].next = None;
        Some(self.ask_as(client, at, nodes))
    }

    /// No client makes further requests by itself.
    pub(crate) fn retire(&mut self) {
        for client in &mut self.clients {
            client.next = None;
            client.again = None;
        }
        self.load.retries_max = 0;
        self.retired = true;
    }

    /// A request at this node by a separate client, a write or a read; returns its number.
    pub(crate) fn probe(&mut self, at: Duration, node: u64, write: bool) -> (u64, Asked) {
        self.clients.push(Client {
            id: self.history.fresh_client(),
            next: None,
            again: None,
            look: None,
        });
        let client = self.clients.len() - 1;
        let token = write.then(|| self.token(0));
        // Slow disks need more time to answer.
        let timeout = self.load.timeout;
        self.load.timeout = timeout.max(PROBE_TIMEOUT);
        let asked = self.call(client, at, node, 0, token, false, 0);
        self.load.timeout = timeout;
        (self.requests, asked)
    }

    /// A read at this node that takes a backup.
    pub(crate) fn back_up(&mut self, at: Duration, node: u64) -> (Backup, Asked) {
        let (_, mut asked) = self.probe(at, node, false);
        let backup = Backup::asked(&self.floors);
        if let SimRequest::Read { ticket, .. } = &mut asked.request {
            ticket.backup = Some(backup.clone());
        }
        (backup, asked)
    }

    /// What has ended since the last look, checked against what is known to be decided.
    pub(crate) fn take_ends(
        &mut self,
        now: Duration,
        reference: &Reference,
        clocks: &Clocks,
    ) -> Result<Vec<Ended>, Violation> {
        let ends = std::mem::take(&mut *self.ends.lock().unwrap());
        let mut ended = Vec::with_capacity(ends.len());
        for (request, end) in ends {
            let open = self.open.remove(&request).ok_or_else(|| {
                Violation(format!(
                    "one outcome: request {request} ends again: {end:?}"
                ))
            })?;
            let answered = matches!(end, End::Length(_) | End::Value(..));
            if let End::Length(_) | End::Rejected(Reason::Overtaken, _) = end {
                self.decided(request, &open)?;
            }
            match end {
                End::Length(length) => self.acknowledged(now, &open, length, reference)?,
                End::Value(value, fresh) => {
                    self.is_as_fresh(&open, value.as_deref(), fresh, clocks)?;
                    self.shown(now, &open, value.as_deref(), reference)?;
                }
                End::Rejected(reason, leader) => self.rejected(now, &open, reason, leader),
                End::Unknown => self.lost(now, &open),
            }
            let next = self.clients[open.client].next;
            if next.is_none() && !self.retired {
                let pause = self.rng.exponential(self.load.gap);
                self.clients[open.client].next = Some(now + pause);
            }
            ended.push(Ended {
                request,
                open,
                answered,
            });
        }
        Ok(ended)
    }

    /// Writes of one node are decided in the order of the calls, and an overtaken one ends before
    /// the one that overtook it.
    fn decided(&mut self, request: u64, open: &Open) -> Verdict {
        let last = self.decided.insert(open.node, request).unwrap_or(0);
        must(last < request, "order of the calls", || {
            format!("{request} ends after {last}; {open:?}")
        })
    }

    /// A write was answered: it is in the total order at the place the answer says, after
    /// everything that had ended when it was called.
    fn acknowledged(
        &mut self,
        now: Duration,
        open: &Open,
        length: u64,
        reference: &Reference,
    ) -> Verdict {
        let token = open.token.as_ref().map_or(0, |(token, _)| *token);
        let placed = reference.placed(token);
        let fits = placed.is_some_and(|placed| {
            (placed.key, placed.length) == (open.key, length) && length > open.floor
        });
        must(fits, "recency", || {
            format!(
                "the write of {token} ends with length {length}, it stands at {placed:?}; {open:?}"
            )
        })?;
        self.knows(now, open.key, length);
        self.fates.entry(token).or_default().acknowledged = true;
        self.look_at(now, open);
        self.answered += 1;
        let compact = placed.map_or(0, |placed| placed.compact);
        self.close(open, now, KvOutput::Length(compact));
        Ok(())
    }

    /// Sometimes another client reads the key at once: a deposed leader that does not know it yet
    /// would return the old value.
    fn look_at(&mut self, now: Duration, open: &Open) {
        if self.retired || !self.rng.chance(LOOKS) {
            return;
        }
        let idle = |client: &&mut Client| client.next.is_some() && client.again.is_none();
        if let Some(client) = self.clients.iter_mut().find(idle) {
            client.next = Some(now);
            client.look = Some((open.key, open.node));
        }
    }

    /// A read was answered: its key had this value at some time, and not before what had ended when
    /// it was called.
    fn shown(
        &mut self,
        now: Duration,
        open: &Open,
        value: Option<&[u8]>,
        reference: &Reference,
    ) -> Verdict {
        let bytes = value.unwrap_or_default();
        must(
            reference.has_been(open.key, bytes, open.floor),
            "recency",
            || {
                format!(
                    "a read gives {} bytes, {} were known when it was called; {open:?}, it shows {}",
                    bytes.len(),
                    open.floor,
                    bytes.escape_ascii()
                )
            },
        )?;
        if open.op.is_some() {
            self.knows(now, open.key, bytes.len() as u64);
        } else {
            self.coverage.add("stale reads", 1);
        }
        self.answered += 1;
        let value = value.map(|bytes| Value::from(&compact(bytes)[..]));
        self.close(open, now, KvOutput::Value(value));
        Ok(())
    }

    fn rejected(&mut self, now: Duration, open: &Open, reason: Reason, leader: Option<NodeId>) {
        self.coverage.add(named(reason), 1);
        if let Some(op) = open.op {
            self.history.fail(op).unwrap();
        }
        if open.attempt < self.load.retries_max && open.op.is_some() {
            let client = &mut self.clients[open.client];
            client.again = Some((open.clone(), leader));
            client.next = Some(now + self.rng.exponential(AGAIN_AFTER));
        }
    }

    fn lost(&mut self, _now: Duration, open: &Open) {
        self.coverage.add("unknown outcomes", 1);
        if let Some((token, _)) = open.token {
            self.fates.entry(token).or_default().in_doubt = true;
        }
        if let Some(op) = open.op {
            self.lost
                .push((op, open.token.as_ref().map(|(token, _)| *token)));
            self.clients[open.client].id = self.history.fresh_client();
        }
    }

    fn close(&mut self, open: &Open, now: Duration, output: KvOutput) {
        if let Some(op) = open.op {
            self.history.returned(op, now, output).unwrap();
        }
    }

    fn knows(&mut self, now: Duration, key: u8, length: u64) {
        let floor = self.floors.entry(key).or_default();
        *floor = length.max(*floor);
        if self.load.bounded {
            self.known.entry(key).or_default().push((now, *floor));
        }
    }

    /// A read has every write that had ended when the node's clock showed the moment up to which the
    /// machine is said to be fresh; and that is no longer before the call than a bounded read allows.
    fn is_as_fresh(
        &mut self,
        open: &Open,
        value: Option<&[u8]>,
        fresh: Option<Instant>,
        clocks: &Clocks,
    ) -> Verdict {
        let called = clocks.showed(open.node, open.called);
        if let Some(most) = open.bound {
            self.coverage.add("bounded reads", 1);
            let within = fresh.is_some_and(|fresh| fresh.0 + most >= called);
            must(within, "freshness", || {
                format!("a read of {fresh:?}, called when the clock showed {called:?}; {open:?}")
            })?;
        }
        let Some(fresh) = fresh.filter(|_| self.load.bounded) else {
            return Ok(());
        };
        let at_once = u64::from(fresh.0 < called);
        self.coverage.add("reads of an age", at_once);
        let (when, length) = (
            clocks.when(open.node, fresh.0),
            value.map_or(0, <[u8]>::len),
        );
        let known = self.known.get(&open.key).map_or(&[][..], Vec::as_slice);
        let count = known.partition_point(|(at, _)| *at < when);
        let floor = known[..count].last().map_or(0, |(_, length)| *length);
        must(length as u64 >= floor, "freshness", || {
            format!("{length} bytes, {floor} were known at {when:?}, as fresh as it is; {open:?}")
        })
    }

    /// The final state has each acknowledged token once, and none that was only ever rejected.
    pub(crate) fn check_final(&self, machine: &Tokens) -> Verdict {
        let mut found = BTreeMap::<u64, u64>::new();
        for (_, value) in machine.values() {
            for token in value.split_inclusive(|byte| *byte == b';') {
                *found.entry(number(token)).or_default() += 1;
            }
        }
        for (token, fate) in &self.fates {
            let count = found.remove(token).unwrap_or(0);
            let open = self.open.values().any(|open| open.is_of(*token));
            let allowed = match (fate.acknowledged, fate.in_doubt || open) {
                (true, _) => count == 1,
                (false, true) => count <= 1,
                (false, false) => count == 0,
            };
            must(allowed, "exactly once", || {
                format!("token {token} with {fate:?} is there {count} times")
            })?;
        }
        must(found.is_empty(), "exactly once", || {
            format!("tokens that nobody wrote: {found:?}")
        })
    }

    /// What all clients observed, when nothing happens any more. A request without an answer is
    /// recorded as not having happened if its token is nowhere: everything that was answered is
    /// checked against that too, and the search has fewer branches.
    pub(crate) fn history(&self, reference: &Reference) -> History<KvInput, KvOutput> {
        let mut history = self.history.clone();
        let open = self.open.values().filter_map(|open| {
            let token = open.token.as_ref().map(|(token, _)| *token);
            Some((open.op?, token))
        });
        for (op, token) in self.lost.iter().copied().chain(open) {
            let placed = token.is_some_and(|token| reference.placed(token).is_some());
            let closed = match placed {
                true => history.unknown(op),
                false => history.fail(op),
            };
            closed.unwrap();
        }
        history
    }

    pub(crate) fn cover(&self, coverage: &mut Coverage) {
        coverage.add("requests answered", self.answered);
        coverage.add("requests", self.requests);
        coverage.merge(&self.coverage);
    }

    fn ask_as(&mut self, client: usize, at: Duration, nodes: &BTreeSet<u64>) -> Asked {
        let among: Vec<u64> = nodes.iter().copied().collect();
        let any = among[self.rng.index(among.len())];
        if let Some((again, leader)) = self.clients[client].again.take() {
            let leader = leader
                .map(|leader| leader.0)
                .filter(|id| nodes.contains(id));
            let node = match leader {
                Some(leader) if self.rng.chance(0.5) => leader,
                _ => any,
            };
            self.coverage.add("requests tried again", 1);
            return self.call(
                client,
                at,
                node,
                again.key,
                again.token,
                false,
                again.attempt + 1,
            );
        }
        if let Some((key, elsewhere)) = self.clients[client].look.take() {
            let others = among.iter().copied().filter(|node| *node != elsewhere);
            let others: Vec<u64> = others.collect();
            let node = others.get(self.rng.index(others.len())).copied();
            return self.call(client, at, node.unwrap_or(any), key, None, false, 0);
        }
        let key = self.rng.below(self.load.keys) as u8;
        if self.rng.below(100) >= self.load.reads_percent {
            let padding = self.rng.below(self.load.token_bytes_max);
            let token = self.token(padding as usize);
            return self.call(client, at, any, key, Some(token), false, 0);
        }
        let stale = self.rng.below(100) < self.load.stale_percent;
        self.call(client, at, any, key, None, stale, 0)
    }

    fn token(&mut self, padding: usize) -> (u64, Bytes) {
        self.tokens += 1;
        let token = format!("{}{};", self.tokens, ".".repeat(padding));
        self.fates.insert(self.tokens, Fate::default());
        (self.tokens, token.into())
    }

    #[allow(clippy::too_many_arguments, reason = "it is what a request is made of")]
    fn call(
        &mut self,
        client: usize,
        at: Duration,
        node: u64,
        key: u8,
        token: Option<(u64, Bytes)>,
        stale: bool,
        attempt: u32,
    ) -> Asked {
        let input = match &token {
            Some((_, token)) => KvInput::append([key], Value::from(&compact(token)[..])),
            None => KvInput::get([key]),
        };
        let id = self.clients[client].id;
        let op = (!stale).then(|| self.history.call(id, at, input).unwrap());
        self.requests += 1;
        let ticket = Noted {
            request: self.requests,
            key,
            backup: None,
            ends: Some(Arc::clone(&self.ends)),
        };
        let timeout = self.load.timeout;
        let bounded = stale && self.load.bounded && self.rng.chance(0.7);
        let bound = bounded.then(|| BOUNDS[self.rng.index(BOUNDS.len())]);
        let by_lease = token.is_none() && !stale && self.load.leased && self.rng.chance(0.5);
        self.coverage
            .add("reads by lease asked for", u64::from(by_lease));
        let request = match &token {
            Some((_, token)) => SimRequest::Propose {
                command: [&[key], &token[..]].concat().into(),
                timeout,
                ticket,
            },
            None => SimRequest::Read {
                consistency: match (stale, by_lease) {
                    (true, _) => bound.map_or(Consistency::Stale, Consistency::Bounded),
                    (_, true) => Consistency::Lease,
                    _ => Consistency::Linearizable,
                },
                timeout,
                ticket,
            },
        };
        let floor = self.floors.get(&key).copied().unwrap_or(0);
        let open = Open {
            node,
            called: at,
            timeout,
            client,
            key,
            token,
            op,
            floor: if stale { 0 } else { floor },
            bound,
            attempt,
        };
        self.open.insert(self.requests, open);
        Asked { at, node, request }
    }
}

impl Open {
    fn is_of(&self, token: u64) -> bool {
        self.token.as_ref().is_some_and(|(own, _)| *own == token)
    }
}

fn named(reason: Reason) -> &'static str {
    match reason {
        Reason::NotLeader => "rejected: not leader",
        Reason::Busy => "rejected: busy",
        Reason::TooLarge => "rejected: too large",
        Reason::Expired => "rejected: expired",
        Reason::Full => "rejected: no space",
        Reason::Poisoned => "rejected: poisoned",
        Reason::Overtaken => "rejected: overtaken",
        Reason::NameUsed => "rejected: name used",
        _ => "rejected for another reason",
    }
}

/// How stale bounded reads may be.
const BOUNDS: [Duration; 4] = [ms(0), ms(20), ms(100), ms(1000)];
/// The fraction of answered writes that are read at once.
const LOOKS: f64 = 0.3;
/// Long enough that a core that is still busy with earlier requests is not kept busy with these.
const PROBE_TIMEOUT: Duration = Duration::from_millis(400);
/// Mean time before a rejected request is retried.
const AGAIN_AFTER: Duration = Duration::from_millis(20);
const CLIENTS: u64 = 0x636c_6965_6e74_7321;
