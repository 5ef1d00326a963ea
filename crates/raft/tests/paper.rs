//! The Raft paper (extended version, 2014), rule by rule: Figure 2, sections 5.1 to 5.4 and section 6
//! with sections 4.1 to 4.3 of the thesis, with each sentence cited above its test. Where names or
//! mechanisms differ from the paper's, the test says so.
//!
//! Pre-vote and check-quorum, which the paper does not have, are off.

#[cfg(test)]
#[path = "paper/figure_2.rs"]
mod figure_2;
#[cfg(test)]
mod harness;
#[cfg(test)]
#[path = "paper/membership.rs"]
mod membership;
#[cfg(test)]
#[path = "paper/sections.rs"]
mod sections;

use bytes::Bytes;
use harness::cluster::{Cluster, Packet, between};
use synod_raft::{
    Binding, Echo, Entry, Index, Kind, LogId, Message, NodeId, Replicate, Role, Term,
};

fn group(size: u64) -> Cluster {
    group_with(size, 0)
}

/// The same, and empty nodes that know no membership.
fn group_with(size: u64, joining: u64) -> Cluster {
    Cluster::joined(size, joining, Term(0), |config| {
        config.pre_vote = false;
        config.check_quorum = false;
    })
}

fn id(term: u64, index: u64) -> LogId {
    let (term, index) = (Term(term), Index(index));
    LogId { term, index }
}

/// A log with these terms, from index 1.
fn log(terms: &[u64]) -> Vec<Entry> {
    let entry = |(index, term): (u64, &u64)| Entry {
        id: id(*term, index),
        kind: Kind::Command,
        body: Bytes::from(format!("{term}.{index}")),
    };
    (1..).zip(terms).map(entry).collect()
}

/// AppendEntries from a leader with this log, for the entries after `prev`.
fn append(term: u64, terms: &[u64], prev: u64, commit: u64) -> Message {
    let mut entries = log(terms);
    let behind = entries.split_off(prev as usize);
    Message::Replicate(Replicate::Append {
        term: Term(term),
        prev: entries.last().map_or(LogId::ZERO, |entry| entry.id),
        entries: behind.into(),
        commit: Index(commit),
    })
}

fn request_vote(term: u64, last: LogId) -> Message {
    let term = Term(term);
    let transfer = false;
    Message::Binding(Binding::RequestVote {
        term,
        last,
        transfer,
    })
}

fn vote(term: u64, granted: bool) -> Message {
    let term = Term(term);
    Message::Binding(Binding::Vote { term, granted })
}

fn appended(term: u64, last: u64) -> Message {
    let (term, last) = (Term(term), Index(last));
    Message::Binding(Binding::Appended { term, last })
}

fn stale(term: u64) -> Message {
    let term = Term(term);
    Message::Echo(Echo::Stale { term })
}

/// Delivers a made-up message to `to` and returns its immediate answers. Earlier messages of `to`
/// are lost.
fn tell(cluster: &mut Cluster, sender: u64, to: u64, message: Message) -> Vec<Message> {
    cluster.watch.made_up = true;
    cluster.take(between(to, sender));
    let (from, to) = (NodeId(sender), NodeId(to));
    cluster.receive(Packet { from, to, message });
    let answers = cluster.take(between(to.0, sender)).into_iter();
    answers.map(|packet| packet.message).collect()
}

/// Node 1 of three, in contact with node 2 as the leader of `term` with this log.
fn follower(terms: &[u64], term: u64, commit: u64) -> Cluster {
    let mut cluster = group(3);
    tell(&mut cluster, 2, 1, append(term, terms, 0, commit));
    cluster
}

fn standing(cluster: &Cluster, id: u64) -> (Role, u64) {
    let status = cluster.status(id);
    (status.role, status.term.0)
}

fn vote_of(cluster: &Cluster, id: u64) -> Option<(Term, Option<NodeId>)> {
    cluster.nodes[&NodeId(id)].disk.vote
}

fn is_append(packet: &Packet) -> bool {
    matches!(packet.message, Message::Replicate(Replicate::Append { .. }))
}
