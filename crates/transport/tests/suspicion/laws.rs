//! Properties that hold for every sequence of events.

use super::{LIFE, PEER, at, hear, ms, outputs, suspected_at, wait};
use proptest::prelude::*;
use synod_transport::NodeId;
use synod_transport::detector::{
    Deadline, DeadlineSettings, Detector, Gossip, GossipSettings, Incarnation, Instant, Kind,
    Message, Output, PhiAccrual, PhiSettings, Refutation, Rumor, Seq,
};

fn all() -> Vec<Box<dyn Detector>> {
    let peers = [NodeId(2), NodeId(3)];
    vec![
        Box::new(Deadline::new(at(0), peers, DeadlineSettings::of(ms(100))).expect("sound")),
        Box::new(PhiAccrual::new(at(0), peers, PhiSettings::of(ms(100))).expect("sound")),
        Box::new(
            Gossip::new(
                at(0),
                NodeId(1),
                LIFE,
                peers,
                GossipSettings::of(ms(100), 7),
            )
            .expect("sound"),
        ),
    ]
}

#[derive(Clone, Debug)]
enum Step {
    /// Time passes by this many milliseconds between two calls of the owner.
    Pass(u64),
    Frame(u64, u64),
    Message(u64, u64, Message),
}

fn rumor() -> impl Strategy<Value = Rumor> {
    (
        0_u64..5,
        0_u64..3,
        prop_oneof![0_u64..3, Just(u64::MAX)],
        any::<bool>(),
    )
        .prop_map(|(node, incarnation, refutation, suspected)| Rumor {
            node: NodeId(node),
            incarnation: Incarnation(incarnation),
            refutation: Refutation(refutation),
            suspected,
        })
}

pub(crate) fn message() -> impl Strategy<Value = Message> {
    let kind = (0_u8..4, 0_u64..9, 0_u64..5).prop_map(|(kind, seq, target)| {
        let (seq, target) = (Seq(seq), NodeId(target));
        match kind {
            0 => Kind::Probe(seq),
            1 => Kind::Answer(seq),
            2 => Kind::ProbeFor { seq, target },
            _ => Kind::AnswerOf { seq, target },
        }
    });
    (kind, prop::collection::vec(rumor(), 0..6)).prop_map(|(kind, rumors)| Message { kind, rumors })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0_u64..150).prop_map(Step::Pass),
        1 => (0_u64..5_000).prop_map(Step::Pass),
        3 => (1_u64..5, 0_u64..3).prop_map(|(node, incarnation)| Step::Frame(node, incarnation)),
        2 => (1_u64..5, 0_u64..3, message()).prop_map(|(node, incarnation, m)| Step::Message(node, incarnation, m)),
    ];
    prop::collection::vec(step, 0..120)
}

fn feed(detector: &mut dyn Detector, steps: &[Step]) -> Instant {
    let mut now = at(0);
    for step in steps {
        match step {
            Step::Pass(ms_more) => {
                now = now + ms(*ms_more);
                detector.handle_timeout(now);
                assert!(
                    detector.poll_timeout() > now,
                    "an owner that waits does wait"
                );
            }
            Step::Frame(node, incarnation) => {
                detector.handle_frame(now, NodeId(*node), Incarnation(*incarnation));
            }
            Step::Message(node, incarnation, message) => {
                detector.handle_message(now, NodeId(*node), Incarnation(*incarnation), message);
            }
        }
    }
    now
}

