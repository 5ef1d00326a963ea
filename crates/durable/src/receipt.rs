use core::error::Error;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::marker::PhantomData;
use core::ops::Deref;
use core::sync::atomic::{AtomicUsize, Ordering};

/// Proof that a record of type `R` is durable. [`Outbox::settle`](crate::Outbox::settle) takes it
/// back, once. Only a write makes one, there is no second one, and none for another type of record:
/// see [`mistakes`](crate::mistakes). Where the types are the same, [`Refused`] says what no type can.
#[must_use = "the protocol writes nothing more until it has this back"]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Receipt<R> {
    pub(crate) mark: Mark,
    pub(crate) record: PhantomData<fn() -> R>,
}

/// What a node may count for itself, because the record that it was read from is durable.
///
/// Only [`Outbox::settle`](crate::Outbox::settle) makes it, so a function that takes one cannot be
/// given an own vote too early: see [`mistakes`](crate::mistakes).
///
/// It tells what is on the disk, which is not always what still matters: the node may have left the
/// term of its vote while the disk was busy.
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

/// Why a receipt changed nothing. To be counted, and looked into where that is not zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused {
    /// Another core value made the write: another group's, or an earlier one of this group.
    OtherCore,
    /// The write was settled before, by the receipt of a copy of it.
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

/// Which write of which core value it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Mark {
    core: Core,
    /// Counts the writes of one core value, from 1.
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

/// The name of a core value, unlike that of any other in this process.
///
/// It is the one thing here that is no function of its arguments. As an argument it could be given
/// twice, which is the mistake that it is there for; the address of something is used again once that
/// is gone; a shared allocation costs two counts of references a write; a lifetime as a brand keeps
/// cores out of collections. In exchange nobody can see it: it has no order, `Debug` leaves it out, and
/// what differs in it alone is equal. All it can do is to refuse.
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

/// Comes round after 2^64 core values, or 2^32 on a machine of 32 bits.
static CORES: AtomicUsize = AtomicUsize::new(0);
