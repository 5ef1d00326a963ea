//! Witnesses (M7): how they come and go, and that nothing passes for a whole copy that is none.

use bytes::Bytes;
use synod_raft::{
    ChangeEnd, ChangeError, Config, ConfigError, Entry, Index, Kind, LogId, Membership,
    MembershipError, Message, NodeId, Replicate, Term, TransferError,
};

use crate::harness::cluster::Cluster;

fn of(voters: &[u64], witnesses: &[u64]) -> Membership {
    Membership {
        witnesses: witnesses.iter().copied().map(NodeId).collect(),
        ..Membership::of_voters(voters.iter().copied().map(NodeId))
    }
}

fn kinds(cluster: &Cluster, id: u64) -> Vec<Kind> {
    let log = cluster.nodes[&NodeId(id)].disk.log.values();
    log.map(|entry| entry.kind).collect()
}

/// A full voter of three is replaced by a witness, and that by a full voter again.
#[test]
fn a_witness_comes_and_goes() {
    let mut cluster = Cluster::joined(3, 2, Term(0), |_| {});
    cluster.elect(1);
    cluster.propose(1, "x").unwrap();
    cluster.settle();
    for (target, is_witness) in [(of(&[1, 2, 4], &[4]), true), (of(&[1, 2, 5], &[]), false)] {
        cluster.change_to(1, target.clone()).unwrap();
        cluster.heartbeat(1);
        cluster.settle();
        let status = cluster.status(1);
        assert_eq!(status.change_end, Some(ChangeEnd::Done));
        assert_eq!(status.membership.voters, target.voters);
        assert_eq!(status.membership.witnesses, target.witnesses);
        let new = target.highest.0;
        let kinds = kinds(&cluster, new);
        assert_eq!(kinds[1] == Kind::Withheld, is_witness, "{kinds:?}");
        assert!(kinds.contains(&Kind::Membership), "{kinds:?}");
    }
}

#[test]
fn each_refusal_has_its_reason() {
    let mut cluster = Cluster::new(3, |config| config.witnesses = [NodeId(3)].into());
    cluster.elect(1);
    let mut refused = |target: Membership| cluster.change_to(1, target).unwrap_err();
    let other = |node| ChangeError::OtherKind { node: NodeId(node) };
    assert_eq!(refused(of(&[1, 2, 3], &[])), other(3));
    assert_eq!(refused(of(&[1, 2, 3], &[2])), other(2));
    let too_many = ChangeError::Invalid(MembershipError::TooManyWitnesses);
    assert_eq!(refused(of(&[1, 2, 3, 4], &[3, 4])), too_many);
    let nothing = ChangeError::Invalid(MembershipError::WitnessOfNothing);
    assert_eq!(refused(of(&[1, 2], &[3])), nothing);
    let to = NodeId(3);
    let refused = cluster.step(1, |raft, now| raft.transfer(now, Some(to)));
    assert_eq!(refused, Err(TransferError::Witness(to)));
    let mut config = Config::new(NodeId(1), [1, 2].map(NodeId));
    config.witnesses = [NodeId(2)].into();
    assert_eq!(config.validate(), Err(ConfigError::Witnesses));
}

/// The entry that made 4 a witness is lost with its leader; what 4 has by then is not whole. If it is
/// then to be a full voter, it does not acknowledge that, also after a restart, and the change ends.
#[test]
fn who_lacks_commands_is_not_counted_as_whole() {
    let mut cluster = Cluster::joined(3, 1, Term(0), |_| {});
    cluster.watch.made_up = true;
    let id = |index| LogId {
        term: Term(1),
        index: Index(index),
    };
    let withheld = Entry {
        id: id(1),
        kind: Kind::Withheld,
        body: Bytes::new(),
    };
    let membership = Membership {
        highest: NodeId(4),
        ..of(&[1, 2, 3, 4], &[])
    };
    let membership = Entry {
        id: id(2),
        kind: Kind::Membership,
        body: membership.encode(),
    };
    let mut append = |prev: LogId, entry: &Entry| {
        let append = Replicate::Append {
            term: Term(1),
            prev,
            entries: vec![entry.clone()].into(),
            commit: Index(0),
        };
        let message = Message::Replicate(append);
        cluster.step(4, |raft, now| raft.handle_message(now, NodeId(1), message));
        cluster.settle();
        let last = cluster.status(4).last;
        cluster.crash(4);
        cluster.restart(4);
        last
    };
    assert_eq!(append(LogId::ZERO, &withheld), Index(1));
    assert_eq!(append(id(1), &membership), Index(1), "nothing is appended");
}

/// As before, but all that 4 got was a snapshot, which does not say what 4 is.
#[test]
fn who_joined_as_a_witness_is_not_counted_as_whole() {
    for joins_as_witness in [true, false] {
        let mut cluster = Cluster::joined(3, 1, Term(0), |config| {
            config.joins_as_witness = joins_as_witness && config.id == NodeId(4);
        });
        cluster.watch.made_up = true;
        let membership = Membership {
            highest: NodeId(4),
            ..of(&[1, 2, 3, 4], &[])
        };
        let entry = Entry {
            id: LogId {
                term: Term(1),
                index: Index(1),
            },
            kind: Kind::Membership,
            body: membership.encode(),
        };
        let append = Replicate::Append {
            term: Term(1),
            prev: LogId::ZERO,
            entries: vec![entry].into(),
            commit: Index(0),
        };
        let message = Message::Replicate(append);
        cluster.step(4, |raft, now| raft.handle_message(now, NodeId(1), message));
        let taken = cluster.status(4).last;
        assert_eq!(taken, Index(u64::from(!joins_as_witness)));
    }
}
