//! The cases of the transport suite.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::task::{Context, Wake, Waker};
use std::thread;

use synod_transport::{NodeId, Transport};
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

use super::Network;
use super::post::{AGAIN, ONE, Post, THREE, TIMEOUT, TWO, deliver_empty};
use crate::conformance::messages::TestMessage;
use crate::conformance::suite::{Suite, Unsupported};

type Outcome = Result<(), Unsupported>;

pub(super) async fn run<N: Network>(suite: &mut Suite, fresh: &mut dyn FnMut() -> N) {
    macro_rules! case {
        ($name:ident, $promise:literal) => {
            let run = async { $name(&mut Post::new(fresh()).await).await };
            suite.case_async(stringify!($name), $promise, run).await;
        };
    }
    case!(
        exchange,
        "a message, if it arrives, is the one that was sent, by the node it names"
    );
    case!(parcels, "the receiver sees one run of bytes, head first");
    case!(empty, "an empty message is valid and arrives as such");
    case!(
        everybody,
        "a message never arrives under another node's name"
    );
    case!(flush, "nothing leaves before the flush");
    case!(
        strangers,
        "a message to the node itself or to an unknown node is dropped"
    );
    case!(
        wakes,
        "the task of the last call is woken once something is there"
    );
    case!(
        reconnect,
        "a node that went away is reached in its next incarnation"
    );
    case!(
        control_first,
        "bulk is sent when no control is left to send"
    );
    case!(deaf_peer, "no method blocks or waits");
    case!(
        newest_control,
        "a full control lane drops its oldest message"
    );
    case!(
        bounded,
        "nothing grows without bound while a peer does not read"
    );
    case!(
        longest_message,
        "what exceeds the limit is dropped, and harms nothing else"
    );
    case!(
        partition,
        "a cut link loses messages, and a healed one carries them again"
    );
}

async fn exchange<N: Network>(post: &mut Post<N>) -> Outcome {
    let max = post.network.limits().message_bytes_max.unwrap_or(1 << 20);
    for bytes in [
        0,
        65,
        255,
        256,
        1_000,
        4_096,
        65_535,
        65_536,
        200_000,
        1 << 20,
    ] {
        let bytes = bytes.min(max);
        let mut messages = Vec::new();
        for control in [true, false] {
            messages.push(post.make(ONE, TWO, bytes, control));
            messages.push(post.make(TWO, ONE, bytes, control));
        }
        // A lane has a bound of its own, which the largest of them may exceed.
        messages.retain(|sent| !sent.control || sent.bytes <= 65_536);
        post.deliver(&messages).await;
    }
    Ok(())
}

async fn parcels<N: Network>(post: &mut Post<N>) -> Outcome {
    // The number is where a frame has its group; parts come in every number, some of them empty.
    for round in 0..20 {
        let messages: Vec<TestMessage> = (0..12)
            .map(|at| post.make(ONE, TWO, 64 + at * 97 + round, at % 3 == 0))
            .collect();
        for sent in &messages {
            post.queue(*sent);
        }
        post.end(ONE).flush();
        post.deliver(&messages).await;
    }
    Ok(())
}

async fn empty<N: Network>(post: &mut Post<N>) -> Outcome {
    deliver_empty(post).await;
    Ok(())
}

async fn everybody<N: Network>(post: &mut Post<N>) -> Outcome {
    let nodes = [ONE, TWO, THREE];
    for round in 0..10 {
        let mut messages = Vec::new();
        for (from, to) in nodes
            .into_iter()
            .flat_map(|from| nodes.map(|to| (from, to)))
        {
            for at in (0..20).filter(|_| from != to) {
                messages.push(post.make(from, to, 64 + at * 50 + round, at % 2 == 0));
            }
        }
        post.deliver(&messages).await;
    }
    Ok(())
}

/// What waits from an earlier flush, as on a new connection, may take along what was queued after
/// it. So it is enough that nothing leaves in one of several attempts.
async fn flush<N: Network>(post: &mut Post<N>) -> Outcome {
    let mut early = None;
    for _ in 0..FLUSHES {
        post.meet(ONE, TWO).await;
        let messages: Vec<TestMessage> = (0..5)
            .map(|at| post.make(ONE, TWO, 100, at % 2 == 0))
            .collect();
        for sent in &messages {
            post.queue(*sent);
        }
        early = None;
        while let Some(sent) = post.listen(TWO).await {
            early = early.or_else(|| messages.contains(&sent).then_some(sent));
        }
        post.deliver(&messages).await;
        if early.is_none() {
            break;
        }
    }
    assert_eq!(
        early, None,
        "it left before the flush, {FLUSHES} times of {FLUSHES}"
    );
    Ok(())
}

