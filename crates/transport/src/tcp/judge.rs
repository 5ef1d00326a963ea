//! Whether whoever has said hello is the node that it says, and welcome.
//!
//! A hello costs nothing, and where connections are plain anybody can say it; where they are not, a copy of a
//! node can, too. So an incarnation that was not met
//! yet is made nothing of that lasts, here or at the owner of the transport, before that very incarnation was heard
//! at the address that the node is known by: it answered there when it was dialed, or it is asked there now
//! ([`Shared::is_at_home`]). Whoever is asked needs to know nothing of who asks, so two nodes that meet for the
//! first time do not wait for each other.

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

/// How a hello came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Whoever said it came here, from wherever.
    Accepted,
    /// It was answered at the peer's address.
    Dialed,
}

impl Shared {
    /// Whether to talk to whoever sent this greeting, from `source`.
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

    /// Counts a refusal and tells it.
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

    /// The peer that this is a greeting of, as far as names tell, and unless its incarnation leaps.
    pub(crate) fn known(&self, greeting: &Greeting) -> Result<Arc<Peer>, Refused> {
        greeting.judge(&self.hello)?;
        let hello = &greeting.hello;
        let peer = self.peers.get(hello.node).ok_or(Refused::UnknownNode)?;
        // Before anybody is asked about it.
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
                // Side by side: together they must not outlast the dialer's timeout.
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
            self.doubt(peer, hello).await;
        }
        judged
    }

    /// Whether this very hello is that of whoever is now at the peer's address. It is asked on a connection
    /// that begins now, so who says yes lives after all that was met before.
    async fn is_at_home(&self, peer: &Peer, hello: &Hello) -> bool {
        let asked = timeout(self.wait(), ask(self, peer, hello)).await;
        matches!(asked, Ok(Ok(true)))
    }

    /// Where an earlier incarnation than the last that was met, or a copy that counts alike, is at the peer's own
    /// address, its disk was put back. What it forgot with that nobody knows, and its next incarnation may count
    /// higher than any that was met: so the owner is told now. What was on its way when the last incarnation came is
    /// no sign, therefore it is asked once more.
    async fn doubt(&self, peer: &Peer, hello: &Hello) {
        if !self.is_at_home(peer, hello).await {
            return;
        }
        let (doubt, hello) = (self.owner.doubt.clone(), *hello);
        let doubted = spawn_blocking(move || doubt(&hello)).await;
        // A panic there is told, and nothing else can be done about it.
        let _panicked = self.tell_of_panic(doubted.map(Ok), &hello, Source::Peer(hello.node));
        tell!(
            self, error, "peer_put_back", Source::Peer(hello.node),
            peer = %hello.node, disk = %hello.disk, boot = hello.boot,
            "a peer runs on its disk as it was before its last incarnation, or on a copy"
        );
    }

    /// Lets a later incarnation in only when the earlier one is gone or silent. Both are told of each other: the
    /// earlier one on its connection, the later one by the refusal.
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
            "two incarnations of a peer are there at once: its disk was copied"
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
            // Its earlier incarnation, to which this stream leads, will not answer any more.
            peer.link.close(&self.counters);
        }
        Ok(())
    }

    /// Asks the owner of the transport, who may wait for a disk.
    async fn admit(&self, hello: &Hello, source: Source) -> Result<(), Refused> {
        let (admit, asked) = (self.owner.admit.clone(), *hello);
        let judged = spawn_blocking(move || admit(&asked)).await;
        self.tell_of_panic(judged, hello, source)
    }

    /// A panic of the owner's is about one hello, and no reason to have nothing to do with that peer, or any
    /// other, from now on.
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
                    node = %hello.node, panic = what_panicked(&*panic), "whoever admits peers panicked"
                );
            }
            Err(Refused::Unjudged)
        })
    }

    /// For what must be known before a hello is answered.
    fn wait(&self) -> Duration {
        self.limits.handshake_timeout * 3 / 4
    }
}

/// Asks at the peer's address whether this is what it says of itself.
async fn ask(shared: &Shared, peer: &Peer, hello: &Hello) -> io::Result<bool> {
    let stream = open(shared, hello.node, peer).await?;
    let question = Greeting::question(*hello).encode();
    stream.write_all(&question).await?;
    let answer = read_greeting(&stream).await?;
    Ok(answer.is_ok_and(|answer| answer.verdict.is_ok() && !answer.is_question))
}
