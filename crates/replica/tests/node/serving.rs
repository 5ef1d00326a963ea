//! Nodes that serve: requests, reads, bounds, full disks.

use std::time::Duration;

use synod_replica::sim::SimDisk;
use synod_replica::{
    Closed, Consistency, Failure, GroupId, NodeConfig, NodeId, OpenGroupError, Reason,
};
use synod_transport::MemoryNetwork;
use tokio::time::timeout;

use super::config;
use super::rig::{Counter, LedBy, NEVER, alone, alone_in_a_life, rejected, start, three};

#[tokio::test]
async fn one_node_answers() {
    let (_node, group) = alone(&SimDisk::new(1), |_| {}).await;
    assert_eq!(timeout(NEVER, group.propose("a")).await.unwrap(), Ok(1));
    let read = group.read(Consistency::Linearizable, |counter| counter.count);
    assert_eq!(timeout(NEVER, read).await.unwrap(), Ok(1));
}

/// What the second half of a turn appends must be synced too, such as a record that cuts the log.
#[tokio::test]
async fn the_log_is_cut_again_and_again_under_load() {
    let (_nodes, groups) = three(|config| config.bounds.snapshot_log_bytes = 2_000).await;
    for count in 1..=300 {
        let group = &groups[count as usize % 3];
        assert_eq!(timeout(NEVER, group.propose("a")).await.unwrap(), Ok(count));
    }
    let mut status = groups[0].watch();
    let cut = status.wait_for(|status| status.snapshots_taken > 3 && status.start > 100);
    timeout(NEVER, cut).await.unwrap().unwrap();
}

/// Outcomes come in the order of the calls, and a rejection within its call.
#[tokio::test]
async fn ends_are_told_in_the_order_of_the_log() {
    let (node, group) = alone(&SimDisk::new(1), |config| {
        config.bounds.body_bytes_max = 1_000;
    })
    .await;
    let (told, mut ends) = tokio::sync::mpsc::unbounded_channel();
    for call in 1..=100 {
        let told = told.clone();
        group.propose_with("a", move |end| told.send((call, end)).unwrap());
    }
    for call in 1..=100 {
        let end = timeout(NEVER, ends.recv()).await.unwrap().unwrap();
        assert_eq!(end, (call, Ok(call)));
    }
    timeout(NEVER, node.shutdown()).await.unwrap();
    group.propose_with("a", move |end| told.send((101, end)).unwrap());
    assert_eq!(ends.try_recv(), Ok((101, rejected(Reason::Shutdown))));
    assert_eq!(ends.recv().await, None, "each ends once");
}

/// A client that always has a next request must not block others from the loop.
#[tokio::test]
async fn a_busy_group_leaves_room_for_controls() {
    let (node, group) = alone(&SimDisk::new(1), |_| {}).await;
    let (begun, busy) = tokio::sync::oneshot::channel();
    let client = tokio::spawn({
        let group = group.clone();
        async move {
            group.propose("a").await.unwrap();
            begun.send(()).unwrap();
            while group.propose("a").await.is_ok() {}
        }
    });
    busy.await.unwrap();
    let second = node.open(GroupId(2), config(1, 1), Counter::default());
    timeout(NEVER, second).await.unwrap().unwrap();
    timeout(NEVER, node.shutdown()).await.unwrap();
    timeout(NEVER, client).await.unwrap().unwrap();
}

#[tokio::test]
async fn what_was_answered_is_there_after_a_restart() {
    let disk = SimDisk::new(1);
    let small = |config: &mut NodeConfig| config.bounds.snapshot_log_bytes = 3_000;
    let (node, group) = alone_in_a_life(&disk, small).await;
    for count in 1..=100 {
        assert_eq!(timeout(NEVER, group.propose("a")).await.unwrap(), Ok(count));
    }
    timeout(NEVER, node.shutdown()).await.unwrap();
    assert_eq!(group.propose("a").await, rejected(Reason::Shutdown));
    disk.0.power_loss();
    let (_node, group) = alone_in_a_life(&disk, |_| {}).await;
    assert_eq!(timeout(NEVER, group.propose("a")).await.unwrap(), Ok(101));
}

