//! chrony's protocol against recorded bytes, and against servers that answer as no `chronyd` does.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::thread::JoinHandle;
use std::time::Duration;

use proptest::prelude::*;
use synod_truetime::sim::{Machine, World};
use synod_truetime::source::chrony::{
    Chrony, DATAGRAM_BYTES, Leap, LocalReference, QueryError, ReplyError, Tracking, Trust, request,
};
use synod_truetime::{Clocks, Source, SourceError, Stratum, Unsynchronized};

/// Recorded from chronyd 4.3: sequence number 2000, a source on the loopback interface.
const REPLY: &str = "\
    06020000002100050000000000000000000007d00000000000000000\
    7f0000017f0000010000000000000000000000000001000000020000000000006b03a32f0641f282\
    dd0c929acb660707d2d41a41f53096f0e92f37def8982d4fe0c0f8b7e8a8a4e5048219d7";
const SEQUENCE: u32 = 2000;

fn recorded() -> [u8; DATAGRAM_BYTES] {
    let byte = |i: usize| u8::from_str_radix(&REPLY[2 * i..2 * i + 2], 16).unwrap();
    std::array::from_fn(byte)
}

/// The recorded bytes with some of them changed.
fn changed(at: usize, bytes: &[u8]) -> [u8; DATAGRAM_BYTES] {
    let mut datagram = recorded();
    datagram[at..at + bytes.len()].copy_from_slice(bytes);
    datagram
}

#[test]
fn a_request_is_the_one_that_was_recorded() {
    let datagram = request(SEQUENCE);
    let mut expected = [0; DATAGRAM_BYTES];
    expected[..12].copy_from_slice(&[6, 1, 0, 0, 0, 0x21, 0, 0, 0, 0, 0x07, 0xd0]);
    assert_eq!(datagram, expected);
}

#[test]
fn the_recorded_reply_decodes() {
    let tracking = Tracking::decode(&recorded(), SEQUENCE).unwrap();
    assert_eq!(tracking.reference_id, [127, 0, 0, 1]);
    assert_eq!(tracking.stratum, 2);
    assert_eq!(tracking.leap, Leap::Normal);
    assert_eq!(tracking.reference_time_nanos, 1_795_400_495_104_985_218);
    let close = |found: f64, expected: f64| {
        assert!(
            (found / expected - 1.0).abs() < 1e-6,
            "{found} is not {expected}"
        );
    };
    close(tracking.correction.to_f64(), -1.813_675e-6);
    close(tracking.last_offset.to_f64(), -2.240_595_5e-9);
    close(tracking.rms_offset.to_f64(), 4.938_397_4e-8);
    close(tracking.frequency_ppm.to_f64(), -0.006_329_663);
    close(tracking.residual_ppm.to_f64(), -9.955_490_5e-5);
    close(tracking.skew_ppm.to_f64(), 0.018_576_292);
    close(tracking.root_delay.to_f64(), 5.751e-6);
    close(tracking.root_dispersion.to_f64(), 8.041_578_3e-5);
    close(tracking.update_interval.to_f64(), 1.016_413_6);
    // 5752/2 + 80416 + 1814: each part rounded up by itself.
    assert_eq!(tracking.bound_nanos(), 2876 + 80_416 + 1814);
    // 6.4 + 0.1 + 18.6, each rounded up.
    assert_eq!(tracking.drift_ppb(), 7 + 1 + 19);
}

#[test]
fn what_is_no_reply_has_a_name() {
    let decode = |datagram: &[u8]| Tracking::decode(datagram, SEQUENCE).unwrap_err();
    assert_eq!(decode(&[]), ReplyError::Length { bytes: 0 });
    assert_eq!(
        decode(&recorded()[..103]),
        ReplyError::Length { bytes: 103 }
    );
    let longer = [recorded().as_slice(), &[0]].concat();
    assert_eq!(decode(&longer), ReplyError::Length { bytes: 105 });
    assert_eq!(
        decode(&[0; DATAGRAM_BYTES]),
        ReplyError::Version { version: 0 }
    );
    assert_eq!(
        decode(&changed(0, &[5])),
        ReplyError::Version { version: 5 }
    );
    // Our own request, come back.
    assert_eq!(decode(&request(SEQUENCE)), ReplyError::NotTracking);
    assert_eq!(decode(&changed(4, &[0, 34])), ReplyError::NotTracking);
    assert_eq!(decode(&changed(6, &[0, 6])), ReplyError::NotTracking);
    let other = changed(16, &2001_u32.to_be_bytes());
    assert_eq!(decode(&other), ReplyError::Sequence { found: 2001 });
    assert_eq!(
        decode(&changed(8, &[0, 2])),
        ReplyError::Refused { status: 2 }
    );
    // A refusal of another request is not one of ours.
    let mut foreign = changed(8, &[0, 2]);
    foreign[16..20].copy_from_slice(&2001_u32.to_be_bytes());
    assert_eq!(decode(&foreign), ReplyError::Sequence { found: 2001 });
}

