//! Every phase-1 quorum intersects every phase-2 quorum: all systems of up to eight acceptors. What
//! is refused is refused for a reason.

use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use synod_paxos::{AcceptorSet, NodeId, QuorumDecodeError, QuorumError, Quorums};

/// The set of these acceptors, one for each bit of `members`.
fn set(quorums: &Quorums, members: u32) -> AcceptorSet {
    let mut set = AcceptorSet::default();
    for (position, acceptor) in quorums.acceptors().enumerate() {
        if members >> position & 1 == 1 {
            quorums.insert(&mut set, acceptor);
        }
    }
    set
}

/// Checks by brute force over all sets: supersets of quorums are quorums, all acceptors are a
/// quorum, the empty set is none, and the complement of a phase-1 quorum contains no phase-2
/// quorum.
fn assert_lawful(quorums: &Quorums) {
    let count = quorums.acceptors().len();
    let all = (1u32 << count) - 1;
    let phases: Vec<(bool, bool)> = (0..=all)
        .map(|members| set(quorums, members))
        .map(|set| (quorums.is_phase1(set), quorums.is_phase2(set)))
        .collect();
    assert_eq!(phases[0], (false, false), "nobody: {quorums:?}");
    assert_eq!(phases[all as usize], (true, true), "all: {quorums:?}");
    for members in 0..=all {
        let (phase1, phase2) = phases[members as usize];
        for more in (0..count).map(|position| (members | 1 << position) as usize) {
            assert!(!phase1 || phases[more].0, "{members:b}: {quorums:?}");
            assert!(!phase2 || phases[more].1, "{members:b}: {quorums:?}");
        }
        let beside = phases[(all & !members) as usize];
        assert!(!(phase1 && beside.1), "{members:b} is met: {quorums:?}");
    }
}

#[test]
fn majorities_of_one_to_eight() {
    for count in 1..=8 {
        let quorums = Quorums::majority((0..count).map(NodeId)).unwrap();
        assert_lawful(&quorums);
        for members in 0..1u32 << count {
            let most = u64::from(members.count_ones()) * 2 > count;
            assert_eq!(quorums.is_phase1(set(&quorums, members)), most);
            assert_eq!(quorums.is_phase2(set(&quorums, members)), most);
        }
    }
}

#[test]
fn simple_quorums_are_taken_exactly_if_they_meet() {
    for count in 1..=8 {
        for (phase1, phase2) in pairs(count + 2) {
            let quorums = Quorums::flexible((0..count as u64).map(NodeId), phase1, phase2);
            let reachable = phase1.max(phase2) <= count;
            // There is room for `phase1` acceptors and `phase2` other ones.
            let apart = phase1 + phase2 <= count;
            match quorums {
                Ok(quorums) => {
                    assert!(reachable && !apart);
                    assert_lawful(&quorums);
                }
                Err(QuorumError::Unreachable) => assert!(!reachable),
                Err(error) => {
                    assert_eq!(error, QuorumError::NoIntersection);
                    assert!(reachable && apart);
                }
            }
        }
    }
}

#[test]
fn all_weights_up_to_three_with_all_thresholds() {
    let (mut taken, mut refused) = (0, 0);
    for weights in (1..=8).flat_map(ascending_weights) {
        let total: u64 = weights.iter().sum();
        for (phase1, phase2) in pairs(total as usize + 1) {
            let weights = (0..).map(NodeId).zip(weights.iter().copied());
            match Quorums::weighted(weights, phase1 as u64, phase2 as u64) {
                Ok(quorums) => {
                    taken += 1;
                    assert_lawful(&quorums);
                }
                Err(QuorumError::NoIntersection) => refused += 1,
                Err(error) => panic!("{error}"),
            }
        }
    }
    assert!(taken > 5_000 && refused > 5_000, "{taken} and {refused}");
}

