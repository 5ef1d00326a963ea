//! Sends chosen values to leaders that lack them. Any node may do this, in any role: a chosen value
//! never changes.

use alloc::boxed::Box;

use crate::counters::count;
use crate::log::Slice;
use crate::node::Common;
use crate::{Ballot, Echo, Entries, Fetch, FetchError, NodeId, Slot, Wanted};

/// Handles a leader's request for the values from `first` to `to`.
pub(crate) fn handle_learn(
    common: &mut Common,
    from: NodeId,
    ballot: Ballot,
    first: Slot,
    to: Slot,
) {
    if first > common.log.chosen() {
        return;
    }
    if first <= common.log.start().slot {
        return offer(common, from, ballot);
    }
    let to = common.within_a_message(first, to.min(common.log.chosen()));
    let bytes_max = common.config.accept_bytes_max;
    match common.log.slice(first, to, bytes_max) {
        Slice::Cached(values) => teach(common, from, ballot, first, values),
        Slice::Evicted(evicted_to) => {
            if common.teaching.insert(from) {
                common.fetch(Fetch {
                    from: first,
                    to: to.min(evicted_to),
                    bytes_max,
                    wanted: Wanted::Leader(from),
                    ballot,
                });
            }
        }
        Slice::Gap => {}
    }
}

/// Handles the log's answer for a leader.
pub(crate) fn handle_fetched(
    common: &mut Common,
    leader: NodeId,
    fetch: &Fetch,
    values: Result<Entries, FetchError>,
) {
    if !common.teaching.remove(&leader) {
        count(&mut common.counters.fetches_stale);
        return;
    }
    match values {
        Ok(values) if common.log.is_range(fetch, &values) => {
            teach(common, leader, fetch.ballot, fetch.from, values);
        }
        Err(FetchError::Cut { .. }) => offer(common, leader, fetch.ballot),
        Err(FetchError::Unavailable) => {}
        Ok(_) => count(&mut common.counters.fetches_stale),
    }
}

fn teach(common: &mut Common, leader: NodeId, ballot: Ballot, first: Slot, values: Entries) {
    let learned = Echo::Learned {
        ballot,
        first,
        values,
    };
    common.echo(leader, learned);
}

/// Offers a snapshot, because the values are compacted away here.
fn offer(common: &mut Common, leader: NodeId, ballot: Ballot) {
    if let Some(snapshot) = common.snapshot.clone() {
        let snapshot = Box::new(snapshot);
        let offer = Echo::Offer { ballot, snapshot };
        common.echo(leader, offer);
    }
}
