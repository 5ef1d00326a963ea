//! Birman, Schiper, Stephenson 1991: causal delivery over a network that loses, repeats and reorders.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use synod_vclock::{BufferError, BufferLimits, CausalBuffer, Dot, Envelope, Receipt};

type Message = Envelope<usize, usize>;

#[derive(Clone, Copy, Debug)]
enum Move {
    Broadcast(usize),
    /// Some message that was ever sent arrives, for the first time or again.
    Arrive {
        to: usize,
        pick: usize,
    },
    Poll(usize),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        2 => (0..NODES).prop_map(Move::Broadcast),
        6 => (0..NODES, any::<usize>()).prop_map(|(to, pick)| Move::Arrive { to, pick }),
        4 => (0..NODES).prop_map(Move::Poll),
    ];
    proptest::collection::vec(one, 0..120)
}

struct World {
    buffers: Vec<CausalBuffer<usize, usize>>,
    /// Everything sent: the payload is the place.
    sent: Vec<Message>,
    /// What had been delivered at its sender before each message.
    pasts: Vec<BTreeSet<usize>>,
    delivered: Vec<BTreeSet<usize>>,
    taken_in: Vec<BTreeSet<usize>>,
    refused: u32,
}

impl World {
    fn new(limits: BufferLimits) -> Self {
        let buffer = |me| CausalBuffer::new(me, 0..NODES, limits);
        Self {
            buffers: (0..NODES).map(buffer).collect(),
            sent: Vec::new(),
            pasts: Vec::new(),
            delivered: vec![BTreeSet::new(); NODES],
            taken_in: vec![BTreeSet::new(); NODES],
            refused: 0,
        }
    }

    fn step(&mut self, step: Move) -> Result<(), TestCaseError> {
        match step {
            Move::Broadcast(from) => {
                let payload = self.sent.len();
                self.pasts.push(self.delivered[from].clone());
                self.sent
                    .push(self.buffers[from].broadcast(payload).unwrap());
                self.delivered[from].insert(payload);
            }
            Move::Arrive { to, pick } if !self.sent.is_empty() => {
                self.arrive(to, pick % self.sent.len())?;
            }
            Move::Arrive { .. } => {}
            Move::Poll(at) => {
                self.poll(at)?;
            }
        }
        Ok(())
    }

    fn arrive(&mut self, to: usize, message: usize) -> Result<(), TestCaseError> {
        let repeated =
            self.delivered[to].contains(&message) || self.taken_in[to].contains(&message);
        match self.buffers[to].handle_message(self.sent[message].clone()) {
            Ok(receipt) => {
                prop_assert_eq!(receipt == Receipt::Duplicate, repeated, "at most once");
                if !repeated {
                    self.taken_in[to].insert(message);
                }
                let due = self.pasts[message].is_subset(&self.delivered[to]);
                prop_assert!(repeated || (receipt == Receipt::Ready) == due);
            }
            Err(BufferError::Full) => self.refused += 1,
            Err(error) => prop_assert!(false, "{}", error),
        }
        Ok(())
    }

    fn poll(&mut self, at: usize) -> Result<bool, TestCaseError> {
        let Some(message) = self.buffers[at].poll_delivery() else {
            let due = self.taken_in[at]
                .iter()
                .find(|message| self.pasts[**message].is_subset(&self.delivered[at]));
            prop_assert_eq!(due, None, "what is due is delivered");
            return Ok(false);
        };
        prop_assert!(self.taken_in[at].remove(&message.payload));
        prop_assert!(
            self.pasts[message.payload].is_subset(&self.delivered[at]),
            "no effect before its cause"
        );
        prop_assert!(self.delivered[at].insert(message.payload), "at most once");
        Ok(true)
    }

    /// What `missing` must say: of the past of what is held, what is neither held nor delivered.
    fn check_missing(&self, at: usize) -> Result<(), TestCaseError> {
        let dots = self
            .sent
            .iter()
            .map(|message| {
                (
                    message.payload,
                    (message.sender, message.clock.get(&message.sender)),
                )
            })
            .collect::<BTreeMap<_, _>>();
        let expected = self.taken_in[at]
            .iter()
            .flat_map(|message| &self.pasts[*message])
            .filter(|message| {
                !self.delivered[at].contains(message) && !self.taken_in[at].contains(message)
            })
            .map(|message| dots[message])
            .collect::<BTreeSet<_>>();
        let reported = self.buffers[at]
            .missing()
            .flat_map(|(sender, counters)| counters.map(move |counter| (sender, counter)))
            .collect::<Vec<_>>();
        prop_assert_eq!(reported.len(), expected.len(), "nothing twice");
        prop_assert_eq!(reported.into_iter().collect::<BTreeSet<_>>(), expected);
        Ok(())
    }

