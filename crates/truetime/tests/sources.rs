//! The arithmetic of each source against an oscillator that is as bad as its bound allows, and against
//! daemons that know how wrong the wall clock is and claim that and nothing more: whatever an answer
//! leaves out, or rounds inward, shows.
//!
//! Ten million readings for each source.

use core::time::Duration;

use synod_truetime::sim::{Fault, Machine, World};
use synod_truetime::source::chrony::{DATAGRAM_BYTES, Tracking, Trust, request};
use synod_truetime::source::peer::{Exchange, Peer, PeerError, Reply, Request};
use synod_truetime::source::{FixedEpsilon, Question, Sample, Source};
use synod_truetime::{
    BoundKind, Clocks, Drift, Interval, Local, Reading, SourceError, Stratum, Timestamp,
};

const CASES: u64 = 400_000;
/// Of one sample.
const READINGS: u64 = 25;
const DRIFT_PPM: u32 = 200;
const SECOND_NANOS: i64 = 1_000_000_000;

/// Clocks that take time to read, so that no two readings are of one instant.
struct Ticking<'a>(&'a Machine);

impl Ticking<'_> {
    fn machine(&self) -> &Machine {
        pass(self.0.world(), 200_000);
        self.0
    }
}

impl Clocks for Ticking<'_> {
    fn local(&self) -> Local {
        self.machine().local()
    }

    fn monotonic(&self) -> u64 {
        self.machine().monotonic()
    }

    fn boottime(&self) -> u64 {
        self.machine().boottime()
    }

    fn realtime(&self) -> Timestamp {
        self.machine().realtime()
    }
}

/// Lets up to so many picoseconds pass.
fn pass(world: &World, picos_max: i64) {
    world.advance_picos(world.draw(0, picos_max).unsigned_abs());
}

/// One or minus one.
fn sign(world: &World) -> i64 {
    2 * world.draw(0, 1) - 1
}

/// Sets the wall clock to be ahead by so much.
fn set_ahead(machine: &Machine, nanos: i64) {
    let ahead = machine.realtime().as_nanos() - machine.world().now().as_nanos();
    machine.strike(Fault::Step(nanos - ahead));
}

/// How wrong the wall clock is, rounded up: both are known to the nanosecond below.
fn error_nanos(machine: &Machine) -> u64 {
    let (wall, truth) = (machine.realtime(), machine.world().now());
    wall.nanos_since(truth).max(truth.nanos_since(wall)) + 1
}

/// The sample is right at its instant, and stays so as the oscillator's bound lets it grow.
fn check(machine: &Machine, sample: &Sample, drift: Drift) {
    let world = machine.world();
    for reading in 0..READINGS {
        let elapsed_nanos = machine.local().nanos_since(sample.at);
        // Two readings of a clock that counts nanoseconds.
        let interval = drift.extrapolate(sample.interval, elapsed_nanos).widen(1);
        assert!(
            world.is_in(&interval),
            "reading {reading}: {} and {} ps is not in {interval}, grown from {} for {elapsed_nanos} ns",
            world.now(),
            world.picos(),
            sample.interval,
        );
        let size = world.draw(1, 10);
        pass(world, 10_i64.pow(size as u32));
    }
}

/// An oscillator that is as fast or as slow as the bound allows, or walks in between; and a wall clock
/// that is slewed as hard as any daemon does it, or not at all.
fn worst(machine: &Machine, drift_ppm: u32, slew: bool) {
    let world = machine.world();
    machine.strike(Fault::Rate(
        world.draw(-1, 1) as i32 * drift_ppm as i32 * 1000,
    ));
    if slew {
        machine.strike(Fault::Slew(world.draw(-1, 1) as i32 * 100_000_000));
    }
}

#[test]
fn a_fixed_bound() {
    let world = World::new(1);
    let machine = Machine::new(&world, DRIFT_PPM);
    for _ in 0..CASES {
        worst(&machine, DRIFT_PPM, true);
        let epsilon_nanos = world.draw(0, 1_000_000);
        set_ahead(&machine, sign(&world) * epsilon_nanos);
        let epsilon = Duration::from_nanos(epsilon_nanos.unsigned_abs());
        // The clock is slewed, so it is as wrong as that at the question only.
        let sample = FixedEpsilon::new(Ticking(&machine), epsilon)
            .sample()
            .unwrap();
        let slewed = sample.interval.widen(100);
        check(
            &machine,
            &Sample {
                interval: slewed,
                ..sample
            },
            Drift::from_ppm(DRIFT_PPM),
        );
    }
}

