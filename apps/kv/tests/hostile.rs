//! What hostile bytes may cost: every decoder of this package is fed arbitrary ones, and the bytes
//! that live at any moment meanwhile are counted. Each thread counts its own: the tests of this file
//! run beside each other, and a decoder has no thread but its caller's.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    any::Any,
    cell::Cell,
    future::{Future, pending},
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use redis_protocol::resp2::types::BytesFrame;
use synod_kv::{
    Blob, Client, Command, Consensus, Entry, Failure, Framer, Kv, LIST_MAX, RequestLimits,
    Response, Server, ServerLimits, Store, info_field, parse, read_snapshot, write_snapshot,
};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    sync::watch,
    time::timeout,
};

/// The system's allocator, and a count.
struct Counting;

thread_local! {
    /// Below zero where another thread's allocation is freed.
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    // A thread that is ending allocates too, and counts no more.
    let _ = LIVE.try_with(|live| {
        live.set(live.get() + bytes);
        PEAK.try_with(|peak| peak.set(peak.get().max(live.get())))
    });
}

// SAFETY: every call is handed on to the system's allocator with the arguments it came with, and
// its answer is handed back, so whoever keeps the contract of `GlobalAlloc` towards this keeps it
// towards that, and gets what that promises. The counters need no destructor and no lazy start, so
// they allocate nothing, and the sizes of live layouts never sum up to more than `isize::MAX`.
#[allow(
    unsafe_code,
    reason = "an allocator cannot be had without; proof above"
)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promises are those that this call asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: as above; `at` came from `System`, by `alloc` or `realloc` of this.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        // Old and new may stand side by side while one is copied to the other.
        count(bytes as isize);
        // SAFETY: as above.
        let moved = unsafe { System.realloc(at, layout, bytes) };
        count(-(layout.size() as isize));
        moved
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most bytes that `run` had at a time beyond those that were there before.
fn peak<T>(run: impl FnOnce() -> T) -> (T, usize) {
    let before = LIVE.get();
    PEAK.set(before);
    let result = run();
    (result, (PEAK.get() - before) as usize)
}

/// Reads a stream as a connection does, in pieces, and gives each request a meaning.
fn requests(stream: &[u8], limits: RequestLimits, piece: usize) -> usize {
    let (mut framer, mut input, mut count) = (Framer::new(limits), BytesMut::new(), 0);
    for piece in stream.chunks(piece) {
        input.extend_from_slice(piece);
        loop {
            match framer.next(&mut input) {
                Ok(Some(args)) => {
                    count += 1;
                    let _ = parse(&args);
                }
                Ok(None) => break,
                Err(_) => return count,
            }
        }
    }
    count
}

/// The input (a buffer may be twice what is in it, and stand beside its successor while it grows),
/// the arguments as the codec and the framer hold them, each list likewise, and the command made of
/// them.
fn request_bytes_max(limits: RequestLimits) -> usize {
    let lists = size_of::<BytesFrame>() + size_of::<Bytes>() + 2 * size_of::<Blob<'_>>();
    6 * limits.request_bytes_max + 3 * limits.args_max * lists + SLACK_BYTES
}

/// Borrowed keys and values of the longest list, which may stand beside its successor.
const COMMAND_BYTES_MAX: usize = 3 * LIST_MAX * size_of::<(Blob<'_>, Blob<'_>)>() + SLACK_BYTES;

/// The reader's buffer, a key and a value on their way into the map, and for what was really there its
/// keys, values and places in the tree.
fn snapshot_bytes_max(len: usize) -> usize {
    4 * 64 * 1_024 + 40 * len + SLACK_BYTES
}

const TIMEOUT: Duration = Duration::from_secs(60);
/// What one run of a test needs beside what it tests.
const SLACK_BYTES: usize = 4 * 1_024;

const LIMITS: RequestLimits = RequestLimits {
    bulk_bytes_max: 512,
    args_max: 16,
    request_bytes_max: 2_048,
};

