//! Raft as a [`Protocol`]: translates its records to operations of the log, and its types to those
//! of the runtime.

use std::ops::RangeInclusive;

use bytes::Bytes;
use synod_raft::{self as raft, Raft};
use synod_transport::NodeId;
use synod_wal::{Lsn, Op, Slot, Snapshot};

use super::records::append_all;
use super::{
    Committed, Configured, CoreStatus, DiskHealth, Divergence, Epoch, Kind, Leadership, Leap,
    Output, PeerStatus, Position, Protocol, ReadId, RecoverError, Refusal, Role, Seed, StepDown,
};
use crate::handover::TransferError;
use crate::log::{LogError, Recovered};
use crate::members::{ChangeError, Members};
use crate::time::Instant;

mod members;
mod offline;
mod tags;
mod wire;

use tags::{entry, entry_tag, log_id, tag, untag};

/// A node of this crate has a machine, and a witness has none.
#[derive(Debug, thiserror::Error)]
#[error("a node with a state machine cannot be a witness, nor replicate to one")]
struct NoWitnesses;

impl Configured for raft::Config {
    type Protocol = Raft;

    fn node(&self) -> NodeId {
        NodeId(self.id.0)
    }

    fn founding(&self) -> String {
        let voters: Vec<_> = self.voters.iter().map(|id| id.0.to_string()).collect();
        format!("{}, voters {}", Raft::NAME, voters.join(", "))
    }

    fn joins(&self) -> bool {
        self.voters.is_empty()
    }

    fn stir(&mut self, secret: u64) {
        self.seed ^= secret;
    }

    fn drift_ppm(&self) -> Option<u32> {
        self.lease.map(|lease| lease.drift.0)
    }
}

impl Protocol for Raft {
    type Config = raft::Config;
    type Message = raft::Message;
    type Write = raft::Write;
    type Staged = raft::Staged<Lsn>;
    type Receipt = raft::Receipt;
    type Fetch = raft::Fetch;
    type Membership = raft::Membership;

    const NAME: &'static str = "raft";
    const EPOCHS_RISE: bool = true;

    fn recover(
        config: raft::Config,
        recovered: Recovered,
        now: Instant,
    ) -> Result<Self, RecoverError> {
        if config.joins_as_witness || !config.witnesses.is_empty() {
            return Err(RecoverError::Config(NoWitnesses.into()));
        }
        let vote = recovered.state.map(|tag| {
            let [term, node, given] = untag(&tag);
            (raft::Term(term), (given == 1).then_some(raft::NodeId(node)))
        });
        let snapshot = match recovered.snapshot {
            Some(snapshot) => Some(to_raft(&snapshot).map_err(|e| RecoverError::Log(e.into()))?),
            None => None,
        };
        let start = log_id(recovered.start.index, &recovered.start.tag);
        let entries = recovered.slots.map(|slot| slot.and_then(entry));
        let recovered = raft::Recovered {
            vote,
            start,
            snapshot,
            entries,
        };
        Self::new(config, recovered, at(now)).map_err(|error| match error {
            raft::RecoverError::Config(error) => RecoverError::Config(error.into()),
            other => RecoverError::Log(other.into()),
        })
    }

    fn handle_message(&mut self, now: Instant, from: NodeId, message: raft::Message) {
        self.handle_message(at(now), raft::NodeId(from.0), message);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.handle_timeout(at(now));
    }

    fn handle_persisted(&mut self, now: Instant, receipt: raft::Receipt) {
        self.handle_persisted(at(now), receipt);
    }

    fn handle_disk(&mut self, now: Instant, disk: DiskHealth) {
        let DiskHealth {
            has_room,
            sync_time,
        } = disk;
        let disk = raft::DiskHealth {
            has_room,
            sync_time,
        };
        self.handle_disk(at(now), disk);
    }

