//! The members of a group change while it serves.

use std::collections::BTreeMap;

use synod_replica::sim::SimDisk;
use synod_replica::{
    Change, ChangeError, Closed, Consistency, Group, GroupId, Member, Members, NodeConfig, NodeId,
    Reason, Role,
};
use synod_transport::MemoryNetwork;
use tokio::time::timeout;

use super::rig::{Counter, NEVER, joining, start_life, three, three_on};

/// The members as they are asked for, with an address each.
fn members(voters: &[u64], learners: &[u64]) -> Members {
    let side = |ids: &[u64]| -> BTreeMap<NodeId, Member> {
        ids.iter().map(|id| (NodeId(*id), member(*id))).collect()
    };
    Members {
        voters: side(voters),
        learners: side(learners),
    }
}

fn member(id: u64) -> Member {
    Member::at(format!("node-{id}:7000"))
}

/// Asks whoever leads, as often as another does by then.
async fn change(groups: &[Group<Counter>], change: Change) -> Result<(), ChangeError> {
    let asked = async {
        let mut at = 0;
        loop {
            match groups[at].change_members(change.clone()).await {
                Err(
                    ChangeError::NotLeader(_)
                    | ChangeError::LeaderLost(_)
                    | ChangeError::NotReady
                    | ChangeError::Closed(Reason::Removed),
                ) => {
                    at = (at + 1) % groups.len();
                    tokio::task::yield_now().await;
                }
                end => return end,
            }
        }
    };
    timeout(NEVER, asked).await.unwrap()
}

async fn propose(group: &Group<Counter>) -> u64 {
    timeout(NEVER, group.propose("a")).await.unwrap().unwrap()
}

