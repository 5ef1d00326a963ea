//! Floods of connections that start a handshake and do not finish it.

use crate::authority::Authority;
use crate::hand::first_words;
use crate::net::{Cluster, TIMEOUT, message, next, send, until};
use crate::{config, start};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use synod_transport::{Lane, NodeId, Tcp};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};

/// No timeout helps here, as it is longer than the test's: a connection that continues gets a
/// place.
#[tokio::test]
async fn a_crowd_of_half_handshakes_keeps_no_node_out() {
    let (ca, cluster) = (Authority::new("ours"), Cluster::new(2));
    let mut config = config(&cluster, &ca, 1);
    config.handshake_timeout = 10 * TIMEOUT;
    let places = config.handshakes_address_max;
    let mut one = Tcp::bind(config).await.expect("binds");
    let words = first_words(&ca);
    let mut crowd = Vec::new();
    for at in 0..60 {
        let mut stream = TcpStream::connect(one.local_addr()).await.expect("listens");
        // Half of a hello of TLS, or all of it and nothing else.
        let said = if at % 2 == 0 { &words[..50] } else { &words };
        let _displaced = stream.write_all(said).await;
        crowd.push(stream);
    }
    let dropped = (crowd.len() - places) as u64;
    until("a full house", || {
        one.status().handshakes_dropped == dropped
    })
    .await;
    // At the address of all of them.
    let mut two = start(&cluster, &ca, 2).await;
    send(&mut two, 1, Lane::Control, message(1, 10));
    assert_eq!(next(&mut one).await, (NodeId(2), message(1, 10)));
    send(&mut one, 2, Lane::Control, message(2, 10));
    assert_eq!(next(&mut two).await, (NodeId(1), message(2, 10)));
    assert!(one.status().untrusted.is_empty());
}

/// Ten thousand connections arrive as fast as possible, from many addresses. Meanwhile two nodes keep working,
/// a third one joins, and memory stays within the documented bound. Runs in its own process, so that its memory
/// can be measured.
#[cfg(target_os = "linux")]
#[test]
fn ten_thousand_half_handshakes_cost_little_and_hold_nobody_up() {
    const INSIDE: &str = "SYNOD_HALF_HANDSHAKES";
    if std::env::var_os(INSIDE).is_some() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build();
        return runtime.expect("a runtime").block_on(crowded());
    }
    let played = Command::new(std::env::current_exe().expect("this program"))
        .args([
            "--exact",
            "bounds::ten_thousand_half_handshakes_cost_little_and_hold_nobody_up",
            "--nocapture",
        ])
        .env(INSIDE, "1")
        .output()
        .expect("it runs");
    let harness = String::from_utf8_lossy(&played.stdout);
    let told = String::from_utf8_lossy(&played.stderr);
    assert!(
        played.status.success() && harness.contains("1 passed"),
        "{harness}{told}"
    );
}

async fn crowded() {
    let (ca, cluster) = (Authority::new("ours"), Cluster::new(3));
    let mut config = config(&cluster, &ca, 1);
    config.handshake_timeout = 10 * TIMEOUT;
    let places = config.handshakes_max + 2 * config.handshakes_address_max;
    let mut one = Tcp::bind(config).await.expect("binds");
    let mut two = start(&cluster, &ca, 2).await;
    exchange(&mut one, &mut two, 2).await;
    let before = resident_bytes();
    let (come, enough) = (
        Arc::new(AtomicU64::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
    let crowd = tokio::spawn(crowd(
        one.local_addr(),
        first_words(&ca),
        come.clone(),
        enough.clone(),
    ));
    let mut largest = before;
    let mut three = None;
    while come.load(Ordering::Relaxed) < 10_000 {
        exchange(&mut one, &mut two, 2).await;
        if three.is_none() && come.load(Ordering::Relaxed) > 5_000 {
            let mut third = start(&cluster, &ca, 3).await;
            exchange(&mut one, &mut third, 3).await;
            three = Some(third);
        }
        largest = largest.max(resident_bytes());
    }
    enough.store(true, Ordering::Relaxed);
    crowd.await.expect("no panic");
    // What is stated for whoever has not shown who it is; and what the runtime and the third node take.
    let stated = (places * (64 << 10)) as u64 + (16 << 20);
    let grown = largest - before;
    println!("{grown} bytes more, of {stated}");
    assert!(grown < stated, "{grown} bytes more, of {stated}");
    assert!(one.status().handshakes_dropped > 5_000);
}

async fn exchange(one: &mut Tcp, other: &mut Tcp, id: u64) {
    send(one, id, Lane::Control, message(1, 100));
    assert_eq!(next(other).await, (NodeId(1), message(1, 100)));
    send(other, 1, Lane::Control, message(2, 100));
    assert_eq!(next(one).await, (NodeId(id), message(2, 100)));
}

/// All of 127.0.0.0/8 is loopback on Linux.
async fn crowd(to: SocketAddr, words: Vec<u8>, come: Arc<AtomicU64>, enough: Arc<AtomicBool>) {
    let mut standing = VecDeque::new();
    for at in 0_u64.. {
        if enough.load(Ordering::Relaxed) {
            return;
        }
        let socket = TcpSocket::new_v4().expect("a socket");
        let last = u8::try_from(10 + at % 100).expect("small");
        socket
            .bind(SocketAddr::from(([127, 0, 0, last], 0)))
            .expect("loopback");
        let Ok(mut stream) = socket.connect(to).await else {
            continue;
        };
        // What costs most to answer is not most of it, for the machine's sake.
        let said = match at % 16 {
            0 => &words[..],
            1..5 => &words[..50],
            5 => b"GET / HTTP/1.1\r\n",
            _ => b"",
        };
        let _displaced = stream.write_all(said).await;
        standing.push_back(stream);
        // Those that came before have lost their places.
        while standing.len() > 300 {
            standing.pop_front();
        }
        come.fetch_add(1, Ordering::Relaxed);
    }
}

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux has it");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kibibytes: u64 = kibibytes.and_then(|text| text.parse().ok()).expect("kB");
    kibibytes << 10
}
