use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::mem;

use super::backoff::Backoff;
use super::message::is_ballot;
use super::{Acceptor, BallotsUsedUp, Config, ConfigError, Envelope, Learner, Message, Proposer};
use crate::{Instant, NodeId};

mod output;

pub use output::{Output, Write};

/// One node of the synod, in all three roles (Paxos Made Simple §2.5: *each process plays the role
/// of proposer, acceptor, and learner*). A value without I/O: inputs are `propose` and `handle_*`;
/// outputs come from `poll_*` and must be drained after each input.
///
/// - It only has to remember its [`Acceptor`]: it promises its own ballots to itself before any
///   other node learns of them, so it never used a ballot above the promised one.
/// - Every message about its memory is sent from inside the [`Write`] that makes it true.
/// - Messages of peers are followed or ignored, never an error; those that no correct peer sends
///   are counted.
///
/// Each acceptor reports its acceptances to every node: one message delay less and more messages
/// than with a distinguished learner (§2.3). A node that missed them and wants to know the outcome
/// proposes a value, even if it does not care which one is chosen.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Synod<V> {
    config: Config,
    proposer: Proposer<V>,
    acceptor: Acceptor<V>,
    learner: Learner<V>,
    /// The value that it proposes until something is chosen, and the time of the next attempt.
    wish: Option<(V, Instant)>,
    backoff: Backoff,
    /// Messages that leave with the next write.
    waiting: Vec<Envelope<V>>,
    /// Messages that need no write.
    ready: VecDeque<Envelope<V>>,
    /// Whether the value was learned and not yet output.
    untold: bool,
    ignored: u64,
}

/// Why a node refuses a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProposeError {
    /// The chosen value is known: [`Synod::chosen`].
    #[error("a value is already chosen")]
    Chosen,
    /// It is already proposing, and continues until something is chosen.
    #[error("a proposal is in progress")]
    UnderWay,
    /// No ballot is left.
    #[error(transparent)]
    BallotsUsedUp(#[from] BallotsUsedUp),
}

impl<V: Clone> Synod<V> {
    /// Starts a node with its stored state: [`Acceptor::default`] if it never ran.
    ///
    /// # Errors
    /// Those of [`Config::validate`].
    pub fn new(config: Config, acceptor: Acceptor<V>) -> Result<Self, ConfigError> {
        config.validate()?;
        let Config { id, quorums, .. } = &config;
        let proposer = Proposer::recover(*id, quorums.clone(), acceptor.promised());
        Ok(Self {
            proposer,
            learner: Learner::new(quorums.clone()),
            acceptor,
            wish: None,
            backoff: Backoff::new(config.seed, id.0, config.retry_min, config.retry_max),
            waiting: Vec::new(),
            ready: VecDeque::new(),
            untold: false,
            ignored: 0,
            config,
        })
    }

    /// Tries to get this value chosen, ballot after ballot, until a value is.
    ///
    /// # Errors
    /// Why it does not try.
    pub fn propose(&mut self, now: Instant, value: V) -> Result<(), ProposeError> {
        if self.learner.chosen().is_some() {
            return Err(ProposeError::Chosen);
        }
        if self.wish.is_some() {
            return Err(ProposeError::UnderWay);
        }
        Ok(self.campaign(now, value)?)
    }

    /// Handles a message from another node.
    pub fn handle_message(&mut self, now: Instant, from: NodeId, message: Message<V>) {
        let by_proposer = match &message {
            Message::Prepare(prepare) => Some(prepare.ballot()),
            Message::Accept(accept) => Some(accept.proposal().ballot),
            _ => None,
        };
        let is_peer = from != self.config.id && self.config.quorums.contains(from);
        let is_own = by_proposer.is_none_or(|ballot| ballot.node == from && is_ballot(ballot));
        if !is_peer || !is_own {
            self.ignored += 1;
            return;
        }
        let promised = self.acceptor.promised();
        self.deliver(from, message);
        // Give the other proposer time to finish, or two proposers stop each other for ever (§2.4).
        if self.acceptor.promised() > promised
            && let Some((_, deadline)) = &mut self.wish
        {
            *deadline = now.plus(self.backoff.draw());
        }
    }

    /// Handles the passing of time. No effect before [`poll_timeout`](Self::poll_timeout).
    pub fn handle_timeout(&mut self, now: Instant) {
        if let Some((value, _)) = self.wish.take_if(|(_, deadline)| *deadline <= now) {
            // If all ballots are used up there is no wish any more, and `propose` reports that.
            let _used_up = self.campaign(now, value);
        }
    }

