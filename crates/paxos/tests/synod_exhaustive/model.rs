//! A model of a synod: its members, what may happen and how often, and which rules are checked.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};

use synod_paxos::single::Message;
use synod_paxos::{AcceptorSet, Ballot, NodeId, Quorums};
use synod_sim::page::{Kind, View, caption_of};
use synod_sim::search::{self, Inputs, State, System, permutations};

use crate::actor::{Actor, Fate, Input, Packet};
use crate::goals::{self, Goal};
use crate::rules::{Facts, check_learned};

/// The members, and the bounds of the search.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    /// The quorums of acceptors with ids from 1.
    pub(crate) quorums: Quorums,
    pub(crate) cast: Cast,
    pub(crate) budget: Budget,
    /// Whether the network carries a message; it loses the others.
    pub(crate) carries: fn(&Message<u8>) -> bool,
    /// The value chosen by each set of messages, by its fingerprint. Sent messages stay sent, so
    /// most rules of the papers are about that set alone, and are checked once.
    pub(crate) chosen: RefCell<HashMap<u128, Option<u8>>>,
    /// Whether a learner can learn from these votes. The rules are checked once for each.
    pub(crate) learners: RefCell<BTreeMap<Votes, bool>>,
}

/// For each ballot its value and its voters.
type Votes = Vec<(Ballot, u8, Vec<NodeId>)>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cast {
    /// Acceptors, and proposers with ids from 1. Each crashes on its own.
    Roles { proposers: u64 },
    /// Each acceptor is a whole node.
    Nodes,
}

/// How often events may happen, in the whole synod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Budget {
    /// The ballots of each proposer.
    pub(crate) ballots: [u8; PROPOSERS_MAX],
    pub(crate) crashes: u8,
    /// Writes that do not become durable.
    pub(crate) losses: u8,
}

/// An actor, and whether it has crashed.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Member {
    actor: Actor,
    has_crashed: bool,
}

impl System for Model {
    type Node = Member;
    type Message = Packet;
    type Input = Input;
    type Budget = Budget;
    type Checker = ();
    /// Whether there was a write, so that its outcome matters.
    type Note = bool;
    type Goal = Goal;

    fn start(&self) -> (Vec<Member>, (), Budget) {
        let quorums = &self.quorums;
        let actors: Vec<Actor> = match self.cast {
            Cast::Roles { proposers } => {
                let acceptors = quorums.acceptors().map(Actor::acceptor);
                let proposers = (1..=proposers).map(|id| Actor::proposer(NodeId(id), quorums));
                acceptors.chain(proposers).collect()
            }
            Cast::Nodes => {
                let nodes = quorums.acceptors().map(|id| Actor::node(id, quorums));
                nodes.collect()
            }
        };
        let members = actors.into_iter().map(|actor| Member {
            actor,
            has_crashed: false,
        });
        (members.collect(), (), self.budget)
    }

    fn inputs(&self, Member { actor, .. }: &Member, left: &Budget, inputs: &mut Inputs<Input>) {
        let ballots = left.ballots.get(actor.id().0 as usize - 1);
        let begins =
            !matches!(actor, Actor::Acceptor { .. }) && ballots.is_some_and(|left| *left > 0);
        if left.crashes > 0 {
            inputs.push_at_rest(Input::Crash);
        }
        inputs.push_if(Input::Begin(Fate::Stored), begins);
        inputs.push_if(Input::Begin(Fate::Lost), begins && left.losses > 0);
        inputs.push_with_messages(Input::Receive(Fate::Stored));
        if left.losses > 0 {
            inputs.push_with_messages(Input::Receive(Fate::Lost));
        }
    }

    fn spend(&self, Member { actor, .. }: &Member, input: Input, left: &mut Budget) {
        match input {
            Input::Receive(fate) => left.losses -= u8::from(fate == Fate::Lost),
            Input::Begin(fate) => {
                left.ballots[actor.id().0 as usize - 1] -= 1;
                left.losses -= u8::from(fate == Fate::Lost);
            }
            Input::Crash => left.crashes -= 1,
        }
    }

    fn hears(&self, Member { actor, .. }: &Member, packet: &Packet) -> bool {
        actor.heeds(packet)
    }

    fn step(
        &self,
        member: &Member,
        input: Input,
        packet: Option<&Packet>,
    ) -> Option<search::Step<Self>> {
        let step = member.actor.step(input, packet);
        let loses = matches!(input, Input::Begin(Fate::Lost) | Input::Receive(Fate::Lost));
        if loses && !step.wrote {
            return None;
        }
        let mut goals = goals::of_step(&member.actor, input, packet, &step);
        let begins = matches!(input, Input::Begin(_)) && !step.sent.is_empty();
        goals.extend((begins && member.has_crashed).then_some(Goal::BallotAfterCrash));
        // A crash that loses nothing is not counted.
        let crashes = input == Input::Crash && step.actor != member.actor;
        Some(search::Step {
            node: Member {
                actor: step.actor,
                has_crashed: member.has_crashed || crashes,
            },
            sent: step.sent,
            goals,
            note: step.wrote,
        })
    }

