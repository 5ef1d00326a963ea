//! FLP: undecided with certificates that are replayed, and decided where the model is another.

use synod_sim::Rng;
use synod_walls::flp::{
    Arbiter, Attacker, BOUND, BenOr, Certificate, ChandraToueg, Checker, Ended, Escape, Event,
    FlpOptions, Layer, Opening, Paxos, ProcessId, Protocol, Refusal, Sends, Stage, Step, Value,
    WaitForAll, attack, be_fair, pursue, run, search, settle, trust,
};

#[test]
fn a_hundred_attacks_leave_everything_undecided() {
    for seed in 0..100 {
        let paxos = pursue(&Paxos::new(seed), seed, 60);
        assert_eq!(paxos.ended, None, "seed {seed}");
        let coordinator = pursue(&ChandraToueg { processes: 3 }, seed, 60);
        assert_eq!(coordinator.ended, None, "seed {seed}");
        let processes = 3;
        let coins = pursue(&BenOr { processes, seed }, seed, 40);
        assert_eq!(coins.ended, None, "seed {seed}");
        let findings = paxos.findings;
        assert!(findings.steps >= 60 && findings.stages >= 10);
        assert!(findings.steps_by.iter().all(|steps| *steps > 0));
        assert!(findings.age_steps_max < 40, "seed {seed}: {findings:?}");
    }
}

#[test]
fn five_processes_fare_no_better() {
    let coordinator = pursue(&ChandraToueg { processes: 5 }, 7, 300);
    assert_eq!(coordinator.ended, None);
    assert!(coordinator.findings.steps_by.iter().all(|steps| *steps > 0));
}

#[test]
fn the_run_goes_round_in_every_order_of_turns() {
    for seed in 0..12 {
        let pursuit = pursue(&Paxos::new(seed), seed, 700);
        assert_eq!(pursuit.ended, None, "seed {seed}");
        let circle = pursuit.findings.circle.expect("it comes back");
        let steps = |at| {
            let of_it = circle.steps.iter().filter(|(event, _)| event.at() == at);
            of_it.count()
        };
        assert!((1..=3).all(|at| steps(ProcessId(at)) > 0), "seed {seed}");
        assert!(circle.repeated > 0);
        let broken = pursuit.findings.broken_circles;
        assert_eq!(broken, 0, "seed {seed}: what looks alike goes on alike");
    }
}

/// Three nodes of which each has begun so many ballots, and heard of nobody.
fn begun(ballots: [usize; 3]) -> String {
    let paxos = Paxos::new(1);
    let nodes = [1, 2, 3].map(|at| {
        let mut node = paxos.start(ProcessId(at), Value::One);
        for _ in 0..ballots[at - 1] {
            paxos.step_alone(&mut node);
        }
        node
    });
    let likeness = paxos.likeness(&nodes.each_ref(), &[]);
    likeness.expect("everybody has promised something")
}

#[test]
fn configurations_are_alike_only_if_they_go_on_alike() {
    assert_eq!(begun([2, 2, 4]), begun([5, 5, 7]));
    let [near, far] = [begun([2, 2, 4]), begun([2, 2, 5])];
    assert_ne!(
        near, far,
        "after two ballots more n1 meets the one and not the other"
    );
}

#[test]
fn what_waits_for_all_or_for_one_blocks() {
    let all = pursue(&WaitForAll { processes: 3 }, 1, 100);
    let arbiter = pursue(&Arbiter { processes: 3 }, 1, 100);
    for ended in [all.ended, arbiter.ended] {
        let blocks = matches!(ended, Some(Ended::Escape(Escape::Blocks { .. })));
        assert!(blocks, "{ended:?}");
    }
    let inputs = [Value::One, Value::Zero, Value::One];
    let all = WaitForAll { processes: 3 };
    for silent in (1..=3).map(ProcessId) {
        let found = search(&all, &inputs, Some(silent), 1000).expect("small");
        let Layer {
            dead,
            bivalent,
            zero,
            one,
        } = found.total();
        assert!(dead > 0 && bivalent + zero + one == 0);
    }
    let arbiter = Arbiter { processes: 3 };
    let found = search(&arbiter, &inputs, None, 1000).expect("small");
    assert_eq!(found.critical, [ProcessId(1)]);
    assert_eq!(found.layers[0].bivalent, 1);
    let first = search(&arbiter, &inputs, Some(ProcessId(1)), 1000).expect("small");
    let total = first.total();
    assert!(total.dead > 0 && total.bivalent + total.zero + total.one == 0);
    assert!(
        search(&arbiter, &inputs, None, 10).is_none(),
        "not searched to the end"
    );
}

/// Decides its own input at once: no agreement.
#[derive(Clone, Debug)]
struct Stubborn;

