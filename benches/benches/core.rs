//! What the consensus core costs an entry: time, allocations, and bytes allocated.
//!
//! `cargo bench -p synod-benches --bench core`

use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, criterion_group};
use synod_benches::{Allocations, Counting, Trio};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes of a body.
const BODIES: [usize; 3] = [16, 256, 4096];
/// Entries proposed and not yet applied.
const IN_FLIGHT: [u64; 3] = [1, 64, 1024];
/// Entries over which allocations are counted; they are the same in each run.
const COUNTED: u64 = 16 * 1024;

criterion_group!(benches, core);

fn main() {
    benches();
    table();
    Criterion::default().configure_from_args().final_summary();
}

/// One iteration is one entry.
fn core(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("core");
    for bytes in BODIES {
        for in_flight in IN_FLIGHT {
            let id = BenchmarkId::new(format!("{bytes}B"), format!("{in_flight} in flight"));
            group.bench_function(id, |bencher| {
                let body = body(bytes);
                let mut trio = Trio::filled(&body);
                bencher.iter_custom(|entries| timed(|| trio.replicate(entries, in_flight, &body)));
            });
        }
    }
    group.finish();
}

fn table() {
    println!(
        "\n{:>8} {:>12} {:>22} {:>22}",
        "body", "in flight", "allocations an entry", "bytes an entry"
    );
    for bytes in BODIES {
        for in_flight in IN_FLIGHT {
            let body = body(bytes);
            let mut trio = Trio::filled(&body);
            trio.replicate(COUNTED, in_flight, &body);
            let made = Allocations::of(|| trio.replicate(COUNTED, in_flight, &body));
            let [count, sum] = [made.count, made.bytes].map(|sum| sum as f64 / COUNTED as f64);
            println!("{bytes:>6} B {in_flight:>12} {count:>22.2} {sum:>22.1}");
        }
    }
}

fn body(bytes: usize) -> Bytes {
    Bytes::from(vec![7; bytes])
}

#[expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}
