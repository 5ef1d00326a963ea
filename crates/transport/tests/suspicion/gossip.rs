//! Gossip: probes, helpers, rumours, refutation.

use super::measured::cluster::Cluster;
use super::measured::traces::traces;
use super::{LIFE, at, ms, outputs, wait};
use std::time::Duration;
use synod_transport::NodeId;
use synod_transport::detector::{
    Detector, Gossip, GossipSettings, Incarnation, Instant, Kind, Message, Output, Refutation,
    Rumor, Seq, SettingsError,
};

const ONE: NodeId = NodeId(1);
const TWO: NodeId = NodeId(2);
const THREE: NodeId = NodeId(3);

fn settings() -> GossipSettings {
    GossipSettings::of(ms(100), 7)
}

/// Node 1 of three, after frames from both others.
fn one() -> Gossip {
    let mut one = Gossip::new(at(0), ONE, LIFE, [ONE, TWO, THREE], settings()).expect("sound");
    one.handle_frame(at(0), TWO, LIFE);
    one.handle_frame(at(0), THREE, LIFE);
    one
}

fn sent(detector: &mut Gossip) -> Vec<(NodeId, Message)> {
    let sent = outputs(detector).into_iter();
    sent.filter_map(|output| match output {
        Output::Send(to, message) => Some((to, message)),
        _ => None,
    })
    .collect()
}

fn rumor(node: NodeId, refutation: u64, suspected: bool) -> Rumor {
    Rumor {
        node,
        incarnation: LIFE,
        refutation: Refutation(refutation),
        suspected,
    }
}

/// An unsolicited answer with these rumours.
fn tell(detector: &mut Gossip, now: Instant, from: NodeId, rumors: &[Rumor]) {
    let message = Message {
        kind: Kind::Answer(Seq(0)),
        rumors: rumors.to_vec(),
    };
    detector.handle_message(now, from, LIFE, &message);
}

/// The time, number and target of the next probe.
fn next_probe(detector: &mut Gossip) -> (Instant, Seq, NodeId) {
    loop {
        let now = detector.poll_timeout();
        detector.handle_timeout(now);
        for (to, message) in sent(detector) {
            if let Kind::Probe(seq) = message.kind {
                return (now, seq, to);
            }
        }
    }
}

#[test]
fn each_peer_is_probed_once_before_any_is_probed_again() {
    let peers = (1..=6).map(NodeId);
    let mut detector = Gossip::new(at(0), ONE, LIFE, peers, settings()).unwrap();
    for _ in 0..20 {
        let mut pass: Vec<_> = (0..5).map(|_| next_probe(&mut detector).2.0).collect();
        pass.sort_unstable();
        assert_eq!(pass, [2, 3, 4, 5, 6]);
    }
}

#[test]
fn whoever_does_not_answer_is_asked_after_by_others() {
    let mut detector = one();
    let (now, seq, target) = next_probe(&mut detector);
    let helper = if target == TWO { THREE } else { TWO };
    wait(&mut detector, now + ms(33));
    assert_eq!(sent(&mut detector), [], "there is time for an answer");
    wait(&mut detector, now + ms(34));
    let asked = sent(&mut detector);
    assert_eq!(asked.len(), 1);
    assert_eq!(
        (asked[0].0, asked[0].1.kind),
        (helper, Kind::ProbeFor { seq, target })
    );

    // The helper hears it: the round ends well, and nobody is doubted for good or bad.
    let found = Message {
        kind: Kind::AnswerOf { seq, target },
        rumors: Vec::new(),
    };
    detector.handle_message(now + ms(60), helper, LIFE, &found);
    wait(&mut detector, now + ms(101));
    let doubts = sent(&mut detector);
    assert!(doubts.iter().all(|(_, message)| message.rumors.is_empty()));
}

#[test]
fn an_answer_that_nobody_was_asked_for_says_nothing() {
    let mut detector = one();
    let (now, seq, target) = next_probe(&mut detector);
    let other = if target == TWO { THREE } else { TWO };
    for (at, seq) in [(now + ms(10), seq), (now + ms(40), Seq(seq.0 + 1))] {
        wait(&mut detector, at);
        let kind = Kind::AnswerOf { seq, target };
        let rumors = Vec::new();
        detector.handle_message(at, other, LIFE, &Message { kind, rumors });
    }
    wait(&mut detector, now + ms(101));
    let rumors: Vec<_> = sent(&mut detector)
        .into_iter()
        .flat_map(|(_, message)| message.rumors)
        .collect();
    assert!(rumors.contains(&rumor(target, 0, true)), "{rumors:?}");
}

