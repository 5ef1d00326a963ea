//! What daemons and peers tell of the time, and what is believed of it.

use std::time::Duration;

use synod_truetime::source::chrony::{DATAGRAM_BYTES, Float, Tracking, Trust, request};
use synod_truetime::source::clockbound::{SEGMENT_BYTES, Segment};
use synod_truetime::source::peer::{Exchange, Reply, Request};
use synod_truetime::source::{Question, Sample};
use synod_truetime::vmclock::Page;
use synod_truetime::{Clocks, Drift, Local, Timestamp};

use crate::memory::bounded;
use crate::script::Script;

/// First byte: from whom. Then the clocks of this machine, then what came.
pub(crate) fn run(data: &[u8]) {
    let mut script = Script::new(data);
    match script.below(5) {
        0 => chrony(&mut script),
        1 => clockbound(&mut script),
        2 => peer(&mut script),
        4 => page(script.rest()),
        _ => float(&mut script),
    }
}

/// Clocks that stand.
struct Standing {
    local: u64,
    wall: i64,
}

impl Clocks for Standing {
    fn local(&self) -> Local {
        Local::from_nanos(self.local)
    }

    fn monotonic(&self) -> u64 {
        self.local
    }

    fn boottime(&self) -> u64 {
        self.local
    }

    fn realtime(&self) -> Timestamp {
        Timestamp::from_nanos(self.wall)
    }
}

fn question(script: &mut Script<'_>) -> Question {
    let clocks = Standing {
        local: script.number(),
        wall: script.number().cast_signed(),
    };
    Question::ask(&clocks, || ()).0
}

/// The wall clock is inside, and what the source says of its own error is.
fn believe(sample: &Sample, question: &Question, bound_nanos: u64) {
    let interval = sample.interval;
    assert!(
        interval.contains(question.wall()),
        "the wall clock is outside"
    );
    assert!(interval.earliest() <= interval.latest());
    let room = interval
        .latest()
        .as_nanos()
        .abs_diff(question.wall().as_nanos());
    let at_the_end = interval.latest() == Timestamp::from_nanos(i64::MAX);
    assert!(
        room >= bound_nanos || at_the_end,
        "narrower than the source says"
    );
}

fn chrony(script: &mut Script<'_>) {
    let question = question(script);
    let trust = Trust {
        age_max: Duration::from_nanos(script.number()),
        ..Trust::DEFAULT
    };
    let answer = script.take(DATAGRAM_BYTES + 4);
    let Ok(tracking) = bounded(answer.len(), || Tracking::decode(answer, SEQUENCE)) else {
        return;
    };
    let (bound_nanos, _drift) = (tracking.bound_nanos(), tracking.drift_ppb());
    if let Ok(sample) = tracking.sample(&question, &trust) {
        believe(&sample, &question, bound_nanos);
    }
}

fn clockbound(script: &mut Script<'_>) {
    let question = question(script);
    let monotonic_nanos = script.number();
    let mut bytes = [0; SEGMENT_BYTES];
    let given = script.take(SEGMENT_BYTES);
    bytes[..given.len()].copy_from_slice(given);
    let Ok(segment) = bounded(SEGMENT_BYTES, || Segment::decode(&bytes)) else {
        return;
    };
    if let Ok(sample) = segment.sample(&question, monotonic_nanos, Drift::DEFAULT) {
        assert!(monotonic_nanos < segment.void_after_nanos, "void");
        assert!(monotonic_nanos >= segment.as_of_nanos, "of the future");
        believe(&sample, &question, segment.bound_nanos);
    }
}

fn peer(script: &mut Script<'_>) {
    let exchange = Exchange::begin(
        script.number(),
        Local::from_nanos(script.number()),
        Drift::DEFAULT,
    );
    let asked = exchange.request();
    assert_eq!(Request::decode(asked.encode()), asked);
    let answered = Local::from_nanos(script.number());
    let mut bytes = [0; Reply::BYTES];
    let given = script.take(Reply::BYTES);
    bytes[..given.len()].copy_from_slice(given);
    let Ok(reply) = bounded(Reply::BYTES, || Reply::decode(&bytes)) else {
        return;
    };
    assert_eq!(reply.encode(), bytes, "two encodings of {reply:?}");
    if let Ok(sample) = exchange.finish(&reply, answered) {
        assert_eq!(
            reply.nonce,
            asked
                .encode()
                .into_iter()
                .fold(0, |nonce, byte| nonce << 8 | u64::from(byte))
        );
        assert!(
            sample.interval.latest() == reply.received.latest(),
            "{sample:?}"
        );
        assert!(
            sample.interval.earliest() <= reply.sent.earliest(),
            "{sample:?}"
        );
    }
}

/// What stands behind the fields that are known changes nothing, and a page that is being written is none.
fn page(bytes: &[u8]) {
    let read = bounded(bytes.len(), || Page::decode(bytes));
    let Ok(page) = read else {
        return;
    };
    assert!(bytes.len() >= 40 && bytes[12] & 1 == 0, "{page:?}");
    let longer = Page::decode(&[bytes, &[0xff; 8]].concat());
    // All but the generation, which is the last and may become whole by it.
    let fields = |page: Page| (page.disruption_marker, page.flags, page.clock_status);
    assert_eq!(longer.map(fields), Ok(fields(page)));
}

/// Rounded outward: never less than the number is.
fn float(script: &mut Script<'_>) {
    let float = Float::from_bits(script.word() as u32);
    let above = float.magnitude_above(1_000_000_000);
    let exact = float.to_f64().abs() * 1e9;
    assert!(
        above as f64 >= exact.min(u64::MAX as f64) * (1.0 - 1e-12),
        "{float:?}: {above} < {exact}"
    );
    assert_eq!(float.is_negative(), float.to_f64() < 0.0);
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut answer = request(SEQUENCE);
    answer[1] = 2;
    answer[6..10].copy_from_slice(&[0, 5, 0, 0]);
    answer[8..12].fill(0);
    answer[16..20].copy_from_slice(&SEQUENCE.to_be_bytes());
    let mut segment = [0; SEGMENT_BYTES];
    let fields: [(usize, &[u8]); 6] = [
        (0, &0x414D_5A4E_u32.to_ne_bytes()),
        (4, &0x4342_0200_u32.to_ne_bytes()),
        (8, &80_u32.to_ne_bytes()),
        (12, &2_u16.to_ne_bytes()),
        (32, &100_u64.to_ne_bytes()),
        (68, &1_i32.to_ne_bytes()),
    ];
    for (at, field) in fields {
        segment[at..][..field.len()].copy_from_slice(field);
    }
    let reply = [0; Reply::BYTES];
    let mut page = [0; 112];
    page[..4].copy_from_slice(b"VCLK");
    page[4] = 112;
    page[8] = 1;
    page[24..32].fill(0xff);
    vec![
        [&[0, 9, 9, 240][..], &answer].concat(),
        [&[1, 9, 9, 9][..], &segment].concat(),
        [&[2, 0, 9, 10][..], &reply].concat(),
        vec![3, 1, 2, 3, 4],
        [&[4][..], &page].concat(),
    ]
}

const SEQUENCE: u32 = 0x0102_0304;
