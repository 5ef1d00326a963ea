//! The process dies at each operation, the power is cut, and what was confirmed is there.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test may panic like the test"
)]

mod support;

use proptest::prelude::*;
use support::{Medium, Model, Owned, append, open, put};
use synod_sim::Disk;
use synod_wal::{GroupId, Lsn, OpenError, Stats, Wal};

#[test]
fn a_crash_at_each_operation_loses_nothing_that_was_synced() {
    let disk = Disk::new(0);
    let mut clean = Life::new(Model::default());
    let stats = clean.script(&disk).unwrap();
    let busy = [
        stats.slots_carried,
        stats.segments_recycled,
        stats.segments_filled,
    ];
    assert!(busy.iter().all(|count| *count > 0), "{stats:?}");
    let operations = disk.operations();
    let mut lost = 0;
    for at in 0..operations {
        for seed in 0..2 {
            let disk = Disk::new(at * 2 + seed);
            disk.crash_after(at);
            let mut life = Life::new(Model::default());
            life.script(&disk).unwrap_err();
            disk.power_loss();
            let wal =
                open(&disk).unwrap_or_else(|error| panic!("crash at {at}, seed {seed}: {error}"));
            let left = life.check(&wal, &format!("crash at {at}, seed {seed}"));
            lost += life.models.len() - 1 - left;
            life.recovered(left, &wal);
            drop(wal);
            life.script(&disk).unwrap();
        }
    }
    assert!(
        lost > 50,
        "unsynced appends were lost in some cases: {lost}"
    );
}

