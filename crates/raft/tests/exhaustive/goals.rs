//! The events that a search must have met; otherwise it shows nothing.

use synod_raft::{Binding, ChangeEnd, Echo, Message, Op, Replicate, Status};

use crate::node::{Input, Node, Packet};

/// An event that occurred in some state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Goal {
    /// A node leads in the first, second, or third term.
    Leader,
    SecondLeader,
    ThirdLeader,
    /// A leader learns of a later term.
    LeaderDeposed,
    VoteRefused,
    /// A crash loses a vote, a term, or an entry.
    VoteLost,
    TermLost,
    EntryLost,
    /// A vote request is received again, and answered again.
    RequestAgain,
    /// An append is received again, and acknowledged again.
    AppendAgain,
    /// An append does not match.
    Rejected,
    /// A conflicting entry is truncated.
    Truncated,
    /// A leader commits: in any term, in the second, and there an entry of the first.
    Commit,
    CommitInSecondTerm,
    CommitOfFirstTerm,
    /// A follower commits.
    FollowerCommit,
    /// A leader asks another to campaign, and that one does; and a leader gives a transfer up.
    Invited,
    Transferred,
    TransferGivenUp,
    /// A leader makes the membership joint, ends the change, and aborts it.
    Joint,
    ChangeEnded,
    ChangeAborted,
    /// A node is elected while a change is under way.
    ChangeInherited,
    /// A change is cut from a log.
    ChangeCut,
    /// A node has learned of its removal.
    Removed,
    /// A message of an earlier term is answered.
    Stale,
}

/// The goals that a step of a node has reached.
pub(crate) fn reached(before: &Node, input: Input, after: &Node, sent: &[Packet]) -> Vec<Goal> {
    let mut goals = Vec::new();
    let mut reach = |goal: Goal, reached: bool| goals.extend(reached.then_some(goal));
    let (was, is) = (before.raft.status(), after.raft.status());
    let (term, leads) = (is.term.0, after.leads());
    let elected = leads && !before.leads();
    reach(Goal::Leader, elected && term == 1);
    reach(Goal::SecondLeader, elected && term == 2);
    reach(Goal::ThirdLeader, elected && term == 3);
    reach(Goal::LeaderDeposed, before.leads() && is.term > was.term);
    let commits = is.commit > was.commit;
    let several = commits && was.commit.next() < is.commit;
    reach(Goal::Commit, leads && commits);
    reach(Goal::CommitInSecondTerm, leads && commits && term == 2);
    reach(Goal::CommitOfFirstTerm, leads && several && term == 2);
    reach(Goal::FollowerCommit, !leads && is.delivered > was.delivered);
    if input == Input::Restart {
        let vote = |op: Op<'_>| matches!(op, Op::Vote(_, Some(_)));
        reach(Goal::VoteLost, before.unsynced().ops().any(vote));
        reach(Goal::TermLost, is.term < was.term);
        let entry = |op: Op<'_>| matches!(op, Op::Append(_));
        reach(Goal::EntryLost, before.unsynced().ops().any(entry));
    }
    let cut = |node: &Node| {
        let truncates = |op: Op<'_>| matches!(op, Op::Truncate(_));
        node.unsynced().ops().any(truncates)
    };
    reach(Goal::Truncated, cut(after) && !cut(before));
    reach(
        Goal::TransferGivenUp,
        was.transfer.is_some() && is.transfer.is_none() && leads,
    );
    let joint = |status: &Status| status.membership.joint().is_some();
    reach(Goal::Joint, leads && joint(&is) && !joint(&was));
    let ends = was.change.is_some() && is.change.is_none() && leads && before.leads();
    let takes_back = is.membership.voters == was.membership.voters;
    reach(Goal::ChangeEnded, ends && !takes_back);
    reach(Goal::ChangeAborted, ends && takes_back);
    reach(Goal::ChangeInherited, elected && is.change.is_some());
    let lost = is.change_end == Some(ChangeEnd::LeaderLost);
    reach(Goal::ChangeCut, lost && was.change_end != is.change_end);
    reach(Goal::Removed, after.has_stopped() && !before.has_stopped());
    for Packet { message, .. } in sent {
        let invites = matches!(message, Message::Replicate(Replicate::TimeoutNow { .. }));
        reach(Goal::Invited, invites);
        let by_transfer = matches!(
            message,
            Message::Binding(Binding::RequestVote { transfer: true, .. })
        );
        reach(Goal::Transferred, by_transfer);
        let refused = matches!(
            message,
            Message::Binding(Binding::Vote { granted: false, .. })
        );
        reach(Goal::VoteRefused, refused);
        reach(
            Goal::Rejected,
            matches!(message, Message::Echo(Echo::Rejected { .. })),
        );
        reach(
            Goal::Stale,
            matches!(message, Message::Echo(Echo::Stale { .. })),
        );
    }
    goals
}
