//! Two generals: every plan breaks, and a name is what helps.

use synod_sim::Rng;
use synod_walls::generals::{
    Account, Drawn, General, GeneralsOptions, Handshake, Insistent, Name, Plan, View, breaks,
    carry_out, chain, least_risk, pay, risk, run,
};

#[test]
fn every_plan_breaks() {
    for seed in 0..2_000 {
        let plan = Drawn::new(seed);
        let all = carry_out(&plan, |_| true);
        assert!(
            all.alice.1 && all.bob.1,
            "seed {seed}: a plan that works if all arrives"
        );
        assert!(breaks(&chain(&plan)), "seed {seed}: it breaks");
    }
    for messages in 1..12 {
        for forgiven in 0..messages {
            assert!(breaks(&chain(&Handshake { messages, forgiven })));
        }
        assert!(breaks(&chain(&Insistent { messages })));
    }
}

/// What the theorem is not about: Bob attacks whatever he hears.
struct Reckless;

impl Plan for Reckless {
    fn messages(&self) -> usize {
        2
    }

    fn sender(&self, _: usize) -> General {
        General::Alice
    }

    fn sends(&self, _: usize, _: View) -> bool {
        true
    }

    fn attacks(&self, _: General, _: View) -> bool {
        true
    }
}

#[test]
fn agreement_without_a_word_is_no_proof() {
    let chain = chain(&Reckless);
    assert_eq!(chain.breaks_at, None);
    assert!(!breaks(&chain));
}

#[test]
fn a_chain_ends_with_nothing_and_loses_one_message_at_a_time() {
    let chain = chain(&Handshake {
        messages: 5,
        forgiven: 2,
    });
    let delivered: Vec<u32> = chain
        .links
        .iter()
        .map(|link| link.run.delivered.0)
        .collect();
    assert_eq!(delivered, [0b11111, 0b1111, 0b111, 0b11, 0b1, 0]);
}

#[test]
fn risks_are_exact_and_never_nothing() {
    assert!((risk(&Insistent { messages: 3 }, 0.5) - 0.125).abs() < 1e-12);
    assert!(
        (risk(
            &Handshake {
                messages: 1,
                forgiven: 0
            },
            0.25
        ) - 0.25)
            .abs()
            < 1e-12
    );
    for messages in 1..10 {
        let (fewer, more) = (least_risk(messages, 0.1), least_risk(messages + 1, 0.1));
        assert!(more > 0.0 && more < fewer);
    }
}

#[test]
fn a_text_with_a_name_is_carried_out_once() {
    for seed in 0..100 {
        let mut rng = Rng::new(seed);
        let (named, nameless) = (
            pay(100, 0.3, true, &mut rng, None),
            pay(100, 0.3, false, &mut rng, None),
        );
        assert_eq!(named.paid, 100, "seed {seed}: paid once each");
        assert!(named.sent > 100 && nameless.paid > 100, "seed {seed}");
    }
    let mut account = Account::default();
    let name = |session, sequence| Name { session, sequence };
    assert_eq!(account.pay(name(1, 1)), 1);
    assert_eq!(account.pay(name(2, 1)), 2);
    assert_eq!(account.pay(name(1, 1)), 1, "answered as before");
}

#[test]
fn the_demo_stands() {
    for seed in 0..100 {
        let report = run(&GeneralsOptions { seed, plans: 20 }, None);
        assert!(
            report.stands,
            "the wall of the generals stands:\n{}",
            report.text
        );
    }
}
