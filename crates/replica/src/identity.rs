//! Who a data directory is: a disk id drawn once, a boot counter, and the disks its peers were met
//! on.
//!
//! ```text
//! byte 0        1         17     25     41     49      53
//!      ├────────┼─────────┼──────┼──────┼──────┼───────┼──────────────────┬─────────┬─────────────┐
//!      │version │ cluster │ node │ disk │ boot │ count │ count × (node,   │ CRC-32C │ zeros up to │
//!      │   0    │  u128   │ u64  │ u128 │ u64  │  u32  │  disk), 24 bytes │ of all  │ k × 4,096   │
//!      └────────┴─────────┴──────┴──────┴──────┴───────┴──────────────────┴─────────┴─────────────┘
//! ```
//!
//! Integers are little-endian. Beside the file `identity` lies `identity.part`, of the same length:
//! the next one is written into it, and takes its place. So a node whose log has filled the disk can
//! still be started.
//!
//! A node that comes back with an empty disk has forgotten its votes and its acknowledgements;
//! under its old name it could vote a second time (torture list D14). So the name is pinned to the
//! disk: here, and at each peer.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::{Buf, BufMut};
use synod_transport::{ClusterId, DiskId, Hello, NodeId, Refused};
use synod_wal::{Disk, File};

/// The identity of the data directory a node runs on, open for this one life of the node.
///
/// ```
/// use synod_replica::{Identity, NodeId, sim::SimDisk};
/// use synod_transport::{ClusterId, DiskId};
///
/// let disk = SimDisk::new(1);
/// let first = Identity::load(disk.clone(), ClusterId(7), NodeId(1), || DiskId(42))?;
/// let second = Identity::load(disk, ClusterId(7), NodeId(1), || DiskId(43))?;
/// assert_eq!((first.hello().disk, first.hello().boot), (DiskId(42), 1));
/// assert_eq!((second.hello().disk, second.hello().boot), (DiskId(42), 2));
/// # Ok::<(), synod_replica::IdentityError>(())
/// ```
pub struct Identity<D: Disk> {
    disk: D,
    state: Mutex<State>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct State {
    cluster: ClusterId,
    node: NodeId,
    disk: DiskId,
    boot: u64,
    peers: BTreeMap<NodeId, DiskId>,
}

/// Why a data directory does not serve as this node's.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// It belongs to another node.
    #[error("the data directory belongs to node {}", found.0)]
    Node {
        /// Whose it is.
        found: NodeId,
    },
    /// It belongs to another cluster.
    #[error("the data directory belongs to another cluster")]
    Cluster,
    /// There are other files, but no identity: part of the directory is lost, and votes may be with
    /// it.
    #[error("the data directory holds files but no identity")]
    Missing,
    /// The file is damaged, or of a later version.
    #[error("the identity file is damaged")]
    Damaged,
    /// The medium failed.
    #[error("the identity cannot be read or stored")]
    Io(#[from] io::Error),
}

impl<D: Disk> Identity<D> {
    /// Opens the identity of a directory and durably raises its boot counter; an empty directory
    /// gets the identity of `node`, with the disk id that `fresh` draws.
    ///
    /// # Errors
    /// When the directory is not this node's, or not whole.
    pub fn load(
        disk: D,
        cluster: ClusterId,
        node: NodeId,
        fresh: impl FnOnce() -> DiskId,
    ) -> Result<Self, IdentityError> {
        let names = disk.list()?;
        let mut state = if names.iter().any(|name| name == FILE) {
            State::decode(&read(&disk)?).ok_or(IdentityError::Damaged)?
        } else if names.iter().any(|name| name != PART) {
            return Err(IdentityError::Missing);
        } else {
            State {
                cluster,
                node,
                disk: fresh(),
                boot: 0,
                peers: BTreeMap::new(),
            }
        };
        if state.cluster != cluster {
            return Err(IdentityError::Cluster);
        }
        if state.node != node {
            return Err(IdentityError::Node { found: state.node });
        }
        // No node gets to the last boot by counting; and there is none behind it, so no life may begin.
        state.boot = state.boot.checked_add(1).ok_or(IdentityError::Damaged)?;
        // What an earlier life has left half done may have filled the disk.
        synod_wal::remove_unfinished(&disk)?;
        store(&disk, &state)?;
        Ok(Self {
            disk,
            state: Mutex::new(state),
        })
    }

