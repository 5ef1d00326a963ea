//! A role, or a node in all three roles, with its disk, and how it handles inputs.

use synod_paxos::single::{Acceptor, Config, Envelope, Message, Output, Pending, Proposer, Synod};
use synod_paxos::{Ballot, Instant, NodeId, Quorums};
use synod_sim::page::View;

/// A message in flight. Once sent, it may arrive at any time, any number of times, or never, at any
/// actor that handles such messages. That is more than a network can do, but fewer cases to
/// distinguish.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Packet {
    pub(crate) from: NodeId,
    pub(crate) message: Message<u8>,
}

impl Packet {
    /// With separate roles, the sender is one of the acceptors.
    pub(crate) fn is_of_acceptor(&self) -> bool {
        !matches!(self.message, Message::Prepare(_) | Message::Accept(_))
    }
}

/// An input of an actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    Receive(Fate),
    /// A proposer starts a ballot.
    Begin(Fate),
    /// It crashes, loses what is not durable, and restarts. How long that takes does not matter to
    /// other actors, because messages wait.
    Crash,
}

/// The outcome of the write that an input causes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Stored,
    Lost,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Actor {
    Acceptor {
        id: NodeId,
        memory: Acceptor<u8>,
        disk: Acceptor<u8>,
    },
    Proposer {
        id: NodeId,
        quorums: Quorums,
        wish: u8,
        memory: Proposer<u8>,
        disk: Ballot,
    },
    Node {
        config: Config,
        wish: u8,
        memory: Box<Synod<u8>>,
        disk: Acceptor<u8>,
    },
}

/// The result of an input.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) actor: Actor,
    pub(crate) sent: Vec<Packet>,
    /// Whether there was a write, so that its outcome matters.
    pub(crate) wrote: bool,
}

impl Actor {
    /// As a page shows it: its role, and what its disk holds.
    pub(crate) fn view(&self) -> View {
        let mut view = View::default();
        let (role, text) = match self {
            Self::Acceptor { disk, .. } => ("acceptor", format!("stored: {disk:?}")),
            Self::Proposer { disk, wish, .. } => {
                ("proposer", format!("wishes for {wish}; stored: {disk:?}"))
            }
            Self::Node { disk, wish, .. } => {
                ("node", format!("wishes for {wish}; stored: {disk:?}"))
            }
        };
        view.role = role.to_owned();
        view.text = text;
        view
    }

    pub(crate) fn acceptor(id: NodeId) -> Self {
        Self::Acceptor {
            id,
            memory: Acceptor::default(),
            disk: Acceptor::default(),
        }
    }

    /// A proposer that wishes for its own number.
    pub(crate) fn proposer(id: NodeId, quorums: &Quorums) -> Self {
        Self::Proposer {
            id,
            quorums: quorums.clone(),
            wish: id.0 as u8,
            memory: Proposer::recover(id, quorums.clone(), Ballot::ZERO),
            disk: Ballot::ZERO,
        }
    }

    pub(crate) fn node(id: NodeId, quorums: &Quorums) -> Self {
        let config = Config::new(id, quorums.clone());
        let disk = Acceptor::default();
        let memory = Synod::new(config.clone(), disk.clone()).expect("a lawful configuration");
        Self::Node {
            config,
            wish: id.0 as u8,
            memory: Box::new(memory.without_time()),
            disk,
        }
    }

    pub(crate) fn id(&self) -> NodeId {
        match self {
            Self::Acceptor { id, .. } | Self::Proposer { id, .. } => *id,
            Self::Node { config, .. } => config.id,
        }
    }

    /// Whether the network delivers such a message to this actor.
    pub(crate) fn heeds(&self, packet: &Packet) -> bool {
        match (self, &packet.message) {
            (Self::Acceptor { .. }, message) => {
                matches!(message, Message::Prepare(_) | Message::Accept(_))
            }
            (Self::Proposer { id, .. }, Message::Promise(promise)) => promise.ballot().node == *id,
            (Self::Proposer { .. }, message) => matches!(message, Message::Preempted(_)),
            (Self::Node { config, .. }, Message::Promise(promise)) => {
                promise.ballot().node == config.id
            }
            (Self::Node { config, .. }, _) => packet.from != config.id,
        }
    }

    /// Handles an input. No effect if the message is not for this actor.
    pub(crate) fn step(&self, input: Input, packet: Option<&Packet>) -> Step {
        let mut step = Step {
            actor: self.clone(),
            sent: Vec::new(),
            wrote: false,
        };
        let _is_concerned = step.take(input, packet);
        step
    }

