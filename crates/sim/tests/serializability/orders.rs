//! The definition: all orders, one after the other.

use crate::cases::{Fate, Op, Store, Txn, agrees, run};

/// Whether some order of the transactions that committed, and of any of unknown outcome, explains
/// what they read, and real time agrees.
pub(crate) fn some_order_explains(txns: &[Txn]) -> bool {
    let placed = vec![false; txns.len()];
    search(txns, placed, &Store::new(), &|_, _, _| true)
}

/// The same, and those that write are in the order of positions, equal ones side by side, and
/// everybody reads what stands at its own.
pub(crate) fn positions_explain(txns: &[Txn]) -> bool {
    let unknown: Vec<usize> = (0..txns.len())
        .filter(|txn| txns[*txn].fate == Fate::Unknown)
        .collect();
    (0..1_u32 << unknown.len()).any(|set| {
        let mut chosen: Vec<Txn> = Vec::new();
        for (number, txn) in txns.iter().enumerate() {
            let mut unknown = unknown.iter();
            let counts = match unknown.position(|unknown| *unknown == number) {
                Some(place) => set & 1 << place != 0,
                None => txn.fate != Fate::Aborted,
            };
            if counts {
                let mut txn = txn.clone();
                // What counts must be placed.
                if txn.fate == Fate::Unknown {
                    txn.fate = Fate::Unanswered;
                }
                chosen.push(txn);
            }
        }
        let fit = fit_their_positions(&chosen);
        tell_apart(&mut chosen);
        let placed = vec![false; chosen.len()];
        let in_order = |first: &Txn, next: &Txn, rest: &[&Txn]| {
            let side = |rest: &&Txn| rest.writes() && rest.position == first.position;
            match (first.writes(), next.writes()) {
                (true, true) => first.position <= next.position,
                (true, false) => !rest.iter().any(side),
                (false, _) => true,
            }
        };
        fit && search(&chosen, placed, &Store::new(), &in_order)
    })
}

/// Whether an order that a check returned explains the history.
pub(crate) fn explains(txns: &[Txn], order: &[usize]) -> bool {
    let mut store = Store::new();
    let complete = (0..txns.len()).all(|txn| {
        let must = matches!(txns[txn].fate, Fate::Committed | Fate::Unanswered);
        let times = order.iter().filter(|placed| **placed == txn).count();
        times <= 1 && (times == 1 || !must)
    });
    complete
        && order.iter().all(|txn| txns[*txn].fate != Fate::Aborted)
        && order.iter().all(|txn| agrees(&mut store, &txns[*txn].ops))
        && (1..order.len()).all(|place| {
            let (before, txn) = (&order[..place], &txns[order[place]]);
            before.iter().all(|before| !txn.precedes(&txns[*before]))
        })
}

fn search(
    txns: &[Txn],
    placed: Vec<bool>,
    store: &Store,
    in_order: &dyn Fn(&Txn, &Txn, &[&Txn]) -> bool,
) -> bool {
    let must = |txn: &Txn| matches!(txn.fate, Fate::Committed | Fate::Unanswered);
    if (0..txns.len()).all(|txn| placed[txn] || !must(&txns[txn])) {
        return true;
    }
    let rest: Vec<&Txn> = (0..txns.len())
        .filter(|txn| !placed[*txn])
        .map(|txn| &txns[txn])
        .collect();
    (0..txns.len()).any(|next| {
        let txn = &txns[next];
        let waits = (0..txns.len()).any(|other| {
            let other = (&txns[other], placed[other]);
            let behind = must(other.0) && other.0.precedes(txn) && !other.1;
            behind || (other.1 && !in_order(other.0, txn, &rest))
        });
        if placed[next] || waits || txn.fate == Fate::Aborted {
            return false;
        }
        let mut after = store.clone();
        let mut placed = placed.clone();
        placed[next] = true;
        agrees(&mut after, &txn.ops) && search(txns, placed, &after, in_order)
    })
}

fn fit_their_positions(txns: &[Txn]) -> bool {
    txns.iter().all(|txn| {
        let mut store = state_at(txns, txn);
        let shares = |other: &&Txn| {
            !std::ptr::eq(*other, txn)
                && other.writes()
                && txn.writes()
                && other.position == txn.position
        };
        let meets = |other: &Txn| touch(txn, other) || txn.precedes(other) || other.precedes(txn);
        agrees(&mut store, &txn.ops) && !txns.iter().filter(shares).any(meets)
    })
}

/// What stands at the transaction's position.
fn state_at(txns: &[Txn], txn: &Txn) -> Store {
    let mut before: Vec<&Txn> = txns
        .iter()
        .filter(|other| match txn.writes() {
            true => other.position < txn.position,
            false => other.position <= txn.position,
        })
        .collect();
    before.sort_by_key(|txn| txn.position);
    let mut store = Store::new();
    for other in before {
        // What it reads is not looked at here.
        agrees(&mut store, &other.ops);
    }
    store
}

/// A read is of the version at its position, even if another one holds the same value.
fn tell_apart(txns: &mut [Txn]) {
    let mut next = 1000;
    for txn in txns.iter_mut() {
        for op in &mut txn.ops {
            if let Op::Write(_, value) | Op::Append(_, value) = op {
                *value = next;
                next += 1;
            }
        }
    }
    let written = txns.to_vec();
    for txn in txns {
        run(&mut state_at(&written, txn), &mut txn.ops);
    }
}

/// Whether one touches from outside what the other writes. Reads behind an own write of a register
/// do not count, but then both write it.
fn touch(one: &Txn, other: &Txn) -> bool {
    let keys = |txn: &Txn, all: bool| -> Vec<u32> {
        let keys = txn.ops.iter().filter_map(|op| match op {
            Op::Write(key, _) | Op::Append(key, _) => Some(*key),
            Op::Read(key, _) | Op::List(key, _) => all.then_some(*key),
        });
        keys.collect()
    };
    let meets =
        |written: Vec<u32>, touched: Vec<u32>| written.iter().any(|key| touched.contains(key));
    meets(keys(one, false), keys(other, true)) || meets(keys(other, false), keys(one, true))
}
