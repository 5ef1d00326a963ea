//! [`Synod`] nodes as a program drives them: random schedules, strangers and lying peers, and what
//! the exhaustive search cannot show because it has no time.

use core::convert::Infallible;
use core::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use synod_paxos::single::{
    Acceptor, Config, ConfigError, Envelope, Message, Output, Preempted, ProposeError, Synod,
};
use synod_paxos::{Ballot, Instant, NodeId, Quorums};

/// Nodes 1 to n, their disks, and a network that keeps sent messages.
struct Cluster {
    quorums: Quorums,
    nodes: Vec<Synod<u64>>,
    disks: Vec<Acceptor<u64>>,
    sent: Vec<(NodeId, Envelope<u64>)>,
    chosen: Vec<u64>,
    /// Whether writes fail.
    fails: bool,
}

impl Cluster {
    fn new(quorums: Quorums) -> Self {
        let disks = vec![Acceptor::default(); quorums.acceptors().len()];
        let nodes = quorums
            .acceptors()
            .zip(&disks)
            .map(|(id, disk)| start(id, &quorums, disk));
        Self {
            nodes: nodes.collect(),
            disks,
            quorums,
            sent: Vec::new(),
            chosen: Vec::new(),
            fails: false,
        }
    }

    fn poll(&mut self, at: usize) {
        let (node, disk) = (&mut self.nodes[at], &mut self.disks[at]);
        let from = node.id();
        while let Some(output) = node.poll_output() {
            let sent = match output {
                Output::Persist(write) => {
                    let stored = write.persist(|acceptor| {
                        if self.fails {
                            return Err("full");
                        }
                        *disk = acceptor.clone();
                        Ok(())
                    });
                    stored.unwrap_or_default()
                }
                Output::Send(envelope) => vec![envelope],
                Output::Chosen(value) => {
                    self.chosen.push(value);
                    continue;
                }
            };
            self.sent.extend(sent.into_iter().map(|sent| (from, sent)));
        }
    }

    fn propose(&mut self, at: usize) {
        let value = self.nodes[at].id().0;
        // In progress or chosen, which is just as good.
        let _ = self.nodes[at].propose(Instant::ZERO, value);
        self.poll(at);
    }

    fn time_out(&mut self, at: usize) {
        if let Some(due) = self.nodes[at].poll_timeout() {
            self.nodes[at].handle_timeout(due);
        }
        self.poll(at);
    }

    fn crash(&mut self, at: usize) {
        let id = self.nodes[at].id();
        self.nodes[at] = start(id, &self.quorums, &self.disks[at]);
        self.poll(at);
    }

    /// Delivers a message, which stays and may arrive again.
    fn deliver(&mut self, message: usize) {
        let (from, Envelope { to, message }) = self.sent[message].clone();
        let at = self.nodes.iter().position(|node| node.id() == to);
        let at = at.expect("nodes send to nodes");
        self.nodes[at].handle_message(Instant::ZERO, from, message);
        self.poll(at);
    }

    /// Delivers all messages, one after the other and each once, until none is left.
    fn settle(&mut self) {
        let mut next = self.sent.len();
        for message in 0..next {
            self.deliver(message);
        }
        while next < self.sent.len() {
            self.deliver(next);
            next += 1;
        }
    }
}

fn start(id: NodeId, quorums: &Quorums, disk: &Acceptor<u64>) -> Synod<u64> {
    let disk = Acceptor::recover(disk.promised(), disk.accepted().cloned());
    let disk = disk.expect("a disk of our own recovers");
    Synod::new(Config::new(id, quorums.clone()), disk).expect("a lawful configuration")
}

fn majority(ids: &[u64]) -> Quorums {
    let ids = ids.iter().copied().map(NodeId);
    Quorums::majority(ids).expect("a lawful system")
}

