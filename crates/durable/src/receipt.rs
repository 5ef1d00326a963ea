use core::error::Error;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::marker::PhantomData;
use core::ops::Deref;
use core::sync::atomic::{AtomicUsize, Ordering};

/// Proof that a record of type `R` is durable, to be passed once to
/// [`Outbox::settle`](crate::Outbox::settle). Only a write makes one; it cannot be duplicated, or
/// made for another type of record: see [`mistakes`](crate::mistakes). Mistakes that types cannot
/// prevent end in [`Refused`].
#[must_use = "the protocol makes no further write until this is returned to it"]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Receipt<R> {
    pub(crate) mark: Mark,
    pub(crate) record: PhantomData<fn() -> R>,
}

/// What a node may count for itself, because the record that it was read from is durable.
///
/// Only [`Outbox::settle`](crate::Outbox::settle) makes it, so a function that takes it cannot be
/// called with an own vote too early: see [`mistakes`](crate::mistakes).
///
/// It reports what is on the disk, which may no longer matter: the node may have left the term of
/// its vote during the write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Durable<T> {
    pub(crate) own: T,
}

impl<T> Deref for Durable<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.own
    }
}

/// Why a receipt was refused and changed nothing. Count these, and investigate if there are any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused {
    /// The write was made by another core value: of another group, or an earlier one of this group.
    OtherCore,
    /// The write was already settled, by the receipt of a copy of it.
    NotInFlight,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OtherCore => "the receipt is for a write of another core value",
            Self::NotInFlight => "the receipt is for a write that is not in flight",
        })
    }
}

impl Error for Refused {}

/// Identifies a write: the core value that made it, and its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Mark {
    core: Core,
    /// The number of the write, counted from 1 for each core value.
    pub(crate) number: u64,
}

impl Mark {
    pub(crate) fn of_new_core() -> Self {
        let core = Core(CORES.fetch_add(1, Ordering::Relaxed));
        Self { core, number: 0 }
    }

    #[inline]
    pub(crate) fn is_of_same_core(self, other: Self) -> bool {
        self.core.0 == other.core.0
    }
}

/// The identity of a core value, unique in this process.
///
/// It is the only thing here that is not a function of its arguments. As an argument it could be
/// passed twice, which is the mistake that it prevents; an address is reused once its allocation is
/// freed; a shared allocation costs two reference counts per write; and a lifetime as a brand keeps
/// cores out of collections. In return it is invisible: it has no order, `Debug` omits it, and
/// values that differ only in it are equal. All it can do is to refuse.
#[derive(Clone, Copy)]
struct Core(usize);

impl PartialEq for Core {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Core {}

impl Hash for Core {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("_")
    }
}

/// Wraps around after 2^64 core values, or 2^32 on a 32-bit machine.
static CORES: AtomicUsize = AtomicUsize::new(0);
