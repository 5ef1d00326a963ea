//! Each demo writes a page: it shows the run of the report, and to record it changes nothing.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use synod_sim::page::Recorder;
use synod_walls::Report;
use synod_walls::cap::{self, CapOptions};
use synod_walls::clocks::{self, ClocksOptions};
use synod_walls::comforts::{self, ComfortsOptions};
use synod_walls::fallacies::{self, FallaciesOptions};
use synod_walls::flp::{self, FlpOptions};
use synod_walls::generals::{self, GeneralsOptions};
use synod_walls::illusion::{self, IllusionOptions};
use synod_walls::suspicion::{self, SuspicionOptions};

/// A page of a run that was made with and without it, for some seeds.
fn shown(run: impl Fn(u64, Option<&Recorder>) -> Report) -> Vec<Page> {
    let page = |seed| {
        let recorder = Recorder::new("shown").events_max(7_000);
        let (plain, recorded) = (run(seed, None), run(seed, Some(&recorder)));
        assert!(
            plain == recorded && plain.stands,
            "seed {seed}: recording changes a run:\n{}\n{}",
            plain.text,
            recorded.text
        );
        Page::of(recorder.html())
    };
    (1..=SEEDS).map(page).collect()
}

/// What stands in a page, as its script reads it.
struct Page {
    text: String,
    titles: Vec<String>,
    operations: Vec<String>,
}

impl Page {
    /// Takes a page apart that is whole and not too large.
    fn of(text: String) -> Self {
        assert!(text.len() < 1_000_000, "{} bytes", text.len());
        assert!(text.starts_with("<!doctype html>") && text.ends_with("</html>\n"));
        let texts = list(&text, "texts");
        let named = |number: &str| texts[number.parse::<usize>().expect("a number")].clone();
        let operations = items(&text, "operations").into_iter().map(|item| {
            let fields: Vec<&str> = item.split(',').collect();
            let [client, _, at, asked, answer, _] = fields[..] else {
                panic!("an operation: {item}");
            };
            let answer = match at {
                "-1" => "?".to_owned(),
                _ => named(answer),
            };
            format!("{} {} -> {answer}", named(client), named(asked))
        });
        let operations = operations.collect();
        let runs = between(&text, "\"runs\":[[", "]]").split("],[");
        let title = |run: &str| run.splitn(3, ',').nth(2).expect("a title").to_owned();
        let titles = runs.map(title).collect();
        let events = items(&text, "events").len();
        let messages = items(&text, "messages").len();
        assert!(events > 10 && messages > 10, "{events} and {messages}");
        Self {
            text,
            titles,
            operations,
        }
    }

    /// The text with which it opens, and whether that is of a broken rule.
    fn opening(&self) -> (String, bool) {
        let violation = between(&self.text, "\"violation\":", ",\"opening\"");
        let (found, is_violation) = match violation {
            "null" => (between(&self.text, "\"opening\":[", "],\"runs\""), false),
            violation => (violation, true),
        };
        let (_, what) = found.split_once(',').expect("an event and a text");
        (what.trim_matches(['"', ']']).to_owned(), is_violation)
    }

    fn has_asked(&self, operation: &str) -> bool {
        self.operations.iter().any(|it| it == operation)
    }
}

fn between<'a>(text: &'a str, begin: &str, end: &str) -> &'a str {
    let (_, rest) = text.split_once(begin).expect(begin);
    rest.split_once(end).expect(end).0
}

/// The lines of a list, each without its brackets.
fn items(page: &str, name: &str) -> Vec<String> {
    let (_, rest) = page.split_once(&format!("\"{name}\":[\n")).expect(name);
    let lines = rest.lines().take_while(|line| line.starts_with('['));
    let bare = |line: &str| {
        let line = line.trim_end_matches(',');
        line[1..line.len() - 1].to_owned()
    };
    lines.map(bare).collect()
}

/// A list of texts, in which nothing is escaped but quotes.
fn list(page: &str, name: &str) -> Vec<String> {
    let texts = between(page, &format!("\"{name}\":["), "]}</script>").replace("\\\"", "\u{1}");
    let texts = texts.trim_matches('"').split("\",\"");
    texts.map(|text| text.replace('\u{1}', "\"")).collect()
}

#[test]
fn cap_shows_both_operations_of_the_theorem() {
    let pages = shown(|seed, recorder| {
        let options = CapOptions {
            seed,
            cuts: vec![1],
        };
        cap::run(&options, recorder)
    });
    for page in pages {
        assert_eq!(page.titles.len(), 4, "a run a store");
        let count = |operation: &str| {
            let all = page.operations.iter();
            all.filter(|it| *it == operation).count()
        };
        // In the end all are answered, and the two available ones have not seen the write.
        assert_eq!(count("c1 put x \"new\" -> done"), 4);
        assert!(count("c2 get x -> \"old\"") >= 2, "{:?}", page.operations);
        let (what, is_violation) = page.opening();
        assert!(
            is_violation && what.starts_with("not linearizable: the write at n"),
            "{what}"
        );
        assert!(page.text.contains("is cut"));
        assert!(page.text.contains("\"first\":1,"), "all of it is there");
    }
}

#[test]
fn generals_open_where_one_attacks_alone() {
    let pages =
        shown(|seed, recorder| generals::run(&GeneralsOptions { seed, plans: 20 }, recorder));
    for page in pages {
        let (what, is_violation) = page.opening();
        assert_eq!(what, "agreement: Alice stays, and Bob attacks");
        assert!(is_violation && page.titles.len() == 7, "{:?}", page.titles);
        for deed in [
            "Alice attack or stay? -> attacks",
            "Alice attack or stay? -> stays",
            "Bob attack or stay? -> stays",
            "sender pay one, text 1 of session 7 -> paid: 1 in all",
        ] {
            assert!(page.has_asked(deed), "{deed}: {:?}", page.operations);
        }
        assert!(page.text.contains("the messenger is caught"));
    }
}

