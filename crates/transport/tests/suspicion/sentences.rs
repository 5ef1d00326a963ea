//! Deadlines and accrual: one test for each documented guarantee.

use super::{LIFE, PEER, at, hear, ms, outputs, suspected_at, wait};
use synod_transport::NodeId;
use synod_transport::detector::{
    Deadline, DeadlineSettings, Detector, Incarnation, Instant, Output, PhiAccrual, PhiSettings,
    SettingsError,
};

fn deadline() -> Deadline {
    Deadline::new(at(0), [PEER], DeadlineSettings::of(ms(100))).expect("sound settings")
}

fn phi() -> PhiAccrual {
    PhiAccrual::new(at(0), [PEER], PhiSettings::of(ms(100))).expect("sound settings")
}

/// Heartbeats that come every 100 ms, and the time of the last.
fn beats(detector: &mut impl Detector, from: u64, count: u64) -> u64 {
    (1..=count).for_each(|beat| hear(detector, at(from + 100 * beat)));
    from + 100 * count
}

#[test]
fn the_first_heartbeats_are_awaited_by_the_stated_guess() {
    // Two gaps of 75 and 125 ms stand for the guess; the deviation of 25 ms is 5.61 times in level 8.
    assert_eq!(suspected_at(&mut phi()).0.as_millis(), 240);
    assert_eq!(suspected_at(&mut deadline()), at(300));
    let mut never = phi();
    suspected_at(&mut never);
    assert_eq!(outputs(&mut never), [Output::Suspect(PEER)]);
}

#[test]
fn what_is_learnt_takes_the_place_of_the_guess() {
    let mut even = phi();
    let last = beats(&mut even, 0, 1_100);
    // The least deviation is left.
    let timeout = suspected_at(&mut even).since(at(last));
    assert_eq!(timeout.as_millis(), 156);

    let mut uneven = phi();
    let mut now = 0;
    for beat in 0..1_100 {
        now += if beat % 2 == 0 { 80 } else { 120 };
        hear(&mut uneven, at(now));
    }
    let timeout = suspected_at(&mut uneven).since(at(now));
    assert_eq!(timeout.as_millis(), 212, "100 and 5.61 times 20");
}

#[test]
fn phi_grows_where_the_tail_is_zero_in_floating_point() {
    let mut detector = phi();
    let last = beats(&mut detector, 0, 1_100);
    let levels: Vec<f64> = (0..1_000)
        .map(|step| detector.phi(at(last + 100 * step), PEER).unwrap())
        .collect();
    assert!(levels.is_sorted(), "{levels:?}");
    assert!(levels.iter().all(|level| level.is_finite()));
    // 190 deviations; the tail itself is 0 beyond 38.
    let far = detector.phi(at(last + 2_000), PEER).unwrap();
    assert!((far - 7_841.6).abs() < 1.0, "{far}");
    assert_eq!(detector.phi(at(0), NodeId(9)), None);
}

#[test]
fn the_threshold_is_where_suspicion_begins_also_a_high_one() {
    for threshold in [0.5, 8.0, 300.0, 900.0] {
        let mut settings = PhiSettings::of(ms(100));
        (settings.threshold, settings.timeout_max) = (threshold, ms(100_000));
        let mut detector = PhiAccrual::new(at(0), [PEER], settings).unwrap();
        beats(&mut detector, 0, 50);
        let when = suspected_at(&mut detector);
        let level = |at| detector.phi(at, PEER).unwrap();
        let before = Instant(when.0 - ms(1));
        assert!(
            level(before) < threshold && level(when) >= threshold - 1e-6,
            "{threshold}"
        );
    }
}

#[test]
fn any_frame_counts_and_many_make_nobody_hasty() {
    let mut detector = phi();
    let mut last = 0;
    for beat in 0..1_100 {
        last += if beat % 2 == 0 { 80 } else { 120 };
        hear(&mut detector, at(last));
    }
    let timeout = detector.timeout(PEER).unwrap();
    // A burst, as while a snapshot is sent, with gaps of a millisecond; then heartbeats alone.
    (1..=5_000).for_each(|frame| hear(&mut detector, at(last + frame)));
    assert_eq!(
        detector.timeout(PEER),
        Some(timeout),
        "nothing is learnt of it"
    );
    hear(&mut detector, at(last + 5_000 + 120));
    assert_eq!(detector.counts().suspicions, 0);

    // Traffic that is denser than heartbeats is learnt, and its end is no crash: not even of a heartbeat that is late.
    let mut busy = phi();
    (1..=3_000).for_each(|frame| hear(&mut busy, at(50 * frame)));
    hear(&mut busy, at(150_000 + 120));
    assert_eq!(busy.counts().suspicions, 0, "traffic ends");
}

#[test]
fn a_later_incarnation_begins_with_a_clean_slate() {
    let mut detector = phi();
    let mut now = 0;
    for beat in 0..500 {
        now += if beat % 2 == 0 { 60 } else { 140 };
        hear(&mut detector, at(now));
    }
    assert!(detector.timeout(PEER).unwrap() > ms(300));
    // It was away for a second, which tells nothing of the gaps of its next incarnation.
    wait(&mut detector, at(now + 1_000));
    detector.handle_frame(at(now + 1_000), PEER, Incarnation(2));
    assert_eq!(detector.timeout(PEER).map(|p| p.as_millis()), Some(240));
    assert_eq!(
        detector.counts().mistakes,
        0,
        "whoever was suspected did end"
    );
    assert!(!detector.suspects(PEER));

    let mut growing = deadline();
    suspected_at(&mut growing);
    growing.handle_frame(at(350), PEER, LIFE);
    assert_eq!(growing.timeout(PEER), Some(ms(400)));
    growing.handle_frame(at(360), PEER, Incarnation(2));
    assert_eq!(growing.timeout(PEER), Some(ms(300)));
}

