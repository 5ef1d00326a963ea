//! The task that accepts connections, and one for each connection that reads what a peer sends.

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
                    // A broken invariant of our own, not the peer's doing: this task ends of it too, and
                    // with it the transport.
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
                // Whoever had to go for it frees a descriptor before the next one comes.
                yield_now().await;
            }
            // Out of descriptors, most likely: it passes, and trying at full speed would not help.
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
    // It has said who it is. What is made of that may take longer than a crowd lets anybody keep a place.
    drop(place);
    let welcomed = timeout_at(deadline, welcome(&shared, &mut stream, &greeting, address)).await;
    drop(room);
    match welcomed {
        Ok(Ok(true)) => listen_to(&shared, &stream, &greeting.hello, address).await,
        Ok(Ok(false)) => {}
        // It tries again, if it is a peer.
        Ok(Err(_)) | Err(_) => {
            tracing::debug!(node = %greeting.hello.node, %address, "a hello was not answered in time");
        }
    }
}

/// Receives from a peer that is welcome, for as long as its connection lives and is its last.
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

/// Somebody who could be a peer, and room to hear it out.
struct Heard {
    stream: Wire,
    greeting: Greeting,
    room: OwnedSemaphorePermit,
}

/// The first words on a connection. `None`: they were answered.
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
    // Whether it hears that out is its own affair.
    let _parted = stream.part().await;
    Ok(None)
}

/// Room for whoever says that it is a peer, if its certificate says so too.
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

/// Ends a connection on which nobody has shown that it is a node. Nothing was read of it but its handshake.
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
    /// Counts whoever has come and is not believed, and tells of it.
    fn tell_untrusted(&self, reason: Untrusted, address: SocketAddr) {
        self.counters.untrusted(reason);
        tell!(
            self, warn, "untrusted", Source::Address(address.ip()),
            %address, %reason, "somebody has not shown that it is a node of this cluster"
        );
    }

    /// Counts the CAs that are not believed because they have expired, and tells it.
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
                "a CA has expired and is not believed"
            );
        }
    }

    /// Counts a peer that is not believed any more, and tells of it.
    pub(crate) fn tell_distrust(&self, peer: NodeId, reason: Untrusted) {
        self.counters.untrusted(reason);
        tell!(
            self, warn, "distrusted", Source::Peer(peer),
            %peer, %reason, "a peer is not believed any more: its connection ends"
        );
    }
}

/// Answers a hello that could be a peer's, and tells whether that is welcome.
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
        // Whether the refused node hears it out is its own affair.
        let _parted = stream.part().await;
    }
    Ok(verdict.is_ok())
}

/// Hands over what the peer sends until its stream ends or breaks the format.
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

/// Shows the dialer that this end lives, also while it reads nothing because its owner takes
/// nothing; and tells it when another incarnation of it has come.
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
            // Then there are pulses under way already.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}

const ACCEPT_WAIT_MIN: Duration = Duration::from_millis(5);
const ACCEPT_WAIT_MAX: Duration = Duration::from_secs(1);
