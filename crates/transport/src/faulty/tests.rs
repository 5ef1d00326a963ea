//! Each fault alone, on an in-memory network with a paused clock.

use super::*;
use crate::{Memory, MemoryNetwork};
use std::future::poll_fn;
use std::task::Waker;
use std::time::Duration;
use tokio::time::sleep;

const ONE: NodeId = NodeId(1);
const TWO: NodeId = NodeId(2);
const THREE: NodeId = NodeId(3);

struct Net {
    faults: Faults,
    ends: Vec<Faulty<Memory>>,
    begin: Instant,
}

/// An arrival: sender, receiver, milliseconds since the start, and the message's number.
type Arrival = (NodeId, NodeId, u64, u64);

impl Net {
    fn new(seed: u64) -> Self {
        let (network, faults) = (MemoryNetwork::new(), Faults::new(seed));
        let end = |id| Faulty::new(id, network.join(id), &faults);
        let ends = [ONE, TWO, THREE].map(end).into();
        Self {
            faults,
            ends,
            begin: Instant::now(),
        }
    }

    fn end(&mut self, id: NodeId) -> &mut Faulty<Memory> {
        &mut self.ends[id.0 as usize - 1]
    }

    fn send(&mut self, from: NodeId, to: NodeId, lane: Lane, numbers: std::ops::Range<u64>) {
        for number in numbers {
            let bytes = Bytes::copy_from_slice(&number.to_le_bytes());
            self.end(from).send(to, lane, bytes.into());
        }
        self.end(from).flush();
    }

    /// Drives all ends for so long, as their owners' loops would.
    async fn run(&mut self, millis: u64) -> Vec<Arrival> {
        let mut arrivals = Vec::new();
        let mut until = std::pin::pin!(sleep(Duration::from_millis(millis)));
        let (begin, ends) = (self.begin, &mut self.ends);
        poll_fn(|cx| {
            for end in ends.iter_mut() {
                // A loop's turn polls available messages without registering a waker.
                let mut nobody = Context::from_waker(Waker::noop());
                while let Poll::Ready(Some((from, bytes))) = end.poll_recv(&mut nobody) {
                    arrivals.push(arrival(begin, end, from, &bytes));
                }
                while let Poll::Ready(Some((from, bytes))) = end.poll_recv(cx) {
                    arrivals.push(arrival(begin, end, from, &bytes));
                }
            }
            until.as_mut().poll(cx)
        })
        .await;
        arrivals
    }
}

fn arrival(begin: Instant, end: &Faulty<Memory>, from: NodeId, bytes: &Bytes) -> Arrival {
    let number = bytes[..8].try_into().map(u64::from_le_bytes).unwrap();
    (from, end.id, begin.elapsed().as_millis() as u64, number)
}

fn numbers(arrivals: &[Arrival]) -> Vec<u64> {
    arrivals.iter().map(|arrival| arrival.3).collect()
}

#[tokio::test(start_paused = true)]
async fn without_a_fault_it_is_the_transport_inside() {
    let mut net = Net::new(1);
    let bytes = Bytes::copy_from_slice(&7_u64.to_le_bytes());
    net.end(ONE).send(TWO, Lane::Bulk, bytes.into());
    assert_eq!(net.run(10).await, [], "nothing leaves before the flush");
    net.send(ONE, TWO, Lane::Control, 8..9);
    assert_eq!(numbers(&net.run(10).await), [8, 7]);
    assert_eq!(net.faults.counts(), FaultCounts::default());
    assert!(net.end(ONE).timer.is_none());
}

