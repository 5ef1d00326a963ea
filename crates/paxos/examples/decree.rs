//! One decree, as in *The Part-Time Parliament*: five legislators who come and go and want different things,
//! and messengers who lose and repeat messages. All who learn of a decree learn of the same one.
//!
//! ```text
//! cargo run -p synod-paxos --example decree            # the story of seed 1, then a thousand others
//! cargo run -p synod-paxos --example decree -- 42      # the story of another seed
//! ```

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::error::Error;
use std::time::Duration;

use synod_paxos::single::{Acceptor, Config, Envelope, Output, Synod};
use synod_paxos::{Instant, NodeId, Quorums};
use synod_sim::Rng;

/// What each legislator proposes.
const WISHES: [(NodeId, &str); 5] = [
    (NodeId(1), "olive day"),
    (NodeId(2), "adjourn"),
    (NodeId(3), "no painting of columns"),
    (NodeId(4), "adjourn"),
    (NodeId(5), "tax the goats"),
];
const STEPS_MAX: usize = 100_000;

fn main() -> Result<(), Box<dyn Error>> {
    if let Some(seed) = std::env::args().nth(1) {
        return Parliament::new(seed.parse()?, true)?
            .pass_a_decree()
            .map(drop);
    }
    Parliament::new(1, true)?.pass_a_decree()?;
    let mut passed: BTreeMap<&str, u32> = BTreeMap::new();
    for seed in 0..1_000 {
        let decree = Parliament::new(seed, false)?.pass_a_decree()?;
        *passed.entry(decree).or_default() += 1;
    }
    println!("\na thousand other seeds, one decree each: {passed:?}");
    Ok(())
}

struct Parliament {
    rng: Rng,
    now: Instant,
    /// Those who are in the chamber.
    present: BTreeMap<NodeId, Synod<&'static str>>,
    /// What each has written down, and keeps when they leave.
    ledgers: BTreeMap<NodeId, Acceptor<&'static str>>,
    /// Messages on their way, with their senders.
    messages: Vec<(NodeId, Envelope<&'static str>)>,
    /// What those who are present have learned.
    learned: BTreeMap<NodeId, &'static str>,
    prints: bool,
}

impl Parliament {
    fn new(seed: u64, prints: bool) -> Result<Self, Box<dyn Error>> {
        let mut parliament = Self {
            rng: Rng::new(seed),
            now: Instant::ZERO,
            present: BTreeMap::new(),
            ledgers: BTreeMap::new(),
            messages: Vec::new(),
            learned: BTreeMap::new(),
            prints,
        };
        for (id, _) in WISHES {
            parliament.enter(id)?;
        }
        Ok(parliament)
    }

    /// Goes on until everybody is there and has learned what was passed.
    fn pass_a_decree(mut self) -> Result<&'static str, Box<dyn Error>> {
        for _ in 0..STEPS_MAX {
            let mut learned = self.learned.values();
            if let Some(decree) = learned.next() {
                if learned.any(|other| other != decree) {
                    return Err(format!("two decrees: {:?}", self.learned).into());
                }
                if self.learned.len() == WISHES.len() {
                    return Ok(decree);
                }
            }
            match self.rng.below(50) {
                0 => self.leave(),
                1..=4 => self.return_to_the_chamber()?,
                5 => self.wait(),
                _ => self.deliver(),
            }
        }
        Err("nothing was passed".into())
    }

    /// A message arrives, perhaps not for the last time; or is lost.
    fn deliver(&mut self) {
        if self.messages.is_empty() {
            return self.wait();
        }
        let place = self.rng.index(self.messages.len());
        let (from, Envelope { to, message }) = self.messages[place].clone();
        if !self.rng.one_in(20) {
            self.messages.swap_remove(place);
        }
        if self.rng.one_in(10) {
            return;
        }
        self.print(|| format!("{to} <- {from}  {message:?}"));
        let now = self.now;
        if let Some(legislator) = self.present.get_mut(&to) {
            legislator.handle_message(now, from, message);
            self.drain(to);
        }
    }

    /// Time passes, until somebody wants to try again. If that happened before the messengers of the last try were
    /// back, again and again, nothing would ever be passed.
    fn wait(&mut self) {
        let due = |(id, legislator): (&NodeId, &Synod<_>)| Some((legislator.poll_timeout()?, *id));
        if let Some((due, id)) = self.present.iter().filter_map(due).min() {
            self.now = self.now.max(due);
            if let Some(legislator) = self.present.get_mut(&id) {
                legislator.handle_timeout(self.now);
                self.drain(id);
            }
        }
    }

    fn leave(&mut self) {
        let present: Vec<_> = self.present.keys().copied().collect();
        if !present.is_empty() {
            let id = self.rng.pick(&present);
            self.print(|| format!("{id} leaves"));
            self.present.remove(&id);
            self.learned.remove(&id);
        }
    }

    fn return_to_the_chamber(&mut self) -> Result<(), Box<dyn Error>> {
        let absent = |(id, _): &(NodeId, _)| !self.present.contains_key(id);
        match WISHES.into_iter().find(absent) {
            Some((id, _)) => self.enter(id),
            None => Ok(()),
        }
    }

    /// Whoever enters knows what is in their ledger, and nothing else. They propose, which is also how they learn of
    /// what was passed while they were away.
    fn enter(&mut self, id: NodeId) -> Result<(), Box<dyn Error>> {
        self.print(|| format!("{id} enters"));
        let mut config = Config::new(id, Quorums::majority(WISHES.map(|(id, _)| id))?);
        config.seed = self.rng.next_u64();
        config.retry_max = Duration::from_millis(200);
        let ledger = self.ledgers.get(&id).cloned().unwrap_or_default();
        let mut legislator = Synod::new(config, ledger)?;
        for (_, wish) in WISHES.into_iter().filter(|(whose, _)| *whose == id) {
            legislator.propose(self.now, wish)?;
        }
        self.present.insert(id, legislator);
        self.drain(id);
        Ok(())
    }

    fn drain(&mut self, id: NodeId) {
        let Some(legislator) = self.present.get_mut(&id) else {
            return;
        };
        while let Some(output) = legislator.poll_output() {
            match output {
                Output::Persist(write) => {
                    let ledger = self.ledgers.entry(id).or_default();
                    let Ok(messages) = write.persist(|acceptor| {
                        ledger.clone_from(acceptor);
                        Ok::<(), Infallible>(())
                    });
                    self.messages
                        .extend(messages.into_iter().map(|envelope| (id, envelope)));
                }
                Output::Send(envelope) => self.messages.push((id, envelope)),
                Output::Chosen(decree) => {
                    self.learned.insert(id, decree);
                    if self.prints {
                        println!("{id} learns: {decree}");
                    }
                }
            }
        }
    }

    fn print(&self, event: impl FnOnce() -> String) {
        if self.prints {
            println!("{}", event());
        }
    }
}
