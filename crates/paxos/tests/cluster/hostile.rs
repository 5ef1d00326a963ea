//! Messages that no correct peer sends, with numbers at the ends of their ranges. The core may
//! ignore them or be misled by them, as by any lying peer. It must not panic, and must not do
//! unbounded work.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use synod_paxos::{
    Ballot, Binding, Config, Configuration, Configurations, DiskHealth, Echo, Entries, Envelope,
    Fetch, FetchError, Instant, Kind, Membership, Message, NodeId, Output, Paxos, Position,
    Quorums, ReadId, Recovered, Replicate, Role, Slot, Snapshot, Value, Vote, Write,
};
use synod_sim::Rng;

use crate::harness::cluster::Cluster;

/// A peer that makes up messages. They are mostly plausible, or nothing would get past the first
/// check.
struct Liar {
    dice: Rng,
    /// The promise of the node.
    ballot: Ballot,
    /// The attempt of the node's last question.
    attempt: u64,
    /// The first slot of its last request.
    from: Slot,
    /// Whether the peer itself leads; a node sees little else then.
    leads: bool,
}

impl Liar {
    fn number(&mut self) -> u64 {
        match self.dice.below(20) {
            0 => u64::MAX - self.dice.below(3),
            1 => Slot::MAX.0 + self.dice.below(3) - 1,
            2 => self.dice.below(u64::MAX),
            _ => self.dice.below(8),
        }
    }

    fn lease(&mut self) -> Duration {
        Duration::from_millis(self.number())
    }

    fn disk(&mut self) -> DiskHealth {
        DiskHealth {
            has_room: !self.dice.one_in(4),
            sync_time: Duration::from_millis(self.number()),
        }
    }

    fn slot(&mut self) -> Slot {
        Slot(self.number())
    }

    fn ballot(&mut self) -> Ballot {
        let round = if self.dice.one_in(15) {
            self.number()
        } else {
            self.dice.below(6)
        };
        let node = if self.dice.one_in(15) {
            self.number()
        } else {
            1 + self.dice.below(3)
        };
        let node = NodeId(node);
        Ballot { round, node }
    }

    /// A ballot in which `from` may lead.
    fn ballot_of(&mut self, from: NodeId) -> Ballot {
        if self.dice.one_in(5) {
            return self.ballot();
        }
        let above = self.ballot.node > from || self.dice.one_in(10);
        let round = self.ballot.round.max(1) + u64::from(above);
        Ballot { round, node: from }
    }

    /// The node's own ballot.
    fn own(&mut self) -> Ballot {
        if self.dice.one_in(10) {
            self.ballot()
        } else {
            self.ballot
        }
    }

    fn position(&mut self) -> Position {
        let (slot, origin) = (self.slot(), self.ballot());
        Position { slot, origin }
    }

    fn value(&mut self) -> Value {
        let kind = self
            .dice
            .pick(&[Kind::Noop, Kind::Command, Kind::Configuration]);
        let (round, node) = (1, NodeId(1));
        let origin = if self.dice.one_in(4) {
            self.ballot()
        } else {
            Ballot { round, node }
        };
        let body = Bytes::from_static(b"wild").slice(..self.dice.below(3) as usize);
        Value { kind, origin, body }
    }

    fn values(&mut self) -> Entries {
        (0..self.dice.below(5)).map(|_| self.value()).collect()
    }

    fn votes(&mut self, first: Slot) -> Vec<Vote> {
        let mut slot = first.0;
        let count = self.dice.below(4);
        let mut vote = |_| {
            let value = self.value();
            let wild = self.dice.one_in(10);
            slot = if wild {
                self.number()
            } else {
                slot.wrapping_add(self.dice.below(3))
            };
            let ballot = if wild { self.ballot() } else { value.origin };
            let at = Slot(slot);
            slot = slot.wrapping_add(1);
            Vote {
                slot: at,
                ballot,
                value,
            }
        };
        (0..count).map(&mut vote).collect()
    }

    fn snapshot(&mut self) -> Snapshot {
        let quorums = Quorums::majority([NodeId(7)]).unwrap();
        Snapshot {
            last: self.position(),
            configurations: Configurations::first(Configuration::first(Membership::of(quorums))),
        }
    }

    fn message(&mut self, from: NodeId) -> Message {
        match self.dice.below(3) {
            0 if self.leads || self.dice.one_in(50) => Message::Replicate(self.replicate(from)),
            0 | 1 => Message::Binding(self.binding(from)),
            _ => Message::Echo(self.echo(from)),
        }
    }

