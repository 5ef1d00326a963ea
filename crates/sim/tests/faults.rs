//! Each kind of fault bites when it is on and leaves the run alone when it is off, a recorded script
//! replays, and a healed core leaves the rest broken.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test may panic like the test"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Duration;

use synod_sim::{
    ClockChange, Context, Crash, Disk, Event, Fault, FaultKind, NodeId, Process, Rng, Script,
    Start, Strike, Swarm, World, WorldOptions,
};

const ONE: NodeId = NodeId(1);
const TWO: NodeId = NodeId(2);
const THREE: NodeId = NodeId(3);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Beats: every ten milliseconds of its own clock it sends its count to the others and appends it to
/// its file, which it syncs when the time for that has come. Node 1 leads.
struct Beat {
    start: Start,
    nodes: u64,
    count: u64,
    length: u64,
    /// What came, with the time of the clocks.
    seen: Vec<(Seen, Duration, Duration)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Message(NodeId, u64),
    Timer,
    Synced,
    Asked,
}

const BEAT: Duration = Duration::from_millis(10);

impl Process for Beat {
    type Message = u64;
    type Input = ();
    /// How many nodes there are.
    type Shared = u64;

    fn start(start: Start, nodes: &u64, context: &mut Context<u64>) -> io::Result<Self> {
        start.disk.create("beats")?;
        start.disk.sync_names()?;
        let length = start.disk.len("beats")?;
        context.timer = Some(context.now + BEAT);
        Ok(Self {
            start,
            nodes: *nodes,
            count: 0,
            length,
            seen: Vec::new(),
        })
    }

    fn handle(&mut self, event: Event<u64, ()>, context: &mut Context<u64>) -> io::Result<()> {
        let seen = match event {
            Event::Message { from, message } => Seen::Message(from, message),
            Event::SyncDone => {
                self.start.disk.sync("beats")?;
                Seen::Synced
            }
            Event::Timer => {
                context.timer = Some(context.now + BEAT);
                self.count += 1;
                let bytes = self.count.to_le_bytes();
                match self.start.disk.write_at("beats", self.length, &bytes) {
                    Ok(()) => self.length += 8,
                    // A full disk is waited out.
                    Err(error) if error.kind() == io::ErrorKind::StorageFull => {}
                    Err(error) => return Err(error),
                }
                context.start_sync();
                for to in (1..=self.nodes).map(NodeId) {
                    if to != self.start.id {
                        context.send(to, self.count);
                    }
                }
                Seen::Timer
            }
            _ => Seen::Asked,
        };
        self.seen.push((seen, context.now, context.wall));
        Ok(())
    }

    fn leads(&self) -> bool {
        self.start.id == ONE
    }

    fn rot(disk: &Disk, rng: &mut Rng) -> bool {
        let length = disk.image("beats").len() as u64;
        disk.flip("beats", rng.below(length), 1 << rng.below(8))
            .is_ok()
    }
}

fn world(options: WorldOptions) -> World<Beat> {
    World::new(7, 3, options, 3)
}

fn calm() -> World<Beat> {
    world(WorldOptions::default())
}

fn count(world: &World<Beat>, node: NodeId, seen: Seen) -> usize {
    let seen_by = &world.process(node).unwrap().seen;
    seen_by.iter().filter(|(other, ..)| *other == seen).count()
}

fn beats(world: &World<Beat>, node: NodeId) -> usize {
    count(world, node, Seen::Timer)
}

/// Everything at once.
fn stormy(seed: u64) -> WorldOptions {
    let mut options = Swarm::new(ms(3000)).draw(seed);
    options.loss = 0.02;
    options.crash_every = Some(ms(150));
    options.pause_every = Some(ms(300));
    options.partition_every = Some(ms(200));
    options.clog_every = Some(ms(300));
    options.drift_every = Some(ms(500));
    options.drift_ppm_max = 10_000;
    options.freeze_every = Some(ms(500));
    options.jump_every = Some(ms(500));
    options.step_every = Some(ms(300));
    options.disk_stall_every = Some(ms(500));
    options.sync_error_every = Some(ms(600));
    options.disk_full_every = Some(ms(600));
    options.rot_every = Some(ms(200));
    options.power_all_every = Some(ms(700));
    options
}

