//! Multi-Paxos as a [`Protocol`]: translates its records to operations of the log, and its types to
//! those of the runtime.

use std::ops::RangeInclusive;

use bytes::Bytes;
use synod_paxos::{self as paxos, Binding, Echo, Message, Paxos, Replicate};
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

use tags::{ballot, ballot_tag, position, put, untag, vote};

impl Configured for paxos::Config {
    type Protocol = Paxos;

    fn node(&self) -> NodeId {
        NodeId(self.id.0)
    }

    fn founding(&self) -> String {
        // A node that joins is founded on whatever its group is.
        match &self.first {
            Some(first) => format!("{}, {}", Paxos::NAME, first.membership.quorums),
            None => format!("{}, joining", Paxos::NAME),
        }
    }

    fn joins(&self) -> bool {
        self.first.is_none()
    }

    fn stir(&mut self, secret: u64) {
        self.seed ^= secret;
    }

    fn begin_life(&mut self, incarnation: u64) {
        self.life = incarnation;
    }

    fn drift_ppm(&self) -> Option<u32> {
        self.lease.map(|lease| lease.drift.0)
    }
}

impl Protocol for Paxos {
    type Config = paxos::Config;
    type Message = Message;
    type Write = paxos::Write;
    type Staged = paxos::Staged<Lsn>;
    type Receipt = paxos::Receipt;
    type Fetch = paxos::Fetch;
    type Membership = paxos::Membership;

    const NAME: &'static str = "paxos";
    const EPOCHS_RISE: bool = false;

    fn recover(
        config: paxos::Config,
        recovered: Recovered,
        now: Instant,
    ) -> Result<Self, RecoverError> {
        let state = recovered.state.map(|tag| {
            let [round, node, chosen, _] = untag(&tag);
            paxos::State {
                promised: ballot(round, node),
                chosen: paxos::Slot(chosen),
            }
        });
        let snapshot = match recovered.snapshot {
            Some(snapshot) => Some(to_paxos(&snapshot).map_err(|e| RecoverError::Log(e.into()))?),
            None => None,
        };
        let start = position(recovered.start.index, &recovered.start.tag);
        let votes = recovered.slots.map(|slot| slot.and_then(vote));
        let recovered = paxos::Recovered {
            state,
            start,
            snapshot,
            votes,
        };
        Self::new(config, recovered, at(now)).map_err(|error| match error {
            paxos::RecoverError::Config(error) => RecoverError::Config(error.into()),
            other => RecoverError::Log(other.into()),
        })
    }

    fn handle_message(&mut self, now: Instant, from: NodeId, message: Message) {
        self.handle_message(at(now), paxos::NodeId(from.0), message);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.handle_timeout(at(now));
    }

    fn handle_persisted(&mut self, now: Instant, receipt: paxos::Receipt) {
        self.handle_persisted(at(now), receipt);
    }

    fn handle_disk(&mut self, now: Instant, disk: DiskHealth) {
        let DiskHealth {
            has_room,
            sync_time,
        } = disk;
        let disk = paxos::DiskHealth {
            has_room,
            sync_time,
        };
        self.handle_disk(at(now), disk);
    }

    fn handle_fetched(
        &mut self,
        now: Instant,
        fetch: paxos::Fetch,
        slots: Result<Vec<Slot>, LogError>,
    ) {
        let values = slots
            .and_then(|slots| slots.into_iter().map(vote).collect::<Result<Vec<_>, _>>())
            .map_err(|error| match error {
                LogError::Cut { start } => paxos::FetchError::Cut {
                    start: paxos::Slot(start),
                },
                _ => paxos::FetchError::Unavailable,
            })
            .and_then(|votes| {
                let follow = (fetch.from().0..)
                    .zip(&votes)
                    .all(|(at, vote)| at == vote.slot.0);
                let values = votes.into_iter().map(|vote| vote.value);
                let values = follow.then(|| values.collect());
                values.ok_or(paxos::FetchError::Unavailable)
            });
        self.handle_fetched(at(now), fetch, values);
    }