impl Protocol for Stubborn {
    type State = (Value, bool);
    type Message = ();

    fn processes(&self) -> usize {
        3
    }

    fn start(&self, _at: ProcessId, input: Value) -> (Value, bool) {
        (input, false)
    }

    fn receive(&self, _: &mut (Value, bool), _: ProcessId, (): ()) -> Sends<()> {
        Vec::new()
    }

    fn step_alone(&self, state: &mut (Value, bool)) -> Sends<()> {
        state.1 = true;
        Vec::new()
    }

    fn decision(&self, (value, decided): &(Value, bool)) -> Option<Value> {
        decided.then_some(*value)
    }
}

/// Whoever is told before it has stepped decides what the other told it. The third says nothing.
#[derive(Clone, Debug)]
struct AfterYou;

impl Protocol for AfterYou {
    type State = (ProcessId, bool, Option<Value>);
    type Message = Value;

    fn processes(&self) -> usize {
        3
    }

    fn start(&self, at: ProcessId, _: Value) -> Self::State {
        (at, false, None)
    }

    fn receive(&self, state: &mut Self::State, _: ProcessId, told: Value) -> Sends<Value> {
        if !state.1 {
            state.2 = Some(told);
        }
        Vec::new()
    }

    fn step_alone(&self, (at, stepped, _): &mut Self::State) -> Sends<Value> {
        match (std::mem::replace(stepped, true), at.0) {
            (false, 1) => vec![(ProcessId(2), Value::Zero)],
            (false, 2) => vec![(ProcessId(1), Value::One)],
            _ => Vec::new(),
        }
    }

    fn decision(&self, state: &Self::State) -> Option<Value> {
        state.2
    }
}

#[test]
fn a_decision_may_fall_in_the_steps_of_several() {
    let inputs = [Value::Zero, Value::One, Value::One];
    let found = search(&AfterYou, &inputs, None, 1000).expect("small");
    let both = [ProcessId(1), ProcessId(2)];
    assert_eq!(found.critical, both, "whoever steps first gives way");
}

#[test]
fn a_protocol_without_agreement_is_not_taken_for_one() {
    for seed in 0..6 {
        let ended = pursue(&Stubborn, seed, 100).ended;
        assert!(ended.is_some(), "seed {seed}");
    }
}

/// An honest record of some stages of Paxos.
fn record() -> (Opening, Vec<Stage>) {
    let queue = (1..=3).map(ProcessId).collect();
    let (mut attacker, opening) = Attacker::begin(Paxos::new(1), queue).expect("Paxos qualifies");
    let stages = (0..6).map(|_| attacker.stage().expect("Paxos qualifies"));
    (opening, stages.collect())
}

fn check(opening: &Opening, stages: &[Stage]) -> Result<u64, Refusal> {
    let mut checker = Checker::begin(Paxos::new(1), opening)?;
    stages.iter().try_for_each(|stage| checker.replay(stage))?;
    Ok(checker.findings().steps)
}

#[test]
fn a_record_that_was_tampered_with_is_refused() {
    let (opening, stages) = record();
    assert!(check(&opening, &stages).is_ok());
    let tampered = |change: &dyn Fn(&mut Opening, &mut Vec<Stage>)| {
        let (mut opening, mut stages) = (opening.clone(), stages.clone());
        change(&mut opening, &mut stages);
        check(&opening, &stages).expect_err("it is not so")
    };
    let refusal = tampered(&|opening, _| opening.queue[0] = ProcessId(2));
    assert_eq!(refusal, Refusal::Opening);
    let refusal = tampered(&|opening, _| opening.certificates.swap(0, 1));
    assert_eq!(refusal, Refusal::ProvesNothing(Value::Zero));
    let refusal = tampered(&|_, stages| stages.swap(0, 1));
    assert_eq!(refusal, Refusal::OutOfTurn(ProcessId(2)));
    let refusal = tampered(&|_, stages| stages[2].steps.clear());
    assert_eq!(refusal, Refusal::NotServed(ProcessId(3)));
    let refusal = tampered(&|_, stages| {
        let again = stages[3].steps.clone();
        stages[3].steps.extend(again);
    });
    assert_eq!(refusal, Refusal::NotServed(ProcessId(1)));
    let lost = Event::Deliver {
        from: ProcessId(1),
        to: ProcessId(2),
        nth: 99,
    };
    let refusal = tampered(&|_, stages| stages[1].steps[0].event = lost);
    assert_eq!(refusal, Refusal::NoSuchMessage(lost));
    let refusal = tampered(&|_, stages| {
        stages[0].steps[0].then[1].by.pop();
    });
    assert_eq!(refusal, Refusal::ProvesNothing(Value::One));
    let refusal = tampered(&|_, stages| {
        let certificate = &mut stages[0].steps[0].then[0];
        certificate.without = certificate.by[0].at();
    });
    assert!(matches!(refusal, Refusal::NotSilent(_)), "{refusal}");
    let refusal = tampered(&|_, stages| {
        // To a decision, as the certificate says.
        let first = &mut stages[0].steps[0];
        let decides = first.then[0].by.clone();
        let step = first.clone();
        let more = decides.into_iter().map(|event| {
            let mut step = step.clone();
            step.event = event;
            step
        });
        stages[0].steps.splice(..0, more);
    });
    assert!(
        matches!(
            refusal,
            Refusal::NoSuchMessage(_) | Refusal::NotServed(_) | Refusal::ProvesNothing(_)
        ),
        "{refusal}"
    );
}

