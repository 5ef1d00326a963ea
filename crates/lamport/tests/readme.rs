//! The README promises items: each is where its link points.

use std::fs;
use std::path::Path;

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

/// The text of each link, and what follows its opening parenthesis.
fn links(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.match_indices("](").filter_map(|(at, _)| {
        let open = text[..at].rfind('[')?;
        Some((&text[open + 1..at], &text[at + 2..]))
    })
}