/// Which kinds have left a trace.
fn seen(world: &World<Beat>) -> BTreeSet<FaultKind> {
    let stats = world.stats();
    let network = [
        (FaultKind::Loss, stats.lost),
        (FaultKind::Duplication, stats.duplicated),
        (FaultKind::OldCopy, stats.old_copies),
        (FaultKind::FullLink, stats.overflowed),
    ];
    let network = network.into_iter().filter(|(_, count)| *count > 0);
    let drifts = |node: &NodeId| world.local_now(*node) != Some(world.now());
    let steps = |node: &NodeId| {
        let local = world.local_now(*node).unwrap() + (world.true_wall() - world.now());
        world.wall(*node) != Some(local)
    };
    let ids = world.node_ids();
    let struck = world.faults().iter().map(|(_, fault)| fault.kind());
    let mut seen: BTreeSet<_> = struck.chain(network.map(|(kind, _)| kind)).collect();
    if ids.iter().any(steps) {
        seen.insert(FaultKind::Step);
    }
    let others = [FaultKind::Freeze, FaultKind::Jump];
    if ids.iter().any(drifts) && others.iter().all(|other| !seen.contains(other)) {
        seen.insert(FaultKind::Drift);
    }
    seen
}

#[test]
fn each_kind_strikes_when_it_is_on_and_only_then() {
    for kind in FaultKind::ALL {
        let others = FaultKind::ALL.into_iter().filter(|&other| other != kind);
        let swarm = others.fold(Swarm::new(ms(3000)), Swarm::without);
        let mut struck = 0;
        for seed in 0..24 {
            let mut options = swarm.draw(seed);
            options.uptime_max = Duration::ZERO;
            // So that there are about ten messages on a link.
            options.delay_min = ms(100);
            let has = options.has(kind);
            let mut world = World::<Beat>::new(seed, 3, options, 3);
            world.run_until(ms(3000));
            match has {
                true => assert!(seen(&world).is_subset(&BTreeSet::from([kind])), "{world}"),
                false => assert!(seen(&world).is_empty(), "{world}"),
            }
            struck += usize::from(seen(&world).contains(&kind));
        }
        assert!(
            (4..24).contains(&struck),
            "{kind} has struck in {struck} runs"
        );
    }
}

#[test]
fn the_one_that_leads_is_set_apart_more_often() {
    let mut options = WorldOptions::default();
    options.partition_every = Some(ms(20));
    options.partition_lasts = ms(2);
    options.one_way_share = 0.0;
    let mut world = World::<Beat>::new(7, 5, options, 5);
    world.run_until(ms(20_000));
    let apart = |node: NodeId| {
        let cuts = |fault: &Fault| match fault {
            Fault::Partition { cuts, .. } => {
                cuts.len() == 8 && cuts.iter().all(|(from, to)| *from == node || *to == node)
            }
            _ => false,
        };
        world
            .faults()
            .iter()
            .filter(|(_, fault)| cuts(fault))
            .count()
    };
    let counts: Vec<usize> = world.node_ids().into_iter().map(apart).collect();
    assert!(world.faults().len() > 700);
    assert!(
        counts[1..]
            .iter()
            .all(|&count| count > 20 && count * 2 < counts[0]),
        "{counts:?}"
    );
}