    fn handle_snapshot(&mut self, now: Instant, snapshot: Snapshot) {
        // Its configuration came from a core like this one; if it does not decode, the snapshot is
        // not offered to peers.
        if let Ok(snapshot) = to_paxos(&snapshot) {
            self.handle_snapshot(at(now), snapshot);
        }
    }

    fn handle_pull_failed(&mut self, now: Instant, snapshot: Snapshot) {
        if let Ok(snapshot) = to_paxos(&snapshot) {
            self.handle_pull_failed(at(now), &snapshot);
        }
    }

    fn propose(&mut self, now: Instant, body: Bytes) -> Result<(), Refusal> {
        self.propose(at(now), body)
            .map(drop)
            .map_err(|error| match error {
                paxos::ProposeError::NotLeader(_) => Refusal::NotLeader,
                paxos::ProposeError::TooLarge { .. } => Refusal::TooLarge,
                paxos::ProposeError::Full => Refusal::Full,
                paxos::ProposeError::Transferring { .. } => Refusal::Transferring,
                _ => Refusal::Busy,
            })
    }

    fn transfer(&mut self, now: Instant, to: Option<NodeId>) -> Result<NodeId, TransferError> {
        use paxos::TransferError as Refused;
        let to = to.map(|to| paxos::NodeId(to.0));
        let begun = self.transfer(at(now), to);
        begun
            .map(|to| NodeId(to.0))
            .map_err(|refused| match refused {
                Refused::NotLeader(leader) => {
                    TransferError::NotLeader(leader.map(|leader| NodeId(leader.0)))
                }
                Refused::Itself => TransferError::Itself,
                Refused::NotAnAcceptor(to) => TransferError::NoVoter(NodeId(to.0)),
                Refused::UnderWay { to } => TransferError::UnderWay { to: NodeId(to.0) },
                _ => TransferError::Unsuitable,
            })
    }

    fn transfers_to(&self) -> Option<NodeId> {
        self.transfers_to().map(|to| NodeId(to.0))
    }

    fn members(&self) -> Option<&paxos::Membership> {
        self.membership()
    }

    fn members_of(membership: &paxos::Membership) -> Members {
        members::of(membership)
    }

    fn change_members(&mut self, now: Instant, target: &Members) -> Result<(), ChangeError> {
        let target = members::target(self.membership(), target)?;
        let begun = self.change_membership(at(now), target);
        begun.map_err(members::change_error)
    }

    fn abort_change(&mut self, now: Instant) -> Result<(), ChangeError> {
        let begun = self.abort_change(at(now));
        begun.map_err(members::change_error)
    }

    fn read(&mut self, now: Instant, id: ReadId) -> Result<(), Refusal> {
        self.read(at(now), paxos::ReadId(id.0))
            .map_err(|error| match error {
                paxos::ReadError::NotLeader(_) => Refusal::NotLeader,
                _ => Refusal::Busy,
            })
    }

    fn read_by_lease(&self, now: Instant) -> Option<u64> {
        self.read_by_lease(at(now)).ok().map(|slot| slot.0)
    }

    fn read_by_quorum(&mut self, now: Instant, id: ReadId) -> Option<Result<(), Refusal>> {
        let asked = self.read_by_quorum(at(now), paxos::ReadId(id.0));
        Some(asked.map_err(|error| match error {
            paxos::ReadError::NotLeader(_) | paxos::ReadError::NoMembers => Refusal::NotLeader,
            _ => Refusal::Busy,
        }))
    }

    fn handle_clock_fault(&mut self, now: Instant) {
        self.handle_clock_fault(at(now));
    }

    fn poll_output(&mut self) -> Option<Output<Self>> {
        let polled = self.poll_output()?;
        Some(output(self, polled))
    }

