//! The first inputs of each target, written as files.

use std::path::Path;
use std::{fs, io};

use crate::TARGETS;

/// Writes the seeds of every target into a folder of its name below `folder`. They are where a corpus begins, and
/// what keeps it from growing old when an encoding changes.
///
/// # Errors
/// Those of the file system.
pub fn write_seeds(folder: &Path) -> io::Result<()> {
    for target in TARGETS {
        let folder = folder.join(target.name);
        fs::create_dir_all(&folder)?;
        for (at, seed) in target.seeds().iter().enumerate() {
            fs::write(folder.join(format!("seed-{at:02}")), seed)?;
        }
    }
    Ok(())
}
