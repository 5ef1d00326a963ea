use crate::check::Named;
use crate::{Ballot, Binding, NodeId, Slot, State, Stop};

/// The violated rule, and the node that violated it. The text begins with the name of the rule.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// A node stopped for good although no disk of the group has lost anything.
    #[error("needless stop: node {} stops: {why}", node.0)]
    NeedlessStop {
        /// The node that stops.
        node: NodeId,
        /// The reason it gives.
        why: Stop,
    },
    /// A proposal in a slot of which it is not decided who governs it (Paxos Made Simple §3).
    #[error(
        "configuration in force: {node} proposes in slot {}, and who governs is decided up to {}",
        slot.0, reach.0
    )]
    ProposedTooFar {
        /// The node that proposes.
        node: NodeId,
        /// The slot of the proposal.
        slot: Slot,
        /// The last slot that it could have proposed in.
        reach: Slot,
    },
    /// A node, a promise or a snapshot has other configurations than the log, or lacks one.
    #[error("configuration in force: {node} is wrong about configuration {number}")]
    WrongConfiguration {
        /// The node that is wrong.
        node: NodeId,
        /// The number of the configuration.
        number: u64,
    },
    /// A configuration is proposed while another is not in force, or does not follow it.
    #[error("one change at a time: {node} proposes configuration {number} in slot {}", slot.0)]
    TwoChanges {
        /// The node that proposes.
        node: NodeId,
        /// The slot of the proposal.
        slot: Slot,
        /// The number of the configuration.
        number: u64,
    },
    /// A configuration is called settled, and no phase-2 quorum of it holds all that was chosen before.
    #[error("settled: {node} says that configuration {number} is settled, and it is not")]
    NotSettled {
        /// The node that says so.
        node: NodeId,
        /// The number of the configuration.
        number: u64,
    },
    /// Two values in one ballot and slot, or with one origin (Paxos Made Simple §2.2: a proposer
    /// sends one proposal per number, and P2b depends on that).
    #[error(
        "one value a ballot: {node} has in slot {} and ballot {ballot} a value of {}, elsewhere it \
         is one of {}",
        slot.0, second.origin, first.origin
    )]
    TwoValues {
        /// The node whose record or message it is.
        node: NodeId,
        /// The slot of the values.
        slot: Slot,
        /// The ballot of the values.
        ballot: Ballot,
        /// The value that was seen first.
        first: Named,
        /// The value of this node.
        second: Named,
    },
    /// A vote for a value that the ballot's leader has not proposed (Paxos Made Simple §2.2, phase
    /// 2).
    #[error(
        "one value a ballot: {node} votes in slot {} and ballot {ballot}, where nothing is proposed",
        slot.0
    )]
    NotProposed {
        /// The node that votes.
        node: NodeId,
        /// The slot of the vote.
        slot: Slot,
        /// The ballot of the vote.
        ballot: Ballot,
    },
    /// Two values chosen for one slot: two phase-2 quorums of disks had votes for them.
    #[error(
        "agreement: of slot {} a value of {} is chosen in ballot {ballot}, and one of {} is chosen",
        slot.0, second.origin, first.origin
    )]
    ChosenTwice {
        /// The slot of the values.
        slot: Slot,
        /// The ballot of the second quorum.
        ballot: Ballot,
        /// The value that was chosen first.
        first: Named,
        /// The value that is chosen now.
        second: Named,
    },
    /// A node holds, reports, applies or covers a value as chosen that is not.
    #[error(
        "agreement: {node} treats in slot {} a value of {} as chosen, and one of {} is",
        slot.0, value.origin, chosen.origin
    )]
    NotTheChosen {
        /// The node that is wrong.
        node: NodeId,
        /// The slot of the values.
        slot: Slot,
        /// The value of this node.
        value: Named,
        /// The chosen value.
        chosen: Named,
    },
    /// A proposal of a higher ballot differs from the chosen value (Paxos Made Simple §2.2, P2b).
    #[error(
        "P2b: {node} made a value of {} chosen in slot {}, where ballot {ballot} has one of {}",
        chosen.origin, slot.0, value.origin
    )]
    P2b {
        /// The node whose vote made the value chosen.
        node: NodeId,
        /// The slot of the values.
        slot: Slot,
        /// The higher ballot.
        ballot: Ballot,
        /// The value proposed in the higher ballot.
        value: Named,
        /// The chosen value.
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
        /// The node that proposes.
        node: NodeId,
        /// The slot of the proposal.
        slot: Slot,
        /// The ballot of the proposal.
        ballot: Ballot,
        /// The proposed value.
        value: Named,
    },
    /// A node acts in a ballot of another node (Paxos Made Simple §2.2: proposers use disjoint sets
    /// of numbers).
    #[error("ballot owner: {node} acts in ballot {ballot}")]
    NotItsBallot {
        /// The node that acts.
        node: NodeId,
        /// The ballot it uses.
        ballot: Ballot,
    },
    /// A leader without durable promises of its ballot from a phase-1 quorum, including its own if
    /// it counts itself (Paxos Made Simple §2.2, phase 2a).
    #[error("ballot owner: {node} leads in ballot {ballot}, which no quorum has durably promised")]
    NotPromised {
        /// The leader.
        node: NodeId,
        /// The ballot in which it leads.
        ballot: Ballot,
    },
    /// A node uses a ballot again: in a second incarnation, or for a second campaign (Paxos Made
    /// Simple §2.5: a proposer remembers the highest number it has tried).
    #[error("ballot used twice: {node} uses ballot {ballot} again")]
    BallotUsedTwice {
        /// The node that uses it.
        node: NodeId,
        /// The ballot that was used before.
        ballot: Ballot,
    },
    /// A promise decreased, in memory or on disk (Paxos Made Simple §2.2, P1a).
    #[error("promise fell: {node} goes from {from} to {to}")]
    PromiseFell {
        /// The node whose promise decreased.
        node: NodeId,
        /// The promise before.
        from: Ballot,
        /// The promise now.
        to: Ballot,
    },
    /// A vote in a ballot below the promise, or below the vote that it replaces (Paxos Made Simple
    /// §2.2, P1a).
    #[error(
        "vote below the promise: {node} votes in slot {} and ballot {ballot}, and has promised \
         {promised}",
        slot.0
    )]
    VoteBelowPromise {
        /// The node that votes.
        node: NodeId,
        /// The slot of the vote.
        slot: Slot,
        /// The ballot of the vote.
        ballot: Ballot,
        /// The ballot that it had promised.
        promised: Ballot,
    },
    /// A vote in a ballot above the promise: accepting is promising, or the node could vote below
    /// it after a restart.
    #[error(
        "vote below the promise: {node} votes in slot {} and ballot {ballot}, and its disk promises \
         only {promised}",
        slot.0
    )]
    VoteWithoutPromise {
        /// The node that votes.
        node: NodeId,
        /// The slot of the vote.
        slot: Slot,
        /// The ballot of the vote.
        ballot: Ballot,
        /// The promise on its disk.
        promised: Ballot,
    },
    /// A message reports something that is not durable, so a crash could make it false (Paxos Made
    /// Simple §2.5: stable storage, before the response is sent).
    #[error("unsayable: {node} sends {said:?} to {to}, which its disk does not support")]
    Unsayable {
        /// The sender.
        node: NodeId,
        /// The receiver.
        to: NodeId,
        /// The message.
        said: Binding,
    },
    /// A node confirms the leader of a ballot that it has durably left.
    #[error("unsayable: {node} confirms ballot {ballot}, and its disk has promised {durable}")]
    BallotLeft {
        /// The node that confirms.
        node: NodeId,
        /// The ballot that it confirms.
        ballot: Ballot,
        /// The promise on its disk.
        durable: Ballot,
    },
    /// A node says to have voted no further than a slot, and its disk has a later vote.
    #[error("unsayable: {node} has voted up to {}, and says up to {}", held.0, last.0)]
    VoteHidden {
        /// The node.
        node: NodeId,
        /// What it says.
        last: Slot,
        /// The slot of a vote on its disk.
        held: Slot,
    },
    /// A second write is made while one is in flight: messages of the first would depend on the
    /// second.
    #[error("unsayable: {node} makes a write while one is in flight")]
    WriteInFlight {
        /// The node that makes the write.
        node: NodeId,
    },
    /// A node reports, or acts as if, slots are chosen for which no phase-2 quorum of disks has, or
    /// had, votes in one ballot (Paxos Made Simple §2.3).
    #[error(
        "chosen not durable: {node} treats slot {} as chosen, all is chosen up to {}",
        slot.0, chosen_to.0
    )]
    NotChosen {
        /// The node that is wrong.
        node: NodeId,
        /// The chosen prefix of the node.
        slot: Slot,
        /// The prefix that is chosen.
        chosen_to: Slot,
    },
    /// A slot is in a node's chosen prefix, and the node holds no value for it.
    #[error("chosen not durable: {node} treats slot {} as chosen and holds no value", slot.0)]
    ChosenNotHeld {
        /// The node without the value.
        node: NodeId,
        /// The slot without a value.
        slot: Slot,
    },
    /// A node applies a value, or restores a snapshot, that is not durable on its own disk.
    #[error("chosen not durable: {node} applies slot {}, which its disk does not hold", slot.0)]
    AppliedNotDurable {
        /// The node that applies it.
        node: NodeId,
        /// The slot, or the last one that the snapshot covers.
        slot: Slot,
    },
    /// A chosen prefix decreased within an incarnation.
    #[error("chosen fell: {node} goes from {} to {}", from.0, to.0)]
    ChosenFell {
        /// The node whose prefix decreased.
        node: NodeId,
        /// The prefix before.
        from: Slot,
        /// The prefix now.
        to: Slot,
    },
    /// The chosen prefix in a record includes slots for which the disk holds no value, or another
    /// one. After a crash the node would apply that.
    #[error(
        "chosen ahead of its votes: {node} writes that all is chosen up to {}, and its disk lacks \
         slot {}",
        chosen.0, slot.0
    )]
    ChosenAheadOfVotes {
        /// The node that makes the record.
        node: NodeId,
        /// The slot whose value is missing.
        slot: Slot,
        /// The chosen prefix in the record.
        chosen: Slot,
    },
    /// Values are delivered to the state machine out of order, twice, or with a gap.
    #[error(
        "state machine safety: {node} applies slot {} after slot {}",
        slot.0, last.0
    )]
    AppliedOutOfOrder {
        /// The node that applies the value.
        node: NodeId,
        /// The slot that it applies.
        slot: Slot,
        /// The last slot that it applied before, in this incarnation.
        last: Slot,
    },
    /// A confirmed read does not see what was known to be chosen when it was requested.
    #[error(
        "stale read: {node} confirms a read at slot {}, and when it was requested {} was known to be \
         chosen",
        slot.0, known.0
    )]
    StaleRead {
        /// The node that confirms it.
        node: NodeId,
        /// The slot up to which it is served.
        slot: Slot,
        /// The slot up to which it must see.
        known: Slot,
    },
    /// A restarted node has a different promise or chosen prefix than was durable.
    #[error(
        "recovery: {node} restarts with the promise {promised} and the prefix {}, durable are {} \
         and {}",
        chosen.0, durable.promised, durable.chosen.0
    )]
    RecoveredState {
        /// The restarted node.
        node: NodeId,
        /// The promise with which it restarted.
        promised: Ballot,
        /// The chosen prefix with which it restarted.
        chosen: Slot,
        /// The state that was durable.
        durable: State,
    },
    /// A restarted node has different votes than were durable, or its log begins elsewhere.
    #[error("recovery: {node} restarts with another vote in slot {} than was durable", slot.0)]
    RecoveredVote {
        /// The restarted node.
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
    /// A leader that was giving up because it could not do its duty leads on in the same ballot.
    #[error("led on: {node} was giving up {ballot} for a cause, and leads on in it")]
    LedOn {
        /// Who leads.
        node: NodeId,
        /// The ballot.
        ballot: Ballot,
    },
    /// A leader makes way, by itself, for a node whose priority is not higher than its own: two nodes
    /// could hand over to each other for ever.
    #[error("not preferred: {node} makes way for {to}, whose priority is not higher")]
    NotPreferred {
        /// Who leads.
        node: NodeId,
        /// Who is to lead next.
        to: NodeId,
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
    /// A restarted node has an older snapshot than was durable, or a log begins after a snapshot
    /// that does not exist.
    #[error(
        "recovery: {node} needs a snapshot up to {}, its newest reaches {}",
        needed.0, snapshot.0
    )]
    SnapshotLost {
        /// The node without the snapshot.
        node: NodeId,
        /// The slot up to which a snapshot was durable, or is needed.
        needed: Slot,
        /// The last slot of the newest snapshot that exists.
        snapshot: Slot,
    },
}