async fn knows(group: &Group<Counter>, wanted: &Members) {
    let mut status = group.watch();
    let known = status.wait_for(|status| *status.members == *wanted);
    timeout(NEVER, known).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_group_begins_with_the_members_of_its_configuration() {
    let (_nodes, groups) = three(|_| {}).await;
    let without_address = |id| (NodeId(id), Member::default());
    let known = groups[0].members();
    assert_eq!(known.voters, (1..=3).map(without_address).collect());
    assert!(known.learners.is_empty());
}

/// A learner receives everything, then votes, and the node that it replaces ends by itself.
#[tokio::test]
async fn a_node_is_added_promoted_and_another_removed() {
    let network = MemoryNetwork::new();
    let (_nodes, mut groups) = three_on(&network, |_| {}).await;
    assert_eq!(propose(&groups[0]).await, 1);
    let (_new, group) = joining(&network, 4).await;
    assert_eq!(group.members().iter().count(), 0, "nobody has told it");
    change(&groups, Change::Set(members(&[1, 2, 3], &[4])))
        .await
        .unwrap();
    knows(&group, &members(&[1, 2, 3], &[4])).await;
    let has_applied = |counter: &Counter| counter.count;
    let read = group.read(Consistency::Linearizable, has_applied);
    assert_eq!(timeout(NEVER, read).await.unwrap(), Ok(1));
    groups.push(group);

    change(&groups, Change::Promote(NodeId(4))).await.unwrap();
    // Asked again it is so already.
    change(&groups, Change::Promote(NodeId(4))).await.unwrap();
    change(&groups, Change::Remove(NodeId(1))).await.unwrap();
    let end = timeout(NEVER, groups[0].closed()).await.unwrap();
    assert_eq!(end, Closed::Removed);
    let after = timeout(NEVER, groups[0].propose("a")).await.unwrap();
    assert_eq!(after, super::rig::rejected(Reason::Removed));
    assert_eq!(propose(&groups[1]).await, 2);
    for group in &groups[1..] {
        knows(group, &members(&[2, 3, 4], &[])).await;
    }
    // Its id never returns.
    let again = change(&groups[1..], Change::Add(NodeId(1), member(1))).await;
    assert_eq!(again, Err(ChangeError::IdUsed(NodeId(1))));
}

/// All machines are exchanged, one by one, while commands come.
#[tokio::test]
async fn all_nodes_are_replaced_one_by_one_under_load() {
    let network = MemoryNetwork::new();
    let (mut nodes, mut groups) = three_on(&network, |_| {}).await;
    let mut count = propose(&groups[0]).await;
    for (old, new) in [(1, 4), (2, 5), (3, 6)] {
        let (node, group) = joining(&network, new).await;
        nodes.push(node);
        groups.push(group);
        let replace = Change::Replace {
            old: NodeId(old),
            new: NodeId(new),
            member: member(new),
        };
        let alive = &groups[old as usize - 1..];
        let mut changed = Box::pin(change(alive, replace));
        loop {
            // By the newest of the old members, which stays.
            let mut command = groups[groups.len() - 2].propose("a");
            tokio::select! {
                biased;
                end = &mut changed => {
                    end.unwrap();
                    if timeout(NEVER, command).await.unwrap().is_ok() {
                        count += 1;
                    }
                    break;
                }
                answer = &mut command => {
                    if answer.is_ok() {
                        count += 1;
                    }
                }
            }
        }
        let gone = timeout(NEVER, groups[old as usize - 1].closed());
        assert_eq!(gone.await.unwrap(), Closed::Removed);
    }
    assert!(
        propose(&groups[5]).await > count,
        "nothing acknowledged is lost"
    );
    let all = members(&[4, 5, 6], &[]);
    for group in &groups[3..] {
        knows(group, &all).await;
    }
    let leads = groups[3..]
        .iter()
        .filter(|group| group.status().role == Role::Leader);
    assert_eq!(leads.count(), 1);
}

#[tokio::test]
async fn a_change_is_refused_with_the_reason() {
    let (_nodes, groups) = three(|_| {}).await;
    propose(&groups[0]).await;
    let refused = [
        (Change::Remove(NodeId(9)), ChangeError::NoMember(NodeId(9))),
        (Change::Promote(NodeId(9)), ChangeError::NoMember(NodeId(9))),
        (Change::Set(members(&[], &[1, 2, 3])), ChangeError::NoVoters),
        (
            Change::Add(NodeId(4), Member::at("x".repeat(300))),
            ChangeError::TooLong,
        ),
    ];
    for (asked, why) in refused {
        assert_eq!(change(&groups, asked).await, Err(why));
    }
    let aborted = async {
        let mut ends = Vec::new();
        for group in &groups {
            ends.push(group.abort_change().await);
        }
        ends
    };
    let aborted = timeout(NEVER, aborted).await.unwrap();
    assert!(
        aborted.contains(&Err(ChangeError::NothingUnderWay)),
        "{aborted:?}"
    );
}

/// A new voter that never answers does not hold up anything, and can be given up.
#[tokio::test]
async fn a_change_to_a_dead_node_is_aborted() {
    let (_nodes, groups) = three(|_| {}).await;
    propose(&groups[0]).await;
    let replace = Change::Replace {
        old: NodeId(3),
        new: NodeId(4),
        member: member(4),
    };
    let changing = tokio::spawn({
        let groups = groups.clone();
        async move { change(&groups, replace).await }
    });
    let mut waits = Vec::new();
    for group in &groups {
        let mut status = group.watch();
        waits.push(Box::pin(async move {
            status
                .wait_for(|status| status.change.is_some() && status.role == Role::Leader)
                .await
        }));
    }
    let (status, ..) = timeout(NEVER, select(waits)).await.unwrap();
    let leader = status.unwrap().id.0 as usize - 1;
    propose(&groups[0]).await;
    timeout(NEVER, groups[leader].abort_change())
        .await
        .unwrap()
        .unwrap();
    let end = timeout(NEVER, changing).await.unwrap().unwrap();
    assert!(matches!(end, Err(ChangeError::Ended(_))), "{end:?}");
    let members = groups[leader].members();
    assert!(members.voters.contains_key(&NodeId(3)) && !members.contains(NodeId(4)));
    propose(&groups[0]).await;
}

/// Its directory is founded on what the group began with, and its log says who the members are now.
#[tokio::test]
async fn a_node_that_joined_is_a_member_after_a_restart() {
    let network = MemoryNetwork::new();
    let (_nodes, groups) = three_on(&network, |_| {}).await;
    propose(&groups[0]).await;
    let disk = SimDisk::new(4);
    let open = async || {
        let transport = network.join(NodeId(4));
        let node = start_life(&disk, 3, NodeConfig::default(), transport);
        let joins = super::joining(4);
        let opened = node.open(GroupId(1), joins, Counter::default());
        let group = opened.await.unwrap();
        (node, group)
    };
    let (node, group) = open().await;
    change(&groups, Change::Set(members(&[1, 2, 3], &[4])))
        .await
        .unwrap();
    change(&groups, Change::Promote(NodeId(4))).await.unwrap();
    knows(&group, &members(&[1, 2, 3, 4], &[])).await;
    timeout(NEVER, node.shutdown()).await.unwrap();
    drop(group);

    let (node, group) = open().await;
    assert_eq!(*group.members(), members(&[1, 2, 3, 4], &[]));
    // It counts: it leads, or is heard by whoever does.
    change(&groups, Change::Remove(NodeId(1))).await.unwrap();
    assert_eq!(propose(&group).await, 2);
    drop(node);
}

/// The first future that ends.
async fn select<F: Future + Unpin>(mut futures: Vec<F>) -> (F::Output, usize) {
    std::future::poll_fn(move |cx| {
        for (at, future) in futures.iter_mut().enumerate() {
            if let std::task::Poll::Ready(output) = std::pin::Pin::new(future).poll(cx) {
                return std::task::Poll::Ready((output, at));
            }
        }
        std::task::Poll::Pending
    })
    .await
}
