//! The adapter of the core for a test cluster.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use synod_raft::{
    Config, DiskHealth, Entries, Entry, Envelope, Fetch, FetchError, Instant, LogId, Membership,
    Message, NodeId, Output, Raft, ReadError, ReadId, Receipt, Record, RecoverError, Recovered,
    Refusal, Role, Snapshot, Stop, Write,
};
use synod_sim::cluster::{self, Protocol, Standing, Stored};

use super::disk::Disk;
use super::notation;
use super::watch::Watch;

/// The core, for the tools that all protocols' tests share.
#[derive(Debug)]
pub(crate) struct Cores;

impl Protocol for Cores {
    type Core = Raft;
    const PLACE: &'static str = "index";
    type Id = NodeId;
    type Instant = Instant;
    type Config = Config;
    type Disk = Disk;
    type StartError = RecoverError<Infallible>;
    type Message = Message;
    type Output = Output;
    type Write = Write;
    type Record = Record;
    type Receipt = Receipt;
    type Entry = Entry;
    type Mark = LogId;
    type Fetch = Fetch;
    type Snapshot = Snapshot;
    type ReadError = ReadError;
    type Refusal = Refusal;
    type Stop = Stop;
    type Health = DiskHealth;
    type Watch = Watch;

    fn id(number: u64) -> NodeId {
        NodeId(number)
    }

    fn number(id: NodeId) -> u64 {
        id.0
    }

    fn plus(at: Instant, passes: Duration) -> Instant {
        at.plus(passes)
    }

    fn elapsed(at: Instant) -> Duration {
        at.0
    }

    fn place(mark: LogId) -> u64 {
        mark.index.0
    }

    fn mark(entry: &Entry) -> LogId {
        entry.id
    }

    fn covers(snapshot: &Snapshot) -> LogId {
        snapshot.last
    }

    fn owner(config: &Config) -> NodeId {
        config.id
    }

    fn start(config: Config, disk: &Disk, now: Instant) -> Result<Raft, RecoverError<Infallible>> {
        let recovered = Recovered {
            vote: disk.vote,
            start: disk.start,
            snapshot: disk.snapshot.as_ref().map(|(snapshot, _)| snapshot.clone()),
            entries: disk.log.values().cloned().map(Ok::<Entry, Infallible>),
        };
        Raft::new(config, recovered, now)
    }

    fn timeout(core: &Raft) -> Option<Instant> {
        core.poll_timeout()
    }

    fn time_out(core: &mut Raft, now: Instant) {
        core.handle_timeout(now);
    }

    fn hear(core: &mut Raft, now: Instant, from: NodeId, message: Message) {
        core.handle_message(now, from, message);
    }

    fn persisted(core: &mut Raft, now: Instant, receipt: Receipt) {
        core.handle_persisted(now, receipt);
    }

    fn fetched(core: &mut Raft, now: Instant, fetch: Fetch, disk: Option<&Disk>) {
        let entries = disk.map_or(Err(FetchError::Unavailable), |disk| disk.read(&fetch));
        core.handle_fetched(now, fetch, entries.map(Entries::from));
    }

    fn snapshot(core: &mut Raft, now: Instant, snapshot: Snapshot) {
        core.handle_snapshot(now, snapshot);
    }

    fn pull_failed(core: &mut Raft, now: Instant, snapshot: &Snapshot) {
        core.handle_pull_failed(now, snapshot);
    }

    fn health(core: &mut Raft, now: Instant, health: DiskHealth) {
        core.handle_disk(now, health);
    }

    fn ask(core: &mut Raft, now: Instant, read: u64) -> Result<(), ReadError> {
        core.read(now, ReadId(read))
    }

    const LEASES: bool = true;

    fn read_by_lease(core: &Raft, now: Instant) -> Result<u64, String> {
        let read = core.read_by_lease(now);
        read.map(|index| index.0).map_err(|why| why.to_string())
    }

    fn propose(core: &mut Raft, now: Instant, body: &[u8]) -> Result<LogId, String> {
        let proposed = core.propose(now, Bytes::copy_from_slice(body));
        proposed.map_err(|error| error.to_string())
    }

