//! What stays in place does: vectors of up to eight actors, dense clocks, and comparisons of any
//! size and kind allocate nothing. (itc 0.1.3 copies subtrees to compare them.)

#![expect(
    unsafe_code,
    reason = "an allocator that counts can be had no other way"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;

use synod_vclock::itc::Stamp;
use synod_vclock::{CausalOrder, DenseClock, VectorClock, VersionVector};

/// Passes everything on to the system, and counts by thread, so that tests do not see each other.
struct Counting;

// SAFETY: each call is passed on to the system's allocator as it came, so its guarantees are kept.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // A thread that ends may allocate after its counter is gone.
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promises for `layout` are the ones that are needed.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from `alloc`, which took it from the system.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// How often `work` allocates.
fn allocations<T>(work: impl FnOnce() -> T) -> u64 {
    let before = ALLOCATIONS.get();
    // Unseen by the compiler, which may leave out what nobody looks at.
    let result = black_box(work());
    let count = ALLOCATIONS.get() - before;
    drop(result);
    count
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| Box::new(1)), 1);
    // The ninth actor moves a vector to the heap.
    assert_eq!(
        allocations(|| (0..9_u64)
            .map(|actor| (actor, 1))
            .collect::<VersionVector<_>>()),
        1
    );
}

#[test]
fn a_vector_of_eight_actors_allocates_nothing() {
    let count = allocations(|| {
        let mut one = VersionVector::new();
        let mut other = VersionVector::new();
        for actor in 0..8_u64 {
            one.increment(actor).unwrap();
            other.increment(7 - actor).unwrap();
        }
        one.join(&other);
        other.meet(&one);
        assert_eq!(one.clone().causal_cmp(&other), CausalOrder::Equal);
        let mut clock = VectorClock::restore(0, one);
        clock.receive(&other).unwrap();
        clock.send()
    });
    assert_eq!(count, 0);
}

#[test]
fn dense_clocks_allocate_nothing() {
    let count = allocations(|| {
        let mut one = DenseClock::<100>::new();
        one.increment(99).unwrap();
        let mut other = one;
        other.join(&one);
        one.causal_cmp(&other)
    });
    assert_eq!(count, 0);
}

#[test]
fn comparing_trees_allocates_nothing() {
    let mut stamp = Stamp::seed();
    let mut others = Vec::new();
    for _ in 0..20 {
        others.push(stamp.fork().unwrap());
        stamp.event().unwrap();
    }
    let mut other = others.pop().unwrap();
    other.receive(&others[3]).unwrap();
    let count = allocations(|| {
        assert_eq!(stamp.causal_cmp(&other), CausalOrder::Concurrent);
        assert_eq!(others[3].causal_cmp(&other), CausalOrder::Before);
    });
    assert_eq!(count, 0);
}
