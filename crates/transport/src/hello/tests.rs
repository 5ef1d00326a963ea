use super::*;
use proptest::prelude::*;

const OWN: Hello = Hello {
    cluster: ClusterId(7),
    node: NodeId(1),
    disk: DiskId(11),
    boot: 3,
    nonce: 33,
    founding: Founding {
        decided_at: 0,
        digest: 7,
    },
};

fn greeting() -> Greeting {
    let hello = Hello {
        cluster: ClusterId(7),
        node: NodeId(2),
        disk: DiskId(22),
        boot: 5,
        nonce: 55,
        founding: OWN.founding,
    };
    Greeting {
        hello,
        to: NodeId(1),
        verdict: Ok(()),
        is_question: false,
    }
}

#[test]
fn golden_bytes_of_version_1() {
    let bytes = Greeting {
        verdict: Err(Refused::Stale),
        ..greeting()
    }
    .encode();
    let mut golden = b"SYND".to_vec();
    golden.extend([1, 0, 7, 0]);
    golden.extend([1, 0, 0, 0, 0, 0, 0, 0]);
    golden.extend([7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    golden.extend([2, 0, 0, 0, 0, 0, 0, 0]);
    golden.extend([22, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    golden.extend([5, 0, 0, 0, 0, 0, 0, 0]);
    golden.extend([55, 0, 0, 0, 0, 0, 0, 0]);
    golden.extend([0, 0, 0, 0, 0, 0, 0, 0]);
    golden.extend([7, 0, 0, 0, 0, 0, 0, 0]);
    // Computed by another implementation, bit by bit.
    golden.extend([0x8d, 0xcf, 0xcc, 0x05]);
    assert_eq!(bytes[..], golden, "{bytes:02x?}");
}

#[test]
fn every_flipped_bit_is_noticed() {
    let whole = greeting().encode();
    assert_eq!(Greeting::decode(&whole), Ok(greeting()));
    for bit in 0..whole.len() * 8 {
        let mut bad = whole;
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(Greeting::decode(&bad).is_err(), "bit {bit}");
    }
}

#[test]
fn another_version_is_named() {
    let mut bytes = greeting().encode();
    bytes[4] = 9;
    assert_eq!(Greeting::decode(&bytes), Err(Unreadable::Version(9)));
}

#[test]
fn every_reason_survives_the_wire() {
    let named = [
        Refused::Version,
        Refused::Cluster,
        Refused::Oneself,
        Refused::UnknownNode,
        Refused::Misdirected,
        Refused::Disk,
        Refused::Stale,
        Refused::Full,
        Refused::Unstored,
        Refused::Unjudged,
        Refused::Founding,
        Refused::Twin,
        Refused::Leap,
        Refused::Unconfirmed,
        Refused::RolledBack,
        Refused::Other(999),
    ];
    for reason in named {
        let sent = Greeting {
            verdict: Err(reason),
            ..greeting()
        };
        assert_eq!(Greeting::decode(&sent.encode()), Ok(sent));
    }
    let no_reason = Greeting {
        verdict: Err(Refused::Other(0)),
        ..greeting()
    };
    assert!(
        Greeting::decode(&no_reason.encode()).is_ok_and(|read| read.verdict.is_err()),
        "never read as consent"
    );
    let no_question = Greeting {
        verdict: Err(Refused::Other(u16::MAX)),
        ..greeting()
    };
    assert!(
        Greeting::decode(&no_question.encode()).is_ok_and(|read| !read.is_question),
        "nor as a question"
    );
}

/// A question stands as the hello that it is about, but for the verdict, and is answered by a verdict alone.
#[test]
fn golden_bytes_of_a_question() {
    let about = greeting().hello;
    let question = Greeting::question(about);
    let mut golden = Greeting {
        to: about.node,
        ..greeting()
    }
    .encode();
    golden[6..8].copy_from_slice(&[255, 255]);
    let crc = crc32c::crc32c(&golden[..88]);
    golden[88..].copy_from_slice(&crc.to_le_bytes());
    assert_eq!(question.encode(), golden);
    assert_eq!(Greeting::decode(&golden), Ok(question));
    let yes = question.answer(&about).encode();
    assert_eq!(yes[6..88], [0; 82]);
    let no = question.answer(&OWN).encode();
    assert_eq!(no[6..8], [14, 0]);
    assert_eq!(no[8..88], [0; 80]);
}

/// Whoever reads a log could say the rest, and be taken for the node.
#[test]
fn what_is_shown_of_a_hello_is_without_its_nonce() {
    let hello = Hello {
        nonce: 987_654_321,
        ..OWN
    };
    let Hello {
        disk, boot, nonce, ..
    } = hello;
    let incarnation = LastIncarnation { disk, boot, nonce };
    let shown = format!("{hello:?} {incarnation:?}");
    assert!(
        shown.contains("boot: 3") && !shown.contains("987654321"),
        "{shown}"
    );
}

/// What an older node wrote must not be read as another reason.
#[test]
fn every_reason_keeps_its_code() {
    let codes = [
        (1, Refused::Version),
        (2, Refused::Cluster),
        (3, Refused::Oneself),
        (4, Refused::UnknownNode),
        (5, Refused::Misdirected),
        (6, Refused::Disk),
        (7, Refused::Stale),
        (8, Refused::Full),
        (9, Refused::Unstored),
        (10, Refused::Unjudged),
        (11, Refused::Founding),
        (12, Refused::Twin),
        (13, Refused::Leap),
        (14, Refused::Unconfirmed),
        (15, Refused::RolledBack),
        (16, Refused::Certificate),
    ];
    for (code, reason) in codes {
        let refusal = Greeting::refusal(NodeId(9), reason).encode();
        assert_eq!(refusal[6..8], [code, 0], "{reason}");
    }
}

#[test]
fn names_are_judged() {
    let judged = |change: fn(&mut Greeting)| {
        let mut greeting = greeting();
        change(&mut greeting);
        greeting.judge(&OWN)
    };
    assert_eq!(judged(|_| ()), Ok(()));
    assert_eq!(
        judged(|greeting| greeting.hello.cluster = ClusterId(8)),
        Err(Refused::Cluster)
    );
    assert_eq!(
        judged(|greeting| greeting.hello.node = NodeId(1)),
        Err(Refused::Oneself)
    );
    assert_eq!(
        judged(|greeting| greeting.to = NodeId(3)),
        Err(Refused::Misdirected)
    );
}

#[test]
fn earlier_lives_are_stale_and_later_ones_are_noticed() {
    let mut incarnations = Incarnations::default();
    let hello = |boot| Hello {
        boot,
        ..greeting().hello
    };
    assert_eq!(incarnations.judge(&hello(5)), Ok(Standing::New));
    assert_eq!(incarnations.meet(&hello(5)), Ok(false));
    assert_eq!(incarnations.judge(&hello(5)), Ok(Standing::Met));
    assert_eq!(incarnations.judge(&hello(6)), Ok(Standing::New));
    assert_eq!(incarnations.meet(&hello(5)), Ok(false));
    assert_eq!(incarnations.meet(&hello(4)), Err(Refused::Stale));
    assert_eq!(incarnations.meet(&hello(6)), Ok(true));
    assert_eq!(
        incarnations.meet(&hello(5)),
        Err(Refused::Stale),
        "also after a refusal"
    );
    let copy = Hello {
        nonce: 56,
        ..hello(6)
    };
    assert_eq!(incarnations.meet(&copy), Err(Refused::Twin));
    assert_eq!(incarnations.meet(&hello(6)), Ok(false));
    let other_disk = Hello {
        disk: DiskId(23),
        ..hello(1)
    };
    assert_eq!(incarnations.meet(&other_disk), Ok(true));
}

#[test]
fn a_life_does_not_leap() {
    let mut incarnations = Incarnations::default();
    let hello = |boot| Hello {
        boot,
        ..greeting().hello
    };
    for leap in [LEAP_MAX + 1, u64::MAX] {
        assert_eq!(incarnations.meet(&hello(leap)), Err(Refused::Leap));
    }
    assert_eq!(
        incarnations.meet(&hello(5)),
        Ok(false),
        "nor is it locked out"
    );
    assert_eq!(incarnations.meet(&hello(LEAP_MAX + 6)), Err(Refused::Leap));
    assert_eq!(incarnations.meet(&hello(LEAP_MAX + 5)), Ok(true));
    let other_disk = Hello {
        disk: DiskId(23),
        ..hello(LEAP_MAX + 6)
    };
    assert_eq!(
        incarnations.meet(&other_disk),
        Err(Refused::Leap),
        "nor by another disk"
    );
}

#[test]
fn a_refusal_says_nothing_of_who_refuses() {
    let refusal = Greeting::refusal(NodeId(9), Refused::Cluster).encode();
    assert_eq!(refusal[6..16], [2, 0, 9, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(refusal[16..64], [0; 48]);
}

proptest! {
    /// With a prefix and a checksum that are right all bytes are a greeting, and are read as what they say:
    /// written again they are the same. With either of them wrong they are none.
    #[test]
    fn what_is_read_is_what_was_written_byte_by_byte(
        bytes in prop::collection::vec(any::<u8>(), GREETING_BYTES),
        known in 0_u16..24,
        harm in 0_usize..6,
        bits in 1_u8..=255,
    ) {
        let mut bytes: [u8; GREETING_BYTES] = bytes.try_into().expect("of that length");
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..6].copy_from_slice(&VERSION.to_le_bytes());
        if known < 17 {
            bytes[6..8].copy_from_slice(&known.to_le_bytes());
        } else if known < 19 {
            bytes[6..8].copy_from_slice(&ASKS.to_le_bytes());
        }
        let sum = |bytes: &mut [u8; GREETING_BYTES]| {
            let crc = crc32c::crc32c(&bytes[..88]);
            bytes[88..].copy_from_slice(&crc.to_le_bytes());
        };
        sum(&mut bytes);
        let greeting = Greeting::decode(&bytes).expect("a greeting");
        prop_assert_eq!(greeting.encode(), bytes);
        prop_assert_eq!(&greeting.hello.node.0.to_le_bytes()[..], &bytes[32..40]);
        prop_assert_eq!(greeting.is_question, bytes[6..8] == [255, 255]);
        let is_refusal = !greeting.is_question && bytes[6..8] != [0, 0];
        prop_assert_eq!(greeting.verdict.is_err(), is_refusal);

        let mut other = bytes;
        other[harm] ^= bits;
        sum(&mut other);
        let expected = match harm {
            0..4 => Unreadable::Garbage,
            _ => Unreadable::Version(u16::from_le_bytes([other[4], other[5]])),
        };
        prop_assert_eq!(Greeting::decode(&other), Err(expected));
        let mut other = bytes;
        other[88 + harm % 4] ^= bits;
        prop_assert_eq!(Greeting::decode(&other), Err(Unreadable::Garbage));
    }
}
