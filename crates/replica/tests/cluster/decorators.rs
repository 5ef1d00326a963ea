//! A group whose machine is decorated as `kv`'s is, under the faults of a run: clients that ask again
//! under a name, holders of reigns, and things that expire (rules S1, S2 and F1).

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use synod_replica::embed::{EngineConfig, Instant, Kind, Ticket};
use synod_replica::fenced::take_over;
use synod_replica::sessions::{named, open, unnamed};
use synod_replica::sim::{Cluster, SimNode, SimRequest, Witness};
use synod_replica::timed::{plain, stamped, tick};
use synod_replica::{
    Bytes, Ended, Failure, Heard, LogTime, Next, NodeId, Position, Reign, Role, SessionClient,
    SessionName, SessionRefusal, SessionReply, Snapshot, TimedReply, Timekeeper,
};
use synod_sim::{self as sim, Coverage, FaultKind, Rng, World};

use super::dressed::{Both, Machine, Said, digest, fenced, free, hold, note};
use super::options::{ms, secs};
use super::{Options, Subject, Verdict, Violation, must};

type Answer = Result<TimedReply<SessionReply<Said>>, Failure>;
type Nodes<S> = World<SimNode<Dressed<S>>>;

struct Dressed<S: Subject> {
    options: Options,
    seen: Rc<RefCell<Seen>>,
    protocol: std::marker::PhantomData<fn() -> S>,
}

/// What the nodes have applied, each index as the first of them had it.
#[derive(Debug, Default)]
struct Seen {
    /// The true time, to within [`STEP`].
    now: Duration,
    drift: f64,
    states: Vec<u64>,
    time: LogTime,
    free: Vec<u64>,
    fenced: Vec<u64>,
    /// When each token was applied that is held for some time.
    held: BTreeMap<u64, Duration>,
    over: BTreeSet<u64>,
    /// For how long a token was to be held.
    lasts: BTreeMap<u64, Duration>,
    violation: Option<Violation>,
}

/// Runs the decorated group of a seed.
pub(crate) fn run<S: Subject>(seed: u64, mut options: Options, coverage: &mut Coverage) -> Verdict {
    for kind in [FaultKind::Freeze, FaultKind::Jump, FaultKind::Rot] {
        options.world.switch_off(kind);
    }
    let drift = &mut options.world.drift_ppm_max;
    *drift = u32::min(*drift, 50_000);
    let seen = Rc::new(RefCell::new(Seen {
        drift: f64::from(*drift) / 1e6,
        ..Seen::default()
    }));
    let (nodes, world, horizon) = (options.nodes, options.world.clone(), options.load.horizon);
    // A leader and a follower sync one after the other, each possibly behind a sync under way.
    let timeout = ms(300) + 4 * (world.sync_min + world.sync_mean);
    let dressed = Dressed {
        options,
        seen: Rc::clone(&seen),
        protocol: std::marker::PhantomData,
    };
    let mut play = Play {
        world: Nodes::<S>::new(!seed, nodes, world, dressed),
        seen,
        rng: Rng::new(seed ^ PLAY),
        keepers: BTreeMap::new(),
        sessions: (0..3).map(|_| Asking::default()).collect(),
        holders: (0..2).map(|_| Holding::default()).collect(),
        timeout,
        tokens: 0,
        never: BTreeSet::new(),
        reigns: BTreeMap::new(),
        coverage: Coverage::new(),
    };
    while play.world.now() < horizon {
        play.step(false)?;
    }
    play.world.stop_faults();
    let end = play.world.now() + secs(60);
    while play.is_busy() {
        play.step(true)?;
        must(play.world.now() < end, "liveness", || {
            "a decorated request has no end".to_owned()
        })?;
    }
    play.check_final()?;
    coverage.merge(&play.coverage);
    Ok(())
}

struct Play<S: Subject> {
    world: Nodes<S>,
    seen: Rc<RefCell<Seen>>,
    rng: Rng,
    keepers: BTreeMap<sim::NodeId, Timekeeper>,
    sessions: Vec<Asking>,
    holders: Vec<Holding>,
    /// Of a request. Long enough that one commits on disks as slow as those of the run.
    timeout: Duration,
    tokens: u64,
    /// Tokens of which somebody was told that they take no effect.
    never: BTreeSet<u64>,
    /// The reign of each token in a command that names one, and its number there.
    reigns: BTreeMap<u64, (u64, u64)>,
    coverage: Coverage,
}

/// A client with a session.
#[derive(Default)]
struct Asking {
    session: Option<SessionClient>,
    /// The command that is out under its name, and the token in it.
    out: Option<(SessionName, u64, Vec<u8>)>,
    heard: Option<Slot>,
}

