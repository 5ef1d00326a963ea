//! What an event costs a Lamport clock and a hybrid one, beside the least that it can cost and, with
//! the peers, beside other crates.
//!
//! `cargo bench -p synod-benches --features peers --bench lamport`

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

use synod_lamport::hlc::{HybridClock, Millis42, Millis48, Nanos64, PhysicalClock, SystemClock};
use synod_lamport::{AtomicLamportClock, LamportClock, LamportTime};

mod turns;

use turns::{Contender, Turns};

fn main() {
    let mut turns = Turns::from_args();
    lamport_receive(&mut turns);
    hybrid_now(&mut turns);
    hybrid_receive(&mut turns);
}

/// Against the swap that it is made of: at most 1.5 times as long.
fn lamport_receive(turns: &mut Turns) {
    let word = AtomicU64::new(0);
    let shared = AtomicLamportClock::default();
    let mut owned = LamportClock::default();
    let contenders = vec![
        Contender::new("bare compare-and-swap loop", |event| bare(&word, event)),
        Contender::new("synod atomic", |event| {
            shared.receive(LamportTime::new(event))
        }),
        Contender::new("synod owned", |event| {
            owned.receive(LamportTime::new(event))
        }),
    ];
    turns.group("lamport receive", contenders);
    assert!(shared.tick().is_ok() && owned.tick().is_ok(), "no overflow");
}

/// What `AtomicLamportClock::receive` is without overflow, guard and error.
fn bare(word: &AtomicU64, event: u64) -> u64 {
    let mut now = word.load(Ordering::Acquire);
    loop {
        let next = now.max(event) + 1;
        match word.compare_exchange_weak(now, next, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => return next,
            Err(actual) => now = actual,
        }
    }
}

/// Against the reading of the clock that each of them makes: at most 10 ns more.
fn hybrid_now(turns: &mut Turns) {
    let (millis48, millis42, nanos64) = (
        HybridClock::<_, Millis48>::with_layout(SystemClock),
        HybridClock::<_, Millis42>::with_layout(SystemClock),
        HybridClock::<_, Nanos64>::with_layout(SystemClock),
    );
    let mut contenders = Vec::new();
    contenders.extend([
        Contender::new("clock reading alone", |_| SystemClock.now_nanos()),
        Contender::new("synod Millis48", |_| millis48.now()),
        Contender::new("synod Millis42", |_| millis42.now()),
        Contender::new("synod Nanos64", |_| nanos64.now()),
    ]);
    #[cfg(feature = "peers")]
    {
        let (uhlc, hlc_gen) = (uhlc::HLC::default(), hlc_gen::HlcGenerator::default());
        contenders.extend([
            Contender::new("uhlc", move |_| uhlc.new_timestamp()),
            Contender::new("hlc-gen", move |_| hlc_gen.next_timestamp()),
        ]);
    }
    turns.group("hybrid now", contenders);
    let at_end = [millis48.now().is_ok(), millis42.now().is_ok()];
    assert_eq!(at_end, [true; 2], "no counter was used up");
}

/// A message of the recent past, as most are.
fn hybrid_receive(turns: &mut Turns) {
    let clock = HybridClock::new(SystemClock);
    let message = HybridClock::new(SystemClock).now().unwrap_or_default();
    let mut contenders = Vec::new();
    contenders.extend([
        Contender::new("clock reading alone", |_| SystemClock.now_nanos()),
        Contender::new("synod Millis48", |_| clock.receive(black_box(message))),
    ]);
    #[cfg(feature = "peers")]
    {
        let (uhlc, hlc_gen) = (uhlc::HLC::default(), hlc_gen::HlcGenerator::default());
        let message = uhlc::HLC::default().new_timestamp();
        let update = move |_| uhlc.update_with_timestamp(black_box(&message));
        contenders.push(Contender::new("uhlc", update));
        let message = hlc_gen::HlcGenerator::default().next_timestamp();
        let update = move |_| message.map(|message| hlc_gen.update(black_box(&message)));
        contenders.push(Contender::new("hlc-gen", update));
    }
    turns.group("hybrid receive", contenders);
}
