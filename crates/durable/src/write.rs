use core::marker::PhantomData;

use crate::receipt::Mark;
use crate::{Few, Receipt};

/// A record, and the messages that may not leave this node before it is durable.
///
/// Storing the record is the [only way](crate::mistakes) to get the messages:
///
/// ```
/// # use synod_durable::{Few, Write};
/// fn send<M>(write: Write<u64, M>) -> Few<M> {
///     write.persist(|_stored| Ok::<(), ()>(())).unwrap().0
/// }
/// ```
///
/// Dropping a write is safe, but final: the node sends no message that must wait any more. A write
/// can be cloned, so that a checker can keep a state with a write in flight; the receipt of only
/// one copy is accepted.
#[must_use = "until this is durable the node makes no progress"]
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Write<R, M> {
    pub(crate) record: R,
    pub(crate) messages: Few<M>,
    pub(crate) mark: Mark,
}

impl<R, M> Write<R, M> {
    /// The record to store.
    pub fn record(&self) -> &R {
        &self.record
    }

    /// Passes the record to `store`, which returns `Ok` only once it is on stable storage.
    ///
    /// # Errors
    /// Those of `store`. The messages are dropped with the receipt and were not sent. The node's
    /// memory is ahead of its disk, so it must be restarted from what was stored.
    #[inline]
    pub fn persist<E>(
        self,
        store: impl FnOnce(R) -> Result<(), E>,
    ) -> Result<(Few<M>, Receipt<R>), E> {
        store(self.record)?;
        Ok((self.messages, receipt(self.mark)))
    }

    /// Passes the record to `append`, which appends it to a log that will be synced later, for
    /// several writes at once, and returns its ticket. The messages stay inside until
    /// [`Staged::release`].
    ///
    /// # Errors
    /// Those of `append`; as for [`persist`](Self::persist).
    #[inline]
    pub fn stage<T, E>(self, append: impl FnOnce(R) -> Result<T, E>) -> Result<Staged<R, M, T>, E> {
        Ok(Staged {
            ticket: append(self.record)?,
            messages: self.messages,
            mark: self.mark,
            record: PhantomData,
        })
    }
}

/// A write that was appended under the log's ticket `T`, and is not yet durable.
#[must_use = "release it when the log is durable up to its ticket"]
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Staged<R, M, T> {
    ticket: T,
    messages: Few<M>,
    mark: Mark,
    record: PhantomData<fn() -> R>,
}

impl<R, M, T: Ord> Staged<R, M, T> {
    /// Returns the messages and the receipt if this write is durable. `durable` is the ticket up to
    /// which the log is on stable storage.
    ///
    /// # Errors
    /// The write itself, if it is not durable yet.
    #[inline]
    pub fn release(self, durable: &T) -> Result<(Few<M>, Receipt<R>), Self> {
        if self.ticket <= *durable {
            Ok((self.messages, receipt(self.mark)))
        } else {
            Err(self)
        }
    }
}

#[inline]
fn receipt<R>(mark: Mark) -> Receipt<R> {
    let record = PhantomData;
    Receipt { mark, record }
}
