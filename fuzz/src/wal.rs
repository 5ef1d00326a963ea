//! What the targets of the log share: small segments, and a log's contents as a value.

use std::collections::BTreeMap;

use synod_wal::{Options, ReadError, Slot, Tag, Wal};

use crate::disk::Memory;

/// All that a log holds of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) state: Option<Tag>,
    pub(crate) start: (u64, Tag),
    pub(crate) slots: BTreeMap<u64, Slot>,
}

/// All that a log holds, by group. A slot that cannot be read, told by its error, ends its group.
pub(crate) type Contents = BTreeMap<u64, (Group, Option<String>)>;

pub(crate) fn contents(wal: &Wal<Memory>) -> Contents {
    let groups = wal.groups().into_iter();
    groups
        .filter_map(|id| {
            let recovered = wal.recover(id).ok()?;
            let mut group = Group {
                state: recovered.state,
                start: recovered.start,
                slots: BTreeMap::new(),
            };
            let mut error = None;
            for slot in recovered.slots {
                match slot {
                    Ok(slot) => drop(group.slots.insert(slot.index, slot)),
                    Err(found) => {
                        error = Some(name(&found));
                        break;
                    }
                }
            }
            Some((id.0, (group, error)))
        })
        .collect()
}

/// Without the place, which carrying a slot forward changes.
fn name(error: &ReadError) -> String {
    match error {
        ReadError::Slot { index, .. } => format!("slot {index}"),
        other => other.to_string(),
    }
}

/// The shortest segments there are, and a secret that is known, so that runs repeat each other.
pub(crate) fn options() -> Options {
    let mut options = Options::default();
    options.segment_bytes = 16 << 10;
    options.record_bytes_max = 4 << 10;
    options.pending_bytes_max = 32 << 10;
    // There is one, and it is soon written.
    options.reserve_bytes = 4 << 10;
    options.salt = Some(0x5A17);
    options
}
