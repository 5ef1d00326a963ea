//! What the kept corpora may be.

use std::fs;
use std::path::Path;

use synod_fuzz::TARGETS;

/// A corpus is a regression test and a place to begin, not an archive.
#[test]
fn a_corpus_is_small_and_every_folder_is_a_targets() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut folders = 0;
    for folder in fs::read_dir(corpus).expect("the corpus is there") {
        let folder = folder.expect("readable");
        let name = folder.file_name();
        let name = name.to_string_lossy();
        assert!(
            synod_fuzz::target(&name).is_some(),
            "no target is named {name}"
        );
        let inputs = fs::read_dir(folder.path()).expect("a folder of inputs");
        let bytes: u64 = inputs
            .flatten()
            .map(|input| input.metadata().map_or(0, |file| file.len()))
            .sum();
        assert!(
            bytes <= CORPUS_BYTES_MAX,
            "{name}: {bytes} bytes, at most {CORPUS_BYTES_MAX}"
        );
        folders += 1;
    }
    assert_eq!(folders, TARGETS.len(), "a target without a corpus");
}

const CORPUS_BYTES_MAX: u64 = 64 * 1024;