proptest! {
    #[test]
    fn requests_cost_what_their_limits_say(stream in hostile_stream(), piece in 1..700_usize) {
        let (_, peak) = peak(|| requests(&stream, LIMITS, piece));
        prop_assert!(peak <= request_bytes_max(LIMITS), "{peak} bytes");
    }

    #[test]
    fn commands_cost_what_their_limits_say(bytes in hostile_command()) {
        let (_, peak) = peak(|| drop(Command::decode(&bytes)));
        let allowed = (32 * bytes.len() + SLACK_BYTES).min(COMMAND_BYTES_MAX);
        prop_assert!(peak <= allowed, "{peak} bytes for {}", bytes.len());
    }

    #[test]
    fn snapshots_cost_what_is_there(
        pairs in prop::collection::btree_map(blob(), blob(), 0..40),
        noise in blob(),
        at in any::<prop::sample::Index>(),
        mode in 0..3,
    ) {
        let mut kv = Kv::default();
        let list = pairs.iter().map(|(key, value)| (Blob(key), Blob(value))).collect();
        kv.execute(&Command::SetMany { pairs: list }.encode());
        let mut bytes = Vec::new();
        write_snapshot(&kv, &mut bytes).unwrap();
        let from = at.index(bytes.len());
        match mode {
            // Overwritten in the middle, cut, or nothing but noise.
            0 => bytes.iter_mut().skip(from).zip(&noise).for_each(|(byte, other)| *byte = *other),
            1 => bytes.truncate(from),
            _ => bytes = noise,
        }
        let (_, peak) = peak(|| drop(read_snapshot(&mut &bytes[..])));
        prop_assert!(peak <= snapshot_bytes_max(bytes.len()), "{peak} bytes for {}", bytes.len());
    }
}

/// A header announces; only what follows it may cost.
#[test]
fn an_announcement_costs_nothing() {
    let limits = RequestLimits::default();
    for stream in [
        format!("*{}\r\n", limits.args_max),
        format!("*2\r\n$4\r\nECHO\r\n${}\r\n", limits.bulk_bytes_max),
        format!("*{}\r\n$0\r\n\r\n", i64::MAX),
    ] {
        let (_, peak) = peak(|| requests(stream.as_bytes(), limits, stream.len()));
        assert!(peak <= SLACK_BYTES, "{peak} bytes for {stream:?}");
    }
    // Delete and SetMany, whose length is 2^63 - 1.
    for kind in [1, 4] {
        let entry = [kind, 255, 255, 255, 255, 255, 255, 255, 255, 127];
        let (command, peak) = peak(|| Command::decode(&entry).is_some());
        assert!(!command && peak <= SLACK_BYTES, "{peak} bytes");
    }
    let mut snapshot = Vec::new();
    write_snapshot(&Kv::default(), &mut snapshot).unwrap();
    // As many keys as can be said, and a key of 64 KiB, none of which is there.
    snapshot[24..32].copy_from_slice(&u64::MAX.to_le_bytes());
    snapshot[32..36].copy_from_slice(&65_536_u32.to_le_bytes());
    let (read, peak) = peak(|| read_snapshot(&mut &snapshot[..]).is_ok());
    assert!(!read && peak <= snapshot_bytes_max(0), "{peak} bytes");
}

/// The largest of what is allowed, with as many parts as are allowed.
#[test]
fn the_largest_request_and_the_longest_list_keep_to_the_limits() {
    let limits = RequestLimits::default();
    let many = format!("*{}\r\n$3\r\nDEL\r\n", limits.args_max)
        + &"$0\r\n\r\n".repeat(limits.args_max - 1);
    let large = [
        format!(
            "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${}\r\n",
            limits.bulk_bytes_max
        )
        .into_bytes(),
        vec![b'x'; limits.bulk_bytes_max],
        b"\r\n".to_vec(),
    ]
    .concat();
    for stream in [many.as_bytes(), &large] {
        let (count, peak) = peak(|| requests(stream, limits, 16 * 1_024));
        assert_eq!(count, 1);
        assert!(peak <= request_bytes_max(limits), "{peak} bytes");
    }
    // An entry of two mebibytes in which every other byte is a pair.
    let mut entry = vec![0; 2 << 20];
    entry[..4].copy_from_slice(&[4, 255, 255, 63]);
    let (command, peak) = peak(|| Command::decode(&entry).is_some());
    assert!(!command && peak <= COMMAND_BYTES_MAX, "{peak} bytes");
}

