//! Leadership is handed over on request, and by a node that ends.

use synod_replica::{Group, NodeId, Role, TransferError};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::rig::{Counter, NEVER, alone, three};

/// The place of the node that leads.
async fn leader(groups: &[Group<Counter>]) -> usize {
    let mut waits = JoinSet::new();
    for (at, group) in groups.iter().enumerate() {
        let mut status = group.watch();
        waits.spawn(async move {
            let leads = status.wait_for(|status| status.role == Role::Leader);
            leads.await.map(|_| at)
        });
    }
    let first = timeout(NEVER, waits.join_next()).await.unwrap();
    first.unwrap().unwrap().unwrap()
}

#[tokio::test]
async fn leadership_is_handed_over_on_request() {
    let (_nodes, groups) = three(|_| {}).await;
    assert_eq!(timeout(NEVER, groups[0].propose("a")).await.unwrap(), Ok(1));
    let first = leader(&groups).await;
    let to = NodeId((first as u64 + 1) % 3 + 1);
    let other = &groups[(first + 1) % 3];
    let refused = timeout(NEVER, other.transfer(Some(to))).await.unwrap();
    assert!(
        matches!(refused, Err(TransferError::NotLeader(_))),
        "{refused:?}"
    );
    let handed = timeout(NEVER, groups[first].transfer(Some(to)));
    assert_eq!(handed.await.unwrap(), Ok(to));
    assert_eq!(
        timeout(NEVER, groups[first].propose("a")).await.unwrap(),
        Ok(2)
    );
}

#[tokio::test]
async fn nobody_takes_over_from_a_node_that_is_alone() {
    let (node, group) = alone(&synod_replica::sim::SimDisk::new(1), |_| {}).await;
    assert_eq!(timeout(NEVER, group.propose("a")).await.unwrap(), Ok(1));
    let refused = timeout(NEVER, group.transfer(None)).await.unwrap();
    assert_eq!(refused, Err(TransferError::Unsuitable));
    timeout(NEVER, node.shutdown()).await.unwrap();
    let closed = timeout(NEVER, group.transfer(None)).await.unwrap();
    assert!(
        matches!(closed, Err(TransferError::Closed(_))),
        "{closed:?}"
    );
}

/// The others are under load: each request is answered, also those that the node had taken itself.
#[tokio::test]
async fn a_leader_that_ends_loses_no_request() {
    let (mut nodes, groups) = three(|config| config.handover_wait_max = NEVER).await;
    assert_eq!(timeout(NEVER, groups[0].propose("a")).await.unwrap(), Ok(1));
    let ends = leader(&groups).await;
    let mut clients = JoinSet::new();
    for at in (0..3).filter(|at| *at != ends) {
        for _ in 0..4 {
            let group = groups[at].clone().with_timeout(NEVER);
            clients.spawn(async move {
                for _ in 0..200 {
                    group.propose("a").await.unwrap();
                }
            });
        }
    }
    let taken: Vec<_> = (0..10).map(|_| groups[ends].propose("a")).collect();
    let mut status = groups[ends].watch();
    let busy = status.wait_for(|status| status.applied > 20);
    timeout(NEVER, busy).await.unwrap().unwrap();
    let shutdown = nodes.remove(ends).shutdown();
    timeout(NEVER, shutdown).await.unwrap();
    for taken in taken {
        taken.await.unwrap();
    }
    while let Some(client) = timeout(NEVER, clients.join_next()).await.unwrap() {
        client.unwrap();
    }
}
