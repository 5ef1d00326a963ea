//! A server: one replica of every shard, the leaders of those that its node leads, and reads without locks.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use synod_replica::embed::Instant;
use synod_replica::sim::{AppContext, SimRequest};
use synod_replica::{Change, Member, NodeId};
use synod_sim::Rng;
use synod_spanner::{
    Act, Answer, Command, Ended, Leader, Limits, Now, Output, Reign, Reply, Request, SafeTime,
    ScanLimit, ShardId, Stamped, TxnId,
};
use synod_truetime::{Floor, NamedFloor, Timestamp};

use super::cluster::{Groups, Inbox, Options, Outcome, Subject, Ticket, group};
use super::facts::Facts;
use super::looks::Looks;
use super::mail::{Mail, Part};
use crate::bank::SHARDS;
use crate::bank::clock::{Clock, Reading};

pub(super) const LIMITS: Limits = Limits {
    locks_max: 100,
    transactions_max: 40,
    prepared_max: 20,
    outcomes_max: 100_000,
    scan: ScanLimit {
        versions_max: 3,
        bytes_max: 1000,
    },
    client_lease: Duration::from_millis(200),
    leader_lease: Duration::from_millis(300),
    versions_kept: Duration::from_millis(500),
    outcomes_kept: Duration::from_millis(1000),
};

pub(super) type Context<'a, S> = AppContext<'a, Groups<S>>;

/// See the module.
#[derive(Debug)]
pub(super) struct Server {
    id: u64,
    options: Options,
    clock: Clock,
    pub(super) floor: NamedFloor,
    rng: Rng,
    pub(super) facts: Facts,
    pub(super) seats: BTreeMap<ShardId, Seat>,
    inbox: Inbox,
    looks: Looks,
    /// Attempts to lead so far.
    attempts: u64,
    /// It has looked at its clock and taken a message, and does nothing else until then.
    paused: Option<Paused>,
    promises_at: Instant,
    hands_over_at: Instant,
    replaces_at: Instant,
}

#[derive(Debug)]
struct Paused {
    until: Instant,
    reading: Reading,
    /// The first by that reading, the others by new ones.
    mail: Vec<(NodeId, Mail)>,
}

/// The node's part in one shard.
#[derive(Debug, Default)]
pub(super) struct Seat {
    /// By which attempt.
    pub(super) leader: Option<(u64, Leader)>,
    /// An attempt to lead that is in the log or on its way.
    pub(super) tries: Option<u64>,
    tries_at: Instant,
    pub(super) safe: SafeTime,
    pub(super) asked_to_close: Instant,
}

impl Server {
    pub(super) fn start(id: u64, options: Options, facts: Facts, seed: u64) -> Self {
        let mut rng = Rng::new(!seed);
        let epsilon_us = options.epsilon_us as i64;
        let clock = Clock {
            offset_us: rng.below(2 * options.epsilon_us + 1) as i64 - epsilon_us,
            epsilon_us,
            claims_no_doubt: false,
        };
        Self {
            id,
            options,
            clock,
            floor: NamedFloor::new(id),
            rng,
            facts,
            seats: SHARDS.map(|shard| (shard, Seat::default())).into(),
            inbox: Inbox::default(),
            looks: Looks::default(),
            attempts: 0,
            paused: None,
            promises_at: Instant::default(),
            hands_over_at: Instant::default(),
            replaces_at: Instant::default(),
        }
    }

    /// Whether nothing is under way here.
    pub(super) fn is_idle(&self) -> bool {
        let mut seats = self.seats.values();
        self.paused.is_none()
            && self.inbox.is_empty()
            && self.looks.is_empty()
            && seats.all(|seat| {
                let leader = seat.leader.as_ref();
                seat.tries.is_none() && leader.is_none_or(|(_, leader)| leader.is_idle())
            })
    }

    /// What is under way here, in a line.
    pub(super) fn waits_for(&self) -> String {
        let seats = self.seats.iter().map(|(shard, seat)| match &seat.leader {
            Some((_, leader)) if !leader.is_idle() => format!("{shard:?} leads: {leader:?}; "),
            Some(_) => format!("{shard:?} leads, idle; "),
            None => format!("{shard:?} tries {:?}; ", seat.tries),
        });
        let seats: String = seats.collect();
        let (paused, inbox) = (self.paused.is_some(), !self.inbox.is_empty());
        let looks = &self.looks;
        format!("{seats}paused {paused}, outcomes {inbox}, {looks:?}")
    }