    /// Every message arrives everywhere once more, until nothing changes.
    fn drain(&mut self) -> Result<(), TestCaseError> {
        // Each round delivers at least one message more at each node that lacks one.
        for _ in 0..=self.sent.len() {
            for to in 0..NODES {
                // The latest first: the worst order there is.
                for message in (0..self.sent.len()).rev() {
                    self.arrive(to, message)?;
                    while self.poll(to)? {}
                }
            }
        }
        for (buffer, delivered) in self.buffers.iter().zip(&self.delivered) {
            prop_assert_eq!(
                delivered.len(),
                self.sent.len(),
                "everything is delivered in the end"
            );
            prop_assert_eq!(buffer.held(), 0, "the buffer is drained");
            prop_assert_eq!(buffer.missing().count(), 0);
        }
        Ok(())
    }
}

const NODES: usize = 4;

proptest! {
    #[test]
    fn bss_delivery_is_safe_at_most_once_and_complete(moves in moves()) {
        let mut world = World::new(BufferLimits::default());
        for step in moves {
            world.step(step)?;
        }
        world.drain()?;
        prop_assert_eq!(world.refused, 0);
    }

    #[test]
    fn bss_gaps_are_reported_exactly(moves in moves()) {
        let mut world = World::new(BufferLimits::default());
        for step in moves {
            world.step(step)?;
            for at in 0..NODES {
                world.check_missing(at)?;
            }
        }
    }

    #[test]
    fn bss_makes_progress_in_the_smallest_buffer(
        moves in moves(),
        held_max in 0_usize..3,
        held_of_one_max in 0_usize..3,
    ) {
        let mut world = World::new(BufferLimits { held_max, held_of_one_max });
        for step in moves {
            world.step(step)?;
            let held = world.buffers.iter().map(CausalBuffer::held).max();
            // One more than allowed, if it can be had at once.
            prop_assert!(held <= Some(held_max.min(held_of_one_max * NODES) + 1));
        }
        world.drain()?;
    }
}

fn buffer() -> CausalBuffer<&'static str, u8> {
    CausalBuffer::new("me", ["you", "she"], BufferLimits::default())
}

fn message(sender: &'static str, clock: &[(&'static str, u64)]) -> Envelope<&'static str, u8> {
    Envelope {
        sender,
        clock: clock.iter().copied().collect(),
        payload: 0,
    }
}

#[test]
fn bss_refuses_what_cannot_be() {
    let mut buffer = buffer();
    let refused = [
        (message("they", &[("they", 1)]), "not a member of the group"),
        (
            message("you", &[("you", 1), ("they", 1)]),
            "not a member of the group",
        ),
        (
            message("you", &[("she", 1)]),
            "the message does not count itself",
        ),
        (
            message("you", &[("you", 1), ("me", 1)]),
            "the message knows of broadcasts that this process has not made",
        ),
    ];
    for (message, error) in refused {
        assert_eq!(
            buffer.handle_message(message).unwrap_err().to_string(),
            error
        );
    }
    assert_eq!((buffer.held(), buffer.delivered().len()), (0, 0));
}

#[test]
fn bss_counters_at_their_end_are_gaps_like_others() {
    let mut buffer = buffer();
    let last = message("you", &[("you", u64::MAX), ("she", u64::MAX)]);
    assert_eq!(buffer.handle_message(last), Ok(Receipt::Waiting));
    assert!(
        buffer
            .missing()
            .eq([("she", 1..=u64::MAX), ("you", 1..=u64::MAX - 1)])
    );
    assert_eq!(buffer.poll_delivery(), None);
}

#[test]
fn bss_one_sender_cannot_fill_the_buffer() {
    let limits = BufferLimits {
        held_max: 10,
        held_of_one_max: 2,
    };
    let mut buffer = CausalBuffer::new("me", ["you", "she"], limits);
    for counter in [5, 6] {
        assert_eq!(
            buffer.handle_message(message("you", &[("you", counter)])),
            Ok(Receipt::Waiting)
        );
    }
    assert_eq!(
        buffer.handle_message(message("you", &[("you", 7)])),
        Err(BufferError::Full)
    );
    assert_eq!(
        buffer.handle_message(message("she", &[("she", 2)])),
        Ok(Receipt::Waiting)
    );
    // The next one of the sender always has a place.
    assert_eq!(
        buffer.handle_message(message("you", &[("you", 1)])),
        Ok(Receipt::Ready)
    );
    let first = Dot::new("you", 1).unwrap();
    assert!(!buffer.delivered().contains(&first));
    buffer.poll_delivery().unwrap();
    assert!(buffer.delivered().contains(&first));
}
