//! The medium: everything that the log needs of a disk, and all that a simulation has to replace.

use std::io;

/// A flat directory of files. Clones refer to the same directory.
///
/// Names consist of `a-z`, `0-9`, `.` and `-`. Creations, renames and removals are durable only
/// after [`sync`](Self::sync), contents only after [`File::sync`].
pub trait Disk: Clone + Send + Sync + 'static {
    /// An open file.
    type File: File;

    /// Opens a file for reading and writing, creating it if it is absent.
    ///
    /// # Errors
    /// Those of the medium.
    fn open(&self, name: &str) -> io::Result<Self::File>;

    /// The names of all files, in any order.
    ///
    /// # Errors
    /// Those of the medium.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Renames a file atomically, replacing the file that had the name.
    ///
    /// # Errors
    /// Those of the medium; [`io::ErrorKind::NotFound`].
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file. Open handles stay usable.
    ///
    /// # Errors
    /// Those of the medium; [`io::ErrorKind::NotFound`].
    fn remove(&self, name: &str) -> io::Result<()>;

    /// How many more bytes its files may take, if the medium knows. Other users may take them
    /// first, and quotas are not included.
    ///
    /// # Errors
    /// Those of the medium.
    fn free_bytes(&self) -> io::Result<Option<u64>> {
        Ok(None)
    }

    /// Makes creations, renames and removals durable.
    ///
    /// # Errors
    /// Those of the medium. What is durable after an error is unknown.
    fn sync(&self) -> io::Result<()>;
}

/// An open file, for use from several threads at once.
pub trait File: Send + Sync + 'static {
    /// Length in bytes.
    ///
    /// # Errors
    /// Those of the medium.
    fn len(&self) -> io::Result<u64>;

    /// Whether the length is 0.
    ///
    /// # Errors
    /// Those of the medium.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Reads at offset `at`. It may read less than requested; 0 means the end of the file.
    ///
    /// # Errors
    /// Those of the medium.
    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize>;

    /// Writes all of `bytes` at offset `at`, or fails. A write after the end extends the file, with
    /// zeros in between.
    ///
    /// # Errors
    /// Those of the medium. After an error the contents of the range are unknown.
    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes contents and length durable.
    ///
    /// # Errors
    /// Those of the medium. After an error nothing written since the last successful sync may be
    /// trusted, not even if a later sync succeeds.
    fn sync(&self) -> io::Result<()>;
}

/// Reads until `into` is full or the file ends; returns how much was read.
pub(crate) fn read_full(file: &impl File, at: u64, into: &mut [u8]) -> io::Result<usize> {
    let mut done = 0;
    while done < into.len() {
        match file.read_at(at + done as u64, &mut into[done..]) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// Whether an error means that a resource has run out: space, a quota or file descriptors. Then
/// nothing was done, nothing is lost, and a later attempt may succeed. Any other error is a fault
/// of the medium, after which its contents are unknown.
#[must_use]
pub fn is_full(error: &io::Error) -> bool {
    let descriptors = cfg!(unix) && matches!(error.raw_os_error(), Some(ENFILE | EMFILE));
    lacks_space(error) || descriptors
}

/// Whether space has run out, on the disk or in a quota, so that freeing some helps.
pub(crate) fn lacks_space(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// No file descriptor is left, in the system or in this process. The same on every Unix; std has no
/// names for them.
const ENFILE: i32 = 23;
const EMFILE: i32 = 24;
