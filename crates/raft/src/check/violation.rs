use crate::{Binding, Index, LogId, NodeId, Stop, Term};

/// The violated rule, and the node that violated it. The text begins with the name of the rule.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// A node stopped for good although it was not removed, or no disk of the group has lost anything.
    #[error("needless stop: node {} stops: {why}", node.0)]
    NeedlessStop {
        /// The node that stops.
        node: NodeId,
        /// The reason it gives.
        why: Stop,
    },
    /// Two leaders in one term (§5.2), or one leader in two of its incarnations.
    #[error(
        "election safety: node {} leads term {}, and node {} led it earlier",
        second.0, term.0, first.0
    )]
    ElectionSafety {
        /// The term.
        term: Term,
        /// The node that led the term before.
        first: NodeId,
        /// The node that leads the term now.
        second: NodeId,
    },
    /// A leader without durable votes, including its own, from a quorum.
    #[error(
        "election safety: node {} leads term {} with durable votes of {votes} nodes, no quorum",
        node.0, term.0
    )]
    NotElected {
        /// The leader.
        node: NodeId,
        /// The term.
        term: Term,
        /// The number of durable votes for it.
        votes: usize,
    },
    /// A leader's log became shorter within its term (§5.3).
    #[error(
        "leader append-only: node {} leads term {}, and its log shrank from {} to {}",
        node.0, term.0, from.index.0, to.index.0
    )]
    LeaderAppendOnly {
        /// The leader.
        node: NodeId,
        /// The term.
        term: Term,
        /// The last entry of its log before the step.
        from: LogId,
        /// The last entry after the step.
        to: LogId,
    },
    /// An entry with two different predecessors, or whose term has two first positions (§5.3).
    #[error(
        "log matching: node {} has entry {} of term {} after one of term {}, elsewhere it is \
         after {} of term {}",
        node.0, id.index.0, id.term.0, prev.term.0, known.index.0, known.term.0
    )]
    LogMatching {
        /// The node whose log or message it is.
        node: NodeId,
        /// The entry.
        id: LogId,
        /// The preceding entry in this log or message.
        prev: LogId,
        /// The preceding entry seen elsewhere, or the one before the first entry of its term.
        known: LogId,
    },
    /// Two different contents of an entry with the same identity.
    #[error(
        "log matching: node {} has another entry {} of term {} than was seen before",
        node.0, id.index.0, id.term.0
    )]
    EntryDiffers {
        /// The node whose log or message it is.
        node: NodeId,
        /// The entry.
        id: LogId,
    },
    /// Entries that are not contiguous, or do not follow the end of what they are appended to.
    #[error("log matching: node {} puts entry {} after entry {}", node.0, id.index.0, last.0)]
    Gap {
        /// The node whose log or message it is.
        node: NodeId,
        /// The entry.
        id: LogId,
        /// The index of the preceding entry in this log or message.
        last: Index,
    },
    /// A leader lacks an entry that was committed in an earlier term (§5.4).
    #[error(
        "leader completeness: node {} leads term {} without entry {} of term {}, committed in \
         term {}",
        node.0, term.0, lacks.index.0, lacks.term.0, committed_in.0
    )]
    LeaderCompleteness {
        /// The leader.
        node: NodeId,
        /// The term it leads.
        term: Term,
        /// The missing entry.
        lacks: LogId,
        /// The term in which the entry was committed.
        committed_in: Term,
    },
    /// Two nodes have, or apply, different entries at a committed index (§5.4.3).
    #[error(
        "state machine safety: node {} treats entry {} of term {} as committed, elsewhere it is \
         of term {}",
        node.0, id.index.0, id.term.0, known.term.0
    )]
    StateMachineSafety {
        /// The node that differs.
        node: NodeId,
        /// The entry of this node.
        id: LogId,
        /// The committed entry at that index.
        known: LogId,
    },
    /// An entry is applied whose content differs from what was appended.
    #[error(
        "state machine safety: node {} applies another entry {} of term {} than was appended",
        node.0, id.index.0, id.term.0
    )]
    AppliedDiffers {
        /// The node that applies it.
        node: NodeId,
        /// The entry.
        id: LogId,
    },
    /// Entries are delivered to the state machine out of order, twice, or with a gap.
    #[error(
        "state machine safety: node {} applies entry {} after entry {}",
        node.0, index.0, last.0
    )]
    AppliedOutOfOrder {
        /// The node that applies the entry.
        node: NodeId,
        /// The index that it applies.
        index: Index,
        /// The last index that it applied before, in this incarnation.
        last: Index,
    },
    /// A leader commits an entry that is not durable on a quorum at that moment.
    #[error(
        "commit not durable: node {} commits entry {} of term {}, which is durable on {holders} \
         nodes, no quorum",
        node.0, id.index.0, id.term.0
    )]
    CommitNotDurable {
        /// The leader.
        node: NodeId,
        /// The committed entry.
        id: LogId,
        /// The number of nodes on which it is durable.
        holders: usize,
    },
    /// A node treats an index as committed that no leader has committed.
    #[error(
        "commit not durable: node {} treats {} as committed, no leader committed beyond {}",
        node.0, commit.0, known.0
    )]
    CommitUnknown {
        /// The node whose commit index is too high.
        node: NodeId,
        /// The commit index of the node.
        commit: Index,
        /// The highest index that a leader committed.
        known: Index,
    },
    /// A node applies an entry, or restores a snapshot, that is not durable on its own disk.
    #[error(
        "commit not durable: node {} applies entry {} of term {}, which its disk does not hold",
        node.0, id.index.0, id.term.0
    )]
    AppliedNotDurable {
        /// The node that applies it.
        node: NodeId,
        /// The entry, or the last one that the snapshot covers.
        id: LogId,
    },
    /// A node truncates a committed entry in a term whose leader must have it.
    #[error(
        "commit not durable: node {} truncates entry {} of term {}, which is committed",
        node.0, id.index.0, id.term.0
    )]
    CommitUndone {
        /// The node that truncates its log.
        node: NodeId,
        /// The committed entry.
        id: LogId,
    },
    /// A leader commits an entry that is not of its term by counting copies (§5.4.2, Figure 8).
    #[error(
        "commit of an older term: node {} leads term {} and commits entry {} of term {}",
        node.0, term.0, id.index.0, id.term.0
    )]
    CommitOfOlderTerm {
        /// The leader.
        node: NodeId,
        /// The term it leads.
        term: Term,
        /// The committed entry.
        id: LogId,
    },
    /// A message reports something that is not durable, so a crash could make it false.
    #[error(
        "unsayable: node {} sends {said:?} to node {}, which its disk does not support",
        node.0, to.0
    )]
    Unsayable {
        /// The sender.
        node: NodeId,
        /// The receiver.
        to: NodeId,
        /// The message.
        said: Binding,
    },
    /// A node truncates entries that it acknowledged in the same term.
    #[error(
        "unsayable: node {} truncates its log from {} on, in term {} it acknowledged {}",
        node.0, from.0, term.0, acknowledged.0
    )]
    AcknowledgementUndone {
        /// The node that truncates its log.
        node: NodeId,
        /// The term of the acknowledgement.
        term: Term,
        /// The last index that it acknowledged.
        acknowledged: Index,
        /// The first index that is truncated.
        from: Index,
    },
    /// A node confirms the leader of a term that it has durably left.
    #[error(
        "unsayable: node {} confirms term {}, and its disk is in term {}",
        node.0, term.0, durable.0
    )]
    TermLeft {
        /// The node that confirms.
        node: NodeId,
        /// The term that it confirms.
        term: Term,
        /// The term on its disk.
        durable: Term,
    },
    /// A second write is made while one is in flight: messages of the first would depend on the
    /// second.
    #[error("unsayable: node {} makes a write while one is in flight", node.0)]
    WriteInFlight {
        /// The node that makes the write.
        node: NodeId,
    },
    /// Two votes of a node in one term (§5.2).
    #[error(
        "voted twice: node {} votes for node {} in term {}, and voted for node {}",
        node.0, second.0, term.0, first.0
    )]
    VotedTwice {
        /// The node that votes.
        node: NodeId,
        /// The term.
        term: Term,
        /// The candidate of the first vote.
        first: NodeId,
        /// The candidate of the second vote.
        second: NodeId,
    },
    /// A leader appended while it hands its leadership over (thesis §3.10).
    #[error(
        "proposed during a transfer: node {} leads term {}, hands over, and appends {}",
        node.0, term.0, id.index.0
    )]
    ProposedDuringTransfer {
        /// Who leads.
        node: NodeId,
        /// The term.
        term: Term,
        /// The end of its log now.
        id: LogId,
    },
    /// A leader asked a node to campaign that lacks something (thesis §3.10).
    #[error(
        "invited behind: node {} asks node {} to campaign, which does not hold entry {} of term {}",
        node.0, to.0, lacks.index.0, lacks.term.0
    )]
    InvitedBehind {
        /// Who leads.
        node: NodeId,
        /// Whom it asks.
        to: NodeId,
        /// The end of the leader's log.
        lacks: LogId,
    },
    /// A candidacy says that it is a transfer, and no leader of the term before has asked for it.
    #[error(
        "not invited: node {} campaigns in term {} by transfer, and nobody asked it to",
        node.0, term.0
    )]
    NotInvited {
        /// Who campaigns.
        node: NodeId,
        /// In which term.
        term: Term,
    },
    /// An entry is committed, and no durable copy has its body.
    #[error("no copy: node {} commits entry {} of term {}, whose body no disk holds", node.0, id.index.0, id.term.0)]
    NoCopy {
        /// The leader.
        node: NodeId,
        /// The entry.
        id: LogId,
    },
    /// A leader that was giving up because it could not do its duty leads on in the same term.
    #[error("led on: node {} was giving up term {} for a cause, and leads it on", node.0, term.0)]
    LedOn {
        /// Who leads.
        node: NodeId,
        /// The term.
        term: Term,
    },
    /// A leader hands over for a priority that is not above its own.
    #[error("not preferred: node {} hands over to node {} for a priority that is not higher", node.0, to.0)]
    NotPreferred {
        /// Who leads.
        node: NodeId,
        /// To whom.
        to: NodeId,
    },
    /// A durable vote was removed within its term.
    #[error(
        "voted twice: node {} forgets in term {} that it voted for node {}",
        node.0, term.0, first.0
    )]
    VoteForgotten {
        /// The node that voted.
        node: NodeId,
        /// The term.
        term: Term,
        /// The candidate of the vote.
        first: NodeId,
    },
    /// A term decreased, in memory or on disk.
    #[error("term fell: node {} goes from term {} to term {}", node.0, from.0, to.0)]
    TermFell {
        /// The node whose term decreased.
        node: NodeId,
        /// The term before.
        from: Term,
        /// The term now.
        to: Term,
    },
    /// A commit index decreased within an incarnation.
    #[error("commit fell: node {} goes from commit index {} to {}", node.0, from.0, to.0)]
    CommitFell {
        /// The node whose commit index decreased.
        node: NodeId,
        /// The index before.
        from: Index,
        /// The index now.
        to: Index,
    },
    /// A follower commits beyond the index up to which its log is known to equal its leader's.
    #[error(
        "commit beyond the match: node {} treats {} as committed, its log matches its leader's \
         up to {}",
        node.0, commit.0, matched.0
    )]
    CommitBeyondMatch {
        /// The follower.
        node: NodeId,
        /// The commit index of the follower.
        commit: Index,
        /// The last index that is known to match.
        matched: Index,
    },
    /// The membership in force is not the last in the log (§6).
    #[error("membership in force: node {} does not use the last membership of its log", node.0)]
    MembershipInForce {
        /// The node.
        node: NodeId,
    },
    /// A leader's membership does not follow the one before it: a quorum of one might not intersect
    /// a quorum of the other (§6).
    #[error("membership step: node {} appends a membership at {} that does not follow", node.0, index.0)]
    MembershipStep {
        /// The leader.
        node: NodeId,
        /// The index of the entry.
        index: Index,
    },
    /// A leader changes the membership before the last one, or any entry of its own term, is
    /// committed.
    #[error("membership too early: node {} appends a membership at {}", node.0, index.0)]
    MembershipTooEarly {
        /// The leader.
        node: NodeId,
        /// The index of the entry.
        index: Index,
    },
    /// A node campaigns that has no vote in its last committed membership nor in a later one.
    #[error("campaign without a vote: node {} campaigns in term {}", node.0, term.0)]
    CampaignWithoutVote {
        /// The candidate.
        node: NodeId,
        /// Its term.
        term: Term,
    },
    /// A snapshot has another membership than its last entry.
    #[error("snapshot's membership: node {}'s snapshot up to {} has another", node.0, last.0)]
    SnapshotMembership {
        /// The node.
        node: NodeId,
        /// The last index that the snapshot covers.
        last: Index,
    },
    /// A restarted node has a different term or vote than was durable.
    #[error(
        "recovery: node {} restarts in term {} with the vote {vote:?}, durable are term {} and \
         {durable_vote:?}",
        node.0, term.0, durable_term.0
    )]
    RecoveredVote {
        /// The restarted node.
        node: NodeId,
        /// The term with which it restarted.
        term: Term,
        /// The vote with which it restarted.
        vote: Option<NodeId>,
        /// The term that was durable.
        durable_term: Term,
        /// The vote that was durable.
        durable_vote: Option<NodeId>,
    },
    /// A restarted node has a different log than was durable.
    #[error(
        "recovery: node {} restarts with a log that ends at {} of term {}, durable was {} of \
         term {}; they differ at {}",
        node.0, last.index.0, last.term.0, durable.index.0, durable.term.0, at.0
    )]
    RecoveredLog {
        /// The restarted node.
        node: NodeId,
        /// The end of the log with which it restarted.
        last: LogId,
        /// The end of the durable log.
        durable: LogId,
        /// The first index at which they differ.
        at: Index,
    },
    /// A restarted node has an older snapshot than was durable, or a log begins after a snapshot
    /// that does not exist.
    #[error(
        "recovery: node {} needs a snapshot up to {}, its newest reaches {}",
        node.0, needed.0, snapshot.0
    )]
    SnapshotLost {
        /// The node without the snapshot.
        node: NodeId,
        /// The index up to which a snapshot was durable, or is needed.
        needed: Index,
        /// The last index of the newest snapshot that exists.
        snapshot: Index,
    },
}
