//! The checker against cases decided by hand, against an enumeration of all orders, and on
//! histories of real size.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod histories;

use std::collections::BTreeMap;
use std::time::Duration;

use histories::{Plant, Shape, generate};
use synod_sim::{
    Checker, ClientId, Effect, History, Kv, KvInput, KvOutput, Model, Moment, Operation, Outcome,
    Rng, Value, Verdict, check,
};

/// One operation of a case: client, call, return (`None`: unknown), input, output.
type Row = (u64, u64, Option<u64>, KvInput, KvOutput);

fn history(rows: &[Row]) -> History<KvInput, KvOutput> {
    let mut events: Vec<(u64, bool, &Row)> = Vec::new();
    for row in rows {
        events.push((row.1, false, row));
        events.extend(row.2.map(|at| (at, true, row)));
    }
    events.sort_by_key(|event| event.0);
    let (mut history, mut open) = (History::new(), BTreeMap::new());
    for (at, returns, (client, call, back, input, output)) in events {
        if returns {
            history
                .returned(
                    open[&(*client, *call)],
                    Duration::from_millis(at),
                    output.clone(),
                )
                .unwrap();
        } else {
            let id = history
                .call(ClientId(*client), Duration::from_millis(at), input.clone())
                .unwrap();
            if back.is_none() {
                history.unknown(id).unwrap();
            }
            open.insert((*client, *call), id);
        }
    }
    history
}

fn verdict(rows: &[Row]) -> bool {
    let verdict = check(Kv, &history(rows));
    assert!(!matches!(verdict, Verdict::Undecided { .. }));
    verdict.is_ok()
}

fn put(client: u64, call: u64, back: impl Into<Option<u64>>, value: &str) -> Row {
    (
        client,
        call,
        back.into(),
        KvInput::put("x", value),
        KvOutput::Done,
    )
}

fn get(client: u64, call: u64, back: impl Into<Option<u64>>, value: &str) -> Row {
    let output = if value.is_empty() {
        KvOutput::absent()
    } else {
        KvOutput::value(value)
    };
    (client, call, back.into(), KvInput::get("x"), output)
}

fn append(client: u64, call: u64, back: impl Into<Option<u64>>, value: &str, length: u64) -> Row {
    (
        client,
        call,
        back.into(),
        KvInput::append("x", value),
        KvOutput::Length(length),
    )
}

fn cas(
    client: u64,
    call: u64,
    back: impl Into<Option<u64>>,
    values: [&str; 2],
    swapped: bool,
) -> Row {
    (
        client,
        call,
        back.into(),
        KvInput::cas("x", values[0], values[1]),
        KvOutput::Swapped(swapped),
    )
}

fn del(client: u64, call: u64, back: impl Into<Option<u64>>, present: bool) -> Row {
    (
        client,
        call,
        back.into(),
        KvInput::del("x"),
        KvOutput::Deleted(present),
    )
}

#[test]
fn one_after_the_other() {
    assert!(verdict(&[]));
    assert!(verdict(&[
        put(1, 0, 1, "a"),
        get(1, 2, 3, "a"),
        append(1, 4, 5, "b", 2),
        get(2, 6, 7, "ab"),
        del(1, 8, 9, true),
        get(1, 10, 11, "")
    ]));
    assert!(!verdict(&[put(1, 0, 1, "a"), get(2, 2, 3, "")]), "stale");
    assert!(
        !verdict(&[put(1, 0, 1, "a"), put(1, 2, 3, "b"), get(2, 4, 5, "a")]),
        "stale"
    );
    assert!(
        !verdict(&[append(1, 0, 1, "a", 1), append(1, 2, 3, "b", 1)]),
        "lost append"
    );
    assert!(!verdict(&[del(1, 0, 1, true)]));
    assert!(
        !verdict(&[cas(1, 0, 1, ["", "a"], true)]),
        "an absent key is not an empty one"
    );
}

