//! A program without the standard library that uses the core of `synod-truetime`: an exchange with a peer, a vote, a
//! clock, a commit wait. That it builds is the proof; see `Cargo.toml`.

#![no_std]

use core::panic::PanicInfo;
use core::sync::atomic::{AtomicU64, Ordering};

use synod_truetime::source::peer::{Exchange, Reply, Request};
use synod_truetime::source::{Sample, Source, SourceError};
use synod_truetime::{
    CausalFloor, Clocks, Combined, CommitWait, Config, Disciplined, Drift, Interval, Local, Reading, Timestamp,
    TrueTime,
};

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {}
}

/// A counter in place of an oscillator.
struct Counter(AtomicU64);

impl Clocks for Counter {
    fn local(&self) -> Local {
        Local::from_nanos(self.0.fetch_add(1, Ordering::Relaxed))
    }

    fn monotonic(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn boottime(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn realtime(&self) -> Timestamp {
        Timestamp::from_nanos(self.0.load(Ordering::Relaxed).cast_signed())
    }
}

/// A peer that answers at once.
struct Peer<'a>(&'a Counter);

impl Source for Peer<'_> {
    fn sample(&self) -> Result<Sample, SourceError> {
        let exchange = Exchange::begin(7, self.0.local(), Drift::DEFAULT);
        let reading = Reading::synchronized(Interval::at(self.0.realtime()));
        let request = Request::decode(exchange.request().encode());
        let reply = Reply::decode(&request.reply(&reading, &reading).encode())?;
        Ok(exchange.finish(&reply, self.0.local())?)
    }
}

/// The nanoseconds that a commit has to wait for, by a vote of three; negative if the clock knows nothing.
///
/// Exported so that nothing of it is left out of the library.
#[unsafe(no_mangle)]
pub extern "C" fn truetime_commit_wait_nanos(counted: u64) -> i64 {
    let counter = Counter(AtomicU64::new(counted));
    let sources = [Peer(&counter), Peer(&counter), Peer(&counter)];
    let combined = Combined::new(&sources[..], &counter, 1);
    let clock = Disciplined::new(combined, &counter, Config::default());
    if clock.poll().is_err() {
        return -1;
    }
    let Ok(now) = clock.now() else {
        return -1;
    };
    let floor = CausalFloor::new();
    let carried = floor.outgoing(&now);
    if floor.incoming(carried, &now).is_err() {
        return -1;
    }
    match CommitWait::start(&now).poll(&clock) {
        Ok(synod_truetime::Wait::Sleep(left)) => i64::try_from(left.as_nanos()).unwrap_or(i64::MAX),
        Ok(synod_truetime::Wait::Done) => 0,
        Err(_) => -1,
    }
}