#[test]
fn a_paused_process_does_nothing_and_then_catches_up() {
    let mut world = calm();
    world.run_until(ms(101));
    let pause = Fault::Pause {
        node: TWO,
        lasts: ms(50),
    };
    assert!(world.strike(&pause));
    let before = world.process(TWO).unwrap().seen.len();
    world.inject(TWO, ());
    world.run_until(ms(150));
    assert_eq!(world.process(TWO).unwrap().seen.len(), before);
    world.run_until(ms(152));
    let process = world.process(TWO).unwrap();
    let burst = &process.seen[before..];
    assert!(burst.len() >= 10, "{burst:?}");
    assert!(burst.iter().all(|(_, now, _)| *now >= ms(151)));
    assert!(burst.iter().any(|(seen, ..)| *seen == Seen::Asked));
    let late = burst.iter().filter(|(seen, ..)| *seen == Seen::Timer);
    assert_eq!(late.count(), 1, "there is one timer");
    assert_eq!(world.stats().pauses, 1);
}

#[test]
fn a_pause_ends_with_its_process() {
    let mut world = calm();
    world.run_until(ms(101));
    let pause = Fault::Pause {
        node: TWO,
        lasts: ms(5000),
    };
    world.strike(&pause);
    world.inject(TWO, ());
    world.run_until(ms(140));
    let before = world.stats().undeliverable;
    world.crash(TWO, Crash::Kill);
    assert!(
        world.stats().undeliverable >= before + 5,
        "what waited is gone"
    );
    assert!(!world.strike(&pause), "nobody is there");
    world.restart(TWO);
    world.run_until(ms(200));
    assert!(beats(&world, TWO) > 3);
}

#[test]
fn a_clogged_link_holds_everything_and_lets_it_out_at_once() {
    let mut world = calm();
    world.run_until(ms(101));
    let clog = Fault::Clog {
        from: ONE,
        to: TWO,
        lasts: ms(100),
    };
    assert!(world.strike(&clog));
    let from_one = |world: &World<Beat>| {
        let seen = &world.process(TWO).unwrap().seen;
        let from = |(seen, ..): &&(Seen, _, _)| matches!(seen, Seen::Message(ONE, _));
        seen.iter().filter(from).count()
    };
    let before = from_one(&world);
    world.run_until(ms(200));
    assert!(from_one(&world) <= before, "nothing comes");
    assert!(
        count(&world, ONE, Seen::Message(TWO, 12)) == 1,
        "the other way is free"
    );
    world.run_until(ms(202));
    assert!(from_one(&world) >= before + 9);
    assert_eq!(world.stats().clogs, 1);
    assert!(world.stats().clogged >= 9 && world.stats().lost == 0);
}

#[test]
fn a_full_link_drops_any_of_its_messages() {
    let run = |max| {
        let mut options = WorldOptions::default();
        options.link_messages_max = max;
        options.delay_min = ms(100);
        let mut world = world(options);
        world.run_until(ms(1000));
        world
    };
    let (wide, full) = (run(usize::MAX), run(4));
    assert_eq!(wide.stats().overflowed, 0);
    let stats = full.stats();
    assert!(stats.overflowed > stats.sent / 2, "{stats:?}");
    assert!(stats.delivered > stats.sent / 20, "{stats:?}");
    // Not always the first and not always the last: the delays of those that come show gaps of all
    // sizes.
    let seen = &full.process(TWO).unwrap().seen;
    let numbers: BTreeSet<u64> = seen
        .iter()
        .filter_map(|(seen, ..)| match seen {
            Seen::Message(ONE, number) => Some(*number),
            _ => None,
        })
        .collect();
    let gaps: BTreeSet<u64> = numbers
        .iter()
        .zip(numbers.iter().skip(1))
        .map(|(one, next)| next - one)
        .collect();
    assert!(gaps.len() >= 3, "{gaps:?}");
}

#[test]
fn old_copies_come_long_after() {
    let mut options = WorldOptions::default();
    options.old_copies = 0.1;
    options.old_copies_after = ms(2000);
    let mut world = world(options);
    world.run_until(ms(5000));
    let kept = world.stats().old_copies;
    assert!((200..420).contains(&kept), "{kept}");
    let seen = &world.process(TWO).unwrap().seen;
    let late = seen.iter().filter(|(seen, now, _)| match seen {
        Seen::Message(_, number) => *now > BEAT * (*number as u32) + ms(500),
        _ => false,
    });
    assert!(late.count() > 20);
    let mut world = calm();
    world.run_until(ms(5000));
    assert_eq!(world.stats().old_copies, 0);
}