/// What a request holds until it is answered is more than its bytes on the wire: its arguments, each
/// with a header of its own. 240 clients that each ask for thousands of keys, and get no answer, would have
/// the server hold 90 MB; it may hold 16. They ask for less and less, so whoever goes is one that the store keeps
/// waiting, and gives back what it asked for.
#[test]
fn requests_that_wait_for_their_answers_keep_to_the_limit_of_all_clients() {
    let limits = ServerLimits {
        clients_max: 400,
        clients_bytes_max: 16 << 20,
        ..ServerLimits::default()
    };
    let request = |keys: usize| {
        format!(
            "*{}\r\n$4\r\nMGET\r\n{}",
            keys + 1,
            "$1\r\nk\r\n".repeat(keys)
        )
    };
    let store = Endless::default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (evicted, peak) = peak(|| {
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let (_stop, stopped) = watch::channel(false);
            tokio::spawn(Server::run(listener, store.clone(), limits, stopped));
            let mut steady = Client::connect(address).await.unwrap();
            let mut asked = Vec::new();
            // Of each size three quarters of what there may be, so that there always is a larger one.
            let sizes = [
                (16_383, 16),
                (13_100, 20),
                (10_500, 25),
                (8_400, 31),
                (6_700, 39),
                (5_400, 48),
                (4_300, 61),
            ];
            let sizes = sizes
                .iter()
                .flat_map(|&(keys, clients)| std::iter::repeat_n(keys, clients));
            for (client, keys) in sizes.enumerate() {
                let mut socket = TcpStream::connect(address).await.unwrap();
                let request = request(keys);
                // Whoever is cut may be cut while it sends.
                let _ = socket.write_all(request.as_bytes()).await;
                asked.push(socket);
                // It has come to the store, so that it waits there when it is cut.
                let served = async {
                    while store.reads() <= client {
                        tokio::task::yield_now().await;
                    }
                };
                timeout(TIMEOUT, served)
                    .await
                    .expect("the newest is served");
                let text = steady.info().await.unwrap();
                let bytes: usize = info_field(&text, "client_bytes").unwrap().parse().unwrap();
                assert!(bytes <= limits.clients_bytes_max, "{bytes} bytes");
            }
            let text = steady.info().await.unwrap();
            info_field(&text, "evicted_clients")
                .unwrap()
                .parse::<u64>()
                .unwrap()
        })
    });
    assert!(evicted > 100, "{evicted} were cut");
    // While it is read, one request is there in more copies than it holds later.
    let allowed = limits.clients_bytes_max + request_bytes_max(limits.request);
    assert!(peak <= allowed, "{peak} bytes");
}

/// A store that answers nothing, and keeps what it was asked, also when nobody waits for it any more: so does
/// a group that waits for a leader.
#[derive(Clone, Default)]
struct Endless(Arc<Mutex<Vec<Box<dyn Any + Send>>>>);

impl Endless {
    /// How many reads it was asked.
    fn reads(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

impl Store for Endless {
    fn write(&self, _: Entry) -> impl Future<Output = Result<Response, Failure>> + Send + 'static {
        pending()
    }

    fn read<R: Send + 'static>(
        &self,
        with: impl FnOnce(&Kv) -> R + Send + 'static,
    ) -> impl Future<Output = Result<R, Failure>> + Send + 'static {
        self.0.lock().unwrap().push(Box::new(with));
        pending()
    }

    fn consensus(&self) -> Consensus {
        Consensus::default()
    }

    fn closed(&self) -> Option<String> {
        None
    }
}

/// The allocator sees what there is to see: a check that counts nothing would pass everything.
#[test]
fn what_is_allocated_is_counted() {
    let (_, peak) = peak(|| drop((vec![0_u8; 100_000], vec![0_u8; 50_000])));
    assert!(
        (150_000..150_000 + SLACK_BYTES).contains(&peak),
        "{peak} bytes"
    );
}

fn blob() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..40)
}

/// Noise, and headers with lengths that do and do not hold: pure noise ends at its first byte.
fn hostile_stream() -> impl Strategy<Value = Vec<u8>> {
    let length = prop_oneof![
        4 => 0..20_i64,
        2 => 500..530_i64,
        1 => 2_000..2_100_i64,
        1 => any::<i64>(),
    ];
    let piece = prop_oneof![
        (length.clone(), prop::sample::select(vec!['*', '$']))
            .prop_map(|(length, kind)| format!("{kind}{length}\r\n").into_bytes()),
        (0..530_usize).prop_map(|len| [
            format!("${len}\r\n").as_bytes(),
            &vec![b'k'; len],
            b"\r\n"
        ]
        .concat()),
        prop::sample::select(vec![
            "$3\r\nSET\r\n",
            "$4\r\nMSET\r\n",
            "$3\r\nDEL\r\n",
            "$4\r\nECHO\r\n",
            "\r\n"
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        blob(),
    ];
    (0..18_u8, prop::collection::vec(piece, 0..24))
        .prop_map(|(args, pieces)| [format!("*{args}\r\n").into_bytes(), pieces.concat()].concat())
}

/// A variant that exists, a length, and noise: or nothing but noise.
fn hostile_command() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        blob(),
        (
            0..9_u8,
            prop::collection::vec(any::<u8>(), 0..11),
            prop::collection::vec(0..4_u8, 0..600)
        )
            .prop_map(|(kind, length, rest)| [vec![kind], length, rest].concat()),
    ]
}