    fn handle_fetched(
        &mut self,
        now: Instant,
        fetch: raft::Fetch,
        slots: Result<Vec<Slot>, LogError>,
    ) {
        let entries = slots
            .and_then(|slots| slots.into_iter().map(entry).collect())
            .map_err(|error| match error {
                LogError::Cut { start } => raft::FetchError::Cut {
                    start: raft::Index(start),
                },
                _ => raft::FetchError::Unavailable,
            });
        self.handle_fetched(at(now), fetch, entries);
    }

    fn handle_snapshot(&mut self, now: Instant, snapshot: Snapshot) {
        // Its membership came from a core like this one; if it does not decode, the snapshot is not
        // offered to peers.
        if let Ok(snapshot) = to_raft(&snapshot) {
            self.handle_snapshot(at(now), snapshot);
        }
    }

    fn handle_pull_failed(&mut self, now: Instant, snapshot: Snapshot) {
        if let Ok(snapshot) = to_raft(&snapshot) {
            self.handle_pull_failed(at(now), &snapshot);
        }
    }

    fn propose(&mut self, now: Instant, body: Bytes) -> Result<(), Refusal> {
        self.propose(at(now), body)
            .map(drop)
            .map_err(|error| match error {
                raft::ProposeError::NotLeader(_) => Refusal::NotLeader,
                raft::ProposeError::TooLarge { .. } => Refusal::TooLarge,
                raft::ProposeError::Full => Refusal::Full,
                raft::ProposeError::Transferring { .. } => Refusal::Transferring,
                _ => Refusal::Busy,
            })
    }

    fn transfer(&mut self, now: Instant, to: Option<NodeId>) -> Result<NodeId, TransferError> {
        use raft::TransferError as Refused;
        let to = to.map(|to| raft::NodeId(to.0));
        let begun = self.transfer(at(now), to);
        begun
            .map(|to| NodeId(to.0))
            .map_err(|refused| match refused {
                Refused::NotLeader(leader) => {
                    TransferError::NotLeader(leader.map(|leader| NodeId(leader.0)))
                }
                Refused::Itself => TransferError::Itself,
                Refused::NotAVoter(to) => TransferError::NoVoter(NodeId(to.0)),
                Refused::UnderWay { to } => TransferError::UnderWay { to: NodeId(to.0) },
                _ => TransferError::Unsuitable,
            })
    }

    fn transfers_to(&self) -> Option<NodeId> {
        self.transfers_to().map(|to| NodeId(to.0))
    }

    fn members(&self) -> Option<&raft::Membership> {
        Some(self.membership()).filter(|membership| !membership.voters.is_empty())
    }

    fn members_of(membership: &raft::Membership) -> Members {
        members::of(membership, &membership.voters, &membership.learners)
    }

    fn change_members(&mut self, now: Instant, target: &Members) -> Result<(), ChangeError> {
        let target = members::target(target)?;
        let begun = self.change_membership(at(now), target);
        begun.map_err(members::change_error)
    }

    fn abort_change(&mut self, now: Instant) -> Result<(), ChangeError> {
        let begun = self.abort_change(at(now));
        begun.map_err(members::change_error)
    }

    fn read(&mut self, now: Instant, id: ReadId) -> Result<(), Refusal> {
        self.read(at(now), raft::ReadId(id.0))
            .map_err(|error| match error {
                raft::ReadError::NotLeader(_) => Refusal::NotLeader,
                _ => Refusal::Busy,
            })
    }

    fn read_by_lease(&self, now: Instant) -> Option<u64> {
        self.read_by_lease(at(now)).ok().map(|index| index.0)
    }

    fn handle_clock_fault(&mut self, now: Instant) {
        self.handle_clock_fault(at(now));
    }

    fn poll_output(&mut self) -> Option<Output<Self>> {
        self.poll_output().map(output)
    }

    fn poll_besides_machine(&mut self) -> Option<Output<Self>> {
        self.poll_besides_machine().map(output)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.poll_timeout().map(|deadline| Instant(deadline.0))
    }

