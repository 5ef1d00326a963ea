//! The encoding of gossip messages.

use super::laws::message;
use proptest::prelude::*;
use synod_transport::NodeId;
use synod_transport::detector::{
    DecodeError, Incarnation, Kind, Message, RUMORS_MAX, Refutation, Rumor, Seq,
};

const RUMOR: Rumor = Rumor {
    node: NodeId(3),
    incarnation: Incarnation(4),
    refutation: Refutation(5),
    suspected: true,
};

#[test]
fn golden_bytes_of_version_0() {
    let message = Message {
        kind: Kind::ProbeFor {
            seq: Seq(1),
            target: NodeId(2),
        },
        rumors: vec![RUMOR],
    };
    let bytes = [
        &[0, 3][..],
        &[1, 0, 0, 0, 0, 0, 0, 0],
        &[2, 0, 0, 0, 0, 0, 0, 0],
        &[1],
        &[3, 0, 0, 0, 0, 0, 0, 0],
        &[4, 0, 0, 0, 0, 0, 0, 0],
        &[5, 0, 0, 0, 0, 0, 0, 0],
        &[1],
    ];
    assert_eq!(message.encode(), bytes.concat());
    let kinds = [
        (Kind::Probe(Seq(9)), 1),
        (Kind::Answer(Seq(9)), 2),
        (
            Kind::AnswerOf {
                seq: Seq(9),
                target: NodeId(9),
            },
            4,
        ),
    ];
    for (kind, code) in kinds {
        let rumors = Vec::new();
        assert_eq!(Message { kind, rumors }.encode()[..3], [0, code, 9]);
    }
}

#[test]
fn what_is_no_message_is_refused_with_the_reason() {
    let whole = Message {
        kind: Kind::Probe(Seq(1)),
        rumors: vec![RUMOR],
    }
    .encode();
    let changed = |at: usize, to: u8| {
        let mut bytes = whole.to_vec();
        bytes[at] = to;
        Message::decode(&bytes)
    };
    assert_eq!(changed(0, 1), Err(DecodeError::Version(1)));
    assert_eq!(changed(1, 5), Err(DecodeError::Kind(5)));
    assert_eq!(changed(10, 33), Err(DecodeError::Rumors(33)));
    assert_eq!(changed(10, 2), Err(DecodeError::Length));
    assert_eq!(changed(35, 2), Err(DecodeError::Truth(2)));
    for length in 0..whole.len() {
        assert_eq!(Message::decode(&whole[..length]), Err(DecodeError::Length));
    }
    let longer = [&whole[..], &[0]].concat();
    assert_eq!(Message::decode(&longer), Err(DecodeError::Length));
}

#[test]
fn a_message_has_no_more_rumours_than_it_may() {
    let message = Message {
        kind: Kind::Probe(Seq(1)),
        rumors: vec![RUMOR; 300],
    };
    let decoded = Message::decode(&message.encode()).unwrap();
    assert_eq!(decoded.rumors.len(), RUMORS_MAX);
}

proptest! {
    #[test]
    fn messages_come_back_as_they_went(message in message()) {
        prop_assert_eq!(Message::decode(&message.encode()), Ok(message));
    }

    #[test]
    fn bytes_that_are_a_message_are_all_of_it(bytes in prop::collection::vec(0_u8..6, 0..70)) {
        if let Ok(message) = Message::decode(&bytes) {
            prop_assert_eq!(&message.encode()[..], &bytes[..]);
        }
    }
}
