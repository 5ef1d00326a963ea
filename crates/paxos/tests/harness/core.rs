//! The adapter of the core for a test cluster.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use synod_paxos::{
    Config, DiskHealth, Envelope, Fetch, FetchError, Instant, Membership, Message, NodeId, Output,
    Paxos, Position, QuorumError, Quorums, ReadError, ReadId, Receipt, Record, RecoverError,
    Recovered, Refusal, Role, Snapshot, Stop, Value, Vote, Write,
};
use synod_sim::cluster::{self, Protocol, Standing, Stored};

use super::disk::Disk;
use super::notation;
use super::watch::Watch;

/// Majorities, unless there are four or five acceptors: all kinds of quorums follow each other.
fn quorums(ids: &[u64]) -> Result<Quorums, QuorumError> {
    let is_even = ids.iter().sum::<u64>() % 2 == 0;
    let all = ids.iter().copied().map(NodeId);
    match ids {
        [a, b, c, d] if is_even => {
            Quorums::grid([[a, b], [c, d]].map(|row| row.map(|id| NodeId(*id))))
        }
        [_, _, _, _] => Quorums::weighted(all.map(|id| (id, 2)), 5, 4),
        [_, _, _, _, _] if is_even => Quorums::flexible(all, 4, 2),
        _ => Quorums::majority(all),
    }
}

/// The core, for the tools that all protocols' tests share.
#[derive(Debug)]
pub(crate) struct Cores;

impl Protocol for Cores {
    type Core = Paxos;
    const PLACE: &'static str = "slot";
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
    type Entry = (Position, Value);
    type Mark = Position;
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

    fn place(mark: Position) -> u64 {
        mark.slot.0
    }

    fn mark((position, _): &(Position, Value)) -> Position {
        *position
    }

    fn covers(snapshot: &Snapshot) -> Position {
        snapshot.last
    }

    fn owner(config: &Config) -> NodeId {
        config.id
    }

    fn start(config: Config, disk: &Disk, now: Instant) -> Result<Paxos, RecoverError<Infallible>> {
        let mut config = config;
        config.life = disk.next_life();
        let recovered = Recovered {
            state: disk.state,
            start: disk.start,
            snapshot: disk.snapshot.as_ref().map(|(snapshot, _)| snapshot.clone()),
            votes: disk.log.values().cloned().map(Ok::<Vote, Infallible>),
        };
        Paxos::new(config, recovered, now)
    }

    fn timeout(core: &Paxos) -> Option<Instant> {
        core.poll_timeout()
    }

    fn time_out(core: &mut Paxos, now: Instant) {
        core.handle_timeout(now);
    }

    fn hear(core: &mut Paxos, now: Instant, from: NodeId, message: Message) {
        core.handle_message(now, from, message);
    }

    fn persisted(core: &mut Paxos, now: Instant, receipt: Receipt) {
        core.handle_persisted(now, receipt);
    }

    fn fetched(core: &mut Paxos, now: Instant, fetch: Fetch, disk: Option<&Disk>) {
        let values = disk.map_or(Err(FetchError::Unavailable), |disk| disk.read(&fetch));
        core.handle_fetched(now, fetch, values);
    }

    fn snapshot(core: &mut Paxos, now: Instant, snapshot: Snapshot) {
        core.handle_snapshot(now, snapshot);
    }

    fn pull_failed(core: &mut Paxos, now: Instant, snapshot: &Snapshot) {
        core.handle_pull_failed(now, snapshot);
    }

    fn health(core: &mut Paxos, now: Instant, health: DiskHealth) {
        core.handle_disk(now, health);
    }

    fn ask(core: &mut Paxos, now: Instant, read: u64) -> Result<(), ReadError> {
        core.read(now, ReadId(read))
    }

    const QUORUM_READS: bool = true;

    fn ask_quorum(core: &mut Paxos, now: Instant, read: u64) -> Result<(), ReadError> {
        core.read_by_quorum(now, ReadId(read))
    }

    const LEASES: bool = true;

    fn read_by_lease(core: &Paxos, now: Instant) -> Result<u64, String> {
        let read = core.read_by_lease(now);
        read.map(|slot| slot.0).map_err(|why| why.to_string())
    }

    fn propose(core: &mut Paxos, now: Instant, body: &[u8]) -> Result<Position, String> {
        let proposed = core.propose(now, Bytes::copy_from_slice(body));
        proposed.map_err(|error| error.to_string())
    }

    fn transfer(core: &mut Paxos, now: Instant, to: Option<NodeId>) -> Result<NodeId, String> {
        core.transfer(now, to).map_err(|error| error.to_string())
    }

    const CHANGES: bool = true;

    fn change(
        core: &mut Paxos,
        now: Instant,
        voters: &[u64],
        learners: &[u64],
    ) -> Result<(), String> {
        let quorums = quorums(voters).map_err(|error| error.to_string())?;
        let mut target = Membership::of(quorums);
        target.learners = learners.iter().copied().map(NodeId).collect();
        let begun = core.change_membership(now, target);
        begun.map_err(|error| error.to_string())
    }

    fn abort_change(core: &mut Paxos, now: Instant) -> Result<(), String> {
        core.abort_change(now).map_err(|error| error.to_string())
    }

    fn roster(core: &Paxos) -> Option<(Vec<u64>, bool)> {
        let membership = core.membership()?;
        let nodes = membership.nodes().map(|id| id.0);
        Some((nodes.collect(), core.status().change.is_some()))
    }

    fn is_of_earlier_leader(core: &Paxos, mark: Position) -> bool {
        mark.origin < core.status().ballot
    }

    fn name_snapshot(core: &Paxos, last: Position) -> Snapshot {
        let configurations = core.configurations_at(last.slot);
        Snapshot {
            last,
            configurations,
        }
    }

    fn poll(core: &mut Paxos) -> Option<Output> {
        core.poll_output()
    }

    fn sort(output: Output) -> cluster::Output<Self> {
        match output {
            Output::Persist(write) => cluster::Output::Persist(write),
            Output::Send(envelope) => cluster::Output::Send(envelope.to, envelope.message),
            Output::Apply(chosen) => {
                let values = chosen.iter();
                let values = values.map(|(position, value)| (position, value.clone()));
                cluster::Output::Apply(values.collect())
            }
            Output::Fetch(fetch) => cluster::Output::Fetch(fetch),
            Output::Read { id, slot } => cluster::Output::Answer((id.0, slot.map(|slot| slot.0))),
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

    fn standing(core: &Paxos) -> Standing {
        let status = core.status();
        Standing {
            text: notation::standing_text(&status),
            leads: status.role == Role::Leader,
            campaigns: status.role == Role::Candidate,
            decided: status.chosen.0,
        }
    }

    fn decision_text(leads: bool, place: u64) -> String {
        match leads {
            true => format!("has chosen {place}"),
            false => format!("learns that {place} is chosen"),
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

    fn entry_text((position, value): &(Position, Value)) -> String {
        let text = notation::value_text(value, position.origin);
        format!("{} {text}", notation::position_text(*position))
    }

    fn mark_text(mark: Position) -> String {
        notation::position_text(mark)
    }

    fn fetch_range(fetch: &Fetch) -> (u64, u64) {
        (fetch.from().0, fetch.to().0)
    }
}