/// Every grid is a partition: 1 + 2 + 5 + 15 + 52 + 203 + 877 + 4140 of them (Bell).
#[test]
fn all_grids() {
    let mut grids = 0;
    for count in 1..=8 {
        for_each_partition(count, &mut Vec::new(), &mut |rows| {
            let quorums = Quorums::grid(rows.to_vec()).unwrap();
            assert_lawful(&quorums);
            for members in 0..1u32 << count {
                let has = |acceptor: &NodeId| members >> acceptor.0 & 1 == 1;
                let row = rows.iter().any(|row| row.iter().all(has));
                let each = rows.iter().all(|row| row.iter().any(has));
                assert_eq!(quorums.is_phase1(set(&quorums, members)), row);
                assert_eq!(quorums.is_phase2(set(&quorums, members)), each);
            }
            assert_eq!(Quorums::decode(&quorums.encode()), Ok(quorums));
            grids += 1;
        });
    }
    assert_eq!(grids, 5295);
}

/// With the columns passed instead, a row is a quorum of phase 2.
#[test]
fn a_grid_may_be_turned() {
    let columns = [[1, 4], [2, 5], [3, 6]].map(|column| column.map(NodeId));
    let quorums = Quorums::grid(columns).unwrap();
    assert!(quorums.is_phase2(set(&quorums, 0b00_0111)));
    assert!(!quorums.is_phase1(set(&quorums, 0b00_0111)));
}

#[test]
fn each_refusal_has_its_name() {
    let ids = |count| (0..count).map(NodeId);
    let one = |weight| [(NodeId(7), weight)];
    let twice = [NodeId(3), NodeId(4), NodeId(3)];
    let acceptor = NodeId(3);
    for (quorums, error) in [
        (Quorums::majority([]), QuorumError::Empty),
        (Quorums::majority(ids(65)), QuorumError::TooMany),
        (Quorums::grid([ids(65)]), QuorumError::TooMany),
        (Quorums::grid::<[NodeId; 0]>([]), QuorumError::Empty),
        (Quorums::grid([ids(2), ids(0)]), QuorumError::EmptyRow),
        (Quorums::grid([twice]), QuorumError::Repeated { acceptor }),
        (
            Quorums::weighted(twice.map(|id| (id, 1)), 2, 2),
            QuorumError::Repeated { acceptor },
        ),
        (
            Quorums::weighted(one(0), 1, 1),
            QuorumError::ZeroWeight {
                acceptor: NodeId(7),
            },
        ),
        (
            Quorums::weighted([(NodeId(1), u64::MAX), (NodeId(2), 1)], 1, u64::MAX),
            QuorumError::Overflow,
        ),
        (Quorums::weighted(one(2), 0, 2), QuorumError::NoIntersection),
        (Quorums::weighted(one(2), 1, 1), QuorumError::NoIntersection),
        (Quorums::weighted(one(2), 3, 1), QuorumError::Unreachable),
        (
            Quorums::flexible(ids(3), usize::MAX, usize::MAX),
            QuorumError::Unreachable,
        ),
    ] {
        assert_eq!(quorums, Err(error));
    }
    assert!(Quorums::weighted(one(u64::MAX), u64::MAX, u64::MAX).is_ok());
    assert!(Quorums::majority(ids(64)).is_ok());
}

#[test]
fn each_malformation_has_its_name() {
    let weights = Quorums::majority([1, 2].map(NodeId)).unwrap().encode();
    let grid = Quorums::grid([[1], [2]].map(|row| row.map(NodeId)));
    let grid = grid.unwrap().encode();
    let changed = |bytes: &[u8], at: usize, to: u8| {
        let mut bytes = bytes.to_vec();
        bytes[at] = to;
        Quorums::decode(&bytes)
    };
    let version = QuorumDecodeError::Version { version: 9 };
    assert_eq!(changed(&weights, 0, 9), Err(version));
    let kind = QuorumDecodeError::Kind { kind: 2 };
    assert_eq!(changed(&weights, 1, 2), Err(kind));
    let too_many = QuorumDecodeError::Unlawful(QuorumError::TooMany);
    assert_eq!(Quorums::decode(&[0, 0, 65]), Err(too_many));
    for bytes in [&weights, &grid] {
        for end in 0..bytes.len() {
            let cut = Quorums::decode(&bytes[..end]);
            assert_eq!(cut, Err(QuorumDecodeError::Length));
        }
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(Quorums::decode(&longer), Err(QuorumDecodeError::Length));
    }
    assert_eq!(changed(&weights, 3, 2), Err(QuorumDecodeError::Order));
    // After the head: an acceptor and its row, the second acceptor and its row.
    assert_eq!(changed(&grid, 3 + 8, 1), Err(QuorumDecodeError::Order));
    let thresholds = weights.len() - 16;
    let apart = QuorumDecodeError::Unlawful(QuorumError::NoIntersection);
    assert_eq!(changed(&weights, thresholds, 0), Err(apart));
}

