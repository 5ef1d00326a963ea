use alloc::vec::Vec;

use super::Synod;
use crate::single::{Acceptor, Envelope};

/// An action for the driver. Exhaustive on purpose: a new variant must break every driver.
#[must_use = "an output that is dropped is lost"]
#[derive(Debug)]
pub enum Output<'a, V> {
    /// Make this durable; the messages inside come out only when it is.
    Persist(Write<'a, V>),
    /// Transmit at once; depends on no write.
    Send(Envelope<V>),
    /// The value is chosen. Comes once in the life of the node.
    Chosen(V),
}

/// A record, and the messages that may not leave this node before it is durable.
///
/// It borrows the node, which can therefore do nothing else meanwhile: no receipt has to come back
/// (as one does in Multi-Paxos, where other work goes on during a write), and the driver that
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
/// while the one that puts it off does not:
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
/// To drop it is to lose the messages: safe, and a ballot later made good.
#[must_use = "until this is durable the node says nothing"]
#[derive(Debug)]
pub struct Write<'a, V> {
    pub(super) node: &'a mut Synod<V>,
    pub(super) messages: Vec<Envelope<V>>,
}

impl<V: Clone> Write<'_, V> {
    /// Hands the record to `store`, which returns `Ok` only once it is on stable storage; then come
    /// the messages to others. Those of the node to itself arrive at this moment: its own promise
    /// and its own vote count when they are durable.
    ///
    /// # Errors
    /// Those of `store`. The messages are gone, as if the network had lost them.
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
