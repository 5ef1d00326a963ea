//! Comforts, fallacies, illusion: what breaks in a naive program holds in ours, for a hundred seeds.

use std::time::Duration;

use synod_walls::comforts::{
    ComfortsOptions, Naive, count, one_process, order, run as comforts, transfer_as_one,
    transfer_in_halves,
};
use synod_walls::fallacies::{ALL, FallaciesOptions, run as fallacies};
use synod_walls::illusion::{IllusionOptions, live, run as illusion};
use synod_walls::raft_service::RaftService;

#[test]
fn one_process_has_all_three_comforts() {
    let it = one_process(4, 500);
    assert_eq!(
        (it.raised, it.counted, it.messages, it.early),
        (2_000, 2_000, 500, 0)
    );
    assert!(it.failure_is_told);
}

#[test]
fn a_counter_in_three_memories_goes_stale_and_in_one_log_it_does_not() {
    for seed in 0..100 {
        let naive = count::<Naive>(seed, 40, None);
        assert!(
            naive.is_stale && naive.shown.iter().all(|it| *it < naive.raised),
            "seed {seed}"
        );
        let logged = count::<RaftService>(seed, 5, None);
        assert_eq!((logged.raised, logged.shown), (15, [15; 3]), "seed {seed}");
        assert!(!logged.is_stale, "seed {seed}");
    }
}

#[test]
fn two_clocks_put_effects_before_their_causes() {
    for seed in 0..100 {
        let it = order(seed, 200);
        let share = it.reversed_by_clocks;
        assert!(
            (60..140).contains(&share),
            "seed {seed}: about every other effect is stamped before its cause, not {share}"
        );
        assert_eq!(
            it.reversed_by_lamport, 0,
            "seed {seed}: Lamport puts no effect first"
        );
        assert_eq!(
            (it.known_by_vectors, it.apart_by_vectors),
            (200, 200),
            "seed {seed}"
        );
    }
}

#[test]
fn half_a_transfer_survives_unless_it_is_one_entry() {
    let halves = (0..100).map(|seed| transfer_in_halves(seed, 60, None).halves);
    assert!(halves.min() > Some(0));
    let mut power_losses = 0;
    for seed in 0..100 {
        let whole = transfer_as_one(seed, 3);
        assert_eq!(
            (whole.transfers, whole.halves),
            (3, 0),
            "seed {seed}: whole or not at all"
        );
        assert_eq!((whole.lost, whole.unanswered), (0, 0), "seed {seed}");
        power_losses += whole.power_losses;
    }
    assert!(
        power_losses > 100,
        "a leader lost power {power_losses} times"
    );
}

#[test]
fn each_fallacy_breaks_the_naive_one_and_not_ours() {
    for seed in 0..100 {
        for fallacy in ALL {
            let shown = fallacy.show(seed, None);
            assert!(
                shown.breaks,
                "seed {seed}, {}: the naive one breaks: {shown:?}",
                fallacy.name
            );
            assert!(
                shown.holds,
                "seed {seed}, {}: ours holds: {shown:?}",
                fallacy.name
            );
        }
    }
}

#[test]
fn clients_see_one_machine_while_nodes_die() {
    let (mut kills, mut leaders, mut named) = (0, 0, 0);
    for seed in 0..100 {
        let life = live(seed, 2);
        assert!(
            life.is_one,
            "seed {seed}: one machine could have answered so"
        );
        assert_eq!(life.unanswered, 0, "seed {seed}");
        assert!(
            life.answered > 20 && life.pause.lasted > Duration::ZERO,
            "seed {seed}: {life:?}"
        );
        kills += life.kills;
        leaders += life.leaders_killed;
        named += u64::from(life.pause.killed.is_some_and(|(_, led)| led));
    }
    assert!(
        kills > 100 && leaders > 10,
        "{kills} kills, {leaders} of leaders"
    );
    assert!(
        named > 10,
        "the longest pauses are those of elections: {named} of 100"
    );
}

#[test]
fn the_demos_stand() {
    for seed in 0..100 {
        let reports = [
            comforts(&ComfortsOptions { seed, each: 40 }, None),
            fallacies(&FallaciesOptions { seed }, None),
            illusion(&IllusionOptions { seed, seconds: 10 }, None),
        ];
        for report in reports {
            assert!(report.stands, "the wall stands:\n{}", report.text);
        }
    }
}
