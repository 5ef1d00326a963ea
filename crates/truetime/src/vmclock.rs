//! The hypervisor's reports of disruptions of a virtual machine's clocks: VMClock, by
//! `/dev/vmclock0`.
//!
//! A machine that is paused, or migrated to another host, cannot detect it: its counter continues from where it was,
//! or from another value. The hypervisor changes a number in a page that the machine can read. Linux exposes that
//! page as a device since 6.13; Amazon's Nitro and QEMU provide it.
//!
//! The layout is that of the kernel's `vmclock-abi.h`, version 1. This module was tested with pages built from
//! that definition, and has never run on a machine that has the device.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{Clocks, Local, Timestamp};

/// The bytes of a page that are read here.
pub const PAGE_BYTES: usize = 112;

/// The part of the page that shows whether the machine was paused or migrated.
///
/// ```text
///   0  magic "VCLK"        4 bytes         24  flags                   u64
///   4  size of the region  u32             34  status of its clock     u8
///   8  version             u16             35  smearing hint           u8
///  12  sequence            u32   odd while 104  generation of the machine  u64, from size 112 on, if flag 8 is set
///  16  disruption marker   u64   written                                         all little-endian
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Page {
    /// Changes to a new value when the counter of the machine was disrupted.
    pub disruption_marker: u64,
    /// The `VMCLOCK_FLAG_` bits.
    pub flags: u64,
    /// The status of the hypervisor's own time: 2 is synchronised, 4 unreliable.
    pub clock_status: u8,
    /// Changes when the machine was restored from a snapshot, or copied; `None` if the hypervisor does not
    /// provide it.
    pub generation: Option<u64>,
}

/// Why bytes are not a valid page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PageError {
    /// Shorter than the fields that every version has.
    #[error("a page has {PAGE_LEAST_BYTES} bytes or more, not {bytes}")]
    Length {
        /// The number of bytes read, or the size stated in the page.
        bytes: usize,
    },
    /// The magic number is wrong.
    #[error("not a page of VMClock")]
    Magic,
    /// An unknown version of the layout.
    #[error("version {found} of VMClock is not known here")]
    Version {
        /// The version in the page.
        found: u16,
    },
    /// The hypervisor is writing it.
    #[error("the page is being written")]
    Updating,
}

impl Page {
    /// Decodes a page; bytes beyond the known fields are ignored.
    ///
    /// # Errors
    /// When the bytes are not a page, or it is being written.
    pub fn decode(bytes: &[u8]) -> Result<Self, PageError> {
        if bytes.len() < PAGE_LEAST_BYTES {
            return Err(PageError::Length { bytes: bytes.len() });
        }
        if field(bytes, 0) != *b"VCLK" {
            return Err(PageError::Magic);
        }
        match u16::from_le_bytes(field(bytes, 8)) {
            VERSION => {}
            found => return Err(PageError::Version { found }),
        }
        let said = u32::from_le_bytes(field(bytes, 4)) as usize;
        if said < PAGE_LEAST_BYTES {
            return Err(PageError::Length { bytes: said });
        }
        if !u32::from_le_bytes(field(bytes, 12)).is_multiple_of(2) {
            return Err(PageError::Updating);
        }
        let flags = u64::from_le_bytes(field(bytes, 24));
        let has_generation = flags & FLAG_GENERATION != 0 && said.min(bytes.len()) >= PAGE_BYTES;
        Ok(Self {
            disruption_marker: u64::from_le_bytes(field(bytes, 16)),
            flags,
            clock_status: bytes[34],
            generation: has_generation.then(|| u64::from_le_bytes(field(bytes, 104))),
        })
    }

    /// A single number that changes when the marker or the generation changes.
    #[must_use]
    pub fn marker(&self) -> u64 {
        let generation = self.generation.unwrap_or(0);
        // Multiplication by an odd factor is a bijection.
        self.disruption_marker
            .wrapping_add(generation.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }
}

/// The clocks of a virtual machine whose hypervisor reports pauses and migrations.
///
/// Each reading of an interval reads the page, by a system call; a pause is thus detected by the first read after it,
/// and not only by the next sample. A page that cannot be read, or is never consistent, counts as a disruption.
///
/// ```no_run
/// use std::time::Duration;
/// use synod_truetime::source::Chrony;
/// use synod_truetime::vmclock::VmClock;
/// use synod_truetime::{Config, Disciplined, SystemClocks};
///
/// let clocks = VmClock::open(SystemClocks::new(), VmClock::<SystemClocks>::PATH)?;
/// let clock = Disciplined::new(Chrony::new(SystemClocks::new()), clocks, Config::default());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct VmClock<C> {
    clocks: C,
    page: File,
    unreadable: AtomicU64,
}

impl<C: Clocks> VmClock<C> {
    /// Where Linux exposes the page.
    pub const PATH: &str = "/dev/vmclock0";

    /// The clocks of this machine, and the page at a path.
    ///
    /// # Errors
    /// Errors of opening and reading it, and [`io::ErrorKind::InvalidData`] if it is not a page.
    pub fn open(clocks: C, path: impl AsRef<Path>) -> io::Result<Self> {
        let page = File::open(path)?;
        read(&page)?;
        Ok(Self {
            clocks,
            page,
            unreadable: AtomicU64::new(0),
        })
    }

    /// Reads the page.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn page(&self) -> io::Result<Page> {
        read(&self.page)
    }
}

fn read(file: &File) -> io::Result<Page> {
    let mut bytes = [0; PAGE_BYTES];
    for _ in 0..ATTEMPTS_MAX {
        // The kernel copies it between two reads of the sequence.
        let count = file.read_at(&mut bytes, 0)?;
        match Page::decode(&bytes[..count]) {
            Err(PageError::Updating) => std::thread::yield_now(),
            page => return page.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error)),
        }
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidData,
        PageError::Updating,
    ))
}

impl<C: Clocks> Clocks for VmClock<C> {
    fn local(&self) -> Local {
        self.clocks.local()
    }

    fn monotonic(&self) -> u64 {
        self.clocks.monotonic()
    }

    fn boottime(&self) -> u64 {
        self.clocks.boottime()
    }

    fn realtime(&self) -> Timestamp {
        self.clocks.realtime()
    }

    fn granularity(&self) -> u32 {
        self.clocks.granularity()
    }

    fn disruption_marker(&self) -> u64 {
        match self.page() {
            Ok(page) => page.marker(),
            // A different value each time, so that it counts as a change.
            Err(_) => !self.unreadable.fetch_add(1, Ordering::Relaxed),
        }
    }

    fn may_sleep(&self) -> bool {
        self.clocks.may_sleep()
    }
}

/// The bytes from `at` on; `at` is one of the layout's offsets, and the length has been checked.
fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    core::array::from_fn(|i| bytes[at + i])
}

const PAGE_LEAST_BYTES: usize = 104;
const VERSION: u16 = 1;
const FLAG_GENERATION: u64 = 1 << 8;
const ATTEMPTS_MAX: usize = 100;
