//! A primary-backup store that trusts its timeouts, and how the simulator finds it out.
//!
//! The primary is the node of the lowest number that has been heard lately. It answers, and tells the
//! others. A primary that is cut off goes on, while the others go on under another one: two clients
//! see two states. `cargo run -p synod-sim --example primary_backup` prints the seed that shows it,
//! the faults that it takes, and what happened, one column a node.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use synod_sim::{
    Campaign, ClientId, Context, Ended, Event, FaultKind, History, Kv, KvInput, KvOutput, NodeId,
    OpId, Process, Rng, Shrink, Shrunk, Start, Swarm, Trial, Value, Verdict, World, check,
};

/// A version and its value, and a sign of life.
#[derive(Clone, Debug, Default, Hash)]
struct Copy(u64, Option<Value>);

struct Store {
    id: NodeId,
    history: Rc<RefCell<History<KvInput, KvOutput>>>,
    copy: Copy,
    heard: BTreeMap<NodeId, Duration>,
}

impl Process for Store {
    type Message = Copy;
    type Input = (OpId, KvInput);
    /// How many nodes there are, and what the clients see.
    type Shared = (u64, Rc<RefCell<History<KvInput, KvOutput>>>);

    fn start(start: Start, shared: &Self::Shared, at: &mut Context<Copy>) -> io::Result<Self> {
        at.timer = Some(at.now);
        let others = (1..=shared.0).map(NodeId).filter(|&id| id != start.id);
        let heard = others.map(|id| (id, at.now)).collect();
        Ok(Self {
            id: start.id,
            history: Rc::clone(&shared.1),
            copy: Copy::default(),
            heard,
        })
    }

    fn handle(
        &mut self,
        event: Event<Copy, Self::Input>,
        at: &mut Context<Copy>,
    ) -> io::Result<()> {
        match event {
            Event::Message { from, message } => {
                self.heard.insert(from, at.now);
                if message.0 > self.copy.0 {
                    self.copy = message;
                }
            }
            Event::Input((op, input)) => {
                // The bug: silence is taken for death.
                let mut lower = self.heard.range(..self.id);
                let primary = lower.all(|(_, heard)| at.now > *heard + SUSPICION);
                let noted = if primary {
                    let output = input.request.execute(&mut self.copy.1);
                    self.copy.0 += 1;
                    self.tell(at);
                    let mut history = self.history.borrow_mut();
                    history.returned(op, at.true_now, output)
                } else {
                    self.history.borrow_mut().fail(op)
                };
                noted.map_err(io::Error::other)?;
            }
            _ => {
                self.tell(at);
                at.timer = Some(at.now + BEAT);
            }
        }
        Ok(())
    }
}

impl Store {
    fn tell(&self, at: &mut Context<Copy>) {
        for &to in self.heard.keys() {
            at.send(to, self.copy.clone());
        }
    }
}

/// The store keeps nothing on disk, so nobody may crash; a partition will do.
fn draw(seed: u64) -> Trial {
    let horizon = Duration::from_secs(2);
    let swarm = Swarm::new(horizon).without(FaultKind::Crash);
    let swarm = swarm.without(FaultKind::PowerAll);
    Trial {
        seed,
        nodes: 3,
        clients: 1,
        horizon,
        options: swarm.draw(seed),
    }
}

/// Somebody asks some node every few milliseconds; what all have seen must be linearizable.
fn run(trial: &Trial) -> Ended {
    let history = Rc::new(RefCell::new(History::new()));
    let shared = (trial.nodes, Rc::clone(&history));
    let mut world = World::<Store>::new(trial.seed, trial.nodes, trial.options.clone(), shared);
    let mut rng = Rng::new(trial.seed);
    for ms in (0..trial.horizon.as_millis() as u64).step_by(7) {
        world.run_until(Duration::from_millis(ms));
        if let Verdict::Violation(violation) = check(Kv, &history.borrow()) {
            panic!("linearizability: {violation}\n{}", world.story());
        }
        let input = match rng.chance(0.5) {
            true => KvInput::get("x"),
            false => KvInput::put("x", ms.to_string()),
        };
        let op = (history.borrow_mut()).call(ClientId(ms), world.now(), input.clone());
        let op = op.expect("each client calls once");
        world.inject(NodeId(1 + rng.below(trial.nodes)), (op, input));
    }
    Ended::of(&world)
}

/// The first seed that fails, and the little of it that it takes.
fn find() -> Option<Shrunk> {
    let report = Campaign::new("store").seeds(0, 1000).run(draw, run);
    println!("{} runs in {:?}", report.runs, report.elapsed);
    Shrink::new().run(&draw(report.failure?.seed), run)
}

fn main() {
    if let Some(Shrunk { trial, failure, .. }) = find() {
        println!("This is what it takes:\n{trial}\n{}", failure.message);
    }
}

#[test]
fn it_takes_one_partition() {
    let script = find().and_then(|shrunk| shrunk.trial.options.script);
    let faults = script.map(|script| script.0).unwrap_or_default();
    assert!(faults.len() == 1 && faults[0].1.kind() == FaultKind::Partition);
}

const BEAT: Duration = Duration::from_millis(10);
const SUSPICION: Duration = Duration::from_millis(50);
