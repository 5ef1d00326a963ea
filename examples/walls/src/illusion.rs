//! `walls illusion`: many machines that look like one.

use std::time::Duration;

use synod_sim::page::Recorder;
use synod_sim::{ClientId, Fault, KvInput, NodeId, OpId, Process, Rng, WorldOptions};

use crate::raft_service::RaftService;
use crate::report::{Page, Report};
use crate::scene::{Scene, begin_run};

/// A cluster behind one address, its nodes killed at random: clients see one machine
#[derive(Clone, Debug, clap::Args)]
pub struct IllusionOptions {
    /// Draws kills, delays and requests
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// For how long, in seconds of the simulated time
    #[arg(long, default_value_t = 60)]
    pub seconds: u64,
}

/// What the clients saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Life {
    /// Requests that were answered.
    pub answered: u64,
    /// Requests that were not, in the end.
    pub unanswered: u64,
    /// How many nodes were killed.
    pub kills: u64,
    /// Those of them that led.
    pub leaders_killed: u64,
    /// The longest that no client had an answer.
    pub pause: Pause,
    /// One machine could have answered so.
    pub is_one: bool,
}

/// A while without any answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pause {
    /// When it began.
    pub began: Duration,
    /// How long it was.
    pub lasted: Duration,
    /// Who was killed at its beginning, and whether that node led.
    pub killed: Option<(NodeId, bool)>,
}

/// What stands at the one address: it hands a request to a node, and to the next one under the same
/// name if no answer comes.
struct Caller {
    client: ClientId,
    op: OpId,
    input: KvInput,
    node: u64,
    asked: Duration,
}

/// Lets four clients ask for some seconds, while a node is killed or loses power every second or so,
/// one at a time, and comes back soon.
#[must_use]
pub fn live(seed: u64, seconds: u64) -> Life {
    live_on(seed, Duration::from_secs(seconds), None)
}

/// The same once more, up to a little behind the longest pause: a recorder keeps what came last.
fn show(seed: u64, pause: &Pause, recorder: &Recorder) {
    begin_run(Some(recorder), "A cluster behind one address");
    let ends = pause.began + pause.lasted + SHORTLY;
    let seen = live_on(seed, ends, Some(recorder)).pause;
    let ms = seen.lasted.as_secs_f64() * 1e3;
    let text = format!("from here on no client had an answer for {ms:.0} ms");
    recorder.opens_at(seen.began, &text);
}

fn live_on(seed: u64, ends: Duration, recorder: Option<&Recorder>) -> Life {
    let mut options = WorldOptions::default();
    options.crash_every = Some(Duration::from_secs(1));
    options.restart_after = Some(Duration::from_millis(300));
    options.down_max = 1;
    let mut scene = Scene::<RaftService>::recorded(seed, NODES, options, recorder);
    let mut rng = Rng::new(!seed);
    let mut callers: Vec<Caller> = (0..CLIENTS)
        .map(|client| call(&mut scene, &mut rng, ClientId(client)))
        .collect();
    let mut thinking: Vec<(Duration, ClientId)> = Vec::new();
    let mut watch = Watch::default();
    while scene.world.now() < ends {
        let next = scene.world.now() + TICK;
        scene.world.run_until(next);
        watch.look(&scene);
        callers.retain_mut(|caller| {
            if let Some((at, _)) = scene.answer(caller.op) {
                watch.answered(at);
                let thinks = THINKS * (1 + rng.below(9) as u32);
                thinking.push((next + thinks, caller.client));
                return false;
            }
            if next > caller.asked + PATIENCE {
                caller.node = 1 + caller.node % NODES;
                caller.asked = next;
                scene.ask_again(caller.op, NodeId(caller.node), caller.input.clone());
            }
            true
        });
        for (_, client) in thinking.extract_if(.., |(until, _)| *until <= next) {
            callers.push(call(&mut scene, &mut rng, client));
        }
    }
    // What is shown breaks off in the midst of the work.
    if recorder.is_none() {
        end(&mut scene, &callers);
    }
    let counts = scene.board.history.borrow().counts();
    Life {
        answered: counts.returned,
        unanswered: counts.open,
        kills: watch.kills,
        leaders_killed: watch.leaders_killed,
        pause: watch.pause,
        is_one: scene.verdict().is_ok(),
    }
}

/// Everybody who still waits gets an answer, if there is one.
fn end(scene: &mut Scene<RaftService>, callers: &[Caller]) {
    scene.world.stop_faults();
    for caller in callers {
        scene.ask_again(caller.op, NodeId(1), caller.input.clone());
        scene.wait(caller.op, Duration::from_secs(10));
    }
}