/// Certificates may be honest and the run decided all the same, if there is no agreement.
#[test]
fn a_run_in_which_somebody_has_decided_is_refused() {
    let [p1, p2, p3] = [1, 2, 3].map(ProcessId);
    let by = |at, without| Certificate {
        without,
        by: vec![Event::Alone { at }],
    };
    let certificates = [by(p1, p3), by(p2, p3)];
    let opening = Opening {
        inputs: vec![Value::Zero, Value::One, Value::One],
        queue: vec![p1, p2, p3],
        certificates: certificates.clone(),
    };
    let mut checker = Checker::begin(Stubborn, &opening).expect("both values are possible");
    let stage = Stage {
        head: p1,
        steps: vec![Step {
            event: Event::Alone { at: p1 },
            then: certificates,
        }],
    };
    let refusal = checker.replay(&stage).expect_err("p1 has decided");
    assert_eq!(refusal, Refusal::Decided(p1, Value::Zero));
}

#[test]
fn each_single_event_of_a_record_counts() {
    let (opening, stages) = record();
    for (at, stage) in stages.iter().enumerate() {
        for step in 0..stage.steps.len() {
            for value in [0, 1] {
                let mut tampered = stages.clone();
                tampered[at].steps[step].then[value].by.pop();
                let refusal = check(&opening, &tampered).expect_err("one event is missing");
                assert!(matches!(refusal, Refusal::ProvesNothing(_)), "{refusal}");
            }
        }
    }
}

#[test]
fn partial_synchrony_decides_within_the_bound() {
    let (mut crashes, mut by_rota) = (0, 0);
    for seed in 0..100 {
        let pursuit = pursue(&Paxos::new(seed), seed, 10 + seed);
        let inputs = pursuit.opening.expect("it began").inputs;
        let attacker = pursuit.attacker.expect("undecided until then");
        let settled = settle(attacker, &inputs, &mut Rng::new(seed));
        let after = settled.decided_after;
        crashes += settled.crashes;
        by_rota += u64::from(settled.by_rota);
        assert!(
            after.is_some_and(|it| it <= BOUND),
            "seed {seed}: {after:?}"
        );
    }
    assert!((20..80).contains(&crashes), "{crashes} processes crashed");
    assert!((1..20).contains(&by_rota), "{by_rota} decided by the rota");
}

#[test]
fn unforeseen_coins_decide() {
    let (mut attacked, mut fair) = (0, 0);
    for seed in 0..100 {
        let mut rng = Rng::new(seed);
        for processes in [3, 5] {
            let protocol = BenOr { processes, seed };
            attacked += attack(&protocol, &mut rng, 500).expect("all agree");
            fair += be_fair(&protocol, &mut rng, 500).expect("all agree");
        }
    }
    // The attack is one: it makes them toss again and again.
    assert!(attacked > 2 * fair, "{attacked} rounds, and {fair} without");
}

#[test]
fn a_detector_that_trusts_one_decides_within_a_turn() {
    let mut crashes = 0;
    for seed in 0..100 {
        let processes = if seed % 2 == 0 { 3 } else { 5 };
        let pursuit = pursue(&ChandraToueg { processes }, seed, 1 + seed / 4);
        let inputs = pursuit.opening.expect("it began").inputs;
        let attacker = pursuit.attacker.expect("undecided until then");
        let trusted = trust(attacker, &inputs, &mut Rng::new(seed));
        crashes += trusted.crashes;
        let rounds = trusted.decided_after_rounds;
        assert!(
            rounds.is_some_and(|it| it <= processes as u64),
            "seed {seed}: {trusted:?}"
        );
    }
    assert!(crashes > 40, "{crashes} processes crashed");
}

#[test]
fn the_demo_stands() {
    for seed in 0..100 {
        let options = FlpOptions {
            steps: 60,
            seed,
            runs: 5,
        };
        let report = run(&options, None);
        assert!(report.stands, "the wall of FLP stands:\n{}", report.text);
    }
}
