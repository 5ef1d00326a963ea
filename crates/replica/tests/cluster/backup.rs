//! Backups: the state at one moment, and a fresh group that begins with it (rule M8).

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex};

use synod_replica::embed::{EngineConfig, Instant, Ticket};
use synod_replica::sim::{Cluster, SimDisk, SimNode, SimRequest};
use synod_replica::{Birth, Failure, GroupId, NodeId, Role, StateMachine, seed as begin_with};
use synod_sim::{self as sim, Coverage, Disk, Rng, World, WorldOptions};
use synod_transport::ClusterId;

use super::options::secs;
use super::reference::Reference;
use super::{Options, Subject, Tokens, Verdict, must};

/// A backup that a client has asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Backup {
    /// The length that each key's value was known to have then.
    floors: BTreeMap<u8, u64>,
    bytes: Arc<Mutex<Option<Vec<u8>>>>,
}

/// A group that begins with a backup, in a world without faults.
struct Fresh<S> {
    options: Options,
    protocol: PhantomData<fn() -> S>,
}

impl Backup {
    pub(crate) fn asked(floors: &BTreeMap<u8, u64>) -> Self {
        let floors = floors.clone();
        let bytes = Arc::default();
        Self { floors, bytes }
    }

    /// Takes what a machine holds now.
    pub(crate) fn take(&self, machine: &Tokens) {
        let mut bytes = Vec::new();
        Tokens::write(machine.freeze(), &mut bytes).expect("memory takes it");
        *self.bytes.lock().unwrap() = Some(bytes);
    }

    pub(crate) fn is_taken(&self) -> bool {
        self.bytes.lock().unwrap().is_some()
    }

    /// What was taken, if anything was.
    fn machine(&self) -> Option<Tokens> {
        let bytes = self.bytes.lock().unwrap().clone()?;
        let mut machine = Tokens::default();
        machine.restore(&mut &bytes[..]).expect("it was written");
        Some(machine)
    }
}

impl Backup {
    /// It is the state of one moment, and has everything that was acknowledged when it was asked for.
    pub(crate) fn check(&self, reference: &Reference) -> Verdict {
        let Some(machine) = self.machine() else {
            return Ok(());
        };
        must(reference.was(&machine), "backup", || {
            format!("the group never was in this state: {machine:?}")
        })?;
        for (key, floor) in &self.floors {
            let length = machine.value(*key).unwrap_or_default().len() as u64;
            must(length >= *floor, "backup", || {
                format!("{length} bytes of key {key}, and {floor} were acknowledged before")
            })?;
        }
        Ok(())
    }

    /// Begins a fresh group of one, three or five nodes with it, which must be in its state and take
    /// commands.
    pub(crate) fn restore<S: Subject>(&self, seed: u64, coverage: &mut Coverage) -> Verdict {
        let Some(machine) = self.machine() else {
            return Ok(());
        };
        let mut rng = Rng::new(seed ^ RESTORE);
        let mut options = Options::calm();
        options.nodes = [1, 3, 3, 5][rng.index(4)];
        options.founders = options.nodes;
        let mut group = Restored::new(begin::<S>(&mut rng, options, &machine), machine);
        group.comes_up()?;
        for command in 0..COMMANDS {
            group.takes(&mut rng, command)?;
        }
        coverage.add("backups restored", 1);
        group.converges()
    }
}

/// The fresh group, and what its state must be.
struct Restored<S: Subject> {
    world: World<SimNode<Fresh<S>>>,
    machine: Tokens,
}

fn begin<S: Subject>(
    rng: &mut Rng,
    options: Options,
    machine: &Tokens,
) -> World<SimNode<Fresh<S>>> {
    let disks = (1..=options.nodes).map(|id| {
        let (disk, node) = (Disk::new(rng.next_u64()), NodeId(id));
        let config = || S::config(&options, node, 0);
        let birth = Birth::new(ClusterId(2), node).group(GroupId(1), &config());
        let group = (GroupId(1), config());
        begin_with(SimDisk(disk.clone()), &birth, options.log(), group, machine)
            .expect("the disk is empty and has no faults");
        (sim::NodeId(id), disk)
    });
    let disks = disks.collect();
    let protocol = PhantomData;
    let fresh = Fresh { options, protocol };
    World::with_disks(rng.next_u64(), disks, WorldOptions::default(), fresh)
}

