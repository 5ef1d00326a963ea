//! A real directory as the medium.

use std::fs::{self, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags};
use rustix::io::retry_on_intr;
use thiserror::Error;

use crate::disk::{Disk, File};

/// A directory of the file system, locked against other processes while a value or a clone of it
/// lives. It stays the same one when it is moved.
#[derive(Clone, Debug)]
pub struct Directory(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Where it was when it was opened.
    path: PathBuf,
    /// All goes by this handle and nothing by the path: the lock is on it, and no file that somebody might
    /// delete stands for that. Whoever moves the directory away, and makes another one in its place, has two
    /// directories with a lock each.
    directory: fs::File,
    /// Nothing is changed.
    is_read_only: bool,
}

/// Why a directory does not open.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DirectoryError {
    /// Another process, or another value in this one, uses it.
    #[error("{} is in use by another process", path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// The file system failed.
    #[error("{} cannot be used", path.display())]
    Io {
        /// The directory.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
}

impl Directory {
    /// Opens the directory at `path`, creates it when it is absent, and locks it until the last
    /// clone is dropped. What is created is for its owner alone: the log holds what clients wrote, and a
    /// secret. A file that is a symbolic link is not opened; the directory may be one.
    ///
    /// # Errors
    /// [`DirectoryError::Locked`] while it is in use.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, DirectoryError> {
        let path = path.as_ref();
        let failed = |source| DirectoryError::Io {
            path: path.to_owned(),
            source,
        };
        create(path, &mut |parent| fs::File::open(parent)?.sync_all()).map_err(failed)?;
        let directory = open_directory(path).map_err(failed)?;
        match directory.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(DirectoryError::Locked {
                    path: path.to_owned(),
                });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        Ok(Self(Arc::new(Inner {
            path: path.to_owned(),
            directory,
            is_read_only: false,
        })))
    }

    /// Opens an existing directory to look at it, also while it is in use: for
    /// [`dump`](crate::dump), not for a log. Every change is refused.
    ///
    /// # Errors
    /// [`DirectoryError::Io`].
    pub fn read_only(path: impl AsRef<Path>) -> Result<Self, DirectoryError> {
        let path = path.as_ref().to_owned();
        match open_directory(&path) {
            Ok(directory) => Ok(Self(Arc::new(Inner {
                path,
                directory,
                is_read_only: true,
            }))),
            Err(source) => Err(DirectoryError::Io { path, source }),
        }
    }

    /// Where it was when it was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// The mode of the directory, if others than its owner may look into it or change it: one that was there
    /// keeps the mode that it had. Its files are for their owner alone all the same, so to read it gives names
    /// and lengths away and no more; whoever may write to it can remove what was promised.
    ///
    /// It is left to its owner, who may have given it to a group on purpose; whoever opens it may say so.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn shared_mode(&self) -> io::Result<Option<u32>> {
        let mode = self.0.directory.metadata()?.permissions().mode() & 0o7777;
        Ok((mode & 0o077 != 0).then_some(mode))
    }

    fn check_change(&self) -> io::Result<()> {
        if self.0.is_read_only {
            return Err(ErrorKind::ReadOnlyFilesystem.into());
        }
        Ok(())
    }

    fn is_file(&self, name: &str) -> io::Result<bool> {
        let found = rustix::fs::statat(&self.0.directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(FileType::from_raw_mode(found.st_mode) == FileType::RegularFile)
    }
}

impl Disk for Directory {
    type File = DirectoryFile;

