//! A full medium: the log accepts what it promised to accept, and a refused record leaves nothing
//! behind.

use super::LogStore;
use super::rig::{Rig, put};
use crate::conformance::suite::{Suite, Unsupported};
use crate::log::{Log, LogError, RECORD_SPARE_BYTES};

pub(super) fn run<S: LogStore>(suite: &mut Suite, fresh: &mut dyn FnMut() -> S) {
    suite.case(
        "full_medium",
        "without space, a log accepts what `room_bytes` and `takes_a_record` promise; a refused record is `Full` and \
         leaves nothing; with space again, the log has room and continues",
        || full_medium(&mut Rig::new(fresh)),
    );
}

fn full_medium<S: LogStore>(rig: &mut Rig<S>) -> Result<(), Unsupported> {
    let mut last = 0;
    for len in [100, 3_000, 1] {
        last += 1;
        rig.append(1, &[put(last, 0, len)]);
    }
    rig.sync();
    rig.store.fill(true)?;
    // Like a driver: checks the room once a turn, and then appends what fits.
    let mut turns = 0..TURNS;
    while rig.log().has_room() {
        let taken = take_what_fits(rig, last, true);
        // It may find out on another thread, and then has to be settled.
        assert!(
            turns.next().is_some() && (taken > last || rig.wait()),
            "it still has room on a medium without space"
        );
        rig.sync();
        last = taken;
    }
    // There is no room for new entries, but there is for what keeps the group alive.
    last = take_what_fits(rig, last, false);
    let refused = fill_up(rig, &mut last);
    if let Err(error) = refused {
        assert!(
            matches!(error, LogError::Full),
            "without space an append returned {error:?}"
        );
    }
    rig.check_synced("on a medium without space");

    rig.store.fill(false)?;
    let mut asked = 0..TURNS;
    while !rig.log().has_room() {
        // The room may be made on another thread.
        assert!(
            asked.next().is_some() && rig.wait(),
            "there is space again, and the log has no room"
        );
        rig.sync();
    }
    for len in [1, 3_000, 100] {
        last += 1;
        rig.append(1, &[put(last, 0, len)]);
    }
    rig.check_synced("with space again");
    Ok(())
}

/// Appends what a driver would, and syncs. With a log that is never full, it stops after a while.
fn take_what_fits<S: LogStore>(rig: &mut Rig<S>, mut last: u64, has_room: bool) -> u64 {
    let mut room = rig.log().room_bytes();
    let mut is_first = has_room && rig.log().takes_a_record();
    for turn in 0..RECORDS {
        let len = 1 + (turn * 631 % 2_048);
        let cost = len + RECORD_SPARE_BYTES as u64;
        if cost > room && !is_first {
            break;
        }
        last += 1;
        let writes = [put(last, 0, len as usize)];
        let taken = rig.try_append(1, &writes);
        assert!(
            taken.is_ok(),
            "a record of {len} bytes ended in {taken:?}; it was the first: {is_first}, and there was room for {room}"
        );
        (room, is_first) = (room.saturating_sub(cost), false);
    }
    rig.sync();
    last
}

/// Appends records of two operations until one is refused, or there seems to be no end.
fn fill_up<S: LogStore>(rig: &mut Rig<S>, last: &mut u64) -> Result<(), LogError> {
    for _ in 0..RECORDS {
        let writes = [put(*last + 1, 0, 700), put(*last + 2, 0, 700)];
        rig.try_append(1, &writes)?;
        *last += 2;
    }
    Ok(())
}

/// The most records in a turn.
const RECORDS: u64 = 500;
/// The most turns.
const TURNS: usize = 100;
