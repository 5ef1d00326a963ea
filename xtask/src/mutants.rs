//! Plants known bugs, one at a time, and looks whether the tests that are meant for them find them.
//!
//! A mutant is a patch `mutants/NAME.patch` of a package in `apps`, `crates` or `examples`, whose header says what the
//! bug is, where it really happened, and which check must find it ([`patch`] has the keys). Only the check that is
//! named counts: a mutant that falls over something else shows nothing about the check it was made for.

mod patch;
mod table;
mod tree;
mod trial;
mod verdict;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use std::{fs, io};

use crate::tidy;
use patch::{Mutant, Trial};
use table::Row;
use tree::Tree;
use trial::{Cargo, Ended, Run};
use verdict::{Verdict, judge};

/// The chore; exit status 1 unless every mutant is caught, 2 when it could not be done.
pub(crate) fn run(arguments: &[&str]) -> ExitCode {
    let order = match Order::parse(arguments) {
        Ok(order) => order,
        Err(message) => {
            eprintln!("mutants: {message}");
            return ExitCode::from(2);
        }
    };
    let root = tidy::root();
    let done = mutants(&root, &order).and_then(|mutants| {
        if order.check {
            check(&root, &mutants)
        } else {
            try_all(&root, &mutants, order.markdown)
        }
    });
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("mutants: {error}");
            ExitCode::from(2)
        }
    }
}

/// What was asked for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Order {
    names: Vec<String>,
    /// `raft` for those under `crates/raft`.
    folder: Option<String>,
    shard: Option<Shard>,
    check: bool,
    markdown: bool,
}

impl Order {
    fn parse(arguments: &[&str]) -> Result<Self, String> {
        let mut order = Self::default();
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match *argument {
                "--check" => order.check = true,
                "--markdown" => order.markdown = true,
                "--crate" => {
                    let folder = arguments.next().ok_or("--crate needs a folder's name")?;
                    order.folder = Some((*folder).to_owned());
                }
                "--shard" => {
                    let shard = arguments.next().and_then(|text| Shard::parse(text));
                    order.shard = Some(shard.ok_or("--shard needs K/N, with K from 1 to N")?);
                }
                flag if flag.starts_with('-') => return Err(format!("unknown option {flag}")),
                name => order.names.push(name.to_owned()),
            }
        }
        if order.markdown && (!order.names.is_empty() || order.shard.is_some()) {
            return Err(
                "--markdown writes the tables of whole crates, so it takes no names and no shard"
                    .to_owned(),
            );
        }
        Ok(order)
    }

    fn takes(&self, mutant: &Mutant) -> bool {
        let of_folder = self
            .folder
            .as_ref()
            .is_none_or(|folder| mutant.folder == *folder);
        of_folder && (self.names.is_empty() || self.names.contains(&mutant.name))
    }
}

/// One of so many parts of all mutants, which are tried at different times or on different machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shard {
    /// From 0.
    number: usize,
    of: usize,
}

impl Shard {
    /// `1/4` to `4/4`.
    fn parse(text: &str) -> Option<Self> {
        let (number, of) = text.split_once('/')?;
        let (number, of): (usize, usize) = (number.parse().ok()?, of.parse().ok()?);
        let number = number.checked_sub(1)?;
        (number < of).then_some(Self { number, of })
    }

    /// Every so manieth, so that parts take about as long: neighbours are much alike.
    fn retain(self, mutants: &mut Vec<Mutant>) {
        let mut position = 0;
        mutants.retain(|_| {
            position += 1;
            (position - 1) % self.of == self.number
        });
    }
}

/// The mutants that were asked for, by crate and name.
fn mutants(root: &Path, order: &Order) -> io::Result<Vec<Mutant>> {
    let mut mutants = Vec::new();
    for path in patches(root)? {
        let text = fs::read_to_string(&path)?;
        let at = path.strip_prefix(root).unwrap_or(&path).display();
        let mutant = Mutant::parse(&path, &text)
            .map_err(|error| io::Error::other(format!("{at}: {error}")))?;
        mutants.push(mutant);
    }
    if let Some(unknown) = order
        .names
        .iter()
        .find(|name| mutants.iter().all(|mutant| mutant.name != **name))
    {
        return Err(io::Error::other(format!("there is no mutant {unknown}")));
    }
    mutants.retain(|mutant| order.takes(mutant));
    if let Some(shard) = order.shard {
        shard.retain(&mut mutants);
    }
    if mutants.is_empty() {
        return Err(io::Error::other(
            "no mutants: {apps,crates,examples}/*/mutants/*.patch",
        ));
    }
    Ok(mutants)
}

fn patches(root: &Path) -> io::Result<Vec<PathBuf>> {
    let mut packages = Vec::new();
    for folder in ["apps", "crates", "examples"] {
        packages.extend(fs::read_dir(root.join(folder))?);
    }
    let mut patches = Vec::new();
    for package in packages {
        let folder = package?.path().join("mutants");
        if !folder.is_dir() {
            continue;
        }
        for file in fs::read_dir(folder)? {
            let path = file?.path();
            if path
                .extension()
                .is_some_and(|extension| extension == "patch")
            {
                patches.push(path);
            }
        }
    }
    patches.sort();
    Ok(patches)
}

/// Whether every patch still applies to the tree as it is. That its header is whole was seen when it was read.
fn check(root: &Path, mutants: &[Mutant]) -> io::Result<bool> {
    let mut applies = true;
    for mutant in mutants {
        if let Err(reason) = tree::applies(root, &mutant.path)? {
            println!("{}: {}", mutant.name, Verdict::DoesNotApply(reason));
            applies = false;
        }
    }
    if applies {
        println!("mutants: {} patches apply", mutants.len());
    }
    Ok(applies)
}