#[test]
fn clocks_drift_freeze_jump_and_are_set() {
    let mut world = calm();
    let clock = |node, change| Fault::Clock { node, change };
    assert!(world.strike(&clock(ONE, ClockChange::Drift { ppm: 500_000 })));
    assert!(world.strike(&clock(TWO, ClockChange::Drift { ppm: -500_000 })));
    world.run_until(ms(1000));
    let counts = [ONE, TWO, THREE].map(|node| beats(&world, node));
    assert!(
        (149..=150).contains(&counts[0]) && (49..=50).contains(&counts[1]),
        "{counts:?}"
    );
    assert_eq!(counts[2], 100);
    assert_eq!(world.local_now(ONE), Some(ms(1500)));

    let lasts = ms(300);
    assert!(world.strike(&clock(THREE, ClockChange::Freeze { lasts })));
    world.run_until(ms(1290));
    assert_eq!(beats(&world, THREE), 100);
    let heard = world.process(THREE).unwrap().seen.last().unwrap();
    assert_eq!(heard.1, ms(1000), "events come, time does not");
    world.run_until(ms(1400));
    assert_eq!(beats(&world, THREE), 110);

    let wall = world.wall(THREE).unwrap();
    assert_eq!(world.true_wall() - wall, ms(300));
    world.strike(&clock(THREE, ClockChange::StepBack { by: ms(700) }));
    assert_eq!(world.true_wall() - world.wall(THREE).unwrap(), ms(1000));
    world.run_until(ms(1450));
    world.strike(&clock(THREE, ClockChange::StepForward { by: ms(1500) }));
    assert_eq!(world.wall(THREE).unwrap() - world.true_wall(), ms(500));
    world.run_until(ms(1500));
    assert_eq!(beats(&world, THREE), 120, "timers do not look at the wall");

    world.strike(&clock(THREE, ClockChange::Jump { by: ms(95) }));
    world.run_until(ms(1501));
    assert_eq!(beats(&world, THREE), 121, "what became due fires once");
    let walls: Vec<_> = world
        .process(THREE)
        .unwrap()
        .seen
        .iter()
        .map(|seen| seen.2)
        .collect();
    assert!(
        walls.windows(2).any(|pair| pair[1] < pair[0]),
        "the wall went back"
    );
}

#[test]
fn monotonic_clocks_never_go_back() {
    for seed in 0..20 {
        let mut world = World::<Beat>::new(seed, 3, stormy(seed), 3);
        let mut shown = BTreeMap::new();
        while world.step().is_some_and(|at| at < ms(2000)) {
            for node in world.node_ids() {
                let now = world.local_now(node).unwrap();
                let before = shown.insert(node, now).unwrap_or_default();
                assert!(now >= before, "{world}");
            }
        }
    }
}

#[test]
fn syncs_wait_for_the_end_of_a_stall() {
    let mut world = calm();
    world.run_until(ms(105));
    let synced = count(&world, TWO, Seen::Synced);
    let lasts = ms(50);
    assert!(world.strike(&Fault::DiskStall { node: TWO, lasts }));
    world.run_until(ms(154));
    assert_eq!(count(&world, TWO, Seen::Synced), synced);
    assert!(beats(&world, TWO) >= 15, "the process goes on");
    world.run_until(ms(156));
    assert!(count(&world, TWO, Seen::Synced) >= synced + 5);
}