/// A daemon tells the kernel the error when it sets the clock, cut to microseconds; the oscillator runs
/// off at 500 ppm from there, and the kernel adds 500 µs whenever the wall clock begins a second. It is
/// worst from the beginning of one second to the end of another.
#[cfg(target_os = "linux")]
#[test]
fn the_kernel() {
    use synod_truetime::source::Timex;

    let world = World::new(2);
    let machine = Machine::new(&world, 500);
    let second = |machine: &Machine| machine.realtime().as_nanos() / SECOND_NANOS;
    for _ in 0..CASES {
        let sign = sign(&world);
        machine.strike(Fault::Rate(sign as i32 * 500_000));
        let offset_nanos = world.draw(0, 100_000);
        set_ahead(&machine, sign * (world.draw(0, 1_000_000) + offset_nanos));
        if world.draw(0, 1) == 1 {
            wait_until(&machine, (second(&machine) + 1) * SECOND_NANOS + 1);
        }
        let updated = second(&machine);
        let error_nanos = error_nanos(&machine).saturating_sub(offset_nanos.unsigned_abs());
        pass(&world, 10 * 1000 * SECOND_NANOS);
        if world.draw(0, 1) == 1 {
            wait_until(&machine, (second(&machine) + 1) * SECOND_NANOS - 2_000);
        }
        let (question, timex) = Question::ask(&Ticking(&machine), || Timex {
            state: Timex::TIME_OK,
            status: Timex::STA_NANO,
            maxerror_micros: (error_nanos / 1000).cast_signed()
                + 500 * (second(&machine) - updated),
            // Measured, not claimed to be zero.
            esterror_micros: 1,
            offset: -sign * offset_nanos,
            ..Timex::default()
        });
        let sample = timex.sample(&question, None).unwrap();
        check(&machine, &sample, Drift::from_ppb(sample.drift_ppb));
    }
}

/// Lets time pass until the wall clock shows that.
#[cfg(target_os = "linux")]
fn wait_until(machine: &Machine, nanos: i64) {
    loop {
        let left = nanos - machine.realtime().as_nanos();
        if left <= 0 {
            return;
        }
        // A fast clock must not miss it.
        let step = (left - left / 1000).max(1);
        machine
            .world()
            .advance(Duration::from_nanos(step.unsigned_abs()));
    }
}

/// A `chronyd` that knows the error at the instant of its answer, and splits it among its fields at random,
/// while the clock is slewed.
#[test]
fn chrony() {
    let world = World::new(3);
    let machine = Machine::new(&world, DRIFT_PPM);
    for _ in 0..CASES {
        worst(&machine, DRIFT_PPM, true);
        set_ahead(&machine, sign(&world) * world.draw(0, 10_000_000));
        let (question, datagram) = Question::ask(&Ticking(&machine), || {
            pass(&world, 100_000_000);
            let datagram = report(&machine);
            pass(&world, 100_000_000);
            datagram
        });
        let tracking = Tracking::decode(&datagram, 0).unwrap();
        let trust = Trust {
            age_max: Duration::MAX,
            ..Trust::DEFAULT
        };
        let sample = tracking.sample(&question, &trust).unwrap();
        check(&machine, &sample, Drift::from_ppm(DRIFT_PPM));
    }
}

/// The answer to the request with number 0, with a bound that is what the wall clock is wrong by.
fn report(machine: &Machine) -> [u8; DATAGRAM_BYTES] {
    let world = machine.world();
    let error_picos = (error_nanos(machine) * 1000).cast_signed();
    // All three, two, or one of them, in picoseconds.
    let first = world.draw(0, error_picos) * world.draw(0, 1);
    let second = world.draw(0, error_picos - first) * world.draw(0, 1);
    let third = error_picos - first - second;
    let parts = [2 * first, second, third];
    let [delay, dispersion, correction] = parts.map(|picos| float_above(picos.into()));

    let mut datagram = request(0);
    let wall = machine.realtime().as_nanos();
    datagram[1] = 2;
    datagram[4..8].copy_from_slice(&[0, 33, 0, 5]);
    datagram[28..32].copy_from_slice(&[192, 0, 2, 1]);
    datagram[53] = 2;
    datagram[56..64].copy_from_slice(&(wall / SECOND_NANOS).to_be_bytes());
    datagram[68..72].copy_from_slice(&correction);
    datagram[92..96].copy_from_slice(&delay);
    datagram[96..100].copy_from_slice(&dispersion);
    datagram
}

/// The least number of chrony's that is not below so many picoseconds, in seconds.
fn float_above(picos: i128) -> [u8; 4] {
    let coefficient = |exponent: i32| {
        let scaled = picos << (25 - exponent);
        (scaled + 999_999_999_999) / 1_000_000_000_000
    };
    let fits = |exponent: &i32| coefficient(*exponent) < 1 << 24;
    let exponent = (-30..25).find(fits).expect("less than a second");
    let bits = exponent << 25 | coefficient(exponent) as i32;
    bits.to_be_bytes()
}

