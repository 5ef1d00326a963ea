//! The page on which all planted bugs hang.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use super::patch::{Mutant, Ring, Trial};

/// What is shown of a bug.
pub(super) struct Exhibit<'a> {
    mutant: &'a Mutant,
    trial: Option<&'a Trial>,
    /// The file of its run, beside the gallery's.
    pub(super) page: Option<String>,
    /// What the checker said, once it was caught here.
    words: Option<String>,
}

impl<'a> Exhibit<'a> {
    pub(super) fn of(mutant: &'a Mutant, trial: Option<&'a Trial>, hall: &Path) -> Self {
        let file = |ending: &str| format!("{}.{ending}", mutant.name);
        let page = Some(file("html")).filter(|page| hall.join(page).is_file());
        let words = fs::read_to_string(hall.join(file("txt"))).ok();
        Self {
            mutant,
            trial,
            page,
            words,
        }
    }
}

/// Those with a run first; the others behind, by their crates.
pub(super) fn page(exhibits: &[Exhibit<'_>]) -> String {
    let mut page = format!("{HEAD}<p>{}</p>\n", count(exhibits));
    let (runs, others): (Vec<_>, Vec<_>) =
        exhibits.iter().partition(|exhibit| exhibit.trial.is_some());
    for folder in folders(&runs) {
        let _ = write!(page, "<h2>{}</h2>\n<ul>\n", escaped(folder));
        let mut here = of_folder(&runs, folder);
        here.sort_by_key(|exhibit| exhibit.page.is_none());
        here.iter()
            .for_each(|exhibit| page.push_str(&item(exhibit)));
        page.push_str("</ul>\n");
    }
    page.push_str("<h2>Without a run</h2>\n");
    for folder in folders(&others) {
        let here = of_folder(&others, folder);
        let _ = writeln!(
            page,
            "<details><summary>{} ({})</summary>\n<ul>",
            escaped(folder),
            here.len()
        );
        here.iter()
            .for_each(|exhibit| page.push_str(&item(exhibit)));
        page.push_str("</ul>\n</details>\n");
    }
    page.push_str("</body>\n</html>\n");
    page
}

fn folders<'a>(exhibits: &[&'a Exhibit<'_>]) -> BTreeSet<&'a str> {
    exhibits
        .iter()
        .map(|exhibit| &exhibit.mutant.folder[..])
        .collect()
}

fn of_folder<'a, 'b>(exhibits: &[&'a Exhibit<'b>], folder: &str) -> Vec<&'a Exhibit<'b>> {
    let here = exhibits
        .iter()
        .filter(|exhibit| exhibit.mutant.folder == folder);
    here.copied().collect()
}

fn count(exhibits: &[Exhibit<'_>]) -> String {
    let with_run = exhibits
        .iter()
        .filter(|exhibit| exhibit.trial.is_some())
        .count();
    let hung = exhibits
        .iter()
        .filter(|exhibit| exhibit.page.is_some())
        .count();
    format!(
        "{} planted bugs. {with_run} are caught by a simulated run, a script, a search or a story that is told by \
         hand, and of {hung} of these the page is here; the others are caught by tests that have no run to be shown.",
        exhibits.len()
    )
}

fn item(exhibit: &Exhibit<'_>) -> String {
    let mutant = exhibit.mutant;
    let name = escaped(&mutant.name);
    let name = match &exhibit.page {
        Some(page) => format!("<a href=\"{}\">{name}</a>", escaped(page)),
        None => name,
    };
    let words = match (&exhibit.words, exhibit.trial) {
        (Some(words), _) => format!("The checker: <q>{}</q>", escaped(words)),
        (None, Some(_)) => "Its run was not made here yet.".to_owned(),
        (None, None) => no_run(mutant),
    };
    format!(
        "<li><h3>{name}</h3>\n<p>{}</p>\n<p class=\"seen\">Seen: {}</p>\n<p>{words}</p></li>\n",
        escaped(&mutant.bug),
        escaped(&mutant.seen)
    )
}

/// Which tests catch it instead.
fn no_run(mutant: &Mutant) -> String {
    let trials = mutant.trials.iter();
    let tests = trials.map(|trial| {
        format!(
            "{} (<code>{}</code>)",
            test_of(trial.ring),
            escaped(&trial.test.to_string())
        )
    });
    format!(
        "No run is shown: it is caught by {}.",
        tests.collect::<Vec<_>>().join(" and ")
    )
}

fn test_of(ring: Ring) -> &'static str {
    match ring {
        Ring::Unit => "a unit test",
        Ring::Script => "a script",
        Ring::Paper => "a test of what the paper says",
        Ring::Exhaustive => "a search of every schedule",
        Ring::Simulation => "a simulation that leaves no page",
        Ring::Crash => "real processes that are killed",
    }
}

fn escaped(text: &str) -> String {
    let escape = |char: char| match char {
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '&' => "&amp;".to_owned(),
        '"' => "&quot;".to_owned(),
        char => char.to_string(),
    };
    text.chars().map(escape).collect()
}

const HEAD: &str = "\
<!doctype html>
<html lang=\"en\">
<head>
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">
<meta name=\"color-scheme\" content=\"light dark\">
<title>The museum of planted bugs</title>
<style>
body { max-width: 60em; margin: 2em auto; padding: 0 1em; font: 16px/1.45 system-ui, sans-serif; }
ul { list-style: none; padding: 0; }
li { margin: 0 0 1em; padding: 0.2em 1em; border-left: 4px solid #0072b2; overflow-wrap: anywhere; }
summary { cursor: pointer; margin: 0.5em 0; }
h3, p { margin: 0.25em 0; }
.seen { opacity: 0.8; }
</style>
</head>
<body>
<h1>The museum of planted bugs</h1>
<p>Bugs that systems of others have had, planted in this one: what it is, where it has been, and the run in which it
was caught.</p>
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bug_without_a_run_says_what_catches_it_and_text_stays_text() {
        let patch = "Bug: 1 < 2 & \"more\"\nSeen: <b>etcd</b>\nRow: A1\nRing: unit\nTest: -p synod-raft --lib quorum\n\
                     Checker: half\n\ndiff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n";
        let mutant =
            Mutant::parse(Path::new("r/crates/raft/mutants/half.patch"), patch).expect("a patch");
        let page = page(&[Exhibit::of(&mutant, None, Path::new("no/such/hall"))]);
        assert!(page.contains("1 &lt; 2 &amp; &quot;more&quot;"), "{page}");
        assert!(page.contains("Seen: &lt;b&gt;etcd&lt;/b&gt;"), "{page}");
        assert!(
            page.contains("caught by a unit test (<code>-p synod-raft --lib quorum</code>)"),
            "{page}"
        );
        assert!(page.contains("1 planted bugs. 0 are caught"), "{page}");
    }
}
