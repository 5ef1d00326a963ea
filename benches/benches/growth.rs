//! How what vectors cost grows with their entries: construction, join, contexts, sets of values and the
//! causal buffer, from 10 to 100,000; with the peers, beside crdts.
//!
//! `cargo bench -p synod-benches --features peers --bench growth`
//!
//! A row has the nanoseconds an entry for each size. What is linear stays where it is or rises by a few
//! times, where caches and logarithms end; what is quadratic rises ten times from column to column. A
//! row in which that is seen between the two last columns is marked, and the program fails.

use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use synod_vclock::{
    BufferLimits, CausalBuffer, CausalContext, Dot, DvvSet, Envelope, Limits, VersionVector, Wire,
    causal_sort,
};

fn main() -> ExitCode {
    println!(
        "{:<44}{:>9}{:>9}{:>9}{:>9}{:>9}   ns an entry",
        "entries", SIZES[0], SIZES[1], SIZES[2], SIZES[3], SIZES[4]
    );
    let mut rows = Rows { quadratic: 0 };
    vectors(&mut rows);
    contexts(&mut rows);
    sets(&mut rows);
    buffers(&mut rows);
    #[cfg(feature = "peers")]
    peers::vectors(&mut rows);
    match rows.quadratic {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

const SIZES: [u64; 5] = [10, 100, 1_000, 10_000, 100_000];

struct Rows {
    quadratic: usize,
}

impl Rows {
    /// Prepares each size, then times the work on it, which takes what was prepared.
    fn row<I: Clone, T>(&mut self, name: &str, prepare: impl Fn(u64) -> I, work: impl Fn(I) -> T) {
        let nanos = SIZES.map(|size| {
            let input = prepare(size);
            median(size, || input.clone(), &work)
        });
        let [.., before, last] = nanos;
        let mark = if last > 7.0 * before {
            self.quadratic += 1;
            "   <- quadratic?"
        } else {
            ""
        };
        print!("{name:<44}");
        nanos.iter().for_each(|nanos| print!("{nanos:>9.1}"));
        println!("{mark}");
    }
}

/// Nanoseconds an entry, the median of some runs; the clones are not timed.
#[expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
fn median<I, T>(size: u64, input: impl Fn() -> I, work: impl Fn(I) -> T) -> f64 {
    let runs = (200_000 / size).clamp(5, 2_000);
    let mut taken: Vec<Duration> = (0..runs)
        .map(|_| {
            let input = black_box(input());
            let start = Instant::now();
            let result = black_box(work(input));
            let taken = start.elapsed();
            drop(result);
            taken
        })
        .collect();
    taken.sort_unstable();
    taken[taken.len() / 2].as_secs_f64() * 1e9 / size as f64
}

/// The numbers below `size` in an order that is none.
fn scattered(size: u64) -> Vec<u64> {
    let mut numbers: Vec<u64> = (0..size).collect();
    numbers.sort_by_key(|number| number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    numbers
}

fn entries(size: u64) -> Vec<(u64, u64)> {
    let entry = |actor| (actor, actor % 7 + 1);
    scattered(size).into_iter().map(entry).collect()
}

fn vector(size: u64) -> VersionVector<u64> {
    entries(size).into_iter().collect()
}

/// A vector, and one of as many other actors that lie between its own.
fn interleaved(size: u64) -> (VersionVector<u64>, VersionVector<u64>) {
    let of = |odd| (0..size).map(|actor| (2 * actor + odd, 1)).collect();
    (of(0), of(1))
}

fn dots(size: u64, counter: u64) -> Vec<Dot<u64>> {
    let dot = |actor| Dot::new(actor, counter);
    scattered(size).into_iter().filter_map(dot).collect()
}

fn vectors(rows: &mut Rows) {
    rows.row("vector: collect, scattered", entries, |entries| {
        entries.into_iter().collect::<VersionVector<_>>()
    });
    rows.row(
        "vector: extend by as many in between",
        interleaved,
        |(mut vector, other)| {
            vector.extend(other.into_iter().rev());
            vector
        },
    );
    rows.row(
        "vector: join, interleaved",
        interleaved,
        |(mut one, other)| {
            one.join(&other);
            one
        },
    );
    rows.row(
        "vector: decode",
        |size| vector(size).to_bytes(),
        |bytes| {
            let limits = Limits {
                bytes_max: usize::MAX,
                entries_max: usize::MAX,
                ..Limits::default()
            };
            VersionVector::<u64>::from_bytes(&bytes, limits)
        },
    );
    rows.row(
        "causal_sort of events with 4 entries",
        |size| {
            let event = |at: u64| {
                (0..4)
                    .map(|actor| (actor, at * 7 % (size + actor) + 1))
                    .collect()
            };
            (0..size).map(event).collect::<Vec<VersionVector<u64>>>()
        },
        |mut events| {
            causal_sort(&mut events, |event| event);
            events
        },
    );
}

fn contexts(rows: &mut Rows) {
    rows.row(
        "context: collect, no gaps",
        |size| dots(size, 1),
        |dots| dots.into_iter().collect::<CausalContext<_>>(),
    );
    rows.row(
        "context: collect, all beyond a gap",
        |size| dots(size, 2),
        |dots| dots.into_iter().collect::<CausalContext<_>>(),
    );
    rows.row(
        "context: join closes every gap",
        |size| {
            let beyond: CausalContext<u64> = dots(size, 2).into_iter().collect();
            let before: CausalContext<u64> = dots(size, 1).into_iter().collect();
            (beyond, before)
        },
        |(mut beyond, before)| {
            beyond.join(&before);
            beyond
        },
    );
    rows.row(
        "context: insert backwards, one actor",
        |size| size,
        |size| {
            let mut context = CausalContext::new();
            for counter in (1..=size).rev() {
                Dot::new(0_u64, counter).map(|dot| context.insert(dot));
            }
            context
        },
    );
}

fn sets(rows: &mut Rows) {
    let set = |size: u64, odd| {
        let column = |actor| (2 * actor + odd, 1, vec![actor]);
        DvvSet::try_from((0..size).map(column).collect::<Vec<_>>())
    };
    rows.row(
        "set of values: sync, interleaved",
        |size| (set(size, 0), set(size, 1)),
        |(one, other)| {
            let (Ok(mut one), Ok(other)) = (one, other) else {
                return None;
            };
            one.sync(&other);
            Some(one)
        },
    );
    rows.row(
        "set of values: discard what is unknown",
        |size| (set(size, 0), interleaved(size).1),
        |(one, context)| {
            let mut one = one.ok()?;
            one.discard_vouched(&context);
            Some(one)
        },
    );
}

fn buffers(rows: &mut Rows) {
    let limits = BufferLimits {
        held_max: usize::MAX,
        held_of_one_max: usize::MAX,
    };
    rows.row(
        "buffer: one sender, backwards, then all due",
        |size| {
            let message = |counter| Envelope {
                sender: 1_u64,
                clock: VersionVector::from_iter([(1, counter)]),
                payload: (),
            };
            (1..=size).rev().map(message).collect::<Vec<_>>()
        },
        |messages| {
            let mut buffer = CausalBuffer::new(0, [1], limits);
            for message in messages {
                buffer.handle_message(message).ok();
            }
            std::iter::from_fn(|| buffer.poll_delivery()).count()
        },
    );
    rows.row(
        "buffer: eight senders, all wait for one",
        |size| {
            let message = |at: u64| Envelope {
                sender: at % 8 + 1,
                clock: VersionVector::from_iter([(0, 1), (at % 8 + 1, at / 8 + 1)]),
                payload: (),
            };
            let cause = Envelope {
                sender: 0,
                clock: VersionVector::from_iter([(0, 1)]),
                payload: (),
            };
            let mut messages: Vec<_> = (0..size).map(message).collect();
            messages.push(cause);
            messages
        },
        |messages| {
            let mut buffer = CausalBuffer::new(9_u64, 0..9, limits);
            for message in messages {
                buffer.handle_message(message).ok();
            }
            std::iter::from_fn(|| buffer.poll_delivery()).count()
        },
    );
}

#[cfg(feature = "peers")]
mod peers {
    use crdts::{CvRDT, VClock};

    use super::{Rows, entries, interleaved};

    fn clock(entries: impl IntoIterator<Item = (u64, u64)>) -> VClock<u64> {
        let mut clock = VClock::new();
        for (actor, counter) in entries {
            crdts::CmRDT::apply(&mut clock, crdts::Dot::new(actor, counter));
        }
        clock
    }

    pub(super) fn vectors(rows: &mut Rows) {
        rows.row("crdts: collect, scattered", entries, clock);
        rows.row(
            "crdts: join, interleaved",
            |size| {
                let (one, other) = interleaved(size);
                let entries = |vector: synod_vclock::VersionVector<u64>| {
                    clock(vector.into_iter().map(|dot| (dot.actor, dot.counter.get())))
                };
                (entries(one), entries(other))
            },
            |(mut one, other)| {
                one.merge(other);
                one
            },
        );
    }
}
