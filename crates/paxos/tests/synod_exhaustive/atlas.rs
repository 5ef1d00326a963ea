//! Every state of an actor and every message that was met, once, under a number.
//!
//! There are far fewer of them than states of the synod, so a step of an actor is computed once and
//! looked up ever after; and a state of the synod is a few numbers.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::{BuildHasherDefault, Hash, Hasher};

use synod_paxos::NodeId;

use crate::actor::{Actor, Fate, Input, Packet, Step};
use crate::goals::Goals;

#[derive(Debug, Default)]
pub(crate) struct Atlas {
    actors: Numbered<Actor>,
    packets: Numbered<Packet>,
    /// Of each actor, by [`slot`]. `Err`: it broke an assertion of its own.
    steps: Vec<Vec<Option<Result<KnownStep, String>>>>,
    /// Which messages each actor heeds, and how many were looked at for that.
    heeded: Vec<(Packets, u32)>,
    nameless: Vec<Vec<Option<u32>>>,
    /// Of each, by renaming.
    renamed_actors: Vec<Vec<Option<u32>>>,
    renamed_packets: Vec<Vec<Option<u32>>>,
}

/// A step of an actor, in numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KnownStep {
    pub(crate) to: u32,
    pub(crate) sent: Packets,
    pub(crate) wrote: bool,
    pub(crate) goals: Goals,
}

/// A set of messages by number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Packets([u64; 4]);

impl Packets {
    pub(crate) fn insert(&mut self, packet: u32) {
        let word = self.0.get_mut(packet as usize / 64);
        *word.expect("a model of at most 256 messages") |= 1 << (packet % 64);
    }

    pub(crate) fn holds(self, other: Self) -> bool {
        let pairs = self.0.into_iter().zip(other.0);
        pairs.fold(true, |holds, (word, other)| holds & (other & !word == 0))
    }

    pub(crate) fn meet(mut self, other: Self) -> Self {
        for (word, other) in self.0.iter_mut().zip(other.0) {
            *word &= other;
        }
        self
    }

    pub(crate) fn is_empty(self) -> bool {
        self == Self::default()
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = u32> {
        (0..).zip(self.0).flat_map(|(at, mut word)| {
            std::iter::from_fn(move || {
                let bit = word.trailing_zeros();
                word &= word.wrapping_sub(1);
                (bit < 64).then_some(at * 64 + bit)
            })
        })
    }
}

impl Atlas {
    pub(crate) fn actor(&self, number: u32) -> &Actor {
        &self.actors.all[number as usize]
    }

    pub(crate) fn packet(&self, number: u32) -> &Packet {
        &self.packets.all[number as usize]
    }

    pub(crate) fn number_actor(&mut self, actor: Actor) -> u32 {
        self.actors.number(actor)
    }

    pub(crate) fn step(
        &mut self,
        actor: u32,
        input: Input<u32>,
        fate: Fate,
    ) -> Result<KnownStep, String> {
        let slot = slot(input, fate);
        if let Some(step) = known(&mut self.steps, actor, slot) {
            return step.clone();
        }
        let step = self.take_step(actor, input, fate);
        *known(&mut self.steps, actor, slot) = Some(step.clone());
        step
    }

    /// Those that concern the actor.
    pub(crate) fn heeded(&mut self, actor: u32, net: Packets) -> Packets {
        let at = actor as usize;
        if self.heeded.len() <= at {
            self.heeded.resize(at + 1, Default::default());
        }
        let (heeded, looked_at) = &mut self.heeded[at];
        for packet in &self.packets.all[*looked_at as usize..] {
            if self.actors.all[at].heeds(packet) {
                heeded.insert(*looked_at);
            }
            *looked_at += 1;
        }
        heeded.meet(net)
    }

    fn take_step(
        &mut self,
        actor: u32,
        input: Input<u32>,
        fate: Fate,
    ) -> Result<KnownStep, String> {
        let whole = match input {
            Input::Receive(packet) => Input::Receive(self.packet(packet).clone()),
            Input::Begin => Input::Begin,
            Input::Crash => Input::Crash,
        };
        let before = self.actor(actor);
        let step = before.step(&whole, fate)?;
        let goals = Goals::of_step(before, &whole, &step);
        let Step { actor, sent, wrote } = step;
        let to = self.actors.number(actor);
        let mut packets = Packets::default();
        for packet in sent {
            packets.insert(self.packets.number(packet));
        }
        Ok(KnownStep {
            to,
            sent: packets,
            wrote,
            goals,
        })
    }