#[test]
fn a_failed_sync_is_an_error_once() {
    let mut world = calm();
    world.run_until(ms(105));
    assert!(world.strike(&Fault::SyncError { node: TWO }));
    world.run_until(ms(2000));
    let stats = world.stats();
    assert_eq!(
        (stats.sync_errors, stats.crashes_by_error, stats.starts),
        (1, 1, 4)
    );
}

#[test]
fn a_full_disk_takes_nothing_until_it_has_space() {
    let mut world = calm();
    world.run_until(ms(105));
    let length = |world: &World<Beat>| world.process(TWO).unwrap().length;
    let before = length(&world);
    let lasts = ms(100);
    assert!(world.strike(&Fault::DiskFull { node: TWO, lasts }));
    world.run_until(ms(204));
    assert_eq!(length(&world), before);
    world.run_until(ms(256));
    assert_eq!(length(&world), before + 40);
}

#[test]
fn rot_stays_within_its_budget() {
    for (max, rotten) in [(None, 1), (Some(0), 0), (Some(2), 2), (Some(9), 3)] {
        let mut chosen = BTreeSet::new();
        for seed in 0..20 {
            let mut options = WorldOptions::default();
            options.rot_every = Some(ms(20));
            options.rot_nodes_max = max;
            let mut world = World::<Beat>::new(seed, 3, options, 3);
            world.run_until(ms(1000));
            let rotted: Vec<NodeId> = world.node_ids();
            let rotted: Vec<NodeId> = rotted
                .into_iter()
                .filter(|&node| world.has_rotted(node))
                .collect();
            assert_eq!(rotted.len(), rotten, "{world}");
            assert_eq!(world.stats().rots > 20, rotten > 0);
            chosen.insert(rotted);
        }
        assert!(
            chosen.len() > 1 || rotten % 3 == 0,
            "the choice is drawn: {chosen:?}"
        );
    }
}

#[test]
fn nothing_rots_unless_the_process_says_where() {
    struct Plain;
    impl Process for Plain {
        type Message = ();
        type Input = ();
        type Shared = ();
        fn start(start: Start, (): &(), _: &mut Context<()>) -> io::Result<Self> {
            start.disk.put_image("file", &[7; 100]);
            Ok(Self)
        }
        fn handle(&mut self, _: Event<(), ()>, _: &mut Context<()>) -> io::Result<()> {
            Ok(())
        }
    }
    let mut options = WorldOptions::default();
    options.rot_every = Some(ms(1));
    let mut world = World::<Plain>::new(1, 3, options, ());
    world.run_until(ms(100));
    assert_eq!((world.stats().rots, world.faults().len()), (0, 0));
    let disks = world
        .node_ids()
        .into_iter()
        .map(|node| world.disk(node).unwrap());
    assert!(disks.into_iter().all(|disk| disk.image("file") == [7; 100]));
}

#[test]
fn all_nodes_lose_power_at_once_and_come_back_one_by_one() {
    let mut world = calm();
    world.run_until(ms(105));
    let down = Some(ms(100));
    assert!(world.strike(&Fault::PowerAll { down }));
    assert!(
        world
            .node_ids()
            .iter()
            .all(|&node| world.process(node).is_none())
    );
    let mut up = BTreeSet::new();
    while world.step().is_some_and(|at| at < ms(206)) {
        up.insert(
            world
                .node_ids()
                .iter()
                .filter(|&&node| world.process(node).is_some())
                .count(),
        );
    }
    assert_eq!(up, BTreeSet::from([0, 1, 2, 3]));
    assert_eq!(world.stats().power_losses, 3);
}