fn call(scene: &mut Scene<RaftService>, rng: &mut Rng, client: ClientId) -> Caller {
    let key = format!("key {}", rng.below(8));
    let number = rng.below(1_000).to_string();
    let input = match rng.below(4) {
        0 => KvInput::put(key, number),
        1 => KvInput::cas(key, rng.below(1_000).to_string(), number),
        2 => KvInput::del(key),
        _ => KvInput::get(key),
    };
    let node = 1 + rng.below(NODES);
    let op = scene.ask(client, NodeId(node), input.clone());
    Caller {
        client,
        op,
        input,
        node,
        asked: scene.world.now(),
    }
}

/// Notes kills, and the longest pause.
#[derive(Default)]
struct Watch {
    kills: u64,
    leaders_killed: u64,
    leader: Option<NodeId>,
    last_answer: Duration,
    /// Since shortly before the last answer: when, whom, and whether that node led.
    killed: Vec<(Duration, NodeId, bool)>,
    pause: Pause,
}

impl Watch {
    fn look(&mut self, scene: &Scene<RaftService>) {
        let struck = scene.world.faults().iter();
        let crashes = struck.filter_map(|(at, fault)| match fault {
            Fault::Crash { node, .. } => Some((*at, *node)),
            _ => None,
        });
        for (at, node) in crashes.skip(usize::try_from(self.kills).unwrap_or(usize::MAX)) {
            let led = self.leader == Some(node);
            self.kills += 1;
            self.leaders_killed += u64::from(led);
            self.killed.push((at, node, led));
        }
        let nodes = scene.world.node_ids().into_iter();
        let mut leading =
            nodes.filter(|node| scene.world.process(*node).is_some_and(Process::leads));
        if let Some(leader) = leading.next() {
            self.leader = Some(leader);
        }
    }

    fn answered(&mut self, at: Duration) {
        let lasted = at.saturating_sub(self.last_answer);
        // What came before the first leader is no pause.
        if lasted > self.pause.lasted && self.last_answer > Duration::ZERO {
            // Whoever led is missed, and of others the one that was killed first.
            let led = self.killed.iter().find(|(.., led)| *led);
            let killed = led.or_else(|| self.killed.first());
            self.pause = Pause {
                began: self.last_answer,
                lasted,
                killed: killed.map(|(_, node, led)| (*node, *led)),
            };
        }
        self.last_answer = self.last_answer.max(at);
        let last_answer = self.last_answer;
        self.killed
            .retain(|(killed, ..)| *killed + SHORTLY >= last_answer);
    }
}

/// The demo.
#[must_use]
pub fn run(options: &IllusionOptions, recorder: Option<&Recorder>) -> Report {
    let mut page = Page::new(
        "The illusion: many machines that look like one",
        "Herlihy and Wing 1990; Schneider 1990",
        "If copies of a deterministic machine apply the same commands in the same order, and each \
         answer comes from a command that is committed, so that every later leader has it, and is \
         applied once, then clients cannot tell the cluster from one machine that never fails: what \
         they see is linearizable.",
    );
    let life = live(options.seed, options.seconds);
    if let Some(recorder) = recorder {
        show(options.seed, &life.pause, recorder);
    }
    page.head("Three nodes behind one address, four clients");
    page.line(format_args!(
        "  {} s, {} requests answered, {} not",
        options.seconds, life.answered, life.unanswered
    ));
    page.line(format_args!(
        "  {} nodes killed, {} of them while they led",
        life.kills, life.leaders_killed
    ));
    page.line(format_args!(
        "  the longest pause: {:.0} ms from {:.3} s on{}",
        life.pause.lasted.as_secs_f64() * 1e3,
        life.pause.began.as_secs_f64(),
        match life.pause.killed {
            Some((node, true)) => format!(", when {node}, which led, was killed"),
            Some((node, false)) => format!(", when {node} was killed"),
            None => String::new(),
        },
    ));
    page.verdict(
        life.is_one && life.unanswered == 0 && life.kills > 0,
        "nodes died, and what the clients saw is what one machine would have answered, but for the pauses.",
    );
    page.end()
}

const NODES: u64 = 3;
const CLIENTS: u64 = 4;
const TICK: Duration = Duration::from_millis(1);
/// Clients think for one to nine times as long between an answer and the next request.
const THINKS: Duration = Duration::from_millis(3);
/// How long the address waits for a node.
const PATIENCE: Duration = Duration::from_millis(300);
/// A crash may strike a little later than it is recorded.
const SHORTLY: Duration = Duration::from_millis(100);