#[tokio::test(start_paused = true)]
async fn as_many_are_lost_as_are_said_to_be_and_the_same_ones_each_time() {
    let mut runs = Vec::new();
    for seed in [1, 1, 2] {
        let mut net = Net::new(seed);
        net.faults.set_all(LinkFaults {
            loss: 0.25,
            ..LinkFaults::NONE
        });
        net.send(ONE, TWO, Lane::Bulk, 0..2_000);
        let arrived = numbers(&net.run(10).await);
        assert_eq!(net.faults.counts().lost, 2_000 - arrived.len() as u64);
        assert!((1_400..1_600).contains(&arrived.len()), "{}", arrived.len());
        assert!(arrived.is_sorted());
        runs.push(arrived);
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
}

#[tokio::test(start_paused = true)]
async fn a_message_goes_twice() {
    let mut net = Net::new(1);
    net.faults.set_all(LinkFaults {
        duplicate: 1.0,
        ..LinkFaults::NONE
    });
    net.send(ONE, TWO, Lane::Control, 0..3);
    assert_eq!(numbers(&net.run(10).await), [0, 0, 1, 1, 2, 2]);
    assert_eq!(net.faults.counts().duplicated, 3);
}

#[tokio::test(start_paused = true)]
async fn a_delay_is_within_its_bounds_and_keeps_the_order() {
    let mut net = Net::new(1);
    net.faults.set_all(LinkFaults {
        delay_min: Duration::from_millis(100),
        delay_max: Duration::from_millis(200),
        ..LinkFaults::NONE
    });
    net.send(ONE, TWO, Lane::Control, 0..100);
    let arrivals = net.run(1_000).await;
    assert_eq!(numbers(&arrivals), (0..100).collect::<Vec<_>>());
    let times: Vec<u64> = arrivals.iter().map(|arrival| arrival.2).collect();
    assert!(
        (100..150).contains(&times[0]),
        "the first after {} ms",
        times[0]
    );
    assert!((150..=202).contains(&times[99]), "{}", times[99]);
}

#[tokio::test(start_paused = true)]
async fn what_is_held_back_is_overtaken_and_arrives() {
    let mut net = Net::new(1);
    net.faults.set_all(LinkFaults {
        reorder: 0.2,
        reorder_by: Duration::from_millis(50),
        ..LinkFaults::NONE
    });
    net.send(ONE, TWO, Lane::Control, 0..100);
    let mut arrived = numbers(&net.run(1_000).await);
    assert_eq!(arrived.len(), 100);
    assert!(!arrived.is_sorted());
    let reordered = net.faults.counts().reordered as usize;
    assert!((10..30).contains(&reordered), "{reordered}");
    let (on_time, late) = arrived.split_at(100 - reordered);
    assert!(on_time.is_sorted() && late.is_sorted());
    arrived.sort_unstable();
    assert_eq!(arrived, (0..100).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_narrow_link_takes_its_time_and_control_goes_first() {
    let mut net = Net::new(1);
    // Eight bytes a message: a hundred of them a second.
    net.faults.set_all(LinkFaults {
        bytes_per_second: Some(800),
        ..LinkFaults::NONE
    });
    net.send(ONE, TWO, Lane::Bulk, 0..100);
    let before = net.run(500).await;
    assert!((48..=50).contains(&before.len()), "{}", before.len());
    net.send(ONE, TWO, Lane::Control, 1_000..1_001);
    let behind = net.run(600).await;
    let control = behind.iter().position(|arrival| arrival.3 == 1_000);
    assert!(
        control.is_some_and(|at| at <= 2),
        "control comes as {control:?}"
    );
    assert_eq!(before.len() + behind.len(), 101);
    let last = behind.last().map(|arrival| arrival.2);
    assert!(
        last.is_some_and(|ms| (1_008..=1_015).contains(&ms)),
        "{last:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_waits_on_a_narrow_link_has_the_bounds_of_its_lane() {
    let mut net = Net::new(1);
    net.faults.set_all(LinkFaults {
        bytes_per_second: Some(1),
        ..LinkFaults::NONE
    });
    for number in 0..3 * 4_096 {
        net.send(ONE, TWO, Lane::Bulk, number..number + 1);
    }
    net.run(1).await;
    assert!(net.faults.counts().overflowed >= 2 * 4_096 - 2);
    net.faults.clear();
    let arrived = numbers(&net.run(9_000).await);
    assert!(arrived.len() <= 4_097 && arrived.is_sorted());
    assert_eq!(arrived.first(), Some(&0), "bulk refuses its newest");
}

#[tokio::test(start_paused = true)]
async fn a_cut_is_one_way_and_swallows_what_is_on_its_way() {
    let mut net = Net::new(1);
    net.faults.set_all(LinkFaults {
        delay_min: Duration::from_millis(100),
        delay_max: Duration::from_millis(100),
        ..LinkFaults::NONE
    });
    net.send(ONE, TWO, Lane::Control, 0..1);
    net.run(50).await;
    net.faults.cut(ONE, TWO);
    net.send(ONE, TWO, Lane::Control, 1..2);
    net.send(TWO, ONE, Lane::Control, 2..3);
    assert_eq!(numbers(&net.run(500).await), [2]);
    assert_eq!(net.faults.counts().cut, 2);
    net.faults.heal(ONE, TWO);
    net.send(ONE, TWO, Lane::Control, 3..4);
    assert_eq!(numbers(&net.run(500).await), [3]);
}

/// The pairs of three nodes that reach each other.
async fn reached(net: &mut Net) -> Vec<(u64, u64)> {
    for from in [ONE, TWO, THREE] {
        for to in [ONE, TWO, THREE].into_iter().filter(|to| *to != from) {
            net.send(from, to, Lane::Control, 0..1);
        }
    }
    let arrivals = net.run(10).await.into_iter();
    let mut reached: Vec<_> = arrivals.map(|(from, to, ..)| (from.0, to.0)).collect();
    reached.sort_unstable();
    reached
}

#[tokio::test(start_paused = true)]
async fn partitions_are_whole_one_way_or_leave_a_bridge() {
    let all = [(1, 2), (1, 3), (2, 1), (2, 3), (3, 1), (3, 2)];
    let mut net = Net::new(1);
    assert_eq!(reached(&mut net).await, all);
    net.faults.partition(&[ONE], &[TWO, THREE]);
    assert_eq!(reached(&mut net).await, [(2, 3), (3, 2)]);
    net.faults.heal_all();
    net.faults.cut_one_way(&[ONE], &[TWO, THREE]);
    assert_eq!(reached(&mut net).await, [(2, 1), (2, 3), (3, 1), (3, 2)]);
    assert!(net.faults.is_cut(ONE, TWO) && !net.faults.is_cut(TWO, ONE));
    net.faults.heal_all();
    net.faults.partition(&[ONE], &[THREE]);
    assert_eq!(
        reached(&mut net).await,
        [(1, 2), (2, 1), (2, 3), (3, 2)],
        "node 2 is the bridge"
    );
    net.faults.clear();
    assert_eq!(reached(&mut net).await, all);
}

#[tokio::test(start_paused = true)]
async fn of_one_link_alone_it_may_be_said() {
    let mut net = Net::new(1);
    let lost = LinkFaults {
        loss: 1.0,
        ..LinkFaults::NONE
    };
    net.faults.set(ONE, TWO, lost);
    assert_eq!(reached(&mut net).await.len(), 5);
    net.faults.set_all(lost);
    net.faults.set(ONE, TWO, LinkFaults::NONE);
    assert_eq!(reached(&mut net).await, [(1, 2)]);
}

/// A narrow link is busy with bulk for eight seconds, and control waits for it.
#[tokio::test(start_paused = true)]
async fn whoever_holds_messages_back_is_woken_when_the_fault_ends() {
    let mut net = Net::new(1);
    net.faults.set_all(LinkFaults {
        bytes_per_second: Some(1),
        ..LinkFaults::NONE
    });
    net.send(ONE, TWO, Lane::Bulk, 0..1);
    net.send(ONE, TWO, Lane::Control, 1..2);
    let faults = net.faults.clone();
    let running = tokio::spawn(async move { net.run(1_000).await });
    sleep(Duration::from_millis(50)).await;
    faults.clear();
    let arrivals = running.await.unwrap();
    assert_eq!(numbers(&arrivals), [1]);
    assert!(arrivals[0].2 < 60, "nobody woke it: {arrivals:?}");
}

#[tokio::test]
async fn messages_to_nobody_and_to_itself_are_dropped() {
    let mut net = Net::new(1);
    net.faults.set_all(LinkFaults {
        delay_max: Duration::from_millis(1),
        ..LinkFaults::NONE
    });
    net.send(ONE, ONE, Lane::Control, 0..1);
    net.send(ONE, NodeId(9), Lane::Control, 1..2);
    net.send(ONE, TWO, Lane::Control, 2..3);
    assert_eq!(numbers(&net.run(50).await), [2]);
}
