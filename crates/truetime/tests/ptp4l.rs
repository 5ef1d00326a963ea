//! What `ptp4l` answers about the clock that it keeps, from answers made by IEEE 1588 and linuxptp's header; none of a
//! real one.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use synod_truetime::sim::{Machine, World};
use synod_truetime::source::phc::{HardwareClock, Phc, Ptp4l};
use synod_truetime::{Source, SourceError, Timestamp, Unsynchronized};

/// What it would say.
#[derive(Clone, Copy)]
struct State {
    offset_nanos: i64,
    delay_nanos: i64,
    has_master: bool,
    flags: u8,
    refuses: bool,
    /// Also answers a question that nobody asked, first.
    strays: bool,
}

const GOOD: State = State {
    offset_nanos: -300,
    delay_nanos: 2_000,
    has_master: true,
    flags: 0x04 | 0x08,
    refuses: false,
    strays: true,
};

/// A card on TAI that is right.
struct Card(World);

impl HardwareClock for Card {
    fn time(&self) -> Result<Timestamp, SourceError> {
        Ok(self.0.now() + Duration::from_secs(37))
    }
}

fn reply(request: &[u8], state: &State) -> Vec<u8> {
    let id = u16::from_be_bytes([request[52], request[53]]);
    let data = match id {
        0x2001 => {
            let mut data = vec![0, 1];
            data.extend((state.offset_nanos << 16).to_be_bytes());
            data.extend((state.delay_nanos << 16).to_be_bytes());
            data
        }
        0x2003 => vec![0, 37, state.flags, 0x20],
        0xc000 => {
            let mut data = vec![0; 50];
            data[41] = state.has_master.into();
            data
        }
        other => panic!("nobody asks for {other:04x}"),
    };
    let mut reply = request[..48].to_vec();
    reply[46] = 2;
    if state.refuses {
        reply.extend([0, 2, 0, 8, 0, 6, request[52], request[53], 0, 0, 0, 0]);
    } else {
        reply.extend([0, 1, 0, data.len() as u8 + 2, request[52], request[53]]);
        reply.extend(data);
    }
    let length = reply.len() as u16;
    reply[2..4].copy_from_slice(&length.to_be_bytes());
    reply
}

/// Answers at a path until it is asked by a datagram of one byte to stop; gives the first request.
fn serve(socket: &UnixDatagram, state: &Mutex<State>) -> Vec<u8> {
    let (mut request, mut first) = ([0; 256], None);
    loop {
        let (bytes, asker) = socket.recv_from(&mut request).unwrap();
        if bytes == 1 {
            return first.unwrap_or_default();
        }
        let asked = &request[..bytes];
        let path = asker.as_pathname().expect("who asks has a name");
        let state = *state.lock().unwrap();
        let answer = reply(asked, &state);
        if state.strays {
            let mut stray = answer.clone();
            stray[31] = stray[31].wrapping_add(1);
            socket.send_to(&stray, path).unwrap();
            socket.send_to(b"stray", path).unwrap();
        }
        socket.send_to(&answer, path).unwrap();
        first.get_or_insert_with(|| asked.to_vec());
    }
}

/// With a server at a path in a folder of its own; gives its first request.
fn with_server(test: impl FnOnce(&Path, &Mutex<State>)) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ptp4lro");
    let socket = UnixDatagram::bind(&path).unwrap();
    let state = Mutex::new(GOOD);
    thread::scope(|scope| {
        let served = scope.spawn(|| serve(&socket, &state));
        let tested = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| test(&path, &state)));
        UnixDatagram::unbound()
            .unwrap()
            .send_to(b"x", &path)
            .unwrap();
        let first = served.join().unwrap();
        tested.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        first
    })
}

/// Long enough for a machine that does much else: no answer that comes is waited for so long.
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn ptp4l_says_how_wrong_its_clock_is_and_on_which_scale() {
    let world = World::new(1);
    let machine = Machine::new(&world, 100);
    let request = with_server(|path, state| {
        let card = Ptp4l::new(Card(world.clone()))
            .at(path)
            .with_timeout(PATIENCE);
        let phc = Phc::new(&machine, card.with_domain(24), Duration::from_micros(1));
        let sample = phc.sample().unwrap();
        // TAI, without a word of the caller.
        assert!(world.is_in(&sample.interval), "{}", sample.interval);
        let epsilon = sample.interval.epsilon();
        assert!(
            epsilon >= Duration::from_nanos(3_300),
            "all of it counts: {epsilon:?}"
        );
        assert!(epsilon < Duration::from_nanos(3_400), "{epsilon:?}");

        let ask = |changed| {
            *state.lock().unwrap() = changed;
            phc.sample().map(|sample| sample.interval)
        };
        // It became the master itself: right by its own word, and by nobody else's.
        let alone = ask(State {
            has_master: false,
            offset_nanos: 0,
            delay_nanos: 0,
            ..GOOD
        });
        let free = SourceError::NotSynchronized(Unsynchronized::FreeRunning);
        assert_eq!(alone, Err(free));
        let backwards = ask(State {
            delay_nanos: -1,
            ..GOOD
        });
        assert_eq!(backwards, Err(SourceError::Malformed));
        for leap in [1, 2] {
            let due = ask(State {
                flags: GOOD.flags | leap,
                ..GOOD
            });
            assert_eq!(due, Err(SourceError::Disrupted));
        }
        assert_eq!(
            ask(State {
                refuses: true,
                ..GOOD
            }),
            Err(SourceError::Denied)
        );
        // Nobody vouches for the 37 s: the caller's word counts, which is none here.
        for flags in [0, 0x04, 0x08] {
            let on_tai = ask(State { flags, ..GOOD }).unwrap();
            assert!(!world.is_in(&on_tai), "{flags}");
        }
        assert!(world.is_in(&ask(GOOD).unwrap()));
    });
    let mut expected = vec![0; 54];
    (expected[0], expected[1], expected[3], expected[4]) = (0x0d, 2, 54, 24);
    expected[28..30].copy_from_slice(&(std::process::id() as u16).to_be_bytes());
    // Which of many questions it is, is drawn.
    expected[30..32].copy_from_slice(&request[30..32]);
    (expected[32], expected[33]) = (4, 0x7f);
    expected[34..44].fill(0xff);
    expected[49..54].copy_from_slice(&[1, 0, 2, 0xc0, 0x00]);
    assert_eq!(request, expected);
}

#[test]
fn without_ptp4l_there_is_no_sample() {
    let world = World::new(2);
    let machine = Machine::new(&world, 100);
    let folder = tempfile::tempdir().unwrap();
    let nobody = Ptp4l::new(Card(world.clone())).at(folder.path().join("ptp4lro"));
    let phc = Phc::new(&machine, nobody, Duration::from_micros(1));
    assert_eq!(phc.sample(), Err(SourceError::Unavailable));
    // One that hangs.
    let path = folder.path().join("hangs");
    let _hangs = UnixDatagram::bind(&path).unwrap();
    let hangs = Ptp4l::new(Card(world))
        .at(path)
        .with_timeout(Duration::from_millis(1));
    let phc = Phc::new(&machine, hangs, Duration::from_micros(1));
    assert_eq!(phc.sample(), Err(SourceError::TimedOut));
}
