//! The public items of each published library, kept in its folder as `public-api.txt`, so that a change of what
//! users depend on is seen in review and does not happen by accident.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::{env, fs, io};

use cargo_metadata::{Metadata, MetadataCommand, Package};

/// What to do with the listings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Prints where they differ from the code.
    Compare,
    /// Writes them anew.
    Write,
}

/// The chore; exit status 1 if a listing differs, 2 if one could not be made.
pub(crate) fn run(order: Order) -> ExitCode {
    match all(order) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("api: `cargo xtask api --write` makes the listings anew");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("api: {error}");
            ExitCode::from(2)
        }
    }
}

fn all(order: Order) -> io::Result<bool> {
    let metadata = MetadataCommand::new()
        .no_deps()
        .exec()
        .map_err(io::Error::other)?;
    let mut is_same = true;
    for package in metadata.packages.iter().filter(|it| is_published_lib(it)) {
        let listing = listing(&metadata, package)?;
        let folder = package.manifest_path.parent();
        let folder = folder.ok_or_else(|| io::Error::other("a manifest without a folder"))?;
        let path = folder.as_std_path().join("public-api.txt");
        match order {
            Order::Write => fs::write(&path, listing)?,
            Order::Compare => is_same &= is_as_kept(&package.name, &path, &listing),
        }
    }
    Ok(is_same)
}

/// In `crates`: the library of a program in `apps` is there for its tests.
fn is_published_lib(package: &Package) -> bool {
    let folders = package.manifest_path.parent().and_then(|it| it.parent());
    folders.is_some_and(|folder| folder.ends_with("crates"))
}

/// All public items with all features, one a line, in the order of their paths. Left out is what follows from the rest:
/// blanket implementations, auto traits, and the items of a trait that is implemented.
fn listing(metadata: &Metadata, package: &Package) -> io::Result<String> {
    let target = metadata.target_directory.join("api");
    let status = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["rustdoc", "--quiet", "--lib", "--all-features", "--package"])
        .args([package.name.as_str(), "--target-dir", target.as_str()])
        .args(["--", "-Z", "unstable-options", "--output-format", "json"])
        // The form is not stable, and this toolchain's is known.
        .env("RUSTC_BOOTSTRAP", "1")
        .status()?;
    if !status.success() {
        return Err(io::Error::other(format!("{}: {status}", package.name)));
    }
    let name = package.name.replace('-', "_");
    let json = target.join("doc").join(format!("{name}.json"));
    let api = public_api::Builder::from_rustdoc_json(json)
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .build()
        .map_err(io::Error::other)?;
    let mut listing = String::new();
    let mut implementor = None;
    for item in api.items().map(ToString::to_string) {
        if item.starts_with("impl") {
            implementor = item.split_once(" for ").map(|(_, of)| format!(" {of}::"));
        } else if implementor.as_ref().is_some_and(|of| item.contains(of)) {
            continue;
        }
        writeln!(listing, "{item}").map_err(io::Error::other)?;
    }
    Ok(listing)
}

/// Prints each line that stands on one side only.
fn is_as_kept(package: &str, path: &Path, listing: &str) -> bool {
    let kept = fs::read_to_string(path).unwrap_or_default();
    if kept == listing {
        return true;
    }
    let [only_kept, only_found] =
        [(&*kept, listing), (listing, &*kept)].map(|(one, other)| lines_of_one(one, other));
    println!("{package}: {}", path.display());
    for line in only_kept {
        println!("- {line}");
    }
    for line in only_found {
        println!("+ {line}");
    }
    false
}

fn lines_of_one<'a>(one: &'a str, other: &str) -> Vec<&'a str> {
    let others: std::collections::HashSet<_> = other.lines().collect();
    one.lines().filter(|line| !others.contains(line)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_differs_by_the_lines_of_one_side() {
        assert_eq!(lines_of_one("a\nb\nc\n", "a\nc\nd\n"), ["b"]);
        assert_eq!(lines_of_one("a\nc\nd\n", "a\nb\nc\n"), ["d"]);
        assert!(lines_of_one("a\n", "a\n").is_empty());
    }
}
