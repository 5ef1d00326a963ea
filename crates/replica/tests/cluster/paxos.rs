//! Multi-Paxos under test.
//!
//! The rules are checked twice. `synod_paxos::check` sees the records that the core makes.
//! Separately, the contents of each node's disk are decoded from the operations that its log took,
//! by the documented layout, so that neither the core nor its translation to the log is trusted.

use std::collections::BTreeMap;
use std::sync::Arc;

use synod_paxos::check::Checker;
use synod_paxos::{
    AcceptorSet, Ballot, Binding, Chosen, Configuration, Echo, Envelope, Kind as ValueKind,
    Message, Quorums, Replicate, Slot, Value,
};
use synod_replica::embed::{Instant, Kind};
use synod_replica::{NodeId, Position, Snapshot, paxos};
use synod_sim::Coverage;
use synod_wal::{Lsn, Op, Tag};

use super::tokens::{FNV_BASIS, fnv};
use super::{Options, Rules, Subject, Verdict, Violation, must};

/// Multi-Paxos, with the rules that every execution must obey.
#[derive(Debug)]
pub(crate) struct Paxos;

/// # Rules
/// - *One value*: all votes for a slot in one ballot are for one value.
/// - *Agreement*: one value is chosen for a slot: the one for which the disks of a phase-2 quorum
///   have, or had, votes in one ballot.
/// - *Promise*: a durable promise never falls; a node votes for nothing below it, except for what
///   is chosen already; and with a promise it reports every vote that it has.
/// - *Durability*: a promise, a request for promises and an acknowledgement are sent only when the
///   node's disk holds what they state, and nothing is reported as chosen that is not.
/// - *Leadership*: a ballot is led by the node in it, in one of its incarnations.
#[derive(Debug, Default)]
pub(crate) struct PaxosRules {
    checker: Checker,
    /// The quorums of each configuration, by the first slot that it governs.
    quorums: BTreeMap<u64, Arc<Configuration>>,
    /// The configurations that were voted for, by the hash of their bodies.
    proposed: BTreeMap<u64, Arc<Configuration>>,
    nodes: BTreeMap<NodeId, Node>,
    /// The acceptors that have, or had, a durable vote in a ballot for a slot.
    accepted: BTreeMap<(u64, Ballot), (Held, AcceptorSet)>,
    chosen: BTreeMap<u64, Held>,
    /// Every slot up to this one is chosen.
    frontier: u64,
    led: BTreeMap<Ballot, (NodeId, u64)>,
    /// Everything up to this slot is known to be chosen by some node.
    known: Slot,
    coverage: Coverage,
}

/// A node's disk, as decoded from its operations.
#[derive(Debug, Default)]
struct Node {
    incarnation: u64,
    disk: Disk,
    /// Records that the log took and has not synced.
    pending: Vec<(Lsn, Disk)>,
    /// The number of records of the write in flight.
    in_flight: usize,
    is_staged: bool,
    /// What the disk had promised when that write was made: a vote cast before a higher promise may
    /// become durable together with it.
    promised_before: Ballot,
    /// Votes that crashes may have kept: of several for a slot, only the last.
    perhaps: BTreeMap<u64, Vec<(Ballot, Held)>>,
    promised: Ballot,
}

/// The contents of a disk, or what a record adds to them.
#[derive(Clone, Debug, Default)]
struct Disk {
    promised: Ballot,
    chosen: u64,
    start: u64,
    votes: BTreeMap<u64, (Ballot, Held)>,
}

/// What distinguishes a value from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Held {
    origin: Ballot,
    kind: ValueKind,
    body: u64,
}

impl Subject for Paxos {
    type Config = paxos::Config;
    type Rules = PaxosRules;