#[test]
fn the_largest_fit_their_bound() {
    let ids = || (0..64).map(|id| NodeId(u64::MAX - id));
    let quorums = Quorums::majority(ids()).unwrap();
    assert_eq!(quorums.encode().len(), Quorums::ENCODED_BYTES_MAX);
    let quorums = Quorums::grid(ids().map(|id| [id])).unwrap();
    assert!(quorums.encode().len() <= Quorums::ENCODED_BYTES_MAX);
    assert_eq!(Quorums::decode(&quorums.encode()), Ok(quorums));
}

/// Pins the format: what is stored today must be readable tomorrow.
#[test]
fn golden_bytes() {
    let quorums = Quorums::weighted([(NodeId(258), 3), (NodeId(1), 2)], 4, 2).unwrap();
    #[rustfmt::skip]
    let golden = [
        0, 0, 2,
        1, 0, 0, 0, 0, 0, 0, 0,  2, 0, 0, 0, 0, 0, 0, 0,
        2, 1, 0, 0, 0, 0, 0, 0,  3, 0, 0, 0, 0, 0, 0, 0,
        4, 0, 0, 0, 0, 0, 0, 0,  2, 0, 0, 0, 0, 0, 0, 0,
    ];
    assert_eq!(&quorums.encode()[..], &golden);
    let quorums = Quorums::grid([vec![NodeId(9)], vec![NodeId(2), NodeId(258)]]).unwrap();
    #[rustfmt::skip]
    let golden = [
        0, 1, 3,
        2, 0, 0, 0, 0, 0, 0, 0,  0,
        9, 0, 0, 0, 0, 0, 0, 0,  1,
        2, 1, 0, 0, 0, 0, 0, 0,  0,
    ];
    assert_eq!(&quorums.encode()[..], &golden);
}

/// Ids anywhere in a `u64`, with any system over them.
fn systems() -> impl Strategy<Value = Quorums> {
    let ids = || btree_set(any::<u64>().prop_map(NodeId), 1..=8);
    let flexible = (ids(), any::<(usize, usize)>()).prop_map(|(ids, (phase1, more))| {
        let count = ids.len();
        let phase1 = phase1 % count + 1;
        let phase2 = count + 1 - phase1;
        let phase2 = phase2 + more % (count + 1 - phase2);
        Quorums::flexible(ids, phase1, phase2)
    });
    let weights = vec(1..=u64::MAX / 8, 8);
    let weighted = (ids(), weights, any::<u64>()).prop_map(|(ids, weights, phase1)| {
        let total: u64 = weights[..ids.len()].iter().sum();
        let phase1 = phase1 % total + 1;
        Quorums::weighted(ids.into_iter().zip(weights), phase1, total + 1 - phase1)
    });
    let grid = (ids(), vec(0usize..4, 8)).prop_map(|(ids, row_of)| {
        let mut rows = vec![Vec::new(); 4];
        for (id, row) in ids.into_iter().zip(row_of) {
            rows[row].push(id);
        }
        Quorums::grid(rows.into_iter().filter(|row| !row.is_empty()))
    });
    prop_oneof![flexible, weighted, grid].prop_map(Result::unwrap)
}

