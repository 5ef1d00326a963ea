use super::*;
use proptest::prelude::*;

fn memberships() -> impl Strategy<Value = Membership> {
    let set = || proptest::collection::btree_set((0u64..40).prop_map(NodeId), 1..6);
    let change = proptest::option::of((any::<bool>(), set(), set()));
    let contexts = proptest::collection::btree_map(
        (0u64..40).prop_map(NodeId),
        proptest::collection::vec(any::<u8>(), 0..9),
        0..9,
    );
    (set(), set(), change, contexts, 40u64..).prop_map(
        |(voters, learners, change, contexts, highest)| {
            let change = change.map(|(is_joint, voters, learners)| Change {
                is_joint,
                learners: learners.difference(&voters).copied().collect(),
                voters,
            });
            let mut membership = Membership {
                learners: learners.difference(&voters).copied().collect(),
                voters,
                change: change.map(Box::new),
                witnesses: BTreeSet::new(),
                contexts: BTreeMap::new(),
                highest: NodeId(highest),
            };
            // As many of the first voters as may be.
            for id in membership.voters.clone() {
                membership.witnesses.insert(id);
                if membership.validate().is_err() {
                    membership.witnesses.remove(&id);
                }
            }
            let of_members = contexts.into_iter();
            let of_members = of_members.filter(|(id, _)| membership.contains(*id));
            membership.contexts = of_members
                .map(|(id, context)| (id, context.into()))
                .collect();
            membership
        },
    )
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(membership in memberships()) {
        prop_assert_eq!(Membership::decode(&membership.encode()), Ok(membership));
    }

    #[test]
    fn arbitrary_bytes_decode_to_their_own_encoding_or_an_error(
        bytes in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        if let Ok(membership) = Membership::decode(&bytes) {
            prop_assert_eq!(&membership.encode()[..], &bytes[..]);
        }
    }

    #[test]
    fn a_changed_byte_decodes_to_its_own_encoding_or_an_error(
        membership in memberships(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut bytes = membership.encode().to_vec();
        *at.get_mut(&mut bytes) = byte;
        if let Ok(other) = Membership::decode(&bytes) {
            prop_assert_eq!(&other.encode()[..], &bytes[..]);
        }
    }
}

#[test]
fn each_malformation_has_its_name() {
    let pair = Membership::of_voters([NodeId(1), NodeId(2)]);
    let bytes = pair.encode();
    let decode = |bytes: &[u8]| Membership::decode(bytes).unwrap_err();
    assert_eq!(decode(&[]), MembershipError::Length);
    assert_eq!(decode(&[9]), MembershipError::Version { version: 9 });
    assert_eq!(
        decode(&[0, 0, 0, 0]),
        MembershipError::Version { version: 0 }
    );
    assert_eq!(decode(&bytes[..bytes.len() - 1]), MembershipError::Length);
    assert_eq!(
        decode(&[1, 0, 0, 0]),
        MembershipError::Version { version: 1 }
    );
    assert_eq!(decode(&[2, 65]), MembershipError::TooManyNodes);
    let mut twice = bytes.to_vec();
    twice[10] = 1;
    assert_eq!(decode(&twice), MembershipError::Order);
    let mut mark = bytes.to_vec();
    mark[20] = 3;
    assert_eq!(decode(&mark), MembershipError::Length);
}

#[test]
fn each_violated_rule_has_its_name() {
    let plain = Membership::of_voters([1, 2, 3].map(NodeId));
    let change = |voters: &[u64]| Change {
        voters: voters.iter().copied().map(NodeId).collect(),
        ..Change::default()
    };
    let with = |change: Change| Membership {
        change: Some(Box::new(change)),
        ..plain.clone()
    };
    let context = |id, len| Membership {
        contexts: BTreeMap::from([(NodeId(id), Bytes::from(vec![0; len]))]),
        ..plain.clone()
    };
    let learner = Membership {
        learners: plain.voters.clone(),
        ..plain.clone()
    };
    let crowd = Membership::of_voters((0..65).map(NodeId));
    let nobody = Membership {
        change: Some(Box::new(change(&[1]))),
        ..Membership::default()
    };
    let low = Membership {
        highest: NodeId(2),
        ..plain.clone()
    };
    let witnesses = |ids: &[u64]| Membership {
        witnesses: ids.iter().copied().map(NodeId).collect(),
        ..plain.clone()
    };
    let watched = Membership {
        change: Some(Box::new(Change {
            learners: BTreeSet::from([NodeId(3)]),
            ..change(&[1, 2])
        })),
        ..witnesses(&[3])
    };
    let then_two = Membership {
        change: Some(Box::new(change(&[2, 3]))),
        ..witnesses(&[3])
    };
    for (membership, error) in [
        (crowd, MembershipError::TooManyNodes),
        (learner, MembershipError::LearnerVotes),
        (with(change(&[])), MembershipError::NoVoters),
        (nobody, MembershipError::NoVoters),
        (context(1, 257), MembershipError::LongContext),
        (context(4, 1), MembershipError::ContextOfNobody),
        (low, MembershipError::Highest),
        (witnesses(&[4]), MembershipError::WitnessOfNothing),
        (watched, MembershipError::WitnessOfNothing),
        (witnesses(&[1, 3]), MembershipError::TooManyWitnesses),
        (then_two, MembershipError::TooManyWitnesses),
    ] {
        assert_eq!(membership.validate(), Err(error), "{membership:?}");
    }
    assert_eq!(context(1, 256).validate(), Ok(()));
    assert_eq!(Membership::default().validate(), Ok(()));
    assert_eq!(witnesses(&[3]).validate(), Ok(()));
}

#[test]
fn a_node_is_removed_if_it_could_have_been_a_member() {
    let membership = Membership {
        highest: NodeId(5),
        ..Membership::of_voters([1, 4].map(NodeId))
    };
    let removed = (1..8).filter(|id| membership.has_removed(NodeId(*id)));
    assert_eq!(removed.collect::<Vec<_>>(), [2, 3, 5]);
}