#[test]
fn a_helper_answers_when_it_hears_the_target_by_whatever_frame() {
    let mut helper = one();
    outputs(&mut helper);
    let (seq, target) = (Seq(77), THREE);
    let ask = Message {
        kind: Kind::ProbeFor { seq, target },
        rumors: Vec::new(),
    };
    helper.handle_message(at(10), TWO, LIFE, &ask);
    let probes = sent(&mut helper);
    assert!(matches!(
        &probes[..],
        [(
            THREE,
            Message {
                kind: Kind::Probe(_),
                ..
            }
        )]
    ));
    helper.handle_frame(at(20), THREE, LIFE);
    helper.handle_frame(at(21), THREE, LIFE);
    let answers = sent(&mut helper);
    assert_eq!(answers.len(), 1);
    assert_eq!(
        (answers[0].0, answers[0].1.kind),
        (TWO, Kind::AnswerOf { seq, target })
    );
}

#[test]
fn errands_have_a_bound_and_an_end() {
    let mut narrow = settings();
    narrow.errands_max = 1;
    let mut helper = Gossip::new(at(0), ONE, LIFE, [TWO, THREE, NodeId(4)], narrow).unwrap();
    let ask = |helper: &mut Gossip, now, target| {
        let kind = Kind::ProbeFor {
            seq: Seq(1),
            target,
        };
        let rumors = Vec::new();
        helper.handle_message(now, TWO, LIFE, &Message { kind, rumors });
        sent(helper).len()
    };
    assert_eq!(ask(&mut helper, at(0), THREE), 1);
    assert_eq!(ask(&mut helper, at(0), NodeId(4)), 0, "one at a time");
    assert_eq!(ask(&mut helper, at(0), NodeId(9)), 0, "a stranger");
    helper.handle_timeout(at(100));
    sent(&mut helper);
    helper.handle_frame(at(101), THREE, LIFE);
    assert_eq!(
        sent(&mut helper),
        [],
        "nobody waits for it after a round any more"
    );
    assert_eq!(ask(&mut helper, at(101), NodeId(4)), 1);
}

#[test]
fn whoever_is_suspected_takes_it_back_with_a_counter_of_its_own() {
    let mut detector = one();
    tell(&mut detector, at(1), TWO, &[rumor(ONE, 0, true)]);
    assert_eq!(detector.refutation(), Refutation(1));
    let (_, _, _) = next_probe(&mut detector);
    tell(&mut detector, at(2), THREE, &[rumor(ONE, 0, true)]);
    assert_eq!(
        detector.refutation(),
        Refutation(1),
        "that is refuted already"
    );
    let probe = Message {
        kind: Kind::Probe(Seq(5)),
        rumors: vec![],
    };
    detector.handle_message(at(3), THREE, LIFE, &probe);
    let (_, answer) = sent(&mut detector).pop().unwrap();
    assert_eq!(
        answer.rumors,
        [rumor(ONE, 1, false)],
        "whoever is behind is told again"
    );

    // Of its next incarnation, and of a counter that it never had, it knows better.
    let earlier = Rumor {
        incarnation: Incarnation(0),
        ..rumor(ONE, 9, true)
    };
    tell(
        &mut detector,
        at(4),
        TWO,
        &[earlier, rumor(ONE, u64::MAX, true)],
    );
    assert_eq!(detector.refutation(), Refutation(1));
    assert_eq!(
        (detector.counts().stale, detector.counts().nonsense),
        (1, 1)
    );
}

#[test]
fn a_rumour_is_a_suspicion_unless_it_is_taken_back_in_time() {
    // The probe that is under way is answered, so that what is seen comes of the rumour.
    let heard = |taken_back: Option<Rumor>| {
        let mut detector = one();
        tell(&mut detector, at(10), TWO, &[rumor(THREE, 3, true)]);
        for step in 1..34 {
            wait(&mut detector, at(10 * step));
            detector.handle_frame(at(10 * step), TWO, LIFE);
            if step == 20 {
                tell(&mut detector, at(200), TWO, taken_back.as_slice());
            }
        }
        detector.suspects(THREE)
    };
    assert!(heard(None));
    assert!(!heard(Some(rumor(THREE, 4, false))));
    assert!(heard(Some(rumor(THREE, 3, false))), "that was said before");
    let other = Rumor {
        incarnation: Incarnation(2),
        ..rumor(THREE, 9, false)
    };
    assert!(heard(Some(other)), "of an incarnation that was not met");
}

