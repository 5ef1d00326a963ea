//! sim

mod disk;

pub use disk::{Disk, DiskOptions, DiskStats, FILE_BYTES_MAX, SECTOR_BYTES};
