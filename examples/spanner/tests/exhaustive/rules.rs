//! What must hold at every step, by an observer of all logs, clocks and messages that shares nothing with the machines.
//!
//! | | what | where |
//! |---|---|---|
//! | I1 | clocks contain true time | by construction ([`clock`](crate::clock)) |
//! | I2 | a timestamp is not before true time where it was chosen | [`Rules::proposed`] |
//! | I3 | nobody hears of a commit, or sees a version, before its timestamp has passed | [`Rules::sent`] |
//! | I4, I9 | real time, and what each transaction read | [`History`](crate::history) |
//! | I5 | assigned timestamps rise along the log | [`Rules::assigned`] |
//! | I6 | they lie in their leader's lease, and leases do not meet | [`Rules::assigned`] |
//! | I7 | a commit is at or above all its prepares, below all promised ends, and decided once | [`Rules::applied`] |
//! | I8 | nothing is applied at or below what a read is served at | [`Rules::written`] |
//! | I11 | nothing is assigned at or below what was promised closed | [`Rules::assigned`] |
//! | F1 | nothing of a reign takes effect behind the next one's take-over | [`Rules::check`] |
//! | X7 | "settled" is said by whoever has the outcome in the log | [`Rules::sent`] |

use synod_spanner::{Act, Answer, Command, Decision, Peer, Reply, ShardId, TxnId};
use synod_truetime::Timestamp;

use crate::client::{Script, Seen};
use crate::clock;
use crate::history;
use crate::message::Message;
use crate::server::Told;

/// What the observer has seen.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Rules {
    stretches: [usize; 2],
    shards: [Watched; 2],
    pub(crate) txns: Vec<Watch>,
}

/// A transaction.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Watch {
    pub(crate) script: Script,
    /// Those that had ended when it began, as bits; `None`: it has not begun.
    pub(crate) behind: Option<u32>,
    pub(crate) has_ended: bool,
    pub(crate) read: Vec<Seen>,
    pub(crate) decided: Option<Decision>,
}

/// A shard as its log says it is.
#[derive(Clone, Debug, Hash)]
struct Watched {
    /// The end of all leases before this reign's.
    from: Timestamp,
    until: Timestamp,
    assigned: Timestamp,
    closed: Timestamp,
    served: Timestamp,
    /// By transaction.
    rows: Vec<Row>,
}

#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
enum Row {
    None,
    /// At, and below.
    Prepared(Timestamp, Timestamp),
    Finished,
}

type Checked = Result<(), String>;

impl Rules {
    /// Both shards are in their first reign.
    pub(crate) fn new(scripts: &[Script], lease_end: Timestamp) -> Self {
        let watched = Watched {
            from: Timestamp::MIN,
            until: lease_end,
            assigned: Timestamp::MIN,
            closed: Timestamp::MIN,
            served: Timestamp::MIN,
            rows: vec![Row::None; scripts.len()],
        };
        let watch = |script: &Script| Watch {
            script: *script,
            behind: None,
            has_ended: false,
            read: Vec::new(),
            decided: None,
        };
        Self {
            stretches: [0; 2],
            shards: [watched.clone(), watched],
            txns: scripts.iter().map(watch).collect(),
        }
    }

    /// A shard or a client, by its place, took a step.
    pub(crate) fn check(&mut self, place: usize, told: &[Told]) -> Checked {
        told.iter().try_for_each(|told| self.take(place, told))
    }

    fn take(&mut self, place: usize, told: &Told) -> Checked {
        match told {
            Told::Ticked => self.stretches[place] += 1,
            Told::Proposed(command) => return self.proposed(command),
            Told::Applied(command, reply) => return self.applied(place, command, reply),
            Told::Late(_, Reply::Deposed(_)) => {}
            Told::Late(command, reply) => {
                return Err(format!("F1: {command:?} of an earlier reign is {reply:?}"));
            }
            Told::Sent(message) => return self.sent(place, message),
            Told::Promised(promise) => {
                let closed = &mut self.shards[place].closed;
                *closed = (*closed).max(promise.closed);
            }
            Told::Serves(at) => {
                let served = &mut self.shards[place].served;
                *served = (*served).max(*at);
            }
            Told::Began => {
                let ended = self.txns.iter().enumerate();
                let ended = ended.filter(|(_, txn)| txn.has_ended);
                let behind = ended.fold(0, |bits, (number, _)| bits | 1 << number);
                self.txns[place - 2].behind = Some(behind);
            }
            Told::Asked(read) => self.txns[place - 2].read.clone_from(read),
            Told::Ended(_) => self.txns[place - 2].has_ended = true,
        }
        Ok(())
    }

    fn proposed(&self, command: &Command) -> Checked {
        let latest = clock::true_time(self.stretches).latest();
        match &command.act {
            Act::Prepare { txn, at, .. } | Act::Commit { txn, at, .. } if *at < latest => {
                Err(format!(
                    "I2: {} got {at}, and it may be {latest} already",
                    name(*txn)
                ))
            }
            _ => Ok(()),
        }
    }

