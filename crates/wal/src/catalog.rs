//! The segment files of a directory, and the part that each has in the log.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::disk::{Disk, File};
use crate::format::{self, Header, Kind};
use crate::scan::{Frame, Window};
use crate::{Corruption, Lsn, OpenError};

/// The segments of a directory.
#[derive(Debug)]
pub(crate) struct Catalog<F> {
    /// Files with a good opening, by generation; those below `oldest` are free.
    pub(crate) heads: BTreeMap<u64, Found<F>>,
    /// Files without a good opening: fresh, half filled, torn, or corrupt.
    pub(crate) headless: Vec<Found<F>>,
    /// The oldest generation that is part of the log, according to the newest opening.
    pub(crate) oldest: u64,
    /// The greatest number in a file name.
    pub(crate) number_max: u64,
}

/// A file whose name is that of a segment.
#[derive(Debug)]
pub(crate) struct Found<F> {
    pub(crate) number: u64,
    pub(crate) file: Arc<F>,
    pub(crate) len: u64,
    pub(crate) head: Option<Frame>,
}

impl<F: File> Catalog<F> {
    /// Lists the files and reads the opening of each.
    pub(crate) fn read<D: Disk<File = F>>(disk: &D) -> Result<Self, OpenError> {
        let mut numbers: Vec<(u64, String)> = disk
            .list()?
            .into_iter()
            .filter_map(|name| Some((number(&name)?, name)))
            .collect();
        numbers.sort_unstable();
        let number_max = numbers.last().map_or(0, |(number, _)| *number);
        let mut catalog = Self {
            heads: BTreeMap::new(),
            headless: Vec::new(),
            oldest: 0,
            number_max,
        };
        for (number, name) in numbers {
            let file = Arc::new(disk.open(&name)?);
            let len = file.len()?.min(SEGMENT_BYTES_MAX);
            let head = Window::new(Arc::clone(&file), len, None).frame(0)?;
            let head = head.filter(|frame| frame.header.kind == Kind::Head || frame.version != 0);
            let found = Found {
                number,
                file,
                len,
                head,
            };
            match &found.head {
                None => catalog.headless.push(found),
                Some(head) if head.version != 0 => {
                    return Err(OpenError::Version {
                        segment: number,
                        version: head.version,
                    });
                }
                Some(head) => {
                    let (generation, lsn) = (head.header.generation, head.header.lsn);
                    if catalog.heads.insert(generation, found).is_some() {
                        return Err(Corruption {
                            segment: number,
                            offset: 0,
                            lsn,
                        }
                        .into());
                    }
                }
            }
        }
        catalog.oldest = catalog.oldest()?;
        Ok(catalog)
    }

    /// The newest generation with a good opening.
    pub(crate) fn newest(&self) -> Option<u64> {
        self.heads
            .last_key_value()
            .map(|(generation, _)| *generation)
    }

    /// The salt of the log, according to the newest opening.
    pub(crate) fn salt(&self) -> Option<u64> {
        let (_, found) = self.heads.last_key_value()?;
        found.head.as_ref().map(|head| head.header.salt)
    }

    /// Checks that all segments of the log, from the oldest to the newest, are there.
    pub(crate) fn complete(&self) -> Result<(), OpenError> {
        let Some(newest) = self.newest() else {
            return Ok(());
        };
        let missing = (self.oldest..newest).find(|generation| !self.heads.contains_key(generation));
        let Some(missing) = missing else {
            return Ok(());
        };
        // Its opening is gone, but the records after it may still show which file it is.
        let lsn = self
            .heads
            .range(..missing)
            .next_back()
            .and_then(|(_, found)| found.head.as_ref());
        let lsn = lsn.map_or(Lsn(0), |head| head.header.lsn);
        self.refute(self.salt(), |header| {
            header.generation >= missing && header.durable > lsn
        })?;
        Err(OpenError::Missing {
            generation: missing,
        })
    }

    /// Searches for a record that proves that its file was part of the log although the file's
    /// opening does not show it: the opening is bad, or it is an old one because the write of the
    /// new one was lost, or it is in another file.
    ///
    /// Without any opening there is no salt, and every record is a proof: the first opening of a
    /// log is a batch of its own, so before it is durable there is no body, and so not even a
    /// forged record.
    pub(crate) fn refute(
        &self,
        salt: Option<u64>,
        is_proof: impl Fn(&Header) -> bool,
    ) -> Result<(), OpenError> {
        let stale = self.heads.range(..self.oldest).map(|(_, found)| found);
        for found in self.headless.iter().chain(stale) {
            let mut window = Window::new(Arc::clone(&found.file), found.len, salt);
            let Some(proof) = window.search(0, &is_proof)? else {
                continue;
            };
            // The opening was right before the first good record of its generation.
            let first = window.search(0, |header| header.generation == proof.header.generation)?;
            let lsn = first.map_or(proof.header.lsn, |frame| frame.header.lsn);
            return Err(Corruption {
                segment: found.number,
                offset: 0,
                lsn: Lsn(lsn.0.saturating_sub(1)),
            }
            .into());
        }
        Ok(())
    }

    fn oldest(&self) -> Result<u64, OpenError> {
        let Some((_, found)) = self.heads.last_key_value() else {
            return Ok(1);
        };
        let Some(head) = &found.head else {
            return Ok(1);
        };
        let mut window = Window::new(Arc::clone(&found.file), found.len, None);
        let corruption = Corruption {
            segment: found.number,
            offset: 0,
            lsn: head.header.lsn,
        };
        let oldest = format::decode_head(window.payload(head)?)
            .map(|(oldest, _)| oldest)
            .map_err(|_| corruption)?;
        if oldest > head.header.generation {
            Err(corruption.into())
        } else {
            Ok(oldest)
        }
    }
}

/// The name of a segment's file.
pub(crate) fn name(number: u64) -> String {
    format!("{number:08}.log")
}

fn number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".log")?;
    let is_number = digits.len() >= 8 && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.parse().ok().filter(|_| is_number)?;
    (number <= NUMBER_MAX).then_some(number)
}

/// The greatest number of a segment's file, which no log ever reaches. A file with a greater number
/// is not ours, so there is always a next number.
pub(crate) const NUMBER_MAX: u64 = 999_999_999_999;
/// The longest segment; the rest of a longer file is ignored.
pub(crate) const SEGMENT_BYTES_MAX: u64 = 1 << 30;