    const NAME: &'static str = "paxos";
    const MINIMUMS: &'static [(&'static str, u64)] = &[
        ("rejected: overtaken", 200),
        ("entries fetched from the log", 25_000),
        ("leaderships", 850),
        ("campaigns advised against", 1_100),
        ("promises asked for", 3_000),
        ("promises with votes", 600),
        ("promises in several pages", 90),
        ("leaders and candidates preempted", 430),
        ("votes for values proposed again", 2_900),
        ("votes for no-ops", 20),
        ("entries behind later epochs", 10),
        ("chosen values asked for", 200),
        ("chosen values told to a leader", 170),
        ("logs cut behind a snapshot", 4_400),
        ("snapshots offered", 400),
        ("snapshots offered to a leader", 15),
        ("machines restored", 780),
        ("steps with reads that wait", 100_000),
        ("configurations decided", 200),
        ("quorums asked for a read", 10_000),
        ("votes told for a read", 10_000),
    ];

    fn config(options: &Options, node: NodeId, seed: u64) -> paxos::Config {
        let mut config = match node.0 <= options.founders {
            true => paxos::Config::new(id(node), quorums(options)),
            false => paxos::Config::joining(id(node)),
        };
        let core = &options.core;
        if let (Some(first), Some(alpha)) = (&mut config.first, core.alpha) {
            first.alpha = alpha;
        }
        config.lease = core.lease.map(|(length, ppm)| paxos::Lease {
            length,
            drift: paxos::Drift(ppm),
        });
        config.seed = seed;
        config.cache_bytes_max = core.cache_bytes_max;
        config.accept_bytes_max = core.append_bytes_max;
        config.inflight_bytes_max = core.inflight_bytes_max;
        config.inflight_messages_max = core.inflight_messages_max;
        config.unchosen_bytes_max = core.uncommitted_bytes_max;
        config.reads_max = core.reads_max;
        config
    }

    /// No more disks may rot than leave a quorum.
    fn fit(options: &mut Options) {
        let spare = options.founders as usize - Self::quorum(options);
        let minority = (options.founders as usize - 1) / 2;
        options.world.rot_nodes_max = Some(spare.min(minority));
    }

    fn quorum(options: &Options) -> usize {
        let (phase1, phase2) = phases(options);
        phase1.max(phase2)
    }

    /// A node that hears from a leader does not campaign, and tells candidates so.
    fn disturbs(_: &Options) -> bool {
        false
    }
}

/// The sizes of the quorums of phase 1 and phase 2.
fn phases(options: &Options) -> (usize, usize) {
    let nodes = options.founders as usize;
    match options.core.flexible {
        None => (nodes / 2 + 1, nodes / 2 + 1),
        Some(drawn) => {
            let phase2 = 1 + drawn as usize % nodes;
            (nodes + 1 - phase2, phase2)
        }
    }
}

fn quorums(options: &Options) -> Quorums {
    let (phase1, phase2) = phases(options);
    let acceptors = (1..=options.founders).map(paxos::NodeId);
    Quorums::flexible(acceptors, phase1, phase2).expect("they meet")
}

impl Rules<Paxos> for PaxosRules {
    fn started(&mut self, node: NodeId, core: &paxos::Paxos) -> Verdict {
        if self.quorums.is_empty()
            && let Some(first) = core.configurations().iter().next()
        {
            self.quorums.insert(1, Arc::clone(&first.configuration));
        }
        let this = self.nodes.entry(node).or_default();
        this.incarnation += 1;
        let found = core.ballot();
        let least = this.disk.promised;
        must(found >= least, "promise", || {
            format!("{least} was promised, and {found} is what is left of it")
        })?;
        if !this.pending.is_empty() {
            self.coverage.add(this.fate(core), 1);
        }
        for (_, record) in std::mem::take(&mut this.pending) {
            for (slot, vote) in record.votes {
                this.perhaps.entry(slot).or_default().push(vote);
            }
            this.disk.promised = this.disk.promised.max(record.promised.min(found));
        }
        // Such a write may install a snapshot, or cut the log at one.
        this.disk.start = this.disk.start.max(core.status().start.0);
        (this.promised, this.in_flight, this.is_staged) = (found, 0, false);
        told(self.checker.started(core))
    }

    fn rotted(&mut self, node: NodeId) {
        self.checker.rotted(id(node));
    }