    fn replicate(&mut self, from: NodeId) -> Replicate {
        let ballot = self.ballot_of(from);
        let (chosen, through) = (self.slot(), self.slot());
        match self.dice.below(8) {
            7 => Replicate::Settle {
                ballot,
                slot: chosen,
            },
            0 => Replicate::Heartbeat {
                ballot,
                round: self.number(),
                chosen,
                through,
                settled: self.dice.below(3),
                lease: self.lease(),
            },
            1 => Replicate::Chosen { ballot, chosen },
            2 => Replicate::Snapshot {
                ballot,
                snapshot: Box::new(self.snapshot()),
            },
            3 => Replicate::Invite {
                ballot,
                round: self.number(),
                chosen,
                last: self.slot(),
            },
            _ => Replicate::Accept {
                ballot,
                first: self.slot(),
                values: self.values(),
                chosen,
            },
        }
    }

    fn binding(&mut self, from: NodeId) -> Binding {
        match self.dice.below(7) {
            6 => Binding::Settled {
                ballot: self.own(),
                slot: self.slot(),
            },
            0 if self.leads || self.dice.one_in(30) => Binding::Prepare {
                ballot: self.ballot_of(from),
                from: self.slot(),
                number: self.dice.below(3),
                invited: self.dice.one_in(3).then(|| self.ballot()),
            },
            0..3 => Binding::Accepted {
                ballot: self.own(),
                first: self.slot(),
                last: self.slot(),
            },
            _ => {
                let asked = if self.dice.one_in(5) {
                    self.slot()
                } else {
                    self.from
                };
                let next = self.dice.one_in(4).then(|| self.slot());
                let chosen = if self.dice.one_in(3) {
                    self.slot()
                } else {
                    Slot(0)
                };
                Binding::Promise {
                    ballot: self.own(),
                    from: asked,
                    votes: self.votes(asked.max(chosen.next())),
                    next,
                    chosen,
                    configurations: self.configurations(),
                }
            }
        }
    }

    /// Perhaps a lie about who governs which slots.
    fn configurations(&mut self) -> Option<Box<Configurations>> {
        if !self.dice.one_in(3) {
            return None;
        }
        let ids = self.dice.pick(&[[1, 2, 3], [1, 7, 8], [7, 8, 9]]);
        let quorums = Quorums::majority(ids.map(NodeId)).unwrap();
        let mut configuration = Configuration::first(Membership::of(quorums));
        configuration.number = self.dice.below(4);
        configuration.alpha = self.dice.pick(&[Configuration::ALPHA, 1]);
        let mut bytes = Configurations::first(configuration).encode().to_vec();
        bytes[1..9].copy_from_slice(&self.slot().0.to_le_bytes());
        bytes[10..18].copy_from_slice(&self.slot().0.to_le_bytes());
        Some(Box::new(Configurations::decode(&bytes).unwrap_or_default()))
    }

    fn echo(&mut self, from: NodeId) -> Echo {
        let attempt = if self.dice.one_in(5) {
            self.number()
        } else {
            self.attempt
        };
        match self.dice.below(10) {
            0 => Echo::Ask {
                promised: self.ballot(),
                attempt,
                disk: self.disk(),
            },
            1 => Echo::Heartbeat {
                ballot: self.own(),
                round: self.number(),
                through: self.slot(),
                chosen: self.slot(),
                behind: self.dice.one_in(2),
                disk: self.disk(),
                priority: self.dice.one_in(2).then_some(Config::PRIORITY + 1),
                lease: self.lease(),
            },
            2 if self.dice.one_in(4) => Echo::HowFar {
                promised: self.ballot(),
                life: self.number(),
                number: self.number(),
            },
            2 if self.dice.one_in(3) => Echo::Voted {
                promised: self.ballot(),
                life: self.dice.below(2),
                number: self.dice.below(9),
                last: self.slot(),
            },
            2 if self.leads || self.dice.one_in(10) => Echo::Preempted {
                promised: self.ballot(),
            },
            2 if self.dice.one_in(60) => Echo::Removed {
                promised: self.ballot(),
                number: self.dice.below(3),
            },
            3 => Echo::Learn {
                ballot: self.ballot_of(from),
                from: self.slot(),
                to: self.slot(),
            },
            2 | 4 | 5 => Echo::Learned {
                ballot: self.own(),
                first: self.slot(),
                values: self.values(),
            },
            6 => Echo::Offer {
                ballot: self.own(),
                snapshot: Box::new(self.snapshot()),
            },
            _ => Echo::Answer {
                promised: self.ballot(),
                attempt,
                no_leader: !self.dice.one_in(4),
                chosen: self.slot(),
                disk: self.disk(),
                priority: self.dice.one_in(9).then_some(Config::PRIORITY + 1),
            },
        }
    }

