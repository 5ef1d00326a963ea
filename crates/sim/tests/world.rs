//! The world keeps its promises: determinism, rates, exact timers, and crashes wherever they may
//! come.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use synod_sim::{
    Context, Crash, Event, Fault, NodeId, Process, Start, Strike, World, WorldOptions,
};

const ONE: NodeId = NodeId(1);
const TWO: NodeId = NodeId(2);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// What a [`Probe`] is told to do.
#[derive(Clone, Debug)]
enum Order {
    Send {
        to: NodeId,
        count: u64,
    },
    /// Counts up in the file, syncs it, and tells both others.
    Bump,
    SetTimer(Duration),
    ClearTimer,
    StartSync,
    Fail,
}

/// Does what it is told and notes what happens to it.
struct Probe {
    start: Start,
    seen: Notes,
    next: u64,
}

type Notes = Rc<RefCell<Vec<(NodeId, u64, Duration, String)>>>;

impl Process for Probe {
    type Message = u64;
    type Input = Order;
    type Shared = Notes;

    fn start(start: Start, shared: &Notes, context: &mut Context<u64>) -> io::Result<Self> {
        start.disk.create("count")?;
        start.disk.sync_names()?;
        let probe = Self {
            start,
            seen: Rc::clone(shared),
            next: 0,
        };
        probe.note(context, "start");
        Ok(probe)
    }

    fn handle(&mut self, event: Event<u64, Order>, context: &mut Context<u64>) -> io::Result<()> {
        match event {
            Event::Message { from, message } => self.note(context, &format!("{from} {message}")),
            Event::Timer => self.note(context, &format!("timer {:?}", context.timer)),
            Event::SyncDone => self.note(context, "sync"),
            Event::Input(Order::Send { to, count }) => {
                for _ in 0..count {
                    context.send(to, self.next);
                    self.next += 1;
                }
            }
            Event::Input(Order::Bump) => {
                let count = stored(&self.start.disk.image("count")) + 1;
                self.start.disk.write_at("count", 0, &count.to_le_bytes())?;
                self.start.disk.sync("count")?;
                context.send(TWO, count);
                context.send(NodeId(3), count);
            }
            Event::Input(Order::SetTimer(at)) => context.timer = Some(at),
            Event::Input(Order::ClearTimer) => context.timer = None,
            Event::Input(Order::StartSync) => context.start_sync(),
            Event::Input(Order::Fail) => return Err(io::Error::other("told to fail")),
            _ => {}
        }
        Ok(())
    }
}

impl Probe {
    fn note(&self, context: &Context<u64>, text: &str) {
        self.seen.borrow_mut().push((
            self.start.id,
            self.start.incarnation,
            context.now,
            text.to_owned(),
        ));
    }
}

fn stored(image: &[u8]) -> u64 {
    image.try_into().map_or(0, u64::from_le_bytes)
}

fn world(seed: u64, options: WorldOptions) -> World<Probe> {
    World::new(seed, 3, options, Notes::default())
}

fn texts(world: &World<Probe>, node: NodeId) -> Vec<String> {
    world
        .shared()
        .borrow()
        .iter()
        .filter(|note| note.0 == node)
        .map(|note| note.3.clone())
        .collect()
}

fn stormy() -> WorldOptions {
    let mut options = WorldOptions::default();
    options.loss = 0.1;
    options.duplication = 0.1;
    options.crash_every = Some(ms(100));
    options.restart_after = Some(ms(30));
    options.partition_every = Some(ms(80));
    options.partition_lasts = ms(40);
    options
}

fn storm(seed: u64) -> World<Probe> {
    let mut world = world(seed, stormy());
    for round in 0..400 {
        let (node, order) = match round % 4 {
            0 => (
                NodeId(1 + round % 3),
                Order::Send {
                    to: NodeId(1 + (round + 1) % 3),
                    count: 3,
                },
            ),
            1 => (ONE, Order::Bump),
            2 => (TWO, Order::SetTimer(ms(5 * round + 7))),
            _ => (NodeId(3), Order::StartSync),
        };
        world.inject_at(ms(5 * round), node, order);
    }
    world.run_until(Duration::from_secs(2));
    world
}