#[test]
fn a_field_that_makes_no_sense_has_a_name() {
    let field = |at, bytes: &[u8]| match Tracking::decode(&changed(at, bytes), SEQUENCE) {
        Err(ReplyError::Field { field }) => field,
        other => panic!("{other:?}"),
    };
    assert_eq!(field(54, &[0, 4]), "leap status");
    assert_eq!(
        field(64, &1_000_000_000_u32.to_be_bytes()),
        "reference time"
    );
    assert_eq!(field(56, &[0x10, 0, 0, 0]), "reference time");
    assert_eq!(field(92, &[0x01; 4]), "root delay");
    assert_eq!(field(96, &[0xff; 4]), "root dispersion");
    assert_eq!(field(100, &[0xff; 4]), "update interval");
    // A machine with seconds of 32 bits has no high word, and says so.
    let narrow = Tracking::decode(&changed(56, &0x7fff_ffff_u32.to_be_bytes()), SEQUENCE);
    assert_eq!(
        narrow.unwrap().reference_time_nanos,
        1_795_400_495_104_985_218
    );
}

proptest! {
    #[test]
    fn any_bytes_are_an_answer_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200), sequence: u32) {
        prop_assert!(Tracking::decode(&bytes, sequence).is_err());
    }

    /// Behind a head that is right: whatever decodes has a bound that covers its parts.
    #[test]
    fn any_report_has_a_bound(body in prop::collection::vec(any::<u8>(), 76)) {
        if let Ok(tracking) = Tracking::decode(&changed(28, &body), SEQUENCE) {
            let parts = tracking.root_delay.to_f64() / 2.0
                + tracking.root_dispersion.to_f64()
                + tracking.correction.to_f64().abs();
            let bound_nanos = tracking.bound_nanos();
            prop_assert!(bound_nanos == u64::MAX || bound_nanos as f64 >= parts * 1e9 * (1.0 - 1e-12));
            let _ = tracking.drift_ppb();
        }
    }
}

/// A server that answers one request by any number of datagrams, from its own socket.
fn server(
    answers: impl FnOnce(&UdpSocket, SocketAddr, u32) -> io::Result<()> + Send + 'static,
) -> (SocketAddr, JoinHandle<()>) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        let mut datagram = [0; 2 * DATAGRAM_BYTES];
        let (bytes, from) = socket.recv_from(&mut datagram).unwrap();
        assert_eq!(bytes, DATAGRAM_BYTES);
        let sequence = u32::from_be_bytes(datagram[8..12].try_into().unwrap());
        assert_eq!(datagram[..bytes], request(sequence));
        answers(&socket, from, sequence).unwrap();
    });
    (address, thread)
}

/// The recorded reply as the answer to another request, updated just now.
fn answer(sequence: u32) -> [u8; DATAGRAM_BYTES] {
    let mut datagram = changed(16, &sequence.to_be_bytes());
    let now_nanos = machine().realtime().as_nanos();
    let (seconds, nanos) = (now_nanos / 1_000_000_000, now_nanos % 1_000_000_000);
    datagram[56..64].copy_from_slice(&seconds.to_be_bytes());
    datagram[64..68].copy_from_slice(&u32::try_from(nanos).unwrap().to_be_bytes());
    datagram
}

/// The same answer again and again, until the asker has had enough: what he makes of it hangs on no timeout.
fn flood(socket: &UdpSocket, from: SocketAddr, datagram: &[u8]) {
    for _ in 0..FLOOD {
        // The asker may have gone already.
        let _ = socket.send_to(datagram, from);
    }
}

/// More datagrams than are looked at for one question.
const FLOOD: usize = 200;

/// The asker's clocks stand still at one time of one day: what a test says of an age is so on a busy machine
/// as well, and at midnight.
fn machine() -> Machine {
    Machine::new(&World::new(1), 0)
}

/// With patience enough for a machine that does much else.
fn chrony(address: SocketAddr) -> Chrony<Machine> {
    Chrony::new(machine())
        .at(address)
        .with_timeout(Duration::from_secs(60))
}

