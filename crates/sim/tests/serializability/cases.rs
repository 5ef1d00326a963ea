//! Small histories as data: written by hand, or drawn from a store that works, or errs.

use std::collections::BTreeMap;
use std::time::Duration;

use synod_sim::Rng;
use synod_sim::serializability::{Position, TxnHistory, TxnId};

pub(crate) type Key = u32;
pub(crate) type Value = u32;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Read(Key, Option<Value>),
    Write(Key, Value),
    List(Key, Vec<Value>),
    Append(Key, Value),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Committed,
    Unanswered,
    Unknown,
    Aborted,
}

#[derive(Clone, Debug)]
pub(crate) struct Txn {
    pub(crate) began: u64,
    pub(crate) ended: u64,
    pub(crate) fate: Fate,
    pub(crate) is_past: bool,
    pub(crate) position: i128,
    pub(crate) ops: Vec<Op>,
}

impl Txn {
    pub(crate) fn writes(&self) -> bool {
        let mut ops = self.ops.iter();
        ops.any(|op| matches!(op, Op::Write(..) | Op::Append(..)))
    }

    /// Whether real time puts it before the other.
    pub(crate) fn precedes(&self, other: &Self) -> bool {
        self.fate == Fate::Committed && !self.is_past && !other.is_past && self.ended < other.began
    }
}

/// A committed transaction of a case by hand.
pub(crate) fn txn(began: u64, ended: u64, ops: &[Op]) -> Txn {
    Txn {
        began,
        ended,
        fate: Fate::Committed,
        is_past: false,
        position: 0,
        ops: ops.to_vec(),
    }
}

/// The same, recorded.
pub(crate) fn history(txns: &[Txn]) -> TxnHistory<Key, Value> {
    let mut events: Vec<(u64, bool, usize)> = Vec::new();
    for (number, txn) in txns.iter().enumerate() {
        events.push((txn.began, false, number));
        events.push((txn.ended, true, number));
    }
    events.sort_unstable();
    let mut history = TxnHistory::new();
    // Numbers of transactions are those of the case: all begin in its order, the times say the rest.
    let ids: Vec<TxnId> = txns
        .iter()
        .map(|txn| history.begin(Duration::from_millis(txn.began)).unwrap())
        .collect();
    for (at, ends, number) in events {
        let (id, txn) = (ids[number], &txns[number]);
        if !ends {
            if txn.is_past {
                history.in_the_past(id).unwrap();
            }
            for op in txn.ops.iter().cloned() {
                match op {
                    Op::Read(key, value) => history.read(id, key, value).unwrap(),
                    Op::Write(key, value) => history.write(id, key, value).unwrap(),
                    Op::List(key, list) => history.read_list(id, key, list).unwrap(),
                    Op::Append(key, value) => history.append(id, key, value).unwrap(),
                }
            }
            continue;
        }
        history.place(id, Position(txn.position)).unwrap();
        match txn.fate {
            Fate::Committed => history.commit(id, Duration::from_millis(at)).unwrap(),
            Fate::Unanswered => history.commit_unanswered(id).unwrap(),
            Fate::Unknown => history.unknown(id).unwrap(),
            Fate::Aborted => history.abort(id).unwrap(),
        }
    }
    history
}

/// What a register or a list holds; a register at most one value.
pub(crate) type Store = BTreeMap<Key, Vec<Value>>;

/// Runs the operations, and fills in what they read.
pub(crate) fn run(store: &mut Store, ops: &mut [Op]) {
    for op in ops {
        match op {
            Op::Read(key, value) => *value = store.get(key).and_then(|held| held.last().copied()),
            Op::Write(key, value) => drop(store.insert(*key, vec![*value])),
            Op::List(key, list) => *list = store.get(key).cloned().unwrap_or_default(),
            Op::Append(key, value) => store.entry(*key).or_default().push(*value),
        }
    }
}

/// Whether the operations read what they did.
pub(crate) fn agrees(store: &mut Store, ops: &[Op]) -> bool {
    let mut again = ops.to_vec();
    run(store, &mut again);
    again == ops
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    Lists,
    /// Registers whose writers read what they replace.
    Updates,
    /// Registers that are written blindly as well.
    Blind,
    /// The same, with values that repeat.
    Repeated,
}

