//! What stands in a page, and that recording changes no run.

use synod_sim::page::{self, Kind, Recorder};
use synod_sim::script::{Folder, Stage};
use synod_sim::{NodeId, World, WorldOptions};

use super::runs::{EVIL, Ring, bad, by_hand, long, ms, twice};

fn recorded(seed: u64, options: WorldOptions) -> (Recorder, World<Ring>) {
    let recorder = Recorder::new("Ring");
    let mut world = World::recorded(seed, 3, options, 3, &recorder);
    world.run_until(ms(1_000));
    (recorder, world)
}

/// The items of a list of the page, each a line of numbers.
fn items(page: &str, name: &str) -> Vec<Vec<i128>> {
    let (_, rest) = page.split_once(&format!("\"{name}\":[\n")).expect("a list");
    let numbers = |line: &str| {
        let fields = line.trim_start_matches('[').split(',');
        fields
            .map_while(|field| field.trim_end_matches(']').parse().ok())
            .collect()
    };
    let lines = rest.lines().take_while(|line| line.starts_with('['));
    lines.map(numbers).collect()
}

#[test]
fn recording_changes_no_run() {
    for seed in 0..20 {
        let (recorder, world) = recorded(seed, bad());
        let mut plain = World::<Ring>::new(seed, 3, bad(), 3);
        plain.run_until(ms(1_000));
        let same = plain.fingerprint() == world.fingerprint() && plain.stats() == world.stats();
        assert!(same, "recording changes the run of seed {seed}");
        assert!(
            recorder.events() > 500,
            "seed {seed}: {}",
            recorder.events()
        );
    }
}

#[test]
fn all_that_happens_in_a_world_is_there() {
    let mut pages = String::new();
    for seed in 0..10 {
        let (recorder, world) = recorded(seed, bad());
        let (page, stats) = (recorder.html(), world.stats());
        let events = items(&page, "events");
        let of_kind = |kind: Kind| {
            let of_kind = |event: &&Vec<i128>| event[2] == kind as i128;
            events.iter().filter(of_kind).count() as u64
        };
        assert_eq!(of_kind(Kind::Message), stats.delivered, "seed {seed}");
        assert_eq!(of_kind(Kind::Start), stats.starts, "seed {seed}");
        assert_eq!(of_kind(Kind::Crash), stats.crashes, "seed {seed}");
        let messages = items(&page, "messages");
        let sent = stats.sent + stats.duplicated + stats.old_copies;
        assert_eq!(messages.len() as u64, sent, "seed {seed}");
        let count = |is_meant: fn(&Vec<i128>) -> bool| {
            messages.iter().filter(|message| is_meant(message)).count() as u64
        };
        assert_eq!(
            count(|message| message[5] > 0),
            stats.delivered,
            "seed {seed}"
        );
        let gone = stats.lost + stats.cut + stats.undeliverable;
        assert_eq!(count(|message| message[6] >= 0), gone, "seed {seed}");
        pages.push_str(&page);
    }
    for part in [
        "partition n",
        "the partition ends",
        "pause n",
        "goes on",
        "old of ",
        "commits up to",
        "knows as committed up to",
        "nobody there",
        "cut off",
    ] {
        assert!(pages.contains(part), "{part} is not there");
    }
}

#[test]
fn a_message_that_is_lost_arrives_nowhere() {
    let mut options = WorldOptions::default();
    options.loss = 1.0;
    let (recorder, world) = recorded(1, options);
    let messages = items(&recorder.html(), "messages");
    assert_eq!(messages.len() as u64, world.stats().lost);
    let arrives = |message: &Vec<i128>| message[5] > 0 || message[6] < 0;
    assert!(!messages.iter().any(arrives), "a lost message arrives");
}

#[test]
fn a_page_of_a_thousand_events_is_under_a_megabyte() {
    let recorder = Recorder::new("Ring").events_max(1_000);
    let mut world = World::<Ring>::recorded(7, 9, bad(), 9, &recorder);
    while recorder.events() < 5_000 {
        world.step();
    }
    let bytes = recorder.html().len();
    println!("{bytes} bytes");
    assert_eq!(items(&recorder.html(), "events").len(), 1_000);
    assert!(bytes < 1_000_000, "{bytes} bytes");
}

#[test]
fn what_is_left_out_is_counted_and_leaves_no_gap() {
    let (whole, part) = (long(3_000), long(3_000).events_max(100));
    let (whole, part) = (whole.html(), part.html());
    assert!(whole.contains("\"first\":1,") && part.contains("\"first\":2901,"));
    let last = |page: &str| items(page, "events").last().cloned();
    assert_eq!(items(&part, "events").len(), 100);
    assert_eq!(
        last(&whole).map(|event| event[0]),
        last(&part).map(|event| event[0])
    );
    // A message from before has no sender, and none points at an event that is not there.
    let messages = items(&part, "messages");
    let sent_before = messages.iter().filter(|message| message[3] == 0).count();
    assert!(sent_before > 0);
    let known = |number: &i128| *number == 0 || (2901..=3000).contains(number);
    assert!(
        messages
            .iter()
            .all(|message| known(&message[3]) && known(&message[5]))
    );
    // What the log held before the first event that is kept is there as the nodes' beginning.
    let (_, nodes) = part.split_once("\"nodes\":[\n").expect("nodes");
    assert!(
        nodes
            .lines()
            .next()
            .is_some_and(|node| node.contains("count 28")),
        "what the log held before is gone: {nodes:.300}"
    );
}

