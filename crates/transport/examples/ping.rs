//! Two nodes in one process send each other messages over TCP, and the round trips are measured.
//!
//! ```text
//! cargo run --release -p synod-transport --example ping
//! ```
//!
//! A transport may lose a message, so whoever needs an answer asks again. Here that happens while the
//! connection is being made, and when the second node stops and starts again.

use std::collections::BTreeMap;
use std::error::Error;
use std::future::poll_fn;
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use bytes::Bytes;
use synod_transport::{ClusterId, DiskId, Hello, Lane, NodeId, Parcel, Tcp, TcpConfig, Transport};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

const ROUND_TRIPS: u64 = 10_000;
/// Longer than any round trip on loopback takes.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(100);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    // Bound before the nodes start, so that each knows the other's port.
    let listeners = [1, 2].map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
    let [first, second] = listeners;
    let (first, second) = (first?, second?);
    let peers: BTreeMap<_, _> = [
        (NodeId(1), first.local_addr()?.to_string()),
        (NodeId(2), second.local_addr()?.to_string()),
    ]
    .into();

    let mut ping = Tcp::bind(TcpConfig::new(hello(1, 1), first, peers.clone())).await?;
    let pong = echo(
        Tcp::bind(TcpConfig::new(
            hello(2, 1),
            second.try_clone()?,
            peers.clone(),
        ))
        .await?,
    );
    measure(&mut ping).await;

    println!("node 2 stops, and starts again");
    pong.abort();
    // Its sockets are closed once the task has ended.
    let _ = pong.await;
    // The same disk, and its next incarnation.
    let pong = echo(Tcp::bind(TcpConfig::new(hello(2, 2), second, peers)).await?);
    measure(&mut ping).await;
    pong.abort();
    Ok(())
}

/// Who a node is. Real ids of clusters and disks are drawn at random and stored.
fn hello(node: u64, boot: u64) -> Hello {
    let disk = DiskId(u128::from(node));
    Hello::new(ClusterId(1), NodeId(node), disk, boot)
}

/// Sends back whatever comes.
fn echo(mut transport: Tcp) -> JoinHandle<()> {
    tokio::spawn(async move {
        while let Some((from, message)) = poll_fn(|cx| transport.poll_recv(cx)).await {
            transport.send(from, Lane::Control, Parcel::from(message));
            transport.flush();
        }
    })
}

async fn measure(ping: &mut Tcp) {
    let began = Instant::now();
    let mut asked_again = 0;
    let mut round_trips: Vec<Duration> = Vec::new();
    for number in 0..ROUND_TRIPS {
        let sent = Instant::now();
        while !is_answered(ping, number).await {
            asked_again += 1;
        }
        round_trips.push(sent.elapsed());
    }
    round_trips.sort();
    let [p50, p99] = [50, 99].map(|percent| round_trips[round_trips.len() * percent / 100]);
    println!(
        "{ROUND_TRIPS} round trips in {:.1?}, p50 {p50:.1?}, p99 {p99:.1?}; asked again {asked_again} times",
        began.elapsed()
    );
}

/// Sends the number, and waits for it to come back. Answers to earlier questions may come late, or twice.
async fn is_answered(ping: &mut Tcp, number: u64) -> bool {
    let message = Bytes::copy_from_slice(&number.to_le_bytes());
    ping.send(NodeId(2), Lane::Control, Parcel::from(message.clone()));
    ping.flush();
    let answer = async {
        while let Some((_, answer)) = poll_fn(|cx| ping.poll_recv(cx)).await {
            if answer == message {
                return true;
            }
        }
        false
    };
    timeout(ASK_AGAIN_AFTER, answer).await.unwrap_or(false)
}
