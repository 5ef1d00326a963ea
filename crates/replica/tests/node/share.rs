//! A machine gets its share of a turn and no more: the node's messages do not wait for it.

use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use synod_replica::sim::SimDisk;
use synod_replica::{
    Applying, Consistency, GroupId, Incarnation, Node, NodeConfig, NodeId, Parcel, StateMachine,
    Transport,
};
use synod_transport::{Lane, Memory, MemoryNetwork};
use synod_wal::{Options, Wal};
use tokio::time::timeout;

use super::config;
use super::rig::NEVER;

/// What happened in the loop's thread, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Applied,
    Flushed,
}

type Steps = Arc<Mutex<Vec<Step>>>;

/// Each command takes at least this long.
struct Slow(Steps, Duration, u64);

impl StateMachine for Slow {
    type Response = u64;
    type Frozen = ();

    #[expect(
        clippy::disallowed_methods,
        reason = "a command of this machine costs time, which the loop reads from the same clock"
    )]
    fn apply(&mut self, _: Applying, _: Bytes) -> u64 {
        let begun = Instant::now();
        while begun.elapsed() < self.1 {
            std::hint::spin_loop();
        }
        self.0.lock().unwrap().push(Step::Applied);
        self.2 += 1;
        self.2
    }

    fn freeze(&self) {}
    fn write((): (), _: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }
    fn restore(&mut self, _: &mut dyn Read) -> io::Result<()> {
        Ok(())
    }
}

struct Noted(Memory, Steps);

impl Transport for Noted {
    fn send(&mut self, to: NodeId, lane: Lane, parcel: Parcel) {
        self.0.send(to, lane, parcel);
    }

    fn flush(&mut self) {
        self.1.lock().unwrap().push(Step::Flushed);
        self.0.flush();
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<(NodeId, Bytes)>> {
        self.0.poll_recv(cx)
    }
}

/// Proposes many commands at once; returns the most that were applied between two flushes.
async fn most_between_flushes(
    commands: u64,
    takes: Duration,
    tune: impl FnOnce(&mut NodeConfig),
) -> usize {
    let steps = Steps::default();
    let mut node_config = NodeConfig::default();
    node_config.request_timeout = 3 * NEVER;
    tune(&mut node_config);
    let log = Wal::open(SimDisk::new(1), Options::default()).unwrap();
    let transport = Noted(MemoryNetwork::new().join(NodeId(1)), steps.clone());
    let node = Node::start(
        Incarnation::ephemeral(NodeId(1)),
        node_config,
        log,
        transport,
    );
    let machine = Slow(steps.clone(), takes, 0);
    let group = node.open(GroupId(1), config(1, 1), machine).await.unwrap();
    timeout(NEVER, group.leader()).await.unwrap();
    let answers: Vec<_> = (0..commands).map(|_| group.propose("a")).collect();
    // It comes after what was proposed before it, however long that takes.
    let read = group.read(Consistency::Linearizable, |machine| machine.2);
    for (count, answer) in (1..).zip(answers) {
        let answer = timeout(NEVER, answer).await.unwrap();
        assert_eq!(answer, Ok(count));
    }
    let seen = timeout(NEVER, read).await.unwrap().ok().unwrap();
    assert!(seen <= commands);
    timeout(NEVER, node.shutdown()).await.unwrap();
    let steps = steps.lock().unwrap();
    let between = steps.split(|step| *step == Step::Flushed);
    between.map(<[Step]>::len).max().unwrap()
}

#[tokio::test]
async fn a_turn_applies_no_more_commands_than_its_share() {
    let share = |config: &mut NodeConfig| config.apply_commands_max = 100;
    let most = most_between_flushes(5_000, Duration::ZERO, share).await;
    assert!(most <= 100, "{most} commands between two flushes");
}

#[tokio::test]
async fn a_turn_applies_no_longer_than_its_share() {
    // A command takes two milliseconds or more, so no more than five begin in ten.
    let share = |config: &mut NodeConfig| config.apply_time_max = Duration::from_millis(10);
    let most = most_between_flushes(60, Duration::from_millis(2), share).await;
    assert!(most <= 5, "{most} commands between two flushes");
}