proptest! {
    #[test]
    fn any_system_with_any_names(quorums in systems()) {
        assert_lawful(&quorums);
        prop_assert_eq!(Quorums::decode(&quorums.encode()), Ok(quorums));
    }

    /// Acceptors and strangers may be inserted repeatedly and in any order.
    #[test]
    fn nobody_counts_twice(quorums in systems(), heard in vec((0usize..8, any::<u64>()), 0..32)) {
        let ids: Vec<NodeId> = quorums.acceptors().collect();
        let (mut set, mut members) = (AcceptorSet::default(), 0u32);
        for (position, stranger) in heard {
            let position = position % ids.len();
            let known = members >> position & 1 == 1;
            prop_assert_eq!(quorums.insert(&mut set, ids[position]), !known);
            members |= 1 << position;
            if !ids.contains(&NodeId(stranger)) {
                prop_assert!(!quorums.contains(NodeId(stranger)));
                prop_assert!(!quorums.insert(&mut set, NodeId(stranger)));
            }
        }
        prop_assert_eq!(set, self::set(&quorums, members));
    }

    #[test]
    fn arbitrary_bytes_decode_to_their_own_encoding_or_an_error(bytes in vec(any::<u8>(), 0..80)) {
        if let Ok(quorums) = Quorums::decode(&bytes) {
            prop_assert_eq!(&quorums.encode()[..], &bytes[..]);
        }
    }

    /// Damages valid bytes, because arbitrary bytes are hardly ever almost valid.
    #[test]
    fn damaged_bytes_decode_to_their_own_encoding_or_an_error(
        quorums in systems(),
        at in any::<usize>(),
        to in any::<u8>(),
    ) {
        let mut bytes = quorums.encode().to_vec();
        let at = at % bytes.len();
        bytes[at] = to;
        if let Ok(quorums) = Quorums::decode(&bytes) {
            assert_lawful(&quorums);
            prop_assert_eq!(&quorums.encode()[..], &bytes[..]);
        }
    }
}

/// All pairs of numbers below `end`.
fn pairs(end: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..end).flat_map(move |first| (0..end).map(move |second| (first, second)))
}

/// A node's directory stores this text. A program with different text for the same system would not
/// open it.
#[test]
fn systems_are_written_in_words_that_stay() {
    let nodes = |ids: &[u64]| ids.iter().copied().map(NodeId).collect::<Vec<_>>();
    let weights = [(3, 1), (1, 2), (2, 1)].map(|(id, weight)| (NodeId(id), weight));
    let systems = [
        (
            Quorums::majority(nodes(&[3, 1, 2])),
            "acceptors 1, 2, 3, phase 1 by 2, phase 2 by 2",
        ),
        (
            Quorums::flexible(nodes(&[1, 2, 3, 4]), 3, 2),
            "acceptors 1, 2, 3, 4, phase 1 by 3, phase 2 by 2",
        ),
        (
            Quorums::weighted(weights, 3, 2),
            "acceptors 1 (weight 2), 2, 3, phase 1 by 3, phase 2 by 2",
        ),
        (
            Quorums::grid([nodes(&[3, 2]), nodes(&[4, 1])]),
            "acceptors in rows (1 4), (2 3)",
        ),
        (Quorums::grid([nodes(&[7])]), "acceptors in rows (7)"),
    ];
    for (quorums, words) in systems {
        assert_eq!(quorums.unwrap().to_string(), words);
    }
}

/// Weights from one to three. Which acceptor has which weight does not matter, so ascending weights
/// represent all cases.
fn ascending_weights(count: usize) -> Vec<Vec<u64>> {
    let twos_and_threes = pairs(count + 1).filter(|(twos, threes)| twos + threes <= count);
    let weights = twos_and_threes.map(|(twos, threes)| {
        let ones = count - twos - threes;
        [vec![1; ones], vec![2; twos], vec![3; threes]].concat()
    });
    weights.collect()
}

/// Calls `visit` with every way to distribute acceptors 0 to `count - 1` over rows.
fn for_each_partition(
    count: u64,
    rows: &mut Vec<Vec<NodeId>>,
    visit: &mut impl FnMut(&[Vec<NodeId>]),
) {
    let next = rows.iter().map(|row| row.len() as u64).sum();
    if next == count {
        return visit(rows);
    }
    for row in 0..rows.len() {
        rows[row].push(NodeId(next));
        for_each_partition(count, rows, visit);
        rows[row].pop();
    }
    rows.push(vec![NodeId(next)]);
    for_each_partition(count, rows, visit);
    rows.pop();
}