#[test]
fn a_lie_about_a_counter_keeps_nobody_suspected() {
    let mut detector = one();
    tell(&mut detector, at(1), TWO, &[rumor(THREE, u64::MAX, true)]);
    assert_eq!(detector.counts().nonsense, 1);
    tell(&mut detector, at(2), TWO, &[rumor(THREE, 1, true)]);
    tell(&mut detector, at(3), TWO, &[rumor(THREE, 2, false)]);
    for step in 1..100 {
        wait(&mut detector, at(10 * step));
        detector.handle_frame(at(10 * step), THREE, LIFE);
    }
    assert!(!detector.suspects(THREE));
}

#[test]
fn whoever_is_suspected_is_told_first_of_all() {
    let mut detector = one();
    tell(&mut detector, at(1), TWO, &[rumor(THREE, 0, true)]);
    for at_ms in [2, 500, 1_000] {
        let probe = Message {
            kind: Kind::Probe(Seq(1)),
            rumors: vec![],
        };
        detector.handle_message(at(at_ms), THREE, LIFE, &probe);
        let messages = sent(&mut detector);
        let answer = messages.iter().rfind(|(to, _)| *to == THREE).unwrap();
        assert_eq!(answer.1.rumors.first(), Some(&rumor(THREE, 0, true)));
    }
}

#[test]
fn a_rumour_is_passed_on_so_often_and_no_more() {
    let mut detector = one();
    tell(&mut detector, at(1), TWO, &[rumor(THREE, 1, true)]);
    let mut passed = 0;
    for round in 1..100 {
        wait(&mut detector, at(100 * round));
        detector.handle_frame(at(100 * round), TWO, LIFE);
        detector.handle_frame(at(100 * round), THREE, LIFE);
        let to_others = sent(&mut detector);
        passed += to_others
            .iter()
            .filter(|(to, message)| *to == TWO && !message.rumors.is_empty())
            .count();
    }
    assert!(passed <= 6, "three times for each doubling: {passed}");
}

#[test]
fn any_frame_answers_a_probe_and_ends_a_suspicion() {
    let mut detector = one();
    while !detector.suspects(TWO) || !detector.suspects(THREE) {
        let now = detector.poll_timeout();
        detector.handle_timeout(now);
    }
    outputs(&mut detector);
    let now = detector.poll_timeout();
    detector.handle_frame(now, TWO, LIFE);
    assert_eq!(outputs(&mut detector), [Output::Trust(TWO)]);
    assert_eq!(detector.counts().mistakes, 1);
}

#[test]
fn settings_without_sense_are_refused() {
    let gossip = |change: fn(&mut GossipSettings)| {
        let mut settings = settings();
        change(&mut settings);
        Gossip::new(at(0), ONE, LIFE, [TWO], settings).err()
    };
    assert_eq!(
        gossip(|s| s.answer_max = ms(0)),
        Some(SettingsError::NoTime("answer_max"))
    );
    assert_eq!(
        gossip(|s| s.answer_max = s.probe_every),
        Some(SettingsError::Order("answer_max", "probe_every"))
    );
    assert_eq!(
        gossip(|s| s.rumors_max = 33),
        Some(SettingsError::Range("rumors_max"))
    );
}

#[test]
fn a_crash_is_known_to_all_and_a_bad_link_makes_nobody_suspected() {
    let [calm, ..] = traces();
    for seed in 0..20 {
        let mut cluster = Cluster::new(calm, seed, 5, settings()).unwrap();
        for cut in [(ONE, TWO), (TWO, ONE), (THREE, TWO)] {
            cluster.links.remove(&cut);
        }
        cluster.run(Duration::from_secs(60));
        let nodes = cluster.nodes.values();
        let suspicions = nodes.map(|node| node.detector.counts().suspicions);
        assert_eq!(
            suspicions.sum::<u64>(),
            0,
            "helpers reach whom a link does not"
        );
        let detected = cluster.crash(NodeId(4), Duration::from_secs(60));
        let watchers: Vec<_> = detected.keys().map(|id| id.0).collect();
        assert_eq!(watchers, [1, 2, 3, 5]);
        // A pass through four peers and the round itself, to be refuted for three more, and rumours on their way.
        let last = detected.values().max().unwrap();
        assert!(*last < Duration::from_secs(1), "seed {seed}: {last:?}");
    }
}