proptest! {
    /// Whatever was received and learnt: a peer that stops sending is suspected within its bound, and stays
    /// suspected.
    #[test]
    fn whoever_is_silent_is_suspected_within_a_bound(steps in steps()) {
        for mut detector in all() {
            let begin = feed(&mut *detector, &steps);
            let mut now = begin;
            while now < begin + ms(4_000) {
                now = detector.poll_timeout();
                detector.handle_timeout(now);
            }
            for peer in [NodeId(2), NodeId(3)] {
                prop_assert!(detector.suspects(peer), "{peer}");
            }
            while now < begin + ms(8_000) {
                now = detector.poll_timeout();
                detector.handle_timeout(now);
                prop_assert!(detector.suspects(PEER));
            }
        }
    }

    /// The outputs match `suspects`, and alternate for each peer.
    #[test]
    fn what_is_told_is_what_is_shown(steps in steps()) {
        for mut detector in all() {
            let mut told = std::collections::BTreeMap::new();
            let mut now = at(0);
            for step in &steps {
                if let Step::Pass(more) = step {
                    now = now + ms(*more);
                    detector.handle_timeout(now);
                } else {
                    // Its own time is 0, which is earlier: that harms nobody.
                    feed(&mut *detector, std::slice::from_ref(step));
                }
                while let Some(output) = detector.poll_output() {
                    let (peer, suspected) = match output {
                        Output::Suspect(peer) => (peer, true),
                        Output::Trust(peer) => (peer, false),
                        Output::Send(to, message) => {
                            prop_assert!(to == NodeId(2) || to == NodeId(3));
                            prop_assert!(message.rumors.len() <= 8);
                            continue;
                        }
                    };
                    let before = told.insert(peer, suspected).unwrap_or_default();
                    prop_assert_ne!(before, suspected);
                }
                for peer in [NodeId(2), NodeId(3)] {
                    let told = told.get(&peer).copied().unwrap_or_default();
                    prop_assert_eq!(detector.suspects(peer), told);
                }
            }
        }
    }

    /// Eventually perfect under an unknown bound: one mistake for each step up to it, and no more.
    #[test]
    fn a_growing_deadline_makes_finitely_many_mistakes(gaps in prop::collection::vec(1_u64..999, 1..200)) {
        let mut detector = Deadline::new(at(0), [PEER], DeadlineSettings::of(ms(100))).unwrap();
        let mut now = 0;
        for gap in gaps {
            now += gap;
            hear(&mut detector, at(now));
        }
        prop_assert!(detector.counts().mistakes <= 8, "300 ms and 100 more each time, up to 1 s");
        prop_assert!(detector.timeout(PEER).unwrap() <= ms(1_000 + 100));
    }

    /// Eventually perfect below a bound given by its settings, and a crashed peer is suspected.
    #[test]
    fn accrual_makes_no_mistake_below_its_bound(
        gaps in prop::collection::vec(1_u64..=156, 1..300),
        accepted in 0_u64..200,
    ) {
        let mut settings = PhiSettings::of(ms(100));
        settings.pause_accepted = ms(accepted);
        let mut detector = PhiAccrual::new(at(0), [PEER], settings).unwrap();
        let mut now = 0;
        for gap in gaps {
            // Deviations of 10 ms at the least, 5.61 of them above a heartbeat.
            now += gap + if gap > 100 { accepted } else { 0 };
            hear(&mut detector, at(now));
        }
        prop_assert_eq!(detector.counts().suspicions, 0);
        suspected_at(&mut detector);
    }

    /// A pause of the owner, however long and whatever follows it, causes no immediate suspicion.
    #[test]
    fn a_pause_of_the_owner_is_nobodys_silence(beats in 1_u64..50, pause in 151_u64..1_000_000, frame_first: bool) {
        for mut detector in all() {
            for beat in 1..=beats {
                wait(&mut *detector, at(100 * beat));
                for peer in [NodeId(2), NodeId(3)] {
                    detector.handle_frame(at(100 * beat), peer, LIFE);
                }
            }
            outputs(&mut *detector);
            let now = 100 * beats + pause;
            if frame_first {
                detector.handle_frame(at(now), NodeId(3), LIFE);
            }
            detector.handle_timeout(at(now));
            wait(&mut *detector, at(now + 190));
            prop_assert!(!detector.suspects(PEER));
            prop_assert_eq!(detector.counts().held_up, 1);
        }
    }
}