    pub(super) fn read_clock<S: Subject>(&mut self, context: &Context<'_, S>) -> Reading {
        let us = micros(context.true_now());
        let step = self.options.epsilon_us / 16;
        self.clock
            .wander(self.rng.below(2 * step + 1) as i64 - step as i64);
        let reading = self.clock.read(us, context.now(), &mut self.floor);
        self.facts.lock().book.watch.read(&reading);
        reading
    }

    pub(super) fn receive<S: Subject>(
        &mut self,
        from: NodeId,
        bytes: &Bytes,
        context: &mut Context<'_, S>,
    ) {
        let mail = self.facts.mail(bytes);
        if let Some(paused) = &mut self.paused {
            if paused.mail.len() < PAUSED_MAX {
                paused.mail.push((from, mail));
            }
            return;
        }
        let reading = self.read_clock(context);
        let pauses = self.rng.below(1000) < self.options.pauses_permille;
        if pauses && !self.facts.lock().is_calm {
            self.facts.count("pauses between the clock and the act");
            let until = context.now() + self.rng.exponential(PAUSE);
            let mail = vec![(from, mail)];
            self.paused = Some(Paused {
                until,
                reading,
                mail,
            });
            return self.set_timer(context);
        }
        self.handle(from, mail, &reading, context);
    }

    pub(super) fn time_out<S: Subject>(&mut self, context: &mut Context<'_, S>) {
        let now = context.now();
        if let Some(paused) = self.paused.take_if(|paused| paused.until <= now) {
            let mut reading = paused.reading;
            for (from, mail) in paused.mail {
                self.handle(from, mail, &reading, context);
                reading = self.read_clock(context);
            }
        }
        self.progress(context);
    }

    /// Looks at what the groups have done, and what is due.
    pub(super) fn progress<S: Subject>(&mut self, context: &mut Context<'_, S>) {
        if self.paused.is_none() {
            while let Some(outcome) = self.inbox.take() {
                self.end(outcome, context);
            }
            for shard in SHARDS {
                self.follow(shard, context);
                self.be_on_time(shard, context);
            }
            self.promise(context);
            self.hand_over(context);
            self.replace(context);
            self.look(context);
        }
        self.set_timer(context);
    }

    fn set_timer<S: Subject>(&mut self, context: &mut Context<'_, S>) {
        let now = context.now();
        if let Some(paused) = &self.paused {
            return context.set_timer(Some(paused.until));
        }
        let reading = self.read_clock(context);
        let seats = self.seats.iter().map(|(shard, seat)| match &seat.leader {
            Some((_, leader)) => leader.poll_timeout(&now_of(*shard, &reading, context)),
            None => seat.tries_at,
        });
        let seats = seats.filter(|at| *at > now).min();
        let looks = self.looks.wake(now, &reading.time);
        let all = [seats, looks, Some(self.promises_at)];
        let first = all.into_iter().flatten().min();
        // What is due already is waited for, and not asked for again at once.
        context.set_timer(first.map(|at| at.max(now + MOMENT)));
    }

    /// A command of this node has ended: anything but "applied, next in number" ends the reign.
    fn end<S: Subject>(&mut self, outcome: Outcome, context: &mut Context<'_, S>) {
        let shard = outcome.shard;
        let reading = self.read_clock(context);
        let now = now_of(shard, &reading, context);
        let Some(seat) = self.seats.get_mut(&shard) else {
            return;
        };
        if outcome.result.is_err() {
            self.facts
                .count("commands whose end is not known, or refused");
        }
        if outcome.number == 0 {
            if seat.tries == Some(outcome.by) {
                seat.tries = None;
                seat.tries_at = reading.local + TRY_AGAIN;
                if let Ok(applied) = outcome.result
                    && let Reply::TookOver(standing) = applied.reply
                {
                    let leader = Leader::new(shard, LIMITS, *standing, applied.index, &now);
                    seat.leader = Some((outcome.by, leader));
                }
            }
        } else if let Some((by, leader)) = &mut seat.leader
            && *by == outcome.by
        {
            let handled = match outcome.result {
                Ok(applied) => leader.handle_applied(&now, outcome.number, applied),
                Err(_) => Err(Ended::Deposed),
            };
            // What it has said before its end is still to be sent.
            self.drain(shard, &reading, context);
            if let Err(ended) = handled {
                self.depose(shard, ended, &reading, context);
            }
            return;
        }
        self.drain(shard, &reading, context);
    }

