//! Strangers at the port for peers, who have read along and say what a peer could say: one frame ends nothing,
//! and nobody is locked out.
//!
//! Until connections are encrypted whoever sees a node's hello can say it as well. What such a one says in the
//! node's stead the others believe, as far as a node could have said it. What no node can say, they do not.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use bytes::Bytes;
use synod_kv::{Blob, Cluster, Command, Entry, Protocol, When, info_field};
use synod_replica::Configured;
use synod_replica::embed::Protocol as Core;
use synod_transport::{
    NodeId, Parcel, Refused, frame,
    hello::{GREETING_BYTES, Greeting},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{Instant, sleep, timeout},
};

use super::{
    POLL_EVERY, TIMEOUT, ask, connect, identity::until_told, number, other_than, start_by,
    write_until_acknowledged,
};

/// One after the other: an incarnation, a term, a list and a name that no node can have come to. Then the node in whose
/// name it was said comes back, and all start again on what lies on their disks.
pub(super) async fn say_what_no_node_can(protocol: Protocol) {
    let (mut cluster, _directory, overheard) = overheard_and_killed(protocol).await;
    let node = overheard.hello.node.0;
    write_until_acknowledged(&cluster, other_than(&cluster, node), "without it").await;
    let leader = cluster.leader(TIMEOUT).await.unwrap();
    let living = [leader, other_than_both(&cluster, leader, node)];
    let held_before = [
        held_most(&cluster, living[0]),
        held_most(&cluster, living[1]),
    ];

    for id in living {
        say_lives_terms_and_lists(&cluster, protocol, id, overheard).await;
    }
    forge_names(&cluster, node, overheard).await;
    write_until_acknowledged(&cluster, leader, "meanwhile").await;
    for (id, before) in living.into_iter().zip(held_before) {
        // No message leads further than one may; there were four.
        assert!(number(&cluster, id, "term").await < 1 << 35, "node {id}");
        if let (Some(before), Some(after)) = (before, held_most(&cluster, id)) {
            let more = after.saturating_sub(before);
            assert!(more < 40 << 20, "node {id} took {more} bytes");
        }
    }

    cluster.restart(node).unwrap();
    cluster.ready(TIMEOUT).await.unwrap();
    write_until_acknowledged(&cluster, node, "by it").await;
    let all = cluster.ids();
    cluster.kill(&all).await.unwrap();
    all.iter().for_each(|id| cluster.restart(*id).unwrap());
    cluster.ready(TIMEOUT).await.unwrap();
    for id in all {
        let request = ["MGET", "k", "without it", "meanwhile", "by it", "forged"];
        let answer = ask(&cluster, id, &request).await;
        assert_eq!(answer, "[1, 1, 1, 1, (nil)]", "node {id}");
    }
}

/// In the name of a node that is down the others are led up, two times as far as one message can. It comes back
/// further below them than it may believe: it says so, and is one of them again.
pub(super) async fn lead_the_others_up(protocol: Protocol) {
    let (mut cluster, _directory, overheard) = overheard_and_killed(protocol).await;
    let node = overheard.hello.node.0;
    let one = other_than(&cluster, node);
    let living = [one, other_than_both(&cluster, one, node)];
    let leap = leap_max(protocol);
    let above = number(&cluster, one, "term").await + 2 * leap;
    // An election for each leap.
    let deadline = Instant::now() + 3 * TIMEOUT;
    let mut least = 0;
    while least <= above {
        assert!(Instant::now() < deadline, "they stay in {least}");
        for id in living {
            let term = number(&cluster, id, "term").await + leap;
            let (mut stream, verdict) = say_hello(&cluster, id, overheard).await;
            assert_eq!(verdict, Ok(()), "node {id}");
            stream
                .write_all(&heartbeat(protocol, node, term))
                .await
                .unwrap();
            // All of it was taken when the node closes in turn.
            let _closed = stream.shutdown().await;
            let ended = timeout(TIMEOUT, stream.read_to_end(&mut Vec::new())).await;
            let _reset = ended.expect("it ends");
        }
        write_until_acknowledged(&cluster, one, "meanwhile").await;
        least = u64::MAX;
        for id in living {
            least = least.min(number(&cluster, id, "term").await);
        }
    }
    cluster.restart(node).unwrap();
    cluster.ready(TIMEOUT).await.unwrap();
    write_until_acknowledged(&cluster, node, "by it").await;
    assert_eq!(
        ask(&cluster, node, &["MGET", "k", "meanwhile"]).await,
        "[1, 1]"
    );
    assert!(number(&cluster, node, "leaps_ignored").await > 0);
    until_told(&cluster, node, "too far above").await;
    for id in cluster.ids() {
        assert!(number(&cluster, id, "term").await > above, "node {id}");
    }
}