    fn poll_besides_machine(&mut self) -> Option<Output<Self>> {
        let polled = self.poll_besides_machine()?;
        Some(output(self, polled))
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.poll_timeout().map(|deadline| Instant(deadline.0))
    }

    fn leadership(&self) -> Option<Leadership> {
        self.leader().map(|leader| Leadership {
            node: NodeId(leader.0),
            epoch: epoch(self.ballot()),
        })
    }

    fn membership(&self) -> Bytes {
        // As of what the machine was given: the start of the log, when the group is opened.
        self.configurations_at(self.status().delivered).encode()
    }

    fn status(&self) -> CoreStatus {
        let status = self.status();
        CoreStatus {
            role: match status.role {
                paxos::Role::Leader => Role::Leader,
                paxos::Role::Candidate | paxos::Role::Asking => Role::Candidate,
                paxos::Role::Follower => Role::Follower,
            },
            epoch: epoch(status.ballot),
            commit: status.chosen.0,
            last: status.last.0,
            start: status.start.0,
            stepped_down: status.stepped_down.map(StepDown::from),
            transfer: status.transfer.map(|to| NodeId(to.0)),
            priority: status.priority,
            lease_end: status.lease_end.map(|end| Instant(end.0)),
            change: status.change.as_ref().map(members::change),
            change_end: status.change_end.map(members::change_end),
            peers: status
                .peers
                .iter()
                .map(|p| PeerStatus {
                    id: NodeId(p.id.0),
                    matched: p.through.0,
                    // The leader sends it again what it lost, and cannot distinguish it from a node
                    // that restarted.
                    forgot: false,
                })
                .collect(),
            ignored: ignored(self.counters()),
            leaps: self.counters().leaps,
            leap: status.leap.map(|leap| Leap {
                from: NodeId(leap.from.0),
                epoch: epoch(leap.ballot),
                stored: epoch(leap.stored),
            }),
        }
    }

    fn epoch(at: &Position) -> Epoch {
        epoch(position(at.index, &at.tag).origin)
    }

    fn seed(config: paxos::Config) -> Result<Seed, RecoverError> {
        offline::seed(config)
    }

    fn held(slot: Slot) -> Result<Committed, LogError> {
        offline::held(slot)
    }

