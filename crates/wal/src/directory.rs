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

/// A directory of the file system, locked against other processes as long as this value or a clone
/// of it lives. It stays the same directory when it is moved.
#[derive(Clone, Debug)]
pub struct Directory(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// The path with which it was opened.
    path: PathBuf,
    /// Everything goes through this handle and nothing through the path. The lock is on the handle,
    /// not on a file that could be deleted. If the directory is moved and a new one is made in its
    /// place, these are two directories with a lock each.
    directory: fs::File,
    /// Refuses all changes.
    is_read_only: bool,
}

/// Why a directory cannot be opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DirectoryError {
    /// Another process, or another value in this one, uses the directory.
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
        /// The error of the file system.
        source: io::Error,
    },
}

impl Directory {
    /// Opens the directory at `path`, creates it if it is absent, and locks it until the last clone
    /// is dropped. What is created is accessible to its owner only: the log holds what clients
    /// wrote, and a secret. The directory may be a symbolic link; a file that is one is not opened.
    ///
    /// # Errors
    /// [`DirectoryError::Locked`] while it is in use, and otherwise [`DirectoryError::Io`].
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

    /// Opens an existing directory for reading, even while it is in use: for [`dump`](crate::dump),
    /// not for a log. Every change is refused.
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

    /// The path with which it was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// The mode of the directory, if others than its owner may read or change it: a directory that
    /// existed before keeps its mode. Its files are accessible to their owner only, so reading the
    /// directory reveals names and lengths and no more; but whoever may write to it can remove
    /// files.
    ///
    /// The mode is not corrected, since the owner may have set it on purpose; the caller may warn
    /// about it.
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
                // Not every file system reports the type.
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
        // The space available to users other than root.
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

    /// `fdatasync`: contents, and the length if it has changed.
    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

fn open_directory(path: &Path) -> io::Result<fs::File> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = retry_on_intr(|| rustix::fs::openat(CWD, path, flags, Mode::empty()))?;
    Ok(opened.into())
}

/// Creates a directory and its ancestors, durably. An existing one may have been created by a
/// process that was killed before its sync, so the directory that holds its name is synced too.
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

    /// Deleting all files by hand must not let a second process in.
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

    /// After moving the directory and creating another in its place there are two; neither writes
    /// into the other, and each is locked.
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
                "the mode is not changed"
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
        // A process was killed between the creation and the sync.
        fs::create_dir(root.join("a")).unwrap();
        let expected = ["", "a", "a/b"].map(PathBuf::from);
        assert_eq!(synced(&root.join("a/b/c")), expected);
        assert!(root.join("a/b/c").is_dir());
        assert_eq!(synced(&root.join("a/b/c")), expected[2..]);
    }
}
