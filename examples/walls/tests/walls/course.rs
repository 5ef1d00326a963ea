//! The course's commands run as they stand there, and what it points at is there.

use std::path::{Path, PathBuf};
use std::process::Command;

fn course() -> (PathBuf, String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/course.md");
    let text = std::fs::read_to_string(&path).expect("the course is there");
    (path, text)
}

/// The lines of its blocks of shell.
fn commands(text: &str) -> Vec<&str> {
    let blocks = text.split("```sh\n").skip(1);
    let blocks = blocks.filter_map(|rest| rest.split("```").next());
    blocks.flat_map(str::lines).collect()
}

#[test]
fn its_walls_stand() {
    let (_, text) = course();
    let mut run = Vec::new();
    for command in commands(&text) {
        let Some(arguments) = command.strip_prefix("cargo run --release -p synod-walls -- ") else {
            continue;
        };
        let walls = Command::new(env!("CARGO_BIN_EXE_walls"))
            .args(arguments.split_whitespace())
            .output()
            .expect("the program starts");
        let printed = String::from_utf8_lossy(&walls.stdout);
        assert!(walls.status.success(), "{command}\n{printed}");
        assert!(printed.contains("verdict: stands"), "{command}\n{printed}");
        run.push(arguments);
    }
    for wall in &run {
        let page = format!("`walls {wall} --html {wall}.html`");
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains(&page), "the course names {page}");
    }
    run.sort_unstable();
    let all = [
        "cap",
        "clocks",
        "comforts",
        "fallacies",
        "flp",
        "generals",
        "illusion",
        "suspicion",
    ];
    assert_eq!(run, all, "each wall has its place in the course");
}

#[test]
fn what_it_points_at_is_there() {
    let (path, text) = course();
    let folder = path.parent().expect("it lies in a folder");
    let links = text
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next());
    let links: Vec<&str> = links.filter(|link| !link.contains("://")).collect();
    assert!(links.len() > 15);
    for link in &links {
        let target = folder.join(link);
        assert!(target.exists(), "{link} is not there");
    }
    // Tests that it names without a link are of the walls.
    let sources = [
        "flp.rs",
        "cap.rs",
        "clocks.rs",
        "generals.rs",
        "clusters.rs",
        "suspicion.rs",
    ];
    let sources = sources.map(|name| {
        let file = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/walls")
            .join(name);
        std::fs::read_to_string(file).expect("a source of this test")
    });
    let elsewhere = ["clock_condition", "synod_exhaustive"];
    let names = text.split('`').filter(|name| name.matches('_').count() > 1);
    for name in names.filter(|name| name.bytes().all(|it| it == b'_' || it.is_ascii_lowercase())) {
        let is_here = sources.iter().any(|it| it.contains(&format!("fn {name}(")));
        assert!(
            is_here || elsewhere.contains(&name),
            "no test is called {name}"
        );
    }
}

/// `walls fallacies` names a test for what cannot be switched on in it.
#[test]
fn what_is_told_only_has_its_test() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/transport/tests/tls");
    let refusals = std::fs::read_to_string(tests.join("refusals.rs")).expect("the tests of TLS");
    assert!(refusals.contains("_refused_unheard()"));
}

#[test]
fn it_is_the_readmes_second_link() {
    let (path, _) = course();
    let root = path.parent().and_then(Path::parent).expect("the workspace");
    let readme = std::fs::read_to_string(root.join("README.md")).expect("a README");
    let second = readme
        .split("](")
        .nth(2)
        .and_then(|rest| rest.split(')').next());
    assert_eq!(second, Some("docs/course.md"));
}

#[test]
fn its_other_commands_name_what_exists() {
    let (path, text) = course();
    let root = path.parent().and_then(Path::parent).expect("the workspace");
    for command in commands(&text) {
        let words: Vec<&str> = command.split_whitespace().collect();
        let after = |flag: &str| {
            let at = words.iter().position(|word| *word == flag)?;
            words.get(at + 1).copied()
        };
        let (Some(package), Some(example)) = (after("-p"), after("--example")) else {
            continue;
        };
        let crate_name = package.trim_start_matches("synod-");
        let examples = root.join("crates").join(crate_name).join("examples");
        let is_there = examples.join(format!("{example}.rs")).exists()
            || examples.join(example).join("main.rs").exists();
        assert!(is_there, "{command}");
    }
}