async fn strangers<N: Network>(post: &mut Post<N>) -> Outcome {
    post.meet(ONE, TWO).await;
    let mut messages = Vec::new();
    for round in 0..50 {
        for to in [ONE, NodeId(0), NodeId(99), NodeId(u64::from(u32::MAX))] {
            let sent = post.make(ONE, to, 500 + round, round % 2 == 0);
            messages.push(sent);
            post.queue(sent);
        }
        post.end(ONE).flush();
    }
    post.meet(ONE, TWO).await;
    for node in [ONE, TWO, THREE] {
        while post.listen(node).await.is_some() {}
    }
    let came = messages.iter().find(|sent| post.was_received(sent));
    assert_eq!(came, None, "a message to nobody came");
    Ok(())
}

async fn wakes<N: Network>(post: &mut Post<N>) -> Outcome {
    post.meet(ONE, TWO).await;
    let (early, late) = (Arc::new(Count::default()), Arc::new(Count::default()));
    while post.listen(TWO).await.is_some() {}
    for count in [&early, &late] {
        let waker = Waker::from(Arc::clone(count));
        let polled = post.end(TWO).poll_recv(&mut Context::from_waker(&waker));
        assert!(polled.is_pending(), "nothing was sent");
    }
    let deadline = Instant::now() + TIMEOUT;
    while late.0.load(Ordering::Relaxed) == 0 {
        assert!(
            Instant::now() < deadline,
            "a message comes, and the task that waits is not woken"
        );
        let sent = post.make(ONE, TWO, 100, true);
        post.send(sent);
        // The transport's own tasks get to run; nobody polls the waiting end.
        sleep(AGAIN).await;
    }
    let there = post.arrived(TWO);
    assert!(!there.is_empty(), "a task was woken, and nothing is there");
    Ok(())
}

/// Counts the wake-ups of a task.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

async fn reconnect<N: Network>(post: &mut Post<N>) -> Outcome {
    for _ in 0..3 {
        post.meet(ONE, TWO).await;
        post.leave(TWO);
        // What is sent meanwhile is lost or waits, and blocks nobody.
        for at in 0..20 {
            let sent = post.make(ONE, TWO, 200, at % 2 == 0);
            post.send(sent);
        }
        post.meet(ONE, THREE).await;
        post.join(TWO).await;
        post.meet(TWO, ONE).await;
        post.meet(ONE, TWO).await;
        post.meet(THREE, TWO).await;
    }
    Ok(())
}

/// Sends far more than anything can hold to a peer that does not read, from a separate thread, and
/// returns the sender.
async fn flood<N: Network>(post: &mut Post<N>, messages: Vec<TestMessage>) {
    let Some(first) = messages.first().copied() else {
        return;
    };
    let mut end = post.take(first.from);
    let (to, done) = mpsc::channel();
    // A blocking call shows in whether the thread ends; nothing has to wait for the thread itself.
    let runtime = Handle::current();
    thread::spawn(move || {
        let _context = runtime.enter();
        for sent in messages {
            end.send(sent.to, sent.lane(), sent.parcel(3));
            end.flush();
        }
        // If nobody receives this, the case is over.
        let _over = to.send(end);
    });
    match spawn_blocking(move || done.recv_timeout(TIMEOUT)).await {
        Ok(Ok(end)) => post.bring(first.from, end),
        Ok(Err(RecvTimeoutError::Timeout)) => {
            panic!("sending to a peer that does not read blocks")
        }
        _ => panic!("the transport panics when a peer does not read"),
    }
}

fn needs_lanes<N: Network>(post: &Post<N>) -> Outcome {
    let has_lanes = post.network.limits().has_lanes;
    has_lanes
        .then_some(())
        .ok_or(Unsupported("NetworkLimits::has_lanes"))
}

async fn control_first<N: Network>(post: &mut Post<N>) -> Outcome {
    needs_lanes(post)?;
    post.meet(ONE, TWO).await;
    let limits = post.network.limits();
    let bytes = limits.message_bytes_max.unwrap_or(1 << 20).min(16_384);
    let bulk: Vec<TestMessage> = (0..6_000)
        .map(|_| post.make(ONE, TWO, bytes, false))
        .collect();
    flood(post, bulk).await;
    let control = post.make(ONE, TWO, 100, true);
    post.send(control);
    let deadline = Instant::now() + TIMEOUT;
    while !post.was_received(&control) {
        let sent = post.recv(TWO, deadline).await;
        assert!(
            sent.is_some(),
            "control came behind all of the bulk that waited, or was lost"
        );
    }
    // Only what the system holds precedes control; the rest of bulk comes after it.
    let behind = post.recv(TWO, Instant::now() + TIMEOUT).await;
    assert!(
        behind.is_some(),
        "control came behind all of the bulk that waited"
    );
    Ok(())
}

