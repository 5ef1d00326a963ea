//! Two-phase commit, and why it blocks: a protocol that knows nothing of the simulator, explored and
//! played in a script.
//!
//! A coordinator asks two participants for their votes. If both say yes it decides to commit, else to
//! abort, and tells. A participant that has not voted may abort by itself; one that has voted yes may
//! not, until it hears the decision. So when the coordinator is gone for good at the wrong moment, it
//! waits for ever, with its locks. `cargo run -p synod-sim --example two_phase_commit` prints the
//! shortest way there, and a script that goes it; with `-- FILE.html` it draws it as a page.

#[path = "two_phase_commit/explored.rs"]
mod explored;
#[path = "two_phase_commit/played.rs"]
mod played;
#[path = "two_phase_commit/protocol.rs"]
mod protocol;
#[path = "two_phase_commit/shown.rs"]
mod shown;

use explored::Schedules;
use played::Table;
use synod_sim::script;
use synod_sim::search::{Found, search};

fn main() {
    let found = explore(0, false);
    println!("No crash: {found}. Everybody gets on.\n");
    let found = explore(1, false);
    let Some(blocked) = found.violation else {
        panic!("it blocks, as is known since 1978: {found}");
    };
    println!("One crash: {blocked}");
    let played = script::play(STORY, &mut Table::default());
    println!("{}", played.text);
    if let Some(failure) = played.failure {
        panic!("{failure}");
    }
    if let Some(path) = std::env::args_os().nth(1) {
        shown::blocked().write(&path).expect("it can be written");
        println!("Drawn: {}", path.display());
    }
}

fn explore(crashes: u8, may_block: bool) -> Found<&'static str> {
    search(&Schedules { crashes, may_block }, 100_000)
}

/// What must hold is said by `expect`; what happened was written by the player.
const STORY: &str = include_str!("two_phase_commit/blocked.txt");

#[test]
fn it_gets_on_if_nobody_crashes() {
    let found = explore(0, false);
    assert!(found.is_complete, "{:?}", found.violation);
    assert!(found.met.contains("all commit") && found.met.contains("all abort"));
}

#[test]
fn it_blocks_where_the_coordinator_is_gone() {
    let blocked = explore(1, false).violation.expect("it blocks");
    assert!(blocked.rule.starts_with("blocked"), "{blocked}");
    let crashes = |line: &String| line == "the coordinator crashes";
    assert!(blocked.story.iter().any(crashes), "{blocked}");
}

/// Whoever crashes, nobody commits what another aborts.
#[test]
fn it_is_atomic() {
    let found = explore(3, true);
    assert!(found.is_complete, "{:?}", found.violation);
}

#[test]
fn the_blocking_state_is_shown() {
    let page = shown::blocked().html();
    for part in ["in doubt", "nobody there", "blocked: somebody has voted"] {
        assert!(page.contains(part), "{part}");
    }
}

#[test]
fn the_story_is_as_it_is_written() {
    let played = script::play(STORY, &mut Table::default());
    assert_eq!(played.failure, None);
    assert_eq!(played.text, STORY);
}