#[test]
fn many_lives_on_one_disk() {
    let (mut crashes, mut kept, mut opens) = (0, 0, 0);
    for seed in 0..40 {
        let disk = Disk::new(seed);
        let mut random = Random(seed);
        let mut life = Life::new(Model::default());
        for round in 0..25 {
            disk.crash_after(random.below(40));
            let died = life.random(&disk, &mut random);
            crashes += usize::from(died.is_err());
            if random.below(3) == 0 {
                disk.restart();
            } else {
                disk.power_loss();
            }
            // What a recovery has found is durable, so the next one may die too and lose nothing.
            let context = format!("seed {seed}, round {round}");
            let wal = open(&disk).unwrap_or_else(|error| panic!("{context}: {error}"));
            opens += 1;
            let left = life.check(&wal, &context);
            kept += usize::from(left > life.synced);
            life.recovered(left, &wal);
            drop(wal);
            disk.power_loss();
        }
    }
    assert!(
        crashes > 300 && kept > 20,
        "{crashes} crashes, {kept} of {opens} kept unsynced appends"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_log_is_a_map(steps in proptest::collection::vec(step(), 1..60), seed in any::<u64>()) {
        let disk = Disk::new(seed);
        let mut wal = open(&disk).unwrap();
        let mut model = Model::default();
        for step in steps {
            match step {
                Step::Append(group, ops) => {
                    append(&mut wal, group, &ops).unwrap();
                    model.apply(GroupId(group), &ops);
                }
                Step::Sync => wal.sync().unwrap(),
                Step::Reopen => {
                    wal.sync().unwrap();
                    disk.power_loss();
                    wal = open(&disk).unwrap();
                }
            }
            prop_assert_eq!(Model::of(&wal).trimmed(), model.clone().trimmed());
        }
        wal.sync().unwrap();
        prop_assert_eq!(Model::of(&open(&disk).unwrap()).trimmed(), model.trimmed());
    }
}

#[derive(Clone, Debug)]
enum Step {
    Append(u64, Vec<Owned>),
    Sync,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let op = prop_oneof![
        1 => any::<u8>().prop_map(Owned::State),
        1 => (0..40_u64).prop_map(Owned::Truncate),
        6 => (0..40_u64, 0..700_usize).prop_map(|(index, len)| put(index, len)),
        1 => (0..20_u64).prop_map(Owned::Start),
    ];
    prop_oneof![
        8 => (0..4_u64, proptest::collection::vec(op, 0..5)).prop_map(|(group, ops)| Step::Append(group, ops)),
        4 => Just(Step::Sync),
        1 => Just(Step::Reopen),
    ]
}

/// Incarnations of a log: its contents after each append, and how many appends were confirmed.
struct Life {
    models: Vec<Model>,
    lsns: Vec<Lsn>,
    synced: usize,
}

impl Life {
    fn new(model: Model) -> Self {
        Self {
            models: vec![model],
            lsns: vec![Lsn(0)],
            synced: 0,
        }
    }

    fn append(&mut self, wal: &mut Wal<Medium>, group: u64, ops: &[Owned]) -> Result<(), ()> {
        let mut model = self.models.last().unwrap().clone();
        model.apply(GroupId(group), ops);
        self.lsns.push(append(wal, group, ops).map_err(drop)?);
        self.models.push(model);
        Ok(())
    }

    fn sync(&mut self, wal: &mut Wal<Medium>) -> Result<(), ()> {
        let synced = wal.sync();
        self.synced = self
            .lsns
            .iter()
            .rposition(|lsn| *lsn <= wal.durable())
            .unwrap();
        assert!(synced.is_err() || self.synced == self.models.len() - 1);
        synced.map_err(drop)
    }

    /// Rotates, carries an idle group forward, truncates and cuts.
    fn script(&mut self, disk: &Disk) -> Result<Stats, ()> {
        let mut wal = open(disk).map_err(drop)?;
        self.append(&mut wal, 1, &[Owned::State(1), put(3, 700), put(4, 10)])?;
        self.sync(&mut wal)?;
        for index in 1..40 {
            self.append(&mut wal, 2, &[put(index, 900)])?;
            self.append(
                &mut wal,
                3,
                &[
                    Owned::State(index as u8),
                    put(index, 1200),
                    Owned::Start(index - 1),
                ],
            )?;
            if index % 5 == 0 {
                self.append(
                    &mut wal,
                    2,
                    &[
                        Owned::Truncate(index),
                        put(index, 20),
                        Owned::Start(index - 2),
                    ],
                )?;
            }
            self.sync(&mut wal)?;
        }
        Ok(wal.stats())
    }

    fn random(&mut self, disk: &Disk, random: &mut Random) -> Result<(), ()> {
        let mut wal = open(disk).map_err(|error| {
            assert!(matches!(error, OpenError::Io(_)), "only the crash: {error}");
        })?;
        for _ in 0..random.below(20) {
            for _ in 0..random.below(4) {
                let group = random.below(3);
                let next = self
                    .models
                    .last()
                    .unwrap()
                    .0
                    .get(&GroupId(group))
                    .map_or(0, |group| group.start.0)
                    + 1;
                let mut ops = vec![put(next + random.below(5), random.below(1500) as usize)];
                match random.below(6) {
                    0 => ops.push(Owned::State(random.below(256) as u8)),
                    1 => ops.insert(0, Owned::Truncate(next + random.below(4))),
                    2 | 3 => ops.insert(0, Owned::Start(next + random.below(2))),
                    _ => {}
                }
                self.append(&mut wal, group, &ops)?;
            }
            self.sync(&mut wal)?;
        }
        Ok(())
    }

    /// The contents are those after one of the appends, and no synced one is missing.
    fn check(&self, wal: &Wal<Medium>, context: &str) -> usize {
        let found = Model::of(wal).trimmed();
        let is_found = |model: &Model| model.clone().trimmed() == found;
        // The synced ones first, as the most likely; then all, to report what went wrong.
        let left = self.models[self.synced..]
            .iter()
            .position(is_found)
            .map(|left| left + self.synced);
        let left = left.or_else(|| self.models.iter().rposition(is_found));
        let left =
            left.unwrap_or_else(|| panic!("{context}: no prefix of the appends gives {found:?}"));
        assert!(
            left >= self.synced,
            "{context}: {left} of {} synced appends are left",
            self.synced
        );
        left
    }

    fn recovered(&mut self, left: usize, wal: &Wal<Medium>) {
        *self = Self::new(self.models.swap_remove(left));
        self.lsns = vec![wal.durable()];
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}
