//! The other half of PACELC: what consistency costs while nothing is cut.

use std::rc::Rc;
use std::time::Duration;

use synod_sim::{ClientId, KvInput, NodeId, Process, WorldOptions};

use super::execution::{KEY, NODES, PATIENCE, calm};
use crate::scene::{Ask, Board};

/// What was measured at one delay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency {
    /// Of the write at one node in the quickest pair of a write and a read.
    pub write: Duration,
    /// Of the read at another node that follows it.
    pub read: Duration,
    /// All that was seen is linearizable.
    pub linearizable: bool,
}

/// Writes at each node, and reads at each other one as soon as that is acknowledged, where each
/// message takes exactly `delay` and disks take no time.
///
/// Of all these pairs the quickest is taken: a write at one node and the read that follows it at another.
pub fn measure<P>(seed: u64, delay: Duration) -> Latency
where
    P: Process<Input = Ask, Shared = Rc<Board>>,
{
    let mut options = WorldOptions::default();
    options.delay_min = delay;
    options.delay_mean = Duration::ZERO;
    options.sync_min = Duration::ZERO;
    options.sync_mean = Duration::ZERO;
    let mut scene = calm::<P>(seed, options);
    let mut quickest = (PATIENCE, PATIENCE);
    for writer in 1..=NODES {
        for reader in (1..=NODES).filter(|reader| *reader != writer) {
            let value = format!("{writer}{reader}");
            let op = scene.ask(ClientId(1), NodeId(writer), KvInput::put(KEY, value));
            let write = scene.wait(op, PATIENCE).unwrap_or(PATIENCE);
            let op = scene.ask(ClientId(2), NodeId(reader), KvInput::get(KEY));
            let read = scene.wait(op, PATIENCE).unwrap_or(PATIENCE);
            if write + read < quickest.0 + quickest.1 {
                quickest = (write, read);
            }
        }
    }
    let (write, read) = quickest;
    Latency {
        write,
        read,
        linearizable: scene.verdict().is_ok(),
    }
}