#[test]
fn equal_seeds_give_equal_runs_and_others_differ() {
    let mut fingerprints = BTreeSet::new();
    for seed in 0..20 {
        let (one, two) = (storm(seed), storm(seed));
        assert_eq!(one.fingerprint(), two.fingerprint());
        assert_eq!(*one.shared().borrow(), *two.shared().borrow());
        assert!(one.last_events().eq(two.last_events()));
        assert!(
            one.stats().crashes > 3 && one.stats().partitions > 3,
            "{one}"
        );
        fingerprints.insert(one.fingerprint());
    }
    assert_eq!(fingerprints.len(), 20);
}

#[test]
fn the_fingerprint_covers_events_that_the_log_has_dropped() {
    let run = |first: Order| {
        let mut options = WorldOptions::default();
        options.events_kept_max = 5;
        options.delay_mean = Duration::ZERO;
        let mut world = world(1, options);
        world.inject(ONE, first);
        for _ in 0..10 {
            world.inject_at(ms(50), TWO, Order::ClearTimer);
        }
        world.run_until(ms(100));
        (world.last_events().collect::<Vec<_>>(), world.fingerprint())
    };
    let (one, two) = (run(Order::SetTimer(ms(3))), run(Order::SetTimer(ms(4))));
    assert_eq!((one.0.len(), &one.0), (5, &two.0));
    assert_ne!(one.1, two.1);
}

#[test]
fn messages_are_lost_and_doubled_at_the_drawn_rates_and_overtake() {
    let mut options = WorldOptions::default();
    (options.loss, options.duplication) = (0.2, 0.1);
    let mut world = world(3, options);
    let count = 20_000;
    world.inject(ONE, Order::Send { to: TWO, count });
    world.run_until(Duration::from_secs(1));
    let stats = world.stats();
    assert_eq!(
        (stats.sent, stats.delivered),
        (count, count - stats.lost + stats.duplicated)
    );
    assert!((3_800..4_200).contains(&stats.lost), "{stats:?}");
    assert!(
        (1_450..1_750).contains(&stats.duplicated),
        "a tenth of those that are not lost: {stats:?}"
    );
    let order = texts(&world, TWO);
    assert!(
        order.windows(2).filter(|pair| pair[0] > pair[1]).count() > 1000,
        "messages overtake one another"
    );
    let times: Vec<f64> = world
        .shared()
        .borrow()
        .iter()
        .skip(3)
        .map(|note| note.2.as_secs_f64() * 1e6)
        .collect();
    assert!(times.iter().all(|&time| time >= 200.0));
    let mean = times.iter().sum::<f64>() / times.len() as f64;
    assert!(
        (980.0..1_020.0).contains(&mean),
        "200 us and 800 us on average: {mean}"
    );
}

#[test]
fn timers_are_exact_and_there_is_one() {
    let mut world = world(1, WorldOptions::default());
    world.inject(ONE, Order::SetTimer(ms(10)));
    world.inject_at(ms(2), ONE, Order::SetTimer(ms(7)));
    world.inject_at(ms(4), ONE, Order::StartSync);
    world.inject_at(ms(20), ONE, Order::SetTimer(ms(15)));
    world.inject_at(ms(30), ONE, Order::SetTimer(ms(40)));
    world.inject_at(ms(35), ONE, Order::ClearTimer);
    world.inject_at(ms(50), ONE, Order::SetTimer(ms(60)));
    world.run_until(ms(55));
    world.crash(ONE, Crash::Kill);
    assert!(world.restart(ONE));
    world.run_until(ms(100));
    let timers: Vec<_> = world
        .shared()
        .borrow()
        .iter()
        .filter(|note| note.3 == "timer None")
        .map(|note| note.2)
        .collect();
    assert_eq!(
        timers,
        [ms(7), ms(20)],
        "moved, kept by other steps, past, cleared, and dead with its process"
    );
    assert_eq!(world.now(), ms(100));
}

