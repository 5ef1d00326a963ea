//! What a cluster has to know of the cores in it.

use std::collections::BTreeMap;
use std::fmt::{Debug, Display};
use std::time::Duration;

use super::Packet;
use super::node::Node;
use crate::page;

/// The packets between such cores.
pub type PacketOf<P> = Packet<<P as Protocol>::Id, <P as Protocol>::Message>;
/// A read that has ended: up to which place it saw the log.
pub type Answer<P> = (u64, Result<u64, <P as Protocol>::Refusal>);
/// A snapshot with the machine in it.
pub type File<P> = (<P as Protocol>::Snapshot, Vec<<P as Protocol>::Mark>);
/// A write that was stored: its record, what waited for it, and the receipt.
pub type Stored<P> = (
    <P as Protocol>::Record,
    Vec<(<P as Protocol>::Id, <P as Protocol>::Message)>,
    <P as Protocol>::Receipt,
);

/// Cores of a replicated log without I/O: inputs go in, outputs are polled.
///
/// Types are the core's own. Most methods are one call; what is written of them in stories comes
/// last.
pub trait Protocol: Sized {
    /// A core.
    type Core;
    /// What a place in the log is called.
    const PLACE: &'static str;
    /// The name of a node.
    type Id: Copy + Ord + Debug;
    /// A point in time.
    type Instant: Copy + Ord + Default + Debug;
    /// What a core is made with.
    type Config: Clone + Debug;
    /// What is durable.
    type Disk: Disk<Self>;
    /// Why a core is not made of what is on a disk.
    type StartError: Debug + Display;
    /// What cores send each other.
    type Message: Clone + Debug;
    /// What a core asks of its driver.
    type Output;
    /// What is to become durable, with what waits for it.
    type Write: Debug;
    /// What becomes durable.
    type Record: Debug;
    /// That a write is durable.
    type Receipt;
    /// What a machine is given.
    type Entry: Clone + Debug;
    /// Which entry of the log it is.
    type Mark: Copy + PartialEq + Debug;
    /// A request for a part of the log.
    type Fetch: Debug;
    /// The name of a snapshot.
    type Snapshot: Clone + PartialEq + Debug;
    /// Why a read is not taken.
    type ReadError: Debug + Display;
    /// Why a read that was taken is not answered.
    type Refusal: Clone + Debug + Display;
    /// Why a core takes no part any more.
    type Stop: Copy + Debug + Display;
    /// What a driver tells a core of its disk.
    type Health: Copy + Default + Debug;
    /// Who watches all nodes.
    type Watch: Watch<Self>;

    /// The node of that number.
    fn id(number: u64) -> Self::Id;
    /// The number of a node.
    fn number(id: Self::Id) -> u64;
    /// A later point in time.
    fn plus(at: Self::Instant, passes: Duration) -> Self::Instant;
    /// What has passed until then since the first instant.
    fn elapsed(at: Self::Instant) -> Duration;
    /// The place of an entry in the log, from 1.
    fn place(mark: Self::Mark) -> u64;
    /// Which entry it is.
    fn mark(entry: &Self::Entry) -> Self::Mark;
    /// The last entry that a snapshot covers.
    fn covers(snapshot: &Self::Snapshot) -> Self::Mark;
    /// Whose core it will be.
    fn owner(config: &Self::Config) -> Self::Id;

    /// A core that comes up with what is on a disk.
    ///
    /// # Errors
    /// If that is no storage of a core.
    fn start(
        config: Self::Config,
        disk: &Self::Disk,
        now: Self::Instant,
    ) -> Result<Self::Core, Self::StartError>;
    /// When its timer is due.
    fn timeout(core: &Self::Core) -> Option<Self::Instant>;
    /// Its timer fires.
    fn time_out(core: &mut Self::Core, now: Self::Instant);
    /// A message arrives.
    fn hear(core: &mut Self::Core, now: Self::Instant, from: Self::Id, message: Self::Message);
    /// A write is durable.
    fn persisted(core: &mut Self::Core, now: Self::Instant, receipt: Self::Receipt);
    /// A part of the log was read; without a disk it could not be.
    fn fetched(
        core: &mut Self::Core,
        now: Self::Instant,
        fetch: Self::Fetch,
        disk: Option<&Self::Disk>,
    );
    /// A snapshot is there.
    fn snapshot(core: &mut Self::Core, now: Self::Instant, snapshot: Self::Snapshot);
    /// A snapshot that it asked for does not come.
    fn pull_failed(core: &mut Self::Core, now: Self::Instant, snapshot: &Self::Snapshot);
    /// The driver tells of its disk.
    fn health(core: &mut Self::Core, now: Self::Instant, health: Self::Health);
    /// A client asks for a read.
    ///
    /// # Errors
    /// If it is not taken.
    fn ask(core: &mut Self::Core, now: Self::Instant, read: u64) -> Result<(), Self::ReadError>;
    /// Whether acceptors may answer reads of any node.
    const QUORUM_READS: bool = false;
    /// Asks for a read that acceptors answer.
    ///
    /// # Errors
    /// If it is not taken.
    fn ask_quorum(
        core: &mut Self::Core,
        now: Self::Instant,
        read: u64,
    ) -> Result<(), Self::ReadError> {
        Self::ask(core, now, read)
    }
    /// Whether leaders may read by lease.
    const LEASES: bool = false;
    /// Up to which place a read by lease sees the log, if the lease holds at that moment.
    ///
    /// # Errors
    /// Why it does not.
    fn read_by_lease(_core: &Self::Core, _now: Self::Instant) -> Result<u64, String> {
        Err("there are no leases".to_owned())
    }
    /// A client proposes this. Gives back which entry it is.
    ///
    /// # Errors
    /// Why it was not taken.
    fn propose(
        core: &mut Self::Core,
        now: Self::Instant,
        body: &[u8],
    ) -> Result<Self::Mark, String>;
    /// Somebody wants another node to lead, this one or whichever is best. Gives back which it will be.
    ///
    /// # Errors
    /// Why it was not begun.
    fn transfer(
        core: &mut Self::Core,
        now: Self::Instant,
        to: Option<Self::Id>,
    ) -> Result<Self::Id, String>;
    /// Whether schedules change who takes part.
    const CHANGES: bool = false;
    /// Somebody wants these nodes to be the voters, and those the learners.
    ///
    /// # Errors
    /// Why it was not begun.
    fn change(
        _core: &mut Self::Core,
        _now: Self::Instant,
        _voters: &[u64],
        _learners: &[u64],
    ) -> Result<(), String> {
        Err("its nodes are fixed".to_owned())
    }
    /// Somebody wants the change that is under way to be undone.
    ///
    /// # Errors
    /// Why it was not begun.
    fn abort_change(_core: &mut Self::Core, _now: Self::Instant) -> Result<(), String> {
        Err("its nodes are fixed".to_owned())
    }
    /// The numbers of the nodes that take part, as far as this one knows, and whether that is being
    /// changed. `None` if all do.
    fn roster(_core: &Self::Core) -> Option<(Vec<u64>, bool)> {
        None
    }
    /// Whether another leader proposed the entry, before this core led.
    fn is_of_earlier_leader(core: &Self::Core, mark: Self::Mark) -> bool;
    /// The snapshot of a machine that was given everything up to an entry.
    fn name_snapshot(core: &Self::Core, last: Self::Mark) -> Self::Snapshot;