    fn fetched(&mut self) -> Result<Entries, FetchError> {
        match self.dice.below(4) {
            0 => Err(FetchError::Cut { start: self.slot() }),
            1 => Err(FetchError::Unavailable),
            _ => Ok(self.values()),
        }
    }
}

/// Plays one node among lying peers. It is driven without the checker, which would report the lies.
struct Victim {
    paxos: Paxos,
    write: Option<Write>,
    fetches: Vec<Fetch>,
    liar: Liar,
}

impl Victim {
    fn step(&mut self, now: Instant) {
        let liar = &mut self.liar;
        let from = NodeId(2 + liar.dice.below(2));
        match liar.dice.below(20) {
            0..11 => self.paxos.handle_message(now, from, liar.message(from)),
            11..13 => {
                let due = self.paxos.poll_timeout().unwrap_or(now);
                self.paxos.handle_timeout(due);
            }
            13 => drop(self.paxos.propose(now, Bytes::from_static(b"x"))),
            14 => {
                let _refused = self.paxos.read(now, ReadId(liar.dice.below(4)));
                let _refused = self.paxos.read_by_lease(now);
                let by_quorum = ReadId(4 + liar.dice.below(4));
                let _refused = self.paxos.read_by_quorum(now, by_quorum);
            }
            15 => {
                let snapshot = liar.snapshot();
                self.paxos.handle_snapshot(now, snapshot);
            }
            16 => {
                if let Some(fetch) = self.fetches.pop() {
                    let values = liar.fetched();
                    self.paxos.handle_fetched(now, fetch, values);
                }
            }
            _ => {
                if let Some(write) = self.write.take() {
                    let Ok((messages, receipt)) = write.persist(|_| Ok::<(), Infallible>(()));
                    let messages = messages.into_iter().map(Envelope::from);
                    messages.for_each(|sent| self.overhear(&sent));
                    self.paxos.handle_persisted(now, receipt);
                }
            }
        }
        let mut outputs = 0;
        while let Some(output) = self.paxos.poll_output() {
            outputs += 1;
            assert!(outputs < 1000, "work without end: {output:?}");
            match output {
                Output::Persist(next) => assert!(self.write.replace(next).is_none()),
                Output::Fetch(fetch) => self.fetches.push(fetch),
                Output::Send(sent) => self.overhear(&sent),
                _ => {}
            }
        }
        self.liar.ballot = self.paxos.ballot();
    }

    fn overhear(&mut self, sent: &Envelope) {
        match &sent.message {
            Message::Echo(Echo::Ask { attempt, .. }) => self.liar.attempt = *attempt,
            Message::Binding(Binding::Prepare { from, .. }) => self.liar.from = *from,
            _ => {}
        }
    }
}

#[test]
fn nonsense_reaches_every_role_and_ends() {
    let (mut led, mut learned, mut followed) = (0, 0, 0);
    for seed in 0..4000 {
        let mut cluster = Cluster::new(3, |config| config.cache_bytes_max = 60);
        let mut victim = Victim {
            paxos: cluster.node(1).core().clone(),
            write: None,
            fetches: Vec::new(),
            liar: Liar {
                dice: Rng::new(seed),
                ballot: Ballot::ZERO,
                attempt: 0,
                from: Slot(1),
                leads: seed % 2 == 0,
            },
        };
        let mut now = cluster.now;
        for _ in 0..80 {
            now = now.plus(Duration::from_millis(20));
            victim.step(now);
            let status = victim.paxos.status();
            led += u64::from(status.role == Role::Leader);
            followed += u64::from(status.leader.is_some_and(|leader| leader != NodeId(1)));
            learned += u64::from(status.role == Role::Leader && status.chosen > Slot(0));
        }
    }
    println!("steps as a leader {led}, with something chosen {learned}, as a follower {followed}");
    assert!(
        led > 4000 && learned > 400 && followed > 4000,
        "nonsense that reached nothing"
    );
}

