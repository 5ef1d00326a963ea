//! What must hold at every step: I1 to I11, against a replica of each shard that applies at once.
//!
//! | | what | where |
//! |---|---|---|
//! | I1 | a reading contains true time | [`Watch::read`] |
//! | I2 | a timestamp is not before true time where it was chosen | [`Watch::proposed`] |
//! | I3 | nobody hears of a commit, or sees a version, before its timestamp has passed | [`Watch::told`] |
//! | I4, I9 | real time, and what each read saw | [`witness`](super::witness) |
//! | I5 | assigned timestamps rise along the log | [`Watch::chosen`] |
//! | I6 | they lie in their leader's lease, and leases do not meet | [`Watch::chosen`] |
//! | I7 | a commit is at or above all its prepares, below all promised ends, and decided once | [`Watch::chosen`] |
//! | I8 | nothing is applied at or below a read that was served | [`Watch::applies`] |
//! | I11 | nothing is assigned at or below what was promised closed | [`Watch::chosen`], [`Watch::promised`] |

use std::collections::BTreeMap;

use bytes::Bytes;
use synod_replica::{Applying, StateMachine};
use synod_spanner::{
    Act, Applied, Command, Decision, Outcome, Promise, Reign, Reply, Shard, ShardId, State, TxnId,
    Writes,
};
use synod_truetime::Timestamp;

use super::clock::Reading;

#[derive(Debug, Default)]
pub(crate) struct Watch {
    pub(crate) shards: BTreeMap<ShardId, Watched>,
    /// What was decided by the coordinators' logs.
    pub(crate) decided: BTreeMap<TxnId, Decision>,
    /// What the logs wrote, by shard.
    pub(crate) written: BTreeMap<(TxnId, ShardId), Writes>,
    /// The first thing that was wrong.
    pub(crate) found: Option<String>,
}

/// A shard as its log says it is.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    pub(crate) machine: Shard,
    reign: Reign,
    /// The end of all leases before this reign's.
    from: Timestamp,
    until: Timestamp,
    /// Of prepares and commits: where they stand, and their timestamps.
    assigned: Vec<(u64, Timestamp)>,
    closed: Timestamp,
}

impl Watch {
    pub(crate) fn fail(&mut self, what: String) {
        self.found.get_or_insert(what);
    }

    pub(crate) fn read(&mut self, reading: &Reading) {
        if !reading.time.contains(reading.true_time) {
            self.fail(format!("I1: {reading:?}"));
        }
    }

    /// A leader proposes, by a reading that it took after the input came.
    pub(crate) fn proposed(&mut self, command: &Command, by: &Reading) {
        if let Act::Prepare { txn, at, .. } | Act::Commit { txn, at, .. } = &command.act
            && *at < by.true_time
        {
            self.fail(format!("I2: {txn:?} got {at} at {}", by.true_time));
        }
    }

    /// Somebody hears of it who acts by it: a client, a participant, a reader.
    pub(crate) fn told(&mut self, newest: Timestamp, by: &Reading, what: &str) {
        if newest >= by.true_time {
            let when = by.true_time;
            self.fail(format!("I3: {what} shows {newest} at {when}"));
        }
    }

    /// A decision leaves a coordinator: it must stand in the log.
    pub(crate) fn told_decision(&mut self, txn: TxnId, decision: Decision) {
        match self.outcome(txn) {
            Outcome::Decided(logged) if logged == decision => {}
            Outcome::Forgotten => {}
            other => self.fail(format!("told {decision:?} of {txn:?}, logged {other:?}")),
        }
    }

    pub(crate) fn outcome(&self, txn: TxnId) -> Outcome {
        let shard = &self.shards[&txn.coordinator];
        shard.machine.state().outcome(txn)
    }

