//! Both checks against the enumeration of all orders.

use std::collections::BTreeMap;

use synod_sim::Rng;
use synod_sim::serializability::{Verdict, check, check_positions};

use crate::cases::{Style, Txn, draw, history};
use crate::orders::{explains, positions_explain, some_order_explains};

/// Histories a style; more by the environment.
fn count() -> u64 {
    let seeds = std::env::var("HISTORIES").ok();
    seeds.and_then(|seeds| seeds.parse().ok()).unwrap_or(3000)
}

#[derive(Default, Debug)]
struct Tally {
    sound: u64,
    unsound: BTreeMap<String, u64>,
    undecided: u64,
}

impl Tally {
    /// What never happens is not tested.
    fn is_rich(&self, of: u64) -> bool {
        let unsound: u64 = self.unsound.values().sum();
        self.sound > of / 10 && unsound > of / 10
    }

    fn add(&mut self, txns: &[Txn], verdict: &Verdict, is_sound: bool, seed: u64) {
        let what = format!("seed {seed}: {txns:#?}\n{verdict}");
        match verdict {
            Verdict::Ok { order } => {
                assert!(is_sound, "{what}");
                let order: Vec<usize> = order.iter().map(|txn| txn.0 as usize).collect();
                assert!(explains(txns, &order), "{order:?} of {what}");
                self.sound += 1;
            }
            Verdict::Violation(violation) => {
                assert!(!is_sound, "{what}");
                let name = violation.anomaly.to_string();
                *self.unsound.entry(name).or_default() += 1;
            }
            Verdict::Undecided(_) => self.undecided += 1,
        }
    }
}

fn by_graph(style: Style) -> Tally {
    let mut tally = Tally::default();
    for seed in 0..count() {
        let txns = draw(&mut Rng::new(seed), style, [0, 5, 20][seed as usize % 3]);
        let verdict = check(&history(&txns));
        tally.add(&txns, &verdict, some_order_explains(&txns), seed);
    }
    println!("{style:?}: {tally:#?}");
    assert!(tally.is_rich(count()), "{tally:#?}");
    tally
}

#[test]
fn the_graph_of_lists_agrees_with_all_orders() {
    assert_eq!(by_graph(Style::Lists).undecided, 0);
}

#[test]
fn the_graph_of_updates_agrees_with_all_orders() {
    assert_eq!(by_graph(Style::Updates).undecided, 0);
}

/// Blind writes may be undecided, which is no verdict; most are decided.
#[test]
fn the_graph_of_blind_writes_never_errs() {
    let tally = by_graph(Style::Blind);
    assert!(tally.undecided < count() / 10, "{tally:#?}");
    let tally = by_graph(Style::Repeated);
    assert!(tally.undecided < count() / 2, "{tally:#?}");
}

#[test]
fn positions_agree_with_all_orders() {
    for style in [Style::Lists, Style::Updates, Style::Blind, Style::Repeated] {
        let mut tally = Tally::default();
        for seed in 0..count() {
            let mut rng = Rng::new(seed);
            let mut txns = draw(&mut rng, style, [0, 2, 10][seed as usize % 3]);
            for place in 0..txns.len() {
                if rng.below(10) == 0 {
                    txns[place].position = txns[rng.index(place + 1)].position;
                }
            }
            let verdict = check_positions(&history(&txns));
            let is_sound = positions_explain(&txns);
            if is_sound {
                // Of two checks that are right, none contradicts the other.
                assert!(check(&history(&txns)).violation().is_none(), "{txns:#?}");
            }
            tally.add(&txns, &verdict, is_sound, seed);
        }
        println!("{style:?}: {tally:#?}");
        assert!(tally.is_rich(count()), "{tally:#?}");
        assert!(tally.undecided == 0 || style == Style::Repeated);
    }
}
