use crate::check::Named;
use crate::{Ballot, Binding, NodeId, Slot, State, Stop};

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
    /// Two values in one ballot and slot, or under one origin (Paxos Made Simple §2.2: a proposer
    /// sends one proposal a number, and P2b rests on it).
    #[error(
        "one value a ballot: {node} has in slot {} and ballot {ballot} a value of {}, elsewhere it \
         is one of {}",
        slot.0, second.origin, first.origin
    )]
    TwoValues {
        /// Whose record or message it is.
        node: NodeId,
        /// Where.
        slot: Slot,
        /// In which ballot.
        ballot: Ballot,
        /// What was seen first.
        first: Named,
        /// What it has.
        second: Named,
    },
    /// A vote for what the ballot's leader has not proposed (Paxos Made Simple §2.2, phase 2).
    #[error(
        "one value a ballot: {node} votes in slot {} and ballot {ballot}, where nothing is proposed",
        slot.0
    )]
    NotProposed {
        /// Who votes.
        node: NodeId,
        /// Where.
        slot: Slot,
        /// In which ballot.
        ballot: Ballot,
    },
    /// Two values chosen for one slot: two phase-2 quorums of disks had votes for them.
    #[error(
        "agreement: of slot {} a value of {} is chosen in ballot {ballot}, and one of {} is chosen",
        slot.0, second.origin, first.origin
    )]
    ChosenTwice {
        /// Where.
        slot: Slot,
        /// The ballot of the second quorum.
        ballot: Ballot,
        /// What was chosen before.
        first: Named,
        /// What now.
        second: Named,
    },
    /// A node holds, tells, applies or covers as chosen what is not.
    #[error(
        "agreement: {node} takes in slot {} a value of {} as chosen, and one of {} is",
        slot.0, value.origin, chosen.origin
    )]
    NotTheChosen {
        /// The node.
        node: NodeId,
        /// Where.
        slot: Slot,
        /// What it has.
        value: Named,
        /// What is chosen.
        chosen: Named,
    },
    /// A proposal of a higher ballot differs from what is chosen (Paxos Made Simple §2.2, P2b).
    #[error(
        "P2b: {node} made a value of {} chosen in slot {}, where ballot {ballot} has one of {}",
        chosen.origin, slot.0, value.origin
    )]
    P2b {
        /// Whose vote it was.
        node: NodeId,
        /// Where.
        slot: Slot,
        /// The higher ballot.
        ballot: Ballot,
        /// What is proposed in it.
        value: Named,
        /// What is chosen.
        chosen: Named,
    },
    /// A proposal that no phase-1 quorum of its ballot allows (Paxos Made Simple §2.2, P2c): it is
    /// not the value of the highest vote of any such quorum, and not chosen already.
    #[error(
        "P2c: {node} proposes in slot {} and ballot {ballot} a value of {}, and the votes of no \
         quorum that promised allow it",
        slot.0, value.origin
    )]
    P2c {
        /// Who proposes.
        node: NodeId,
        /// Where.
        slot: Slot,
        /// In which ballot.
        ballot: Ballot,
        /// What.
        value: Named,
    },
    /// A node acts in a ballot of another one (Paxos Made Simple §2.2: proposers use disjoint sets
    /// of numbers).
    #[error("ballot owner: {node} acts in ballot {ballot}")]
    NotItsBallot {
        /// Who.
        node: NodeId,
        /// Whose ballot it uses.
        ballot: Ballot,
    },
    /// A leader without a phase-1 quorum of disks that promised its ballot, its own among them if it
    /// counts itself (Paxos Made Simple §2.2, phase 2a).
    #[error("ballot owner: {node} leads in ballot {ballot}, which no quorum has durably promised")]
    NotPromised {
        /// Who leads.
        node: NodeId,
        /// In which ballot.
        ballot: Ballot,
    },
    /// A node uses a ballot again: in a second incarnation, or for a second campaign (Paxos Made Simple
    /// §2.5: a proposer remembers the highest number it has tried).
    #[error("ballot used twice: {node} uses ballot {ballot} again")]
    BallotUsedTwice {
        /// Who.
        node: NodeId,
        /// Which.
        ballot: Ballot,
    },
    /// A promise went back, in memory or on disk (Paxos Made Simple §2.2, P1a).
    #[error("promise fell: {node} goes from {from} to {to}")]
    PromiseFell {
        /// The node.
        node: NodeId,
        /// What it had promised.
        from: Ballot,
        /// What now.
        to: Ballot,
    },
    /// A vote in a ballot below what was promised, or below the vote that it replaces (Paxos Made
    /// Simple §2.2, P1a).
    #[error(
        "vote below the promise: {node} votes in slot {} and ballot {ballot}, and has promised \
         {promised}",
        slot.0
    )]
    VoteBelowPromise {
        /// Who votes.
        node: NodeId,
        /// Where.
        slot: Slot,
        /// In which ballot.
        ballot: Ballot,
        /// What it had promised.
        promised: Ballot,
    },
    /// A vote in a ballot above what is promised: to accept is to promise, else the node may vote
    /// below it after a restart.
    #[error(
        "vote below the promise: {node} votes in slot {} and ballot {ballot}, and its disk promises \
         only {promised}",
        slot.0
    )]
    VoteWithoutPromise {
        /// Who votes.
        node: NodeId,
        /// Where.
        slot: Slot,
        /// In which ballot.
        ballot: Ballot,
        /// What its disk promises.
        promised: Ballot,
    },
    /// Something was said that is not durable: a crash would unsay it (Paxos Made Simple §2.5:
    /// stable storage, before the response is sent).
    #[error("unsayable: {node} says {said:?} to {to}, and its disk does not bear it out")]
    Unsayable {
        /// Who says it.
        node: NodeId,
        /// To whom.
        to: NodeId,
        /// What.
        said: Binding,
    },
    /// A node confirms the leader of a ballot that it has durably left.
    #[error("unsayable: {node} follows in ballot {ballot}, and its disk has promised {durable}")]
    BallotLeft {
        /// The node.
        node: NodeId,
        /// The ballot that it confirms.
        ballot: Ballot,
        /// What its disk has promised.
        durable: Ballot,
    },
    /// A second write while one is in flight: the messages of the first would vouch for the second.
    #[error("unsayable: {node} begins a write while one is in flight")]
    WriteInFlight {
        /// The node.
        node: NodeId,
    },
    /// A node says, or acts as if, slots are chosen for which no phase-2 quorum of disks has, or
    /// had, votes in one ballot (Paxos Made Simple §2.3).
    #[error(
        "chosen not durable: {node} takes slot {} as chosen, all is chosen up to {}",
        slot.0, chosen_to.0
    )]
    NotChosen {
        /// The node.
        node: NodeId,
        /// How far it takes all as chosen.
        slot: Slot,
        /// How far all is.
        chosen_to: Slot,
    },
    /// A node counts a slot to its chosen prefix and holds nothing for it.
    #[error("chosen not durable: {node} takes slot {} as chosen and holds no value", slot.0)]
    ChosenNotHeld {
        /// The node.
        node: NodeId,
        /// Where.
        slot: Slot,
    },
    /// A node applies a value, or restores a snapshot, that its own disk does not hold.
    #[error("chosen not durable: {node} applies slot {}, and its disk does not hold it", slot.0)]
    AppliedNotDurable {
        /// The node.
        node: NodeId,
        /// The slot, or the last that the snapshot covers.
        slot: Slot,
    },
    /// A chosen prefix went back within an incarnation.
    #[error("chosen fell: {node} goes from {} to {}", from.0, to.0)]
    ChosenFell {
        /// The node.
        node: NodeId,
        /// The prefix before.
        from: Slot,
        /// The prefix now.
        to: Slot,
    },
    /// A record says that slots are chosen for which the disk holds nothing, or another value: after
    /// a crash the node would apply that.
    #[error(
        "chosen ahead of its votes: {node} writes that all is chosen up to {}, and its disk lacks \
         slot {}",
        chosen.0, slot.0
    )]
    ChosenAheadOfVotes {
        /// The node.
        node: NodeId,
        /// What is missing.
        slot: Slot,
        /// What it writes.
        chosen: Slot,
    },
    /// The machine is given values out of order, twice, or with a gap.
    #[error(
        "state machine safety: {node} applies slot {} behind slot {}",
        slot.0, last.0
    )]
    AppliedOutOfOrder {
        /// The node.
        node: NodeId,
        /// What it applies.
        slot: Slot,
        /// What it applied last in this incarnation.
        last: Slot,
    },
    /// A read is confirmed that does not see what was known to be chosen when it was asked.
    #[error(
        "stale read: {node} confirms a read at slot {}, and when it was asked {} was known to be \
         chosen",
        slot.0, known.0
    )]
    StaleRead {
        /// Who confirms it.
        node: NodeId,
        /// Where it may be served.
        slot: Slot,
        /// What it must see.
        known: Slot,
    },
    /// A restarted node has another promise or chosen prefix than was durable.
    #[error(
        "recovery: {node} comes back with the promise {promised} and the prefix {}, durable are {} \
         and {}",
        chosen.0, durable.promised, durable.chosen.0
    )]
    RecoveredState {
        /// The node.
        node: NodeId,
        /// The promise it came back with.
        promised: Ballot,
        /// How far it found the slots to be chosen.
        chosen: Slot,
        /// What was durable.
        durable: State,
    },
    /// A restarted node has other votes than were durable, or begins elsewhere.
    #[error("recovery: {node} comes back with another vote in slot {} than was durable", slot.0)]
    RecoveredVote {
        /// The node.
        node: NodeId,
        /// The first slot that differs.
        slot: Slot,
    },
    /// A leader proposed something new while it hands its leadership over.
    #[error(
        "proposed during a transfer: {node} hands over to {to}, and proposes for slot {}",
        slot.0
    )]
    ProposedDuringTransfer {
        /// Who leads.
        node: NodeId,
        /// Who is to lead next.
        to: NodeId,
        /// The last slot that it proposes for.
        slot: Slot,
    },
    /// A leader invited a node that lacks something to a ballot of its own.
    #[error("invited behind: {node} invites {to}, which has not voted for slot {}", lacks.0)]
    InvitedBehind {
        /// Who leads.
        node: NodeId,
        /// Whom it invites.
        to: NodeId,
        /// The first slot that is missing there.
        lacks: Slot,
    },
    /// A restarted node has an older snapshot than was durable, or a log begins behind one that is
    /// not.
    #[error(
        "recovery: {node} needs a snapshot up to {}, its newest reaches {}",
        needed.0, snapshot.0
    )]
    SnapshotLost {
        /// The node.
        node: NodeId,
        /// Up to here a snapshot was durable, or is needed.
        needed: Slot,
        /// The newest that is there.
        snapshot: Slot,
    },
}