#[test]
fn text_stays_text() {
    let page = by_hand().html();
    assert!(
        !page.contains("<img") && !page.contains("<b>"),
        "markup in a page"
    );
    assert_eq!(
        page.matches("<script").count(),
        2,
        "a script of somebody else"
    );
    assert_eq!(page.matches("</script").count(), 2, "a script ends early");
    let escaped = EVIL.replace('<', "\\u003c").replace('"', "\\\"");
    assert!(page.contains(&escaped));
    // Nothing is fetched from anywhere.
    assert!(!page.contains("http:") && !page.contains("https:") && !page.contains("url("));
}

#[test]
fn a_violation_is_at_the_event_after_which_it_was_found() {
    let stands = |recorder: &Recorder, violation: &str| {
        let page = recorder.html();
        let told = page.split_once("\"violation\":").map(|(_, told)| told);
        let told = told.unwrap_or_default();
        assert!(
            told.starts_with(violation),
            "the moment of the violation: {told:.40}"
        );
    };
    stands(&by_hand(), "[8,\"rule: broken");
    // The first one counts, and what is found later of an earlier time stands there.
    let recorder = by_hand();
    recorder.violation("another");
    stands(&recorder, "[8,\"rule: broken");
    recorder.violation_at(ms(5), "an answer of then");
    stands(&recorder, "[5,\"an answer of then\"]");
    stands(&Recorder::new("none"), "null");
}

#[test]
fn several_runs_stand_one_behind_the_other() {
    let page = twice().html();
    // Each begins with its title, the second a second behind the last event of the first.
    let events = items(&page, "events");
    let times: Vec<i128> = events.iter().map(|event| event[0] / 1_000_000).collect();
    let expected = [0, 1, 3, 5, 1005, 1006, 1010];
    assert_eq!(times, expected, "each run has its own time");
    assert!(page.contains("\"runs\":[[1,0,\"it arrives\"],[5,1005000000,\"it is lost\"]]"));
    // What lasts ends with its run, and a clock counts from the run's own beginning.
    let spans = items(&page, "spans");
    assert_eq!((spans[0][1], spans[1][1]), (1_005_000_000, -1));
    let clocks = page.matches(",[0,0]]").count();
    assert_eq!(clocks, 2, "the nodes', and no event has another");
    // The first run has what the page is to show, and a violation counts more.
    assert!(page.contains("\"violation\":null,\"opening\":[4,\"where both part\"]"));
    let recorder = twice();
    recorder.violation_at(ms(1), "a rule");
    recorder.opens_at(ms(1), "nothing");
    let page = recorder.html();
    assert!(page.contains("\"violation\":[6,\"a rule\"],\"opening\":null"));
}

#[test]
fn a_story_that_panics_leaves_its_page() {
    let name = "a_story_told_by_hand";
    let page = page::beside_tests(&format!("synod-sim-{name}.html"));
    drop(std::fs::remove_file(&page));
    let told = |fails: bool| {
        let story = move || {
            let recorder = Recorder::new("told");
            let _left = page::LeftByPanic::new(&recorder);
            recorder.event(ms(1), NodeId(1), Kind::Start, "starts");
            assert!(!fails, "rule: it is broken");
        };
        let thread = std::thread::Builder::new().name(name.to_owned());
        thread.spawn(story).expect("a thread").join()
    };
    assert!(told(false).is_ok() && !page.exists(), "nothing failed");
    assert!(told(true).is_err());
    let page = std::fs::read_to_string(page).expect("a page");
    assert!(page.contains("\"violation\":[1,\"rule: it is broken\"]"));
}

/// Tells what it is told to a recorder, and fails where it shall.
#[derive(Default)]
struct Teller(Option<Recorder>);

impl Stage for Teller {
    fn play(&mut self, command: &str) -> Result<(), String> {
        if let Some(recorder) = &self.0 {
            recorder.event(ms(1), NodeId(1), Kind::Note, command);
        }
        match command {
            "expect failure" => Err("it fails".to_owned()),
            _ => Ok(()),
        }
    }

    fn take_lines(&mut self) -> Vec<String> {
        Vec::new()
    }

    fn record(&mut self, recorder: &Recorder) {
        self.0 = Some(recorder.clone());
    }
}

#[test]
fn a_script_that_fails_leaves_its_page() {
    let root = env!("CARGO_TARGET_TMPDIR");
    let folder = Folder::new(root, "told", "nothing");
    let files = std::path::Path::new(root).join("told");
    std::fs::create_dir_all(&files).expect("a folder");
    let play = |name: &str, text: &str| {
        let page = page::beside_tests(&format!("{name}.html"));
        drop(std::fs::remove_file(&page));
        std::fs::write(files.join(format!("{name}.txt")), text).expect("a script");
        let played = std::panic::catch_unwind(|| folder.check(name, &mut Teller::default()));
        (played.is_ok(), std::fs::read_to_string(page).ok())
    };
    let (passed, page) = play("page_of_none", "expect nothing\n");
    assert!(passed && page.is_none());
    let (passed, page) = play("page_of_a_failure", "expect nothing\nexpect failure\n");
    let page = page.expect("a page");
    assert!(!passed && page.contains("page_of_a_failure.txt:2: `expect failure`: it fails"));
}

#[test]
fn a_panic_is_what_was_found_out() {
    let recorder = Recorder::new("panics");
    let ended: Option<()> = recorder.watch(|| {
        recorder.event(ms(1), NodeId(1), Kind::Start, "starts");
        panic!("rule: it is broken");
    });
    assert_eq!(ended, None);
    assert!(
        recorder
            .html()
            .contains("\"violation\":[1,\"rule: it is broken\"]")
    );
    assert_eq!(recorder.watch(|| 7), Some(7));
}
