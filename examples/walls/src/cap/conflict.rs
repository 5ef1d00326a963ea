//! What the available stores do with two writes that did not know of each other, and what they still
//! promise.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use synod_sim::{ClientId, KvInput, KvOutput, NodeId, Rng, WorldOptions};
use synod_vclock::VersionVector;

use super::Siblings;
use super::execution::{KEY, NODES, PATIENCE, calm};
use super::siblings::SEPARATOR;
use crate::scene::{Scene, Store};

/// What is left of two acknowledged writes, one on each side of a cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remains {
    /// How many of the two were acknowledged.
    pub acknowledged: usize,
    /// What each node shows once it has healed.
    pub shown: Vec<Option<String>>,
}

/// Both sides write while they are cut off from each other; then gossip goes round.
pub fn collide<P>(seed: u64) -> Remains
where
    P: Store,
{
    let mut scene = calm::<P>(seed, WorldOptions::default(), None);
    scene.cut(&[NodeId(3)]);
    let mut writes = Vec::new();
    for (client, node, value) in [(1, 1, "left"), (2, 3, "right")] {
        let client = ClientId(client);
        let read = scene.ask(client, NodeId(node), KvInput::get(KEY));
        scene.wait(read, PATIENCE);
        let known = context(&scene, read);
        let put = KvInput::put(KEY, value);
        writes.push(scene.ask_knowing(client, NodeId(node), put, known));
    }
    scene.wait(writes[0], PATIENCE);
    scene.wait(writes[1], PATIENCE);
    let acknowledged = writes
        .iter()
        .filter(|op| scene.answer(**op).is_some())
        .count();
    scene.world.heal_all();
    gossip(&mut scene);
    let shown = (1..=NODES)
        .map(|node| show(&mut scene, NodeId(node)))
        .collect();
    Remains {
        acknowledged,
        shown,
    }
}

/// Sessions that read and write at one node each, while the network is cut and healed at random; then
/// the question whether every read was causally consistent, and whether the copies become one.
///
/// # Errors
/// What was wrong, for a person.
pub fn sessions(seed: u64, operations: u64) -> Result<(), String> {
    let mut scene = calm::<Siblings>(seed, WorldOptions::default(), None);
    let mut rng = Rng::new(!seed);
    let mut causality = Causality::default();
    for number in 0..operations {
        if rng.chance(0.15) {
            scene.world.heal_all();
        } else if rng.chance(0.15) {
            scene.cut(&[NodeId(1 + rng.below(NODES))]);
        }
        let session = rng.below(NODES);
        let node = NodeId(1 + session);
        let client = ClientId(10 + session);
        let read = scene.ask(client, node, KvInput::get(KEY));
        scene.wait(read, PATIENCE);
        let answer = scene.answer(read).map(|(_, output)| output);
        causality.read(session, &values(answer))?;
        // Meanwhile the node may hear of writes that its client has not read.
        pause(&mut scene, &mut rng);
        if rng.chance(0.5) {
            let value = format!("{number}");
            let put = KvInput::put(KEY, value.as_str());
            let known = context(&scene, read);
            let write = scene.ask_knowing(client, node, put, known);
            scene.wait(write, PATIENCE);
            causality.wrote(session, value);
        }
        pause(&mut scene, &mut rng);
    }
    scene.world.heal_all();
    gossip(&mut scene);
    let sets = (1..=NODES).filter_map(|node| scene.world.process(NodeId(node)));
    let mut sets = sets.map(Siblings::set);
    let first = sets.next();
    match sets.all(|set| Some(set) == first) {
        true => Ok(()),
        false => Err("the copies differ after gossip".to_owned()),
    }
}

/// Who knew what when. Values are written once, so they name their writes.
#[derive(Debug, Default)]
struct Causality {
    /// What the writer of a value had seen before.
    past: BTreeMap<String, BTreeSet<String>>,
    /// What a session has seen, and all that was seen before that.
    seen: BTreeMap<u64, BTreeSet<String>>,
}

impl Causality {
    fn wrote(&mut self, session: u64, value: String) {
        let seen = self.seen.entry(session).or_default();
        self.past.insert(value.clone(), seen.clone());
        seen.insert(value);
    }

    fn read(&mut self, session: u64, values: &BTreeSet<String>) -> Result<(), String> {
        let seen = self.seen.entry(session).or_default();
        let replaces = |later: &String, earlier: &String| {
            let past = self.past.get(later);
            past.is_some_and(|past| past.contains(earlier))
        };
        for known in seen.iter() {
            if !values.contains(known) && !values.iter().any(|it| replaces(it, known)) {
                return Err(format!("{known} is known, and neither shown nor replaced"));
            }
        }
        seen.extend(values.iter().cloned());
        let pasts = values.iter().filter_map(|value| self.past.get(value));
        seen.extend(pasts.flatten().cloned());
        for value in values {
            if let Some(later) = seen.iter().find(|it| replaces(it, value)) {
                return Err(format!("{value} is shown, and {later} has replaced it"));
            }
        }
        Ok(())
    }
}

fn context<P: Store>(scene: &Scene<P>, read: synod_sim::OpId) -> VersionVector<u64> {
    let contexts = scene.board.contexts.borrow();
    contexts
        .get(&read)
        .cloned()
        .unwrap_or_else(VersionVector::new)
}

fn pause(scene: &mut Scene<Siblings>, rng: &mut Rng) {
    let until = scene.world.now() + Duration::from_millis(rng.below(80));
    scene.world.run_until(until);
}

fn gossip<P: Store>(scene: &mut Scene<P>) {
    let now = scene.world.now();
    scene.world.run_until(now + Duration::from_millis(500));
}

fn show<P: Store>(scene: &mut Scene<P>, node: NodeId) -> Option<String> {
    let client = ClientId(100 + node.0);
    let read = scene.ask(client, node, KvInput::get(KEY));
    scene.wait(read, PATIENCE);
    match scene.answer(read) {
        Some((_, KvOutput::Value(Some(value)))) => {
            Some(String::from_utf8_lossy(&value.to_vec()).into_owned())
        }
        _ => None,
    }
}

fn values(answer: Option<KvOutput>) -> BTreeSet<String> {
    let Some(KvOutput::Value(Some(value))) = answer else {
        return BTreeSet::new();
    };
    let text = String::from_utf8_lossy(&value.to_vec()).into_owned();
    let separator = String::from_utf8_lossy(SEPARATOR).into_owned();
    text.split(&separator).map(str::to_owned).collect()
}