#[test]
fn a_sync_takes_time_and_dies_with_its_process() {
    let mut world = world(1, WorldOptions::default());
    world.inject(ONE, Order::StartSync);
    world.inject(TWO, Order::StartSync);
    world.run_until(Duration::ZERO);
    world.crash(TWO, Crash::Kill);
    world.restart(TWO);
    world.run_until(ms(50));
    let syncs: Vec<_> = world
        .shared()
        .borrow()
        .iter()
        .filter(|note| note.3 == "sync")
        .map(|note| (note.0, note.2))
        .collect();
    assert!(
        syncs.len() == 1 && syncs[0].0 == ONE && syncs[0].1 >= Duration::from_micros(150),
        "{syncs:?}"
    );
}

#[test]
fn cut_links_are_directed_and_take_what_is_under_way() {
    let mut options = WorldOptions::default();
    options.delay_min = ms(5);
    let mut world = world(1, options);
    world.inject(ONE, Order::Send { to: TWO, count: 1 });
    world.run_until(ms(1));
    world.cut(ONE, TWO);
    world.inject(ONE, Order::Send { to: TWO, count: 1 });
    world.inject(TWO, Order::Send { to: ONE, count: 1 });
    world.run_until(ms(200));
    assert_eq!(
        (
            texts(&world, ONE).len(),
            texts(&world, TWO).len(),
            world.stats().cut
        ),
        (2, 1, 2)
    );
    world.heal_all();
    world.isolate(NodeId(3));
    for node in [ONE, TWO] {
        world.inject(
            node,
            Order::Send {
                to: NodeId(3),
                count: 1,
            },
        );
        world.inject(NodeId(3), Order::Send { to: node, count: 1 });
    }
    world.inject(ONE, Order::Send { to: TWO, count: 1 });
    world.run_until(ms(400));
    assert_eq!(
        (
            texts(&world, TWO).len(),
            texts(&world, NodeId(3)).len(),
            world.stats().cut
        ),
        (2, 1, 6)
    );
}

#[test]
fn a_crash_in_a_step_comes_between_the_sync_and_the_sends() {
    let mut reached = BTreeSet::new();
    for seed in 0..60 {
        let mut world = world(seed, WorldOptions::default());
        world.crash_in_step(ONE, Crash::Power);
        world.inject(ONE, Order::Bump);
        world.run_until(Duration::ZERO);
        assert!(world.process(ONE).is_none());
        assert_eq!(
            stored(&world.disk(ONE).unwrap().image("count")),
            1,
            "what was synced is there"
        );
        world.run_until(ms(100));
        reached.insert((
            texts(&world, TWO).len() - 1,
            texts(&world, NodeId(3)).len() - 1,
        ));
    }
    assert_eq!(
        reached,
        BTreeSet::from([(0, 0), (1, 0), (1, 1)]),
        "each prefix of two messages, and nothing else"
    );
}

#[test]
fn a_crash_at_a_disk_operation_comes_between_the_write_and_the_sync() {
    let mut survived = BTreeSet::new();
    for seed in 0..60 {
        for crash in [Crash::Kill, Crash::Power] {
            let mut world = world(seed, WorldOptions::default());
            world.options_mut().restart_after = None;
            world.crash_at_operation(ONE, 1, crash);
            world.inject(ONE, Order::Bump);
            world.run_until(ms(100));
            let (stats, image) = (world.stats(), world.disk(ONE).unwrap().image("count"));
            assert_eq!(
                (stats.crashes, stats.crashes_by_error, stats.sent),
                (1, 1, 0),
                "{world}"
            );
            survived.insert((crash == Crash::Power, stored(&image)));
            assert!(world.restart(ONE));
            assert_eq!(world.process(ONE).unwrap().start.incarnation, 2);
        }
    }
    assert_eq!(
        survived,
        BTreeSet::from([(false, 1), (true, 0), (true, 1)]),
        "a kill keeps the page cache; a power loss may"
    );
}

