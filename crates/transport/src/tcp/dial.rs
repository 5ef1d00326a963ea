//! The task that maintains the connection to one peer and writes what the owner's thread could not.

use super::events::{Source, tell};
use super::judge::Way;
use super::link::Progress;
use super::peers::Peer;
use super::probe::{PULSE, TWIN};
use super::security::Security;
use super::shared::Shared;
use super::status::count;
use super::wire::{Wire, reason_of};
use crate::backoff::Backoff;
use crate::hello::{GREETING_BYTES, Greeting, PREFIX_BYTES, Unreadable};
use crate::{NodeId, Refused, Untrusted};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::{TcpSocket, lookup_host};
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// Dials at once, so that peers are connected by the first election, and again whenever the
/// connection ends.
pub(crate) async fn keep_connected(shared: Arc<Shared>, id: NodeId, peer: Arc<Peer>) {
    let seed = shared.hello.node.0.rotate_left(32) ^ shared.hello.boot.rotate_left(16) ^ id.0;
    let mut backoff = Backoff::new(shared.limits.backoff_min, shared.limits.backoff_max, seed);
    // An unreachable peer is logged once, not at every attempt.
    let mut told = false;
    loop {
        match connect(&shared, id, &peer, None).await {
            Ok(mut stream) => {
                let since = Instant::now();
                told = false;
                while let Some(next) = serve(&shared, id, &peer, stream).await {
                    stream = next;
                }
                // A connection that breaks immediately does not reset the backoff, so that a peer
                // in a crash loop is not dialed continuously.
                if since.elapsed() >= shared.limits.backoff_max {
                    backoff.reset();
                }
            }
            Err(error) => report(&shared, id, &peer, error, &mut told),
        }
        tokio::select! {
            () = sleep(backoff.wait()) => {}
            () = peer.returned.notified() => {}
        }
    }
}

/// Counts and logs a failed attempt.
fn report(shared: &Shared, id: NodeId, peer: &Peer, error: DialError, told: &mut bool) {
    let (counters, source) = (&shared.counters, Source::Peer(id));
    match error {
        DialError::Refused(Refused::Oneself) => {
            count(&counters.refused_by_peers);
            tell!(
                shared, warn, "own_address", source, peer = %id, address = %peer.address(),
                "the address of a peer leads to this node, or to another with the same id"
            );
        }
        DialError::Refused(reason) => {
            count(&counters.refused_by_peers);
            tell!(shared, warn, "refused_by_peer", source, peer = %id, %reason, "refused by a peer");
        }
        DialError::Unwelcome | DialError::Alike => {}
        DialError::Untrusted(reason) => {
            counters.untrusted(reason);
            tell!(
                shared, warn, "untrusted", source, peer = %id, address = %peer.address(), %reason,
                "the node at the peer's address has not authenticated as the peer"
            );
        }
        DialError::Io(error) => {
            count(&counters.connects_failed);
            if !std::mem::replace(told, true) {
                tell!(shared, info, "peer_unreachable", source, peer = %id, %error, "cannot reach a peer");
            }
        }
        DialError::Late => {
            count(&counters.connects_failed);
            if !std::mem::replace(told, true) {
                tell!(shared, info, "peer_unreachable", source, peer = %id, "a peer does not answer");
            }
        }
    }
}

/// Why an attempt ended without a connection.
#[derive(Debug)]
enum DialError {
    Io(io::Error),
    /// The peer refused this node.
    Refused(Refused),
    /// This node refused the peer.
    Unwelcome,
    Untrusted(Untrusted),
    /// The new connection would have the same certificates as the existing one.
    Alike,
    /// The peer did not answer in time.
    Late,
}

impl From<io::Error> for DialError {
    fn from(error: io::Error) -> Self {
        reason_of(&error).map_or(Self::Io(error), Self::Untrusted)
    }
}