#[test]
fn overlapping_operations_come_in_either_order() {
    assert!(verdict(&[
        put(1, 0, 9, "a"),
        get(2, 1, 2, ""),
        get(2, 3, 4, "a")
    ]));
    assert!(verdict(&[
        put(1, 0, 9, "a"),
        put(2, 0, 9, "b"),
        get(3, 10, 11, "a")
    ]));
    assert!(verdict(&[
        put(1, 0, 9, "a"),
        put(2, 0, 9, "b"),
        get(3, 10, 11, "b")
    ]));
    assert!(
        !verdict(&[put(1, 0, 9, "a"), get(2, 1, 2, "a"), get(2, 3, 4, "")]),
        "a value seen is not unseen"
    );
    assert!(
        !verdict(&[
            put(1, 0, 9, "a"),
            put(2, 0, 9, "b"),
            get(3, 10, 11, "a"),
            get(4, 12, 13, "b")
        ]),
        "no value comes back"
    );
    // Herlihy and Wing, figure 1, with registers: two readers disagree about the order of two
    // writes.
    assert!(!verdict(&[
        put(1, 0, 99, "a"),
        put(2, 0, 99, "b"),
        get(3, 1, 2, "a"),
        get(4, 3, 4, "b"),
        get(3, 5, 6, "a")
    ]));
}

#[test]
fn only_one_cas_wins() {
    let base = put(1, 0, 1, "a");
    assert!(verdict(&[
        base.clone(),
        cas(1, 2, 9, ["a", "b"], true),
        cas(2, 2, 9, ["a", "c"], false),
        get(3, 10, 11, "b")
    ]));
    assert!(!verdict(&[
        base.clone(),
        cas(1, 2, 9, ["a", "b"], true),
        cas(2, 2, 9, ["a", "c"], true)
    ]));
    assert!(!verdict(&[base, cas(1, 2, 9, ["a", "b"], false)]));
}

#[test]
fn an_unknown_outcome_may_be_never_now_or_late() {
    assert!(
        verdict(&[put(1, 0, None, "a"), get(2, 1, 2, ""), get(2, 3, 4, "")]),
        "never"
    );
    assert!(
        verdict(&[put(1, 0, None, "a"), get(2, 1, 2, "a")]),
        "at once"
    );
    assert!(
        verdict(&[
            put(1, 0, None, "a"),
            get(2, 1, 2, ""),
            put(2, 3, 4, "b"),
            get(2, 5, 6, "a")
        ]),
        "late"
    );
    assert!(
        !verdict(&[
            put(1, 0, None, "a"),
            get(2, 1, 2, "a"),
            put(2, 3, 4, "b"),
            get(2, 5, 6, "a")
        ]),
        "but not twice"
    );
    assert!(
        !verdict(&[get(2, 1, 2, "a"), put(1, 3, None, "a")]),
        "and not before its call"
    );
    assert!(verdict(&[
        append(1, 0, None, "a", 0),
        append(2, 0, None, "b", 0),
        get(3, 1, 2, "b"),
        get(3, 3, 4, "ba")
    ]));
    assert!(!verdict(&[
        append(1, 0, None, "a", 0),
        append(2, 0, None, "b", 0),
        get(3, 1, 2, "b"),
        get(3, 3, 4, "ab")
    ]));
    assert!(
        verdict(&[
            put(9, 0, 1, "a"),
            cas(1, 2, None, ["ab", "c"], false),
            append(2, 2, None, "b", 0),
            get(3, 5, 6, "c")
        ]),
        "a chain of two"
    );
    assert!(
        verdict(&[
            put(1, 0, None, "a"),
            cas(2, 0, None, ["a", "b"], true),
            append(3, 0, None, "c", 0),
            append(4, 5, 6, "d", 3)
        ]),
        "of three"
    );
}

#[test]
fn a_failure_constrains_nothing_and_does_nothing() {
    let mut history = history(&[put(1, 0, 1, "a")]);
    let failed = history
        .call(
            ClientId(2),
            Duration::from_millis(2),
            KvInput::put("x", "b"),
        )
        .unwrap();
    history.fail(failed).unwrap();
    assert!(matches!(
        check(Kv, &history),
        Verdict::Ok {
            operations_checked: 1,
            ..
        }
    ));
    let read = history
        .call(ClientId(3), Duration::from_millis(3), KvInput::get("x"))
        .unwrap();
    history
        .returned(read, Duration::from_millis(4), KvOutput::value("b"))
        .unwrap();
    assert!(check(Kv, &history).is_violation());
}