    fn depose<S: Subject>(
        &mut self,
        shard: ShardId,
        ended: Ended,
        reading: &Reading,
        context: &mut Context<'_, S>,
    ) {
        let Some(seat) = self.seats.get_mut(&shard) else {
            return;
        };
        seat.leader = None;
        seat.tries_at = reading.local + TRY_AGAIN;
        if ended == Ended::HandedOver {
            self.facts.count("hand-overs");
            seat.tries_at = reading.local + LEAVES_FOR;
            context.request(group(shard), SimRequest::Transfer { to: None });
        }
    }

    /// The leader follows the group's role: a hint, which saves time.
    fn follow<S: Subject>(&mut self, shard: ShardId, context: &mut Context<'_, S>) {
        let reading = self.read_clock(context);
        let Some(of) = context.group(group(shard)) else {
            return;
        };
        let (leads, state) = (of.leads(), of.machine().state());
        let Some(seat) = self.seats.get_mut(&shard) else {
            return;
        };
        seat.safe.handle_applied(state);
        let follows = self.options.follows_role || self.facts.lock().is_calm;
        if !leads && follows && seat.leader.take().is_some() {
            self.facts.count("leaders that lost their role");
        }
        let is_free = seat.leader.is_none() && seat.tries.is_none();
        if !leads || !is_free || reading.local < seat.tries_at {
            return;
        }
        self.attempts += 1;
        seat.tries = Some(self.attempts);
        let lease_end = reading.time.earliest() + LIMITS.leader_lease;
        let command = Command {
            reign: Reign(state.reign().0 + 1),
            number: 0,
            floor: reading.floor,
            act: Act::TakeOver { lease_end },
        };
        let by = self.attempts;
        self.propose(shard, by, &command, context);
    }

    fn propose<S: Subject>(
        &self,
        shard: ShardId,
        by: u64,
        command: &Command,
        context: &mut Context<'_, S>,
    ) {
        let ticket = Ticket {
            shard,
            by,
            number: command.number,
            to: self.inbox.clone(),
        };
        let request = SimRequest::Propose {
            command: command.encode(),
            timeout: PROPOSAL,
            ticket,
        };
        context.request(group(shard), request);
    }

    fn be_on_time<S: Subject>(&mut self, shard: ShardId, context: &mut Context<'_, S>) {
        let reading = self.read_clock(context);
        self.lead(shard, &reading, context, |leader, now| {
            if leader.poll_timeout(now) <= now.local {
                leader.handle_timeout(now);
            }
        });
        let sound = |(_, leader): &(u64, Leader)| leader.locks().is_sound();
        let leader = &self.seats[&shard].leader;
        if !leader.as_ref().is_none_or(sound) {
            let what = format!("locks: two hold what only one may: {leader:?}");
            self.facts.lock().book.watch.fail(what);
        }
    }

