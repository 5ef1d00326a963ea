use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::clock::Shared;
use super::{Layout, Timestamp};

/// A pending increase of the bound: no timestamp above the old one is returned before the new
/// [`bound`](Self::bound) is durable. Store it, then call [`persisted`](Self::persisted). Dropping
/// it, because the write failed, changes nothing; a write that may still reach the disk has not
/// failed yet, since it could overwrite the next one.
///
/// Each clock has at most one at a time.
///
/// ```
/// use core::time::Duration;
/// use synod_lamport::hlc::{HybridClock, Millis48, Timestamp};
///
/// let mut disk: Option<[u8; 8]> = None;
/// let stored = disk.map_or(Timestamp::<Millis48>::ZERO, Timestamp::from_be_bytes);
/// let clock = HybridClock::restore(|| 1_795_417_200_000_000_000, stored)?;
///
/// let reservation = clock.reserve(Duration::from_secs(3))?;
/// disk = Some(reservation.bound().to_be_bytes()); // and sync
/// reservation.persisted();
///
/// assert!(Timestamp::from_be_bytes(disk.unwrap()) >= clock.now()?);
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "the bound is raised when it is persisted"]
pub struct Reservation<'a, L: Layout> {
    pub(super) wanted: Timestamp<L>,
    pub(super) shared: &'a Shared<AtomicU64, L>,
    /// Held for its end.
    pub(super) _pending: Pending<'a>,
}

impl<L: Layout> Reservation<'_, L> {
    /// The bound to store, replacing the previous one, which is not greater.
    ///
    /// ```
    /// # use core::time::Duration;
    /// # use synod_lamport::hlc::{HybridClock, Millis48, Timestamp};
    /// let clock = HybridClock::restore(|| 0, Timestamp::<Millis48>::ZERO)?;
    /// let reservation = clock.reserve(Duration::from_secs(3))?;
    /// assert_eq!(reservation.bound().since_unix_epoch(), Duration::from_secs(3));
    /// # Ok::<(), Box<dyn core::error::Error>>(())
    /// ```
    #[must_use]
    pub fn bound(&self) -> Timestamp<L> {
        self.wanted
    }

    /// Records that the bound is durable, so that it would be found after a crash. From now on
    /// timestamps up to it are returned.
    ///
    /// ```
    /// # use core::time::Duration;
    /// # use synod_lamport::hlc::{HybridClock, Millis48, Timestamp};
    /// let clock = HybridClock::restore(|| 0, Timestamp::<Millis48>::ZERO)?;
    /// clock.reserve(Duration::from_secs(3))?.persisted();
    /// assert!(clock.now().is_ok());
    /// # Ok::<(), Box<dyn core::error::Error>>(())
    /// ```
    pub fn persisted(self) {
        self.shared.raise(self.wanted);
    }
}

/// The right to be the open reservation, released when dropped.
#[derive(Debug)]
pub(super) struct Pending<'a>(&'a AtomicBool);

impl<'a> Pending<'a> {
    /// Takes the right, unless it is taken.
    pub(super) fn take(flag: &'a AtomicBool) -> Option<Self> {
        (!flag.swap(true, Ordering::AcqRel)).then_some(Self(flag))
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}