#[test]
fn at_equal_times_the_order_of_recording_decides() {
    let at = Duration::from_millis(1);
    for (read_first, linearizable) in [(false, false), (true, true)] {
        let mut history = History::new();
        let put = history
            .call(ClientId(1), at, KvInput::put("x", "a"))
            .unwrap();
        let early = read_first.then(|| history.call(ClientId(2), at, KvInput::get("x")).unwrap());
        history.returned(put, at, KvOutput::Done).unwrap();
        let read =
            early.unwrap_or_else(|| history.call(ClientId(2), at, KvInput::get("x")).unwrap());
        history.returned(read, at, KvOutput::absent()).unwrap();
        assert_eq!(check(Kv, &history).is_ok(), linearizable);
    }
}

#[test]
fn a_violation_names_its_place() {
    let rows = [
        put(1, 0, 1, "a"),
        get(2, 2, 3, "a"),
        put(1, 4, 6, "b"),
        put(3, 5, None, "c"),
        get(2, 7, 8, "a"),
        get(2, 9, 10, "b"),
    ];
    let Verdict::Violation(violation) = check(Kv, &history(&rows)) else {
        panic!()
    };
    let text = violation.to_string();
    assert_eq!(
        (
            violation.operation.0,
            violation.linearized,
            violation.completed
        ),
        (4, 3, 5),
        "{text}"
    );
    assert!(
        text.starts_with("key \"x\" is not linearizable: every order ends at #4 at the latest\n"),
        "{text}"
    );
    let blocked = text.lines().find(|line| line.starts_with('>')).unwrap();
    assert!(
        blocked.contains("c2") && blocked.contains("||") && blocked.ends_with("get x -> \"a\""),
        "{text}"
    );
    assert!(
        text.lines()
            .any(|line| line.contains("|???") && line.ends_with("-> unknown")),
        "{text}"
    );
}

/// `Kv` without its promises, so that the search alone is tested, and the promises are against it.
struct Plain;

impl Model for Plain {
    type State = Option<Value>;
    type Input = KvInput;
    type Output = KvOutput;
    type Key = <Kv as Model>::Key;

    fn initial(&self) -> Self::State {
        Kv.initial()
    }

    fn key(&self, input: &KvInput) -> Self::Key {
        Kv.key(input)
    }

    fn step(
        &self,
        state: &Self::State,
        input: &KvInput,
        output: Option<&KvOutput>,
    ) -> Option<Self::State> {
        Kv.step(state, input, output)
    }
}

/// Tries all orders, by recursion, without any cleverness.
fn some_order_explains(
    rest: &mut Vec<&Operation<KvInput, KvOutput>>,
    store: &BTreeMap<Box<[u8]>, Value>,
) -> bool {
    let returned = |operation: &Operation<KvInput, KvOutput>| -> Option<Moment> {
        match operation.outcome {
            Outcome::Returned { at, .. } => Some(at),
            _ => None,
        }
    };
    if rest.iter().all(|operation| returned(operation).is_none()) {
        return true;
    }
    for index in 0..rest.len() {
        let operation = rest[index];
        if rest
            .iter()
            .any(|other| returned(other).is_some_and(|at| at < operation.called))
        {
            continue;
        }
        let mut state = store.get(&operation.input.key).cloned();
        let output = operation.input.request.execute(&mut state);
        if matches!(&operation.outcome, Outcome::Returned { output: seen, .. } if *seen != output) {
            continue;
        }
        let mut after = store.clone();
        match state {
            Some(value) => after.insert(operation.input.key.clone(), value),
            None => after.remove(&operation.input.key),
        };
        rest.remove(index);
        let explained = some_order_explains(rest, &after);
        rest.insert(index, operation);
        if explained {
            return true;
        }
    }
    false
}