#[test]
fn clocks_show_their_intervals() {
    let pages = shown(|seed, recorder| clocks::run(&ClocksOptions { seed, runs: 20 }, recorder));
    for page in pages {
        assert_eq!(page.titles.len(), 3, "{:?}", page.titles);
        let (what, is_violation) = page.opening();
        assert!(
            !is_violation && what.contains("nobody can tell this run"),
            "{what}"
        );
        // Of four milliseconds of uncertainty half is left on either side.
        let intervals = page.text.matches(",[-3000000,1000000]]").count();
        assert!(intervals > 0, "no clock has an interval");
    }
}

#[test]
fn flp_shows_the_circle_and_a_way_to_either_value() {
    let pages = shown(|seed, recorder| {
        let options = FlpOptions {
            steps: 600,
            seed,
            runs: 100,
        };
        flp::run(&options, recorder)
    });
    let mut circles = 0;
    for page in pages {
        assert_eq!(page.titles.len(), 3, "{:?}", page.titles);
        assert!(page.titles[1].contains("0 can be decided"));
        assert!(page.titles[2].contains("1 can be decided"));
        let (what, is_violation) = page.opening();
        circles += u64::from(what.starts_with("a circle begins"));
        assert!(!is_violation);
        let decided = |value: &str| {
            let mut ends = page.operations.iter();
            ends.any(|it| it.ends_with(&format!("-> decided {value}")))
        };
        assert!(decided("0") && decided("1"), "{:?}", page.operations);
        let undecided = page.operations.iter().take(3);
        assert_eq!(undecided.filter(|it| it.ends_with("-> ?")).count(), 3);
    }
    assert!(circles > 0, "no page shows a circle");
}

#[test]
fn comforts_show_the_counter_that_goes_stale() {
    let pages =
        shown(|seed, recorder| comforts::run(&ComfortsOptions { seed, each: 40 }, recorder));
    for page in pages {
        assert_eq!(page.titles.len(), 3, "{:?}", page.titles);
        let (what, is_violation) = page.opening();
        assert!(
            is_violation && what.starts_with("not linearizable"),
            "{what}"
        );
        assert!(page.text.contains("half a transfer: the sum was"));
        assert!(
            page.operations
                .iter()
                .any(|it| it.contains("append counter"))
        );
    }
}

#[test]
fn suspicion_opens_where_the_late_notes_come() {
    let pages =
        shown(|seed, recorder| suspicion::run(&SuspicionOptions { seed, svg: None }, recorder));
    for page in pages {
        let (what, is_violation) = page.opening();
        assert!(
            !is_violation && what.starts_with("the last moment before the late notes come"),
            "{what}"
        );
        assert_eq!(page.titles.len(), 2);
        for part in ["SWIM: suspects", "SWIM: trusts again", "walks out"] {
            assert!(page.text.contains(part), "{part}");
        }
    }
}

#[test]
fn fallacies_show_each_of_the_eight() {
    let pages = shown(|seed, recorder| fallacies::run(&FallaciesOptions { seed }, recorder));
    for page in pages {
        for number in 1..=8 {
            let number = format!("\"{number}. ");
            let is_there = page.titles.iter().any(|title| title.starts_with(&number));
            assert!(is_there, "{number}: {:?}", page.titles);
        }
        let (what, is_violation) = page.opening();
        assert!(
            is_violation && what.starts_with("not linearizable"),
            "{what}"
        );
        assert!(page.text.contains("a forged heartbeat of term"));
        assert!(page.text.contains("\"first\":1,"), "all of it is there");
    }
}

#[test]
fn the_illusion_opens_at_its_longest_pause() {
    let run = |seed, recorder: Option<&Recorder>| {
        illusion::run(&IllusionOptions { seed, seconds: 5 }, recorder)
    };
    for (seed, page) in (1..).zip(shown(run)) {
        let (what, is_violation) = page.opening();
        let before = "from here on no client had an answer for ";
        let pause = what.strip_prefix(before).expect("a pause");
        let told = format!("the longest pause: {pause} from");
        assert!(
            !is_violation && run(seed, None).text.contains(&told),
            "{what}"
        );
        assert!(page.text.contains("crash") && page.operations.len() > 10);
    }
}

fn walls(arguments: &[&str], page: &Path) -> Output {
    let mut walls = Command::new(env!("CARGO_BIN_EXE_walls"));
    walls.args(arguments).arg("--html").arg(page);
    walls.output().expect("the program starts")
}

#[test]
fn one_flag_writes_the_page_of_any_demo() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let page = folder.join("generals.html");
    drop(std::fs::remove_file(&page));
    let run = walls(&["generals", "--seed", "5", "--plans", "20"], &page);
    assert!(run.status.success() && run.stderr.is_empty(), "{run:?}");
    let page = std::fs::read_to_string(page).expect("a page");
    assert!(page.contains("walls generals --seed 5") && page.contains("<title>The two generals"));
    // A folder is no file.
    let run = walls(&["generals", "--plans", "20"], &folder);
    assert_eq!(run.status.code(), Some(2));
    let error = String::from_utf8_lossy(&run.stderr);
    assert!(
        error.starts_with("walls: ") && error.lines().count() == 1,
        "{error}"
    );
}

const SEEDS: u64 = 3;
