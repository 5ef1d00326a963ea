//! The conformance suite for logs.

mod durability;
mod readers;
mod rig;
mod slots;
mod snapshots;
mod space;
mod transfers;

use synod_wal::GroupId;

use super::suite::{Report, Suite, Unsupported};
use crate::log::Log;

/// The place where a log lives: what remains when the log itself is dropped, such as a directory.
///
/// A closure that opens the log is a store without further abilities:
///
/// ```no_run
/// use synod_replica::conformance;
/// use synod_wal::{Directory, Options, Wal};
///
/// // #[test]
/// fn my_log_conforms() {
///     conformance::log(|| {
///         let directory = tempfile::tempdir().unwrap();
///         move || Wal::open(Directory::open(directory.path()).unwrap(), Options::default()).unwrap()
///     });
/// }
/// ```
pub trait LogStore {
    /// The log that lives here.
    type Log: Log;

    /// Opens the log, as a new process would. The previous one was dropped without a shutdown,
    /// together with its readers and snapshots.
    fn open(&mut self) -> Self::Log;

    /// Cuts the power after the log was dropped: everything that may be lost is lost.
    ///
    /// # Errors
    /// [`Unsupported`], by default.
    fn lose_power(&mut self) -> Result<(), Unsupported> {
        Err(Unsupported("lose_power"))
    }

    /// Damages a byte in the body of a stored snapshot, beneath the log.
    ///
    /// # Errors
    /// [`Unsupported`], by default.
    fn damage_snapshot(&mut self, _group: GroupId, _index: u64) -> Result<(), Unsupported> {
        Err(Unsupported("damage_snapshot"))
    }

    /// From now on every sync of the medium fails, or none does.
    ///
    /// # Errors
    /// [`Unsupported`], by default.
    fn fail_syncs(&mut self, _fail: bool) -> Result<(), Unsupported> {
        Err(Unsupported("fail_syncs"))
    }

    /// From now on the medium has no space left, or has space again.
    ///
    /// # Errors
    /// [`Unsupported`], by default.
    fn fill(&mut self, _full: bool) -> Result<(), Unsupported> {
        Err(Unsupported("fill"))
    }
}

impl<L: Log, F: FnMut() -> L> LogStore for F {
    type Log = L;

    fn open(&mut self) -> L {
        self()
    }
}

/// Tests a [`Log`] with its reader and its snapshots, case by case, each on a store of its own that
/// `fresh` makes, empty and with space. For a log whose syncs complete later, the suite waits until
/// the function given to `wake_with` is called.
///
/// - `empty`: a group that was never written to
/// - `sync_of_nothing`, `append`, `sequence_numbers`: what was synced is there after a restart;
///   numbers and `durable` only rise, and what is appended has a number above `durable`
/// - `last_put_wins`, `gaps`, `extremes`, `longest_record`: slots
/// - `truncation`, `start`, `state`, `order_in_a_record`: what a record does, in its order
/// - `groups`: one log, one sync, no cross-talk
/// - `lives`: long random histories over many restarts, against a model
/// - `stream`: many slots, recovered in order
/// - `reads`, `reads_are_bounded`, `reads_beside_the_writer`: the reading half, also from another
///   thread while the log grows and is cut
/// - `snapshots`, `snapshots_of_groups`, `failing_writer`, `large_snapshot`: snapshots written here
/// - `transfer`, `partial_transfer`, `bad_transfer`, `other_file`, `transfers_do_not_mix`: snapshots
///   received in chunks
/// - `power_loss`, `snapshots_survive_power_loss`: what was durable is there, and what is there was
///   appended, up to one point in the order of all groups (needs `lose_power`)
/// - `damaged_snapshot`: is refused (needs `damage_snapshot`)
/// - `failed_sync`: closes the log for good (needs `fail_syncs`)
/// - `full_medium`: everything there is room for is accepted, and a refused record leaves nothing
///   (needs `fill`)
///
/// # Panics
/// If a case fails.
pub fn log<S: LogStore>(mut fresh: impl FnMut() -> S) -> Report {
    let mut suite = Suite::new("log");
    let fresh: &mut dyn FnMut() -> S = &mut fresh;
    slots::run(&mut suite, fresh);
    readers::run(&mut suite, fresh);
    snapshots::run(&mut suite, fresh);
    transfers::run(&mut suite, fresh);
    durability::run(&mut suite, fresh);
    space::run(&mut suite, fresh);
    suite.finish()
}
