use core::marker::PhantomData;

use crate::receipt::Mark;
use crate::{Few, Receipt};

/// A record, and the messages that may not leave this node before it is durable.
///
/// Once the record is stored they come out, and [no other way](crate::mistakes) compiles:
///
/// ```
/// # use synod_durable::{Few, Write};
/// fn send<M>(write: Write<u64, M>) -> Few<M> {
///     write.persist(|_stored| Ok::<(), ()>(())).unwrap().0
/// }
/// ```
///
/// To drop it is safe, and the end: the node says nothing that must wait any more. It can be cloned,
/// so that a checker can keep a state with a write in flight; one receipt of all copies is taken.
#[must_use = "until this is durable the node makes no progress"]
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Write<R, M> {
    pub(crate) record: R,
    pub(crate) messages: Few<M>,
    pub(crate) mark: Mark,
}

impl<R, M> Write<R, M> {
    /// What is to be stored.
    pub fn record(&self) -> &R {
        &self.record
    }

    /// Gives the record to `store`, which returns `Ok` only once it is on stable storage.
    ///
    /// # Errors
    /// Those of `store`. The messages are gone with the receipt: the node said nothing. Its memory is
    /// ahead of its disk, so it must be started again from what was stored.
    #[inline]
    pub fn persist<E>(
        self,
        store: impl FnOnce(R) -> Result<(), E>,
    ) -> Result<(Few<M>, Receipt<R>), E> {
        store(self.record)?;
        Ok((self.messages, receipt(self.mark)))
    }

    /// Gives the record to `append`, which puts it into a log that will be synced later, for many at
    /// once, and tells under which ticket. The messages stay inside until [`Staged::release`].
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
    /// `durable`: all that was staged under a ticket up to this one is on stable storage.
    ///
    /// # Errors
    /// Itself, if it is not durable yet.
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