/// How far above what is stored a message may be.
fn leap_max(protocol: Protocol) -> u64 {
    match protocol {
        #[cfg(feature = "raft")]
        Protocol::Raft => synod_replica::raft::Term::LEAP_MAX,
        #[cfg(feature = "paxos")]
        Protocol::Paxos => synod_replica::paxos::Ballot::LEAP_MAX,
        _ => unreachable!("no other protocol"),
    }
}

/// Three nodes, of which one was heard and is down, and what it says to others.
async fn overheard_and_killed(protocol: Protocol) -> (Cluster, TempDir, Greeting) {
    let (mut cluster, directory) = start_by(protocol, 3, &[]).await;
    let leader = cluster.leader(TIMEOUT).await.unwrap();
    write_until_acknowledged(&cluster, leader, "k").await;
    let node = other_than(&cluster, leader);
    let other = other_than_both(&cluster, leader, node);
    cluster.kill(&[other]).await.unwrap();
    let overheard = overhear(&cluster, other, node).await;
    cluster.restart(other).unwrap();
    cluster.ready(TIMEOUT).await.unwrap();
    cluster.kill(&[node]).await.unwrap();
    (cluster, directory, overheard)
}

/// The last incarnation and one that only the node itself could confirm, the last term, and lists that are longer than
/// they may be.
async fn say_lives_terms_and_lists(
    cluster: &Cluster,
    protocol: Protocol,
    id: u64,
    overheard: Greeting,
) {
    let node = overheard.hello.node.0;
    let mut last_life = overheard;
    last_life.hello.boot = u64::MAX;
    let (_, verdict) = say_hello(cluster, id, last_life).await;
    assert_eq!(verdict, Err(Refused::Leap), "node {id}");
    // What it could come to by itself, and a disk that it could have been given: it is down, and does not confirm
    // it.
    let mut later_life = overheard;
    later_life.hello.boot = (1 << 32) - 1;
    let mut other_disk = overheard;
    other_disk.hello.disk.0 ^= 1;
    for greeting in [later_life, other_disk] {
        let (_, verdict) = say_hello(cluster, id, greeting).await;
        assert_eq!(verdict, Err(Refused::Unconfirmed), "node {id}");
    }
    let term = number(cluster, id, "term").await;
    // Longer than a frame may be, which ends the connection; and as long as one may.
    for entries in [1_000_000, 650_000] {
        let (mut stream, verdict) = say_hello(cluster, id, overheard).await;
        assert_eq!(verdict, Ok(()), "node {id}");
        let _closed = stream
            .write_all(&empty_entries(protocol, node, term, entries))
            .await;
        let last_term = heartbeat(protocol, node, u64::MAX - 1);
        let _closed = stream.write_all(&last_term).await;
        let _closed = stream.shutdown().await;
        // All of it was taken when the node closes in turn.
        let mut signs = Vec::new();
        let ended = timeout(TIMEOUT, stream.read_to_end(&mut signs)).await;
        let _reset = ended.expect("it ends");
    }
}

/// A command under a name of an incarnation to come, and one under a name that the node could give: the second shows
/// that the first was heard. Whoever leads may change on the way, and takes nothing then.
async fn forge_names(cluster: &Cluster, node: u64, overheard: Greeting) {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let leader = cluster.leader(TIMEOUT).await.unwrap();
        let (mut stream, verdict) = say_hello(cluster, leader, overheard).await;
        assert_eq!(verdict, Ok(()));
        let (term, boot) = (number(cluster, leader, "term").await, overheard.hello.boot);
        for (key, incarnation) in [("forged", boot + 1_000), ("control", boot)] {
            let name = [node, incarnation, u64::MAX];
            stream.write_all(&forward(term, name, key)).await.unwrap();
        }
        let heard = Instant::now() + TIMEOUT / 10;
        while Instant::now() < heard {
            if ask(cluster, leader, &["GET", "control"]).await == "1" {
                return;
            }
            sleep(POLL_EVERY).await;
        }
        assert!(
            Instant::now() < deadline,
            "what could be its name is not taken"
        );
    }
}