#[test]
fn an_error_is_a_crash_and_the_node_comes_back() {
    let mut world = world(1, WorldOptions::default());
    world.inject(ONE, Order::Bump);
    world.inject(ONE, Order::Fail);
    world.inject(ONE, Order::Bump);
    world.run_until(Duration::ZERO);
    assert!(world.process(ONE).is_none());
    assert_eq!(
        (world.stats().crashes_by_error, world.stats().undeliverable),
        (1, 1)
    );
    assert!(world.run_while(Duration::from_secs(30), |world| {
        world.process(ONE).is_none()
    }));
    assert!(world.now() > Duration::ZERO);
    let seeds: BTreeSet<_> = world
        .node_ids()
        .iter()
        .map(|&id| world.process(id).unwrap().start.seed)
        .collect();
    assert_eq!(seeds.len(), 3);
}

#[test]
fn when_faults_stop_everything_heals() {
    for seed in 0..30 {
        let mut world = storm(seed);
        world.crash(TWO, Crash::Kill);
        world.crash_in_step(ONE, Crash::Kill);
        world.crash_at_operation(NodeId(3), 0, Crash::Power);
        world.cut(ONE, TWO);
        world.stop_faults();
        assert!(
            world
                .node_ids()
                .iter()
                .all(|&id| world.process(id).is_some()),
            "{world}"
        );
        world.run_until(world.now() + Duration::from_secs(1));
        let (before, had) = (world.stats(), texts(&world, TWO).len());
        world.inject(
            ONE,
            Order::Send {
                to: TWO,
                count: 100,
            },
        );
        world.inject(NodeId(3), Order::Bump);
        world.run_until(world.now() + Duration::from_secs(20));
        let after = world.stats();
        assert_eq!(
            (after.crashes, after.lost, after.cut, after.duplicated),
            (before.crashes, before.lost, before.cut, before.duplicated)
        );
        assert_eq!(texts(&world, TWO).len(), had + 101);
    }
}

#[test]
fn the_nemesis_leaves_as_many_up_as_it_is_told() {
    for seed in 0..20 {
        let mut options = stormy();
        options.down_max = 1;
        options.crash_every = Some(ms(20));
        let mut world = world(seed, options);
        // Nobody fails by itself here, so at most one is down at any time.
        while world.step().is_some_and(|at| at < Duration::from_secs(2)) {
            let down = world
                .node_ids()
                .iter()
                .filter(|&&id| world.process(id).is_none())
                .count();
            assert!(down <= 1, "{world}");
        }
        assert!(world.stats().crashes > 5, "{world}");
    }
}

#[test]
fn the_story_has_a_column_for_each_node() {
    let mut world = world(1, WorldOptions::default());
    world.inject(ONE, Order::Send { to: TWO, count: 1 });
    world.run_until(ms(50));
    world.crash(TWO, Crash::Power);
    world.inject(NodeId(3), Order::Send { to: TWO, count: 1 });
    world.run_until(ms(90));
    world.isolate(TWO);
    world.stop_faults();
    let story = world.story().to_string();
    let lines: Vec<&str> = story.lines().collect();
    let column = |line: &str, node: usize| {
        line.chars()
            .skip(13 + 36 * (node - 1))
            .take(36)
            .collect::<String>()
    };
    assert_eq!(
        lines[0].split_whitespace().collect::<Vec<_>>(),
        ["ms", "n1", "n2", "n3"]
    );
    for node in 1..=3 {
        assert_eq!(column(lines[0], node).trim(), format!("n{node}"));
        assert!(
            column(lines[node], node).starts_with("starts, incarnation 1"),
            "{story}"
        );
    }
    let find = |text: &str| *lines.iter().find(|line| line.contains(text)).unwrap();
    let heard = find("<- n1 0");
    assert!(
        column(heard, 2).starts_with("<- n1 0") && column(heard, 1).starts_with('|'),
        "{story}"
    );
    let died = find("loses power");
    assert!(column(died, 2).starts_with("loses power"), "{story}");
    let lost = find("(nobody there)");
    assert!(
        column(lost, 3).starts_with("-x n2 0") && column(lost, 2).trim().is_empty(),
        "{story}"
    );
    assert!(find("faults stop").contains("-- faults stop"));
    assert!(
        lines
            .iter()
            .all(|line| line.chars().count() <= 121 && line.trim_end() == *line)
    );
}

