//! Every order of a few calls, compared with a model that identifies each write by its own number
//! and so needs no receipts, identities or tickets. Two cores of one type share a process and a
//! log.
//!
//! A fact is a bit. A core that learns one reports it, and its record holds all facts that it
//! knows. A reported fact must then be on the core's disk, whatever the order of calls.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::mem::take;

use synod_durable::{Coalesce, Few, Outbox, Receipt, Record, Refused, Staged, Write};

/// All facts that a core knew.
#[derive(Clone, Debug, PartialEq)]
struct Facts(u32);

impl Record for Facts {
    type Own = u32;

    fn own(&self) -> u32 {
        self.0
    }
}

/// Reports that the sender knows these facts.
#[derive(Clone, Debug, PartialEq)]
struct Say {
    topic: u8,
    facts: u32,
}

impl Coalesce for Say {
    fn coalesce(waiting: &mut [Self], later: Self) -> Option<Self> {
        match waiting.iter_mut().find(|say| say.topic == later.topic) {
            Some(say) => say.facts = later.facts,
            None => return Some(later),
        }
        None
    }
}

/// One call. The first number identifies a core, or a write or receipt held by a driver.
#[derive(Clone, Copy, Debug)]
enum Op {
    Say(usize, u8),
    SayNow,
    PollNow,
    ForgetTopic,
    Clear,
    Write(usize),
    Persist(usize),
    Fail(usize),
    Copy(usize),
    Stage(usize),
    Sync,
    Release(usize),
    Settle(usize, usize),
    /// The core is restarted from its disk, in the same process: the driver keeps what it holds.
    Restart(usize),
}

#[derive(Default)]
struct Core {
    outbox: Outbox<Facts, u32, Say>,
    knows: u32,
    disk: u32,
    /// The model.
    incarnation: u32,
    writes: u64,
    now: VecDeque<u32>,
    waiting: Vec<Say>,
    in_flight: Option<usize>,
}

/// A write in the model.
struct Made {
    core: usize,
    incarnation: u32,
    facts: u32,
    messages: Vec<Say>,
}

#[derive(Default)]
struct World {
    facts: u32,
    cores: [Core; 2],
    made: Vec<Made>,
    writes: Vec<(Write<Facts, Say>, usize)>,
    staged: Vec<(Staged<Facts, Say, usize>, usize, usize)>,
    receipts: Vec<(Receipt<Facts>, usize)>,
    log: Vec<(usize, u32)>,
    synced: usize,
    /// The kind of thing that the last step met.
    seen: Option<&'static str>,
}

type Verdict = Result<(), &'static str>;

fn must(holds: bool, otherwise: &'static str) -> Verdict {
    holds.then_some(()).ok_or(otherwise)
}

impl World {
    fn play(path: &[Op]) -> Self {
        let mut world = Self::default();
        for (at, op) in path.iter().enumerate() {
            world.seen = None;
            let verdict = world.step(*op).and_then(|()| world.look());
            if let Err(why) = verdict {
                panic!("{why}, after {:?}", &path[..=at]);
            }
        }
        world
    }

