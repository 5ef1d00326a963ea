//! What it costs to compare and to join version vectors, and what an event costs an interval tree
//! clock; with the peers, beside other crates.
//!
//! `cargo bench -p synod-benches --features peers --bench vclock`

use std::hint::black_box;

use synod_vclock::{CausalOrder, DenseClock, VersionVector, itc};

mod turns;

use turns::{Contender, Turns};

fn main() {
    let mut turns = Turns::from_args();
    for differs in [Differs::InEveryThird, Differs::InTheLast] {
        compare::<16>(&mut turns, differs);
        compare::<1000>(&mut turns, differs);
    }
    join::<16>(&mut turns);
    join::<1000>(&mut turns);
    trees(&mut turns);
}

/// Which entries of two vectors of the same actors differ.
#[derive(Clone, Copy)]
enum Differs {
    /// From the first one on.
    InEveryThird,
    /// Nowhere else: whoever looks for a difference looks through all of it.
    InTheLast,
}

/// Two vectors, the first the greater one.
fn pair<const N: usize>(differs: Differs) -> [[u64; N]; 2] {
    let greater = std::array::from_fn(|actor| actor as u64 * 7 % 13 + 2);
    let smaller = std::array::from_fn(|actor| {
        let less = match differs {
            Differs::InEveryThird => actor % 3 == 0,
            Differs::InTheLast => actor == N - 1,
        };
        greater[actor] - u64::from(less)
    });
    [greater, smaller]
}

/// The case "greater", against crdts: with 16 actors at least 3 times as fast, with 1,000 at least 5
/// times, and the dense form 30 times.
fn compare<const N: usize>(turns: &mut Turns, differs: Differs) {
    let pair = pair::<N>(differs);
    let (sparse, dense) = (pair.map(sparse), pair.map(dense));
    assert_eq!(sparse[0].causal_cmp(&sparse[1]), CausalOrder::After);
    assert_eq!(dense[0].causal_cmp(&dense[1]), CausalOrder::After);
    let mut contenders = Vec::new();
    #[cfg(feature = "peers")]
    contenders.extend(peers::compare(pair));
    contenders.extend([
        Contender::new("synod sparse", |_| {
            black_box(&sparse[0]).causal_cmp(black_box(&sparse[1]))
        }),
        Contender::new("synod dense", |_| {
            black_box(&*dense[0]).causal_cmp(black_box(&*dense[1]))
        }),
    ]);
    let place = match differs {
        Differs::InEveryThird => "in every third entry",
        Differs::InTheLast => "in the last entry",
    };
    turns.group(&format!("compare {N}, greater {place}"), contenders);
}

/// The smaller one joins the greater one. What crdts joins it takes, hence the copies there.
fn join<const N: usize>(turns: &mut Turns) {
    let pair = pair::<N>(Differs::InEveryThird);
    let ([mut sparse, sparse_smaller], [mut dense, dense_smaller]) =
        (pair.map(sparse), pair.map(dense));
    let mut contenders = Vec::new();
    #[cfg(feature = "peers")]
    contenders.extend(peers::join(pair));
    contenders.extend([
        Contender::new("synod sparse", |_| {
            sparse.join(black_box(&sparse_smaller));
            black_box(&sparse);
        }),
        Contender::new("synod dense", |_| {
            dense.join(black_box(&*dense_smaller));
            black_box(&dense);
        }),
    ]);
    turns.group(&format!("join {N}"), contenders);
}

fn sparse<const N: usize>(counters: [u64; N]) -> VersionVector<u64> {
    (0..).zip(counters).collect()
}

fn dense<const N: usize>(counters: [u64; N]) -> Box<DenseClock<N>> {
    Box::new(DenseClock::from_counters(counters).expect("small counters"))
}

