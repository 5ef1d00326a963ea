use alloc::vec::Vec;

use super::Synod;
use crate::single::{Acceptor, Envelope};

/// An action for the driver. Exhaustive on purpose: a new variant must break every driver.
#[must_use = "an output that is dropped is lost"]
#[derive(Debug)]
pub enum Output<'a, V> {
    /// Make this durable; only then the messages inside can be sent.
    Persist(Write<'a, V>),
    /// Send at once; it depends on no write.
    Send(Envelope<V>),
    /// The value is chosen. Output once during the lifetime of the node.
    Chosen(V),
}

/// A record, and the messages that may not leave this node before it is durable.
///
/// It borrows the node, which can therefore do nothing else meanwhile. So no receipt has to be
/// returned (unlike in Multi-Paxos, where other work continues during a write), and a driver that
/// writes first compiles,
///
/// ```
/// use synod_paxos::{Instant, single::{Output, Synod}};
/// fn drive(node: &mut Synod<u8>) {
///     while let Some(Output::Persist(write)) = node.poll_output() {
///         let _ = write.persist(|_acceptor| Ok::<(), ()>(()));
///         node.handle_timeout(Instant::ZERO);
///     }
/// }
/// ```
///
/// while one that writes later does not:
///
/// ```compile_fail,E0499
/// use synod_paxos::{Instant, single::{Output, Synod}};
/// fn drive(node: &mut Synod<u8>) {
///     while let Some(Output::Persist(write)) = node.poll_output() {
///         node.handle_timeout(Instant::ZERO);
///         let _ = write.persist(|_acceptor| Ok::<(), ()>(()));
///     }
/// }
/// ```
///
/// Dropping it loses the messages. That is safe, and a later ballot makes up for it.
#[must_use = "until this is durable the node sends nothing"]
#[derive(Debug)]
pub struct Write<'a, V> {
    pub(super) node: &'a mut Synod<V>,
    pub(super) messages: Vec<Envelope<V>>,
}

impl<V: Clone> Write<'_, V> {
    /// Passes the record to `store`, which returns `Ok` only once it is on stable storage; then
    /// returns the messages to other nodes. Those of the node to itself are handled now: its own
    /// promise and its own vote count when they are durable.
    ///
    /// # Errors
    /// Those of `store`. The messages are dropped, as if the network had lost them.
    pub fn persist<E>(
        self,
        store: impl FnOnce(&Acceptor<V>) -> Result<(), E>,
    ) -> Result<Vec<Envelope<V>>, E> {
        let Self { node, messages } = self;
        store(node.acceptor())?;
        let is_own = |envelope: &Envelope<V>| envelope.to == node.id();
        let (own, others): (Vec<_>, Vec<_>) = messages.into_iter().partition(is_own);
        for Envelope { to, message } in own {
            node.deliver(to, message);
        }
        Ok(others)
    }
}