    /// What this node says of itself to its peers.
    pub fn hello(&self) -> Hello {
        let state = self.lock();
        Hello {
            cluster: state.cluster,
            node: state.node,
            disk: state.disk,
            boot: state.boot,
        }
    }

    /// Whether a peer stands on the disk it was first met on. The first meeting is made durable.
    ///
    /// # Errors
    /// [`Refused::Disk`] when it stands on another. When the first meeting cannot be stored:
    /// [`Refused::Full`] for want of space, else [`Refused::Unstored`]; a later meeting may be the first.
    pub fn admit(&self, hello: &Hello) -> Result<(), Refused> {
        let mut state = self.lock();
        match state.peers.get(&hello.node) {
            Some(pinned) if *pinned == hello.disk => Ok(()),
            Some(_) => Err(Refused::Disk),
            None => {
                let mut with = state.clone();
                with.peers.insert(hello.node, hello.disk);
                if with.len() > BYTES_MAX {
                    // Stored, it would be refused by the next life.
                    return Err(Refused::Unstored);
                }
                store(&self.disk, &with).map_err(|error| {
                    // A peer tries again and again; that it is refused, and why, is told by whoever
                    // asks, now and then.
                    tracing::debug!(%error, "a peer's disk cannot be pinned");
                    if synod_wal::is_full(&error) {
                        Refused::Full
                    } else {
                        Refused::Unstored
                    }
                })?;
                *state = with;
                Ok(())
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is replaced as a whole, so it is whole even if a holder panicked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<D: Disk> fmt::Debug for Identity<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("state", &*self.lock())
            .finish_non_exhaustive()
    }
}

impl State {
    /// Length of the file.
    fn len(&self) -> usize {
        let bytes = COUNT_AT + 4 + 24 * self.peers.len() + 4;
        bytes.next_multiple_of(BLOCK_BYTES)
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.put_u128_le(self.cluster.0);
        out.put_u64_le(self.node.0);
        out.put_u128_le(self.disk.0);
        out.put_u64_le(self.boot);
        out.put_u32_le(u32::try_from(self.peers.len()).unwrap_or(u32::MAX));
        for (node, disk) in &self.peers {
            out.put_u64_le(node.0);
            out.put_u128_le(disk.0);
        }
        let sum = crc32c::crc32c(&out);
        out.put_u32_le(sum);
        out.resize(out.len().next_multiple_of(BLOCK_BYTES), 0);
        out
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let count = u32::from_le_bytes(*bytes.get(COUNT_AT..)?.first_chunk()?) as usize;
        let (mut body, rest) = bytes.split_at_checked(COUNT_AT + 4 + count.checked_mul(24)?)?;
        let (sum, filler) = rest.split_first_chunk::<4>()?;
        if crc32c::crc32c(body) != u32::from_le_bytes(*sum)
            || body.try_get_u8() != Ok(VERSION)
            || filler.iter().any(|byte| *byte != 0)
        {
            return None;
        }
        let cluster = ClusterId(body.try_get_u128_le().ok()?);
        let node = NodeId(body.try_get_u64_le().ok()?);
        let disk = DiskId(body.try_get_u128_le().ok()?);
        let boot = body.try_get_u64_le().ok()?;
        let mut peers = BTreeMap::new();
        for _ in 0..body.try_get_u32_le().ok()? {
            peers.insert(
                NodeId(body.try_get_u64_le().ok()?),
                DiskId(body.try_get_u128_le().ok()?),
            );
        }
        (!body.has_remaining()).then_some(Self {
            cluster,
            node,
            disk,
            boot,
            peers,
        })
    }
}

fn read<D: Disk>(disk: &D) -> Result<Vec<u8>, IdentityError> {
    let file = disk.open(FILE)?;
    let len = usize::try_from(file.len()?)
        .ok()
        .filter(|len| *len <= BYTES_MAX)
        .ok_or(IdentityError::Damaged)?;
    let mut bytes = vec![0; len];
    let mut filled = 0;
    while filled < len {
        match file.read_at(filled as u64, &mut bytes[filled..])? {
            0 => return Err(IdentityError::Damaged),
            n => filled += n,
        }
    }
    Ok(bytes)
}

/// Stores a state, if need be with the space that the log keeps back.
fn store<D: Disk>(disk: &D, state: &State) -> io::Result<()> {
    match replace(disk, state) {
        Err(error) if synod_wal::give_up_reserve(disk, &error)? => replace(disk, state),
        other => other,
    }
}

/// Beside, synced, renamed, directory synced: at any moment there is one whole identity.
fn replace<D: Disk>(disk: &D, state: &State) -> io::Result<()> {
    let bytes = state.encode();
    let mut file = disk.open(PART)?;
    if file.len()? > bytes.len() as u64 {
        // Not one that was prepared here.
        disk.remove(PART)?;
        file = disk.open(PART)?;
    }
    file.write_at(0, &bytes)?;
    file.sync()?;
    disk.rename(PART, FILE)?;
    disk.sync()?;
    // The space for the next one. Without it that one may find no space, and says so then.
    let _unprepared = prepare(disk, bytes.len());
    Ok(())
}

fn prepare<D: Disk>(disk: &D, len: usize) -> io::Result<()> {
    let file = disk.open(PART)?;
    file.write_at(0, &vec![0; len])?;
    file.sync()?;
    disk.sync()
}

const FILE: &str = "identity";
const PART: &str = "identity.part";
const VERSION: u8 = 0;
const COUNT_AT: usize = 49;
const BLOCK_BYTES: usize = 4096;
const BYTES_MAX: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::SimDisk;
    use proptest::prelude::*;

    const CLUSTER: ClusterId = ClusterId(7);

    fn load(disk: &SimDisk, node: u64) -> Result<Identity<SimDisk>, IdentityError> {
        Identity::load(disk.clone(), CLUSTER, NodeId(node), || DiskId(42))
    }

    fn hello(node: u64, disk: u128) -> Hello {
        Hello {
            cluster: CLUSTER,
            node: NodeId(node),
            disk: DiskId(disk),
            boot: 1,
        }
    }

    #[test]
    fn a_peer_is_pinned_to_the_disk_it_was_met_on_for_ever() {
        let disk = SimDisk::new(1);
        let identity = load(&disk, 1).unwrap();
        assert_eq!(identity.admit(&hello(2, 5)), Ok(()));
        assert_eq!(identity.admit(&hello(2, 6)), Err(Refused::Disk));
        disk.0.power_loss();
        let identity = load(&disk, 1).unwrap();
        assert_eq!(identity.admit(&hello(2, 6)), Err(Refused::Disk));
        assert_eq!(identity.admit(&hello(2, 5)), Ok(()));
        assert_eq!(identity.hello().boot, 2);
    }

    #[test]
    fn a_directory_serves_one_node_of_one_cluster() {
        let disk = SimDisk::new(1);
        load(&disk, 1).unwrap();
        assert!(matches!(
            load(&disk, 2),
            Err(IdentityError::Node { found: NodeId(1) })
        ));
        let other = Identity::load(disk.clone(), ClusterId(8), NodeId(1), || DiskId(1));
        assert!(matches!(other, Err(IdentityError::Cluster)));
        disk.remove(FILE).unwrap();
        disk.open("000.log").unwrap();
        assert!(matches!(load(&disk, 1), Err(IdentityError::Missing)));
    }

    #[test]
    fn each_flipped_bit_is_noticed() {
        let disk = SimDisk::new(1);
        let identity = load(&disk, 1).unwrap();
        identity.admit(&hello(2, 5)).unwrap();
        let whole = disk.0.image(FILE);
        for at in 0..whole.len() {
            disk.0.flip(FILE, at as u64, 0x10).unwrap();
            assert!(
                matches!(load(&disk, 1), Err(IdentityError::Damaged)),
                "byte {at}"
            );
            disk.0.flip(FILE, at as u64, 0x10).unwrap();
        }
    }

    #[test]
    fn a_crash_at_any_step_leaves_one_whole_identity() {
        for (seed, steps) in (0..20).flat_map(|seed| (0..12).map(move |steps| (seed, steps))) {
            let disk = SimDisk::new(seed);
            load(&disk, 1).unwrap();
            disk.0.crash_after(steps);
            let boot = load(&disk, 1).map_or(1, |identity| identity.hello().boot);
            disk.0.power_loss();
            let again = load(&disk, 1).unwrap().hello();
            assert!(
                again.boot > boot && again.disk == DiskId(42),
                "seed {seed}, {steps} steps"
            );
        }
    }

    /// The last life there can be begins once, and what it leaves is refused as it is.
    #[test]
    fn behind_the_last_boot_there_is_none() {
        let disk = SimDisk::new(1);
        let state = State {
            cluster: CLUSTER,
            node: NodeId(1),
            disk: DiskId(42),
            boot: u64::MAX - 1,
            peers: BTreeMap::new(),
        };
        disk.0.put_image(FILE, &state.encode());
        assert_eq!(load(&disk, 1).unwrap().hello().boot, u64::MAX);
        let last = disk.0.image(FILE);
        for _ in 0..2 {
            assert!(matches!(load(&disk, 1), Err(IdentityError::Damaged)));
            assert_eq!(disk.0.image(FILE), last);
        }
    }

    #[test]
    fn no_more_peers_are_pinned_than_the_next_life_can_read() {
        let peers = (BYTES_MAX - COUNT_AT - 8) / 24;
        let disk = SimDisk::new(1);
        let state = State {
            cluster: CLUSTER,
            node: NodeId(1),
            disk: DiskId(42),
            boot: 1,
            peers: (2..1 + peers as u64)
                .map(|node| (NodeId(node), DiskId(5)))
                .collect(),
        };
        disk.0.put_image(FILE, &state.encode());
        let identity = load(&disk, 1).unwrap();
        let (last, beyond) = (1 + peers as u64, 2 + peers as u64);
        assert_eq!(identity.admit(&hello(last, 5)), Ok(()));
        assert_eq!(identity.admit(&hello(beyond, 5)), Err(Refused::Unstored));
        assert_eq!(identity.admit(&hello(last, 6)), Err(Refused::Disk));
        assert_eq!(disk.0.image(FILE).len(), identity.lock().len());
        assert_eq!(load(&disk, 1).unwrap().hello().boot, 3);
    }

    /// Not a byte is free: neither what a log keeps back nor anything else. Twice, since the space for
    /// the second time must have been prepared by the first.
    #[test]
    fn a_node_starts_on_a_full_disk() {
        let disk = SimDisk::new(1);
        load(&disk, 1).unwrap();
        disk.0.capacity(disk.0.used());
        for boot in 2..4 {
            let identity = load(&disk, 1).unwrap();
            assert_eq!(identity.hello().boot, boot);
            identity.admit(&hello(boot, 5)).unwrap();
        }
    }

    /// The peer stands on the right disk, as far as anybody knows: it is the space for its pin that is
    /// missing. It is taken as soon as there is some.
    #[test]
    fn a_pin_that_finds_no_space_is_refused_as_that() {
        let disk = SimDisk::new(1);
        let identity = load(&disk, 1).unwrap();
        disk.remove(PART).unwrap();
        let used = disk.0.used();
        disk.0.capacity(used);
        for _ in 0..3 {
            assert_eq!(identity.admit(&hello(2, 5)), Err(Refused::Full));
        }
        disk.0.capacity(used + 4 * BLOCK_BYTES as u64);
        assert_eq!(identity.admit(&hello(2, 5)), Ok(()));
        assert_eq!(identity.admit(&hello(2, 6)), Err(Refused::Disk));
    }

    #[test]
    fn a_pin_that_cannot_be_written_is_refused_as_that() {
        let disk = SimDisk::new(1);
        let identity = load(&disk, 1).unwrap();
        disk.0.crash_after(0);
        assert_eq!(identity.admit(&hello(2, 5)), Err(Refused::Unstored));
    }

    /// As after a crash between the one file and the space for the next.
    #[test]
    fn what_the_log_keeps_back_is_for_the_identity_too() {
        let disk = SimDisk::new(1);
        load(&disk, 1).unwrap();
        let mut options = synod_wal::Options::default();
        (options.segment_bytes, options.record_bytes_max) = (16 << 10, 1 << 10);
        options.reserve_bytes = 8 << 10;
        drop(synod_wal::Wal::open(disk.clone(), options).unwrap());
        disk.remove(PART).unwrap();
        disk.0.capacity(disk.0.used());
        assert_eq!(load(&disk, 1).unwrap().hello().boot, 2);
    }

    #[test]
    fn what_an_earlier_life_left_half_done_goes_first() {
        let disk = SimDisk::new(1);
        load(&disk, 1).unwrap();
        disk.remove(PART).unwrap();
        let unfinished = [
            "1-00000000000000000007.new",
            "1-00000000000000000009-0a0b0c0d.part",
        ];
        for name in unfinished {
            disk.open(name).unwrap().write_at(0, &[1; 4096]).unwrap();
        }
        disk.0.capacity(disk.0.used());
        assert_eq!(load(&disk, 1).unwrap().hello().boot, 2);
        let names = disk.list().unwrap();
        assert!(
            !unfinished
                .iter()
                .any(|name| names.iter().any(|n| n == name))
        );
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_no_identity(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(State::decode(&bytes), None);
        }
    }
}