fn trees(turns: &mut Turns) {
    let [one, all] = forked();
    assert!(all.descends(&one), "all includes one");
    let mut contenders = Vec::new();
    #[cfg(feature = "peers")]
    contenders.extend(peers::tree_order());
    contenders.extend([Contender::new("synod", |_| {
        black_box(&all).descends(black_box(&one))
    })]);
    turns.group(&format!("itc order, {FORKS} forks"), contenders);

    let mut busy = one.clone();
    let mut contenders = Vec::new();
    #[cfg(feature = "peers")]
    contenders.extend(peers::tree_event());
    contenders.extend([Contender::new("synod", |_| busy.event())]);
    turns.group(&format!("itc event, {FORKS} forks"), contenders);
    assert!(busy.event().is_ok(), "no overflow");
}

/// The stamp of one process, which forked others while events went on, and all that they know
/// together.
fn forked() -> [itc::Stamp; 2] {
    let mut one = itc::Stamp::seed();
    let mut others = Vec::new();
    for _ in 0..FORKS {
        others.push(one.fork().expect("not deep"));
        let at_work = others.iter_mut().step_by(2);
        for stamp in at_work.chain([&mut one]) {
            stamp.event().expect("few events");
        }
    }
    let mut all = one.peek();
    for other in &others {
        all.join(other.peek()).expect("what is peeked has no id");
    }
    [one, all]
}

const FORKS: usize = 6;

#[cfg(feature = "peers")]
mod peers {
    use std::collections::HashMap;
    use std::hint::black_box;

    use crdts::{CvRDT, Dot};
    use itc::{IntervalTreeClock, LessThanOrEqual, Stamp};

    use crate::FORKS;
    use crate::turns::Contender;

    pub(crate) fn compare<'a, const N: usize>(pair: [[u64; N]; 2]) -> [Contender<'a>; 2] {
        let [greater, smaller] = pair.map(crdts);
        let crdts = Contender::new("crdts", move |_| {
            black_box(&greater).partial_cmp(black_box(&smaller))
        });
        let [greater, smaller] = pair.map(vclock);
        let vclock = Contender::new("vclock", move |_| {
            black_box(&greater).partial_cmp(black_box(&smaller))
        });
        [crdts, vclock]
    }

    pub(crate) fn join<'a, const N: usize>(pair: [[u64; N]; 2]) -> [Contender<'a>; 2] {
        let [mut greater, smaller] = pair.map(crdts);
        let crdts = Contender::new("crdts", move |_| {
            greater.merge(black_box(&smaller).clone());
            black_box(&greater);
        });
        let [mut greater, smaller] = pair.map(vclock);
        let vclock = Contender::new("vclock", move |_| {
            greater.merge(black_box(&smaller));
            black_box(&greater);
        });
        [crdts, vclock]
    }

    pub(crate) fn tree_order<'a>() -> [Contender<'a>; 1] {
        let [one, all] = forked();
        assert!(one.leq(&all), "all includes one");
        let leq = move |_| black_box(&one).leq(black_box(&all));
        [Contender::new("itc", leq)]
    }

    pub(crate) fn tree_event<'a>() -> [Contender<'a>; 1] {
        let [mut one, _] = forked();
        let event = move |_| one = black_box(&one).event();
        [Contender::new("itc", event)]
    }

    fn crdts<const N: usize>(counters: [u64; N]) -> crdts::VClock<u64> {
        let dots = (0..).zip(counters);
        dots.map(|(actor, counter)| Dot::new(actor, counter))
            .collect()
    }

    fn vclock<const N: usize>(counters: [u64; N]) -> vclock::VClock64<u64> {
        (0..).zip(counters).collect::<HashMap<_, _>>().into()
    }

    /// The same story as that of `forked` above.
    fn forked() -> [Stamp; 2] {
        let mut one = Stamp::seed();
        let mut others = Vec::new();
        for _ in 0..FORKS {
            let (kept, given) = one.fork();
            others.push(given);
            one = kept;
            for stamp in others.iter_mut().step_by(2).chain([&mut one]) {
                *stamp = stamp.event();
            }
        }
        let mut all = one.clone();
        for other in &others {
            let (peeked, _) = other.peek();
            all = all.join(&peeked);
        }
        [one, all]
    }
}
