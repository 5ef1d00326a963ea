//! A copy of the sources, in which bugs are planted and taken out again.
//!
//! Cargo rebuilds what is newer than its last build. So a file is written only when its bytes change, and taking a
//! mutant out is one more change: with its old time the file would pass for what was built with the bug.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::git::git;
use crate::tidy;

pub(crate) struct Tree {
    path: PathBuf,
}

/// A tree with a bug in it.
#[must_use = "the bug stays until it is restored"]
pub(crate) struct Planted {
    before: Vec<(PathBuf, Vec<u8>)>,
}

impl Tree {
    /// Makes `path` a copy of what git knows, or would know, of `root`.
    pub(crate) fn sync(root: &Path, path: &Path) -> io::Result<Self> {
        let known: BTreeSet<PathBuf> = tidy::list_files(root)
            .map_err(|error| {
                io::Error::other(format!(
                    "git lists the sources to copy, and cannot: {error}"
                ))
            })?
            .into_iter()
            .map(PathBuf::from)
            .filter(|file| root.join(file).is_file())
            .collect();
        fs::create_dir_all(path)?;
        for file in &known {
            copy(&root.join(file), &path.join(file))?;
        }
        remove_others(path, path, &known)?;
        Ok(Self {
            path: path.to_owned(),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Applies a patch that changes the files `touches`; or says why that cannot be done.
    pub(crate) fn plant(
        &self,
        patch: &Path,
        touches: &[String],
    ) -> io::Result<Result<Planted, String>> {
        let read = |file: &String| {
            let file = self.path.join(file);
            let bytes = fs::read(&file)?;
            Ok((file, bytes))
        };
        let before = match touches.iter().map(read).collect::<io::Result<Vec<_>>>() {
            Ok(before) => before,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Err("a file that it changes does not exist".to_owned()));
            }
            Err(error) => return Err(error),
        };
        Ok(apply(&self.path, patch, &[])?.map(|()| Planted { before }))
    }
}

impl Planted {
    pub(crate) fn restore(self) -> io::Result<()> {
        self.before
            .iter()
            .try_for_each(|(file, bytes)| fs::write(file, bytes))
    }
}

/// Whether a patch applies to the tree at `root`, which stays as it is; or why it does not.
pub(crate) fn applies(root: &Path, patch: &Path) -> io::Result<Result<(), String>> {
    apply(root, patch, &["--check"])
}

fn apply(at: &Path, patch: &Path, options: &[&str]) -> io::Result<Result<(), String>> {
    let mut git = git(at);
    let output = git.arg("apply").args(options).arg(patch).output();
    let output = output.map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("git applies the patches, and cannot: {error}"),
        )
    })?;
    if output.status.success() {
        return Ok(Ok(()));
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let reason = said.lines().next().unwrap_or("git does not say why");
    Ok(Err(reason.trim_start_matches("error: ").to_owned()))
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let bytes = fs::read(from)?;
    if fs::read(to).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(to, bytes)?;
    fs::set_permissions(to, fs::metadata(from)?.permissions())
}

/// Removes the files under `folder` that are none of `known`, which are relative to `top`, and the folders that are
/// empty then: cargo takes a folder of `crates/*` without a manifest for a broken member.
fn remove_others(top: &Path, folder: &Path, known: &BTreeSet<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            remove_others(top, &path, known)?;
            if fs::read_dir(&path)?.next().is_none() {
                fs::remove_dir(&path)?;
            }
        } else if path
            .strip_prefix(top)
            .is_ok_and(|file| !known.contains(file))
        {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATCH: &str = "\
Bug: none

diff --git a/a/one.txt b/a/one.txt
--- a/a/one.txt
+++ b/a/one.txt
@@ -1,3 +1,3 @@
 first

-second
+2nd
";

    /// A folder of its own, away from any repository, and gone at the end.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path =
                std::env::temp_dir().join(format!("synod-mutants-{}-{name}", std::process::id()));
            fs::create_dir_all(path.join("root/a")).unwrap();
            Self(path)
        }

        fn write(&self, file: &str, text: &str) -> PathBuf {
            let path = self.0.join(file);
            fs::write(&path, text).unwrap();
            path
        }

        fn init(&self) {
            let mut git = git(&self.0.join("root"));
            let output = git.args(["init", "--quiet"]).output().unwrap();
            assert!(output.status.success(), "{output:?}");
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            // Of a test that fails, the failure is what counts.
            let _left = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_patch_is_planted_in_a_copy_and_taken_out_again() {
        if crate::git::is_missing() {
            return;
        }
        let folder = Folder::new("plant");
        let (root, copy) = (folder.0.join("root"), folder.0.join("root/target/tree"));
        folder.init();
        folder.write("root/.gitignore", "target\n");
        let source = folder.write("root/a/one.txt", "first\n\nsecond\n");
        let patch = folder.write("root/a.patch", PATCH);
        let touches = ["a/one.txt".to_owned()];

        assert_eq!(applies(&root, &patch).unwrap(), Ok(()));
        let tree = Tree::sync(&root, &copy).unwrap();
        let planted = tree.plant(&patch, &touches).unwrap().expect("it applies");
        let copied = copy.join("a/one.txt");
        assert_eq!(fs::read_to_string(&copied).unwrap(), "first\n\n2nd\n");
        planted.restore().unwrap();
        assert_eq!(fs::read(&copied).unwrap(), fs::read(&source).unwrap());

        // Whoever was interrupted with a bug planted finds it gone at the next start.
        let _interrupted = tree.plant(&patch, &touches).unwrap();
        folder.write("root/target/tree/a/left.rs", "");
        fs::create_dir(copy.join("moved")).unwrap();
        Tree::sync(&root, &copy).unwrap();
        assert_eq!(fs::read(&copied).unwrap(), fs::read(&source).unwrap());
        assert!(!copy.join("a/left.rs").exists());
        assert!(!copy.join("moved").exists());

        folder.write("root/a/one.txt", "other\n");
        assert!(applies(&root, &patch).unwrap().is_err());
        let tree = Tree::sync(&root, &copy).unwrap();
        assert!(tree.plant(&patch, &touches).unwrap().is_err());
        assert!(
            tree.plant(&patch, &["a/two.txt".to_owned()])
                .unwrap()
                .is_err()
        );
    }

    #[test]
    fn what_does_not_change_keeps_its_time() {
        if crate::git::is_missing() {
            return;
        }
        let folder = Folder::new("times");
        folder.init();
        folder.write("root/a/one.txt", "first\n");
        let (root, copy) = (folder.0.join("root"), folder.0.join("tree"));
        Tree::sync(&root, &copy).unwrap();
        let time = || {
            fs::metadata(copy.join("a/one.txt"))
                .unwrap()
                .modified()
                .unwrap()
        };
        let before = time();
        Tree::sync(&root, &copy).unwrap();
        assert_eq!(time(), before);
    }

    #[test]
    fn a_tree_without_git_is_told() {
        if crate::git::is_missing() {
            return;
        }
        let folder = Folder::new("none");
        let error = Tree::sync(&folder.0.join("root"), &folder.0.join("tree"));
        let error = error
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default();
        assert!(error.contains("git lists the sources"), "{error}");
    }
}
