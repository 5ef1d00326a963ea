//! A process that stops and comes back with its time: nobody meets it, and nobody waits for ever.

use synod_lamport::LamportTime;

use crate::exclusion::{MutualExclusion, Output, Peer};

type Exclusion = MutualExclusion<u8, [Peer<u8>; 1]>;

fn process(id: u8, start: LamportTime) -> Exclusion {
    MutualExclusion::new(id, [Peer::new(1 - id)], start).unwrap()
}

/// Lets both say all they have to say, and gives who entered, in order.
fn talk(processes: &mut [Exclusion; 2]) -> Vec<u8> {
    let mut entered = Vec::new();
    loop {
        let mut quiet = true;
        for from in [0, 1_u8] {
            while let Some(output) = processes[usize::from(from)].poll_output() {
                quiet = false;
                match output {
                    Output::Send { to, message } => {
                        processes[usize::from(to)].handle_message(from, message);
                    }
                    Output::Entered(stamp) => entered.push(stamp.node),
                }
            }
        }
        if quiet {
            return entered;
        }
    }
}

#[test]
fn who_waits_for_a_holder_that_stopped_enters_after_asking_again() {
    let mut processes = [0, 1].map(|id| process(id, LamportTime::ZERO));
    processes[0].request().unwrap();
    assert_eq!(talk(&mut processes), [0]);
    processes[1].request().unwrap();
    assert_eq!(talk(&mut processes), [], "it is held");

    processes[0] = process(0, processes[0].now());
    assert_eq!(talk(&mut processes), [], "nobody has been told");
    processes[1].handle_timeout();
    assert_eq!(talk(&mut processes), [1]);

    // And the one that came back is a process as any other.
    let (held, wanted) = (
        processes[1].holds().unwrap(),
        processes[0].request().unwrap(),
    );
    assert!(held < wanted);
    assert_eq!(talk(&mut processes), []);
    processes[1].release().unwrap();
    assert_eq!(talk(&mut processes), [0]);
}