    /// Whether its disk supports what it has sent.
    pub(crate) fn remembers(&self, said: &Packet) -> bool {
        let (promised, accepted, tried) = match self {
            Self::Acceptor { disk, .. } => (disk.promised(), disk.accepted(), None),
            Self::Proposer { disk, .. } => (Ballot::ZERO, None, Some(*disk)),
            Self::Node { disk, .. } => (disk.promised(), disk.accepted(), Some(disk.promised())),
        };
        if said.from != self.id() {
            return true;
        }
        match (&said.message, tried) {
            (Message::Prepare(prepare), Some(tried)) => tried >= prepare.ballot(),
            (Message::Promise(promise), _) if !self.is_proposer() => promised >= promise.ballot(),
            (Message::Accepted(vote), _) if !self.is_proposer() => {
                accepted.is_some_and(|accepted| accepted.ballot >= vote.proposal().ballot)
            }
            _ => true,
        }
    }

    /// The value that it would report as chosen.
    pub(crate) fn chosen(&self) -> Option<u8> {
        match self {
            Self::Node { memory, .. } => memory.chosen().copied(),
            _ => None,
        }
    }

    fn is_proposer(&self) -> bool {
        matches!(self, Self::Proposer { .. })
    }
}

impl Step {
    fn take(&mut self, input: Input, packet: Option<&Packet>) -> Option<()> {
        match &mut self.actor {
            Actor::Acceptor { memory, disk, .. } => {
                let fate = match input {
                    Input::Receive(fate) => fate,
                    Input::Begin(_) => return None,
                    Input::Crash => {
                        *memory = recovered(disk);
                        return Some(());
                    }
                };
                let reply = match &packet?.message {
                    Message::Prepare(prepare) => {
                        let pending = memory.prepare(prepare.ballot());
                        pending.map(|pending| store(pending, disk, fate).map(Message::Promise))
                    }
                    Message::Accept(accept) => {
                        let pending = memory.accept(accept.clone());
                        pending.map(|pending| store(pending, disk, fate).map(Message::Accepted))
                    }
                    _ => return None,
                };
                self.wrote = reply.is_ok();
                let reply = reply.unwrap_or_else(|preempted| Some(Message::Preempted(preempted)));
                self.say(reply);
            }
            Actor::Proposer {
                id,
                quorums,
                wish,
                memory,
                disk,
            } => match input {
                Input::Begin(fate) => {
                    let pending = memory.prepare(*wish).ok()?;
                    let prepare = store(pending, disk, fate);
                    self.wrote = true;
                    self.say(prepare.map(Message::Prepare));
                }
                Input::Crash => *memory = Proposer::recover(*id, quorums.clone(), *disk),
                Input::Receive(_) => {
                    let Packet { from, message } = packet?;
                    match message {
                        Message::Promise(promise) => {
                            let accept = memory.handle_promise(*from, promise.clone());
                            self.say(accept.map(Message::Accept));
                        }
                        Message::Preempted(preempted) => memory.handle_preempted(*preempted),
                        _ => return None,
                    }
                }
            },
            Actor::Node { .. } => self.take_as_node(input, packet)?,
        }
        Some(())
    }

    fn take_as_node(&mut self, input: Input, packet: Option<&Packet>) -> Option<()> {
        let Actor::Node {
            config,
            wish,
            memory,
            disk,
        } = &mut self.actor
        else {
            return None;
        };
        let fate = match input {
            Input::Begin(fate) => {
                match memory.poll_timeout() {
                    Some(due) => memory.handle_timeout(due),
                    None => memory.propose(Instant::ZERO, *wish).ok()?,
                }
                fate
            }
            Input::Crash => {
                let restarted = Synod::new(config.clone(), recovered(disk));
                **memory = restarted.expect("a lawful configuration");
                Fate::Stored
            }
            Input::Receive(fate) => {
                let Packet { from, message } = packet?.clone();
                memory.handle_message(Instant::ZERO, from, message);
                fate
            }
        };
        let mut sent = Vec::new();
        while let Some(output) = memory.poll_output() {
            match output {
                Output::Persist(write) => {
                    self.wrote = true;
                    let stored = write.persist(|acceptor| keep(acceptor, disk, fate));
                    sent.extend(stored.unwrap_or_default());
                }
                Output::Send(envelope) => sent.push(envelope),
                Output::Chosen(_) => {}
            }
        }
        **memory = (**memory).clone().without_time();
        for Envelope { message, .. } in sent {
            self.say(Some(message));
        }
        Some(())
    }

    fn say(&mut self, message: Option<Message<u8>>) {
        let from = self.actor.id();
        let packet = message.map(|message| Packet { from, message });
        self.sent.extend(packet);
    }
}

fn store<R: Clone, M>(pending: Pending<'_, R, M>, disk: &mut R, fate: Fate) -> Option<M> {
    pending.persist(|record| keep(record, disk, fate)).ok()
}

fn keep<R: Clone>(record: &R, disk: &mut R, fate: Fate) -> Result<(), Fate> {
    if fate == Fate::Lost {
        return Err(fate);
    }
    *disk = record.clone();
    Ok(())
}

/// Passes the acceptor through the form in which a driver stores it.
fn recovered(disk: &Acceptor<u8>) -> Acceptor<u8> {
    let acceptor = Acceptor::recover(disk.promised(), disk.accepted().cloned());
    acceptor.expect("a disk of our own recovers")
}
