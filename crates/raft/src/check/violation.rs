use crate::{Binding, Index, LogId, NodeId, Stop, Term};

/// A rule that was broken, and by whom. The text begins with the name of the rule.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// A node stopped for good, and no disk of the group has lost anything.
    #[error("needless stop: node {} stops: {why}", node.0)]
    NeedlessStop {
        /// Who stops.
        node: NodeId,
        /// What it says.
        why: Stop,
    },
    /// Two leaders in one term (§5.2), or one in two of its incarnations.
    #[error(
        "election safety: node {} leads term {}, and node {} led it before",
        second.0, term.0, first.0
    )]
    ElectionSafety {
        /// The term.
        term: Term,
        /// Who led it before.
        first: NodeId,
        /// Who leads it now.
        second: NodeId,
    },
    /// A leader whose votes, its own among them, are not durable on a quorum.
    #[error(
        "election safety: node {} leads term {} with durable votes of {votes} nodes, no quorum",
        node.0, term.0
    )]
    NotElected {
        /// Who leads.
        node: NodeId,
        /// The term.
        term: Term,
        /// How many voted for it.
        votes: usize,
    },
    /// A leader's log lost its end within its term (§5.3).
    #[error(
        "leader append-only: node {} leads term {}, and its log went back from {} to {}",
        node.0, term.0, from.index.0, to.index.0
    )]
    LeaderAppendOnly {
        /// Who leads.
        node: NodeId,
        /// The term.
        term: Term,
        /// The end of its log before.
        from: LogId,
        /// The end now.
        to: LogId,
    },
    /// One identity behind two different entries, or in two positions of a term (§5.3).
    #[error(
        "log matching: node {} has entry {} of term {} behind one of term {}, elsewhere it is \
         behind {} of term {}",
        node.0, id.index.0, id.term.0, prev.term.0, known.index.0, known.term.0
    )]
    LogMatching {
        /// Whose log or message it is.
        node: NodeId,
        /// The entry.
        id: LogId,
        /// The entry before it, here.
        prev: LogId,
        /// The entry before it, or before the first entry of its term, elsewhere.
        known: LogId,
    },
    /// One identity, two contents.
    #[error(
        "log matching: node {} has another entry {} of term {} than was seen before",
        node.0, id.index.0, id.term.0
    )]
    EntryDiffers {
        /// Whose log or message it is.
        node: NodeId,
        /// The entry.
        id: LogId,
    },
    /// Entries that do not follow one another, or the end of what they are appended to.
    #[error("log matching: node {} puts entry {} behind entry {}", node.0, id.index.0, last.0)]
    Gap {
        /// Whose log or message it is.
        node: NodeId,
        /// The entry.
        id: LogId,
        /// The index before it, here.
        last: Index,
    },
    /// A leader lacks what was committed in an earlier term (§5.4).
    #[error(
        "leader completeness: node {} leads term {} without entry {} of term {}, committed in \
         term {}",
        node.0, term.0, lacks.index.0, lacks.term.0, committed_in.0
    )]
    LeaderCompleteness {
        /// Who leads.
        node: NodeId,
        /// The term it leads.
        term: Term,
        /// What it lacks.
        lacks: LogId,
        /// The term in which that was committed.
        committed_in: Term,
    },
    /// Two nodes have, or apply, different entries at a committed index (§5.4.3).
    #[error(
        "state machine safety: node {} takes entry {} of term {} as committed, elsewhere it is of \
         term {}",
        node.0, id.index.0, id.term.0, known.term.0
    )]
    StateMachineSafety {
        /// The node.
        node: NodeId,
        /// What it has.
        id: LogId,
        /// What is committed there.
        known: LogId,
    },
    /// An entry is applied whose content is not what was appended.
    #[error(
        "state machine safety: node {} applies another entry {} of term {} than was appended",
        node.0, id.index.0, id.term.0
    )]
    AppliedDiffers {
        /// The node.
        node: NodeId,
        /// The entry.
        id: LogId,
    },
    /// The machine is given entries out of order, twice, or with a gap.
    #[error(
        "state machine safety: node {} applies entry {} behind entry {}",
        node.0, index.0, last.0
    )]
    AppliedOutOfOrder {
        /// The node.
        node: NodeId,
        /// What it applies.
        index: Index,
        /// What it applied last in this incarnation.
        last: Index,
    },
    /// A leader announces what a quorum does not hold durably at that moment.
    #[error(
        "commit not durable: node {} commits entry {} of term {}, which is durable on {holders} \
         nodes, no quorum",
        node.0, id.index.0, id.term.0
    )]
    CommitNotDurable {
        /// Who leads.
        node: NodeId,
        /// What it commits.
        id: LogId,
        /// How many hold it.
        holders: usize,
    },
    /// A node takes as committed what no leader has committed.
    #[error(
        "commit not durable: node {} takes {} as committed, no leader committed beyond {}",
        node.0, commit.0, known.0
    )]
    CommitUnknown {
        /// The node.
        node: NodeId,
        /// What it takes as committed.
        commit: Index,
        /// How far any leader did.
        known: Index,
    },
    /// A node applies an entry, or restores a snapshot, that its own disk does not hold.
    #[error(
        "commit not durable: node {} applies entry {} of term {}, and its disk does not hold it",
        node.0, id.index.0, id.term.0
    )]
    AppliedNotDurable {
        /// The node.
        node: NodeId,
        /// The entry, or the last that the snapshot covers.
        id: LogId,
    },
    /// A node cuts a committed entry off its log, in a term whose leader must have it.
    #[error(
        "commit not durable: node {} cuts entry {} of term {}, which is committed",
        node.0, id.index.0, id.term.0
    )]
    CommitUndone {
        /// The node.
        node: NodeId,
        /// The committed entry.
        id: LogId,
    },
    /// A leader commits by counting an entry that is not of its term (§5.4.2, Figure 8).
    #[error(
        "commit of an older term: node {} leads term {} and commits entry {} of term {}",
        node.0, term.0, id.index.0, id.term.0
    )]
    CommitOfOlderTerm {
        /// Who leads.
        node: NodeId,
        /// The term it leads.
        term: Term,
        /// What it commits.
        id: LogId,
    },
    /// Something was said that is not durable: a crash would unsay it.
    #[error(
        "unsayable: node {} says {said:?} to node {}, and its disk does not bear it out",
        node.0, to.0
    )]
    Unsayable {
        /// Who says it.
        node: NodeId,
        /// To whom.
        to: NodeId,
        /// What.
        said: Binding,
    },
    /// A node cuts what it has acknowledged, within the term it did so.
    #[error(
        "unsayable: node {} cuts its log from {} on, in term {} it has acknowledged {}",
        node.0, from.0, term.0, acknowledged.0
    )]
    AcknowledgementUndone {
        /// The node.
        node: NodeId,
        /// The term.
        term: Term,
        /// What it has acknowledged.
        acknowledged: Index,
        /// The first entry that goes.
        from: Index,
    },
    /// A node confirms the leader of a term that it has durably left.
    #[error(
        "unsayable: node {} follows in term {}, and its disk is in term {}",
        node.0, term.0, durable.0
    )]
    TermLeft {
        /// The node.
        node: NodeId,
        /// The term that it confirms.
        term: Term,
        /// The term on its disk.
        durable: Term,
    },
    /// A second write while one is in flight: the messages of the first would vouch for the second.
    #[error("unsayable: node {} begins a write while one is in flight", node.0)]
    WriteInFlight {
        /// The node.
        node: NodeId,
    },
    /// Two votes of a node in one term (§5.2).
    #[error(
        "voted twice: node {} votes for node {} in term {}, and voted for node {}",
        node.0, second.0, term.0, first.0
    )]
    VotedTwice {
        /// Who votes.
        node: NodeId,
        /// The term.
        term: Term,
        /// For whom first.
        first: NodeId,
        /// For whom now.
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
    /// A vote was taken back on disk, within its term.
    #[error(
        "voted twice: node {} forgets in term {} that it voted for node {}",
        node.0, term.0, first.0
    )]
    VoteForgotten {
        /// Who voted.
        node: NodeId,
        /// The term.
        term: Term,
        /// For whom.
        first: NodeId,
    },
    /// A term went back, in memory or on disk.
    #[error("term fell: node {} goes from term {} to term {}", node.0, from.0, to.0)]
    TermFell {
        /// The node.
        node: NodeId,
        /// The term before.
        from: Term,
        /// The term now.
        to: Term,
    },
    /// A commit index went back within an incarnation.
    #[error("commit fell: node {} goes from commit index {} to {}", node.0, from.0, to.0)]
    CommitFell {
        /// The node.
        node: NodeId,
        /// The index before.
        from: Index,
        /// The index now.
        to: Index,
    },
    /// A follower takes a commit index beyond what it knows to equal its leader's log.
    #[error(
        "commit beyond the match: node {} takes {} as committed, its log matches its leader's up \
         to {}",
        node.0, commit.0, matched.0
    )]
    CommitBeyondMatch {
        /// The follower.
        node: NodeId,
        /// What it takes as committed.
        commit: Index,
        /// How far its log is known to match.
        matched: Index,
    },
    /// A restarted node has another term or vote than was durable.
    #[error(
        "recovery: node {} comes back in term {} with the vote {vote:?}, durable are term {} and \
         {durable_vote:?}",
        node.0, term.0, durable_term.0
    )]
    RecoveredVote {
        /// The node.
        node: NodeId,
        /// The term it came back with.
        term: Term,
        /// The vote it came back with.
        vote: Option<NodeId>,
        /// The term that was durable.
        durable_term: Term,
        /// The vote that was durable.
        durable_vote: Option<NodeId>,
    },
    /// A restarted node has another log than was durable.
    #[error(
        "recovery: node {} comes back with a log that ends at {} of term {}, durable was {} of \
         term {}; they differ at {}",
        node.0, last.index.0, last.term.0, durable.index.0, durable.term.0, at.0
    )]
    RecoveredLog {
        /// The node.
        node: NodeId,
        /// The end of the log it came back with.
        last: LogId,
        /// The end of the durable log.
        durable: LogId,
        /// The first index at which they differ.
        at: Index,
    },
    /// A restarted node has an older snapshot than was durable, or a log begins behind one that is
    /// not.
    #[error(
        "recovery: node {} needs a snapshot up to {}, its newest reaches {}",
        node.0, needed.0, snapshot.0
    )]
    SnapshotLost {
        /// The node.
        node: NodeId,
        /// Up to here a snapshot was durable, or is needed.
        needed: Index,
        /// The newest that is there.
        snapshot: Index,
    },
}