    fn leadership(&self) -> Option<Leadership> {
        self.leader().map(|leader| Leadership {
            node: NodeId(leader.0),
            epoch: Epoch::of_round(self.term().0),
        })
    }

    fn membership(&self) -> Bytes {
        // As of what the machine has been given: entries after that are still to be applied.
        let as_of = self.membership_at(self.status().delivered);
        as_of.unwrap_or_else(|| self.membership()).encode()
    }

    fn status(&self) -> CoreStatus {
        let status = self.status();
        CoreStatus {
            role: match status.role {
                raft::Role::Leader => Role::Leader,
                raft::Role::Candidate | raft::Role::PreCandidate => Role::Candidate,
                raft::Role::Follower => Role::Follower,
            },
            epoch: Epoch::of_round(status.term.0),
            commit: status.commit.0,
            last: status.last.0,
            start: status.start.0,
            stepped_down: status.stepped_down.map(StepDown::from),
            transfer: status.transfer.map(|to| NodeId(to.0)),
            priority: status.priority,
            lease_end: status.lease_end.map(|end| Instant(end.0)),
            change: members::change(self, &status),
            change_end: status.change_end.map(members::change_end),
            peers: status
                .peers
                .iter()
                .map(|p| PeerStatus {
                    id: NodeId(p.id.0),
                    matched: p.matched.0,
                    forgot: p.state == raft::PeerState::Forgot,
                })
                .collect(),
            ignored: ignored(self.counters()),
            leaps: self.counters().leaps,
            leap: status.leap.map(|leap| Leap {
                from: NodeId(leap.from.0),
                epoch: Epoch::of_round(leap.term.0),
                stored: Epoch::of_round(leap.stored.0),
            }),
        }
    }

    fn epoch(at: &Position) -> Epoch {
        Epoch::of_round(untag(&at.tag)[0])
    }

    fn seed(config: raft::Config) -> Result<Seed, RecoverError> {
        offline::seed(config)
    }

    fn held(slot: Slot) -> Result<Committed, LogError> {
        offline::held(slot)
    }