/// A client that takes over, and commands.
#[derive(Default)]
struct Holding {
    reign: Option<Reign>,
    token: Option<u64>,
    /// The number of its last command.
    number: u64,
    heard: Option<Slot>,
}

/// Where an answer arrives.
#[derive(Clone, Default)]
struct Slot(Arc<Mutex<Option<Answer>>>);

impl<S: Subject> Play<S> {
    fn step(&mut self, ends: bool) -> Verdict {
        let now = self.world.now() + STEP;
        self.world.run_until(now);
        let mut seen = self.seen.borrow_mut();
        seen.now = now;
        if let Some(violation) = seen.violation.take() {
            return Err(violation);
        }
        drop(seen);
        self.keep_time();
        for index in 0..self.sessions.len() {
            let mut asking = std::mem::take(&mut self.sessions[index]);
            let verdict = self.ask(&mut asking, ends);
            self.sessions[index] = asking;
            verdict?;
        }
        for index in 0..self.holders.len() {
            let mut holding = std::mem::take(&mut self.holders[index]);
            let verdict = self.hold(&mut holding, ends);
            self.holders[index] = holding;
            verdict?;
        }
        Ok(())
    }

    fn is_busy(&self) -> bool {
        let asks = |asking: &Asking| asking.out.is_some() || asking.heard.is_some();
        self.sessions.iter().any(asks) || self.holders.iter().any(|it| it.heard.is_some())
    }

    /// Each node's timekeeper looks at what was applied, and the leader's ticks.
    fn keep_time(&mut self) {
        for id in self.world.node_ids() {
            let (Some(node), Some(now)) = (self.world.process(id), self.world.local_now(id)) else {
                continue;
            };
            let keeper = self.keepers.entry(id).or_default();
            keeper.observe(&node.machine().watch().borrow(), now);
            let leads = node.status().core.role == Role::Leader;
            if leads && keeper.next_tick().is_some_and(|at| at <= now) {
                keeper.ticked(now);
                let command = tick(keeper.stamp(now));
                self.coverage.add("ticks", 1);
                self.propose(id, command);
            }
        }
    }

    fn propose(&mut self, node: sim::NodeId, command: Bytes) -> Slot {
        let ticket = Slot::default();
        let request = SimRequest::Propose {
            command,
            timeout: self.timeout,
            ticket: ticket.clone(),
        };
        self.world.inject(node, request);
        ticket
    }

    /// Proposes with what the node's clock has measured.
    fn propose_stamped(&mut self, node: sim::NodeId, command: &[u8]) -> Slot {
        let now = self.world.local_now(node).unwrap_or_default();
        let keeper = self.keepers.get(&node);
        let command = match keeper {
            Some(keeper) => stamped(keeper.stamp(now), command),
            None => plain(command),
        };
        self.propose(node, command)
    }

    fn any_node(&mut self) -> sim::NodeId {
        let ids = self.world.node_ids();
        ids[self.rng.index(ids.len())]
    }

    fn token(&mut self) -> u64 {
        self.tokens += 1;
        self.tokens
    }

    fn ask(&mut self, asking: &mut Asking, ends: bool) -> Verdict {
        if let Some(slot) = &asking.heard {
            let Some(answer) = slot.answer() else {
                return Ok(());
            };
            asking.heard = None;
            self.heard(asking, answer)?;
        } else if !self.rng.chance(ASKS) {
            return Ok(());
        }
        let node = self.any_node();
        let Some(session) = &mut asking.session else {
            if !ends {
                asking.heard = Some(self.propose_stamped(node, &open()));
            }
            return Ok(());
        };
        if asking.out.is_none() && !ends {
            let Some(name) = session.name() else {
                return Ok(());
            };
            let token = self.token();
            let command = match self.rng.chance(0.5) {
                true => note(token),
                false => {
                    let millis = 20 + self.rng.below(500);
                    self.seen.borrow_mut().lasts.insert(token, ms(millis));
                    hold(token, millis)
                }
            };
            asking.out = Some((name, token, free(&command)));
        }
        if let Some((name, _, command)) = &asking.out {
            let command = named(*name, command);
            asking.heard = Some(self.propose_stamped(node, &command));
        }
        Ok(())
    }