proptest! {
    /// Whatever happens, in any order, with failing writes and arbitrary ids: at most one value is
    /// chosen. Once the faults end, one proposal is enough for every node to learn it.
    #[test]
    fn nodes_agree_and_get_on(
        size in 1usize..=5,
        actions in vec((0u8..16, any::<usize>()), 0..400),
    ) {
        let ids = [900, 5, u64::MAX, 7, 0];
        let mut cluster = Cluster::new(majority(&ids[..size]));
        for (action, which) in actions {
            let at = which % size;
            match action {
                0 => cluster.propose(at),
                1 => cluster.time_out(at),
                2 => cluster.crash(at),
                3 => cluster.fails = which % 4 == 0,
                _ if cluster.sent.is_empty() => {}
                // Mostly messages that were sent recently.
                _ => {
                    let back = which % cluster.sent.len().min(1 << (action % 8));
                    cluster.deliver(cluster.sent.len() - 1 - back);
                }
            }
        }
        cluster.fails = false;
        (0..size).for_each(|at| cluster.crash(at));
        let before = cluster.chosen.clone();
        (0..size).for_each(|at| cluster.propose(at));
        for _ in 0..100 {
            cluster.settle();
            if cluster.nodes.iter().all(|node| node.chosen().is_some()) {
                break;
            }
            cluster.time_out(0);
        }
        let values: Vec<_> = cluster.nodes.iter().map(|node| node.chosen()).collect();
        prop_assert!(values.iter().all(|value| *value == values[0] && value.is_some()));
        prop_assert!(before.iter().all(|value| Some(value) == values[0]));
        prop_assert!(ids[..size].contains(values[0].expect("just seen")));
        prop_assert!(cluster.nodes.iter().all(|node| node.ignored() == 0));
    }
}

/// The ballot and the node's promise to itself are one write; nothing is sent before.
#[test]
fn a_ballot_leaves_when_it_is_durable() {
    let mut node = start(NodeId(1), &majority(&[1, 2, 3]), &Acceptor::default());
    node.propose(Instant::ZERO, 7).unwrap();
    let Some(Output::Persist(write)) = node.poll_output() else {
        panic!("a write comes first");
    };
    let mut disk = Acceptor::default();
    let sent = write.persist(|acceptor| {
        disk = acceptor.clone();
        Ok::<(), Infallible>(())
    });
    let to: Vec<_> = sent.unwrap().iter().map(|envelope| envelope.to.0).collect();
    assert_eq!(to, [2, 3]);
    assert_eq!(disk.promised().node, NodeId(1));
    assert!(node.poll_output().is_none(), "one promise is no majority");
}

#[test]
fn a_ballot_whose_write_failed_was_never_begun() {
    let mut cluster = Cluster::new(majority(&[1, 2, 3]));
    cluster.fails = true;
    cluster.propose(0);
    assert!(cluster.sent.is_empty());
    cluster.fails = false;
    cluster.time_out(0);
    cluster.settle();
    assert_eq!(cluster.chosen, [1, 1, 1]);
}

#[test]
fn one_node_alone_decides_after_two_writes() {
    let mut node = start(NodeId(4), &majority(&[4]), &Acceptor::default());
    node.propose(Instant::ZERO, 7).unwrap();
    let (mut writes, mut chosen) = (0, None);
    while let Some(output) = node.poll_output() {
        match output {
            Output::Persist(write) => {
                assert_eq!(chosen, None);
                writes += 1;
                let sent = write.persist(|_| Ok::<(), Infallible>(()));
                assert!(sent.unwrap().is_empty());
            }
            Output::Send(envelope) => panic!("there is nobody to send {envelope:?} to"),
            Output::Chosen(value) => chosen = Some(value),
        }
    }
    assert_eq!((writes, chosen), (2, Some(7)));
    assert_eq!(node.poll_timeout(), None);
}

#[test]
fn a_node_that_is_late_is_told() {
    let mut cluster = Cluster::new(majority(&[1, 2, 3]));
    cluster.propose(0);
    for message in 0.. {
        if message == cluster.sent.len() {
            break;
        }
        if cluster.sent[message].1.to != NodeId(3) {
            cluster.deliver(message);
        }
    }
    assert_eq!(cluster.chosen, [1, 1]);
    let late = cluster.sent.len();
    cluster.propose(2);
    let request = late..cluster.sent.len();
    request.for_each(|message| cluster.deliver(message));
    let answer = cluster.sent.last().cloned();
    assert!(matches!(answer, Some((_, envelope)) if envelope.message == Message::Chosen(1)));
    cluster.deliver(cluster.sent.len() - 1);
    assert_eq!(cluster.chosen, [1, 1, 1]);
    assert_eq!(cluster.nodes[2].poll_timeout(), None);
}

