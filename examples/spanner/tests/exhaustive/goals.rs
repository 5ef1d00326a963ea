//! What a search must meet.

use synod_spanner::{Act, Answer, Decision, Peer, Reign, Reply, Vote};

use crate::client::Phase;
use crate::message::Message;
use crate::model::{Input, Node};
use crate::server::Told;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Goal {
    /// All clients have heard that they committed.
    AllCommitted,
    Aborted,
    /// A successor found a prepared transaction.
    InheritedPrepared,
    /// A successor told a client that it committed.
    ToldBySuccessor,
    /// A leader died with a commit record that was not in the log.
    RecordLost,
    /// A wound went on to a coordinator.
    WoundPassedOn,
    /// A participant that was prepared asked.
    Asked,
    /// The first decision stood against another.
    CommitLost,
    /// A participant could not keep its locks.
    VotedNo,
    /// What was read was voted for without a record.
    VotedForReads,
    Settled,
    LeaseExtended,
}

pub(crate) fn reached(before: &Node, input: Input, told: &[Told]) -> Vec<Goal> {
    let mut goals: Vec<Goal> = told.iter().filter_map(goal).collect();
    let Node::Server(server) = before else {
        return goals;
    };
    if input == Input::Succeed && !server.state().prepared().is_empty() {
        goals.push(Goal::InheritedPrepared);
    }
    if server.state().reign() > Reign(1) && told.iter().any(tells_of_a_commit) {
        goals.push(Goal::ToldBySuccessor);
    }
    goals
}

fn tells_of_a_commit(told: &Told) -> bool {
    let Told::Sent(Message::Answer(_, _, answer)) = told else {
        return false;
    };
    matches!(answer, Answer::Decided(Decision::Committed(_), _))
}

fn goal(told: &Told) -> Option<Goal> {
    Some(match told {
        Told::Ended(Decision::Aborted) => Goal::Aborted,
        Told::Late(command, _) if matches!(command.act, Act::Commit { .. }) => Goal::RecordLost,
        Told::Sent(Message::Peer(_, Peer::Wound { .. })) => Goal::WoundPassedOn,
        Told::Sent(Message::Peer(_, Peer::Ask { .. })) => Goal::Asked,
        Told::Sent(Message::Peer(_, Peer::Vote { vote: Vote::No, .. })) => Goal::VotedNo,
        Told::Sent(Message::Peer(
            _,
            Peer::Vote {
                vote: Vote::Yes { prepared: None, .. },
                ..
            },
        )) => Goal::VotedForReads,
        Told::Applied(command, reply) => match (&command.act, reply) {
            (Act::Commit { .. }, Reply::Decided(Decision::Aborted)) => Goal::CommitLost,
            (Act::Settled { .. }, _) => Goal::Settled,
            (Act::Lease { .. }, _) => Goal::LeaseExtended,
            _ => return None,
        },
        _ => return None,
    })
}

pub(crate) fn of_state<'a>(nodes: impl Iterator<Item = &'a Node>) -> Vec<Goal> {
    let mut clients = nodes.filter_map(|node| match node {
        Node::Client(client) => Some(client),
        Node::Server(_) => None,
    });
    let committed = |phase| matches!(phase, Phase::Heard(Decision::Committed(_)));
    match clients.all(|client| committed(client.phase)) {
        true => vec![Goal::AllCommitted],
        false => Vec::new(),
    }
}