    fn stage<E>(
        write: paxos::Write,
        record_bytes_max: usize,
        append: impl FnMut(&mut dyn Iterator<Item = Op<'_>>) -> Result<Lsn, E>,
    ) -> Result<paxos::Staged<Lsn>, E> {
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
        staged: paxos::Staged<Lsn>,
        durable: Lsn,
    ) -> Result<(Vec<(NodeId, Message)>, paxos::Receipt), paxos::Staged<Lsn>> {
        let (envelopes, receipt) = staged.release(&durable)?;
        let messages = envelopes
            .into_iter()
            .map(|said| (NodeId(said.to.0), Message::Binding(said.message)));
        Ok((messages.collect(), receipt))
    }

    fn range(fetch: &paxos::Fetch) -> (RangeInclusive<u64>, usize) {
        (fetch.from().0..=fetch.to().0, fetch.bytes_max())
    }

    fn longest_body(message: &Message) -> Option<usize> {
        match message {
            Message::Replicate(Replicate::Accept { values, .. })
            | Message::Echo(Echo::Learned { values, .. }) => {
                values.iter().map(|value| value.body.len()).max()
            }
            Message::Binding(Binding::Promise { votes, .. }) => {
                votes.iter().map(|vote| vote.value.body.len()).max()
            }
            _ => None,
        }
    }

    fn encode(message: &Message, head: &mut Vec<u8>, parts: &mut Vec<Bytes>) {
        wire::encode(message, head, parts);
    }

    fn decode(bytes: Bytes) -> Option<Message> {
        wire::decode(&bytes)
    }
}

fn divergence(why: paxos::Stop) -> Divergence {
    match why {
        paxos::Stop::Diverged { slot, own, theirs } => Divergence::Diverged {
            index: slot.0,
            own: epoch(own),
            theirs: epoch(theirs),
        },
        paxos::Stop::Removed { .. } => Divergence::Removed,
    }
}

fn output(core: &Paxos, output: paxos::Output) -> Output<Paxos> {
    match output {
        paxos::Output::Persist(write) => Output::Persist(write),
        paxos::Output::Send(envelope) => Output::Send(NodeId(envelope.to.0), envelope.message),
        paxos::Output::Apply(chosen) => Output::Apply(
            chosen
                .iter()
                .map(|chosen| committed(core, chosen))
                .collect(),
        ),
        paxos::Output::Fetch(fetch) => Output::Fetch(fetch),
        paxos::Output::Read { id, slot } => Output::Read {
            id: ReadId(id.0),
            index: slot.map(|slot| slot.0).map_err(|_| Refusal::NotLeader),
        },
        paxos::Output::PullSnapshot { from, snapshot } => Output::PullSnapshot {
            from: NodeId(from.0),
            snapshot: from_paxos(&snapshot),
        },
        paxos::Output::Restore(snapshot) => Output::Restore(from_paxos(&snapshot)),
        paxos::Output::Stop(why) => Output::Stop(divergence(why)),
    }
}

fn ignored(counters: paxos::Counters) -> u64 {
    counters.strangers + counters.malformed + counters.leaps + counters.conflicts_with_chosen
}

/// The log's operations for one of the core's; a run gives one for each vote.
fn ops(op: paxos::Op<'_>) -> impl Iterator<Item = Op<'_>> {
    let (op, votes) = match op {
        paxos::Op::State(state) => (Some(tags::state(state)), None),
        paxos::Op::Start(start) => {
            let (after, tag) = (start.slot.0, ballot_tag(start.origin));
            (Some(Op::Start { after, tag }), None)
        }
        paxos::Op::Votes(votes) => (None, Some(votes)),
    };
    let votes = votes.into_iter().flat_map(paxos::Votes::iter);
    op.into_iter().chain(votes.map(put))
}

/// A configuration is what the runtime keeps for its next snapshot: all that are in force or decided as of
/// its slot. One that was chosen behind another has no effect.
fn committed(core: &Paxos, (at, value): (paxos::Position, &paxos::Value)) -> Committed {
    let is_decided = || core.configurations().is_decided_in(at.slot);
    let (kind, body) = match value.kind {
        paxos::Kind::Command => (Kind::Commands, value.body.clone()),
        paxos::Kind::Configuration if is_decided() => {
            (Kind::Membership, core.configurations_at(at.slot).encode())
        }
        paxos::Kind::Noop | paxos::Kind::Configuration => (Kind::Noop, Bytes::new()),
    };
    Committed {
        at: Position {
            index: at.slot.0,
            tag: ballot_tag(at.origin),
        },
        kind,
        body,
    }
}

fn to_paxos(snapshot: &Snapshot) -> Result<paxos::Snapshot, paxos::MembershipError> {
    let configurations = paxos::Configurations::decode(&snapshot.meta)?;
    Ok(paxos::Snapshot {
        last: position(snapshot.index, &snapshot.tag),
        configurations,
    })
}

fn from_paxos(snapshot: &paxos::Snapshot) -> Snapshot {
    Snapshot {
        index: snapshot.last.slot.0,
        tag: ballot_tag(snapshot.last.origin),
        meta: snapshot.configurations.encode(),
    }
}

fn epoch(ballot: paxos::Ballot) -> Epoch {
    Epoch {
        round: ballot.round,
        node: NodeId(ballot.node.0),
    }
}

fn at(now: Instant) -> paxos::Instant {
    paxos::Instant(now.0)
}

#[cfg(test)]
mod tests;
