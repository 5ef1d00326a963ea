//! A real directory as the medium.

use std::fs::{self, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::OFlags;
use thiserror::Error;

use crate::disk::{Disk, File};

/// A directory of the file system, locked against other processes while a value or a clone of it
/// lives.
#[derive(Clone, Debug)]
pub struct Directory(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    /// Open for its syncs, and for the lock: it goes with the handle, and no file that somebody might delete
    /// stands for it.
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
        let directory = fs::File::open(path).map_err(failed)?;
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
        match fs::File::open(&path) {
            Ok(directory) => Ok(Self(Arc::new(Inner {
                path,
                directory,
                is_read_only: true,
            }))),
            Err(source) => Err(DirectoryError::Io { path, source }),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    fn file(&self, name: &str) -> io::Result<PathBuf> {
        if is_name(name) {
            Ok(self.0.path.join(name))
        } else {
            Err(ErrorKind::InvalidInput.into())
        }
    }

    fn changed(&self, name: &str) -> io::Result<PathBuf> {
        if self.0.is_read_only {
            return Err(ErrorKind::ReadOnlyFilesystem.into());
        }
        self.file(name)
    }
}

impl Disk for Directory {
    type File = DirectoryFile;

    fn open(&self, name: &str) -> io::Result<DirectoryFile> {
        let write = !self.0.is_read_only;
        let mut options = fs::OpenOptions::new();
        options.read(true).write(write).create(write);
        options
            .mode(0o600)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
        Ok(DirectoryFile(options.open(self.file(name)?)?))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.0.path)? {
            let entry = entry?;
            if let Ok(name) = entry.file_name().into_string()
                && is_name(&name)
                && entry.file_type()?.is_file()
            {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.changed(from)?, self.changed(to)?)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.changed(name)?)
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
        // A life that was killed between the creation and the sync.
        fs::create_dir(root.join("a")).unwrap();
        let expected = ["", "a", "a/b"].map(PathBuf::from);
        assert_eq!(synced(&root.join("a/b/c")), expected);
        assert!(root.join("a/b/c").is_dir());
        assert_eq!(synced(&root.join("a/b/c")), expected[2..]);
    }
}
