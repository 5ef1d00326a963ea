//! The execution of Gilbert and Lynch's proof, built for any store of this crate.

use std::time::Duration;

use synod_sim::page::Recorder;
use synod_sim::{ClientId, KvInput, NodeId, OpId, Rng, Verdict, WorldOptions};

use crate::scene::{Scene, Store};

/// What was seen while nothing came through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A request to a node that did not fail was not answered for as long as the cut lasted.
    Unanswered {
        /// Which.
        what: Operation,
        /// Where it was asked.
        node: NodeId,
        /// How long after the healing the answer came; `None`: not within ten seconds.
        healed: Option<Duration>,
        /// What clients saw in the end is linearizable.
        linearizable: bool,
    },
    /// All were answered, and no single machine could have answered so.
    NotLinearizable {
        /// Where was written.
        written: NodeId,
        /// Where was read, after the write had been acknowledged.
        read: NodeId,
        /// The history, drawn.
        drawing: String,
    },
    /// All were answered, and rightly: there is no such store.
    Both,
}

/// One of the two operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// On one side of the cut.
    Write,
    /// On the other, after it.
    Read,
}

/// A write on one side, then a read on the other, all messages between the sides lost (Gilbert and
/// Lynch 2002, proof of Theorem 1). Which node is alone, and whether it is asked to write or to read,
/// is drawn.
///
/// A recorder is given the run, with the moment at which its verdict is clear.
pub fn cut<P>(seed: u64, lasts: Duration, recorder: Option<&Recorder>) -> Seen
where
    P: Store,
{
    let mut scene = calm::<P>(seed, WorldOptions::default(), recorder);
    let mut rng = Rng::new(!seed);
    let alone = NodeId(1 + rng.below(NODES));
    let other = NodeId(1 + (alone.0 + rng.below(NODES - 1)) % NODES);
    let (writer, reader) = match rng.chance(0.5) {
        true => (alone, other),
        false => (other, alone),
    };
    scene.cut(&[alone]);
    let ends = scene.world.now() + lasts;
    let write = scene.ask(WRITER, writer, KvInput::put(KEY, "new"));
    scene.wait(write, lasts / 2);
    let read = scene.ask(READER, reader, KvInput::get(KEY));
    let left = ends.saturating_sub(scene.world.now());
    scene.wait(read, left);
    scene.world.run_until(ends);
    let open = [
        (Operation::Write, write, writer),
        (Operation::Read, read, reader),
    ];
    let open = open
        .into_iter()
        .find(|(_, op, _)| scene.answer(*op).is_none());
    let seen = match (open, scene.verdict()) {
        (Some((what, op, node)), _) => heal(&mut scene, what, op, node, [write, read]),
        (None, Verdict::Violation(violation)) => Seen::NotLinearizable {
            written: writer,
            read: reader,
            drawing: violation.to_string(),
        },
        (None, _) => Seen::Both,
    };
    if let Some(recorder) = recorder {
        let answered = scene.answer(read).map_or(ends, |(at, _)| at);
        show(recorder, &seen, ends, answered);
    }
    seen
}

/// Marks the end of the cut if somebody still waits then, and else the read that was wrong.
fn show(recorder: &Recorder, seen: &Seen, ends: Duration, answered: Duration) {
    match seen {
        Seen::Unanswered { what, node, .. } => {
            let what = format!("{what:?}").to_lowercase();
            let text = format!("the {what} at {node} was not answered as long as the cut lasted");
            recorder.opens_at(ends, &text);
        }
        Seen::NotLinearizable { written, read, .. } => {
            let text = format!(
                "not linearizable: the write at {written} was acknowledged before the read at {read} \
                 began, which did not see it"
            );
            recorder.violation_at(answered, &text);
        }
        Seen::Both => {}
    }
}

fn heal<P>(scene: &mut Scene<P>, what: Operation, op: OpId, node: NodeId, all: [OpId; 2]) -> Seen
where
    P: Store,
{
    scene.world.heal_all();
    let healed = scene.wait(op, PATIENCE);
    for op in all {
        scene.wait(op, PATIENCE);
    }
    Seen::Unanswered {
        what,
        node,
        healed,
        linearizable: scene.verdict().is_ok(),
    }
}

/// A cluster that has found its leader, if it has such a thing, and holds "old" everywhere.
pub(super) fn calm<P>(seed: u64, options: WorldOptions, recorder: Option<&Recorder>) -> Scene<P>
where
    P: Store,
{
    let mut scene = Scene::<P>::recorded(seed, NODES, options, recorder);
    scene.world.run_until(Duration::from_secs(1));
    let first = scene.ask(ClientId(0), NodeId(1), KvInput::put(KEY, "old"));
    scene.wait(first, PATIENCE);
    let now = scene.world.now();
    scene.world.run_until(now + Duration::from_millis(500));
    scene
}

pub(super) const KEY: &str = "x";
pub(super) const NODES: u64 = 3;
pub(super) const WRITER: ClientId = ClientId(1);
pub(super) const READER: ClientId = ClientId(2);
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
