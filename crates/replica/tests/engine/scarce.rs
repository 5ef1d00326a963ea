//! A process without a free file descriptor: a file that cannot be opened is intact, so nothing is
//! abandoned for it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use synod_replica::{GroupId, SnapshotStore};
use synod_wal::{Disk as _, Seal, Snapshot, SnapshotError};

use crate::rig::{Nodes, Rig, Tuning};

tests! {
    a_rotten_snapshot_that_cannot_be_opened_is_verified_later,
    a_holder_without_a_descriptor_is_asked_again,
    a_machine_is_restored_when_its_snapshot_can_be_opened,
}

/// Snapshots that can be opened while there are descriptors.
pub(crate) struct Scarce {
    inner: Arc<dyn SnapshotStore>,
    exhausted: AtomicBool,
    /// Set while they cannot be opened for reading as a whole.
    shut: AtomicBool,
}

impl Scarce {
    pub(crate) fn new(inner: Arc<dyn SnapshotStore>) -> Self {
        let (exhausted, shut) = Default::default();
        Self {
            inner,
            exhausted,
            shut,
        }
    }

    pub(crate) fn exhaust(&self, exhausted: bool) {
        self.exhausted.store(exhausted, Ordering::Relaxed);
    }

    pub(crate) fn shut(&self, shut: bool) {
        self.shut.store(shut, Ordering::Relaxed);
    }

    fn store(&self) -> Result<&dyn SnapshotStore, SnapshotError> {
        match self.exhausted.load(Ordering::Relaxed) {
            true => Err(SnapshotError::Full),
            false => Ok(&*self.inner),
        }
    }
}

impl SnapshotStore for Scarce {
    fn create(
        &self,
        group: GroupId,
        snapshot: &Snapshot,
        write: &mut dyn FnMut(&mut dyn io::Write) -> io::Result<()>,
    ) -> Result<u64, SnapshotError> {
        self.store()?.create(group, snapshot, write)
    }

    fn write_part(
        &self,
        group: GroupId,
        snapshot: &Snapshot,
        seal: &Seal,
        at: u64,
        bytes: &[u8],
    ) -> Result<(), SnapshotError> {
        self.store()?.write_part(group, snapshot, seal, at, bytes)
    }

    fn finish_part(
        &self,
        group: GroupId,
        snapshot: &Snapshot,
        seal: &Seal,
    ) -> Result<(), SnapshotError> {
        self.store()?.finish_part(group, snapshot, seal)
    }

    fn discard_part(&self, group: GroupId, snapshot: &Snapshot) -> Result<(), SnapshotError> {
        self.store()?.discard_part(group, snapshot)
    }

    fn seal(&self, group: GroupId, index: u64) -> Result<Seal, SnapshotError> {
        self.store()?.seal(group, index)
    }

    fn read(
        &self,
        group: GroupId,
        index: u64,
        at: u64,
        into: &mut [u8],
    ) -> Result<usize, SnapshotError> {
        self.store()?.read(group, index, at, into)
    }

    fn open(
        &self,
        group: GroupId,
        index: u64,
    ) -> Result<(Snapshot, Box<dyn io::Read + Send>), SnapshotError> {
        if self.shut.load(Ordering::Relaxed) {
            return Err(SnapshotError::Full);
        }
        self.store()?.open(group, index)
    }

    fn remove_before(&self, group: GroupId, index: u64) -> Result<(), SnapshotError> {
        self.store()?.remove_before(group, index)
    }
}

/// Node 3 needs a snapshot that node 1 has.
pub(crate) fn behind<C: Rig>(pad: usize) -> Nodes<C> {
    let mut nodes = Nodes::<C>::new(Tuning {
        snapshot_log_bytes: 4_000,
        pad,
        ..Tuning::default()
    });
    nodes.run(600);
    nodes.hold = |_, to, _| to == 3;
    nodes.write(400, 1);
    nodes.hold = |_, _, _| false;
    nodes.held.clear();
    nodes
}

/// Node 3 receives a damaged snapshot from node 1 and reports it; that node 1 cannot open it is no
/// reason to stop.
fn a_rotten_snapshot_that_cannot_be_opened_is_verified_later<C: Rig>() {
    let mut nodes = behind::<C>(0);
    let disk = nodes.nodes[&1].disk.0.clone();
    let snapshots = disk.names().unwrap();
    for name in snapshots.iter().filter(|name| name.ends_with(".snap")) {
        disk.flip(name, disk.len(name).unwrap() - 20, 1).unwrap();
    }
    // Until it learns that its snapshot is damaged.
    let mut steps = 0..5_000;
    while nodes.nodes[&3].engine.status().snapshots_failed == 0 {
        assert!(steps.next().is_some(), "node 3 accepts it");
        nodes.step();
        // The report is in transit now, or will be: no descriptor is left when it arrives.
        let failed = nodes.nodes[&3].engine.status().snapshots_failed > 0;
        nodes.nodes[&1].snapshots.exhaust(failed);
    }
    nodes.step();
    nodes.propose(1, "not verified yet");
    nodes.run(20);
    nodes.nodes[&1].snapshots.exhaust(false);
    (0..5_000).for_each(|_| nodes.step());
    nodes.propose(1, "at the rotten leader");
    let ends = nodes.ends();
    let last: Vec<_> = ends.iter().filter(|end| !end.starts_with('0')).collect();
    let expected = [
        "at the rotten leader: poisoned",
        "not verified yet: applied 401",
    ];
    assert_eq!(last, expected);
}

/// The receiver keeps the chunks that it has, and continues from there.
fn a_holder_without_a_descriptor_is_asked_again<C: Rig>() {
    let mut nodes = behind::<C>(10_000);
    let part = |nodes: &Nodes<C>| {
        let disk = &nodes.nodes[&3].disk;
        let names = disk.list().unwrap();
        let part = names.iter().find(|name| name.contains(".part"));
        part.map_or(0, |name| disk.0.len(name).unwrap())
    };
    let mut steps = 0..5_000;
    while part(&nodes) == 0 {
        assert!(steps.next().is_some(), "nothing is pulled");
        nodes.step();
    }
    nodes.nodes[&1].snapshots.exhaust(true);
    nodes.run(10);
    let stored = part(&nodes);
    nodes.run(500);
    assert_eq!(part(&nodes), stored, "it discarded what it had");
    nodes.nodes[&1].snapshots.exhaust(false);
    nodes.run(1_000);
    let follower = nodes.status(3);
    let ends = (follower.snapshots_received, follower.snapshots_failed);
    assert_eq!(ends, (1, 0), "{follower:?}");
}

fn a_machine_is_restored_when_its_snapshot_can_be_opened<C: Rig>() {
    let mut nodes = behind::<C>(0);
    nodes.nodes[&3].snapshots.shut(true);
    let mut steps = 0..5_000;
    while nodes.status(3).snapshots_received == 0 {
        assert!(steps.next().is_some(), "nothing is received");
        nodes.step();
    }
    nodes.run(100);
    let waits = nodes.status(3);
    assert!(waits.applied < waits.core.start, "{waits:?}");
    nodes.nodes[&3].snapshots.shut(false);
    nodes.run(1_000);
    assert_eq!(nodes.status(3).applied, nodes.status(1).applied);
    let count = nodes.nodes[&3].applier.machine().count;
    assert_eq!(count, nodes.nodes[&1].applier.machine().count);
}