/// A node yields to a ballot above its own, and tries again if nothing follows.
#[test]
fn a_node_that_promised_another_waits_longer() {
    let mut cluster = Cluster::new(majority(&[1, 2, 3]));
    cluster.propose(0);
    let deadline = cluster.nodes[0].poll_timeout().unwrap();
    cluster.propose(1);
    let (from, request) = cluster.sent.last().cloned().unwrap();
    let prepare = Envelope {
        to: NodeId(1),
        ..request
    };
    cluster.nodes[0].handle_message(deadline, from, prepare.message);
    let later = cluster.nodes[0].poll_timeout().unwrap();
    assert!(later.since(deadline) >= Duration::from_millis(50));
    cluster.nodes[0].handle_timeout(deadline);
    assert_eq!(cluster.nodes[0].poll_timeout(), Some(later), "too early");
}

/// A peer may only make requests in its own ballots.
#[test]
fn what_no_correct_peer_says_is_ignored_and_counted() {
    let quorums = majority(&[1, 2, 3]);
    let mut cluster = Cluster::new(quorums.clone());
    cluster.propose(1);
    let (_, Envelope { message, .. }) = cluster.sent[0].clone();
    let node = &mut cluster.nodes[0];
    let before = node.clone();
    for from in [3, 4, 1] {
        node.handle_message(Instant::ZERO, NodeId(from), message.clone());
    }
    assert_eq!(node.ignored(), 3);
    assert_eq!(node.clone().without_time(), before.clone().without_time());

    let chosen = Message::Chosen(9);
    node.handle_message(Instant::ZERO, NodeId(4), chosen);
    assert_eq!(node.chosen(), None);
    let promised = Ballot {
        round: u64::MAX,
        node: NodeId(2),
    };
    let preempted = Message::Preempted(Preempted { promised });
    node.handle_message(Instant::ZERO, NodeId(2), preempted);
    node.propose(Instant::ZERO, 1).unwrap();
    assert_eq!(node.acceptor().promised().round, 1);
}

#[test]
fn a_proposal_is_refused_for_a_reason() {
    let mut cluster = Cluster::new(majority(&[1, 2, 3]));
    cluster.propose(0);
    let again = cluster.nodes[0].propose(Instant::ZERO, 8);
    assert_eq!(again, Err(ProposeError::UnderWay));
    cluster.settle();
    for node in &mut cluster.nodes {
        let late = node.propose(Instant::ZERO, 8);
        assert_eq!(late, Err(ProposeError::Chosen));
    }
    let round = Ballot::ROUND_MAX;
    let node = NodeId(2);
    let last = Acceptor::<u64>::recover(Ballot { round, node }, None).unwrap();
    let used_up = start(NodeId(1), &majority(&[1, 2, 3]), &last).propose(Instant::ZERO, 8);
    assert!(matches!(used_up, Err(ProposeError::BallotsUsedUp(_))));
}

#[test]
fn a_configuration_is_checked() {
    let quorums = majority(&[1, 2, 3]);
    let start = |config| Synod::<u64>::new(config, Acceptor::default()).map(drop);
    let id = NodeId(4);
    let stranger = Config::new(id, quorums.clone());
    assert_eq!(start(stranger), Err(ConfigError::NoAcceptor { id }));
    let mut config = Config::new(NodeId(1), quorums);
    config.retry_max = config.retry_min;
    assert_eq!(start(config.clone()), Err(ConfigError::Retry));
    (config.retry_min, config.retry_max) = (Duration::ZERO, Duration::MAX);
    assert_eq!(start(config.clone()), Err(ConfigError::Retry));
    config.retry_min = Duration::from_nanos(1);
    assert_eq!(start(config), Ok(()));
}