    fn open(&self, name: &str) -> io::Result<DirectoryFile> {
        check_name(name)?;
        let access = match self.0.is_read_only {
            true => OFlags::RDONLY,
            false => OFlags::RDWR | OFlags::CREATE,
        };
        let flags = access | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let directory = &self.0.directory;
        let file = retry_on_intr(|| rustix::fs::openat(directory, name, flags, mode))?;
        Ok(DirectoryFile(file.into()))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.0.directory)? {
            let entry = entry?;
            let Some(name) = entry.file_name().to_str().ok().filter(|name| is_name(name)) else {
                continue;
            };
            let is_file = match entry.file_type() {
                // Not every file system tells.
                FileType::Unknown => self.is_file(name)?,
                told => told == FileType::RegularFile,
            };
            if is_file {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.check_change()?;
        check_name(from)?;
        check_name(to)?;
        let directory = &self.0.directory;
        Ok(rustix::fs::renameat(directory, from, directory, to)?)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.check_change()?;
        check_name(name)?;
        Ok(rustix::fs::unlinkat(
            &self.0.directory,
            name,
            AtFlags::empty(),
        )?)
    }

    fn free_bytes(&self) -> io::Result<Option<u64>> {
        let system = rustix::fs::fstatvfs(&self.0.directory)?;
        // What is left for those who are not root.
        Ok(Some(system.f_bavail.saturating_mul(system.f_frsize)))
    }

    fn sync(&self) -> io::Result<()> {
        self.0.directory.sync_all()
    }
}

/// A file in a [`Directory`].
#[derive(Debug)]
pub struct DirectoryFile(fs::File);

impl File for DirectoryFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        FileExt::read_at(&self.0, into, at)
    }

    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, at)
    }

    /// `fdatasync`: contents, and the length when it has changed.
    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

fn open_directory(path: &Path) -> io::Result<fs::File> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = retry_on_intr(|| rustix::fs::openat(CWD, path, flags, Mode::empty()))?;
    Ok(opened.into())
}

