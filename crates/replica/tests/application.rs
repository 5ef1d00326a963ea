//! Simulated nodes of two groups with a program beside them.

#![cfg(feature = "raft")]
#![expect(clippy::unwrap_used, reason = "tests: what fails ends the run")]

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use synod_replica::embed::{Instant, Ticket};
use synod_replica::sim::{AppContext, Application, Cluster, SimNode, SimRequest};
use synod_replica::{
    Applying, Bytes, Change, Failure, GroupId, Member, NodeId, StateMachine, raft,
};
use synod_sim::{self as sim, World, WorldOptions};

const A: GroupId = GroupId(3);
const B: GroupId = GroupId(8);

/// The commands of a group.
#[derive(Debug, Default)]
struct List(Vec<u8>);

impl StateMachine for List {
    type Response = usize;
    type Frozen = Vec<u8>;

    fn apply(&mut self, _: Applying, command: Bytes) -> usize {
        self.0.extend_from_slice(&command);
        self.0.len()
    }

    fn freeze(&self) -> Vec<u8> {
        self.0.clone()
    }

    fn write(frozen: Vec<u8>, to: &mut dyn Write) -> io::Result<()> {
        to.write_all(&frozen)
    }

    fn restore(&mut self, from: &mut dyn Read) -> io::Result<()> {
        self.0.clear();
        from.read_to_end(&mut self.0).map(drop)
    }
}

#[derive(Clone, Debug, Default)]
struct Outcomes(Arc<Mutex<Vec<Result<usize, Failure>>>>);

impl Ticket<List> for Outcomes {
    fn applied(self, len: usize) {
        self.0.lock().unwrap().push(Ok(len));
    }

    fn read(self, _: &List, _: Option<Instant>) {}

    fn failed(self, failure: Failure) {
        self.0.lock().unwrap().push(Err(failure));
    }
}

/// Four nodes. The last one has no group at first, and node 5 never has one.
struct Two;

impl Cluster for Two {
    type Config = raft::Config;
    type Machine = List;
    type Ticket = Outcomes;
    type Witness = ();

    fn config(&self, node: NodeId, seed: u64) -> raft::Config {
        let voters = (1..=3).map(raft::NodeId).filter(|_| node.0 <= 3);
        let mut config = raft::Config::new(raft::NodeId(node.0), voters);
        config.seed = seed;
        config
    }

    fn machine(&self) -> List {
        List::default()
    }

    fn witness(&self, _: NodeId) {}

    fn groups(&self, node: NodeId) -> Vec<GroupId> {
        if node.0 <= 4 { vec![B, A] } else { vec![] }
    }
}

/// Proposes on both groups what another program tells it to, and says so when both have it.
#[derive(Debug, Default)]
struct Relay {
    outcomes: Outcomes,
    answers_to: Option<NodeId>,
    received: Vec<(NodeId, Bytes)>,
    timeouts: u64,
}

impl Application<Two> for Relay {
    fn start(_: &Two, _: u64, context: &mut AppContext<'_, Two>) -> Self {
        context.set_timer(Some(context.now() + Duration::from_millis(700)));
        Self::default()
    }

    fn handle_message(&mut self, from: NodeId, message: Bytes, context: &mut AppContext<'_, Two>) {
        self.received.push((from, message.clone()));
        if context.groups().is_empty() {
            return;
        }
        self.answers_to = Some(from);
        for group in [A, B] {
            let request = SimRequest::Propose {
                command: message.clone(),
                timeout: Duration::from_secs(1),
                ticket: self.outcomes.clone(),
            };
            context.request(group, request);
        }
    }

    fn handle_timeout(&mut self, context: &mut AppContext<'_, Two>) {
        self.timeouts += 1;
        if context.groups().is_empty() {
            context.send(NodeId(2), Bytes::from_static(b"x"));
        }
    }

    fn handle_progress(&mut self, context: &mut AppContext<'_, Two>) {
        let outcomes = self.outcomes.0.lock().unwrap();
        if outcomes.as_slice() == [Ok(1), Ok(1)]
            && let Some(to) = self.answers_to.take()
        {
            context.send(to, Bytes::from_static(b"both"));
        }
    }
}

type Nodes = World<SimNode<Two, Relay>>;

fn lists(world: &Nodes, group: GroupId) -> BTreeMap<u64, Vec<u8>> {
    let ids = world.node_ids().into_iter();
    let lists = ids.filter_map(|id| {
        let of = world.process(id)?.group(group)?;
        Some((id.0, of.machine().0.clone()))
    });
    lists.collect()
}

fn program(world: &Nodes, node: u64) -> &Relay {
    world.process(sim::NodeId(node)).unwrap().application()
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_program_without_groups_reaches_two_groups_by_another_and_is_answered() {
    let mut world = Nodes::new(5, 5, WorldOptions::default(), Two);
    world.run_until(seconds(2));
    let answered = (NodeId(2), Bytes::from_static(b"both"));
    assert_eq!(program(&world, 5).received, [answered]);
    assert_eq!(program(&world, 5).timeouts, 1);
    let x = b"x".to_vec();
    let all = BTreeMap::from([(1, x.clone()), (2, x.clone()), (3, x), (4, vec![])]);
    assert_eq!(lists(&world, A), all);
    assert_eq!(lists(&world, B), all);
    // Both are on the one disk, and come back from it.
    world.crash_all(sim::Crash::Power);
    world
        .node_ids()
        .into_iter()
        .for_each(|id| assert!(world.restart(id)));
    world.run_until(seconds(2) + Duration::from_millis(600));
    assert_eq!((lists(&world, A), lists(&world, B)), (all.clone(), all));
}

#[test]
fn a_node_that_is_removed_from_one_group_goes_on_with_the_other() {
    let mut world = Nodes::new(5, 5, WorldOptions::default(), Two);
    world.run_until(seconds(1));
    let leads = |id: &sim::NodeId| {
        let of = world.process(*id).and_then(|node| node.group(A));
        of.is_some_and(|of| of.leads())
    };
    let leader = world.node_ids().into_iter().find(leads).unwrap();
    let other = (1..=3).map(NodeId).find(|id| id.0 != leader.0).unwrap();
    let change = Change::Replace {
        old: other,
        new: NodeId(4),
        member: Member::default(),
    };
    // To the first group by number, whatever the order in which they were named.
    world.inject(leader, SimRequest::Change(change));
    world.run_until(seconds(4));
    let members = |group: GroupId| {
        let of = world.process(leader).unwrap().group(group).unwrap();
        of.members()
            .voters
            .into_keys()
            .map(|id| id.0)
            .collect::<Vec<_>>()
    };
    assert!(!members(A).contains(&other.0) && members(A).contains(&4));
    assert_eq!(members(B), [1, 2, 3]);
    assert_eq!(
        world.stats().crashes,
        0,
        "the node has ended with its group"
    );
    let before = lists(&world, B)[&other.0].clone();
    let proposal = SimRequest::Propose {
        command: Bytes::from_static(b"y"),
        timeout: seconds(1),
        ticket: Outcomes::default(),
    };
    world.inject(leader, proposal);
    world.run_until(seconds(5));
    assert_eq!(lists(&world, A)[&4].last(), Some(&b'y'));
    assert_ne!(
        lists(&world, A)[&other.0].last(),
        Some(&b'y'),
        "it was removed"
    );
    assert_eq!(lists(&world, B)[&other.0], before);
}
