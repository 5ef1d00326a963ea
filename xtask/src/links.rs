//! Whether the links of Markdown files lead somewhere within the repository. Others are not followed.

use std::collections::{BTreeMap, BTreeSet};

use crate::finding::Finding;
use crate::tidy::File;

/// Checks all Markdown files among `files`; `paths` are those of all files, also such that hold no text.
pub(crate) fn check(files: &[File], paths: &[String], findings: &mut Vec<Finding>) {
    let mut places: BTreeSet<&str> = BTreeSet::new();
    for path in paths {
        places.insert(path);
        places.extend(path.match_indices('/').map(|(end, _)| &path[..end]));
    }
    let pages = files.iter().filter(|file| file.path.ends_with(".md"));
    let anchors: BTreeMap<&str, BTreeSet<String>> = pages
        .clone()
        .map(|page| (page.path.as_str(), headings(&page.text)))
        .collect();
    for File { path, text } in pages {
        for (line, link) in links(text) {
            let (target, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match target {
                "" => Some(path.clone()),
                _ => resolve(path, target),
            };
            let leads = |target: &str| {
                let known = anchors.get(target);
                let has_anchor = || known.is_some_and(|known| known.contains(anchor));
                places.contains(target) && (anchor.is_empty() || has_anchor())
            };
            if !target.as_deref().is_some_and(leads) {
                let message = format!("`{link}` leads nowhere");
                findings.push(Finding::new(path, line, "link", message));
            }
        }
    }
}

/// The links within the repository, each with its line: `[text](link)` and `[text]: link`.
fn links(text: &str) -> impl Iterator<Item = (usize, &str)> {
    prose(text).flat_map(|(number, line)| {
        let inline = line.split("](").skip(1);
        let inline = inline.filter_map(|rest| rest.split([')', ' ']).next());
        let definition = line
            .strip_prefix('[')
            .and_then(|line| line.split_once("]: "));
        let definition = definition.map(|(_, link)| link.trim());
        let all = inline.chain(definition);
        all.filter(|link| !link.contains(':') && !link.is_empty())
            .map(move |link| (number, link))
    })
}

/// The anchors that a page's headings make: lower case, hyphens for spaces, no punctuation.
fn headings(text: &str) -> BTreeSet<String> {
    let titles = prose(text).filter(|(_, line)| line.starts_with('#'));
    let is_kept = |char: &char| char.is_alphanumeric() || matches!(char, ' ' | '-' | '_');
    titles
        .map(|(_, title)| title.trim_start_matches('#').trim())
        .map(|title| title.to_lowercase().chars().filter(is_kept).collect())
        .map(|title: String| title.replace(' ', "-"))
        .collect()
}

/// The lines outside of code blocks, counted from 1.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut is_code = false;
    (1..).zip(text.lines()).filter(move |(_, line)| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    })
}

/// The path from the root, of a link in the page at `from`. None if it leads out of the repository.
fn resolve(from: &str, link: &str) -> Option<String> {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in link.trim_end_matches('/').split('/') {
        match part {
            "." | "" => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(path: &str, text: &str) -> File {
        File {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    #[test]
    fn a_link_leads_to_a_file_a_folder_or_a_heading() {
        let good = "# One: *two*\n[a](../src/lib.rs), [b](other.md#the-end_), [c](#one-two), [d](../src/)\n\
                    [e](https://example.org/x)\n[g]: other.md\n```\n[h](nowhere)\n```\n";
        let files = [
            page("docs/a.md", good),
            page("docs/other.md", "## The end_!\n"),
        ];
        let paths = ["docs/a.md", "docs/other.md", "src/lib.rs"].map(str::to_owned);
        let mut findings = Vec::new();
        check(&files, &paths, &mut findings);
        assert_eq!(findings, []);

        let bad = "[a](other.rs)\n\n[b](../../up.md) [c](other.md#end)\n[d]: gone\n[e](#nothing)\n";
        let files = [page("docs/a.md", bad), page("docs/other.md", "# The end\n")];
        check(&files, &paths, &mut findings);
        let lines: Vec<usize> = findings.iter().map(|finding| finding.line).collect();
        assert_eq!(lines, [1, 3, 3, 4, 5]);
    }
}