    /// The next output.
    fn poll(core: &mut Self::Core) -> Option<Self::Output>;
    /// What an output is.
    fn sort(output: Self::Output) -> Output<Self>;
    /// Stores a write.
    fn store(write: Self::Write, disk: &mut Self::Disk) -> Stored<Self>;

    /// Where it stands.
    fn standing(core: &Self::Core) -> Standing;
    /// That it has decided everything up to a place.
    fn decision_text(leads: bool, place: u64) -> String;
    /// The name of a message.
    fn message_name(message: &Self::Message) -> &'static str;
    /// A message: its name, and what it says in brackets.
    fn message_text(message: &Self::Message) -> String;
    /// What is in a write.
    fn record(write: &Self::Write) -> &Self::Record;
    /// What becomes durable; empty if that is nothing.
    fn record_text(record: &Self::Record) -> String;
    /// What a machine is given.
    fn entry_text(entry: &Self::Entry) -> String;
    /// The name of an entry.
    fn mark_text(mark: Self::Mark) -> String;
    /// From which place to which.
    fn fetch_range(fetch: &Self::Fetch) -> (u64, u64);
}

/// What a driver does with an output.
#[derive(Debug)]
pub enum Output<P: Protocol> {
    /// Stores it.
    Persist(P::Write),
    /// Sends it.
    Send(P::Id, P::Message),
    /// Gives it to the machine.
    Apply(Vec<P::Entry>),
    /// Reads it from the log.
    Fetch(P::Fetch),
    /// Answers a client, who sees everything up to a place.
    Answer(Answer<P>),
    /// Gets a snapshot from a node.
    Pull(P::Id, P::Snapshot),
    /// Makes the machine what it is in the newest snapshot.
    Restore(P::Snapshot),
    /// Ends the node's part.
    Stop(P::Stop),
}

/// Where a core stands, in words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// "leads term 3".
    pub text: String,
    /// It leads.
    pub leads: bool,
    /// It wants to lead, and has said so in a way that binds it.
    pub campaigns: bool,
    /// Everything up to this place is decided.
    pub decided: u64,
}

/// What is durable at a node.
pub trait Disk<P: Protocol>: Clone + Default + Debug {
    /// The newest snapshot.
    fn file(&mut self) -> &mut Option<File<P>>;
    /// The last that the newest snapshot covers, or what stands for nothing.
    fn covered(&self) -> P::Mark;
    /// The place behind which the log begins.
    fn start(&self) -> u64;
    /// Whether this disk alone can bring the entry back, as itself or inside a snapshot.
    fn holds(&self, mark: P::Mark) -> bool;
    /// What a page shows of the log, by place. Nothing, unless the disk says so.
    fn entries(&self) -> Vec<(u64, page::Entry)> {
        Vec::new()
    }
    /// Loses what it holds behind `last`.
    fn lose_tail(&mut self, last: u64);
}

/// Holds the rules of a protocol against what happens, and panics with the one that is broken.
pub trait Watch<P: Protocol> {
    /// A node has come up.
    fn started(&mut self, core: &P::Core);
    /// After every input of a node that is up.
    fn stepped(&mut self, id: P::Id, nodes: &BTreeMap<P::Id, Node<P>>);
    /// Before anything is done with an output.
    fn polled(&mut self, id: P::Id, output: &P::Output);
    /// A write is durable, and these messages leave with it.
    fn persisted(&mut self, id: P::Id, disk: &P::Disk, messages: &[(P::Id, P::Message)]);
    /// After a node's outputs were polled: what its machine was given.
    fn machine(&mut self, node: &Node<P>);
    /// A node is down.
    fn crashed(&mut self, id: P::Id);
    /// The disk of a node has lost what it held behind `last`.
    fn lost(&mut self, id: P::Id, last: u64);
    /// Before a node is asked for a read.
    fn asked(&mut self, _id: P::Id, _read: u64) {}
    /// How much any machine was given, counted.
    fn applied(&self) -> u64;
    /// Whether any machine was given this.
    fn has_applied(&self, mark: P::Mark) -> bool;
}
