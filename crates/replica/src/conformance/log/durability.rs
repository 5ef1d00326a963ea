//! What a crash may lose, and what it may not.

use super::LogStore;
use super::rig::{Model, Rig, Write, put};
use super::slots::draw;
use crate::conformance::random::Random;
use crate::conformance::suite::{Suite, Unsupported};
use crate::log::{Log, LogError};

pub(super) fn run<S: LogStore>(suite: &mut Suite, fresh: &mut dyn FnMut() -> S) {
    suite.case(
        "power_loss",
        "everything up to `durable` is there after a power loss; of the rest, whole records, and none without those \
         before it, of whichever group",
        || power_loss(fresh),
    );
    suite.case(
        "failed_sync",
        "a log that failed once stays closed, even if a sync failed after the call that began it, and `durable` never \
         covers what was not synced",
        || failed_sync(&mut Rig::new(fresh)),
    );
}

fn power_loss<S: LogStore>(fresh: &mut dyn FnMut() -> S) -> Result<(), Unsupported> {
    for seed in 0..6 {
        let mut rig = Rig::new(fresh);
        let mut random = Random(seed);
        for _ in 0..15 {
            one_life(&mut rig, &mut random)?;
        }
    }
    Ok(())
}

/// Appends and syncs, loses power, and checks that the log holds one of the states since `durable`.
fn one_life<S: LogStore>(rig: &mut Rig<S>, random: &mut Random) -> Result<(), Unsupported> {
    let mut models = vec![rig.model.clone()];
    let mut lsns = vec![rig.look()];
    let mut written = Vec::new();
    for _ in 0..random.below(10) {
        let (group, writes) = draw(random, rig);
        lsns.push(rig.append(group, &writes));
        models.push(rig.model.clone());
        written.push((group, writes));
        if random.below(3) == 0 {
            rig.sync();
        } else if random.below(4) == 0 {
            // Begun, and perhaps not completed when the power is lost.
            let begun = rig.log().sync();
            begun.unwrap_or_else(|error| panic!("a sync failed: {error:?}"));
        }
    }
    let durable = rig.look();
    let least = lsns.iter().rposition(|lsn| *lsn <= durable).unwrap_or(0);
    rig.kill();
    rig.store.lose_power()?;
    rig.open();
    let groups: Vec<u64> = rig.model.keys().copied().collect();
    let found: Model = groups
        .into_iter()
        .map(|group| (group, rig.recover(group)))
        .collect();
    let is_found = |model: &Model| {
        found
            .iter()
            .all(|(group, held)| model.get(group).cloned().unwrap_or_default() == *held)
    };
    let Some(kept) = models.iter().rposition(is_found) else {
        let found: Vec<String> = found
            .iter()
            .map(|(group, held)| format!("group {group}: {}", held.brief()))
            .collect();
        panic!(
            "no prefix of the appends gives {}; they were {}",
            found.join("; "),
            brief(&written)
        )
    };
    assert!(
        kept >= least,
        "{least} appends were durable, and {kept} are left of {}",
        brief(&written)
    );
    rig.model = models.swap_remove(kept);
    Ok(())
}

fn brief(written: &[(u64, Vec<Write>)]) -> String {
    let one = |write: &Write| match write {
        Write::State(_) => "state".to_owned(),
        Write::Truncate(from) => format!("truncate {from}"),
        Write::Put(index, ..) => format!("put {index}"),
        Write::Start(after, _) => format!("start {after}"),
    };
    let record = |(group, writes): &(u64, Vec<Write>)| {
        let writes: Vec<String> = writes.iter().map(one).collect();
        format!("{group}: [{}]", writes.join(", "))
    };
    written.iter().map(record).collect::<Vec<_>>().join(" ")
}

fn failed_sync<S: LogStore>(rig: &mut Rig<S>) -> Result<(), Unsupported> {
    rig.append(1, &[put(1, 0, 50)]);
    rig.sync();
    let before = rig.model.clone();
    rig.store.fail_syncs(true)?;
    let lost = rig.append(1, &[put(2, 0, 50)]);
    let mut synced = rig.log().sync();
    // A log whose syncs complete later may report the failure a little later.
    for _ in 0..ATTEMPTS {
        if synced.is_err() || rig.look() >= lost {
            break;
        }
        assert!(
            rig.wait(),
            "a sync failed, and neither an error nor a wake-up reports it"
        );
        // Whichever a driver calls first must report it.
        synced = rig.log().settle().and_then(|()| rig.log().sync());
    }
    let durable = rig.look();
    assert!(
        synced.is_err() && durable < lost,
        "the medium fails to sync: {synced:?}, and {durable:?} is durable, with {lost:?} not synced"
    );
    rig.store.fail_syncs(false)?;
    let again = rig.log().sync();
    let durable = rig.look();
    assert!(
        durable < lost,
        "a second sync may succeed without having done anything: {again:?}, and {durable:?} is durable"
    );
    assert!(
        again.is_err(),
        "the log has failed, and a sync reports success"
    );
    let refused = rig.try_append(1, &[put(3, 0, 50)]);
    assert!(
        matches!(refused, Err(LogError::Failed(_))),
        "the log has failed, and an append returns {refused:?}"
    );
    let after = std::mem::replace(&mut rig.model, before);
    rig.reopen();
    let found = rig.recover(1);
    assert!(
        [&rig.model, &after].iter().any(|model| model[&1] == found),
        "the next incarnation finds {}",
        found.brief()
    );
    Ok(())
}

/// How often a sync is attempted that is known to fail.
const ATTEMPTS: usize = 20;
