/// A reply that may be sent only once `record` is durable (Paxos Made Simple §2.5: *an
/// acceptor records its intended response in stable storage before actually sending the response*).
///
/// [`persist`](Self::persist) is the only access to the reply:
///
/// ```
/// use synod_paxos::single::{Acceptor, Pending, Promise};
/// fn early(pending: Pending<'_, Acceptor<u8>, Promise<u8>>) -> Promise<u8> {
///     pending.persist(|_acceptor| Ok::<(), ()>(())).unwrap()
/// }
/// ```
///
/// Taking it out early does not compile:
///
/// ```compile_fail,E0616
/// use synod_paxos::single::{Acceptor, Pending, Promise};
/// fn early(pending: Pending<'_, Acceptor<u8>, Promise<u8>>) -> Promise<u8> {
///     pending.reply
/// }
/// ```
///
/// A pending reply borrows the role that made it, which keeps records in order. Replies of two
/// acceptors may wait at the same time:
///
/// ```
/// use synod_paxos::{Ballot, single::Acceptor};
/// fn both(acceptor: &mut Acceptor<u8>, other: &mut Acceptor<u8>, low: Ballot, high: Ballot) {
///     let first = acceptor.prepare(low).unwrap();
///     let second = other.prepare(high).unwrap();
///     let _ = second.persist(|_stored_first| Ok::<(), ()>(()));
///     let _ = first.persist(|_stored_last| Ok::<(), ()>(()));
/// }
/// ```
///
/// Those of one may not, so the lower promise cannot overwrite the higher one, which was sent:
///
/// ```compile_fail,E0499
/// use synod_paxos::{Ballot, single::Acceptor};
/// fn both(acceptor: &mut Acceptor<u8>, other: &mut Acceptor<u8>, low: Ballot, high: Ballot) {
///     let first = acceptor.prepare(low).unwrap();
///     let second = acceptor.prepare(high).unwrap();
///     let _ = second.persist(|_stored_first| Ok::<(), ()>(()));
///     let _ = first.persist(|_stored_last| Ok::<(), ()>(()));
/// }
/// ```
///
/// Dropping it is safe: memory is then ahead of the disk, nothing was sent, and the next record
/// contains what this one did.
#[must_use = "the reply comes out of `persist`"]
#[derive(Debug)]
pub struct Pending<'a, R, M> {
    record: &'a R,
    reply: M,
}

impl<'a, R, M> Pending<'a, R, M> {
    pub(super) fn new(record: &'a R, reply: M) -> Self {
        Self { record, reply }
    }

    /// Passes the record to `store`, which returns `Ok` only once it is on stable storage.
    ///
    /// # Errors
    /// Those of `store`. The reply is dropped, as if the network had lost it.
    pub fn persist<E>(self, store: impl FnOnce(&R) -> Result<(), E>) -> Result<M, E> {
        store(self.record)?;
        Ok(self.reply)
    }

    /// For [`Synod`](super::Synod), which keeps the reply until its own next write, of the same
    /// record, is durable.
    pub(super) fn defer(self) -> M {
        self.reply
    }
}