#[test]
fn a_script_of_what_struck_lets_the_same_strike_again() {
    let mut kinds = BTreeSet::new();
    for seed in 0..20 {
        let run = |options: WorldOptions| {
            let mut world = World::<Beat>::new(seed, 3, options, 3);
            world.run_until(ms(3000));
            world
        };
        let drawn = run(stormy(seed));
        let mut options = stormy(seed);
        let text = Script::from(drawn.faults()).to_string();
        options.script = Some(text.parse().unwrap());
        let replayed = run(options.clone());
        assert_eq!(drawn.faults(), replayed.faults(), "seed {seed}");
        assert_eq!(drawn.fingerprint(), replayed.fingerprint(), "seed {seed}");
        kinds.extend(drawn.faults().iter().map(|(_, fault)| fault.kind()));

        options.script.as_mut().unwrap().0.remove(0);
        assert_ne!(
            drawn.fingerprint(),
            run(options).fingerprint(),
            "seed {seed}"
        );
    }
    assert_eq!(kinds.len(), 13, "{kinds:?}");
}

#[test]
fn switching_a_kind_off_leaves_the_draws_of_the_others_alone() {
    // Nothing that changes who is up: whether a node can be struck depends on that.
    let kinds = [
        FaultKind::Clog,
        FaultKind::Drift,
        FaultKind::Freeze,
        FaultKind::Jump,
        FaultKind::Step,
        FaultKind::DiskStall,
        FaultKind::DiskFull,
        FaultKind::Partition,
        FaultKind::Loss,
    ];
    let mut options = stormy(3);
    for kind in FaultKind::ALL {
        if !kinds.contains(&kind) {
            options.switch_off(kind);
        }
    }
    let run = |options: WorldOptions| {
        let mut world = World::<Beat>::new(3, 3, options, 3);
        world.run_until(ms(3000));
        world
    };
    let all = run(options.clone());
    for kind in kinds {
        let mut options = options.clone();
        assert!(options.has(kind));
        options.switch_off(kind);
        assert!(!options.has(kind));
        let world = run(options);
        let others = all
            .faults()
            .iter()
            .filter(|(_, fault)| fault.kind() != kind);
        assert!(world.faults().iter().eq(others), "{kind}");
        if kind == FaultKind::Loss {
            assert_eq!(world.stats().lost, 0);
        }
    }
}

#[test]
fn a_healed_core_leaves_the_outside_broken() {
    let five = |world: &World<Beat>| world.node_ids().len() == 5;
    let mut world = World::<Beat>::new(7, 5, WorldOptions::default(), 5);
    assert!(five(&world));
    let (four, fifth) = (NodeId(4), NodeId(5));
    world.run_until(ms(105));
    let lasts = ms(500);
    world.strike(&Fault::Pause { node: four, lasts });
    world.strike(&Fault::Clog {
        from: TWO,
        to: ONE,
        lasts,
    });
    world.strike(&Fault::Clog {
        from: fifth,
        to: ONE,
        lasts,
    });
    world.strike(&Fault::DiskStall { node: TWO, lasts });
    let cuts = BTreeSet::from([(TWO, THREE), (TWO, fifth)]);
    world.strike(&Fault::Partition { cuts, lasts });
    world.strike(&Fault::Crash {
        node: THREE,
        crash: Crash::Power,
        strike: Strike::Now,
        down: Some(ms(10_000)),
    });
    world.strike(&Fault::Crash {
        node: fifth,
        crash: Crash::Kill,
        strike: Strike::InStep,
        down: None,
    });
    world.run_until(ms(200));
    assert!(world.process(fifth).is_none());
    world.heal_core(&BTreeSet::from([ONE, TWO, THREE]));
    assert!(world.process(THREE).is_some(), "members start");
    let synced = count(&world, TWO, Seen::Synced);
    world.run_until(ms(3000));
    assert!(
        count(&world, TWO, Seen::Synced) > synced + 200,
        "disks sync"
    );
    assert!(
        count(&world, ONE, Seen::Message(TWO, 250)) == 1,
        "nothing is clogged inside"
    );
    assert!(
        count(&world, THREE, Seen::Message(TWO, 250)) == 1,
        "nothing is cut inside"
    );
    assert!(
        world.process(fifth).is_none(),
        "who is down outside stays down"
    );
    assert!(
        beats(&world, four) < 12,
        "who is paused outside stays paused"
    );
    let seen = &world.process(ONE).unwrap().seen;
    assert!(!seen.iter().any(|(seen, now, _)| {
        *now > ms(110) && matches!(seen, Seen::Message(from, _) if *from == fifth)
    }));
    world.restart(fifth);
    world.run_until(ms(4000));
    assert_eq!(
        count(&world, fifth, Seen::Message(TWO, 350)),
        0,
        "outside links stay cut"
    );
    assert_eq!(count(&world, fifth, Seen::Message(ONE, 350)), 1);
}

