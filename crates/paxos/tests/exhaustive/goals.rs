//! The events that a search must have met; otherwise it shows nothing.

use synod_paxos::{Binding, Echo, Kind, Message, Replicate};

use crate::node::{Input, Node, Step, votes_of};

/// An event that occurred in some state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Goal {
    /// A node leads, in its first ballot or a later round.
    Leader,
    LaterLeader,
    /// A leader proposes a value that another ballot has proposed.
    Adopted,
    /// A leader fills a gap.
    Noop,
    /// A node that has promised more refuses to promise, or to accept.
    PromiseRefused,
    AcceptRefused,
    /// A leader learns that an acceptor has promised more.
    LeaderDeposed,
    /// An acceptor's vote is replaced by one for another value.
    VoteReplaced,
    /// A promise has several pages.
    NextPage,
    /// A leader knows that a value is chosen: its own, or one that it adopted.
    Chosen,
    ChosenAdopted,
    /// A leader is told a chosen value.
    Learned,
    /// A follower knows a chosen value.
    FollowerChosen,
    /// A crash loses a promise, or a vote.
    PromiseLost,
    VoteLost,
    /// A node finds on its disk that a value is chosen.
    ChosenRemembered,
    /// A request is received again, and answered again.
    PrepareAgain,
    AcceptAgain,
    /// A read is confirmed.
    Read,
    /// A leader knows that a configuration is chosen: one that it proposed, or found.
    Changed,
    ChangeInherited,
    /// A value is chosen by the acceptors of the new configuration.
    ChosenAfterChange,
    /// A leader waits for promises of the new acceptors before it proposes.
    WaitsForPromises,
    /// A leader invites another, and that one campaigns.
    Invited,
    Transferred,
}

/// The goals that a step of a node has reached.
pub(crate) fn reached(
    before: &Node,
    input: Input,
    message: Option<&Message>,
    step: &Step,
) -> Vec<Goal> {
    let mut goals = Vec::new();
    let mut reach = |goal: Goal, reached: bool| goals.extend(reached.then_some(goal));
    let after = &step.node;
    let (was, is) = (before.paxos.status(), after.paxos.status());
    let elected = after.leads() && !before.leads();
    reach(Goal::Leader, elected);
    reach(Goal::LaterLeader, elected && is.ballot.round > 1);
    reach(
        Goal::LeaderDeposed,
        before.leads() && !after.leads() && input != Input::Restart,
    );
    let votes = votes_of(&after.unsynced());
    let adopts = |origin| after.leads() && origin != is.ballot;
    let news = votes.iter().filter(|_| elected);
    let adopted = news.clone().any(|vote| adopts(vote.value.origin));
    reach(Goal::Adopted, adopted);
    reach(
        Goal::Noop,
        news.clone().any(|vote| vote.value.kind == Kind::Noop),
    );
    let replaced = votes.iter().any(|vote| {
        let old = before.vote_on_disk(vote.slot);
        old.is_some_and(|old| old.value != vote.value)
    });
    reach(
        Goal::VoteReplaced,
        replaced && votes_of(&before.unsynced()).is_empty(),
    );
    let choses = is.chosen > was.chosen;
    reach(Goal::Chosen, after.leads() && choses);
    reach(Goal::FollowerChosen, !after.leads() && choses);
    of_a_change(before, step, &mut reach);
    let last = after.vote_on_disk(is.chosen);
    let is_adopted = last.is_some_and(|vote| adopts(vote.value.origin));
    reach(Goal::ChosenAdopted, choses && is_adopted);
    reach(Goal::Read, step.has_confirmed());
    if matches!(input, Input::Restart | Input::Torn) {
        let lost = before.unsynced();
        reach(Goal::PromiseLost, is.ballot < was.ballot);
        reach(Goal::VoteLost, !votes_of(&lost).is_empty());
        reach(Goal::ChosenRemembered, is.chosen.0 > 0);
    }
    let invites = step
        .sent
        .iter()
        .any(|packet| matches!(packet.message, Message::Replicate(Replicate::Invite { .. })));
    reach(Goal::Invited, invites);
    if let Some(message) = message {
        let refuses = step
            .sent
            .iter()
            .any(|packet| matches!(packet.message, Message::Echo(Echo::Preempted { .. })));
        let is_prepare = matches!(message, Message::Binding(Binding::Prepare { .. }));
        let is_accept = matches!(message, Message::Replicate(Replicate::Accept { .. }));
        let is_learned = matches!(message, Message::Echo(Echo::Learned { .. }));
        let is_page = matches!(
            message,
            Message::Binding(Binding::Promise { next: Some(_), .. })
        );
        let is_invite = matches!(message, Message::Replicate(Replicate::Invite { .. }));
        reach(Goal::Transferred, is_invite && is.ballot > was.ballot);
        reach(Goal::PromiseRefused, is_prepare && refuses);
        reach(Goal::AcceptRefused, is_accept && refuses);
        reach(Goal::Learned, is_learned && choses);
        reach(Goal::NextPage, is_page);
    }
    goals
}

/// What a change of membership has come to.
fn of_a_change(before: &Node, step: &Step, mut reach: impl FnMut(Goal, bool)) {
    let after = &step.node;
    let (was, is) = (before.paxos.status(), after.paxos.status());
    let leads = after.leads();
    let latest = after.paxos.configurations().latest();
    let latest = latest.filter(|_| is.configuration > 0);
    let decided = latest.and_then(|latest| after.vote_on_disk(latest.decided_in()));
    let is_inherited = decided.is_some_and(|vote| vote.value.origin != is.ballot);
    let is_changed = leads && is.configuration > was.configuration;
    reach(Goal::Changed, is_changed);
    reach(Goal::ChangeInherited, is_changed && is_inherited);
    let governs = latest.is_some_and(|latest| latest.from <= is.chosen);
    reach(Goal::ChosenAfterChange, is.chosen > was.chosen && governs);
    let is_asked = |message: &Message| match message {
        Message::Binding(Binding::Prepare { number, .. }) => *number > 0,
        _ => false,
    };
    let asks = step.sent.iter().any(|packet| is_asked(&packet.message));
    reach(Goal::WaitsForPromises, before.leads() && leads && asks);
}
