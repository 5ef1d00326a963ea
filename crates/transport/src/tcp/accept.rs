//! The task that accepts connections, and a task for each connection that reads from its peer.

use super::dial::read_greeting;
use super::events::{Source, tell};
use super::judge::Way;
use super::peers::Peer;
use super::places::{Place, Places};
use super::probe::{PULSE, TWIN};
use super::shared::Shared;
use super::status::count;
use super::wire::{Wire, broken, reason_of};
use crate::backoff::Backoff;
use crate::frame::Decoder;
use crate::hello::{Greeting, Unreadable};
use crate::{Hello, NodeId, Refused, Untrusted};
use std::io::{self, ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::{JoinError, JoinSet, yield_now};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout_at};

/// Accepts until the listener is closed. The connections' tasks end with this one.
pub(crate) async fn accept_peers(shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    let limits = &shared.limits;
    let handshakes = Places::new(limits.handshakes_max, limits.handshakes_address_max);
    let mut backoff = Backoff::new(ACCEPT_WAIT_MIN, ACCEPT_WAIT_MAX, shared.hello.node.0);
    loop {
        let accepted = tokio::select! {
            accepted = shared.accept() => accepted,
            Some(ended) = connections.join_next() => {
                match ended.map_err(JoinError::try_into_panic) {
                    // A bug in this crate, not caused by the peer: it ends this task and with it the
                    // transport.
                    Err(Ok(panic)) => resume_unwind(panic),
                    Ok(()) | Err(Err(_)) => continue,
                }
            }
        };
        match accepted {
            Some(Ok((stream, address))) => {
                backoff.reset();
                let ip = address.ip().to_canonical();
                let place = handshakes.take(ip, shared.peers.are_at(ip));
                connections.spawn(receive_from(shared.clone(), stream, address, place));
                // Lets a displaced connection release its descriptor before the next one is
                // accepted.
                yield_now().await;
            }
            // Most likely out of descriptors, which is temporary; retrying without a pause would
            // not help.
            Some(Err(error)) => {
                count(&shared.counters.accepts_failed);
                tell!(shared, warn, "accept_failed", Source::Here, %error, "cannot accept a connection");
                sleep(backoff.wait()).await;
            }
            None => return,
        }
    }
}

async fn receive_from(shared: Arc<Shared>, stream: TcpStream, address: SocketAddr, place: Place) {
    let limits = &shared.limits;
    let deadline = Instant::now() + limits.handshake_timeout;
    let heard = tokio::select! {
        biased;
        heard = timeout_at(deadline, hear(&shared, stream, address)) => heard,
        () = place.displaced() => {
            count(&shared.counters.handshakes_dropped);
            return;
        }
    };
    let Heard {
        mut stream,
        greeting,
        room,
    } = match heard {
        Ok(Ok(Some(heard))) => heard,
        Ok(Ok(None)) => return,
        Ok(Err(_)) | Err(_) => {
            count(&shared.counters.hellos_unreadable);
            let source = Source::Address(address.ip());
            tell!(shared, info, "stranger", source, %address, "no hello came in time");
            return;
        }
    };
    // The hello is complete. Judging it may take longer than a place lasts under many connection
    // attempts.
    drop(place);
    let welcomed = timeout_at(deadline, welcome(&shared, &mut stream, &greeting, address)).await;
    drop(room);
    match welcomed {
        Ok(Ok(true)) => listen_to(&shared, &stream, &greeting.hello, address).await,
        Ok(Ok(false)) => {}
        // If it is a peer, it tries again.
        Ok(Err(_)) | Err(_) => {
            tracing::debug!(node = %greeting.hello.node, %address, "a hello was not answered in time");
        }
    }
}

/// Receives from an admitted peer until its connection ends or a later one replaces it.
async fn listen_to(shared: &Shared, stream: &Wire, hello: &Hello, address: SocketAddr) {
    let node = hello.node;
    let Some((peer, number)) = shared.open_inbound(hello) else {
        return;
    };
    stream.read_much();
    tell!(shared, info, "peer_came", Source::Peer(node), peer = %node, %address, "a peer has connected");
    tokio::select! {
        biased;
        () = peer.inbound.displaced(number) => {}
        reason = shared.guard.distrust(stream, node) => shared.tell_distrust(node, reason),
        () = receive(shared, hello, &peer, number, stream) => {}
        () = pulse(stream, shared.limits.pulse_interval, &peer) => {}
    }
    peer.inbound.closed(number);
    peer.signs.end();
    tell!(
        shared, info, "peer_left", Source::Peer(node),
        peer = %node, %address, "a peer's connection has ended"
    );
}

/// A connection with a complete hello, and the permit under which it is judged.
struct Heard {
    stream: Wire,
    greeting: Greeting,
    room: OwnedSemaphorePermit,
}

/// Reads the greeting of a connection. `None`: it was answered and needs nothing more.
async fn hear(
    shared: &Shared,
    stream: TcpStream,
    address: SocketAddr,
) -> io::Result<Option<Heard>> {
    stream.set_nodelay(true)?;
    let source = Source::Address(address.ip());
    let is_stranger = !shared.peers.are_at(address.ip().to_canonical());
    let mut stream = match shared.guard.accept(stream, is_stranger).await {
        Ok(stream) => stream,
        Err((error, stream)) => return turn_away(shared, stream, error, address).await,
    };
    let answer = match read_greeting(&stream).await? {
        Ok(question) if question.is_question => question.answer(&shared.hello),
        Ok(greeting) => match room_for(shared, &stream, &greeting, address) {
            Ok(room) => {
                return Ok(Some(Heard {
                    stream,
                    greeting,
                    room,
                }));
            }
            Err(reason) => {
                shared.refuse(&greeting.hello, reason, source);
                Greeting::refusal(greeting.hello.node, reason)
            }
        },
        Err(Unreadable::Version(version)) => {
            count(&shared.counters.hellos_refused);
            tell!(
                shared, warn, "hello_refused", source,
                %address, version, "refused a hello of another version"
            );
            Greeting::refusal(NodeId(0), Refused::Version)
        }
        Err(Unreadable::Tls) => {
            return turn_away(shared, stream, broken(Untrusted::OnlyTls), address).await;
        }
        Err(Unreadable::Garbage) => {
            count(&shared.counters.hellos_unreadable);
            tell!(shared, info, "stranger", source, %address, "something other than a hello");
            return Ok(None);
        }
    };
    stream.write_all(&answer.encode()).await?;
    // A failure to deliver the answer is ignored.
    let _parted = stream.part().await;
    Ok(None)
}