    fn applied(&mut self, place: usize, command: &Command, reply: &Reply) -> Checked {
        let shard = &mut self.shards[place];
        match (&command.act, reply) {
            (Act::TakeOver { lease_end }, _) => {
                shard.from = shard.from.max(shard.until);
                shard.until = shard.from.max(*lease_end);
            }
            (Act::Lease { end, .. }, Reply::Done) => shard.until = shard.until.max(*end),
            (
                Act::Prepare {
                    txn, at, has_read, ..
                },
                Reply::Done,
            ) => {
                let before = if *has_read {
                    shard.until
                } else {
                    Timestamp::MAX
                };
                shard.rows[index(*txn)] = Row::Prepared(*at, before);
                return self.assigned(place, *txn, *at);
            }
            (Act::Commit { txn, at, .. }, Reply::Decided(Decision::Committed(s))) if s == at => {
                self.assigned(place, *txn, *at)?;
                self.committed(*txn, *at)?;
                self.written(place, *txn, *at)?;
                self.decide(*txn, Decision::Committed(*at))?;
                return history::check(&self.txns);
            }
            (Act::Abort { txn }, Reply::Decided(Decision::Aborted)) => {
                return self.decide(*txn, Decision::Aborted);
            }
            (Act::Finish { txn, decision }, Reply::Decided(_)) => {
                let logged = self.txns[index(*txn)].decided;
                if logged != Some(*decision) {
                    let name = name(*txn);
                    return Err(format!(
                        "I7: {name} is {logged:?}, and {decision:?} elsewhere"
                    ));
                }
                let row = &mut shard.rows[index(*txn)];
                if let (Row::Prepared(..), Decision::Committed(at)) = (*row, decision) {
                    *row = Row::Finished;
                    return self.written(place, *txn, *at);
                }
                *row = Row::Finished;
            }
            _ => {}
        }
        Ok(())
    }

    fn assigned(&mut self, place: usize, txn: TxnId, at: Timestamp) -> Checked {
        let shard = &mut self.shards[place];
        let name = name(txn);
        let (last, from, until) = (shard.assigned, shard.from, shard.until);
        if at <= last {
            return Err(format!("I5: {name} at {at} behind {last}"));
        }
        if at <= from || at >= until {
            return Err(format!("I6: {name} at {at}, lease {from} to {until}"));
        }
        if at <= shard.closed {
            return Err(format!("I11: {name} at {at}, closed to {}", shard.closed));
        }
        shard.assigned = at;
        Ok(())
    }

    /// Whoever writes elsewhere must be prepared there, and so that the timestamp fits.
    fn committed(&self, txn: TxnId, s: Timestamp) -> Checked {
        let script = self.txns[index(txn)].script;
        for (place, shard) in self.shards.iter().enumerate() {
            let writes = script.writes_at(shard_at(place)).next().is_some();
            if shard_at(place) == script.coordinator || !writes {
                continue;
            }
            let row = shard.rows[index(txn)];
            let fits = matches!(row, Row::Prepared(at, before) if at <= s && s < before);
            if !fits {
                return Err(format!("I7: {} at {s} is {row:?}", name(txn)));
            }
        }
        Ok(())
    }

    fn written(&self, place: usize, txn: TxnId, at: Timestamp) -> Checked {
        let served = self.shards[place].served;
        if at <= served {
            return Err(format!(
                "I8: {} at {at}, and reads are served at {served}",
                name(txn)
            ));
        }
        Ok(())
    }

    fn decide(&mut self, txn: TxnId, decision: Decision) -> Checked {
        let decided = &mut self.txns[index(txn)].decided;
        let first = *decided.get_or_insert(decision);
        if first != decision {
            return Err(format!(
                "I7: {} is {first:?}, and then {decision:?}",
                name(txn)
            ));
        }
        Ok(())
    }

    fn sent(&self, place: usize, message: &Message) -> Checked {
        match message {
            Message::Answer(_, txn, Answer::Decided(decision, _))
            | Message::Peer(_, Peer::Outcome { txn, decision }) => {
                let logged = self.txns[index(*txn)].decided;
                if logged != Some(*decision) {
                    let name = name(*txn);
                    return Err(format!("told {decision:?} of {name}, logged {logged:?}"));
                }
                match decision {
                    Decision::Committed(at) => self.shown(*at),
                    Decision::Aborted => Ok(()),
                }
            }
            Message::Answer(_, _, Answer::Read { scan, .. }) => {
                let mut versions = scan.versions.iter();
                versions.try_for_each(|version| self.shown(version.written))
            }
            Message::Peer(_, Peer::Settled { txn, .. }) => {
                if self.shards[place].rows[index(*txn)] != Row::Finished {
                    return Err(format!("X7: {} is called settled", name(*txn)));
                }
                Ok(())
            }
            Message::Peer(..) | Message::Answer(..) | Message::Request(..) => Ok(()),
        }
    }

    /// Somebody acts by a version or a commit of that time.
    fn shown(&self, at: Timestamp) -> Checked {
        let earliest = clock::true_time(self.stretches).earliest();
        if at >= earliest {
            return Err(format!("I3: {at} is shown, and it may be {earliest} still"));
        }
        Ok(())
    }
}

pub(crate) fn shard_at(place: usize) -> ShardId {
    if place == 0 { crate::A } else { crate::B }
}

/// Transactions are numbered from 1.
pub(crate) fn index(txn: TxnId) -> usize {
    usize::try_from(txn.node - 1).unwrap_or(usize::MAX)
}

fn name(txn: TxnId) -> String {
    format!("transaction {}", txn.node)
}