impl<S: Subject> Restored<S> {
    fn new(world: World<SimNode<Fresh<S>>>, machine: Tokens) -> Self {
        Self { world, machine }
    }

    /// All follow one leader, and nobody has another state. Before, a second candidate may depose the first, and
    /// nobody knows the end of what that had proposed.
    fn comes_up(&mut self) -> Verdict {
        let is_open = |world: &World<SimNode<Fresh<S>>>| {
            let nodes = world.node_ids().into_iter();
            let statuses: Vec<_> = nodes
                .filter_map(|id| Some(world.process(id)?.status().core))
                .collect();
            let leader = statuses.iter().find(|node| node.role == Role::Leader);
            !leader.is_some_and(|leader| {
                let mut others = statuses.iter();
                others.all(|node| node.epoch == leader.epoch && node.role != Role::Candidate)
            })
        };
        let found = self.world.run_while(secs(5), is_open);
        must(found, "backup", || {
            "the group that begins with it does not follow one leader".to_owned()
        })?;
        self.converges()
    }

    /// A command at any node is applied, to the state of the backup.
    fn takes(&mut self, rng: &mut Rng, number: u64) -> Verdict {
        let ids = self.world.node_ids();
        let node = ids[rng.index(ids.len())];
        let command = format!("\u{1}restored {number};").into_bytes();
        let length = self.machine.append(&command);
        let heard = Heard::default();
        let request = SimRequest::Propose {
            command: command.into(),
            timeout: secs(1),
            ticket: heard.clone(),
        };
        self.world.inject(node, request);
        let end = self.world.now() + secs(2);
        self.world.run_while(end, |_| heard.end().is_none());
        must(heard.end() == Some(Ok(length)), "backup", || {
            let end = heard.end();
            format!("command {number} at {node} ends as {end:?}, not with length {length}")
        })
    }

    /// All nodes come to the state that is expected.
    fn converges(&mut self) -> Verdict {
        let expected = &self.machine;
        let differ = |world: &World<SimNode<Fresh<S>>>| {
            let mut nodes = world
                .node_ids()
                .into_iter()
                .filter_map(|id| world.process(id));
            nodes.any(|node| node.machine() != expected)
        };
        let end = self.world.now() + secs(2);
        let alike = self.world.run_while(end, differ);
        must(alike, "backup", || {
            format!("a node does not come to the state of the backup: {expected:?}")
        })
    }
}

impl<S: Subject> Cluster for Fresh<S> {
    type Config = S::Config;
    type Machine = Tokens;
    type Ticket = Heard;
    type Witness = ();

    fn config(&self, node: NodeId, seed: u64) -> S::Config {
        S::config(&self.options, node, seed)
    }

    fn machine(&self) -> Tokens {
        Tokens::default()
    }

    fn witness(&self, _: NodeId) {}

    fn tune(&self, engine: &mut EngineConfig) {
        self.options.tune(engine);
    }

    fn log_options(&self) -> synod_wal::Options {
        self.options.log()
    }
}

/// How a command ended.
#[derive(Clone, Debug, Default)]
struct Heard(Arc<Mutex<Option<Result<u64, Failure>>>>);

impl Heard {
    fn end(&self) -> Option<Result<u64, Failure>> {
        *self.0.lock().unwrap()
    }
}

impl Ticket<Tokens> for Heard {
    fn applied(self, length: u64) {
        *self.0.lock().unwrap() = Some(Ok(length));
    }

    fn read(self, _: &Tokens, _: Option<Instant>) {}

    fn failed(self, failure: Failure) {
        *self.0.lock().unwrap() = Some(Err(failure));
    }
}

const COMMANDS: u64 = 5;
const RESTORE: u64 = 0x7265_7374_6f72_6521;