/// A crowd that says half a hello, and comes again when it is shown out, keeps no node out that comes back.
pub(super) async fn say_half_a_hello(protocol: Protocol) {
    let (mut cluster, _directory) = start_by(protocol, 3, &[]).await;
    let leader = cluster.leader(TIMEOUT).await.unwrap();
    let node = other_than(&cluster, leader);
    cluster.kill(&[node]).await.unwrap();
    let living = [leader, other_than_both(&cluster, leader, node)];
    let addresses = living.map(|id| cluster.peer_address(id));
    let (full, mut is_full) = tokio::sync::watch::channel(false);
    let crowd = tokio::spawn(async move {
        let mut crowd = VecDeque::new();
        loop {
            for address in addresses {
                let mut stream = TcpStream::connect(address).await.unwrap();
                let _shown_out = stream.write_all(b"SYND\x01\0\0\0half").await;
                crowd.push_back(stream);
            }
            if crowd.len() > 2 * CROWD {
                full.send_replace(true);
                crowd.drain(..addresses.len());
                sleep(Duration::from_millis(1)).await;
            }
        }
    });
    is_full.wait_for(|full| *full).await.unwrap();
    cluster.restart(node).unwrap();
    cluster.ready(TIMEOUT).await.unwrap();
    write_until_acknowledged(&cluster, node, "k").await;
    for id in living {
        until_counted(&cluster, id, "handshakes_dropped").await;
        until_connected(&cluster, id, node).await;
    }
    assert!(!crowd.is_finished());
    crowd.abort();
}

/// Waits until a node tells that there was any: what it tells of its transport is a moment old.
async fn until_counted(cluster: &Cluster, id: u64, field: &str) {
    let deadline = Instant::now() + TIMEOUT;
    while number(cluster, id, field).await == 0 {
        assert!(Instant::now() < deadline, "node {id}: no {field}");
        sleep(POLL_EVERY).await;
    }
}

/// Waits until a node can send to another.
async fn until_connected(cluster: &Cluster, id: u64, to: u64) {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let text = connect(cluster, id).await.info().await.unwrap();
        let peer = info_field(&text, &format!("peer{to}")).unwrap_or_default();
        if peer.starts_with("connected=1,") {
            return;
        }
        assert!(Instant::now() < deadline, "node {id}: {text}");
        sleep(POLL_EVERY).await;
    }
}

/// What a node says to another that is down: whoever listens in its place hears it.
async fn overhear(cluster: &Cluster, down: u64, wanted: u64) -> Greeting {
    let listener = TcpListener::bind(cluster.peer_address(down)).await.unwrap();
    let mut heard = BTreeMap::new();
    while !heard.contains_key(&wanted) {
        let accepted = timeout(TIMEOUT, listener.accept()).await;
        let (mut stream, _) = accepted.expect("it dials").unwrap();
        let mut bytes = [0; GREETING_BYTES];
        if stream.read_exact(&mut bytes).await.is_ok() {
            let greeting = Greeting::decode(&bytes).unwrap();
            heard.insert(greeting.hello.node.0, greeting);
        }
    }
    heard[&wanted]
}

async fn say_hello(
    cluster: &Cluster,
    to: u64,
    mut greeting: Greeting,
) -> (TcpStream, Result<(), Refused>) {
    greeting.to = NodeId(to);
    let mut stream = TcpStream::connect(cluster.peer_address(to)).await.unwrap();
    stream.write_all(&greeting.encode()).await.unwrap();
    let mut answer = [0; GREETING_BYTES];
    let answered = timeout(TIMEOUT, stream.read_exact(&mut answer)).await;
    answered.expect("an answer").unwrap();
    (stream, Greeting::decode(&answer).unwrap().verdict)
}