#[test]
fn strays_do_not_hide_the_answer() {
    let (address, thread) = server(|socket, from, sequence| {
        socket.send_to(&[], from)?;
        socket.send_to(&answer(sequence)[..50], from)?;
        socket.send_to(&[answer(sequence).as_slice(), &[0; 9]].concat(), from)?;
        socket.send_to(&answer(sequence.wrapping_add(1)), from)?;
        socket.send_to(&request(sequence), from)?;
        socket.send_to(&answer(sequence), from)?;
        Ok(())
    });
    let sample = chrony(address).sample().unwrap();
    assert!(sample.interval.contains(machine().realtime()));
    assert!(sample.interval.width() >= Duration::from_nanos(2 * (2876 + 80_416 + 1814)));
    thread.join().unwrap();
}

#[test]
fn nobody_else_can_answer() {
    let (address, thread) = server(|socket, from, sequence| {
        // The right answer from another port, before all others.
        let stranger = UdpSocket::bind("127.0.0.1:0")?;
        stranger.send_to(&answer(sequence), from)?;
        flood(socket, from, &answer(sequence ^ 1));
        Ok(())
    });
    let answer = chrony(address).tracking();
    assert!(
        matches!(answer, Err(QueryError::Reply(ReplyError::Sequence { .. }))),
        "{answer:?}"
    );
    thread.join().unwrap();
}

#[test]
fn an_answer_to_another_question_is_none() {
    let (address, thread) = server(|socket, from, sequence| {
        flood(socket, from, &answer(sequence ^ 1));
        Ok(())
    });
    let answer = chrony(address).tracking();
    assert!(
        matches!(answer, Err(QueryError::Reply(ReplyError::Sequence { .. }))),
        "{answer:?}"
    );
    thread.join().unwrap();
}

#[test]
fn a_flood_does_not_keep_the_question() {
    let (address, thread) = server(|socket, from, sequence| {
        for i in 1..=1000 {
            // The asker may have gone already.
            let _ = socket.send_to(&answer(sequence.wrapping_add(i)), from);
        }
        Ok(())
    });
    // With an hour of patience: the flood itself ends the question.
    let source = chrony(address).with_timeout(Duration::from_secs(3600));
    assert!(matches!(source.tracking(), Err(QueryError::Reply(_))));
    thread.join().unwrap();
}

#[test]
fn silence_and_absence_differ() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let source = chrony(address).with_timeout(Duration::from_millis(30));
    assert_eq!(source.sample(), Err(SourceError::TimedOut));
    // Connected to itself it hears nobody else, as if its port were closed, and nobody else can open it.
    silent.connect(address).unwrap();
    let patient = chrony(address);
    assert_eq!(patient.sample(), Err(SourceError::Unavailable));
}

/// What the source makes of the recorded reply with some bytes changed.
fn of_reply(
    change: impl FnOnce(&mut [u8; DATAGRAM_BYTES]) + Send + 'static,
) -> Result<Duration, SourceError> {
    let (address, thread) = server(|socket, from, sequence| {
        let mut datagram = answer(sequence);
        change(&mut datagram);
        socket.send_to(&datagram, from)?;
        Ok(())
    });
    let sample = chrony(address).sample();
    thread.join().unwrap();
    sample.map(|sample| sample.valid_for)
}

fn unsynchronized(why: Unsynchronized) -> Result<Duration, SourceError> {
    Err(SourceError::NotSynchronized(why))
}

fn move_reference_time(datagram: &mut [u8; DATAGRAM_BYTES], seconds: i64) {
    let then = i64::from_be_bytes(datagram[56..64].try_into().unwrap()) + seconds;
    datagram[56..64].copy_from_slice(&then.to_be_bytes());
}

#[test]
fn a_refusal_tells_why() {
    let refused =
        |status: u16| of_reply(move |reply| reply[8..10].copy_from_slice(&status.to_be_bytes()));
    assert_eq!(refused(2), Err(SourceError::Denied));
    assert_eq!(refused(1), Err(SourceError::Malformed));
    // Another version may be a stray, so the wait for a better answer goes on to its end.
    let (address, thread) = server(|socket, from, sequence| {
        let mut datagram = answer(sequence);
        datagram[0] = 7;
        flood(socket, from, &datagram);
        Ok(())
    });
    assert_eq!(
        chrony(address).sample(),
        Err(SourceError::UnknownVersion { found: 7 })
    );
    thread.join().unwrap();
}

#[test]
fn staleness_is_judged_here_and_not_by_the_leap_status() {
    let aged = |seconds: i64| of_reply(move |reply| move_reference_time(reply, -seconds));
    // Eight intervals of one second are less than two minutes: two minutes and a second it is.
    let fresh = aged(0).unwrap();
    assert!(
        fresh > Duration::from_millis(120_999) && fresh <= Duration::from_secs(121),
        "{fresh:?}"
    );
    let older = aged(100).unwrap();
    assert!(older <= Duration::from_secs(21), "{older:?}");
    assert_eq!(aged(125), unsynchronized(Unsynchronized::Old));
    // A daemon that polls once in 1024 seconds has a longer breath, up to the limit of the source.
    let slow = |seconds: i64| {
        of_reply(move |reply| {
            reply[100..104].copy_from_slice(&(12_u32 << 25 | 1 << 23).to_be_bytes());
            move_reference_time(reply, -seconds);
        })
    };
    assert!(slow(2300).unwrap() <= Duration::from_secs(100));
    assert_eq!(slow(2405), unsynchronized(Unsynchronized::Old));
    // An update in the future: the wall clock was set back.
    assert_eq!(aged(-10), Err(SourceError::Disrupted));
}