#[test]
fn no_fault_strikes_after_the_end_of_faults() {
    for seed in 0..20 {
        let mut world = World::<Beat>::new(seed, 3, stormy(seed), 3);
        world.run_until(ms(1500));
        match seed % 2 {
            0 => world.stop_faults(),
            _ => world.heal_core(&world.node_ids().into_iter().collect()),
        }
        let (faults, before) = (world.faults().len(), world.stats());
        world.run_until(ms(4000));
        let after = world.stats();
        assert_eq!(world.faults().len(), faults);
        assert_eq!(
            (
                before.crashes,
                before.lost,
                before.duplicated,
                before.overflowed,
                before.old_copies
            ),
            (
                after.crashes,
                after.lost,
                after.duplicated,
                after.overflowed,
                after.old_copies
            ),
            "{world}"
        );
        for node in world.node_ids() {
            assert!(beats(&world, node) >= 249, "{world}");
        }
    }
}

#[test]
fn a_random_core_is_drawn_and_prefers_what_has_not_rotted() {
    let mut cores = BTreeSet::new();
    for seed in 0..50 {
        let mut options = WorldOptions::default();
        options.rot_every = Some(ms(20));
        let mut world = World::<Beat>::new(seed, 3, options, 3);
        let fresh = world.random_core(2);
        assert_eq!((fresh.len(), world.random_core(9).len()), (2, 3));
        cores.insert(fresh);
        world.run_until(ms(500));
        let core = world.random_core(2);
        assert!(core.iter().all(|&node| !world.has_rotted(node)));
    }
    assert_eq!(cores.len(), 3);
}

#[test]
fn a_swarm_draws_everything_and_often_leaves_it_out() {
    let swarm = Swarm::new(ms(5000));
    let mut with: BTreeMap<FaultKind, u32> = BTreeMap::new();
    let mut sizes = BTreeSet::new();
    for seed in 0..1000 {
        let options = swarm.draw(seed);
        assert_eq!(options, swarm.draw(seed));
        let kinds: Vec<_> = FaultKind::ALL
            .into_iter()
            .filter(|&kind| options.has(kind))
            .collect();
        sizes.insert(kinds.len());
        for kind in kinds {
            *with.entry(kind).or_default() += 1;
            assert!(options.to_string().contains(&kind.to_string()));
        }
        let less = Swarm::new(ms(5000)).without(FaultKind::Crash).draw(seed);
        let mut same = options;
        same.switch_off(FaultKind::Crash);
        assert_eq!(less, same, "the other draws stay");
    }
    assert_eq!(with.len(), FaultKind::ALL.len());
    assert!(
        with.values().all(|&count| (350..650).contains(&count)),
        "{with:?}"
    );
    assert!(sizes.len() > 12, "{sizes:?}");
}

#[test]
fn what_a_paused_process_has_received_no_partition_takes_back() {
    let mut world = calm();
    world.run_until(ms(101));
    let lasts = ms(50);
    world.strike(&Fault::Pause { node: TWO, lasts });
    world.run_until(ms(130));
    let before = world.process(TWO).unwrap().seen.len();
    world.isolate(TWO);
    world.run_until(ms(152));
    let burst = &world.process(TWO).unwrap().seen[before..];
    let of_one = burst
        .iter()
        .filter(|(seen, ..)| matches!(seen, Seen::Message(ONE, _)));
    assert!(of_one.count() >= 2, "{burst:?}");
}