#[test]
fn frames_of_an_earlier_incarnation_and_of_strangers_say_nothing() {
    let mut detector = deadline();
    detector.handle_frame(at(50), PEER, Incarnation(3));
    wait(&mut detector, at(100));
    detector.handle_frame(at(100), PEER, Incarnation(2));
    detector.handle_frame(at(100), NodeId(9), Incarnation(2));
    assert_eq!(suspected_at(&mut detector), at(350));
    detector.handle_frame(at(360), PEER, Incarnation(2));
    assert!(
        detector.suspects(PEER),
        "what was on its way is no sign of the present"
    );
    assert_eq!(
        (detector.counts().stale, detector.counts().strangers),
        (2, 1)
    );
}

#[test]
fn the_gap_that_ends_a_suspicion_is_not_learnt() {
    let mut detector = phi();
    let last = beats(&mut detector, 0, 1_100);
    let timeout = detector.timeout(PEER).unwrap();
    hear(&mut detector, at(last + 2_000));
    assert_eq!(detector.counts().mistakes, 1);
    assert_eq!(detector.timeout(PEER), Some(timeout));
    assert_eq!(
        outputs(&mut detector),
        [],
        "what came and went is not told afterwards"
    );
}

#[test]
fn a_mistake_is_told_both_ways_and_makes_a_deadline_later() {
    let mut detector = deadline();
    for expected in [300, 400, 500] {
        let last = Instant(detector.poll_timeout().0.max(ms(1)));
        hear(&mut detector, last);
        let suspected = suspected_at(&mut detector);
        assert_eq!(suspected.since(last), ms(expected));
        assert_eq!(outputs(&mut detector), [Output::Suspect(PEER)]);
        hear(&mut detector, suspected + ms(10));
        assert_eq!(outputs(&mut detector), [Output::Trust(PEER)]);
    }
    assert_eq!(detector.counts().mistakes, 3);
}

#[test]
fn a_detector_that_was_held_up_suspects_nobody_for_a_while() {
    let mut detector = deadline();
    let last = beats(&mut detector, 0, 10);
    // The process stands still for ten seconds. When it goes on, time comes before frames.
    let now = last + 10_000;
    detector.handle_timeout(at(now));
    assert!(!detector.suspects(PEER));
    assert_eq!(detector.counts().held_up, 1);
    wait(&mut detector, at(now + 200));
    assert!(
        !detector.suspects(PEER),
        "a heartbeat has two of its periods to come"
    );
    assert_eq!(
        suspected_at(&mut detector),
        at(now + 200),
        "and no longer than that"
    );
}

#[test]
fn a_detector_that_was_held_up_takes_back_what_it_knew() {
    let mut detector = deadline();
    suspected_at(&mut detector);
    outputs(&mut detector);
    detector.handle_frame(at(5_000), NodeId(9), LIFE);
    assert_eq!(
        outputs(&mut detector),
        [Output::Trust(PEER)],
        "it may have come back long ago"
    );
    assert_eq!(detector.counts().mistakes, 0, "which nobody knows");
}

#[test]
fn a_silence_that_the_detector_was_deaf_through_is_not_learnt() {
    let mut detector = phi();
    let last = beats(&mut detector, 0, 1_100);
    let timeout = detector.timeout(PEER);
    detector.handle_frame(at(last + 10_000), PEER, LIFE);
    assert_eq!(detector.timeout(PEER), timeout);
    beats(&mut detector, last + 10_000, 1);
    assert_eq!(detector.timeout(PEER), timeout, "and then all is as before");
}

#[test]
fn an_owner_that_is_a_little_late_is_not_held_up() {
    let mut detector = deadline();
    for beat in 1..=100 {
        detector.handle_frame(at(150 * beat), PEER, LIFE);
    }
    assert_eq!(detector.counts().held_up, 0);
    detector.handle_timeout(at(150 * 100 + 151));
    assert_eq!(detector.counts().held_up, 1);
}

#[test]
fn settings_without_sense_are_refused() {
    let deadline = |change: fn(&mut DeadlineSettings)| {
        let mut settings = DeadlineSettings::of(ms(100));
        change(&mut settings);
        Deadline::new(at(0), [PEER], settings).err()
    };
    let no_time = |name| Some(SettingsError::NoTime(name));
    assert_eq!(
        deadline(|s| s.timeout_first = ms(0)),
        no_time("timeout_first")
    );
    assert_eq!(
        deadline(|s| s.attention.poll_every = ms(0)),
        no_time("poll_every")
    );
    assert_eq!(
        deadline(|s| s.timeout_max = ms(1)),
        Some(SettingsError::Order("timeout_first", "timeout_max"))
    );

    let phi = |change: fn(&mut PhiSettings)| {
        let mut settings = PhiSettings::of(ms(100));
        change(&mut settings);
        PhiAccrual::new(at(0), [PEER], settings).err()
    };
    let range = |name| Some(SettingsError::Range(name));
    assert_eq!(phi(|s| s.heartbeat = ms(0)), no_time("heartbeat"));
    assert_eq!(phi(|s| s.deviation_min = ms(0)), no_time("deviation_min"));
    assert_eq!(
        phi(|s| s.timeout_max = ms(99)),
        Some(SettingsError::Order("heartbeat", "timeout_max"))
    );
    assert_eq!(phi(|s| s.threshold = f64::NAN), range("threshold"));
    assert_eq!(phi(|s| s.threshold = 0.4), range("threshold"));
    assert_eq!(phi(|s| s.gaps_max = 1 << 20), range("gaps_max"));
}