#[test]
fn what_is_not_synchronised_has_no_interval() {
    let leap = |leap: u8| of_reply(move |reply| reply[55] = leap);
    assert_eq!(leap(3), unsynchronized(Unsynchronized::Said));
    assert_eq!(
        of_reply(|reply| reply[53] = 0),
        unsynchronized(Unsynchronized::Said)
    );
}

/// As `chronyd` answers in local mode: 127.127.1.1, leap normal, stratum 10, and neither delay nor dispersion. The same
/// from ntpd, and from a server that smooths.
#[test]
fn a_reference_that_is_none_is_not_believed() {
    for id in [
        [127, 127, 1, 1],
        [127, 127, 1, 0],
        [127, 127, 1, 255],
        *b"LOCL",
    ] {
        let local = move |reply: &mut [u8; DATAGRAM_BYTES]| {
            reply[28..32].copy_from_slice(&id);
            // Below the largest stratum too: the configuration may say `local stratum 1`.
            reply[53] = 1;
            reply[92..100].fill(0);
        };
        assert_eq!(
            of_reply(local),
            unsynchronized(Unsynchronized::LocalReference),
            "{id:?}"
        );
    }
    let none = |reply: &mut [u8; DATAGRAM_BYTES]| reply[28..32].fill(0);
    assert_eq!(of_reply(none), unsynchronized(Unsynchronized::Said));
    // Their neighbours are somebody's address.
    for id in [
        [127, 127, 2, 1],
        [127, 126, 1, 1],
        [127, 0, 0, 1],
        *b"LOCK",
        *b"PHC0",
    ] {
        let answer = of_reply(move |reply| reply[28..32].copy_from_slice(&id));
        assert!(answer.is_ok(), "{id:?}: {answer:?}");
    }
}

/// A client of a server in local mode: that server's address, a small dispersion, and a stratum.
#[test]
fn a_stratum_that_only_local_clocks_have_is_not_believed() {
    let of = |stratum: u8| of_reply(move |reply| reply[53] = stratum);
    assert!(of(9).is_ok());
    for stratum in [10, 11, 15] {
        let why = Unsynchronized::Stratum {
            stratum: Stratum::new(stratum.into()),
            stratum_max: Stratum::MAX_DEFAULT,
        };
        assert_eq!(of(stratum), unsynchronized(why));
    }
    let strict = Trust {
        stratum_max: Stratum::new(1),
        ..Trust::DEFAULT
    };
    let tracking = Tracking::decode(&recorded(), SEQUENCE).unwrap();
    assert!(tracking.check(&strict).is_err());
}

#[test]
fn a_local_reference_is_believed_by_its_name_and_with_the_callers_bound() {
    let bound = Duration::from_secs(2);
    let of = |id: [u8; 4], local: LocalReference| {
        let datagram = changed(28, &id);
        let tracking = Tracking::decode(&datagram, SEQUENCE).unwrap();
        let trust = Trust {
            local: Some(local),
            ..Trust::DEFAULT
        };
        tracking.check(&trust)
    };
    let (here, at) = (
        LocalReference::here([10, 0, 0, 1], bound),
        LocalReference::at([10, 0, 0, 1], bound),
    );
    assert_eq!(of([127, 127, 1, 1], here), Ok(bound));
    assert_eq!(of([10, 0, 0, 1], at), Ok(bound));
    // A client that has lost the server and goes by itself shares its clock with nobody.
    assert_eq!(
        of([127, 127, 1, 1], at),
        Err(Unsynchronized::LocalReference)
    );
    // Another server is what it was without.
    assert_eq!(of([10, 0, 0, 2], at), Ok(Duration::ZERO));

    let (address, thread) = server(|socket, from, sequence| {
        let mut datagram = answer(sequence);
        datagram[28..32].copy_from_slice(&[127, 127, 1, 1]);
        datagram[53] = 10;
        socket.send_to(&datagram, from)?;
        Ok(())
    });
    let sample = chrony(address).with_local_reference(here).sample().unwrap();
    thread.join().unwrap();
    assert!(sample.interval.epsilon() >= bound);
    assert_eq!(sample.stratum, Stratum::new(10));
}