/// A permit for a connection that claims to be a peer, if its certificate agrees.
fn room_for(
    shared: &Shared,
    stream: &Wire,
    greeting: &Greeting,
    address: SocketAddr,
) -> Result<OwnedSemaphorePermit, Refused> {
    shared
        .guard
        .is_of(stream, greeting.hello.node)
        .map_err(|reason| {
            shared.tell_untrusted(reason, address);
            Refused::Certificate
        })?;
    let peer = shared.known(greeting)?;
    let room = peer.hear_out(address.ip().to_canonical());
    room.ok_or(Refused::Unconfirmed)
}

/// Closes a connection that did not authenticate as a node. Only its handshake was read.
async fn turn_away(
    shared: &Shared,
    mut stream: Wire,
    error: io::Error,
    address: SocketAddr,
) -> io::Result<Option<Heard>> {
    let Some(reason) = reason_of(&error) else {
        return Err(error);
    };
    shared.tell_untrusted(reason, address);
    if stream.seal().is_some() {
        let refusal = Greeting::refusal(NodeId(0), Refused::Certificate);
        stream.write_all(&refusal.encode()).await?;
    }
    let _parted = stream.part().await;
    Ok(None)
}

impl Shared {
    /// Counts and logs an incoming connection that is not trusted.
    fn tell_untrusted(&self, reason: Untrusted, address: SocketAddr) {
        self.counters.untrusted(reason);
        tell!(
            self, warn, "untrusted", Source::Address(address.ip()),
            %address, %reason, "a connection has not authenticated as a node of this cluster"
        );
    }

    /// Counts and logs the CAs that are not trusted because they have expired.
    pub(crate) fn tell_expired(&self) {
        let expired = self.guard.expired();
        if expired > 0 {
            self.counters.expired(expired);
            tell!(
                self,
                warn,
                "authority_expired",
                Source::Here,
                expired,
                "a CA has expired and is not trusted"
            );
        }
    }

    /// Counts and logs a connected peer that is no longer trusted.
    pub(crate) fn tell_distrust(&self, peer: NodeId, reason: Untrusted) {
        self.counters.untrusted(reason);
        tell!(
            self, warn, "distrusted", Source::Peer(peer),
            %peer, %reason, "a peer is no longer trusted: its connection is closed"
        );
    }
}

/// Answers a hello that names a peer, and returns whether it is admitted.
async fn welcome(
    shared: &Shared,
    stream: &mut Wire,
    greeting: &Greeting,
    address: SocketAddr,
) -> io::Result<bool> {
    let (to, source) = (greeting.hello.node, Source::Address(address.ip()));
    let verdict = shared.judge(greeting, Way::Accepted, source).await;
    let answer = match verdict {
        Ok(()) => Greeting {
            hello: shared.hello,
            to,
            verdict: Ok(()),
            is_question: false,
        },
        Err(reason) => Greeting::refusal(to, reason),
    };
    stream.write_all(&answer.encode()).await?;
    if verdict.is_err() {
        // A failure to deliver the refusal is ignored.
        let _parted = stream.part().await;
    }
    Ok(verdict.is_ok())
}

/// Delivers the peer's messages until its stream ends or is corrupted.
async fn receive(shared: &Shared, hello: &Hello, peer: &Peer, number: u64, stream: &Wire) {
    let (node, incarnation) = (hello.node, hello.boot);
    let mut decoder = Decoder::new(shared.limits.frame_bytes_max);
    loop {
        match stream.read_buf(decoder.space()).await {
            Ok(0) => return,
            Ok(_) => peer.signs.show(),
            Err(error) => {
                tracing::debug!(peer = %node, %error, "the stream from a peer broke");
                return;
            }
        }
        loop {
            match decoder.poll_frame() {
                Ok(Some(message)) => {
                    shared.counters.received(message.len());
                    if !peer.inbound.hand_over(number, incarnation, message).await {
                        return;
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    count(&shared.counters.frames_corrupt);
                    tell!(
                        shared, warn, "stream_corrupt", Source::Peer(node),
                        peer = %node, %error, "a peer's stream is corrupt"
                    );
                    return;
                }
            }
        }
    }
}

/// Sends pulses to the dialer, even while nothing is read because the owner does not poll, and
/// notifies it when another incarnation of it has connected.
async fn pulse(stream: &Wire, every: Duration, peer: &Peer) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let byte = tokio::select! {
            _ = ticks.tick() => PULSE,
            () = peer.signs.twin() => TWIN,
        };
        match stream.try_write(&[IoSlice::new(&[byte])]) {
            Ok(_) => {}
            // Earlier pulses are still in the send buffer.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}

const ACCEPT_WAIT_MIN: Duration = Duration::from_millis(5);
const ACCEPT_WAIT_MAX: Duration = Duration::from_secs(1);