#[tokio::test]
async fn a_failed_sync_stops_the_node_for_good() {
    let disk = SimDisk::new(1);
    let (_node, group) = alone(&disk, |_| {}).await;
    assert_eq!(timeout(NEVER, group.propose("a")).await.unwrap(), Ok(1));
    disk.0.fail_next_sync();
    assert_eq!(
        timeout(NEVER, group.propose("b")).await.unwrap(),
        Err(Failure::Unknown)
    );
    assert_eq!(
        timeout(NEVER, group.propose("c")).await.unwrap(),
        rejected(Reason::Poisoned)
    );
    assert_eq!(
        group.status().closed.map(|closed| closed.reason()),
        Some(Reason::Poisoned)
    );
}

#[tokio::test]
async fn a_full_disk_refuses_and_goes_on_when_there_is_space() {
    let disk = SimDisk::new(1);
    let (_node, group) = alone(&disk, |_| {}).await;
    assert_eq!(timeout(NEVER, group.propose("a")).await.unwrap(), Ok(1));
    disk.0.capacity(disk.0.used());
    let mut count = 1;
    let refused = loop {
        match timeout(NEVER, group.propose(vec![0; 1 << 19]))
            .await
            .unwrap()
        {
            Ok(at) => count = at,
            other => break other,
        }
    };
    assert_eq!(refused, rejected(Reason::Full).led_by(1));
    disk.0.capacity(u64::MAX);
    let mut status = group.watch();
    // The loop checks again every now and then.
    let resumed = async {
        loop {
            match group.propose("b").await {
                Ok(at) => return at,
                other => assert_eq!(other, rejected(Reason::Full).led_by(1)),
            }
            tokio::task::yield_now().await;
        }
    };
    assert_eq!(timeout(NEVER, resumed).await.unwrap(), count + 1);
    assert_eq!(status.latest().closed, None);
}

#[tokio::test]
async fn a_machine_that_panics_while_it_is_written_stops_its_group() {
    let (node, group) = alone(&SimDisk::new(1), |config| {
        config.bounds.snapshot_log_bytes = 1_000;
    })
    .await;
    let answer = timeout(NEVER, group.propose("boom")).await.unwrap();
    assert_eq!(answer, Ok(1));
    // Enough for a snapshot.
    let _answer = group.propose(vec![0; 1_000]).await;
    let closed = timeout(NEVER, group.closed()).await.unwrap();
    assert_eq!(
        closed,
        Closed::MachinePanicked("the machine was told to".into())
    );
    assert_eq!(group.propose("a").await, rejected(Reason::Machine));
    let other = node
        .open(GroupId(2), config(1, 1), Counter::default())
        .await
        .unwrap();
    assert_eq!(timeout(NEVER, other.propose("a")).await.unwrap(), Ok(1));
}

#[tokio::test]
async fn what_cannot_work_is_refused_at_the_door() {
    let (node, group) = alone(&SimDisk::new(1), |_| {}).await;
    let twice = node
        .open(GroupId(1), config(1, 1), Counter::default())
        .await;
    assert!(matches!(twice, Err(OpenGroupError::Open)));
    let mut silent = config(1, 3);
    silent.heartbeat_interval = Duration::ZERO;
    let silent = node.open(GroupId(2), silent, Counter::default()).await;
    assert!(
        matches!(silent, Err(OpenGroupError::Recover(_))),
        "{silent:?}"
    );
    timeout(NEVER, group.leader()).await.unwrap();
    let large = timeout(NEVER, group.propose(vec![0; 2 << 20]))
        .await
        .unwrap();
    assert_eq!(large, rejected(Reason::TooLarge).led_by(1));
    assert!(
        timeout(NEVER, group.propose("a"))
            .await
            .unwrap()
            .ok()
            .is_some()
    );

    let mut config = NodeConfig::default();
    config.bounds.body_bytes_max = 6 << 20;
    let node = start(
        &SimDisk::new(1),
        config,
        MemoryNetwork::new().join(NodeId(1)),
    );
    let over = node
        .open(GroupId(1), self::config(1, 1), Counter::default())
        .await;
    assert!(
        matches!(over, Err(OpenGroupError::Limits { .. })),
        "{over:?}"
    );
}

#[tokio::test]
async fn commands_of_one_node_keep_their_order() {
    let (_nodes, groups) = three(|_| {}).await;
    for group in &groups {
        group.leader().await.unwrap();
        let answers: Vec<_> = (0..200).map(|_| group.propose("a")).collect();
        let mut last = 0;
        for answer in answers {
            let count = timeout(NEVER, answer).await.unwrap().ok().unwrap();
            assert!(count > last, "{count} behind {last}");
            last = count;
        }
    }
}