/// A daemon that knew the error at the last tick of its coarse clock, and an oscillator that is as bad as
/// the segment says.
#[cfg(target_os = "linux")]
#[test]
fn clockbound() {
    use synod_truetime::source::clockbound::Segment;

    const TICK_NANOS: u64 = 4_000_000;

    let world = World::new(4);
    let machine = Machine::new(&world, DRIFT_PPM);
    for _ in 0..CASES {
        let sign = sign(&world);
        machine.strike(Fault::Rate(sign as i32 * DRIFT_PPM as i32 * 1000));
        set_ahead(&machine, sign * world.draw(0, 1_000_000));
        let monotonic = machine.monotonic();
        let as_of = monotonic - monotonic % TICK_NANOS;
        // An error of zero is nobody's measure.
        let bound_nanos = error_nanos(&machine).max(1);
        pass(&world, 10 * 1000 * SECOND_NANOS);

        let mut bytes = [0; 80];
        let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
        put(0, &0x414d_5a4e_u32.to_ne_bytes());
        put(4, &0x4342_0200_u32.to_ne_bytes());
        put(8, &80_u32.to_ne_bytes());
        put(12, &[2_u16, 2].map(u16::to_ne_bytes).concat());
        for (at, nanos) in [(16, as_of), (32, as_of + 1_000_000_000_000)] {
            put(at, &(nanos / 1_000_000_000).to_ne_bytes());
            put(at + 8, &(nanos % 1_000_000_000).to_ne_bytes());
        }
        put(48, &bound_nanos.to_ne_bytes());
        put(64, &(DRIFT_PPM * 1000).to_ne_bytes());
        put(68, &1_i32.to_ne_bytes());
        let segment = Segment::decode(&bytes).unwrap();
        let ticking = Ticking(&machine);
        let (question, monotonic) = Question::ask(&ticking, || ticking.monotonic());
        let sample = segment
            .sample(&question, monotonic, Drift::from_ppb(0))
            .unwrap();
        check(&machine, &sample, Drift::from_ppb(sample.drift_ppb));
    }
}

/// A peer whose own interval touches the truth at one end, and ways of any length, each by itself.
#[test]
fn a_peer() {
    let world = World::new(5);
    let (asker, other) = (
        Machine::new(&world, DRIFT_PPM),
        Machine::new(&world, DRIFT_PPM),
    );
    let drift = Drift::from_ppm(DRIFT_PPM);
    let mut peer = Peer::new(drift, Duration::from_secs(1));
    for nonce in 0..CASES {
        worst(&asker, DRIFT_PPM, false);
        worst(&other, DRIFT_PPM, true);
        let request = peer.ask(nonce, Ticking(&asker).local());
        let request = Request::decode(request.encode());
        way(&world);
        let received = touching(&world);
        way(&world);
        let sent = touching(&world);
        let reply = Reply::decode(&request.reply(&received, &sent).encode()).unwrap();
        way(&world);
        let sample = peer.handle_reply(&reply, Ticking(&asker).local()).unwrap();
        check(&asker, &sample, drift);
        // What it keeps is as right, whichever it is.
        let now = asker.local();
        if let Some(best) = peer.best(now) {
            check(&asker, &best, drift);
        }
    }
}

/// A message under way: no time at all, up to a microsecond, or up to 10 ms.
fn way(world: &World) {
    let picos_max = [0, 1_000_000, 10_000_000_000][world.draw(0, 2).unsigned_abs() as usize];
    pass(world, picos_max);
}

/// True time, which lies in the nanosecond that begins now, and nothing more on one side or on both.
fn touching(world: &World) -> Reading {
    let slack = || (world.draw(0, 1_000_000) * world.draw(0, 1)).unsigned_abs();
    let now = world.now();
    Reading::synchronized(Interval::spanning(
        now.earlier(slack()),
        now.later(1 + slack()),
    ))
}

/// NTP's figures: the offset is the middle, the error is half of the round trip less what the peer held it.
#[test]
fn an_exchange_is_as_wide_as_the_round_trip_and_the_peer() {
    let at = |nanos: i64| Reading::synchronized(Interval::at(Timestamp::from_nanos(nanos)));
    let exchange = Exchange::begin(1, Local::from_nanos(1_000), Drift::from_ppb(0));
    // 300 there, 40 held, 100 back.
    let reply = exchange.request().reply(&at(70_300), &at(70_340));
    let sample = exchange.finish(&reply, Local::from_nanos(1_440)).unwrap();
    assert_eq!(sample.at, Local::from_nanos(1_000));
    assert_eq!(sample.interval.width(), Duration::from_nanos(400 + 1));
    assert!(sample.interval.contains(Timestamp::from_nanos(70_000)));
}