    fn stepped(&mut self, node: NodeId, core: &paxos::Paxos) -> Verdict {
        let this = self.nodes.entry(node).or_default();
        let (before, now) = (this.promised, core.ballot());
        must(now >= before, "promise", || {
            format!("{before} was promised, then {now}")
        })?;
        this.promised = now;
        told(self.checker.stepped(core))?;
        if core.leader() != Some(id(node)) {
            return Ok(());
        }
        let incarnation = (node, this.incarnation);
        let leader = *self.led.entry(now).or_insert(incarnation);
        must(
            leader == incarnation && now.node == id(node),
            "leadership",
            || format!("{incarnation:?} leads in {now}, which was led by {leader:?}"),
        )
    }

    fn staged(&mut self, node: NodeId, write: &paxos::Write) -> Verdict {
        let this = self.nodes.entry(node).or_default();
        (this.in_flight, this.promised_before) = (0, this.disk.promised);
        this.is_staged = true;
        told(self.checker.staged(id(node), write))
    }

    fn appended(&mut self, node: NodeId, lsn: Lsn, ops: &[Op<'_>]) {
        let record = self.record(ops);
        let this = self.nodes.entry(node).or_default();
        this.pending.push((lsn, record));
        this.in_flight += 1;
        if this.in_flight == 2 {
            self.coverage.add("writes in several records", 1);
        }
    }

    fn durable(&mut self, node: NodeId, lsn: Lsn) -> Verdict {
        let this = self.nodes.entry(node).or_default();
        let count = this.pending.iter().filter(|(at, _)| *at <= lsn).count();
        let records: Vec<_> = this.pending.drain(..count).collect();
        for (_, record) in records {
            self.keep(node, record)?;
        }
        let this = self.nodes.entry(node).or_default();
        // The write is durable with the last of its records, or had none.
        if this.pending.is_empty() && std::mem::take(&mut this.is_staged) {
            told(self.checker.persisted(id(node)))?;
        }
        Ok(())
    }

    fn sent(&mut self, from: NodeId, to: NodeId, message: &Message) -> Verdict {
        self.count(message);
        let envelope = Envelope {
            to: id(to),
            message: message.clone(),
        };
        told(self.checker.sent(id(from), &envelope))?;
        match message {
            Message::Replicate(Replicate::Accept { chosen, .. })
            | Message::Replicate(Replicate::Heartbeat { chosen, .. })
            | Message::Replicate(Replicate::Chosen { chosen, .. })
            | Message::Replicate(Replicate::Invite { chosen, .. })
            | Message::Echo(Echo::Answer { chosen, .. })
            | Message::Echo(Echo::Heartbeat { chosen, .. }) => self.is_chosen(*chosen),
            Message::Binding(Binding::Prepare { ballot, .. }) => {
                must(ballot.node == id(from), "leadership", || {
                    format!("it asks for promises in {ballot}")
                })?;
                self.has_promised(from, *ballot)
            }
            Message::Binding(Binding::Promise {
                ballot,
                from: first,
                votes,
                next,
                chosen,
                configurations: _,
            }) => {
                self.has_promised(from, *ballot)?;
                self.is_chosen(*chosen)?;
                let told: BTreeMap<u64, (Ballot, Held)> = votes
                    .iter()
                    .map(|vote| (vote.slot.0, (vote.ballot, Held::of(&vote.value))))
                    .collect();
                let begins = first.0.max(chosen.0 + 1);
                let ends = next.map_or(u64::MAX, |next| next.0);
                self.tells_its_votes(from, *ballot, begins..ends, &told)
            }
            Message::Binding(Binding::Accepted {
                ballot,
                first,
                last,
            }) => (first.0..=last.0).try_for_each(|slot| self.has_accepted(from, *ballot, slot)),
            Message::Echo(Echo::Learned { first, values, .. }) => {
                let slots = first.0..;
                slots.zip(values).try_for_each(|(slot, value)| {
                    let known = self.chosen.get(&slot);
                    must(known == Some(&Held::of(value)), "durability", || {
                        format!("at {slot} {value:?} is called chosen, {known:?} is")
                    })
                })
            }
            Message::Replicate(Replicate::Snapshot { snapshot, .. })
            | Message::Echo(Echo::Offer { snapshot, .. }) => {
                self.is_origin(snapshot.last.slot.0, snapshot.last.origin)
            }
            Message::Replicate(Replicate::Settle { slot, .. })
            | Message::Binding(Binding::Settled { slot, .. }) => self.is_chosen(*slot),
            Message::Echo(
                Echo::Ask { .. }
                | Echo::HowFar { .. }
                | Echo::Voted { .. }
                | Echo::Preempted { .. }
                | Echo::Removed { .. }
                | Echo::Learn { .. },
            ) => Ok(()),
        }
    }

    fn applied(&mut self, node: NodeId, at: Position, kind: Kind, body: &bytes::Bytes) -> Verdict {
        let known = self.chosen.get(&at.index).copied();
        if let Some(known) = known.filter(|known| known.kind == ValueKind::Configuration) {
            return self.applied_configuration(node, &at, kind, body, known);
        }
        let held = Held {
            origin: origin(&at.tag),
            kind: match kind {
                Kind::Noop => ValueKind::Noop,
                Kind::Commands => ValueKind::Command,
                Kind::Membership => ValueKind::Configuration,
            },
            body: fnv(FNV_BASIS, body),
        };
        must(known == Some(held), "durability", || {
            format!("at {} {held:?} is applied, {known:?} is chosen", at.index)
        })?;
        let value = Value {
            kind: held.kind,
            origin: held.origin,
            body: body.clone(),
        };
        let chosen = Chosen {
            first: Slot(at.index),
            values: vec![value].into(),
        };
        told(self.checker.applied(id(node), &chosen))
    }

    fn restored(&mut self, node: NodeId, snapshot: &Snapshot) -> Verdict {
        self.is_origin(snapshot.index, origin(&snapshot.tag))?;
        let configurations = paxos::Configurations::decode(&snapshot.meta)
            .map_err(|error| Violation(format!("agreement: {error} in {snapshot:?}")))?;
        let last = paxos::Position {
            slot: Slot(snapshot.index),
            origin: origin(&snapshot.tag),
        };
        let snapshot = paxos::Snapshot {
            last,
            configurations,
        };
        told(self.checker.restored(id(node), &snapshot))
    }

    fn rested(&mut self, _: NodeId, core: &paxos::Paxos, options: &Options) -> Verdict {
        let status = core.status();
        let one = options.engine.body_bytes_max + VALUE_BYTES;
        let window = options.core.inflight_bytes_max + options.core.append_bytes_max.max(one);
        let in_bounds = |peer: &synod_paxos::PeerStatus| peer.inflight_bytes <= window;
        must(status.peers.iter().all(in_bounds), "memory bound", || {
            format!("in flight with a window of {window}: {status:?}")
        })?;
        let at_rest = status.last == status.persisted && status.delivered == status.persisted;
        must(
            !at_rest || status.cache_bytes <= options.core.cache_bytes_max,
            "memory bound",
            || format!("the cache holds too much: {status:?}"),
        )
    }

    fn leased(&mut self, core: &paxos::Paxos, now: Instant) -> Verdict {
        self.known = self.known.max(core.status().chosen);
        let Ok(slot) = core.read_by_lease(synod_paxos::Instant(now.0)) else {
            return Ok(());
        };
        self.coverage.add("steps with a lease", 1);
        let known = self.known;
        must(slot >= known, "lease", || {
            format!("a read by lease sees {slot:?}, and {known:?} is known to be chosen")
        })
    }

    fn removed(&mut self, node: NodeId) -> Verdict {
        let last = self.quorums.last_key_value();
        let is_member = last.is_none_or(|(_, last)| last.membership.contains(id(node)));
        must(!is_member, "removal", || {
            format!("it is a member of the last configuration: {last:?}")
        })
    }

    fn cover(&self, coverage: &mut Coverage) {
        coverage.add("leaderships", self.led.len() as u64);
        coverage.merge(&self.coverage);
    }
}

impl PaxosRules {
    /// Decodes the operations of one record.
    fn record(&mut self, ops: &[Op<'_>]) -> Disk {
        let mut record = Disk::default();
        for op in ops {
            match op {
                Op::State(tag) => {
                    let [round, node, chosen, _] = words(tag);
                    record.promised = ballot(round, node);
                    record.chosen = chosen;
                }
                Op::Truncate { .. } => unreachable!("Paxos takes no vote back"),
                Op::Start { after, .. } => {
                    record.start = *after;
                    self.coverage.add("logs cut behind a snapshot", 1);
                }
                Op::Put { index, tag, body } => {
                    let [round, node, packed, origin_node] = words(tag);
                    let held = Held {
                        origin: ballot(packed & Ballot::ROUND_MAX, origin_node),
                        kind: match packed >> 62 {
                            0 => ValueKind::Noop,
                            1 => ValueKind::Command,
                            _ => ValueKind::Configuration,
                        },
                        body: fnv(FNV_BASIS, body),
                    };
                    let voted = ballot(round, node);
                    if held.kind == ValueKind::Noop {
                        self.coverage.add("votes for no-ops", 1);
                    } else if held.origin != voted {
                        self.coverage.add("votes for values proposed again", 1);
                    }
                    if held.kind == ValueKind::Configuration {
                        let configuration = Configuration::decode(body).expect("its own bytes");
                        self.proposed.insert(held.body, Arc::new(configuration));
                    }
                    record.votes.insert(*index, (voted, held));
                }
            }
        }
        record
    }

    /// A record is durable.
    fn keep(&mut self, node: NodeId, record: Disk) -> Verdict {
        let frontier = self.frontier;
        let this = self.nodes.entry(node).or_default();
        must(
            record.chosen <= frontier.max(this.disk.start),
            "durability",
            || format!("it notes {} as chosen, {frontier} is", record.chosen),
        )?;
        this.disk.promised = this.disk.promised.max(record.promised);
        if record.start > this.disk.start {
            this.disk.start = record.start;
            this.disk.votes.retain(|slot, _| *slot > record.start);
            this.perhaps.retain(|slot, _| *slot > record.start);
        }
        let promised = this.promised_before;
        for (slot, (ballot, held)) in record.votes {
            let chosen = self.chosen.get(&slot);
            must(
                ballot >= promised || chosen == Some(&held),
                "promise",
                || format!("it votes for {slot} in {ballot}, and had promised {promised}"),
            )?;
            self.vote(node, slot, ballot, held)?;
        }
        Ok(())
    }

    fn vote(&mut self, node: NodeId, slot: u64, ballot: Ballot, held: Held) -> Verdict {
        let chosen = self.chosen.get(&slot).copied();
        let this = self.nodes.entry(node).or_default();
        this.perhaps.remove(&slot);
        if let Some((before, _)) = this.disk.votes.insert(slot, (ballot, held)) {
            must(ballot >= before || chosen == Some(held), "promise", || {
                format!("a vote for {slot} in {before} gives way to one in {ballot}")
            })?;
        }
        let first = (held, AcceptorSet::default());
        let (one, acceptors) = self.accepted.entry((slot, ballot)).or_insert(first);
        let one = *one;
        must(one == held, "one value", || {
            format!("for {slot} in {ballot}: {one:?} and {held:?}")
        })?;
        let Some((_, governing)) = self.quorums.range(..=slot).next_back() else {
            return Ok(());
        };
        must(slot <= self.frontier + governing.alpha, "reach", || {
            format!("a vote for {slot}, and {} is chosen", self.frontier)
        })?;
        let quorums = &governing.membership.quorums;
        quorums.insert(acceptors, id(node));
        if !quorums.is_phase2(*acceptors) {
            return Ok(());
        }
        let known = *self.chosen.entry(slot).or_insert(held);
        while let Some(next) = self.chosen.get(&(self.frontier + 1)) {
            let configuration = self.proposed.get(&next.body).cloned();
            let is_one = next.kind == ValueKind::Configuration;
            self.frontier += 1;
            if let Some(configuration) = configuration.filter(|_| is_one) {
                self.reconfigure(configuration);
            }
        }
        must(known == held, "agreement", || {
            format!("for {slot} {known:?} is chosen, and in {ballot} {held:?}")
        })
    }

    /// A configuration is chosen in the slot at the frontier: it governs from α slots later on, unless
    /// it stands behind another of its number, or the one before is not yet in force.
    fn reconfigure(&mut self, configuration: Arc<Configuration>) {
        let last = self.quorums.last_key_value();
        let follows = last.is_some_and(|(from, last)| {
            *from <= self.frontier && configuration.number == last.number + 1
        });
        if follows {
            let from = self.frontier + configuration.alpha;
            self.quorums.insert(from, configuration);
            self.coverage.add("configurations decided", 1);
        } else {
            self.coverage.add("configurations behind another", 1);
        }
    }

    /// A chosen configuration is delivered as all configurations as of its slot, if it takes effect, and
    /// as a no-op otherwise.
    fn applied_configuration(
        &mut self,
        node: NodeId,
        at: &Position,
        kind: Kind,
        body: &bytes::Bytes,
        known: Held,
    ) -> Verdict {
        let configuration = Arc::clone(&self.proposed[&known.body]);
        let governs = self.quorums.get(&(at.index + configuration.alpha));
        let takes_effect = governs == Some(&configuration);
        let fits = match kind {
            Kind::Membership => {
                let all = paxos::Configurations::decode(body).ok();
                let latest = all.as_ref().and_then(paxos::Configurations::latest);
                takes_effect && latest.is_some_and(|it| it.configuration == configuration)
            }
            Kind::Noop => !takes_effect,
            Kind::Commands => false,
        };
        must(
            fits && known.origin == origin(&at.tag),
            "durability",
            || {
                format!(
                    "at {} a {kind:?} is applied, {configuration:?} is chosen",
                    at.index
                )
            },
        )?;
        let value = Value {
            kind: known.kind,
            origin: known.origin,
            body: configuration.encode(),
        };
        let chosen = Chosen {
            first: Slot(at.index),
            values: vec![value].into(),
        };
        told(self.checker.applied(id(node), &chosen))
    }

    fn is_chosen(&self, through: Slot) -> Verdict {
        let frontier = self.frontier;
        must(through.0 <= frontier, "durability", || {
            format!(
                "everything up to {} is called chosen, {frontier} is",
                through.0
            )
        })
    }

    fn is_origin(&self, slot: u64, origin: Ballot) -> Verdict {
        self.is_chosen(Slot(slot))?;
        let known = self.chosen.get(&slot).map(|held| held.origin);
        must(known == Some(origin), "agreement", || {
            format!("a snapshot ends at {slot} with a value of {origin}, {known:?} was chosen")
        })
    }

    fn has_promised(&self, node: NodeId, ballot: Ballot) -> Verdict {
        let promised = self.nodes[&node].disk.promised;
        must(promised >= ballot, "durability", || {
            format!("it promises {ballot}, its disk has {promised}")
        })
    }

    /// An acknowledgement of a vote in this ballot, or of what is chosen.
    fn has_accepted(&mut self, node: NodeId, ballot: Ballot, slot: u64) -> Verdict {
        let chosen = self.chosen.get(&slot).copied();
        let this = self.nodes.entry(node).or_default();
        let says = |(voted, held): &(Ballot, Held)| *voted == ballot || Some(*held) == chosen;
        let durable = this.disk.votes.get(&slot);
        if slot <= this.disk.start || durable.is_some_and(says) {
            return Ok(());
        }
        // Only a node that restarted knows what was on its disk.
        let mut perhaps = this.perhaps.get(&slot).into_iter().flatten().copied();
        match perhaps.find(says) {
            Some((voted, held)) => self.vote(node, slot, voted, held),
            None => must(false, "durability", || {
                format!("it acknowledges {slot} in {ballot}, its disk has {durable:?}")
            }),
        }
    }

    /// A promise must report all votes, and none that the node does not have; but a vote in this
    /// very ballot may have joined the write of the promise, in place of the previous one.
    fn tells_its_votes(
        &mut self,
        node: NodeId,
        ballot: Ballot,
        slots: std::ops::Range<u64>,
        told: &BTreeMap<u64, (Ballot, Held)>,
    ) -> Verdict {
        if slots.is_empty() {
            return Ok(());
        }
        for (slot, (voted, held)) in told {
            let this = &self.nodes[&node];
            let on_disk = this.disk.votes.get(slot);
            let durable = on_disk.is_some_and(|vote| *vote == (*voted, *held) || vote.0 >= ballot);
            let mut perhaps = this.perhaps.get(slot).into_iter().flatten();
            must(
                durable || perhaps.any(|vote| *vote == (*voted, *held)),
                "durability",
                || format!("it tells of a vote for {slot} in {voted} that its disk lacks"),
            )?;
            if !durable {
                self.vote(node, *slot, *voted, *held)?;
            }
        }
        let mut before = self.nodes[&node].disk.votes.range(slots);
        let hidden = before.find(|(slot, vote)| vote.0 < ballot && told.get(slot) != Some(vote));
        must(hidden.is_none(), "promise", || {
            format!("it promises {ballot} and is silent about {hidden:?}, it tells {told:?}")
        })
    }

    fn count(&mut self, message: &Message) {
        let name = match message {
            Message::Binding(Binding::Prepare { .. }) => "promises asked for",
            Message::Binding(Binding::Promise { next: Some(_), .. }) => "promises in several pages",
            Message::Binding(Binding::Promise { votes, .. }) if !votes.is_empty() => {
                "promises with votes"
            }
            Message::Echo(Echo::Answer {
                no_leader: false, ..
            }) => "campaigns advised against",
            Message::Echo(Echo::Preempted { .. }) => "leaders and candidates preempted",
            Message::Echo(Echo::HowFar { .. }) => "quorums asked for a read",
            Message::Echo(Echo::Voted { .. }) => "votes told for a read",
            Message::Echo(Echo::Learn { .. }) => "chosen values asked for",
            Message::Echo(Echo::Learned { .. }) => "chosen values told to a leader",
            Message::Echo(Echo::Offer { .. }) => "snapshots offered to a leader",
            Message::Echo(Echo::Heartbeat { behind: true, .. }) => "acknowledgements forgotten",
            Message::Replicate(Replicate::Snapshot { .. }) => "snapshots offered",
            Message::Echo(Echo::Removed { .. }) => "removed nodes told",
            _ => return,
        };
        self.coverage.add(name, 1);
    }
}

impl Node {
    /// The fate of a write in flight when the node crashed, as far as it can be told: one that only
    /// replaced older votes counts as lost.
    fn fate(&self, core: &paxos::Paxos) -> &'static str {
        let last = self
            .disk
            .votes
            .last_key_value()
            .map_or(0, |(slot, _)| *slot);
        let status = core.status();
        let kept = core.ballot() > self.disk.promised || status.last.0 > last.max(self.disk.start);
        match kept {
            true => "unsynced writes that a crash kept",
            false => "unsynced writes that a crash took",
        }
    }
}

impl Held {
    fn of(value: &Value) -> Self {
        Self {
            origin: value.origin,
            kind: value.kind,
            body: fnv(FNV_BASIS, &value.body),
        }
    }
}

fn told<E: std::fmt::Display>(verdict: Result<(), E>) -> Verdict {
    verdict.map_err(|violation| Violation(violation.to_string()))
}

fn id(node: NodeId) -> paxos::NodeId {
    paxos::NodeId(node.0)
}

fn ballot(round: u64, node: u64) -> Ballot {
    Ballot {
        round,
        node: paxos::NodeId(node),
    }
}

fn origin(tag: &Tag) -> Ballot {
    let [round, node, ..] = words(tag);
    ballot(round, node)
}

fn words(tag: &Tag) -> [u64; 4] {
    let mut words = tag.0.chunks_exact(8);
    std::array::from_fn(|_| u64::from_le_bytes(words.next().unwrap().try_into().unwrap()))
}

/// The most that a core counts for a value besides its body, in bytes.
const VALUE_BYTES: usize = 64;
