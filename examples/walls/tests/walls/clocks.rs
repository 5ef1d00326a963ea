//! Clocks: the bound holds for every way to synchronise, and one way meets it.

use synod_sim::Rng;
use synod_walls::clocks::{
    Average, ClocksOptions, Delays, EPSILON, FollowFirst, Middle, Synchroniser, bound, draw,
    measured, run, shift, stamp,
};

/// Any function of what is seen.
struct Drawn(u64);

impl Synchroniser for Drawn {
    fn adjustment(&self, at: usize, seen: &[f64], _: Delays) -> f64 {
        let mut rng = Rng::new(self.0 ^ at as u64);
        seen.iter().map(|it| it * (rng.fraction() - 0.5)).sum()
    }
}

fn delays(seed: u64) -> Delays {
    let mut rng = Rng::new(!seed);
    Delays {
        least: rng.fraction(),
        uncertainty: 0.001 + rng.fraction(),
    }
}

#[test]
fn no_way_is_closer_than_the_bound() {
    for seed in 0..100 {
        let (processes, delays) = (2 + seed as usize % 7, delays(seed));
        let least = bound(processes, delays);
        let shown = [
            shift(&Drawn(seed), processes, delays),
            shift(&Average, processes, delays),
            shift(&FollowFirst, processes, delays),
            shift(&Middle, processes, delays),
        ];
        for (way, shown) in shown.iter().enumerate() {
            assert!(shown.is_proof, "seed {seed}, {way}: all look alike");
            assert!(
                shown.worst() >= least - EPSILON,
                "seed {seed}, {way}: {shown:?}"
            );
        }
        let average = shown[1].worst();
        assert!(
            (average - least).abs() < EPSILON,
            "seed {seed}: the average meets the bound"
        );
    }
}

#[test]
fn the_average_is_never_further_apart() {
    for seed in 0..100 {
        let (processes, delays) = (2 + seed as usize % 7, delays(seed));
        let drawn = measured(&Average, processes, delays, 50, &mut Rng::new(seed));
        assert!(
            drawn > 0.0 && drawn <= bound(processes, delays) + EPSILON,
            "seed {seed}"
        );
    }
}

#[test]
fn a_process_that_is_moved_sees_the_same() {
    let mut rng = Rng::new(5);
    let delays = Delays {
        least: 1.0,
        uncertainty: 2.0,
    };
    let world = draw(4, delays, &mut rng);
    assert!(world.is_lawful(delays));
    let moved = world.shifted(2, 0.25);
    for at in 0..4 {
        let pairs = world.view(at).into_iter().zip(moved.view(at));
        assert!(
            pairs
                .into_iter()
                .all(|(one, other)| (one - other).abs() < EPSILON)
        );
    }
    assert!(!world.shifted(2, 9.0).is_lawful(delays));
}

#[test]
fn lamports_clock_needs_no_bound() {
    for seed in 0..100 {
        let delays = Delays {
            least: 0.01,
            uncertainty: 1.0,
        };
        let stamps = stamp(5, delays, 300, &mut Rng::new(seed), None);
        assert_eq!(
            stamps.early_by_lamport, 0,
            "seed {seed}: effects come behind causes"
        );
    }
}

#[test]
fn the_demo_stands() {
    for seed in 0..100 {
        let report = run(&ClocksOptions { seed, runs: 20 }, None);
        assert!(report.stands, "the wall of clocks stands:\n{}", report.text);
    }
}
