//! Suspicion: two runs that are alike until a late note comes, and detectors that know no more.

use std::sync::OnceLock;

use synod_walls::suspicion::{Horn, Pair, SuspicionOptions, run, svg};

const JUDGES: usize = 5;

/// A hundred, by seed.
fn pairs() -> impl Iterator<Item = (usize, &'static Pair)> {
    static PAIRS: OnceLock<Vec<Pair>> = OnceLock::new();
    let pairs = PAIRS.get_or_init(|| (0..100).map(|seed| Pair::new(seed, None)).collect());
    pairs.iter().enumerate()
}

#[test]
fn until_the_late_note_comes_both_are_alike() {
    for (seed, pair) in pairs() {
        let parted = pair.parted().expect("it is slow, and not dead");
        assert!(parted > pair.since, "seed {seed}");
        let (notes, bytes) = pair.seen_alike().unwrap_or_default();
        assert!(
            notes > 100 && bytes > notes,
            "seed {seed}: the same notes came, byte for byte"
        );
        assert!(pair.said_alike(), "seed {seed}: they were judged alike");
        assert_ne!(
            pair.dead.notes, pair.slow.notes,
            "seed {seed}: then they part"
        );
    }
}

#[test]
fn no_detector_escapes() {
    for (seed, pair) in pairs() {
        for judge in 0..JUDGES {
            let horn = pair.horn(judge);
            let never = judge + 1 == JUDGES;
            let is_caught = match horn {
                Horn::SuspectsTheSlow { .. } => !never && pair.ends_well(judge),
                Horn::LetsNobodyGoOn => never && pair.bars_after(&pair.slow, judge) > 0,
                Horn::Escapes => false,
            };
            assert!(
                is_caught,
                "seed {seed}: detector {judge} is caught: {horn:?}"
            );
        }
    }
}

#[test]
fn a_drawing_stands_by_itself() {
    let drawing = svg(&Pair::new(7, None));
    assert!(drawing.starts_with("<svg ") && drawing.ends_with("</svg>\n"));
    let links = drawing.matches("http").count();
    assert_eq!(links, 1, "its name space, and nothing to load");
    assert!(drawing.len() < 100_000, "{} bytes", drawing.len());
    let suspected = drawing.matches("class=\"suspect\"").count();
    assert!(suspected >= 8, "four detectors suspect in both runs");
}

#[test]
fn the_demo_stands() {
    for seed in 0..100 {
        let report = run(&SuspicionOptions { seed, svg: None }, None);
        assert!(report.stands, "dead and slow are alike:\n{}", report.text);
    }
}
