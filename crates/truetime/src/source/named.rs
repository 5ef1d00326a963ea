//! A Unix socket with a path, to which a daemon can answer.

use std::format;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use super::chrony::unguessable;

/// A socket whose path is removed when it is dropped.
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
        // The daemon may have dropped its root privileges.
        fs::set_permissions(&named.path, fs::Permissions::from_mode(0o666))?;
        Ok(named)
    }

    pub(super) const fn socket(&self) -> &UnixDatagram {
        &self.socket
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        // On failure an unused path stays behind.
        let _ = fs::remove_file(&self.path);
    }
}
