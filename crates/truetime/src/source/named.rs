//! A socket in the file system to which a daemon can answer.

use std::format;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use super::chrony::unguessable;

/// A socket with a name, which is removed with it.
pub(super) struct Named {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Named {
    /// A socket in that folder.
    pub(super) fn within(folder: &Path) -> io::Result<Self> {
        let (process, number) = (std::process::id(), unguessable());
        let path = folder.join(format!("truetime.{process}.{number:08x}.sock"));
        let named = Self {
            socket: UnixDatagram::bind(&path)?,
            path,
        };
        // The daemon may have given up the right to write where only root may.
        fs::set_permissions(&named.path, fs::Permissions::from_mode(0o666))?;
        Ok(named)
    }

    pub(super) const fn socket(&self) -> &UnixDatagram {
        &self.socket
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        // What stays behind is a name that nobody asks by again.
        let _ = fs::remove_file(&self.path);
    }
}
