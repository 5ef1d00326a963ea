//! What the documents promise: each item that the README names is where its link points, and each
//! public item has an example.

use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn every_yes_is_linked_to_an_item_that_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(root.join("README.md")).expect("there is a README");
    let mut items = 0;
    for (link, rest) in links(&readme) {
        let target = rest.split(')').next().unwrap_or_default();
        if target.starts_with("http") {
            continue;
        }
        let path = root.join(target);
        assert!(path.exists(), "{target}");
        // A link whose text is code names an item, unless it is the file itself.
        let item = link.trim_matches('`');
        if !link.starts_with('`') || target.ends_with(item) {
            continue;
        }
        let text = fs::read_to_string(&path).expect("an item is in a file");
        let name = item.rsplit("::").next().unwrap_or(item);
        let defined = [
            "fn ",
            "struct ",
            "enum ",
            "trait ",
            "const ",
            "#![",
            "impl<L: Layout> ",
        ]
        .iter()
        .any(|kind| text.contains(&format!("{kind}{name}")));
        assert!(defined, "{item} is not in {target}");
        items += 1;
    }
    assert!(items >= 25, "{items} items");

    // In the table of features, the first column is ours: no empty cell, no plain word.
    let table = readme.split("| | here |").nth(1).expect("there is a table");
    for row in table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'))
    {
        let ours = row.split('|').nth(2).unwrap_or_default();
        assert!(ours.contains("]("), "{row}");
    }
}

/// Examples run as tests; this sees to it that there is one.
#[test]
fn every_public_item_has_an_example() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = Vec::new();
    collect(&root, &mut sources);
    let mut items = 0;
    for path in sources {
        let text = fs::read_to_string(&path).expect("a source can be read");
        let lines: Vec<_> = text.lines().map(str::trim_start).collect();
        for (at, line) in lines.iter().enumerate() {
            let Some(kind) = line
                .strip_prefix("pub ")
                .and_then(|rest| rest.split(' ').next())
            else {
                continue;
            };
            if !["fn", "const", "struct", "enum", "trait"].contains(&kind) {
                continue;
            }
            let above = lines[..at].iter().rev();
            let mut docs = above.take_while(|line| line.starts_with("//") || line.starts_with('#'));
            assert!(
                docs.any(|line| *line == "/// ```"),
                "{}: {line}",
                path.display()
            );
            items += 1;
        }
    }
    assert!(items > 60, "{items} items");
}

fn collect(folder: &Path, sources: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder can be read") {
        let path = entry.expect("an entry can be read").path();
        if path.is_dir() {
            collect(&path, sources);
        } else {
            sources.push(path);
        }
    }
}

/// The text of each link, and what follows its opening parenthesis.
fn links(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.match_indices("](").filter_map(|(at, _)| {
        let open = text[..at].rfind('[')?;
        Some((&text[open + 1..at], &text[at + 2..]))
    })
}
