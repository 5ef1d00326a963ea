//! Logged time: nodes with clocks of their own, any of which may raise it.

use std::collections::VecDeque;
use std::time::Duration;

use proptest::prelude::*;
use synod_replica::timed::{SLACK, Standing, plain, stamped, tick};
use synod_replica::{
    Bytes, LogTime, Sequence, SessionId, SessionLimits, SessionName, SessionRefusal, SessionReply,
    Sessions, StateMachine, Timed, TimedReply, Timekeeper, conformance, sessions,
};
use synod_sim::Rng;
use tokio::sync::watch;

use super::{Journal, at, through_a_snapshot};

/// A node: a replica that lags behind the log, and a clock that began at a moment of its own.
struct Node {
    replica: Timed<Journal>,
    watch: watch::Receiver<Standing>,
    keeper: Timekeeper,
    applied: usize,
    epoch: u64,
    /// It applies nothing before.
    stuck_until: u64,
}

impl Node {
    fn new(replica: Timed<Journal>, epoch: u64) -> Self {
        let watch = replica.watch();
        let keeper = Timekeeper::default();
        let (applied, stuck_until) = (0, 0);
        let mut node = Self {
            replica,
            watch,
            keeper,
            applied,
            epoch,
            stuck_until,
        };
        node.look(epoch);
        node
    }

    fn clock(&self, now: u64) -> Duration {
        Duration::from_micros(now - self.epoch)
    }

    fn look(&mut self, now: u64) {
        let clock = self.clock(now);
        self.keeper.observe(&self.watch.borrow_and_update(), clock);
    }
}

/// When something that expires was proposed, and how long it is to last.
type Called = (u64, u64);

/// A run in virtual time, in microseconds.
struct Run {
    rng: Rng,
    now: u64,
    nodes: Vec<Node>,
    log: Vec<Bytes>,
    /// Proposals on their way, in no order.
    under_way: VecDeque<(Bytes, Option<Called>)>,
    leader: Option<usize>,
    /// When the log held so much.
    reference: Timed<Journal>,
    /// For each of what expires, in the order of the log: its call, its length, its deadline.
    ends: Vec<(u64, u64, LogTime)>,
}

impl Run {
    fn new(seed: u64) -> Self {
        let nodes = (0..3).map(|_| Node::new(Timed::new(Journal::default()), 0));
        Self {
            rng: Rng::new(seed),
            now: 0,
            nodes: nodes.collect(),
            log: Vec::new(),
            under_way: VecDeque::new(),
            leader: Some(0),
            reference: Timed::new(Journal::default()),
            ends: Vec::new(),
        }
    }

    fn step(&mut self) {
        let scale = self.rng.pick(&[10, 1_000, 30_000, 400_000]);
        self.now += self.rng.below(scale);
        match self.rng.below(20) {
            0..6 => self.propose(),
            6..12 => self.decide(),
            12 => self.restart(),
            13 => {
                let node = self.rng.index(self.nodes.len());
                self.nodes[node].stuck_until = self.now + self.rng.below(5_000_000);
            }
            14 => self.leader = [None, Some(0), Some(1), Some(2)][self.rng.index(4)],
            _ => {}
        }
        self.catch_up();
        self.tick(self.now);
    }

    fn propose(&mut self) {
        let millis = self.rng.pick(&[0, 1, 50, 250, 2_000, 60_000]);
        let command = format!("e{millis}");
        let node = self.rng.index(self.nodes.len());
        let clock = self.nodes[node].clock(self.now);
        let command = match self.rng.below(4) {
            0 => plain(command.as_bytes()),
            _ => stamped(self.nodes[node].keeper.stamp(clock), command.as_bytes()),
        };
        let called = (self.now, millis * 1_000);
        self.under_way.push_back((command, Some(called)));
    }

    /// Something that is on its way enters the log, or is lost.
    fn decide(&mut self) {
        if self.under_way.is_empty() {
            return;
        }
        let at_most = self.rng.index(self.under_way.len());
        let (command, called) = self.under_way.remove(at_most).unwrap();
        if self.rng.one_in(8) {
            return;
        }
        self.log.push(command.clone());
        let before = self.reference.time().now();
        self.reference.apply(at(self.log.len() as u64), command);
        assert!(self.reference.time().now() >= before, "logged time fell");
        if let Some((called, lasts)) = called {
            let end = *self.reference.machine().ends.last().unwrap();
            self.ends.push((called, lasts, end));
        }
        let now = self.reference.time().now();
        for (called, lasts, end) in &self.ends {
            let over = *end <= now;
            assert!(
                !over || self.now >= called + lasts,
                "ended after {} of {lasts} microseconds",
                self.now - called
            );
        }
    }

    fn restart(&mut self) {
        let node = self.rng.index(self.nodes.len());
        let fresh = Timed::new(Journal::default());
        let replica = through_a_snapshot(&self.nodes[node].replica, fresh);
        let applied = self.nodes[node].applied;
        self.nodes[node] = Node::new(replica, self.now);
        self.nodes[node].applied = applied;
    }

    fn catch_up(&mut self) {
        for node in &mut self.nodes {
            if self.now >= node.stuck_until {
                for command in &self.log[node.applied..] {
                    node.applied += 1;
                    node.replica.apply(at(node.applied as u64), command.clone());
                }
                node.look(self.now);
            }
        }
    }

