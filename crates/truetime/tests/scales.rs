//! Times that are not the same time: none is taken for another.

use core::time::Duration;

use synod_truetime::sim::{Machine, Reference, World};
use synod_truetime::source::OnScale;
use synod_truetime::source::peer::{Exchange, PeerError, Reply};
use synod_truetime::{
    Clocks, Combined, Config, Disciplined, Drift, Interval, NoAgreement, PollError, Reading, Scale,
    Source, SourceError, TimeError, TrueTime, WrongScale,
};

const MILLI: Duration = Duration::from_millis(1);
const SMEARED: SourceError = SourceError::Scale(WrongScale {
    found: Scale::SmearedUtc,
    expected: Scale::Utc,
});

#[test]
fn a_clock_takes_samples_of_its_own_scale_only() {
    let world = World::new(1);
    let machine = Machine::new(&world, 100);
    let smeared = || OnScale::new(Reference::new(&machine, MILLI), Scale::SmearedUtc);
    let utc = Disciplined::new(smeared(), &machine, Config::default());
    assert_eq!(utc.poll(), Err(PollError::Source(SMEARED)));
    assert_eq!(utc.now(), Err(TimeError::NotSynchronized));
    assert!(SMEARED.to_string().contains("smeared UTC"));

    let config = Config {
        scale: Scale::SmearedUtc,
        ..Config::default()
    };
    let clock = Disciplined::new(smeared(), &machine, config);
    clock.poll().unwrap();
    assert_eq!(clock.read().unwrap().scale, Scale::SmearedUtc);
}

/// One server of three that smears is no voice, however near it is to the others outside of a leap second.
#[test]
fn a_vote_is_of_one_scale() {
    let world = World::new(2);
    let machine = Machine::new(&world, 100);
    let on = |scale| OnScale::new(Reference::new(&machine, MILLI), scale);
    let mixed = [on(Scale::Utc), on(Scale::SmearedUtc), on(Scale::Utc)];
    let combined = Combined::new(&mixed[..], &machine, 1);
    let mut said = Vec::new();
    let (sample, agreement) = combined
        .survey(|_, sample| said.push(sample.map(|_| ())))
        .unwrap();
    assert_eq!(said, [Ok(()), Err(SMEARED), Ok(())]);
    assert_eq!(sample.scale, Scale::Utc);
    assert!(!agreement.truechimers.contains(1) && !agreement.falsetickers.contains(1));
    let combined = Combined::new(&mixed[..], &machine, 1).with_scale(Scale::SmearedUtc);
    let error = combined.sample().unwrap_err();
    assert!(
        matches!(error, SourceError::NoAgreement(NoAgreement::TooFew { .. })),
        "{error}"
    );
}

#[test]
fn a_peer_says_its_scale() {
    let world = World::new(3);
    let machine = Machine::new(&world, 100);
    for scale in [Scale::Utc, Scale::SmearedUtc, Scale::Tai] {
        let exchange = Exchange::begin(1, machine.local(), Drift::DEFAULT);
        let reading = Reading {
            scale,
            ..Reading::synchronized(Interval::around(world.now(), MILLI))
        };
        let mut bytes = exchange.request().reply(&reading, &reading).encode();
        let reply = Reply::decode(&bytes).unwrap();
        assert_eq!(
            exchange.finish(&reply, machine.local()).unwrap().scale,
            scale
        );
        bytes[45] = 3;
        assert_eq!(Reply::decode(&bytes), Err(PeerError::Malformed));
    }
}

/// Whatever bytes are taken are the bytes that would be sent: a stratum beyond all is not read as the last one.
#[test]
fn a_reply_has_one_encoding() {
    let world = World::new(3);
    let machine = Machine::new(&world, 100);
    let exchange = Exchange::begin(1, machine.local(), Drift::DEFAULT);
    let reading = Reading::synchronized(Interval::around(world.now(), MILLI));
    let mut bytes = exchange.request().reply(&reading, &reading).encode();
    for stratum in 0..=u8::MAX {
        bytes[44] = stratum;
        match Reply::decode(&bytes) {
            Ok(reply) => assert_eq!((reply.encode(), stratum <= 16), (bytes, true)),
            Err(error) => assert_eq!((error, stratum > 16), (PeerError::Malformed, true)),
        }
    }
}

/// Each byte of a reply, as it goes out.
#[test]
fn a_reply_has_these_bytes() {
    let at = synod_truetime::Timestamp::from_nanos;
    let reading = |from, to| Reading {
        stratum: synod_truetime::Stratum::new(3),
        scale: Scale::Tai,
        bound: synod_truetime::BoundKind::Statistical {
            miss_ppb: 0x0a0b_0c0d,
        },
        ..Reading::synchronized(Interval::new(at(from), at(to)).unwrap())
    };
    let request = synod_truetime::source::peer::Request {
        nonce: 0x0102_0304_0506_0708,
    };
    let bytes = request
        .reply(&reading(-2, 1), &reading(0x10, 0x1122))
        .encode();
    let expected = [
        &[1, 2, 3, 4, 5, 6, 7, 8][..],
        &[255, 255, 255, 255, 255, 255, 255, 254],
        &[0, 0, 0, 0, 0, 0, 0, 1],
        &[0, 0, 0, 0, 0, 0, 0, 0x10],
        &[0, 0, 0, 0, 0, 0, 0x11, 0x22],
        &[0x0a, 0x0b, 0x0c, 0x0d, 3, 2],
    ]
    .concat();
    assert_eq!(bytes.as_slice(), expected);
}
