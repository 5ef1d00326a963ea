//! Three processes that share one resource without a coordinator, over a network that loses every third message: each
//! enters once, in the order of the stamps of its requests. The second one stops meanwhile, and comes back.
//!
//! `cargo run --example mutual_exclusion -p synod-lamport`
//!
//! The rules are in `exclusion.rs`; `tests/exclusion` tries them out.

mod exclusion;

use std::collections::VecDeque;
use std::error::Error;

use exclusion::{Message, MutualExclusion, NotRequested, Output, Peer, PeersError};
use synod_lamport::LamportTime;

type Process = MutualExclusion<usize, Vec<Peer<usize>>>;

fn main() -> Result<(), Box<dyn Error>> {
    let mut processes = Vec::new();
    for id in 0..PROCESSES {
        processes.push(process(id, LamportTime::ZERO)?);
    }
    for (id, process) in processes.iter_mut().enumerate() {
        println!("process {id} asks by {}", process.request()?);
    }
    // It remembers its time and nothing else; what it had asked for is given up, and asked for anew.
    let stopped = processes[1].now();
    processes[1] = process(1, stopped)?;
    println!("process 1 is back, and asks by {}", processes[1].request()?);

    let mut network = Network::default();
    while network.entered < PROCESSES {
        for (id, process) in processes.iter_mut().enumerate() {
            drain(id, process, &mut network)?;
        }
        match network.under_way.pop_front() {
            Some((from, to, message)) => processes[to].handle_message(from, message),
            // Nothing is under way, and somebody still waits.
            None => processes.iter_mut().for_each(Process::handle_timeout),
        }
    }
    let ignored: u64 = processes.iter().map(Process::ignored).sum();
    println!(
        "{} messages, {} of them lost, {ignored} ignored",
        network.sent,
        network.sent / 3
    );
    Ok(())
}

fn process(id: usize, start: LamportTime) -> Result<Process, PeersError> {
    let others = (0..PROCESSES).filter(|other| *other != id);
    MutualExclusion::new(id, others.map(Peer::new).collect(), start)
}

#[derive(Default)]
struct Network {
    under_way: VecDeque<(usize, usize, Message)>,
    sent: u64,
    entered: usize,
}

/// Does what the process wants done.
fn drain(id: usize, process: &mut Process, network: &mut Network) -> Result<(), NotRequested> {
    while let Some(output) = process.poll_output() {
        match output {
            Output::Send { to, message } => {
                network.sent += 1;
                if !network.sent.is_multiple_of(3) {
                    network.under_way.push_back((id, to, message));
                }
            }
            Output::Entered(stamp) => {
                println!("process {id} enters by {stamp}");
                network.entered += 1;
                process.release()?;
            }
        }
    }
    Ok(())
}

const PROCESSES: usize = 3;