    fn tick(&mut self, now: u64) {
        let Some(leader) = self.leader else { return };
        let node = &mut self.nodes[leader];
        let clock = node.clock(now);
        if node.keeper.next_tick().is_some_and(|next| next <= clock) {
            node.keeper.ticked(clock);
            let tick = tick(node.keeper.stamp(clock));
            self.under_way.push_back((tick, None));
        }
    }

    /// From here on nothing is lost or late, and nobody asks anything: only the leader's ticks are left.
    fn idle(&mut self) {
        self.leader = Some(0);
        self.under_way.clear();
        self.nodes.iter_mut().for_each(|node| node.stuck_until = 0);
        let (begun, last) = (
            self.now,
            self.reference.machine().ends.iter().max().copied(),
        );
        let Some(last) = last else { return };
        let left = last.since(self.reference.time().now());
        let until = begun + left.as_micros() as u64 + LATE_MAX.as_micros() as u64;
        self.catch_up();
        while self.reference.time().now() < last {
            let node = &self.nodes[0];
            let next = node.epoch
                + node
                    .keeper
                    .next_tick()
                    .expect("something is due")
                    .as_micros() as u64;
            self.now = self.now.max(next);
            assert!(self.now < until, "an idle group comes to {last} late");
            self.tick(self.now);
            // A round through the log.
            self.now += 1_000;
            for (command, _) in std::mem::take(&mut self.under_way) {
                self.log.push(command.clone());
                self.reference.apply(at(self.log.len() as u64), command);
            }
            self.catch_up();
        }
    }
}

/// How much longer than its deadline says anything may take in a group that is well.
const LATE_MAX: Duration = Duration::from_millis(400);

proptest! {
    #[test]
    fn nothing_ends_early_and_everything_ends(seed in any::<u64>()) {
        let mut run = Run::new(seed);
        (0..400).for_each(|_| run.step());
        run.idle();
        for node in &run.nodes {
            prop_assert_eq!(node.replica.time(), run.reference.time());
            prop_assert_eq!(&node.replica.machine().ends, &run.reference.machine().ends);
        }
    }
}

/// Commands that count time come without a pause, and time does not stand still for it.
#[test]
fn time_goes_on_under_load() {
    let mut node = Node::new(Timed::new(Journal::default()), 0);
    let mut under_way = VecDeque::new();
    // A round takes a millisecond, in which ten commands are proposed.
    for now in (0..3_000_000).step_by(100) {
        under_way.push_back(stamped(node.keeper.stamp(node.clock(now)), b"e1000"));
        if under_way.len() > 10 {
            node.applied += 1;
            let command = under_way.pop_front().unwrap();
            node.replica.apply(at(node.applied as u64), command);
            node.look(now);
        }
    }
    let passed = node.replica.time().now().since(LogTime(0));
    assert!(
        (2_900..=3_000).contains(&passed.as_millis()),
        "{passed:?} in three seconds"
    );
}

#[test]
fn sessions_expire_when_they_are_not_used() {
    let mut machine = Timed::new(Sessions::new(Journal::default()));
    let idle = SessionLimits::default().idle;
    let (mut keeper, mut index, mut clock) = (Timekeeper::default(), 0, Duration::ZERO);
    let mut ask = |after: Duration, command: Bytes| {
        clock += after;
        keeper.observe(&machine.watch().borrow(), clock);
        index += 1;
        let reply = machine.apply(at(index), stamped(keeper.stamp(clock), &command));
        keeper.observe(&machine.watch().borrow(), clock);
        // The leader follows with an anchor, so that what passes from here on can be measured.
        clock = keeper.next_tick().unwrap_or(clock).min(clock + SLACK);
        machine.apply(at(index), tick(keeper.stamp(clock)));
        keeper.observe(&machine.watch().borrow(), clock);
        (reply, machine.machine().len())
    };
    let opened = |id| TimedReply::Answer(SessionReply::Opened(SessionId(id)));
    let first = TimedReply::Answer(SessionReply::Answer(1));
    let named = |session, sequence| {
        let session = SessionId(session);
        let sequence = Sequence(sequence);
        sessions::named(SessionName { session, sequence }, b"x")
    };
    assert_eq!(ask(Duration::ZERO, sessions::open()), (opened(1), 1));
    assert_eq!(ask(Duration::ZERO, sessions::open()), (opened(2), 2));
    // A stamp raises the time by a step, so it takes several to an hour.
    for _ in 0..10 {
        assert_eq!(ask(idle / 10 - SLACK, named(1, 1)), (first.clone(), 2));
    }
    let (_, left) = ask(10 * SLACK, sessions::unnamed(b"y"));
    assert_eq!(left, 1);
    let expired = TimedReply::Answer(SessionReply::Refused(SessionRefusal::Expired));
    assert_eq!(ask(Duration::ZERO, named(2, 1)), (expired, 1));
    assert_eq!(ask(Duration::ZERO, named(1, 1)), (first, 1));
}

#[test]
fn conform() {
    let stamp = |anchor, millis| synod_replica::timed::Stamp {
        anchor,
        elapsed: Duration::from_millis(millis),
    };
    let commands = [
        plain(b"e100"),
        stamped(stamp(0, 150), b"e1"),
        stamped(stamp(1, 70), b"x"),
        tick(stamp(0, 1_000)),
        tick(stamp(2, 30)),
        tick(stamp(3, 40)),
    ];
    conformance::state_machine(
        || Timed::new(Journal::default()),
        |timed| (timed.machine().clone(), timed.time().clone()),
        &commands,
    );
}
