use alloc::collections::BTreeMap;

use crate::check::durable::{Durable, Held};
use crate::check::watch::Watch;
use crate::check::{Named, Violation};
use crate::{Paxos, Position, Slot, State};

/// The disk of a node that has just restarted: as it was durable, or with all or the first steps of
/// the write that was in flight when it crashed. The messages of that write were not sent yet.
pub(crate) fn recovered(watch: &Watch, paxos: &Paxos) -> Result<Durable, Violation> {
    let node = paxos.common.config.id;
    let snapshot = newest_snapshot(paxos);
    if snapshot.slot < watch.durable.snapshot.slot && !watch.rotted {
        return Err(Violation::SnapshotLost {
            node,
            needed: watch.durable.snapshot.slot,
            snapshot: snapshot.slot,
        });
    }
    // A snapshot is a separate file, and may be newer than what was reported to the checker.
    let durable = Durable {
        snapshot,
        ..watch.durable.clone()
    };
    let Some(difference) = difference(paxos, &durable) else {
        return Ok(durable);
    };
    if let Some(staged) = &watch.staged {
        let change = &staged.change;
        let torn = (0..=change.votes.len()).map(|votes| change.torn(votes));
        for kept in torn.chain([change.clone()]).rev() {
            let mut stored = durable.clone();
            if stored.store(node, &kept).is_err() {
                continue;
            }
            // The first steps hold back the chosen prefix, so that it does not name votes that are
            // still missing.
            let (chosen, state) = (paxos.common.written.chosen, &mut stored.state);
            if chosen >= durable.state.chosen.min(state.chosen) && chosen <= state.chosen {
                state.chosen = chosen;
            }
            if self::difference(paxos, &stored).is_none() {
                return Ok(stored);
            }
        }
    }
    Err(difference)
}

/// The stored state of a node that the checker did not know before.
pub(crate) fn adopted(paxos: &Paxos) -> Durable {
    Durable {
        state: State {
            promised: paxos.common.promise_persisted,
            chosen: paxos.common.written.chosen,
        },
        start: Position {
            slot: paxos.common.log.start_persisted(),
            ..paxos.common.log.start()
        },
        votes: votes(paxos),
        unseen: paxos.common.log.evicted_to(),
        snapshot: newest_snapshot(paxos),
    }
}

pub(crate) fn newest_snapshot(paxos: &Paxos) -> Position {
    let snapshot = paxos.common.snapshot.as_ref();
    snapshot.map_or(Position::ZERO, |snapshot| snapshot.last)
}

/// All votes in memory.
fn votes(paxos: &Paxos) -> BTreeMap<Slot, Held> {
    let votes = paxos.common.log.votes_from(Slot(0));
    let held = votes.map(|vote| (vote.slot, Held::of(vote.ballot, vote.value)));
    held.collect()
}

fn difference(paxos: &Paxos, disk: &Durable) -> Option<Violation> {
    let node = paxos.common.config.id;
    let raised = disk.promised().max(disk.snapshot.origin);
    if paxos.common.written != disk.state
        || paxos.common.promise_persisted != disk.promised()
        || paxos.common.promised < disk.promised()
        || paxos.common.promised > raised
    {
        return Some(Violation::RecoveredState {
            node,
            promised: paxos.common.promised,
            chosen: paxos.common.written.chosen,
            durable: disk.state,
        });
    }
    let log = &paxos.common.log;
    let start = disk.recovered_start();
    if log.start() != start || log.start_persisted() != disk.start.slot {
        let slot = start.slot;
        return Some(Violation::RecoveredVote { node, slot });
    }
    let (memory, evicted_to) = (votes(paxos), log.evicted_to());
    let is_same = |(slot, held): &(&Slot, &Held)| match memory.get(*slot) {
        Some(found) => found.ballot == held.ballot && found.value.is(held.value),
        None => **slot <= evicted_to,
    };
    let mut behind = disk.votes.range(start.slot.next()..);
    let lost = behind.find(|vote| !is_same(vote));
    let invented = || {
        let known = |slot: &Slot| disk.votes.contains_key(slot) || *slot <= disk.unseen;
        let last_evicted = Some(evicted_to).filter(|slot| *slot > start.slot);
        let mut slots = memory.keys().copied().chain(last_evicted);
        slots.find(|slot| !known(slot))
    };
    let differs = lost.map(|(slot, _)| *slot).or_else(invented);
    differs.map(|slot| Violation::RecoveredVote { node, slot })
}

/// The values on disk that a node that just started treats as chosen.
pub(crate) fn taken_as_chosen(
    paxos: &Paxos,
    disk: &Durable,
) -> impl Iterator<Item = (Slot, Named)> {
    let (start, chosen) = (paxos.common.log.start().slot, paxos.common.log.chosen());
    let of_prefix = disk.votes.range(start.next()..=chosen.max(start.next()));
    let held = of_prefix.map(|(slot, held)| (*slot, held.value));
    held.filter(move |(slot, _)| *slot <= chosen)
}