    fn check_state(&self, state: &State<'_, Self>) -> Result<Vec<Goal>, String> {
        for Member { actor, .. } in state.nodes() {
            if let Some(packet) = state.said().find(|packet| !actor.remembers(packet)) {
                return Err(format!("unsayable, a crash would unsay it: {packet:?}"));
            }
        }
        let said = state.said_fingerprint();
        if self.chosen.borrow().contains_key(&said) {
            return Ok(Vec::new());
        }
        let with_promises = matches!(self.cast, Cast::Roles { .. });
        let facts = Facts::of(state.said(), &self.quorums, with_promises)?;
        self.chosen.borrow_mut().insert(said, facts.chosen());
        let mut goals = goals::of_facts(&facts);
        goals.extend(self.is_learned(&facts)?.then_some(Goal::Learned));
        Ok(goals)
    }

    fn check_node(&self, member: &Member, state: &State<'_, Self>) -> Result<(), String> {
        let Some(value) = member.actor.chosen() else {
            return Ok(());
        };
        check_learned(value, self.chosen.borrow()[&state.said_fingerprint()])
    }

    fn carries(&self, packet: &Packet) -> bool {
        (self.carries)(&packet.message)
    }

    /// A proposer, for instance, receives its promises in one step, in every order, once it has all
    /// of them.
    fn is_silent(&self, input: Input, step: &search::Step<Self>) -> bool {
        !step.note && step.sent.is_empty() && input != Input::Crash
    }

    /// The renamings of acceptors that keep every quorum a quorum. Only the identity if acceptors
    /// propose, since ballots differ.
    fn renamings(&self) -> Vec<Vec<usize>> {
        let Cast::Roles { proposers } = self.cast else {
            return Vec::new();
        };
        let acceptors = self.quorums.acceptors().len();
        let keeps = |renaming: &Vec<usize>| {
            (0..1u32 << acceptors).all(|members| {
                let inside = (0..acceptors).filter(|place| members >> place & 1 == 1);
                let renamed = inside.fold(0, |set, place| set | 1 << renaming[place]);
                phases(&self.quorums, members) == phases(&self.quorums, renamed)
            })
        };
        let mut renamings = permutations(acceptors);
        renamings.retain(keeps);
        for renaming in &mut renamings {
            renaming.extend((acceptors..).take(proposers as usize));
        }
        renamings
    }

    fn rename_message(&self, packet: &Packet, renaming: &[usize]) -> Packet {
        let mut packet = packet.clone();
        if packet.is_of_acceptor() {
            packet.from = rename(packet.from, renaming);
        }
        packet
    }

    fn name(&self, place: usize) -> String {
        format!("actor {}", place + 1)
    }

    fn view(&self, Member { actor, .. }: &Member) -> View {
        actor.view()
    }

    fn kind(&self, input: Input) -> Kind {
        match input {
            Input::Begin(_) => Kind::Input,
            Input::Crash => Kind::Start,
            Input::Receive(_) => Kind::Message,
        }
    }

    fn caption(&self, packet: &Packet) -> (String, String) {
        caption_of(&packet.message)
    }

    fn tell(&self, place: usize, input: Input, packet: Option<&Packet>) -> String {
        let what = match (input, packet) {
            (Input::Begin(_), _) => "begins a ballot".to_owned(),
            (Input::Crash, _) => "crashes and restarts".to_owned(),
            (Input::Receive(_), packet) => format!("{packet:?}"),
        };
        let lost = match input {
            Input::Begin(Fate::Lost) | Input::Receive(Fate::Lost) => ", its write lost",
            _ => "",
        };
        format!("actor {}: {what}{lost}", place + 1)
    }
}

impl Model {
    fn is_learned(&self, facts: &Facts) -> Result<bool, String> {
        let ballots = facts.votes.iter();
        let votes = ballots.map(|(ballot, votes)| {
            let voters: Vec<NodeId> = votes.keys().copied().collect();
            (*ballot, facts.values[ballot], voters)
        });
        let votes: Votes = votes.collect();
        if let Some(learned) = self.learners.borrow().get(&votes) {
            return Ok(*learned);
        }
        let learned = facts.check_learner(&self.quorums)?;
        self.learners.borrow_mut().insert(votes, learned);
        Ok(learned)
    }
}

fn rename(id: NodeId, renaming: &[usize]) -> NodeId {
    NodeId(renaming[id.0 as usize - 1] as u64 + 1)
}

/// The phases in which these acceptors are a quorum, one bit each.
fn phases(quorums: &Quorums, members: u32) -> (bool, bool) {
    let mut set = AcceptorSet::default();
    for (place, id) in quorums.acceptors().enumerate() {
        if members >> place & 1 == 1 {
            quorums.insert(&mut set, id);
        }
    }
    (quorums.is_phase1(set), quorums.is_phase2(set))
}

const PROPOSERS_MAX: usize = 3;