    /// What was answered to a client with a session.
    fn heard(&mut self, asking: &mut Asking, answer: Answer) -> Verdict {
        let Some(session) = &mut asking.session else {
            if let Ok(TimedReply::Answer(SessionReply::Opened(id))) = answer {
                asking.session = Some(SessionClient::new(id, WINDOW));
            }
            return Ok(());
        };
        let Some((name, token, _)) = asking.out else {
            return Ok(());
        };
        let heard = match &answer {
            Err(Failure::Unknown) => Heard::Unknown,
            Err(Failure::Rejected { .. }) => Heard::Rejected,
            Ok(TimedReply::Answer(SessionReply::Refused(refusal))) => match refusal {
                SessionRefusal::Expired => Heard::Expired,
                SessionRefusal::ReplyGone => Heard::ReplyGone,
                _ => Heard::Behind,
            },
            Ok(_) => Heard::Answer,
        };
        let next = session.heard(name, heard);
        if next != Next::AskAgain {
            asking.out = None;
        }
        self.coverage.add(called(next), 1);
        match next {
            Next::Answered => {
                let Ok(TimedReply::Answer(SessionReply::Answer(Said::Free(count)))) = answer else {
                    return Err(Violation(format!("sessions: {answer:?} to a note")));
                };
                let noted = self.seen.borrow().free.get(count as usize - 1).copied();
                must(noted == Some(token), "sessions", || {
                    format!("token {token} is said to be note {count}, which is {noted:?}")
                })
            }
            Next::NotApplied => {
                self.never.insert(token);
                Ok(())
            }
            Next::Lost => {
                // A session that is gone is opened anew.
                asking.session = None;
                Ok(())
            }
            Next::AskAgain | Next::Applied => Ok(()),
        }
    }

    fn hold(&mut self, holding: &mut Holding, ends: bool) -> Verdict {
        if let Some(slot) = &holding.heard {
            let Some(answer) = slot.answer() else {
                return Ok(());
            };
            holding.heard = None;
            return self.heard_in_a_reign(holding, answer);
        }
        if ends || !self.rng.chance(ASKS) {
            return Ok(());
        }
        let node = self.any_node();
        if holding.reign.is_some() && self.rng.chance(0.9) {
            let token = self.token();
            let reign = holding.reign.as_mut();
            if let Some(command) = reign.and_then(|reign| reign.command(&note(token))) {
                holding.token = Some(token);
                holding.number += 1;
                let id = holding.reign.as_ref().map_or(0, |reign| reign.id().0);
                self.reigns.insert(token, (id, holding.number));
                let command = plain(&unnamed(&fenced(&command)));
                holding.heard = Some(self.propose(node, command));
                return Ok(());
            }
        }
        if self.rng.chance(0.2)
            && let Some(process) = self.world.process(node)
            && let Some(next) = process.machine().machine().machine().fenced.reign().next()
        {
            *holding = Holding::default();
            let command = plain(&unnamed(&fenced(&take_over(next))));
            holding.heard = Some(self.propose(node, command));
        }
        Ok(())
    }

    /// What was answered to a take-over, or to a command of a reign.
    fn heard_in_a_reign(&mut self, holding: &mut Holding, answer: Answer) -> Verdict {
        let reply = match answer {
            Ok(TimedReply::Answer(SessionReply::Answer(Said::Fenced(reply)))) => Ok(reply),
            Ok(other) => return Err(Violation(format!("fence: {other:?} to a reign"))),
            Err(failure) => Err(failure),
        };
        let Some(token) = holding.token.take() else {
            holding.reign = Reign::begun(&reply);
            let begun = u64::from(holding.reign.is_some());
            self.coverage.add("reigns begun", begun);
            return Ok(());
        };
        let Some(reign) = &mut holding.reign else {
            return Ok(());
        };
        let id = reign.id().0;
        match reign.heard(reply) {
            Ok(count) => {
                self.coverage.add("commands of reigns", 1);
                let seen = self.seen.borrow();
                let noted = seen.fenced.get(count as usize - 1).copied();
                must(noted == Some(token), "fence", || {
                    format!("{token} of reign {id} is said to be {count}, which is {noted:?}")
                })
            }
            Err(Ended::Deposed(_) | Ended::NotApplied) => {
                self.coverage.add("commands of reigns that were over", 1);
                self.never.insert(token);
                Ok(())
            }
            Err(_) => Ok(()),
        }
    }

    /// Everything took effect at most once, and nothing of which it was denied.
    fn check_final(&mut self) -> Verdict {
        let seen = self.seen.borrow();
        let mut found = BTreeSet::new();
        for token in seen.free.iter().chain(&seen.fenced) {
            must(found.insert(*token), "sessions", || {
                format!("token {token} took effect twice")
            })?;
            must(!self.never.contains(token), "sessions", || {
                format!("token {token} took effect, and it was said that it does not")
            })?;
        }
        let mut last = (0, 0);
        for token in &seen.fenced {
            let (reign, number) = self.reigns.get(token).copied().unwrap_or_default();
            let follows = match reign == last.0 {
                true => number == last.1 + 1,
                false => reign > last.0 && number == 1,
            };
            must(follows, "fence", || {
                format!("command {number} of reign {reign} takes effect behind {last:?}")
            })?;
            last = (reign, number);
        }
        self.coverage
            .add("things that expired", seen.over.len() as u64);
        Ok(())
    }
}