/// Up to six transactions of a store. Of `errors` in 100 operations, what is read is of another
/// time, or nonsense; of as many transactions, they take effect when they do not run.
pub(crate) fn draw(rng: &mut Rng, style: Style, errors: u64) -> Vec<Txn> {
    let count = 2 + rng.index(5);
    let mut times: Vec<u64> = (0..2 * count as u64).collect();
    for place in (1..times.len()).rev() {
        times.swap(place, rng.index(place + 1));
    }
    let keys = 1 + rng.below(3) as Key;
    let mut next = 1;
    let mut txns: Vec<Txn> = times
        .chunks(2)
        .map(|pair| {
            let (began, ended) = (pair[0].min(pair[1]), pair[0].max(pair[1]));
            let fate = match rng.below(20) {
                0 => Fate::Unanswered,
                1..=3 => Fate::Unknown,
                4 | 5 => Fate::Aborted,
                _ => Fate::Committed,
            };
            let mut ops = Vec::new();
            for _ in 0..1 + rng.below(3) {
                let key = rng.below(keys.into()) as Key;
                // So few that they repeat.
                let value = match style {
                    Style::Repeated => rng.below(3) as Value,
                    _ => next,
                };
                draw_op(rng, style, key, value, &mut ops);
                next += 1;
            }
            Txn {
                began,
                ended,
                fate,
                is_past: false,
                position: 0,
                ops,
            }
        })
        .collect();
    execute(rng, &mut txns, errors);
    for txn in &mut txns {
        txn.is_past = !txn.writes() && rng.below(4) == 0;
    }
    txns
}

fn draw_op(rng: &mut Rng, style: Style, key: Key, value: Value, ops: &mut Vec<Op>) {
    let writes = rng.below(2) == 0;
    match style {
        Style::Lists if writes => ops.push(Op::Append(key, value)),
        Style::Lists => ops.push(Op::List(key, Vec::new())),
        Style::Updates if writes => ops.extend([Op::Read(key, None), Op::Write(key, value)]),
        Style::Blind | Style::Repeated if writes => ops.push(Op::Write(key, value)),
        _ => ops.push(Op::Read(key, None)),
    }
}

fn execute(rng: &mut Rng, txns: &mut [Txn], errors: u64) {
    let late = 2 * txns.len() as u64 * 10 + 20;
    let points = txns.iter().map(|txn| {
        let (from, to) = match txn.fate {
            Fate::Committed => (txn.began, txn.ended),
            _ => (txn.began, late / 10),
        };
        match rng.below(100) < errors {
            true => rng.below(late),
            false => from * 10 + 1 + rng.below((to - from) * 10 - 1),
        }
    });
    let mut order: Vec<(u64, usize)> = points.zip(0..).collect();
    order.sort_unstable();
    let mut states = vec![Store::new()];
    for (point, number) in order {
        let txn = &mut txns[number];
        txn.position = point.into();
        let happens = match txn.fate {
            Fate::Aborted => rng.below(100) < errors,
            Fate::Unknown => rng.below(2) == 0,
            _ => true,
        };
        let last = states.last().unwrap().clone();
        let mut store = last.clone();
        run(&mut store, &mut txn.ops);
        for place in 0..txn.ops.len() {
            if rng.below(100) < errors {
                let mut other = states[rng.index(states.len())].clone();
                run(&mut other, &mut txn.ops[place..=place]);
                spoil(rng, &mut txn.ops[place]);
            }
        }
        if happens {
            states.push(store);
        }
    }
}

/// Nonsense, now and then.
fn spoil(rng: &mut Rng, op: &mut Op) {
    if rng.below(4) > 0 {
        return;
    }
    match op {
        Op::Read(_, value) => *value = Some(rng.below(8) as Value),
        Op::List(_, list) => match rng.below(4) {
            0 => list.push(rng.below(8) as Value),
            1 => drop(list.pop()),
            2 if list.len() > 1 => list.swap(0, 1),
            _ => list.truncate(1),
        },
        Op::Write(..) | Op::Append(..) => {}
    }
}
