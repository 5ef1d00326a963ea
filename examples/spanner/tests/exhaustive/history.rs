//! What was committed, as the checks of strict serializability take it: by what was read, and by the timestamps.

use std::time::Duration;

use synod_sim::serializability::{self, Position, TxnError, TxnHistory, TxnId};
use synod_spanner::Decision;
use synod_truetime::Timestamp;

use crate::client::Place;
use crate::rules::Watch;

type History = TxnHistory<Place, Timestamp>;

/// All that the logs have committed so far, those whose clients have not heard of it too.
///
/// # Errors
/// The anomaly.
pub(crate) fn check(txns: &[Watch]) -> Result<(), String> {
    let history = history(txns).map_err(|error| error.to_string())?;
    let by_reads = serializability::check(&history);
    for verdict in [by_reads, serializability::check_positions(&history)] {
        if !verdict.is_ok() {
            return Err(format!("I4, I9: {verdict}"));
        }
    }
    Ok(())
}

fn history(txns: &[Watch]) -> Result<History, TxnError> {
    let mut events: Vec<(Duration, bool, usize)> = Vec::new();
    for (number, txn) in txns.iter().enumerate() {
        if let (Some(behind), Some(Decision::Committed(_))) = (txn.behind, txn.decided) {
            events.push((moment(2 * behind.count_ones()), false, number));
            events.push((end(txns, number), true, number));
        }
    }
    events.sort_unstable();
    let mut history = History::new();
    let mut ids = vec![None; txns.len()];
    for (at, _, number) in events {
        let txn = &txns[number];
        match ids[number] {
            Some(id) if txn.has_ended => history.commit(id, at)?,
            Some(id) => history.commit_unanswered(id)?,
            None => {
                let id = history.begin(at)?;
                ids[number] = Some(id);
                record(&mut history, id, txn)?;
            }
        }
    }
    Ok(history)
}

fn record(history: &mut History, id: TxnId, txn: &Watch) -> Result<(), TxnError> {
    let Some(Decision::Committed(at)) = txn.decided else {
        return Ok(());
    };
    history.name(id, format!("transaction {}", txn.script.number))?;
    history.place(id, Position(at.as_nanos().into()))?;
    for (place, version) in &txn.read {
        history.read(id, *place, *version)?;
    }
    for place in txn.script.writes {
        history.write(id, *place, at)?;
    }
    Ok(())
}

/// Before the first transaction that began behind it. What has ended only grows: of two that begin one after the other
/// the later has all behind it that the earlier has, so the number of these is a time.
fn end(txns: &[Watch], number: usize) -> Duration {
    let behind = txns.iter().filter_map(|txn| txn.behind);
    let behind = behind.filter(|behind| behind & 1 << number != 0);
    let first = behind.map(u32::count_ones).min();
    moment(first.map_or(u32::MAX, |first| 2 * first - 1))
}

fn moment(number: u32) -> Duration {
    Duration::from_secs(number.into())
}