impl Seen {
    fn applied(&mut self, index: u64, machine: &Machine) -> Verdict {
        if index == self.states.len() as u64 + 1 {
            self.states.push(digest(machine));
            return self.first(machine);
        }
        self.holds(index, machine)
    }

    fn holds(&self, index: u64, machine: &Machine) -> Verdict {
        let state = index
            .checked_sub(1)
            .and_then(|at| self.states.get(at as usize));
        must(
            index == 0 || state == Some(&digest(machine)),
            "state machine safety",
            || format!("another decorated state at {index}: {machine:?}"),
        )
    }

    /// The first node is in this state.
    fn first(&mut self, machine: &Machine) -> Verdict {
        let now = machine.time().now();
        must(now >= self.time, "logged time", || {
            format!("it falls from {} to {now}", self.time)
        })?;
        self.time = now;
        // No clock counts more than has passed, but for its drift.
        let most = (self.now + STEP).mul_f64(1.0 + self.drift) + ms(1);
        must(now <= LogTime(0).later(most), "logged time", || {
            format!("it is {now}, and at most {most:?} have passed")
        })?;
        let Both { free, fenced } = machine.machine().machine();
        self.free.extend_from_slice(&free.notes[self.free.len()..]);
        let news = &fenced.machine().notes[self.fenced.len()..];
        self.fenced.extend_from_slice(news);
        for token in free.held.keys() {
            must(!self.over.contains(token), "expiry", || {
                format!("{token} is there again, and it had expired")
            })?;
            self.held.entry(*token).or_insert(self.now);
        }
        for token in &free.over {
            if !self.over.insert(*token) {
                continue;
            }
            let begun = self.held.get(token).copied().unwrap_or(self.now);
            let lasts = self.lasts.get(token).copied().unwrap_or_default();
            let lived = (self.now + STEP).saturating_sub(begun);
            must(
                lived.mul_f64(1.0 + self.drift) + ms(1) >= lasts,
                "expiry",
                || format!("{token} lived for {lived:?}, and was to live for {lasts:?}"),
            )?;
        }
        Ok(())
    }
}

impl<S: Subject> Cluster for Dressed<S> {
    type Config = S::Config;
    type Machine = Machine;
    type Ticket = Slot;
    type Witness = Rc<RefCell<Seen>>;

    fn config(&self, node: NodeId, seed: u64) -> S::Config {
        S::config(&self.options, node, seed)
    }

    fn machine(&self) -> Machine {
        Machine::new(synod_replica::Sessions::new(Both::default()))
    }

    fn witness(&self, _: NodeId) -> Rc<RefCell<Seen>> {
        Rc::clone(&self.seen)
    }

    fn tune(&self, engine: &mut EngineConfig) {
        self.options.tune(engine);
    }

    fn log_options(&self) -> synod_wal::Options {
        self.options.log()
    }
}

impl<S: Subject> Witness<Dressed<S>> for Rc<RefCell<Seen>> {
    fn applied(&mut self, at: Position, _: Kind, _: &Bytes, machine: &Machine) {
        let mut seen = self.borrow_mut();
        if let Err(violation) = seen.applied(at.index, machine) {
            seen.violation.get_or_insert(violation);
        }
    }

    fn restored(&mut self, snapshot: &Snapshot, machine: &Machine) {
        let mut seen = self.borrow_mut();
        if let Err(violation) = seen.holds(snapshot.index, machine) {
            seen.violation.get_or_insert(violation);
        }
    }
}

impl Slot {
    fn answer(&self) -> Option<Answer> {
        self.0.lock().unwrap().take()
    }

    fn put(&self, answer: Answer) {
        *self.0.lock().unwrap() = Some(answer);
    }
}

/// The last one that waits for it is gone with a crash, and nobody knows the end.
impl Drop for Slot {
    fn drop(&mut self) {
        if Arc::strong_count(&self.0) == 2 {
            let mut answer = self.0.lock().unwrap();
            answer.get_or_insert(Err(Failure::Unknown));
        }
    }
}

impl Ticket<Machine> for Slot {
    fn applied(self, reply: TimedReply<SessionReply<Said>>) {
        self.put(Ok(reply));
    }

    fn read(self, _: &Machine, _: Option<Instant>) {}

    fn failed(self, failure: Failure) {
        self.put(Err(failure));
    }
}

fn called(next: Next) -> &'static str {
    match next {
        Next::Answered => "named commands answered",
        Next::AskAgain => "named commands asked again",
        Next::NotApplied => "named commands not applied",
        Next::Applied | Next::Lost => "named commands without an answer",
    }
}

/// How often clients are looked at.
const STEP: Duration = ms(5);
/// How likely an idle client asks, in each of them.
const ASKS: f64 = 0.15;
const WINDOW: u64 = 4;
const PLAY: u64 = 0x6465_636f_7261_7465;