/// A connection after the exchange of hellos; fails if its certificates are those of `this` one.
async fn connect(
    shared: &Shared,
    id: NodeId,
    peer: &Peer,
    instead: Option<&Wire>,
) -> Result<Wire, DialError> {
    let greeted = timeout(shared.limits.handshake_timeout, async {
        let stream = open(shared, id, peer).await?;
        if instead.is_some_and(|old| shared.guard.is_alike(old, &stream)) {
            return Err(DialError::Alike);
        }
        greet(shared, id, &stream).await.map(|()| stream)
    });
    greeted.await.unwrap_or(Err(DialError::Late))
}

async fn greet(shared: &Shared, id: NodeId, stream: &Wire) -> Result<(), DialError> {
    let greeting = Greeting {
        hello: shared.hello,
        to: id,
        verdict: Ok(()),
        is_question: false,
    };
    stream.write_all(&greeting.encode()).await?;
    let answer = match read_greeting(stream).await? {
        Ok(answer) => answer,
        Err(Unreadable::Version(_)) => return Err(DialError::Refused(Refused::Version)),
        Err(Unreadable::Tls) => return Err(DialError::Untrusted(Untrusted::OnlyTls)),
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
    let judged = shared.judge(&answer, Way::Dialed, Source::Peer(id)).await;
    judged.map_err(|_| DialError::Unwelcome)
}

/// Connects to the first of the name's addresses that answers, and authenticates it.
pub(crate) async fn open(shared: &Shared, id: NodeId, peer: &Peer) -> io::Result<Wire> {
    let mut failure = io::Error::from(ErrorKind::AddrNotAvailable);
    let found: Vec<SocketAddr> = lookup_host(peer.address()).await?.collect();
    peer.note(&found);
    for address in found {
        if !shared.guard.allows(address.ip()) {
            count(&shared.counters.unprotected);
            tell!(
                shared, error, "unprotected", Source::Peer(id), peer = %id, %address,
                "a peer on another machine is not dialed without protection: {}", Security::WAYS_OUT
            );
            failure = io::Error::new(ErrorKind::PermissionDenied, Security::WAYS_OUT);
            continue;
        }
        let socket = if address.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        if let Some(bytes) = shared.limits.send_buffer_bytes {
            socket.set_send_buffer_size(bytes)?;
        }
        match socket.connect(address).await {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return shared.guard.dial(stream, id).await;
            }
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// Reads a greeting; of one in another version only the common prefix.
pub(crate) async fn read_greeting(stream: &Wire) -> io::Result<Result<Greeting, Unreadable>> {
    let mut bytes = [0; GREETING_BYTES];
    let mut prefix = [0; PREFIX_BYTES];
    // A TLS alert is shorter than a greeting's prefix and may be all that arrives.
    stream.read_exact(&mut prefix[..ALERT_BYTES]).await?;
    if let Err(Unreadable::Tls) = Greeting::check_prefix(&prefix) {
        return Ok(Err(Unreadable::Tls));
    }
    stream.read_exact(&mut prefix[ALERT_BYTES..]).await?;
    if let Err(unreadable) = Greeting::check_prefix(&prefix) {
        return Ok(Err(unreadable));
    }
    bytes[..PREFIX_BYTES].copy_from_slice(&prefix);
    stream.read_exact(&mut bytes[PREFIX_BYTES..]).await?;
    Ok(Greeting::decode(&bytes))
}

/// Writes queued messages to the peer while the stream is open. `Some`: a connection that replaces it.
async fn serve(shared: &Shared, id: NodeId, peer: &Peer, stream: Wire) -> Option<Wire> {
    count(&shared.counters.connects);
    let source = Source::Peer(id);
    tell!(shared, info, "peer_reached", source, peer = %id, "connected to a peer");
    // The certificates may have changed during the handshake, and an attached stream is written to.
    if let Some(reason) = shared.guard.untrusted(&stream, id) {
        shared.tell_distrust(id, reason);
        return None;
    }
    let stream = Arc::new(stream);
    peer.link.attach(stream.clone(), &shared.counters);
    let attempted = AtomicBool::new(false);
    let mut renewed = pin!(renew(shared, id, peer, &stream, &attempted));
    let next = tokio::select! {
        // Bytes received on the old connection are handled before it is replaced.
        biased;
        () = carry(shared, id, peer, &stream) => {
            // The peer closed the old connection because it has accepted the new one, which is about to
            // be ready here.
            match attempted.load(Ordering::Relaxed) {
                true => timeout(shared.limits.handshake_timeout, renewed).await.ok(),
                false => None,
            }
        }
        reason = shared.guard.distrust(&stream, id) => {
            shared.tell_distrust(id, reason);
            None
        }
        next = &mut renewed => Some(next),
    };
    if next.is_some() {
        count(&shared.counters.renewals);
        tell!(shared, info, "peer_renewed", source, peer = %id, "the connection to a peer was renewed");
    } else {
        peer.link.close(&shared.counters);
        peer.signs.end();
        tell!(shared, info, "peer_lost", source, peer = %id, "lost the connection to a peer");
    }
    next
}

/// Writes, and reads pulses, until the stream breaks or the peer is silent for too long.
async fn carry(shared: &Shared, id: NodeId, peer: &Peer, stream: &Wire) {
    let source = Source::Peer(id);
    let mut heard = Instant::now();
    let mut progress = peer.link.resume(&shared.counters);
    while progress != Progress::Closed {
        tokio::select! {
            // A received pulse counts even if this task was delayed for longer than the allowed
            // silence.
            biased;
            () = peer.link.left() => progress = peer.link.resume(&shared.counters),
            writable = stream.writable(), if progress == Progress::Blocked => {
                if writable.is_err() {
                    return;
                }
                progress = peer.link.resume(&shared.counters);
            }
            // Only flushed messages are written, also when a pulse wakes this task.
            sign = hear(stream) => {
                let Some(sign) = sign else {
                    return;
                };
                heard = Instant::now();
                peer.signs.show();
                if sign == TWIN {
                    tell!(
                        shared, error, "own_twin", source, peer = %id,
                        "another incarnation of this node has connected to a peer: this node's disk was copied"
                    );
                }
            }
            () = sleep_until(heard + shared.limits.silence_max) => {
                count(&shared.counters.silences);
                tell!(shared, warn, "peer_silent", source, peer = %id, "a peer is silent");
                return;
            }
        }
    }
}

/// Makes a connection to replace this one when it is due for renewal, retrying until it succeeds. `attempted`
/// is set while it tries.
async fn renew(
    shared: &Shared,
    id: NodeId,
    peer: &Peer,
    stream: &Wire,
    attempted: &AtomicBool,
) -> Wire {
    let limits = &shared.limits;
    let mut backoff = Backoff::new(limits.backoff_max, RENEWAL_WAIT_MAX, id.0);
    let mut told = false;
    loop {
        shared.guard.renewal(stream, id).await;
        attempted.store(true, Ordering::Relaxed);
        match connect(shared, id, peer, Some(stream)).await {
            Ok(next) => return next,
            Err(error) => report(shared, id, peer, error, &mut told),
        }
        attempted.store(false, Ordering::Relaxed);
        sleep(backoff.wait()).await;
    }
}

/// Waits for a pulse or other sign; `None` when the stream has ended.
async fn hear(stream: &Wire) -> Option<u8> {
    let mut signs = [PULSE; 64];
    match stream.read(&mut signs).await {
        Ok(0) | Err(_) => None,
        Ok(read) => signs[..read].iter().max().copied(),
    }
}

/// The longest wait between two attempts to renew a connection that still works.
const RENEWAL_WAIT_MAX: Duration = Duration::from_secs(60);
/// The length of a TLS alert record.
const ALERT_BYTES: usize = 7;