#[test]
fn replies_that_are_no_answers() {
    let at = |nanos: i64| Reading::synchronized(Interval::at(Timestamp::from_nanos(nanos)));
    let local = Local::from_nanos;
    let mut peer = Peer::new(Drift::DEFAULT, Duration::from_secs(1));
    let nobody_asked = Request { nonce: 1 }.reply(&at(0), &at(0));
    assert_eq!(
        peer.handle_reply(&nobody_asked, local(5)),
        Err(PeerError::Nonce)
    );
    let request = peer.ask(7, local(1_000));
    let foreign = Request { nonce: 8 }.reply(&at(0), &at(0));
    assert_eq!(
        peer.handle_reply(&foreign, local(1_100)),
        Err(PeerError::Nonce)
    );
    // The exchange goes on, and ends with its own reply; a reply counts once.
    let own = request.reply(&at(50), &at(60));
    assert!(peer.handle_reply(&own, local(1_100)).is_ok());
    assert_eq!(peer.handle_reply(&own, local(1_100)), Err(PeerError::Nonce));
    // Older than a second: forgotten.
    assert!(peer.best(local(1_000)).is_some());
    assert!(peer.best(local(1_000_001_001)).is_none());

    let refused = |received, sent, answered| {
        let mut peer = Peer::new(Drift::DEFAULT, Duration::from_secs(1));
        let request = peer.ask(7, local(1_000));
        peer.handle_reply(&request.reply(&received, &sent), local(answered))
            .unwrap_err()
    };
    assert_eq!(refused(at(50), at(60), 999), PeerError::Backwards);
    // It says to have held the request for longer than the whole took.
    assert_eq!(refused(at(50), at(500), 1_100), PeerError::Contradiction);
    // It sent the reply before it had the request.
    assert_eq!(refused(at(50), at(40), 1_100), PeerError::Contradiction);
    // The ends of time.
    assert_eq!(
        refused(at(i64::MIN), at(i64::MAX), 1_100),
        PeerError::Contradiction
    );
    let mut reversed = request.reply(&at(50), &at(60)).encode();
    reversed[8..16].copy_from_slice(&51_i64.to_be_bytes());
    assert_eq!(Reply::decode(&reversed), Err(PeerError::Malformed));
}

/// A bound that a peer only estimated is no harder here.
#[test]
fn what_kind_of_bound_a_peer_has_is_told() {
    let at = |nanos: i64| Reading::synchronized(Interval::at(Timestamp::from_nanos(nanos)));
    let statistical = BoundKind::Statistical { miss_ppb: 30_000 };
    for bound in [BoundKind::Hard, statistical] {
        let exchange = Exchange::begin(1, Local::from_nanos(1_000), Drift::DEFAULT);
        let estimated = Reading { bound, ..at(60) };
        let reply = exchange.request().reply(&at(50), &estimated);
        let reply = Reply::decode(&reply.encode()).unwrap();
        let sample = exchange.finish(&reply, Local::from_nanos(1_100)).unwrap();
        assert_eq!(sample.bound, bound);
    }
}

/// Two nodes that learn from each other, and from nobody else any more: they count upwards, and refuse in the end. What
/// they say until then is right, since each exchange makes it wider.
#[test]
fn peers_that_lead_in_a_circle_come_to_an_end() {
    let world = World::new(6);
    let machines = [(); 2].map(|()| Machine::new(&world, DRIFT_PPM));
    let drift = Drift::from_ppm(DRIFT_PPM);
    let mut knows = Reading {
        stratum: Stratum::new(2),
        ..touching(&world)
    };
    let mut width = knows.interval.width();
    let mut hops = 0;
    let error = loop {
        let asker = &machines[hops % 2];
        let exchange = Exchange::begin(hops as u64, asker.local(), drift);
        let reply = exchange.request().reply(&knows, &knows);
        let reply = Reply::decode(&reply.encode()).unwrap();
        match exchange.finish(&reply, asker.local()) {
            Ok(sample) => {
                check(asker, &sample, drift);
                assert_eq!(sample.stratum, knows.stratum.next());
                let now = drift.extrapolate(sample.interval, asker.local().nanos_since(sample.at));
                knows = Reading {
                    interval: now.widen(1),
                    stratum: sample.stratum,
                    ..knows
                };
                assert!(knows.interval.width() >= width);
                width = knows.interval.width();
            }
            Err(error) => break error,
        }
        hops += 1;
        assert!(hops < 100, "they lead each other for ever");
    };
    assert_eq!((error, hops), (PeerError::Stratum, 7));
    assert!(matches!(
        SourceError::from(error),
        SourceError::NotSynchronized(_)
    ));
}