    fn step(&mut self, op: Op) -> Verdict {
        match op {
            Op::Say(core, topic) => self.say(core, topic),
            Op::SayNow => {
                self.facts += 1;
                self.cores[0].outbox.send_now(self.facts);
                self.cores[0].now.push_back(self.facts);
            }
            Op::PollNow => {
                let core = &mut self.cores[0];
                let (said, expected) = (core.outbox.poll_now(), core.now.pop_front());
                must(said == expected, "what waits for nothing changed places")?;
            }
            Op::ForgetTopic => {
                let core = &mut self.cores[0];
                core.outbox.retain_waiting(|say| say.topic != 0);
                core.waiting.retain(|say| say.topic != 0);
            }
            Op::Clear => {
                let core = &mut self.cores[0];
                core.outbox.clear();
                core.now.clear();
                core.waiting.clear();
            }
            Op::Write(core) => self.write(core)?,
            Op::Persist(at) => {
                let (write, made) = self.writes.remove(at);
                let disk = &mut self.cores[self.made[made].core].disk;
                let Ok((messages, receipt)) = write.persist(|record| {
                    *disk |= record.0;
                    Ok::<_, Infallible>(())
                });
                self.told(made, messages, receipt)?;
            }
            Op::Fail(at) => {
                let (write, _) = self.writes.remove(at);
                must(write.persist(Err).is_err(), "said without its record")?;
            }
            Op::Copy(at) => self.writes.push(self.writes[at].clone()),
            Op::Stage(at) => {
                let (write, made) = self.writes.remove(at);
                let core = self.made[made].core;
                let log = &mut self.log;
                let Ok(staged) = write.stage(|record| {
                    log.push((core, record.0));
                    Ok::<_, Infallible>(log.len())
                });
                self.staged.push((staged, log.len(), made));
            }
            Op::Sync => {
                for (core, facts) in &self.log[self.synced..] {
                    self.cores[*core].disk |= facts;
                }
                self.synced = self.log.len();
            }
            Op::Release(at) => self.release(at)?,
            Op::Settle(core, at) => self.settle(core, at)?,
            Op::Restart(core) => {
                let before = take(&mut self.cores[core]);
                self.cores[core].disk = before.disk;
                self.cores[core].knows = before.disk;
                self.cores[core].incarnation = before.incarnation + 1;
            }
        }
        Ok(())
    }

    fn say(&mut self, core: usize, topic: u8) {
        let core = &mut self.cores[core];
        core.knows |= 1 << self.facts;
        self.facts += 1;
        let facts = core.knows;
        core.outbox.send_after_write(Say { topic, facts });
        match core.waiting.iter_mut().find(|say| say.topic == topic) {
            Some(say) => say.facts = facts,
            None => core.waiting.push(Say { topic, facts }),
        }
    }

    fn write(&mut self, id: usize) -> Verdict {
        let core = &mut self.cores[id];
        let mut asked = false;
        let write = core.outbox.write(|| {
            asked = true;
            Facts(core.knows)
        });
        must(asked == write.is_some(), "a record was made for nothing")?;
        let Some(write) = write else {
            self.seen = Some("a second write");
            return must(core.in_flight.is_some(), "no write, and none in flight");
        };
        must(core.in_flight.is_none(), "two writes are in flight")?;
        must(write.record().0 == core.knows, "another record")?;
        core.in_flight = Some(self.made.len());
        core.writes += 1;
        self.writes.push((write, self.made.len()));
        self.made.push(Made {
            core: id,
            incarnation: core.incarnation,
            facts: core.knows,
            messages: take(&mut core.waiting),
        });
        Ok(())
    }

    fn release(&mut self, at: usize) -> Verdict {
        let (staged, ticket, made) = self.staged.remove(at);
        let is_durable = ticket <= self.synced;
        match staged.release(&self.synced) {
            Ok((messages, receipt)) => {
                must(is_durable, "released before it is durable")?;
                self.told(made, messages, receipt)
            }
            Err(staged) => {
                self.seen = Some("not yet durable");
                self.staged.insert(at, (staged, ticket, made));
                must(!is_durable, "kept although it is durable")
            }
        }
    }

    /// Handles messages that leave the node.
    fn told(&mut self, made: usize, messages: Few<Say>, receipt: Receipt<Facts>) -> Verdict {
        self.seen = (!messages.is_empty()).then_some("messages");
        self.receipts.push((receipt, made));
        let made = &self.made[made];
        let disk = self.cores[made.core].disk;
        let is_known = |say: &Say| say.facts & !disk == 0;
        must(messages.iter().all(is_known), "said before it was stored")?;
        must(messages[..] == made.messages, "other messages than waited")
    }

    fn settle(&mut self, id: usize, at: usize) -> Verdict {
        let (receipt, number) = self.receipts.remove(at);
        let (core, made) = (&mut self.cores[id], &self.made[number]);
        let is_its_own = core.in_flight == Some(number);
        let is_strange = made.core != id || made.incarnation != core.incarnation;
        match core.outbox.settle(receipt) {
            Ok(own) => {
                must(is_its_own, "settled by a receipt for another write")?;
                must(*own & !core.disk == 0, "counted before it was stored")?;
                must(*own == made.facts, "another own word")?;
                core.in_flight = None;
                self.seen = Some("settled");
                Ok(())
            }
            Err(refused) => {
                must(!is_its_own, "its own receipt was refused")?;
                self.seen = Some(match (made.core == id, is_strange) {
                    (false, _) => "a receipt of another core",
                    (true, true) => "a receipt of an earlier incarnation",
                    (true, false) => "a receipt of a settled write",
                });
                let is_told = (refused == Refused::OtherCore) == is_strange;
                must(is_told, "refused for another reason")
            }
        }
    }