/// The same history with the output of one operation drawn anew.
fn with_an_output_redrawn(
    history: &History<KvInput, KvOutput>,
    rng: &mut Rng,
) -> History<KvInput, KvOutput> {
    let mut events: Vec<(Moment, usize, bool)> = Vec::new();
    for (index, operation) in history.operations().iter().enumerate() {
        events.push((operation.called, index, false));
        if let Outcome::Returned { at, .. } = operation.outcome {
            events.push((at, index, true));
        }
    }
    events.sort();
    let victim = rng.index(history.operations().len());
    let (mut changed, mut ids) = (History::new(), BTreeMap::new());
    for (moment, index, returns) in events {
        let operation = &history.operations()[index];
        match &operation.outcome {
            _ if !returns => {
                // A number of its own for each operation: the clients' order is real-time order
                // anyhow.
                ids.insert(
                    index,
                    changed
                        .call(ClientId(index as u64), moment.at, operation.input.clone())
                        .unwrap(),
                );
            }
            Outcome::Returned { output, .. } => {
                let redrawn = match output {
                    _ if index != victim => output.clone(),
                    KvOutput::Value(_) => match ["", "0", "1", "01", "10"][rng.index(5)] {
                        "" => KvOutput::absent(),
                        value => KvOutput::value(value),
                    },
                    KvOutput::Done => KvOutput::Done,
                    KvOutput::Deleted(_) => KvOutput::Deleted(rng.chance(0.5)),
                    KvOutput::Length(_) => KvOutput::Length(1 + rng.below(3)),
                    KvOutput::Swapped(_) => KvOutput::Swapped(rng.chance(0.5)),
                };
                changed.returned(ids[&index], moment.at, redrawn).unwrap();
            }
            _ => unreachable!(),
        }
    }
    for (index, operation) in history.operations().iter().enumerate() {
        match operation.outcome {
            Outcome::Failed => changed.fail(ids[&index]).unwrap(),
            Outcome::Unknown => changed.unknown(ids[&index]).unwrap(),
            _ => {}
        }
    }
    changed
}

#[test]
fn the_checker_agrees_with_the_enumeration_of_all_orders() {
    let mut rng = Rng::new(1);
    let (mut yes, mut no, mut with_unknown) = (0, 0, [0; 2]);
    for round in 0..6000_u64 {
        let shape = Shape {
            clients: 2 + round % 4,
            operations: 5 + rng.index(3),
            keys: 1 + round % 7 / 6,
            values: 2,
            unknown: if round % 2 == 0 { 0.0 } else { 0.35 },
            failed: 0.05,
            plant: None,
        };
        let (mut history, _) = generate(&mut rng, &shape);
        for _ in 0..rng.below(6) {
            history = with_an_output_redrawn(&history, &mut rng);
        }
        let mut operations: Vec<_> = history
            .operations()
            .iter()
            .filter(|o| !matches!(o.outcome, Outcome::Failed))
            .collect();
        let expected = some_order_explains(&mut operations, &BTreeMap::new());
        let (quick, plain) = (check(Kv, &history), check(Plain, &history));
        assert_eq!(
            quick.is_ok(),
            expected,
            "round {round}: {quick:?}\n{history:#?}"
        );
        assert_eq!(
            plain.is_ok(),
            expected,
            "round {round}, without promises: {plain:?}\n{history:#?}"
        );
        *(if expected { &mut yes } else { &mut no }) += 1;
        with_unknown[usize::from(expected)] += u32::from(history.counts().unknown >= 2);
    }
    assert!(
        yes > 1500 && no > 1500 && with_unknown.iter().all(|&count| count > 500),
        "{yes} {no} {with_unknown:?}"
    );
}

const LARGE: Shape = Shape {
    clients: 32,
    operations: 50_000,
    keys: 100,
    values: 0,
    unknown: 0.002,
    failed: 0.01,
    plant: None,
};

#[test]
fn a_large_history_takes_few_steps_for_each_operation() {
    for (seed, keys) in [(1, 100), (2, 300), (3, 3)] {
        let (history, _) = generate(&mut Rng::new(seed), &Shape { keys, ..LARGE });
        let Verdict::Ok {
            operations_checked,
            steps,
        } = check(Kv, &history)
        else {
            panic!("seed {seed}, {keys} keys")
        };
        let counts = history.counts();
        assert!(counts.unknown > 50 && counts.failed > 300);
        assert_eq!(
            operations_checked,
            counts.returned + counts.unknown + counts.open
        );
        let steps_max = if keys < 10 { 40 } else { 3 };
        assert!(
            steps < steps_max * operations_checked,
            "{keys} keys: {steps} steps for {operations_checked} operations"
        );
    }
}