    /// Equal for acceptors that differ in their names only.
    pub(crate) fn nameless(&mut self, actor: u32) -> u32 {
        if let Some(nameless) = known(&mut self.nameless, actor, 0) {
            return *nameless;
        }
        let mut nameless = self.actor(actor).clone();
        if let Actor::Acceptor { id, .. } = &mut nameless {
            *id = NodeId(1);
        }
        let nameless = self.actors.number(nameless);
        *known(&mut self.nameless, actor, 0) = Some(nameless);
        nameless
    }

    /// The same state with acceptor `i` under the name of acceptor `names[i]`, counted from 1. What a
    /// proposer is between two words does not tell acceptors apart.
    pub(crate) fn rename_actor(&mut self, actor: u32, names: &[u64], renaming: usize) -> u32 {
        if let Some(renamed) = known(&mut self.renamed_actors, actor, renaming) {
            return *renamed;
        }
        let mut renamed = self.actor(actor).clone();
        if let Actor::Acceptor { id, .. } = &mut renamed {
            *id = rename(*id, names);
        }
        let renamed = self.actors.number(renamed);
        *known(&mut self.renamed_actors, actor, renaming) = Some(renamed);
        renamed
    }

    pub(crate) fn rename_net(&mut self, net: Packets, names: &[u64], renaming: usize) -> Packets {
        let mut renamed = Packets::default();
        for packet in net.iter() {
            renamed.insert(self.rename_packet(packet, names, renaming));
        }
        renamed
    }

    fn rename_packet(&mut self, packet: u32, names: &[u64], renaming: usize) -> u32 {
        if let Some(renamed) = known(&mut self.renamed_packets, packet, renaming) {
            return *renamed;
        }
        let mut renamed = self.packet(packet).clone();
        if renamed.is_of_acceptor() {
            renamed.from = rename(renamed.from, names);
        }
        let renamed = self.packets.number(renamed);
        *known(&mut self.renamed_packets, packet, renaming) = Some(renamed);
        renamed
    }
}

impl fmt::Display for Atlas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (actors, packets) = (self.actors.all.len(), self.packets.all.len());
        write!(f, "{actors} states of an actor, {packets} messages")
    }
}

#[derive(Debug)]
struct Numbered<T> {
    all: Vec<T>,
    numbers: Map<T, u32>,
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self {
            all: Vec::new(),
            numbers: Map::default(),
        }
    }
}

impl<T: Clone + Eq + Hash> Numbered<T> {
    fn number(&mut self, one: T) -> u32 {
        *self.numbers.entry(one).or_insert_with_key(|one| {
            self.all.push(one.clone());
            u32::try_from(self.all.len() - 1).expect("fewer than 2^32")
        })
    }
}

/// The place in a table that grows.
fn known<T: Clone>(table: &mut Vec<Vec<Option<T>>>, row: u32, column: usize) -> &mut Option<T> {
    let row = row as usize;
    if table.len() <= row {
        table.resize(row + 1, Vec::new());
    }
    let row = &mut table[row];
    if row.len() <= column {
        row.resize(column + 1, None);
    }
    &mut row[column]
}

fn rename(id: NodeId, names: &[u64]) -> NodeId {
    NodeId(names[id.0 as usize - 1])
}

fn slot(input: Input<u32>, fate: Fate) -> usize {
    let slot = match input {
        Input::Crash => 0,
        Input::Begin => 1,
        Input::Receive(packet) => packet as usize + 2,
    };
    slot * 2 + usize::from(fate == Fate::Lost)
}

/// For keys that nobody chose against us: a multiplication a word.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fast(u64);

impl Hasher for Fast {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, word: u8) {
        self.write_u64(u64::from(word));
    }

    fn write_u32(&mut self, word: u32) {
        self.write_u64(u64::from(word));
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517C_C1B7_2722_0A95);
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 29
    }
}

pub(crate) type Map<K, V> = HashMap<K, V, BuildHasherDefault<Fast>>;
pub(crate) type Set<K> = HashSet<K, BuildHasherDefault<Fast>>;
