//! Every target over its kept corpus and over the seeds of today, on any toolchain: what was found once stays mended.

use std::path::{Path, PathBuf};
use std::{fs, panic};

use synod_fuzz::TARGETS;

/// One test in this binary, because the allocator counts for all threads of a process.
#[test]
fn the_corpus_keeps_every_promise() {
    let mut failed = Vec::new();
    for target in TARGETS {
        let kept = inputs(target.name);
        assert!(!kept.is_empty(), "{} has no corpus", target.name);
        let kept = kept.into_iter().map(|path| {
            let data = fs::read(&path).expect("a file of the repository");
            (path.display().to_string(), data)
        });
        let seeds = target.seeds().into_iter().enumerate();
        let seeds = seeds.map(|(at, data)| (format!("seed {at} of {}", target.name), data));
        for (name, data) in kept.chain(seeds) {
            if panic::catch_unwind(|| target.run(&data)).is_err() {
                failed.push(name);
            }
        }
    }
    assert!(failed.is_empty(), "these break a promise: {failed:#?}");
}

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

/// In the order of their names.
fn inputs(target: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(corpus().join(target)).into_iter().flatten();
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
}