    /// The log has a new command, at this place. Returns what applying it comes to.
    pub(crate) fn chosen(&mut self, shard: ShardId, place: Applying, bytes: &Bytes) -> Applied {
        let watched = self.shards.entry(shard).or_default();
        let command = Command::decode(bytes).unwrap();
        let prepared = watched.machine.state().prepared().clone();
        let applied = watched.machine.apply(place, bytes.clone());
        let reply = applied.reply.clone();
        let (index, reign) = (place.index, command.reign);
        match (command.act, reply) {
            (Act::TakeOver { lease_end }, Reply::TookOver(_)) => {
                watched.reign = reign;
                watched.from = watched.from.max(watched.until);
                watched.until = watched.from.max(lease_end);
            }
            (Act::Lease { end, .. }, Reply::Done) => watched.until = watched.until.max(end),
            (Act::Release { .. }, Reply::Done) => {
                watched.until = watched.machine.state().lease_end();
            }
            (Act::Prepare { txn, at, .. }, Reply::Done) => self.assigned(shard, index, txn, at),
            (
                Act::Commit {
                    txn,
                    at,
                    participants,
                    writes,
                },
                Reply::Decided(Decision::Committed(s)),
            ) if s == at && !self.decided.contains_key(&txn) => {
                self.assigned(shard, index, txn, at);
                self.committed(txn, at, &participants);
                self.written.insert((txn, shard), writes);
                self.decided.insert(txn, Decision::Committed(at));
            }
            (Act::Abort { txn }, Reply::Decided(Decision::Aborted)) => {
                let decision = *self.decided.entry(txn).or_insert(Decision::Aborted);
                if decision != Decision::Aborted {
                    self.fail(format!("I7: {txn:?} is {decision:?} and aborted"));
                }
            }
            (Act::Finish { txn, decision }, Reply::Decided(_)) => {
                self.finished(
                    shard,
                    txn,
                    decision,
                    prepared.get(&txn).map(|row| &row.writes),
                );
            }
            _ => {}
        }
        applied
    }

    fn assigned(&mut self, shard: ShardId, index: u64, txn: TxnId, at: Timestamp) {
        let watched = self.shards.entry(shard).or_default();
        let last = watched
            .assigned
            .last()
            .map_or(Timestamp::MIN, |last| last.1);
        let (from, until, closed) = (watched.from, watched.until, watched.closed);
        watched.assigned.push((index, at));
        if at <= last {
            self.fail(format!("I5: {txn:?} at {at} behind {last} on {shard:?}"));
        }
        if at <= from || at >= until {
            self.fail(format!("I6: {txn:?} at {at}, lease {from} to {until}"));
        }
        if at <= closed {
            self.fail(format!("I11: {txn:?} at {at}, closed to {closed}"));
        }
    }

    fn committed(&mut self, txn: TxnId, s: Timestamp, participants: &[ShardId]) {
        for shard in participants {
            let state = self.shards[shard].machine.state();
            let fits = state
                .prepared()
                .get(&txn)
                .is_some_and(|row| row.at <= s && row.before.is_none_or(|before| s < before));
            if !fits {
                self.fail(format!(
                    "I7: {txn:?} at {s} is not prepared so on {shard:?}"
                ));
            }
        }
    }

    fn finished(
        &mut self,
        shard: ShardId,
        txn: TxnId,
        decision: Decision,
        writes: Option<&Writes>,
    ) {
        let Some(writes) = writes else { return };
        // Aborted may be said of what the coordinator has forgotten, which then did not commit.
        let logged = self.decided.get(&txn).copied();
        if logged.unwrap_or(Decision::Aborted) != decision {
            self.fail(format!(
                "I7: {txn:?} is {logged:?} and {decision:?} on {shard:?}"
            ));
        }
        if decision != Decision::Aborted {
            self.written.insert((txn, shard), writes.clone());
        }
    }

    /// A node in this state is about to apply a command, and has served a read at this timestamp before. Coming back
    /// from its disk it applies again what was there when it served, so only what it had not applied then counts.
    pub(crate) fn applies(&mut self, state: &State, served: Option<Timestamp>, bytes: &Bytes) {
        let at = match Command::decode(bytes).unwrap() {
            Command { reign, .. } if reign != state.reign() => return,
            Command {
                act: Act::Commit { txn, at, .. },
                ..
            } => {
                let decided = self.decided.get(&txn);
                (decided == Some(&Decision::Committed(at))).then_some(at)
            }
            Command {
                act:
                    Act::Finish {
                        txn,
                        decision: Decision::Committed(at),
                    },
                ..
            } => state.prepared().contains_key(&txn).then_some(at),
            _ => None,
        };
        if at.is_some() && at <= served {
            self.fail(format!(
                "I8: {at:?} is applied where a read at {served:?} was served"
            ));
        }
    }

    /// A leader closes by word.
    pub(crate) fn promised(&mut self, shard: ShardId, promise: Promise) {
        let watched = self.shards.entry(shard).or_default();
        watched.closed = watched.closed.max(promise.closed);
        let behind = watched.assigned.iter().rev();
        let mut behind = behind.take_while(|(index, _)| *index > promise.through);
        if let Some(broken) = behind.find(|(_, at)| *at <= promise.closed) {
            let what = format!("I11: {broken:?} stands behind {promise:?}");
            self.fail(what);
        }
    }
}
