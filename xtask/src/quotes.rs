//! Whether what a document quotes stands in the sources: a block of code behind `<!-- from PATH -->` is made of parts
//! of that file, line by line, with a line `// ..` wherever something is left out.

use crate::finding::Finding;
use crate::tidy::File;

/// Checks all Markdown files among `files`.
pub(crate) fn check(files: &[File], findings: &mut Vec<Finding>) {
    for page in files.iter().filter(|file| file.path.ends_with(".md")) {
        let lines: Vec<&str> = page.text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            if let Some(path) = source(line) {
                let source = files.iter().find(|file| file.path == path);
                if let Err(message) = compare(&lines[at + 1..], source) {
                    findings.push(Finding::new(&page.path, at + 1, "quote", message));
                }
            }
        }
    }
}

fn source(line: &str) -> Option<&str> {
    line.trim().strip_prefix("<!-- from ")?.strip_suffix(" -->")
}

fn compare(after: &[&str], source: Option<&File>) -> Result<(), String> {
    let source = source.ok_or("there is no such file")?;
    let source: Vec<&str> = source.text.lines().collect();
    let block = after.iter().skip_while(|line| line.is_empty());
    let mut block = block.copied();
    if !block.next().is_some_and(|line| line.starts_with("```")) {
        return Err("no block of code follows".to_owned());
    }
    let block: Vec<&str> = block.take_while(|line| !line.starts_with("```")).collect();
    for part in block.split(|line| line.trim() == "// ..") {
        let part = trimmed(part);
        let is_there = part.is_empty() || source.windows(part.len()).any(|lines| lines == part);
        if !is_there {
            return Err(format!(
                "`{}` and what follows is not in the file",
                part[0].trim()
            ));
        }
    }
    Ok(())
}

/// Without the empty lines around it.
fn trimmed<'a, 'b>(mut part: &'a [&'b str]) -> &'a [&'b str] {
    while let [first, rest @ ..] = part
        && first.is_empty()
    {
        part = rest;
    }
    while let [rest @ .., last] = part
        && last.is_empty()
    {
        part = rest;
    }
    part
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_is_part_of_its_source() {
        let file = |path: &str, text: &str| File {
            path: path.to_owned(),
            text: text.to_owned(),
        };
        let source = file("a.rs", "fn a() {\n    b();\n    c();\n}\n");
        let mut findings = Vec::new();
        let good = "<!-- from a.rs -->\n\n```rust\nfn a() {\n// ..\n\n    c();\n}\n```\n";
        check(&[file("a.md", good), source.clone()], &mut findings);
        assert_eq!(findings, []);
        let bad = [
            "<!-- from a.rs -->\n```rust\nfn a() {\n    c();\n```\n",
            "<!-- from a.rs -->\n```rust\nfn a() {\n    // ..\n    d();\n```\n",
            "<!-- from b.rs -->\n```rust\nfn a() {\n```\n",
            "<!-- from a.rs -->\ntext\n",
        ];
        for bad in bad {
            findings.clear();
            check(&[file("a.md", bad), source.clone()], &mut findings);
            assert_eq!(findings.len(), 1, "{bad}");
        }
    }
}