/// Invalid messages are counted, and change nothing.
#[test]
fn nonsense_is_counted() {
    let ballot = |round, node| Ballot {
        round,
        node: NodeId(node),
    };
    let value = |origin| Value {
        kind: Kind::Command,
        origin,
        body: Bytes::new(),
    };
    let accept = |ballot, first, values: Vec<Value>| {
        Message::Replicate(Replicate::Accept {
            ballot,
            first: Slot(first),
            values: values.into(),
            chosen: Slot(0),
        })
    };
    let good = ballot(1, 2);
    let malformed = [
        accept(ballot(1, 3), 1, vec![value(good)]),
        accept(ballot(0, 2), 1, vec![value(good)]),
        accept(ballot(Ballot::ROUND_MAX + 1, 2), 1, vec![value(good)]),
        accept(good, 0, vec![value(good)]),
        accept(good, 1, vec![]),
        accept(good, Slot::MAX.0, vec![value(good), value(good)]),
        accept(good, u64::MAX, vec![value(good), value(good)]),
        accept(good, 1, vec![value(ballot(2, 2))]),
        accept(good, 1, vec![value(Ballot::ZERO)]),
        Message::Binding(Binding::Prepare {
            ballot: good,
            from: Slot(0),
            number: 0,
            invited: None,
        }),
        Message::Binding(Binding::Prepare {
            ballot: ballot(1, 9),
            from: Slot(1),
            number: 0,
            invited: None,
        }),
        Message::Echo(Echo::Learn {
            ballot: good,
            from: Slot(3),
            to: Slot(2),
        }),
    ];
    for message in malformed {
        let mut cluster = Cluster::new(3, |_| {});
        cluster.step(1, |paxos, now| {
            paxos.handle_message(now, NodeId(2), message.clone());
        });
        assert_eq!(
            cluster.node(1).core().counters().malformed,
            1,
            "{message:?}"
        );
        assert!(cluster.nodes[&NodeId(1)].disk.log.is_empty());
    }
    let mut cluster = Cluster::new(3, |_| {});
    let far = accept(good, Slot::AHEAD_MAX + 1, vec![value(good)]);
    cluster.step(1, |paxos, now| paxos.handle_message(now, NodeId(2), far));
    assert_eq!(cluster.node(1).core().counters().too_far_ahead, 1);
}

/// D13, M1: whoever sends is heard, because it may be a member that this node does not know yet. But
/// nobody is counted who is in no configuration, and a message with this node's own id is ignored.
#[test]
fn d13_strangers_are_heard_and_not_counted() {
    let mut cluster = Cluster::new(3, |_| {});
    let prepare = |id| {
        let (round, node) = (5, NodeId(id));
        Message::Binding(Binding::Prepare {
            ballot: Ballot { round, node },
            from: Slot(1),
            number: 0,
            invited: None,
        })
    };
    cluster.step(1, |paxos, now| {
        paxos.handle_message(now, NodeId(1), prepare(1));
    });
    assert_eq!(cluster.status(1).ballot, Ballot::ZERO);
    assert_eq!(cluster.node(1).core().counters().strangers, 1);
    cluster.step(1, |paxos, now| {
        paxos.handle_message(now, NodeId(4), prepare(4));
    });
    assert_eq!(cluster.status(1).ballot.node, NodeId(4));
    cluster.watch.made_up = true;
    cluster.net.clear();
    let answer = |attempt| Echo::Answer {
        promised: Ballot::ZERO,
        attempt,
        no_leader: true,
        chosen: Slot(0),
        disk: DiskHealth::default(),
        priority: None,
    };
    cluster.campaign(1);
    for attempt in 0..9 {
        let answer = Message::Echo(answer(attempt));
        cluster.step(1, |paxos, now| {
            paxos.handle_message(now, NodeId(4), answer);
        });
    }
    assert_eq!(cluster.status(1).role, Role::Asking);
}

/// As many values as an acceptor accepts, with the later half first. Votes between others are
/// inserted all at once; one by one that would take a billion moves.
#[test]
fn values_out_of_order_go_between_votes_at_once() {
    let quorums = Quorums::majority([1, 2, 3].map(NodeId)).unwrap();
    let empty = Recovered {
        state: None,
        start: Position::ZERO,
        snapshot: None,
        votes: std::iter::empty::<Result<Vote, Infallible>>(),
    };
    let mut acceptor = Paxos::new(Config::new(NodeId(1), quorums), empty, Instant::ZERO).unwrap();
    let (round, node) = (1, NodeId(2));
    let ballot = Ballot { round, node };
    let noop = Value {
        kind: Kind::Noop,
        origin: ballot,
        body: Bytes::new(),
    };
    let half = Slot::AHEAD_MAX / 2;
    for first in [half + 1, 1] {
        let accept = Replicate::Accept {
            ballot,
            first: Slot(first),
            values: vec![noop.clone(); half as usize].into(),
            chosen: Slot(0),
        };
        acceptor.handle_message(Instant::ZERO, node, Message::Replicate(accept));
    }
    let status = acceptor.status();
    assert_eq!(status.last, Slot(Slot::AHEAD_MAX));
    assert_eq!(
        status.cache_bytes,
        Slot::AHEAD_MAX as usize * Value::HEAD_BYTES
    );
}
