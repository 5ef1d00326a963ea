//! What must come of a state when nothing goes wrong any more: the clients are gone, what was on its way is lost, and
//! the two leaders hear each other and the time.

use std::collections::VecDeque;

use synod_spanner::{Outcome, ShardId, TxnId};

use crate::message::Message;
use crate::server::{Server, Stepping};

/// Both shards come to rest: no lock is held, nothing is prepared, and they agree.
///
/// # Errors
/// What is still there.
pub(crate) fn calm(servers: [Server; 2], txns: &[TxnId]) -> Result<(), String> {
    let mut steps = servers.map(Server::step);
    let mut wire = VecDeque::new();
    for _ in 0..ROUNDS_MAX {
        for step in &mut steps {
            while step.server.has_proposals() {
                step.decide();
            }
            collect(step, &mut wire);
        }
        if let Some((to, peer)) = wire.pop_front() {
            let step = steps.iter_mut().find(|step| step.server.shard == to);
            step.ok_or("to nobody")?.peer(peer);
        } else if steps.iter().all(|step| step.server.is_idle()) {
            return txns.iter().try_for_each(|txn| agree(&steps, *txn));
        } else {
            steps.iter_mut().for_each(Stepping::tick);
        }
    }
    let servers = steps.map(|step| step.server);
    Err(format!("locks are held for ever: {servers:?}"))
}

fn collect(step: &mut Stepping, wire: &mut VecDeque<(ShardId, synod_spanner::Peer)>) {
    step.told.clear();
    for message in step.sent.drain(..) {
        if let Message::Peer(to, peer) = message {
            wire.push_back((to, peer));
        }
    }
}

/// What one shard has decided the other has not decided otherwise.
fn agree(steps: &[Stepping; 2], txn: TxnId) -> Result<(), String> {
    let outcomes = steps.each_ref().map(|step| step.server.outcome(txn));
    match outcomes {
        [Outcome::Open, _] | [_, Outcome::Open] => Ok(()),
        [one, other] if one == other => Ok(()),
        _ => Err(format!("I7: at rest {txn:?} is {outcomes:?}")),
    }
}

/// Far more than it takes.
const ROUNDS_MAX: usize = 500;
