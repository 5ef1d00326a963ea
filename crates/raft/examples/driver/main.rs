//! Raft by its bare core: three nodes in one process, each with a thread and a log file of its own, and
//! the checker that watches them. The leader crashes, starts again from its file, and nothing is lost.
//!
//! ```text
//! cargo run -p synod-raft --example driver
//! ```
//!
//! To write such a driver is worth it where a runtime of your own exists already. Otherwise
//! `synod-replica` is one, with snapshots, sockets, and all of its failures tested.
//!
//! - `log`: the log file, and how it is read back.
//! - `node`: the loop around the core.
//! - Here: the client, the crash, and what all nodes must agree on.

mod log;
mod node;

use std::error::Error;
use std::fs;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use node::{Input, Node, Peers, Running};
use synod_raft::check::Checker;
use synod_raft::{NodeId, Term};

const COMMANDS: u64 = 200;

fn main() -> Result<(), Box<dyn Error>> {
    let directory = std::env::temp_dir().join(format!("synod-raft-driver-{}", std::process::id()));
    fs::create_dir_all(&directory)?;
    let verdict = run(&directory);
    fs::remove_dir_all(&directory)?;
    verdict
}

fn run(directory: &std::path::Path) -> Result<(), Box<dyn Error>> {
    let peers = Peers::default();
    let checker = Arc::new(Mutex::new(Checker::default()));
    let ids = [1, 2, 3].map(NodeId);
    let start = |id: NodeId| -> Result<Running, Box<dyn Error>> {
        let path = directory.join(format!("{}.log", id.0));
        Node::start(id, ids, &path, peers.clone(), checker.clone())
    };
    let mut nodes = Vec::new();
    for id in ids {
        nodes.push(start(id)?);
    }

    let mut client = Client {
        peers: peers.clone(),
        leader: ids[0],
        term: Term(0),
    };
    for number in 0..COMMANDS {
        client.submit(number)?;
    }
    let crashed = client.leader;
    let place = ids
        .iter()
        .position(|id| *id == crashed)
        .ok_or("a leader is one of them")?;
    println!(
        "{COMMANDS} commands are committed; the leader, node {}, crashes",
        crashed.0
    );
    nodes.remove(place).crash()?;
    for number in COMMANDS..2 * COMMANDS {
        client.submit(number)?;
    }
    println!(
        "{COMMANDS} more are committed under node {}",
        client.leader.0
    );
    nodes.insert(place, start(crashed)?);
    client.submit(2 * COMMANDS)?;

    let all: Vec<Bytes> = (0..=2 * COMMANDS).map(body).collect();
    for node in &nodes {
        let mut applied = node.applied(body(2 * COMMANDS))?;
        // A command whose answer was lost with the leader was submitted again, so it may be there twice.
        applied.dedup();
        if applied != all {
            return Err(format!("applied {applied:?}").into());
        }
    }
    nodes.into_iter().try_for_each(Running::crash)?;
    println!(
        "all three machines have applied all of them in the same order, and no rule of Raft was violated"
    );
    Ok(())
}

fn body(number: u64) -> Bytes {
    number.to_string().into()
}

/// Submits one command after the other, each until it is committed.
struct Client {
    peers: Peers,
    leader: NodeId,
    /// In which it was said to lead.
    term: Term,
}

impl Client {
    fn submit(&mut self, number: u64) -> Result<(), Box<dyn Error>> {
        for _ in 0..ATTEMPTS_MAX {
            let (answer, answered) = mpsc::channel();
            let body = body(number);
            self.peers.send(
                self.leader,
                Input::Propose {
                    body,
                    after: self.term,
                    answer,
                },
            );
            match answered.recv() {
                Ok(Ok(())) => return Ok(()),
                Ok(Err((leader, term))) => (self.leader, self.term) = (leader, term),
                // The node is down, or another entry took the place: in a later term somebody else leads.
                Err(_) => self.leader = NodeId(self.leader.0 % 3 + 1),
            }
        }
        Err(format!("nobody has committed {number}").into())
    }
}

const ATTEMPTS_MAX: usize = 20;