    /// The next action, if any.
    pub fn poll_output(&mut self) -> Option<Output<'_, V>> {
        if let Some(envelope) = self.ready.pop_front() {
            return Some(Output::Send(envelope));
        }
        if !self.waiting.is_empty() {
            let messages = mem::take(&mut self.waiting);
            let node = self;
            return Some(Output::Persist(Write { node, messages }));
        }
        if mem::take(&mut self.untold) {
            return self.learner.chosen().cloned().map(Output::Chosen);
        }
        None
    }

    /// When to call [`handle_timeout`](Self::handle_timeout), if at all. May change with each
    /// input.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.wish.as_ref().map(|(_, deadline)| *deadline)
    }

    /// Phase 1a. The own promise is part of the same write as the ballot, and stores it.
    fn campaign(&mut self, now: Instant, value: V) -> Result<(), BallotsUsedUp> {
        let promised = self.acceptor.promised();
        self.proposer
            .handle_preempted(super::Preempted { promised });
        let prepare = self.proposer.prepare(value.clone())?.defer();
        self.wish = Some((value, now.plus(self.backoff.draw())));
        self.deliver(self.config.id, Message::Prepare(prepare));
        let promised = self.acceptor.promised();
        debug_assert_eq!(promised, prepare.ballot(), "a node remembers its ballot");
        for to in self.peers() {
            self.hold(to, Message::Prepare(prepare));
        }
        Ok(())
    }

    pub(super) fn deliver(&mut self, from: NodeId, message: Message<V>) {
        match (message, self.learner.chosen()) {
            (Message::Prepare(_) | Message::Accept(_), Some(value)) => {
                let chosen = Message::Chosen(value.clone());
                self.send(from, chosen);
            }
            (Message::Prepare(prepare), None) => match self.acceptor.prepare(prepare.ballot()) {
                Ok(pending) => {
                    let promise = pending.defer();
                    self.hold(from, Message::Promise(promise));
                }
                Err(preempted) => self.send(from, Message::Preempted(preempted)),
            },
            (Message::Promise(promise), _) => {
                if let Some(accept) = self.proposer.handle_promise(from, promise) {
                    for to in self.nodes() {
                        self.send(to, Message::Accept(accept.clone()));
                    }
                }
            }
            (Message::Accept(accept), None) => match self.acceptor.accept(accept) {
                Ok(pending) => {
                    let accepted = pending.defer();
                    for to in self.nodes() {
                        self.hold(to, Message::Accepted(accepted.clone()));
                    }
                }
                Err(preempted) => self.send(from, Message::Preempted(preempted)),
            },
            (Message::Accepted(accepted), _) => {
                let news = self.learner.handle_accepted(from, accepted).is_some();
                self.decide(news);
            }
            (Message::Chosen(value), _) => {
                let news = self.learner.handle_chosen(value).is_some();
                self.decide(news);
            }
            (Message::Preempted(preempted), _) => self.proposer.handle_preempted(preempted),
        }
    }

    fn decide(&mut self, news: bool) {
        if news {
            self.wish = None;
            self.untold = true;
        }
    }

    /// Sends a message that needs no write.
    fn send(&mut self, to: NodeId, message: Message<V>) {
        if to == self.config.id {
            self.deliver(to, message);
        } else {
            self.ready.push_back(Envelope { to, message });
        }
    }

    /// Sends a message about what this node remembers with the next write, even if it goes to the
    /// node itself.
    fn hold(&mut self, to: NodeId, message: Message<V>) {
        self.waiting.push(Envelope { to, message });
    }

    fn nodes(&self) -> Vec<NodeId> {
        self.config.quorums.acceptors().collect()
    }

    fn peers(&self) -> Vec<NodeId> {
        let others = self.config.quorums.acceptors();
        others.filter(|node| *node != self.config.id).collect()
    }
}

impl<V> Synod<V> {
    /// The id of this node.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.config.id
    }

    /// The acceptor, as it is once the current write is durable.
    #[must_use]
    pub fn acceptor(&self) -> &Acceptor<V> {
        &self.acceptor
    }

    /// The chosen value, if it is known.
    #[must_use]
    pub fn chosen(&self) -> Option<&V> {
        self.learner.chosen()
    }

    /// How many messages that no correct peer sends were ignored: from strangers or the node
    /// itself, in another node's ballot or an invalid one.
    #[must_use]
    pub fn ignored(&self) -> u64 {
        self.ignored
    }

    /// This state without deadlines, random generator and counter, for checkers that fire timers at
    /// will: states that differ only in those become equal.
    #[must_use]
    pub fn without_time(mut self) -> Self {
        self.backoff.forget();
        self.ignored = 0;
        if let Some((_, deadline)) = &mut self.wish {
            *deadline = Instant::ZERO;
        }
        self
    }
}