    /// The leader of a shard does something, if it is here. Returns whether it is.
    pub(super) fn lead<S: Subject>(
        &mut self,
        shard: ShardId,
        reading: &Reading,
        context: &mut Context<'_, S>,
        act: impl FnOnce(&mut Leader, &Now<'_>),
    ) -> bool {
        let seat = self.seats.get_mut(&shard);
        let Some((_, leader)) = seat.and_then(|seat| seat.leader.as_mut()) else {
            return false;
        };
        act(leader, &now_of(shard, reading, context));
        self.drain(shard, reading, context);
        true
    }

    /// What the leader wants done, by the reading that it was given.
    fn drain<S: Subject>(
        &mut self,
        shard: ShardId,
        reading: &Reading,
        context: &mut Context<'_, S>,
    ) {
        loop {
            let seat = self.seats.get_mut(&shard);
            let Some((by, leader)) = seat.and_then(|seat| seat.leader.as_mut()) else {
                return;
            };
            let by = *by;
            match leader.poll_output() {
                None => return,
                Some(Output::Propose(command)) => {
                    self.facts.lock().book.watch.proposed(&command, reading);
                    self.propose(shard, by, &command, context);
                }
                Some(Output::Peer(to, peer)) => {
                    self.facts.lock().told_peer(&peer, reading);
                    let mail = Mail::Peer(to, stamp(reading.floor, peer));
                    self.send_to_leader(to, mail, context);
                }
                Some(Output::Client(txn, answer)) => {
                    self.answers(&txn, &answer, reading);
                    let client = NodeId(txn.node);
                    let mail = Mail::Answer(shard, stamp(reading.floor, (txn, answer)));
                    context.send(client, self.facts.post(mail));
                }
            }
        }
    }

    fn answers(&self, txn: &TxnId, answer: &Answer, reading: &Reading) {
        let mut facts = self.facts.lock();
        match answer {
            Answer::Decided(decision, _) => facts.told(*txn, *decision, reading),
            Answer::Read { scan, .. } => {
                for version in &scan.versions {
                    let watch = &mut facts.book.watch;
                    watch.told(version.written, reading, "a locked read");
                }
            }
            Answer::Refused(_) => {}
        }
    }

    /// To where the shard's leader is believed to be. Whoever was removed from the group cannot know, and may not know
    /// that it was: so now and then to all servers, of which one leads.
    pub(super) fn send_to_leader<S: Subject>(
        &mut self,
        shard: ShardId,
        mail: Mail,
        context: &mut Context<'_, S>,
    ) {
        let of = context.group(group(shard));
        let leader = of.and_then(|of| of.status().leadership);
        let message = self.facts.post(mail);
        match leader.filter(|_| self.rng.chance(0.8)) {
            Some(leader) => context.send(leader.node, message),
            None => (1..=self.options.servers)
                .for_each(|server| context.send(NodeId(server), message.clone())),
        }
    }

    fn handle<S: Subject>(
        &mut self,
        from: NodeId,
        mail: Mail,
        reading: &Reading,
        context: &mut Context<'_, S>,
    ) {
        match mail {
            Mail::Request(shard, request) => {
                let again = from.0 > self.options.servers;
                self.request(shard, request, reading, context, again);
            }
            Mail::Peer(shard, peer) if self.lets_in(peer.floor, reading) => {
                self.lead(shard, reading, context, |leader, now| {
                    leader.handle_peer(now, peer.message);
                });
            }
            Mail::Close(shard, wanted) if self.lets_in(wanted.floor, reading) => {
                self.close(shard, from, wanted.message, reading, context);
            }
            Mail::Promise(shard, promise) if self.lets_in(promise.floor, reading) => {
                let of = context.group(group(shard));
                if let (Some(seat), Some(of)) = (self.seats.get_mut(&shard), of) {
                    seat.safe
                        .handle_promise(promise.message, of.machine().state());
                }
            }
            Mail::Look(part) if self.lets_in(part.floor, reading) => {
                self.begin_look(from, part.message, reading, context);
            }
            _ => {}
        }
    }

    fn request<S: Subject>(
        &mut self,
        shard: ShardId,
        request: Stamped<Request>,
        reading: &Reading,
        context: &mut Context<'_, S>,
        sends_on: bool,
    ) {
        if !self.lets_in(request.floor, reading) {
            return;
        }
        let message = request.message.clone();
        let here = self.lead(shard, reading, context, |leader, now| {
            leader.handle_request(now, message);
        });
        if !here && sends_on {
            self.send_to_leader(shard, Mail::Request(shard, request), context);
        }
    }

    /// Closes by word, for one replica.
    fn close<S: Subject>(
        &mut self,
        shard: ShardId,
        to: NodeId,
        wanted: Timestamp,
        reading: &Reading,
        context: &mut Context<'_, S>,
    ) {
        let seat = self.seats.get_mut(&shard);
        let Some((_, leader)) = seat.and_then(|seat| seat.leader.as_mut()) else {
            return;
        };
        let promise = leader.close(wanted, &reading.time);
        self.facts.lock().book.watch.promised(shard, promise);
        let mail = Mail::Promise(shard, stamp(reading.floor, promise));
        context.send(to, self.facts.post(mail));
    }

    /// Now and then each leader closes for all replicas.
    fn promise<S: Subject>(&mut self, context: &mut Context<'_, S>) {
        let reading = self.read_clock(context);
        if reading.local < self.promises_at {
            return;
        }
        self.promises_at = reading.local + PROMISES;
        for shard in SHARDS {
            for node in 1..=self.options.servers {
                self.close(shard, NodeId(node), Timestamp::MAX, &reading, context);
            }
        }
    }

    /// Now and then a leader leaves on purpose, or its node's group is led elsewhere without a word.
    fn hand_over<S: Subject>(&mut self, context: &mut Context<'_, S>) {
        let reading = self.read_clock(context);
        if reading.local < self.hands_over_at || self.facts.lock().is_calm {
            return;
        }
        let first = self.hands_over_at == Instant::default();
        let gap = self.rng.exponential(self.options.hands_over_every);
        self.hands_over_at = reading.local + gap;
        let shard = SHARDS[self.rng.index(SHARDS.len())];
        if first || self.seats[&shard].leader.is_none() {
            return;
        }
        if self.rng.chance(0.5) {
            self.lead(shard, &reading, context, Leader::hand_over);
        } else {
            self.facts.count("transfers without a word");
            context.request(group(shard), SimRequest::Transfer { to: None });
        }
    }

    /// Now and then a server that waits takes the place of a member, which may be the leader.
    fn replace<S: Subject>(&mut self, context: &mut Context<'_, S>) {
        let now = context.now();
        if now < self.replaces_at || self.facts.lock().is_calm {
            return;
        }
        let first = self.replaces_at == Instant::default();
        self.replaces_at = now + self.rng.exponential(self.options.replaces_every);
        let shard = SHARDS[self.rng.index(SHARDS.len())];
        let of = context.group(group(shard)).filter(|of| of.leads());
        let Some(of) = of.filter(|_| !first) else {
            return;
        };
        let voters: Vec<NodeId> = of.members().voters.keys().copied().collect();
        let highest = voters.iter().map(|voter| voter.0).max().unwrap_or_default();
        if of.status().core.change.is_some() {
            if self.rng.chance(0.2) {
                self.facts.count("changes of the members led back");
                context.request(group(shard), SimRequest::AbortChange);
            }
        } else if highest < self.options.servers {
            self.facts.count("replacements of a member");
            if !of.machine().state().prepared().is_empty() {
                self.facts
                    .count("replacements while a transaction was prepared");
            }
            let change = Change::Replace {
                old: voters[self.rng.index(voters.len())],
                new: NodeId(highest + 1),
                member: Member::default(),
            };
            context.request(group(shard), SimRequest::Change(change));
        }
    }

    fn look<S: Subject>(&mut self, context: &mut Context<'_, S>) {
        let mut looks = std::mem::take(&mut self.looks);
        looks.serve(self, context);
        self.looks = looks;
    }

    fn begin_look<S: Subject>(
        &mut self,
        from: NodeId,
        part: Part,
        reading: &Reading,
        context: &mut Context<'_, S>,
    ) {
        let mut looks = std::mem::take(&mut self.looks);
        looks.begin(self, from, part, reading, context);
        self.looks = looks;
    }

    /// Whether the reading may be acted by, after what has been heard. Honest clocks never contradict each other.
    fn lets_in(&mut self, floor: Floor, reading: &Reading) -> bool {
        let Err(found) = self.floor.incoming(floor, &reading.time) else {
            return true;
        };
        let what = format!("floor: {found}, and both are honest");
        self.facts.lock().book.watch.fail(what);
        false
    }

    pub(super) fn id(&self) -> u64 {
        self.id
    }
}

/// A reading beside the machine of a shard on this node.
pub(super) fn now_of<'a, S: Subject>(
    shard: ShardId,
    reading: &Reading,
    context: &'a Context<'_, S>,
) -> Now<'a> {
    let of = context.group(group(shard)).unwrap();
    reading.now(of.machine().state())
}

pub(super) fn stamp<M>(floor: Floor, message: M) -> Stamped<M> {
    Stamped { floor, message }
}

pub(super) fn micros(time: Duration) -> i64 {
    // The world begins at zero, and timestamps somewhat later.
    100_000_000 + i64::try_from(time.as_micros()).unwrap()
}

const PAUSE: Duration = Duration::from_millis(40);
const PAUSED_MAX: usize = 100;
const PROPOSAL: Duration = Duration::from_millis(800);
const PROMISES: Duration = Duration::from_millis(50);
const TRY_AGAIN: Duration = Duration::from_millis(20);
const LEAVES_FOR: Duration = Duration::from_millis(150);
const MOMENT: Duration = Duration::from_micros(300);