#[test]
fn planted_violations_are_found_in_large_histories() {
    for plant in [
        Plant::StaleRead,
        Plant::LostAppend,
        Plant::AppendTwice,
        Plant::FalseCas,
    ] {
        let (mut planted, mut found) = (0, 0);
        for seed in 0..6 {
            let shape = Shape {
                operations: 15_000,
                keys: 40,
                plant: Some(plant),
                ..LARGE
            };
            let (history, done) = generate(&mut Rng::new(seed), &shape);
            planted += u32::from(done);
            match check(Kv, &history) {
                Verdict::Violation(violation) => {
                    assert!(done, "{plant:?} seed {seed}: {violation}");
                    assert!(violation.to_string().lines().count() < 48, "{violation}");
                    found += 1;
                }
                Verdict::Undecided { key, .. } => {
                    panic!("{plant:?} seed {seed}: undecided at {key:?}")
                }
                Verdict::Ok { .. } => {}
            }
        }
        // An append that is lost or doubled can hide: nobody looks before the next put.
        let hides = matches!(plant, Plant::LostAppend | Plant::AppendTwice);
        let found_min = if hides { 3 } else { 6 };
        assert!(
            planted == 6 && found >= found_min,
            "{plant:?}: planted {planted}, found {found}"
        );
    }
}

#[test]
fn hundreds_of_unknown_operations_do_not_explode() {
    let unknown = |history: &mut History<KvInput, KvOutput>, number: u64, input: KvInput| {
        let op = history
            .call(
                ClientId(1000 + number),
                Duration::from_micros(number),
                input,
            )
            .unwrap();
        history.unknown(op).unwrap();
    };
    for (name, mixed) in [("appends", false), ("all kinds", true)] {
        let mut history = History::new();
        for number in 0..200 {
            let value = format!("<{number}>");
            unknown(
                &mut history,
                number,
                match number % 4 {
                    1 if mixed => KvInput::put("x", value),
                    2 if mixed => KvInput::cas("x", format!("<{}>", number - 1), value),
                    3 if mixed => KvInput::del("x"),
                    _ => KvInput::append("x", value),
                },
            );
        }
        // Some of them took effect, between reads that saw it.
        let mut state = String::new();
        for (at, number) in (1000..).step_by(10).zip([196, 4, 100, 8, 0, 60]) {
            state += &format!("<{number}>");
            for (client, input, output) in [
                (1, KvInput::get("x"), KvOutput::value(state.as_str())),
                (
                    2,
                    KvInput::cas("x", "nothing", "ever"),
                    KvOutput::Swapped(false),
                ),
                (1, KvInput::get("x"), KvOutput::value(state.as_str())),
            ] {
                let offset = history.operations().len() as u64 * 10;
                let op = history
                    .call(ClientId(client), Duration::from_micros(at + offset), input)
                    .unwrap();
                history
                    .returned(op, Duration::from_micros(at + offset + 5), output)
                    .unwrap();
            }
        }
        let verdict = check(Kv, &history);
        assert!(
            matches!(verdict, Verdict::Ok { steps, .. } if steps < 20_000),
            "{name}: {verdict:?}"
        );

        let late = Duration::from_secs(1);
        let op = history.call(ClientId(1), late, KvInput::get("x")).unwrap();
        history
            .returned(op, late, KvOutput::value("<196><100>"))
            .unwrap();
        let Verdict::Violation(violation) = check(Kv, &history) else {
            panic!("{name}")
        };
        assert_eq!(violation.operation, op, "{name}");
    }
}