    fn stage<E>(
        write: raft::Write,
        record_bytes_max: usize,
        append: impl FnMut(&mut dyn Iterator<Item = Op<'_>>) -> Result<Lsn, E>,
    ) -> Result<raft::Staged<Lsn>, E> {
        write.stage(|record| {
            if record.is_empty() {
                // Everything that its messages promise is durable already, since writes are
                // released in order.
                return Ok(Lsn(0));
            }
            append_all(record.ops().flat_map(ops), record_bytes_max, append)
        })
    }

    fn release(
        staged: raft::Staged<Lsn>,
        durable: Lsn,
    ) -> Result<(Vec<(NodeId, raft::Message)>, raft::Receipt), raft::Staged<Lsn>> {
        let (envelopes, receipt) = staged.release(&durable)?;
        let messages = envelopes.into_iter().map(|envelope| {
            (
                NodeId(envelope.to.0),
                raft::Message::Binding(envelope.message),
            )
        });
        Ok((messages.collect(), receipt))
    }

    fn range(fetch: &raft::Fetch) -> (RangeInclusive<u64>, usize) {
        (fetch.from().0..=fetch.to().0, fetch.bytes_max())
    }

    fn longest_body(message: &raft::Message) -> Option<usize> {
        match message {
            raft::Message::Replicate(raft::Replicate::Append { entries, .. }) => {
                entries.iter().map(|entry| entry.body.len()).max()
            }
            _ => None,
        }
    }

    fn encode(message: &raft::Message, head: &mut Vec<u8>, parts: &mut Vec<Bytes>) {
        wire::encode(message, head, parts);
    }

    fn decode(bytes: Bytes) -> Option<raft::Message> {
        wire::decode(&bytes)
    }
}

fn output(output: raft::Output) -> Output<Raft> {
    match output {
        raft::Output::Persist(write) => Output::Persist(write),
        raft::Output::Send(envelope) => Output::Send(NodeId(envelope.to.0), envelope.message),
        raft::Output::Apply(run) => Output::Apply(run.iter().map(committed).collect()),
        raft::Output::Fetch(fetch) => Output::Fetch(fetch),
        raft::Output::Read { id, index } => {
            let index = index.map(|index| index.0).map_err(|_| Refusal::NotLeader);
            Output::Read {
                id: ReadId(id.0),
                index,
            }
        }
        raft::Output::PullSnapshot { from, snapshot } => Output::PullSnapshot {
            from: NodeId(from.0),
            snapshot: from_raft(&snapshot),
        },
        raft::Output::Restore(snapshot) => Output::Restore(from_raft(&snapshot)),
        raft::Output::Stop(why) => Output::Stop(divergence(why)),
    }
}

fn divergence(why: raft::Stop) -> Divergence {
    match why {
        raft::Stop::Removed => Divergence::Removed,
        raft::Stop::Forgot {
            acknowledged,
            holds,
        } => Divergence::Forgot {
            acknowledged: acknowledged.0,
            holds: holds.0,
        },
        raft::Stop::Diverged {
            index,
            own,
            leaders,
        } => Divergence::Diverged {
            index: index.0,
            own: Epoch::of_round(own.0),
            theirs: Epoch::of_round(leaders.0),
        },
    }
}

fn ignored(counters: raft::Counters) -> u64 {
    counters.strangers + counters.malformed + counters.leaps + counters.conflicts_with_commit
}

/// The log's operations for one of the core's; a run gives one for each entry.
fn ops(op: raft::Op<'_>) -> impl Iterator<Item = Op<'_>> {
    let (op, entries): (_, &[raft::Entry]) = match op {
        raft::Op::Vote(term, vote) => {
            let (node, given) = (vote.map_or(0, |node| node.0), u64::from(vote.is_some()));
            (Some(Op::State(tag([term.0, node, given]))), &[])
        }
        raft::Op::Truncate(from) => (Some(Op::Truncate { from: from.0 }), &[]),
        raft::Op::Start(start) => {
            let (after, tag) = (start.index.0, tag([start.term.0, 0, 0]));
            (Some(Op::Start { after, tag }), &[])
        }
        raft::Op::Append(run) => (None, run),
    };
    op.into_iter().chain(entries.iter().map(|entry| Op::Put {
        index: entry.id.index.0,
        tag: entry_tag(entry.id.term, entry.kind),
        body: &entry.body,
    }))
}

fn at(now: Instant) -> raft::Instant {
    raft::Instant(now.0)
}

fn committed(entry: &raft::Entry) -> Committed {
    let kind = match entry.kind {
        raft::Kind::Noop => Kind::Noop,
        raft::Kind::Command => Kind::Commands,
        raft::Kind::Membership => Kind::Membership,
        // Neither a frame nor a log with one is decoded.
        raft::Kind::Withheld => Kind::Noop,
    };
    let (index, tag) = (entry.id.index.0, tag([entry.id.term.0, 0, 0]));
    Committed {
        at: Position { index, tag },
        kind,
        body: entry.body.clone(),
    }
}

fn to_raft(snapshot: &Snapshot) -> Result<raft::Snapshot, raft::MembershipError> {
    let membership = raft::Membership::decode(&snapshot.meta)?;
    Ok(raft::Snapshot {
        last: log_id(snapshot.index, &snapshot.tag),
        membership,
    })
}

fn from_raft(snapshot: &raft::Snapshot) -> Snapshot {
    Snapshot {
        index: snapshot.last.index.0,
        tag: tag([snapshot.last.term.0, 0, 0]),
        meta: snapshot.membership.encode(),
    }
}

#[cfg(test)]
mod tests;
