//! The log's recovery: a log is written as the fuzzer likes, dies in a write, and is damaged.
//!
//! | what befell it | what must be found |
//! |---|---|
//! | nothing, or a write that was torn in any way | all that was synced, and of the rest whole appends from the front |
//! | rot, cuts, lost and swapped files | an error, or nothing that was not appended; the same when opened again |

use bytes::Bytes;
use synod_wal::{GroupId, Op, Slot, Tag, Wal};

use crate::disk::Memory;
use crate::memory::bounded_by;
use crate::script::{Script, noise};
use crate::wal::{Contents, Group, contents, options};

/// A step for every few bytes; damage comes at the end.
pub(crate) fn run(data: &[u8]) {
    let mut script = Script::new(data);
    let damages = script.flag();
    let mut story = Story::new();
    for _ in 0..STEPS_MAX {
        if script.rest_len() < DAMAGE_BYTES {
            break;
        }
        story.step(&mut script);
    }
    if damages {
        story.damage(&mut script);
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let seeds = (1..=8).map(|seed| noise(seed, 60 * seed as usize));
    seeds
        .zip([0, 1].iter().cycle())
        .map(|(noise, damages)| [&[*damages][..], &noise].concat())
        .collect()
}

struct Story {
    disk: Memory,
    wal: Wal<Memory>,
    /// What the log holds, by its own word: durable, and with each append that is not.
    durable: Contents,
    pending: Vec<Contents>,
    /// Everything that was ever appended.
    ever: Vec<(u64, Slot)>,
    appended: u8,
}

impl Story {
    fn new() -> Self {
        let disk = Memory::default();
        let wal = Wal::open(disk.clone(), options()).expect("an empty disk opens");
        Self {
            disk,
            wal,
            durable: Contents::new(),
            pending: Vec::new(),
            ever: Vec::new(),
            appended: 0,
        }
    }

    fn step(&mut self, script: &mut Script<'_>) {
        match script.below(8) {
            0..4 => self.append(script),
            4..6 => self.sync(),
            6 => self.tear(script),
            _ => self.reopen(),
        }
    }

    fn last(&self) -> Contents {
        self.pending.last().unwrap_or(&self.durable).clone()
    }

    fn append(&mut self, script: &mut Script<'_>) {
        let id = 1 + script.below(2);
        let mut next = self.last();
        let (group, _) = next.entry(id).or_default();
        let bodies: Vec<Bytes> = (0..script.below(3)).map(|_| self.body(script)).collect();
        let mut ops = Vec::new();
        let last = group
            .slots
            .keys()
            .next_back()
            .copied()
            .unwrap_or(group.start.0);
        match script.below(8) {
            0 => ops.push(Op::State(tag(script))),
            1 => ops.push(Op::Truncate {
                from: last.saturating_sub(script.below(4)),
            }),
            2 => ops.push(Op::Start {
                after: last.saturating_sub(script.below(3)),
                tag: tag(script),
            }),
            _ => {}
        }
        for (index, body) in (last + 1 + script.below(2)..).zip(&bodies) {
            ops.push(Op::Put {
                index,
                tag: tag(script),
                body,
            });
        }
        ops.iter()
            .for_each(|op| apply(group, op, &mut |slot| self.ever.push((id, slot))));
        // Over a bound nothing is taken.
        if self.wal.append(GroupId(id), &mut ops.into_iter()).is_ok() {
            self.pending.push(next);
        }
    }

    fn body(&mut self, script: &mut Script<'_>) -> Bytes {
        self.appended = self.appended.wrapping_add(1);
        let len = script.pick(&[10, 0, 100, 1_000, 1_900]);
        vec![self.appended; len].into()
    }

    fn sync(&mut self) {
        self.wal.sync().expect("memory takes it");
        self.durable = self.last();
        self.pending.clear();
        assert_eq!(
            contents(&self.wal),
            self.durable,
            "another log than was appended"
        );
    }

    /// The process dies: what was not synced was not written.
    fn reopen(&mut self) {
        self.pending.clear();
        let opened = Wal::open(self.disk.clone(), options());
        self.wal = opened.expect("a log that was closed opens");
        assert_eq!(contents(&self.wal), self.durable, "not what was synced");
    }

    /// The power goes while the log is synced: of what was being written each sector is there or not.
    fn tear(&mut self, script: &mut Script<'_>) {
        let last = self.last();
        self.disk.die_after(script.below(12));
        let synced = self.wal.sync().is_ok();
        let left = self.disk.left_over(|| script.flag());
        let opened = Wal::open(left.clone(), options()).expect("a torn write is no rot");
        let found = contents(&opened);
        if synced {
            assert_eq!(found, last, "synced, and not there");
        } else {
            let whole = found == self.durable || self.pending.contains(&found);
            assert!(whole, "neither what was synced nor that and whole appends");
        }
        drop(opened);
        let again = Wal::open(left.clone(), options()).expect("what opened once opens again");
        assert_eq!(contents(&again), found, "opened twice, it is another log");
        (self.wal, self.disk, self.durable) = (again, left, found);
        self.pending.clear();
    }

    fn damage(&mut self, script: &mut Script<'_>) {
        let disk = self.disk.left_over(|| true);
        for _ in 0..=script.below(3) {
            harm(&disk, script);
        }
        let harmed = disk.left_over(|| true);
        match bounded_by(OPEN_BYTES, || Wal::open(disk.clone(), options())) {
            Ok(wal) => {
                let found = contents(&wal);
                drop(wal);
                let again = Wal::open(disk, options()).expect("what opened once opens again");
                assert_eq!(contents(&again), found, "opened twice, it is another log");
                for (id, (group, _)) in &found {
                    for slot in group.slots.values() {
                        let known = self.ever.iter().any(|(of, was)| of == id && was == slot);
                        assert!(known, "a slot that was never appended: {}", slot.index);
                    }
                }
            }
            Err(error) => {
                let again = Wal::open(disk.clone(), options()).map(|_| ());
                let again = again.expect_err("an error went away by itself");
                assert_eq!(again.to_string(), error.to_string());
                for name in harmed.names() {
                    assert_eq!(disk.bytes(&name), harmed.bytes(&name), "{name} was changed");
                }
            }
        }
    }
}

fn apply(group: &mut Group, op: &Op<'_>, appended: &mut dyn FnMut(Slot)) {
    match *op {
        Op::State(tag) => group.state = Some(tag),
        Op::Truncate { from } => drop(group.slots.split_off(&from)),
        Op::Start { after, tag } => {
            group.slots = group.slots.split_off(&after.saturating_add(1));
            group.start = (after, tag);
        }
        Op::Put { index, tag, body } => {
            let body = body.clone();
            let slot = Slot { index, tag, body };
            appended(slot.clone());
            if index > group.start.0 {
                group.slots.insert(index, slot);
            }
        }
    }
}

fn tag(script: &mut Script<'_>) -> Tag {
    Tag([script.byte(); 32])
}

/// One thing goes wrong with one file.
fn harm(disk: &Memory, script: &mut Script<'_>) {
    let names = disk.names();
    let Some(name) = names.get(script.below(16) as usize % names.len().max(1)) else {
        return;
    };
    let mut bytes = disk.bytes(name).unwrap_or_default();
    let at = usize::from(script.half()) % bytes.len().max(1);
    match script.below(8) {
        0..3 if !bytes.is_empty() => bytes[at] ^= 1 << script.below(8),
        3 => bytes.truncate(at),
        4 => bytes.truncate(at / BLOCK_BYTES * BLOCK_BYTES),
        5 => {
            let block = at / BLOCK_BYTES * BLOCK_BYTES;
            let end = bytes.len().min(block + BLOCK_BYTES);
            bytes[block..end].fill(0);
        }
        6 => {
            // Another file's contents: an older one came back, or two were swapped.
            let other = &names[script.below(16) as usize % names.len()];
            bytes = disk.bytes(other).unwrap_or_default();
        }
        _ => {
            synod_wal::Disk::remove(disk, name).expect("it is there");
            return;
        }
    }
    disk.put(name, &bytes);
}

const STEPS_MAX: usize = 200;
/// What the end is made of.
const DAMAGE_BYTES: usize = 40;
const BLOCK_BYTES: usize = 4096;
const OPEN_BYTES: usize = 64 << 20;
