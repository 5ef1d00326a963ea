//! Who a data directory is: a disk id drawn once, a boot counter, and the disks its peers were met
//! on.
//!
//! ```text
//! byte 0        1         17     25     41     49      53
//!      ├────────┼─────────┼──────┼──────┼──────┼───────┼──────────────────┬─────────┐
//!      │version │ cluster │ node │ disk │ boot │ count │ count × (node,   │ CRC-32C │
//!      │   0    │  u128   │ u64  │ u128 │ u64  │  u32  │  disk), 24 bytes │ of all  │
//!      └────────┴─────────┴──────┴──────┴──────┴───────┴──────────────────┴─────────┘      integers little-endian
//! ```
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
        state.boot += 1;
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
    /// [`Refused::Disk`] when it stands on another, or when the first meeting cannot be stored.
    pub fn admit(&self, hello: &Hello) -> Result<(), Refused> {
        let mut state = self.lock();
        match state.peers.get(&hello.node) {
            Some(pinned) if *pinned == hello.disk => Ok(()),
            Some(_) => Err(Refused::Disk),
            None => {
                let mut with = state.clone();
                with.peers.insert(hello.node, hello.disk);
                store(&self.disk, &with).map_err(|error| {
                    tracing::error!(%error, "a peer's disk cannot be pinned");
                    Refused::Disk
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
        out
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (mut body, sum) = bytes.split_last_chunk::<4>()?;
        if crc32c::crc32c(body) != u32::from_le_bytes(*sum) || body.try_get_u8() != Ok(VERSION) {
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

/// Beside, synced, renamed, directory synced: at any moment there is one whole identity.
fn store<D: Disk>(disk: &D, state: &State) -> io::Result<()> {
    if disk.list()?.iter().any(|name| name == PART) {
        disk.remove(PART)?;
    }
    let file = disk.open(PART)?;
    file.write_at(0, &state.encode())?;
    file.sync()?;
    disk.rename(PART, FILE)?;
    disk.sync()
}

const FILE: &str = "identity";
const PART: &str = "identity.part";
const VERSION: u8 = 0;
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
        for (seed, steps) in (0..20).flat_map(|seed| (0..8).map(move |steps| (seed, steps))) {
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

    proptest! {
        #[test]
        fn arbitrary_bytes_are_no_identity(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(State::decode(&bytes), None);
        }
    }
}