    /// Checks what an outbox reports about itself.
    fn look(&self) -> Verdict {
        for core in &self.cores {
            let number = core.in_flight.map(|_| core.writes);
            must(core.outbox.in_flight() == number, "another write in flight")?;
            let waiting = !core.waiting.is_empty();
            must(core.outbox.has_waiting() == waiting, "has_waiting is wrong")?;
        }
        Ok(())
    }

    /// The calls that a driver may make with what it holds.
    fn driver_ops(&self) -> Vec<Op> {
        let mut ops = Vec::new();
        for at in 0..self.writes.len() {
            ops.extend([Op::Persist(at), Op::Fail(at), Op::Stage(at)]);
        }
        if self.synced < self.log.len() {
            ops.push(Op::Sync);
        }
        ops.extend((0..self.staged.len()).map(Op::Release));
        for at in 0..self.receipts.len() {
            ops.extend([Op::Settle(0, at), Op::Settle(1, at)]);
        }
        ops
    }
}

/// Plays every continuation of `start` by this many calls out of those that `ops` offers. Returns
/// how often each kind of thing was met.
fn explore(start: &[Op], calls: usize, ops: fn(&World) -> Vec<Op>) -> BTreeMap<&'static str, u64> {
    let mut seen = BTreeMap::new();
    let mut paths = vec![start.to_vec()];
    while let Some(path) = paths.pop() {
        let world = World::play(&path);
        let what = world.seen.unwrap_or("nothing special");
        *seen.entry(what).or_default() += 1;
        if path.len() < start.len() + calls {
            let longer = ops(&world)
                .into_iter()
                .map(|op| [&path[..], &[op]].concat());
            paths.extend(longer);
        }
    }
    println!("{seen:?}");
    seen
}

fn saw(seen: &BTreeMap<&'static str, u64>, kinds: &[&str]) {
    for kind in kinds {
        assert!(seen.contains_key(kind), "no schedule with {kind}");
    }
}

#[test]
fn lanes_of_one_core() {
    let seen = explore(&[], 7, |world| {
        let mut ops = vec![Op::Say(0, 0), Op::Say(0, 1), Op::Write(0)];
        for at in 0..world.writes.len() {
            ops.push(Op::Persist(at));
        }
        for at in 0..world.receipts.len() {
            ops.push(Op::Settle(0, at));
        }
        let (now, waiting) = (&world.cores[0].now, &world.cores[0].waiting);
        if !waiting.is_empty() {
            ops.push(Op::ForgetTopic);
        }
        if !now.is_empty() {
            ops.push(Op::PollNow);
        }
        if !now.is_empty() || !waiting.is_empty() {
            ops.push(Op::Clear);
        }
        ops.push(Op::SayNow);
        ops
    });
    saw(&seen, &["messages", "settled", "a second write"]);
}

#[test]
fn two_cores_and_their_lives() {
    let seen = explore(&[Op::Say(0, 0)], 6, |world| {
        let mut ops = vec![Op::Say(0, 0), Op::Write(0), Op::Write(1), Op::Restart(0)];
        ops.extend(world.driver_ops());
        ops
    });
    let kinds = [
        "messages",
        "settled",
        "not yet durable",
        "a receipt of another core",
        "a receipt of an earlier incarnation",
    ];
    saw(&seen, &kinds);
}

#[test]
fn copies_of_a_write() {
    let start = [Op::Say(0, 0), Op::Write(0), Op::Copy(0)];
    let seen = explore(&start, 6, |world| {
        let mut ops = vec![Op::Say(0, 0), Op::Write(0)];
        ops.extend(world.driver_ops());
        ops
    });
    saw(&seen, &["settled", "a receipt of a settled write"]);
}
