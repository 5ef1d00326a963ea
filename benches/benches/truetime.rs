//! What a clock with a bound costs beyond the clocks that it reads, and what it takes to outvote liars.
//!
//! `cargo bench -p synod-benches --bench truetime`

use std::hint::black_box;
use std::time::Duration;

use synod_truetime::vmclock::{self, VmClock};
use synod_truetime::{
    CausalFloor, Clocks, Config, Disciplined, Interval, Sample, Source, SourceError, SystemClocks,
    Timestamp, TrueTime, marzullo,
};

mod turns;

use turns::{Contender, Turns};

fn main() {
    let mut turns = Turns::from_args();
    now(&mut turns);
    now_without_sleep(&mut turns);
    now_with_a_hypervisor(&mut turns);
    agreement(&mut turns);
    floor(&mut turns);
}

/// The wall clock, taken to be right to a millisecond.
struct Trusting(SystemClocks);

impl Source for Trusting {
    fn sample(&self) -> Result<Sample, SourceError> {
        let (before, wall, after) = (self.0.local(), self.0.realtime(), self.0.local());
        let interval = Interval::around(wall, Duration::from_millis(1));
        Ok(Sample::between(before, after, interval, 0))
    }
}

type Clock = Disciplined<Trusting, SystemClocks>;

fn clock(clocks: SystemClocks) -> Clock {
    let clock = Disciplined::new(Trusting(clocks), clocks, Config::default());
    clock.poll().expect("a wall clock that nobody sets");
    clock
}

/// Against the three clocks that each of them reads: at most 15 ns more.
fn now(turns: &mut Turns) {
    let clocks = SystemClocks::new();
    let disciplined = clock(clocks);
    let contenders = vec![
        Contender::new("three clocks read alone", |_| {
            (clocks.local(), clocks.monotonic(), clocks.boottime())
        }),
        Contender::new("Disciplined::now", |_| disciplined.now()),
    ];
    turns.group("truetime now", contenders);
    assert!(disciplined.now().is_ok(), "no error was timed");
}

/// On a machine that is never suspended: one clock.
fn now_without_sleep(turns: &mut Turns) {
    let clocks = SystemClocks::sleepless();
    let disciplined = clock(clocks);
    let contenders = vec![
        Contender::new("one clock read alone", |_| clocks.local()),
        Contender::new("Disciplined::now", |_| disciplined.now()),
    ];
    turns.group("truetime now, sleepless", contenders);
    assert!(disciplined.now().is_ok(), "no error was timed");
}

/// On a virtual machine whose hypervisor tells of pauses: one system call more, on a page in a file.
fn now_with_a_hypervisor(turns: &mut Turns) {
    let path = std::env::temp_dir().join(format!("synod-bench-vmclock-{}", std::process::id()));
    let mut page = [0; vmclock::PAGE_BYTES];
    page[..10].copy_from_slice(b"VCLK\0\x10\0\0\x01\0");
    std::fs::write(&path, page).expect("a folder for temporary files");
    let clocks = VmClock::open(SystemClocks::new(), &path).expect("the page that was just written");
    std::fs::remove_file(&path).expect("the page that was just written");
    let source = Trusting(SystemClocks::new());
    let disciplined = Disciplined::new(source, &clocks, Config::default());
    disciplined.poll().expect("a wall clock that nobody sets");
    let contenders = vec![
        Contender::new("the page read alone", |_| clocks.page().is_ok()),
        Contender::new("Disciplined::now", |_| disciplined.now()),
    ];
    turns.group("truetime now, VMClock", contenders);
    assert!(disciplined.now().is_ok(), "no error was timed");
}

/// Of 16 at most a microsecond.
fn agreement(turns: &mut Turns) {
    let sources: [Vec<Interval>; 3] = [4, 16, 64].map(|count| {
        let source = |number: i64| {
            // One in four is elsewhere.
            let centre = number * 1_000 + i64::from(number % 4 == 3) * 90_000_000;
            Interval::around(Timestamp::from_nanos(centre), Duration::from_millis(1))
        };
        (0..count).map(source).collect()
    });
    let [few, some, many] = &sources;
    let contenders = vec![
        Contender::new("16 sources", |_| marzullo(black_box(some), 7)),
        Contender::new("4 sources", |_| marzullo(black_box(few), 1)),
        Contender::new("64 sources", |_| marzullo(black_box(many), 31)),
    ];
    turns.group("truetime marzullo", contenders);
}

/// A message sent and received, with the readings given.
fn floor(turns: &mut Turns) {
    let (sender, receiver) = (CausalFloor::new(), CausalFloor::new());
    let contenders = vec![Contender::new("outgoing and incoming", |event| {
        let centre = Timestamp::from_nanos(black_box(event).cast_signed());
        let now = Interval::around(centre, Duration::from_millis(1));
        receiver.incoming(sender.outgoing(&now), &now)
    })];
    turns.group("truetime floor", contenders);
}
