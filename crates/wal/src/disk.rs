//! The medium: all the log asks of a disk, and all that a simulation has to replace.

use std::io;

/// A flat directory of files. A clone is the same directory.
///
/// Names consist of `a-z`, `0-9`, `.` and `-`. Creations, renames and removals are durable only
/// after [`sync`](Self::sync), contents only after [`File::sync`].
pub trait Disk: Clone + Send + Sync + 'static {
    /// An open file.
    type File: File;

    /// Opens a file for reading and writing, and creates it when it is absent.
    ///
    /// # Errors
    /// Those of the medium.
    fn open(&self, name: &str) -> io::Result<Self::File>;

    /// The names of all files, in any order.
    ///
    /// # Errors
    /// Those of the medium.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Gives a file another name, atomically, in place of the file that had it.
    ///
    /// # Errors
    /// Those of the medium; [`io::ErrorKind::NotFound`].
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file. Handles that are open stay usable.
    ///
    /// # Errors
    /// Those of the medium; [`io::ErrorKind::NotFound`].
    fn remove(&self, name: &str) -> io::Result<()>;

    /// How many bytes more its files may take, if the medium knows. Others may take them first, and a
    /// quota is not seen.
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

    /// Reads at `at`. It may read less than asked for; 0 is the end of the file.
    ///
    /// # Errors
    /// Those of the medium.
    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize>;

    /// Writes all of `bytes` at `at`, or fails. Behind the end the file grows, with zeros in
    /// between.
    ///
    /// # Errors
    /// Those of the medium. What the range holds after an error is unknown.
    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes contents and length durable.
    ///
    /// # Errors
    /// Those of the medium. After an error nothing that was written since the last success may be
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

/// Whether an error says that something has run out, space or a quota or descriptors: nothing was
/// done and nothing is lost, and it may go better later. It is no fault of the medium, after which
/// nobody knows what it holds.
#[must_use]
pub fn is_full(error: &io::Error) -> bool {
    let descriptors = cfg!(unix) && matches!(error.raw_os_error(), Some(ENFILE | EMFILE));
    lacks_space(error) || descriptors
}

/// Whether it is space that has run out, of the disk or of a quota: to give some back helps then.
pub(crate) fn lacks_space(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// No descriptor is left, in the system or in this process. The same on every Unix; std has no name
/// for them.
const ENFILE: i32 = 23;
const EMFILE: i32 = 24;