async fn deaf_peer<N: Network>(post: &mut Post<N>) -> Outcome {
    deafen(post).await;
    // The peer reads again.
    post.meet(ONE, TWO).await;
    Ok(())
}

async fn newest_control<N: Network>(post: &mut Post<N>) -> Outcome {
    needs_lanes(post)?;
    let newest = deafen(post).await;
    let deadline = Instant::now() + TIMEOUT;
    while newest.is_some_and(|newest| !post.was_received(&newest)) {
        let sent = post.recv(TWO, deadline).await;
        assert!(
            sent.is_some(),
            "the newest message of a full control lane never comes"
        );
    }
    post.meet(ONE, TWO).await;
    Ok(())
}

/// Sends far more to a peer than anything can hold, while it does not read; the last of it on the
/// control lane.
async fn deafen<N: Network>(post: &mut Post<N>) -> Option<TestMessage> {
    post.meet(ONE, TWO).await;
    post.meet(ONE, THREE).await;
    let limits = post.network.limits();
    let bytes = limits.message_bytes_max.unwrap_or(1 << 20).min(16_384);
    let mut messages = Vec::new();
    for at in 0..6_000 {
        messages.push(post.make(ONE, TWO, bytes, at % 2 == 0));
    }
    let newest = messages.iter().rfind(|sent| sent.control).copied();
    flood(post, messages).await;
    post.meet(ONE, THREE).await;
    post.meet(THREE, ONE).await;
    newest
}

async fn bounded<N: Network>(post: &mut Post<N>) -> Outcome {
    let limits = post.network.limits();
    let Some(bytes_max) = limits.waiting_bytes_max else {
        return Err(Unsupported("NetworkLimits::waiting_bytes_max"));
    };
    post.meet(ONE, TWO).await;
    let bytes = limits.message_bytes_max.unwrap_or(1 << 20).min(16_384);
    let count = 3 * bytes_max / bytes + 10;
    let messages = (0..count)
        .map(|at| post.make(ONE, TWO, bytes, at % 2 == 0))
        .collect();
    flood(post, messages).await;
    let mut held = 0;
    while let Some(sent) = post.listen(TWO).await {
        held += sent.bytes;
    }
    assert!(
        held <= bytes_max,
        "{held} bytes waited, and {bytes_max} are the bound"
    );
    assert!(held > 0, "nothing waited at all");
    Ok(())
}

async fn longest_message<N: Network>(post: &mut Post<N>) -> Outcome {
    let Some(max) = post.network.limits().message_bytes_max else {
        return Err(Unsupported("NetworkLimits::message_bytes_max"));
    };
    let longest = post.make(ONE, TWO, max, false);
    post.deliver(&[longest]).await;
    for bytes in [max + 1, 2 * max] {
        let longer = post.make(ONE, TWO, bytes, false);
        let (before, behind) = (
            post.make(ONE, TWO, 100, false),
            post.make(ONE, TWO, 100, true),
        );
        post.queue(before);
        post.send(longer);
        post.deliver(&[before, behind]).await;
        post.listen(TWO).await;
        assert!(
            !post.was_received(&longer),
            "{bytes} bytes arrived where {max} are the limit"
        );
    }
    Ok(())
}

async fn partition<N: Network>(post: &mut Post<N>) -> Outcome {
    post.meet(ONE, TWO).await;
    post.network.cut(ONE, TWO, true)?;
    while post.listen(TWO).await.is_some() {}
    for at in 0..10 {
        let sent = post.make(ONE, TWO, 100, at % 2 == 0);
        post.send(sent);
    }
    let through = post.listen(TWO).await;
    assert_eq!(through, None, "the link is cut");
    let (back, aside) = (
        post.make(TWO, ONE, 100, true),
        post.make(ONE, THREE, 100, true),
    );
    post.deliver(&[back, aside]).await;
    post.network.cut(ONE, TWO, false)?;
    post.meet(ONE, TWO).await;
    Ok(())
}

/// How often the flush case is tried.
const FLUSHES: usize = 8;
