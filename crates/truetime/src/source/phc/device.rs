use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::time::{DynamicClockId, clock_gettime_dynamic};

use super::HardwareClock;
use crate::Timestamp;
use crate::source::SourceError;

/// A PTP hardware clock of this machine: `/dev/ptpN`, read by `clock_gettime` on the clock that belongs to the open
/// file.
#[derive(Debug)]
pub struct PtpDevice {
    file: File,
    error_file: Option<PathBuf>,
}

impl PtpDevice {
    /// Opens a device.
    ///
    /// # Errors
    /// Those of opening it: it is not there, or may not be read by this user.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        Ok(Self {
            file: File::open(path)?,
            error_file: None,
        })
    }

    /// Sets a file in which the driver reports the error of the clock at its last reading, in nanoseconds: Amazon's
    /// has `/sys/bus/pci/devices/<address>/phc_error_bound`.
    #[must_use]
    pub fn with_error_file(mut self, path: impl AsRef<Path>) -> Self {
        self.error_file = Some(path.as_ref().to_path_buf());
        self
    }
}

impl HardwareClock for PtpDevice {
    fn time(&self) -> Result<Timestamp, SourceError> {
        let time = clock_gettime_dynamic(DynamicClockId::Dynamic(self.file.as_fd()))
            // The file is not a clock, or the card is busy.
            .map_err(|_| SourceError::Unavailable)?;
        let seconds = time.tv_sec.checked_mul(1_000_000_000);
        let nanos = seconds.and_then(|seconds| seconds.checked_add(time.tv_nsec));
        Ok(Timestamp::from_nanos(nanos.ok_or(SourceError::Malformed)?))
    }

    fn error_nanos(&self) -> Result<Option<u64>, SourceError> {
        let Some(path) = &self.error_file else {
            return Ok(None);
        };
        let text = fs::read_to_string(path).map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => SourceError::Denied,
            _ => SourceError::Unavailable,
        })?;
        let nanos = text.trim().parse().map_err(|_| SourceError::Malformed)?;
        Ok(Some(nanos))
    }
}