/// Creates a directory with all above it, durably. One that is there may have been created by a
/// process that was killed before its sync, so what holds its name is synced too.
fn create(path: &Path, sync: &mut dyn FnMut(&Path) -> io::Result<()>) -> io::Result<()> {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or_else(|| Path::new("."));
    if !path.is_dir() {
        create(parent, sync)?;
        match fs::DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    sync(parent)
}

fn check_name(name: &str) -> io::Result<()> {
    if is_name(name) {
        Ok(())
    } else {
        Err(ErrorKind::InvalidInput.into())
    }
}

fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-');
    !name.is_empty() && !name.starts_with('.') && name.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_created_is_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;

        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("a/b");
        let directory = Directory::open(&path).unwrap();
        Disk::open(&directory, "1.log").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        for (path, expected) in [("a", 0o700), ("a/b", 0o700), ("a/b/1.log", 0o600)] {
            assert_eq!(mode(&temporary.path().join(path)), expected, "{path}");
        }
    }

    #[test]
    fn a_file_that_leads_elsewhere_is_not_opened() {
        let temporary = tempfile::tempdir().unwrap();
        let (path, elsewhere) = (temporary.path().join("a"), temporary.path().join("other"));
        let directory = Directory::open(&path).unwrap();
        fs::write(&elsewhere, "theirs").unwrap();
        std::os::unix::fs::symlink(&elsewhere, path.join("1.log")).unwrap();
        assert!(Disk::open(&directory, "1.log").is_err());
        assert_eq!(directory.list().unwrap(), Vec::<String>::new());
        assert_eq!(fs::read(&elsewhere).unwrap(), b"theirs");
    }

    /// Whoever clears the directory by hand does not clear the way for a second process.
    #[test]
    fn a_lock_is_not_lost_with_a_file() {
        let temporary = tempfile::tempdir().unwrap();
        let first = Directory::open(temporary.path()).unwrap();
        Disk::open(&first, "1.log").unwrap();
        for entry in fs::read_dir(temporary.path()).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
        let refused = Directory::open(temporary.path()).unwrap_err();
        assert!(
            matches!(refused, DirectoryError::Locked { .. }),
            "{refused}"
        );
        drop(first);
        Directory::open(temporary.path()).unwrap();
    }

    /// Whoever moves it away, and begins another one in its place, has two of them; neither writes into the
    /// other's, and each is locked.
    #[test]
    fn a_directory_that_is_moved_is_still_the_same_one() {
        let temporary = tempfile::tempdir().unwrap();
        let (at, away) = (temporary.path().join("at"), temporary.path().join("away"));
        let first = Directory::open(&at).unwrap();
        let write = |directory: &Directory, name: &str, bytes: &[u8]| {
            Disk::open(directory, name).unwrap().write_at(0, bytes)
        };
        for name in ["1.log", "2.log", "3.log"] {
            write(&first, name, b"first").unwrap();
        }
        fs::rename(&at, &away).unwrap();
        let second = Directory::open(&at).unwrap();
        for name in ["1.log", "2.log"] {
            write(&second, name, b"second").unwrap();
        }
        let refused = Directory::open(&away).unwrap_err();
        assert!(
            matches!(refused, DirectoryError::Locked { .. }),
            "{refused}"
        );

        write(&first, "1.log", b"FIRST").unwrap();
        write(&first, "4.log", b"first").unwrap();
        first.rename("2.log", "5.log").unwrap();
        first.remove("3.log").unwrap();
        first.sync().unwrap();
        let listed = |directory: &Directory| {
            let mut names = directory.list().unwrap();
            names.sort();
            names
        };
        assert_eq!(listed(&first), ["1.log", "4.log", "5.log"]);
        assert_eq!(listed(&second), ["1.log", "2.log"]);
        let contents = |path: &Path, name: &str| fs::read(path.join(name)).unwrap();
        assert_eq!(contents(&away, "1.log"), b"FIRST");
        assert_eq!(contents(&away, "5.log"), b"first");
        assert_eq!(contents(&at, "1.log"), b"second");
        assert_eq!(contents(&at, "2.log"), b"second");
    }

    #[test]
    fn a_directory_that_others_may_look_into_says_so_and_stays_as_it_is() {
        let temporary = tempfile::tempdir().unwrap();
        let made = Directory::open(temporary.path().join("made")).unwrap();
        assert_eq!(made.shared_mode().unwrap(), None);
        for mode in [0o755, 0o750, 0o701] {
            let path = temporary.path().join(format!("{mode:o}"));
            fs::create_dir(&path).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let opened = Directory::open(&path).unwrap();
            assert_eq!(opened.shared_mode().unwrap(), Some(mode));
            assert_eq!(
                opened.shared_mode().unwrap(),
                Some(mode),
                "it is not changed"
            );
        }
    }

    #[test]
    fn a_file_is_no_directory_and_no_name_leads_out_of_one() {
        let temporary = tempfile::tempdir().unwrap();
        let file = temporary.path().join("file");
        fs::write(&file, "").unwrap();
        let refused = Directory::open(&file).unwrap_err();
        assert!(matches!(refused, DirectoryError::Io { .. }), "{refused}");
        let directory = Directory::open(temporary.path().join("a")).unwrap();
        for name in ["../file", "/file", "a/b", ".", ".."] {
            let kinds = [
                Disk::open(&directory, name).map(|_| ()),
                directory.remove(name),
                directory.rename(name, "1.log"),
                directory.rename("1.log", name),
            ];
            for refused in kinds {
                let kind = refused.unwrap_err().kind();
                assert_eq!(kind, ErrorKind::InvalidInput, "{name}");
            }
        }
        assert!(file.exists());
    }

    #[test]
    fn a_directory_is_made_durable_also_when_it_exists() {
        let temporary = tempfile::tempdir().unwrap();
        let root = temporary.path();
        let synced = |path: &Path| {
            let mut synced = Vec::new();
            create(path, &mut |parent| {
                assert!(path.starts_with(parent));
                synced.push(parent.strip_prefix(root).unwrap().to_owned());
                Ok(())
            })
            .unwrap();
            synced
        };
        // An incarnation that was killed between the creation and the sync.
        fs::create_dir(root.join("a")).unwrap();
        let expected = ["", "a", "a/b"].map(PathBuf::from);
        assert_eq!(synced(&root.join("a/b/c")), expected);
        assert!(root.join("a/b/c").is_dir());
        assert_eq!(synced(&root.join("a/b/c")), expected[2..]);
    }
}
