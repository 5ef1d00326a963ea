//! The last times of the clocks, and messages that no process sends: nothing panics, nobody meets.

use proptest::collection::vec;
use proptest::prelude::*;
use synod_lamport::LamportTime;

use crate::exclusion::{Message, MutualExclusion, Output, Peer, RequestError};

#[derive(Clone, Debug)]
enum Step {
    Request(usize),
    Release(usize),
    Timeout(usize),
    /// The oldest message that is under way.
    Deliver,
    /// One that nobody sent, from a stranger, or asking later than it was sent, or from the end of
    /// time.
    Forge(usize, u8, Message),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let last = |times: u64| (0..times).prop_map(|before| LamportTime::new(u64::MAX - before));
    let request = |(time, request)| Message::Request { time, request };
    let stranger = (2..4_u8, (last(4), last(4)).prop_map(request));
    let known = (0..2_u8, (last(2), last(4)).prop_map(request));
    let forged = prop_oneof![stranger, known];
    let step = prop_oneof![
        1 => (0..2_usize).prop_map(Step::Request),
        1 => (0..2_usize).prop_map(Step::Release),
        1 => (0..2_usize).prop_map(Step::Timeout),
        4 => Just(Step::Deliver),
        1 => (0..2_usize, forged)
            .prop_map(|(to, (from, message))| Step::Forge(to, from, message)),
    ];
    vec(step, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn at_the_end_of_time_requests_are_refused_and_releases_are_not(
        steps in steps(),
        before in 0..12_u64,
    ) {
        let start = LamportTime::new(u64::MAX - before);
        let mut processes = [0, 1_u8].map(|id| {
            MutualExclusion::new(id, [Peer::new(1 - id)], start).expect("two names")
        });
        let mut network = std::collections::VecDeque::new();
        for step in steps {
            match step {
                Step::Request(id) => match processes[id].request() {
                    Ok(stamp) => prop_assert!(stamp.time > start),
                    Err(RequestError::Overflow) => {}
                    Err(error) => prop_assert_eq!(error, RequestError::Pending),
                },
                Step::Release(id) => {
                    let held = processes[id].holds().is_some();
                    prop_assert!(processes[id].release().is_ok() || !held);
                }
                Step::Timeout(id) => processes[id].handle_timeout(),
                Step::Deliver => {
                    if let Some((from, to, message)) = network.pop_front() {
                        let to: usize = usize::from(to);
                        processes[to].handle_message(from, message);
                    }
                }
                Step::Forge(to, from, message) => {
                    let ignored = processes[to].ignored();
                    processes[to].handle_message(from, message);
                    prop_assert_eq!(processes[to].ignored(), ignored + 1);
                }
            }
            for (id, process) in [0, 1_u8].into_iter().zip(&mut processes) {
                while let Some(output) = process.poll_output() {
                    if let Output::Send { to, message } = output {
                        network.push_back((id, to, message));
                    }
                }
            }
            let holders = processes.iter().filter(|process| process.holds().is_some());
            prop_assert!(holders.count() <= 1);
        }
    }
}

#[test]
fn a_request_that_is_later_than_its_message_is_ignored() {
    let mut process = MutualExclusion::new(0, [Peer::new(1)], LamportTime::ZERO).unwrap();
    let (time, request) = (LamportTime::new(4), LamportTime::new(5));
    process.handle_message(1, Message::Request { time, request });
    assert_eq!((process.ignored(), process.poll_output()), (1, None));
    process.handle_message(
        1,
        Message::Request {
            time: request,
            request,
        },
    );
    assert!(process.poll_output().is_some());
    // A jump beyond what one message may do.
    let time = LamportTime::new(1 << 60);
    process.handle_message(1, Message::Release { time });
    assert_eq!(process.ignored(), 2);
}