#[test]
fn unknown_writes_that_a_later_write_hides_cost_nothing() {
    let mut history = History::new();
    for number in 0..300 {
        let op = history
            .call(
                ClientId(1000 + number),
                Duration::from_micros(number),
                KvInput::put("x", format!("{number}")),
            )
            .unwrap();
        history.unknown(op).unwrap();
    }
    for number in 0..300_u64 {
        let at = Duration::from_millis(1 + number);
        let (input, output) = match number % 3 {
            0 => (KvInput::put("x", "known"), KvOutput::Done),
            1 => (KvInput::append("x", "+"), KvOutput::Length(6)),
            _ => (KvInput::get("x"), KvOutput::value("known+")),
        };
        let op = history.call(ClientId(1), at, input).unwrap();
        history.returned(op, at, output).unwrap();
    }
    assert!(matches!(check(Kv, &history), Verdict::Ok { steps, .. } if steps < 1000));
    let at = Duration::from_secs(9);
    let op = history.call(ClientId(1), at, KvInput::get("x")).unwrap();
    history
        .returned(op, at, KvOutput::value("never written"))
        .unwrap();
    let verdict = check(Kv, &history);
    assert!(verdict.is_violation(), "{verdict:?}");
}

#[test]
fn appends_of_many_bytes_are_not_quadratic() {
    // A thousand versions of a value that grows to 16 MiB: whole copies would be 8 GiB.
    let mut history = History::new();
    let mut value = Value::default();
    let chunk = vec![b'v'; 16 << 10];
    for number in 1..=1000_u64 {
        let at = Duration::from_micros(number);
        let op = history
            .call(
                ClientId(number % 2),
                at,
                KvInput::append("x", chunk.clone()),
            )
            .unwrap();
        value = value.append(&chunk);
        history
            .returned(op, at, KvOutput::Length(number * chunk.len() as u64))
            .unwrap();
    }
    let read = history
        .call(ClientId(1), Duration::from_secs(1), KvInput::get("x"))
        .unwrap();
    history
        .returned(read, Duration::from_secs(1), KvOutput::value(value))
        .unwrap();
    assert!(check(Kv, &history).is_ok());
}

#[test]
fn a_budget_that_is_spent_is_a_verdict_of_its_own() {
    let (history, _) = generate(
        &mut Rng::new(5),
        &Shape {
            operations: 1000,
            keys: 2,
            ..LARGE
        },
    );
    let verdict = Checker::new(Kv).steps_max(10).check(&history);
    assert!(
        matches!(verdict, Verdict::Undecided { steps_max: 10, .. })
            && !verdict.is_ok()
            && !verdict.is_violation()
    );
    // Another object in violation outweighs it.
    let mut both = history;
    let at = Duration::from_secs(100);
    let op = both.call(ClientId(9999), at, KvInput::get("zzz")).unwrap();
    both.returned(op, at, KvOutput::value("?")).unwrap();
    assert!(Checker::new(Kv).steps_max(10).check(&both).is_violation());
}

/// Two accounts in one state: a model whose operations touch several objects takes one key for all.
struct Bank;

impl Model for Bank {
    type State = [i64; 2];
    type Input = Option<i64>;
    type Output = Option<[i64; 2]>;
    type Key = ();

    fn initial(&self) -> [i64; 2] {
        [10, 10]
    }

    fn key(&self, _: &Option<i64>) {}

    fn step(
        &self,
        state: &[i64; 2],
        input: &Option<i64>,
        output: Option<&Self::Output>,
    ) -> Option<[i64; 2]> {
        match (input, output) {
            (Some(moved), _) => Some([state[0] - moved, state[1] + moved]),
            (None, Some(Some(seen))) => (seen == state).then_some(*state),
            (None, _) => Some(*state),
        }
    }

    fn effect(&self, input: &Option<i64>, _: Option<&Self::Output>) -> Effect {
        if input.is_none() {
            Effect::Reads
        } else {
            Effect::Depends
        }
    }
}

#[test]
fn other_models_work_too() {
    for (seen, linearizable) in [([7, 13], true), ([10, 10], true), ([7, 10], false)] {
        let mut history = History::new();
        let transfer = history.call(ClientId(1), Duration::ZERO, Some(3)).unwrap();
        let audit = history.call(ClientId(2), Duration::ZERO, None).unwrap();
        history
            .returned(audit, Duration::from_secs(1), Some(seen))
            .unwrap();
        history
            .returned(transfer, Duration::from_secs(2), None)
            .unwrap();
        assert_eq!(check(Bank, &history).is_ok(), linearizable);
    }
}