/// A leader's word in this term, or of this round.
fn heartbeat(protocol: Protocol, from: u64, term: u64) -> Vec<u8> {
    match protocol {
        #[cfg(feature = "raft")]
        Protocol::Raft => {
            use synod_replica::raft::{Config, Index, Message, Replicate, Term};
            message::<Config>(&Message::Replicate(Replicate::Heartbeat {
                term: Term(term),
                round: 1,
                commit: Index(0),
                matched: Index(0),
                lease: Duration::ZERO,
            }))
        }
        #[cfg(feature = "paxos")]
        Protocol::Paxos => {
            use synod_replica::paxos::{Ballot, Config, Message, NodeId, Replicate, Slot};
            message::<Config>(&Message::Replicate(Replicate::Heartbeat {
                ballot: Ballot {
                    round: term,
                    node: NodeId(from),
                },
                round: 1,
                chosen: Slot(0),
                through: Slot(0),
                settled: 0,
                lease: Duration::ZERO,
            }))
        }
        _ => unreachable!("{from}: no other protocol"),
    }
}

/// A leader of the next term sends so many entries that hold nothing.
fn empty_entries(protocol: Protocol, from: u64, term: u64, entries: u64) -> Vec<u8> {
    match protocol {
        #[cfg(feature = "raft")]
        Protocol::Raft => {
            use synod_replica::raft::{
                Config, Entry, Index, Kind, LogId, Message, Replicate, Term,
            };
            let id = |index| LogId {
                term: Term(1),
                index: Index(index),
            };
            let entry = |index| Entry {
                id: id(index),
                kind: Kind::Command,
                body: Bytes::new(),
            };
            message::<Config>(&Message::Replicate(Replicate::Append {
                term: Term(term + 1),
                prev: id(1 << 20),
                entries: (1..=entries).map(|at| entry((1 << 20) + at)).collect(),
                commit: Index(0),
            }))
        }
        #[cfg(feature = "paxos")]
        Protocol::Paxos => {
            use synod_replica::paxos::{
                Ballot, Config, Kind, Message, NodeId, Replicate, Slot, Value,
            };
            let ballot = Ballot {
                round: term + 1,
                node: NodeId(from),
            };
            let value = || Value {
                kind: Kind::Command,
                origin: ballot,
                body: Bytes::new(),
            };
            message::<Config>(&Message::Replicate(Replicate::Accept {
                ballot,
                first: Slot(1 << 20),
                values: (0..entries).map(|_| value()).collect(),
                chosen: Slot(0),
            }))
        }
        _ => unreachable!("{from}: no other protocol"),
    }
}

/// On the wire: what the protocol says, for the only group there is.
fn message<C: Configured>(message: &<C::Protocol as Core>::Message) -> Vec<u8> {
    let (mut head, mut bodies) = (Vec::new(), Vec::new());
    <C::Protocol as Core>::encode(message, &mut head, &mut bodies);
    framed(&[&[MESSAGE][..], &head, &bodies.concat()].concat())
}

/// On the wire: a follower's `SET key 1` under this name, for the leader in this round.
fn forward(round: u64, name: [u64; 3], key: &str) -> Vec<u8> {
    let command = Command::Set {
        key: Blob(key.as_bytes()),
        value: Blob(b"1"),
        when: When::Always,
        previous: false,
    };
    let command = Entry::new(&command).into_bytes(None);
    let mut payload = vec![FORWARD];
    payload.extend(postcard::to_stdvec(&round).unwrap());
    payload.extend(name.iter().flat_map(|part| part.to_le_bytes()));
    payload.extend((command.len() as u32).to_le_bytes());
    payload.extend(&*command);
    framed(&payload)
}

fn framed(payload: &[u8]) -> Vec<u8> {
    let bytes = [&GROUP.to_le_bytes()[..], payload].concat();
    let header = frame::header(&Parcel::from(Bytes::from(bytes.clone()))).unwrap();
    [&header[..], &bytes].concat()
}

fn other_than_both(cluster: &Cluster, one: u64, two: u64) -> u64 {
    let mut ids = cluster.ids().into_iter();
    ids.find(|id| ![one, two].contains(id)).unwrap()
}

/// The most bytes that a node had in memory, where the system tells it the way Linux does.
fn held_most(cluster: &Cluster, id: u64) -> Option<u64> {
    let process = cluster.process_id(id)?;
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = info_field(&status, "VmHWM")?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes << 10)
}

/// The first bytes of what nodes say: to which group, and what it is.
const GROUP: u64 = 1;
const MESSAGE: u8 = 0;
const FORWARD: u8 = 1;
const CROWD: usize = 90;
