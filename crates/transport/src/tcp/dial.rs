//! The task that keeps a connection to one peer and writes what its owner's thread could not.

use super::events::{Source, tell};
use super::judge::Way;
use super::link::Progress;
use super::probe::{PULSE, TWIN};
use super::shared::{Peer, Shared};
use super::status::count;
use crate::backoff::Backoff;
use crate::hello::{GREETING_BYTES, Greeting, PREFIX_BYTES, Unreadable};
use crate::{NodeId, Refused};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// Dials at once, so that the first election finds its peers, and again whenever the connection
/// ends.
pub(crate) async fn keep_connected(shared: Arc<Shared>, id: NodeId) {
    let Some(peer) = shared.peers.get(&id) else {
        return;
    };
    let seed = shared.hello.node.0.rotate_left(32) ^ shared.hello.boot.rotate_left(16) ^ id.0;
    let mut backoff = Backoff::new(shared.limits.backoff_min, shared.limits.backoff_max, seed);
    let source = Source::Peer(id);
    // A peer that is down is told once: it is tried again and again, and says nothing new.
    let mut told = false;
    loop {
        match timeout(shared.limits.handshake_timeout, connect(&shared, id, peer)).await {
            Ok(Ok(stream)) => {
                let since = Instant::now();
                told = false;
                serve(&shared, id, peer, stream).await;
                // One that breaks as soon as it is made is no success: a peer in a crash loop is
                // not dialed at full speed.
                if since.elapsed() >= shared.limits.backoff_max {
                    backoff.reset();
                }
            }
            Ok(Err(DialError::Refused(Refused::Oneself))) => {
                count(&shared.counters.refused_by_peers);
                tell!(
                    shared, warn, "own_address", source, peer = %id, address = %peer.address,
                    "the address of a peer leads to this node, or to another that runs under its name"
                );
            }
            Ok(Err(DialError::Refused(reason))) => {
                count(&shared.counters.refused_by_peers);
                tell!(shared, warn, "refused_by_peer", source, peer = %id, %reason, "refused by a peer");
            }
            Ok(Err(DialError::Unwelcome)) => {}
            Ok(Err(DialError::Io(error))) => {
                count(&shared.counters.connects_failed);
                if !std::mem::replace(&mut told, true) {
                    tell!(shared, info, "peer_unreachable", source, peer = %id, %error, "cannot reach a peer");
                }
            }
            Err(_elapsed) => {
                count(&shared.counters.connects_failed);
                if !std::mem::replace(&mut told, true) {
                    tell!(shared, info, "peer_unreachable", source, peer = %id, "a peer does not answer");
                }
            }
        }
        tokio::select! {
            () = sleep(backoff.wait()) => {}
            () = peer.returned.notified() => {}
        }
    }
}

/// Why an attempt ended without a connection.
#[derive(Debug, thiserror::Error)]
enum DialError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("the peer refused this node: {0}")]
    Refused(Refused),
    #[error("this node refused the peer")]
    Unwelcome,
}

async fn connect(shared: &Shared, id: NodeId, peer: &Peer) -> Result<TcpStream, DialError> {
    let mut stream = open(shared, peer).await?;
    stream.set_nodelay(true)?;
    stream
        .write_all(
            &Greeting {
                hello: shared.hello,
                to: id,
                verdict: Ok(()),
                is_question: false,
            }
            .encode(),
        )
        .await?;
    let answer = read_greeting(&mut stream).await?;
    let answer = match answer {
        Ok(answer) => answer,
        Err(Unreadable::Version(_)) => return Err(DialError::Refused(Refused::Version)),
        Err(Unreadable::Garbage) => {
            count(&shared.counters.hellos_unreadable);
            return Err(DialError::Unwelcome);
        }
    };
    answer.verdict.map_err(DialError::Refused)?;
    if answer.hello.node != id && answer.hello.node != shared.hello.node {
        count(&shared.counters.hellos_refused);
        tell!(
            shared, warn, "hello_refused", Source::Peer(id),
            peer = %id, node = %answer.hello.node, "another node answers at the peer's address"
        );
        return Err(DialError::Unwelcome);
    }
    shared
        .judge(&answer, Way::Dialed, Source::Peer(id))
        .await
        .map_err(|_| DialError::Unwelcome)?;
    Ok(stream)
}

/// Connects to the first of the name's addresses that answers.
pub(crate) async fn open(shared: &Shared, peer: &Peer) -> io::Result<TcpStream> {
    let mut failure = io::Error::from(ErrorKind::AddrNotAvailable);
    let found: Vec<SocketAddr> = lookup_host(&peer.address).await?.collect();
    peer.note(&found);
    for address in found {
        let socket = if address.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        if let Some(bytes) = shared.limits.send_buffer_bytes {
            socket.set_send_buffer_size(bytes)?;
        }
        match socket.connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// Reads a greeting; of one in another version no more than says so.
pub(crate) async fn read_greeting(
    stream: &mut TcpStream,
) -> io::Result<Result<Greeting, Unreadable>> {
    let mut bytes = [0; GREETING_BYTES];
    let mut prefix = [0; PREFIX_BYTES];
    stream.read_exact(&mut prefix).await?;
    if let Err(unreadable) = Greeting::check_prefix(&prefix) {
        return Ok(Err(unreadable));
    }
    bytes[..PREFIX_BYTES].copy_from_slice(&prefix);
    stream.read_exact(&mut bytes[PREFIX_BYTES..]).await?;
    Ok(Greeting::decode(&bytes))
}

/// Writes what waits for the peer for as long as the stream lives.
async fn serve(shared: &Shared, id: NodeId, peer: &Peer, stream: TcpStream) {
    count(&shared.counters.connects);
    let source = Source::Peer(id);
    tell!(shared, info, "peer_reached", source, peer = %id, "connected to a peer");
    let stream = Arc::new(stream);
    peer.link.attach(stream.clone());
    let mut heard = Instant::now();
    loop {
        let progress = peer.link.resume(&shared.counters);
        if progress == Progress::Closed {
            break;
        }
        tokio::select! {
            // A pulse that came counts, also when this task was held up for longer than the silence
            // that is allowed.
            biased;
            () = peer.link.left() => {}
            writable = stream.writable(), if progress == Progress::Blocked => {
                if writable.is_err() {
                    break;
                }
            }
            sign = hear(&stream) => {
                let Some(sign) = sign else {
                    break;
                };
                heard = Instant::now();
                peer.signs.show();
                if sign == TWIN {
                    tell!(
                        shared, error, "own_twin", source, peer = %id,
                        "a peer has met another life of this node: its disk was copied"
                    );
                }
            }
            () = sleep_until(heard + shared.limits.silence_max) => {
                count(&shared.counters.silences);
                tell!(shared, warn, "peer_silent", source, peer = %id, "a peer shows no life");
                break;
            }
        }
    }
    peer.link.close(&shared.counters);
    peer.signs.end();
    tell!(shared, info, "peer_lost", source, peer = %id, "lost the connection to a peer");
}

/// Waits for a sign of life; `None` when there will be no more.
async fn hear(stream: &TcpStream) -> Option<u8> {
    let mut signs = [PULSE; 64];
    loop {
        stream.readable().await.ok()?;
        match stream.try_read(&mut signs) {
            Ok(0) => return None,
            Ok(read) => return signs[..read].iter().max().copied(),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return None,
        }
    }
}
