//! Decides whether a hello is authentic and its sender is admitted.
//!
//! On plain connections anyone can forge a hello, and with TLS a copy of a node still can. A new incarnation
//! therefore has no lasting effect, here or at the owner of the transport, before it was confirmed at the node's
//! configured address: either it answered there when it was dialed, or it is queried there now
//! ([`Shared::is_at_home`]). A node answers such a query whoever sends it, so two nodes that connect for the first
//! time do not wait for each other.

use super::dial::{open, read_greeting};
use super::events::{Source, tell, what_panicked};
use super::peers::Peer;
use super::shared::Shared;
use super::status::count;
use crate::hello::{Greeting, Standing};
use crate::{Hello, Refused};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::timeout;

/// How a hello was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// On an accepted connection, from any address.
    Accepted,
    /// As the answer at the peer's configured address.
    Dialed,
}

impl Shared {
    /// Whether to accept the sender of this greeting, from `source`.
    pub(crate) async fn judge(
        &self,
        greeting: &Greeting,
        way: Way,
        source: Source,
    ) -> Result<(), Refused> {
        let judged = match self.known(greeting) {
            Ok(peer) => self.weigh(&peer, &greeting.hello, way, source).await,
            Err(refused) => Err(refused),
        };
        judged.inspect_err(|reason| self.refuse(&greeting.hello, *reason, source))
    }

    /// Counts and logs a refusal.
    pub(crate) fn refuse(&self, hello: &Hello, reason: Refused, source: Source) {
        count(&self.counters.hellos_refused);
        let Hello {
            node,
            cluster,
            disk,
            boot,
            ..
        } = hello;
        tell!(
            self, warn, "hello_refused", source,
            %node, %cluster, %disk, boot, %reason, ?source, "refused a hello"
        );
    }

    /// The peer that this greeting names, unless its incarnation is implausibly far ahead.
    pub(crate) fn known(&self, greeting: &Greeting) -> Result<Arc<Peer>, Refused> {
        greeting.judge(&self.hello)?;
        let hello = &greeting.hello;
        let peer = self.peers.get(hello.node).ok_or(Refused::UnknownNode)?;
        // Checked before the peer is queried.
        match self.incarnations().judge(hello) {
            Err(Refused::Leap) => Err(Refused::Leap),
            _ => Ok(peer),
        }
    }

    async fn weigh(
        &self,
        peer: &Peer,
        hello: &Hello,
        way: Way,
        source: Source,
    ) -> Result<(), Refused> {
        let standing = self.incarnations().judge(hello);
        let judged = match standing {
            Ok(Standing::Met) => self.meet(peer, hello, source).await,
            Ok(Standing::New) => {
                let is_there = async { way == Way::Dialed || self.is_at_home(peer, hello).await };
                // Concurrently, because together they must not exceed the dialer's timeout.
                let (is_there, alone) = tokio::join!(is_there, self.probe(peer, hello));
                alone?;
                if !is_there {
                    return Err(Refused::Unconfirmed);
                }
                self.meet(peer, hello, source).await
            }
            Err(refused) => Err(refused),
        };
        if let Err(Refused::Stale | Refused::Twin) = judged {
            self.report_rollback(peer, hello).await;
        }
        judged
    }

    /// Whether the node at the peer's address confirms this hello. It is queried on a new connection, so a
    /// positive answer is later than everything recorded before.
    async fn is_at_home(&self, peer: &Peer, hello: &Hello) -> bool {
        let asked = timeout(self.wait(), ask(self, peer, hello)).await;
        matches!(asked, Ok(Ok(true)))
    }

    /// An earlier incarnation than the last known one, or a copy with the same boot counter, at the peer's own
    /// address means that its disk was restored from an older state. What it has lost is unknown, and its next
    /// incarnation may have a higher counter than any known one, so the owner is notified now. A hello that was in
    /// flight when the last incarnation connected proves nothing; therefore the peer is queried once more.
    async fn report_rollback(&self, peer: &Peer, hello: &Hello) {
        if !self.is_at_home(peer, hello).await {
            return;
        }
        let (on_rollback, hello) = (self.owner.on_rollback.clone(), *hello);
        let noted = spawn_blocking(move || on_rollback(&hello)).await;
        // A panic of the callback is logged; there is no other way to handle it.
        let _panicked = self.tell_of_panic(noted.map(Ok), &hello, Source::Peer(hello.node));
        tell!(
            self, error, "peer_put_back", Source::Peer(hello.node),
            peer = %hello.node, disk = %hello.disk, boot = hello.boot,
            "a peer runs on its disk as it was before its last incarnation, or on a copy"
        );
    }

    /// Admits a later incarnation only when the earlier one is disconnected or silent. Otherwise both are
    /// notified: the earlier one on its connection, the later one by the refusal.
    async fn probe(&self, peer: &Peer, hello: &Hello) -> Result<(), Refused> {
        let is_later = self.incarnations().is_later(hello);
        if !is_later
            || peer
                .signs
                .is_silent(self.wait(), || peer.is_connected())
                .await
        {
            return Ok(());
        }
        tell!(
            self, error, "peer_twice", Source::Peer(hello.node),
            peer = %hello.node, disk = %hello.disk, boot = hello.boot,
            "two incarnations of a peer are alive at once: its disk was copied"
        );
        if peer.inbound.is_open() {
            peer.signs.tell_of_twin();
        }
        Err(Refused::Twin)
    }

    async fn meet(&self, peer: &Peer, hello: &Hello, source: Source) -> Result<(), Refused> {
        self.admit(hello, source).await?;
        let later = self.incarnations().meet(hello)?;
        if later {
            // This stream leads to the earlier incarnation, which no longer answers.
            peer.link.close(&self.counters);
        }
        Ok(())
    }

    /// Calls the owner's callback, which may wait for a disk.
    async fn admit(&self, hello: &Hello, source: Source) -> Result<(), Refused> {
        let (admit, asked) = (self.owner.admit.clone(), *hello);
        let judged = spawn_blocking(move || admit(&asked)).await;
        self.tell_of_panic(judged, hello, source)
    }

    /// A panic of the owner's callback refuses one hello only; later ones of this and other peers are judged
    /// as usual.
    fn tell_of_panic(
        &self,
        asked: Result<Result<(), Refused>, JoinError>,
        hello: &Hello,
        source: Source,
    ) -> Result<(), Refused> {
        asked.unwrap_or_else(|error| {
            if let Ok(panic) = error.try_into_panic() {
                tell!(
                    self, error, "admit_panicked", source,
                    node = %hello.node, panic = what_panicked(&*panic), "the callback that admits peers panicked"
                );
            }
            Err(Refused::Unjudged)
        })
    }

    /// The time limit for checks before a hello is answered.
    fn wait(&self) -> Duration {
        self.limits.handshake_timeout * 3 / 4
    }
}

/// Queries the node at the peer's address whether this hello is its own.
async fn ask(shared: &Shared, peer: &Peer, hello: &Hello) -> io::Result<bool> {
    let stream = open(shared, hello.node, peer).await?;
    let question = Greeting::question(*hello).encode();
    stream.write_all(&question).await?;
    let answer = read_greeting(&stream).await?;
    Ok(answer.is_ok_and(|answer| answer.verdict.is_ok() && !answer.is_question))
}