#[test]
#[should_panic(expected = "a million events wait")]
fn messages_that_multiply_are_noticed() {
    struct Eager;
    impl Process for Eager {
        type Message = ();
        type Input = ();
        type Shared = ();
        fn start(_: Start, (): &(), context: &mut Context<()>) -> io::Result<Self> {
            context.send(ONE, ());
            Ok(Self)
        }
        fn handle(&mut self, _: Event<(), ()>, context: &mut Context<()>) -> io::Result<()> {
            (0..3).for_each(|_| context.send(ONE, ()));
            Ok(())
        }
    }
    let mut world = World::<Eager>::new(1, 1, WorldOptions::default(), ());
    world.run_until(Duration::from_secs(60));
}

#[test]
fn running_while_a_condition_holds_ends_at_the_limit() {
    let mut world = world(1, WorldOptions::default());
    assert!(!world.run_while(ms(10), |_| true));
    assert_eq!(world.now(), ms(10));
    assert!(world.run_while(ms(20), |_| false));
    assert_eq!(world.now(), ms(10));
}

#[test]
#[should_panic(expected = "virtual time stands still")]
fn time_that_stands_still_is_noticed() {
    struct Eager;
    impl Process for Eager {
        type Message = ();
        type Input = ();
        type Shared = ();
        fn start(_: Start, (): &(), context: &mut Context<()>) -> io::Result<Self> {
            context.timer = Some(Duration::ZERO);
            Ok(Self)
        }
        fn handle(&mut self, _: Event<(), ()>, context: &mut Context<()>) -> io::Result<()> {
            context.timer = Some(Duration::ZERO);
            Ok(())
        }
    }
    let mut world = World::<Eager>::new(1, 1, WorldOptions::default(), ());
    world.run_until(ms(1));
}

#[test]
fn a_disk_set_to_die_while_its_node_is_down_dies_in_the_next_process() {
    for crash in [Crash::Kill, Crash::Power] {
        let mut world = world(1, WorldOptions::default());
        world.crash(ONE, Crash::Kill);
        world.crash_at_operation(ONE, 0, crash);
        assert!(
            !world.restart(ONE),
            "{crash:?}: it dies in its first operation"
        );
        world.run_until(Duration::from_secs(5));
        assert!(world.process(ONE).is_some(), "and comes back");
    }
}

#[test]
fn a_step_that_was_to_be_the_last_is_that_also_if_it_fails() {
    let mut world = world(1, WorldOptions::default());
    let fault = Fault::Crash {
        node: ONE,
        crash: Crash::Power,
        strike: Strike::InStep,
        down: None,
    };
    assert!(world.strike(&fault));
    world.inject(ONE, Order::Fail);
    world.run_until(Duration::from_secs(5));
    assert_eq!(world.stats().power_losses, 1);
    assert!(world.process(ONE).is_none(), "nobody has restarted it");
}

#[test]
fn the_fingerprint_covers_what_the_disks_have_done() {
    let (one, two) = (storm(1), storm(1));
    assert_eq!(one.fingerprint(), two.fingerprint());
    let disk = one.disk(ONE).unwrap();
    disk.write_at("count", 0, b"another").unwrap();
    assert_ne!(one.fingerprint(), two.fingerprint());
}

#[test]
fn when_faults_stop_a_disk_that_the_test_has_filled_has_space_too() {
    let mut world = world(1, WorldOptions::default());
    let disk = world.disk(ONE).unwrap().clone();
    disk.fill(true);
    disk.fail_syncs(true);
    world.inject(ONE, Order::Bump);
    world.run_until(ms(10));
    world.stop_faults();
    world.inject(ONE, Order::Bump);
    world.run_until(ms(20));
    assert_eq!(stored(&disk.image("count")), 1);
}