fn try_all(root: &Path, mutants: &[Mutant], markdown: bool) -> io::Result<bool> {
    let home = root.join("target").join("mutants");
    let tree = Tree::sync(root, &home.join("tree"))?;
    let cargo = Cargo::new(&tree, &home)?;
    let clean = run_clean(&cargo, mutants)?;
    let mut rows = Vec::new();
    for mutant in mutants {
        for (number, trial) in (1..).zip(&mutant.trials) {
            let log = format!("{}-{number}", mutant.name);
            let tried = try_one(
                &tree,
                &cargo,
                mutant,
                trial,
                clean.get(&trial.test.to_string()),
                &log,
            )?;
            let row = Row::new(mutant, trial, tried);
            eprintln!("{row}");
            rows.push(row);
        }
    }
    println!("\n{}", table::plain(&rows));
    if markdown {
        table::write(&root.join("crates/raft/TESTING.md"), &rows)?;
    }
    Ok(rows.iter().all(Row::is_caught))
}

/// Each test as it runs without any mutant.
fn run_clean(cargo: &Cargo, mutants: &[Mutant]) -> io::Result<BTreeMap<String, Run>> {
    let mut clean = BTreeMap::new();
    for trial in mutants.iter().flat_map(|mutant| &mutant.trials) {
        let name = trial.test.to_string();
        if clean.contains_key(&name) {
            continue;
        }
        let log = format!("clean-{}", clean.len() + 1);
        let run = cargo.run(&trial.test, CLEAN_MAX, &log)?;
        eprintln!(
            "without a mutant: {name}: {:?}, {:.1} s",
            run.ended,
            run.took.as_secs_f64()
        );
        clean.insert(name, run);
    }
    Ok(clean)
}

/// A trial's verdict, and the run of the patched tree if it came to one.
struct Tried {
    verdict: Verdict,
    run: Option<Run>,
}

fn try_one(
    tree: &Tree,
    cargo: &Cargo,
    mutant: &Mutant,
    trial: &Trial,
    clean: Option<&Run>,
    log: &str,
) -> io::Result<Tried> {
    let of = |verdict| Ok(Tried { verdict, run: None });
    let Some(clean) = clean.filter(|clean| clean.ended == Ended::Passed) else {
        return of(Verdict::FailsWithoutPatch);
    };
    if clean.passed == 0 {
        return of(Verdict::NoSuchTest);
    }
    let planted = match tree.plant(&mutant.path, &mutant.touches)? {
        Ok(planted) => planted,
        Err(reason) => return of(Verdict::DoesNotApply(reason)),
    };
    let run = cargo.run(&trial.test, clean.took * SLOWER_MAX + GRACE, log);
    planted.restore()?;
    let run = run?;
    Ok(Tried {
        verdict: judge(&run, &trial.checker),
        run: Some(run),
    })
}

/// A test without a mutant is given this long.
const CLEAN_MAX: Duration = Duration::from_secs(1200);
/// With a mutant it may take so many times as long as without, and some more, until it counts as hung.
const SLOWER_MAX: u32 = 4;
const GRACE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_read() {
        let order = Order::parse(&["a", "--crate", "raft", "--check", "b"]);
        assert_eq!(
            order,
            Ok(Order {
                names: vec!["a".to_owned(), "b".to_owned()],
                folder: Some("raft".to_owned()),
                shard: None,
                check: true,
                markdown: false,
            })
        );
        assert!(Order::parse(&["--crate"]).is_err());
        assert!(Order::parse(&["--chekc"]).is_err());
        assert!(Order::parse(&["--markdown", "a"]).is_err());
        assert!(Order::parse(&["--markdown", "--shard", "1/2"]).is_err());
        for shard in ["0/2", "3/2", "1/0", "1", "a/b", "-1/2"] {
            assert!(Order::parse(&["--shard", shard]).is_err(), "{shard}");
        }
    }

    #[test]
    fn the_shards_together_are_all_mutants_once() {
        let root = tidy::root();
        let names = |arguments: &[&str]| {
            let order = Order::parse(arguments).expect("an order");
            let mutants = mutants(&root, &order).expect("headers are whole");
            mutants
                .into_iter()
                .map(|mutant| (mutant.folder, mutant.name))
                .collect::<Vec<_>>()
        };
        let mut sharded = Vec::new();
        for shard in ["1/3", "2/3", "3/3"] {
            let part = names(&["--shard", shard]);
            sharded.extend(part);
        }
        sharded.sort();
        let mut all = names(&[]);
        all.sort();
        assert_eq!(sharded, all);
    }

    #[test]
    fn patches_of_apps_crates_and_examples_are_found() {
        let root = std::env::temp_dir().join(format!("synod-patches-{}", std::process::id()));
        let files = [
            "apps/a/mutants/w.patch",
            "crates/a/mutants/x.patch",
            "examples/b/mutants/y.patch",
        ];
        for file in files {
            let path = root.join(file);
            fs::create_dir_all(path.parent().expect("in a folder")).expect("a folder");
            fs::write(path, "").expect("a file");
        }
        let found = patches(&root);
        fs::remove_dir_all(&root).expect("removed");
        let found = found.expect("found");
        let names: Vec<_> = found.iter().map(|path| path.file_name()).collect();
        let expected = ["w.patch", "x.patch", "y.patch"].map(|name| Some(name.as_ref()));
        assert_eq!(names, expected);
    }

    #[test]
    fn every_patch_of_this_tree_has_a_whole_header() {
        let root = tidy::root();
        let mutants = mutants(&root, &Order::default()).expect("headers are whole");
        for mutant in &mutants {
            for path in &mutant.touches {
                assert!(
                    root.join(path).is_file(),
                    "{}: {path} does not exist",
                    mutant.name
                );
            }
        }
    }
}