    fn transfer(core: &mut Raft, now: Instant, to: Option<NodeId>) -> Result<NodeId, String> {
        core.transfer(now, to).map_err(|error| error.to_string())
    }

    const CHANGES: bool = true;

    fn change(
        core: &mut Raft,
        now: Instant,
        voters: &[u64],
        learners: &[u64],
    ) -> Result<(), String> {
        let learners: BTreeSet<NodeId> = learners.iter().copied().map(NodeId).collect();
        let mut target = Membership {
            learners,
            ..Membership::of_voters(voters.iter().copied().map(NodeId))
        };
        // Who is a witness stays one. Where there are some, every second new voter is one.
        let current = core.membership();
        let is_drawn = |id: NodeId| !current.witnesses.is_empty() && id.0.is_multiple_of(2);
        for id in target.voters.clone() {
            if current.is_witness(id) || !current.contains(id) && is_drawn(id) {
                target.witnesses.insert(id);
            }
        }
        let begun = core.change_membership(now, target);
        begun.map_err(|error| error.to_string())
    }

    fn abort_change(core: &mut Raft, now: Instant) -> Result<(), String> {
        core.abort_change(now).map_err(|error| error.to_string())
    }

    fn roster(core: &Raft) -> Option<(Vec<u64>, bool)> {
        let membership = core.membership();
        let nodes = membership.nodes().map(|id| id.0);
        Some((nodes.collect(), membership.change.is_some()))
    }

    fn is_of_earlier_leader(core: &Raft, mark: LogId) -> bool {
        mark.term < core.status().term
    }

    fn name_snapshot(core: &Raft, last: LogId) -> Snapshot {
        let membership = core.membership_at(last.index);
        let membership = membership.expect("it was applied").clone();
        Snapshot { last, membership }
    }

    fn poll(core: &mut Raft) -> Option<Output> {
        core.poll_output()
    }

    fn sort(output: Output) -> cluster::Output<Self> {
        match output {
            Output::Persist(write) => cluster::Output::Persist(write),
            Output::Send(envelope) => cluster::Output::Send(envelope.to, envelope.message),
            Output::Apply(entries) => cluster::Output::Apply(entries.iter().cloned().collect()),
            Output::Fetch(fetch) => cluster::Output::Fetch(fetch),
            Output::Read { id, index } => {
                cluster::Output::Answer((id.0, index.map(|index| index.0)))
            }
            Output::PullSnapshot { from, snapshot } => cluster::Output::Pull(from, *snapshot),
            Output::Restore(snapshot) => cluster::Output::Restore(*snapshot),
            Output::Stop(why) => cluster::Output::Stop(why),
        }
    }

    fn store(write: Write, disk: &mut Disk) -> Stored<Self> {
        let record = write.record().clone();
        let Ok((messages, receipt)) = write.persist(|record| {
            disk.store(&record);
            Ok::<(), Infallible>(())
        });
        let messages = messages.into_iter().map(Envelope::from);
        let messages = messages.map(|envelope| (envelope.to, envelope.message));
        (record, messages.collect(), receipt)
    }

    fn standing(core: &Raft) -> Standing {
        let status = core.status();
        Standing {
            text: notation::standing_text(&status),
            leads: status.role == Role::Leader,
            campaigns: status.role == Role::Candidate,
            decided: status.commit.0,
        }
    }

    fn decision_text(leads: bool, place: u64) -> String {
        match leads {
            true => format!("commits {place}"),
            false => format!("learns that {place} is committed"),
        }
    }

    fn message_name(message: &Message) -> &'static str {
        notation::name_of(message)
    }

    fn message_text(message: &Message) -> String {
        notation::message_text(message)
    }

    fn record(write: &Write) -> &Record {
        write.record()
    }

    fn record_text(record: &Record) -> String {
        notation::record_text(record)
    }

    fn entry_text(entry: &Entry) -> String {
        notation::entry_text(entry)
    }

    fn mark_text(mark: LogId) -> String {
        notation::id_text(mark)
    }

    fn fetch_range(fetch: &Fetch) -> (u64, u64) {
        (fetch.from().0, fetch.to().0)
    }
}
