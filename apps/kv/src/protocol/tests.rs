use super::*;

#[test]
fn a_majority_decides_unless_told_otherwise() {
    for protocol in Protocol::all().iter().copied() {
        let agreement = Agreement {
            protocol,
            phase2: None,
        };
        assert_eq!(agreement.quorums(4), Ok((3, 3)));
        assert_eq!(agreement.quorums(5), Ok((3, 3)));
        assert_eq!(agreement.describe(5), protocol.name());
    }
}

#[test]
fn voters_are_read_out_of_what_a_directory_was_founded_on() {
    let nodes: BTreeSet<_> = [1, 2, 12].map(NodeId).into();
    for protocol in Protocol::all().iter().copied() {
        let agreement = Agreement {
            protocol,
            phase2: None,
        };
        let config = agreement.configure(Timeouts::default(), NodeId(1), &nodes);
        let birth = config.unwrap().birth(ClusterId(1), NodeId(1));
        let founding = birth.founding();
        assert_eq!(protocol.voters_of(&founding).as_ref(), Some(&nodes));
        assert_eq!(Protocol::of_founding(&founding), Some(protocol));
        assert_eq!(
            protocol.voters_of("group 1: other, voters 1; formats 2"),
            None
        );
    }
}

#[test]
fn a_leader_is_heard_several_times_before_it_is_missed() {
    let with = |election_timeout_ms, heartbeat_ms| Timeouts {
        election_timeout_ms,
        heartbeat_ms,
    };
    assert_eq!(Timeouts::default().check(), Ok(()));
    assert_eq!(with(120, 40).check(), Ok(()));
    let error = with(119, 40).check().unwrap_err();
    assert!(
        error
            .to_string()
            .contains("--heartbeat-ms 40 is too long for --election-timeout-ms 119")
    );
    assert!(with(600_000, u64::MAX).check().is_err());
}

#[cfg(feature = "raft")]
#[test]
fn the_usual_timeouts_are_those_of_the_protocols() {
    let nodes = BTreeSet::from([NodeId(1)]);
    let usual = raft::Config::new(raft::NodeId(1), [raft::NodeId(1)]);
    let config = raft_config(NodeId(1), &nodes, Timeouts::default());
    let times = |config: &raft::Config| {
        (
            config.election_timeout_min,
            config.election_timeout_max,
            config.heartbeat_interval,
            config.write_stall_max,
        )
    };
    assert_eq!(times(&config), times(&usual));
    let slow = Timeouts {
        election_timeout_ms: 600_000,
        heartbeat_ms: 200_000,
    };
    // The protocol itself refuses a write that counts as stalled before that.
    let slow = raft_config(NodeId(1), &nodes, slow);
    assert_eq!(slow.write_stall_max, slow.election_timeout_max);
}

#[cfg(feature = "paxos")]
#[test]
fn quorums_of_paxos_are_flexible_and_always_meet() {
    let with = |phase2| Agreement {
        protocol: Protocol::Paxos,
        phase2: Some(phase2),
    };
    assert_eq!(with(2).quorums(4), Ok((3, 2)));
    assert_eq!(with(1).quorums(3), Ok((3, 1)));
    assert_eq!(with(3).quorums(3), Ok((1, 3)));
    let (phase2, nodes) = (4, 3);
    assert_eq!(
        with(4).quorums(3),
        Err(AgreementError::TooMany { phase2, nodes })
    );
    assert_eq!(
        with(2).describe(4),
        "paxos (quorums: 3 of 4 promise, 2 of 4 accept)"
    );
}

#[cfg(feature = "raft")]
#[test]
fn raft_knows_majorities_alone() {
    let agreement = Agreement {
        protocol: Protocol::Raft,
        phase2: Some(2),
    };
    let refused = Err(AgreementError::Majority(Protocol::Raft));
    assert_eq!(agreement.quorums(4), refused);
}
