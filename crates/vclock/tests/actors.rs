//! What a client's context may do, and who may count: the two ways in which Riak lost writes, each
//! told with a name that counts twice and with one that is drawn anew.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use synod_vclock::{
    Actor, CausalContext, ContextError, Dot, DvvSet, Overflow, ReceiveError, VersionVector,
};

/// A context out of thin air deletes nothing, blocks nobody and leaves no trace, whichever actor it
/// lies about.
#[test]
fn a_forged_context_changes_nothing() {
    let mut set = DvvSet::new();
    set.update(&VersionVector::new(), "a", "first").unwrap();
    set.update(&VersionVector::new(), "b", "second").unwrap();
    let before = set.clone();
    for (actor, known) in [("a", 1), ("b", 1), ("c", 0)] {
        for claimed in [known + 1, u64::MAX] {
            let forged = VersionVector::from_iter([(actor, claimed)]);
            let refused = ContextError::Unseen { claimed, known };
            assert_eq!(set.update(&forged, "a", "forged"), Err(refused));
            assert_eq!(set.discard(&forged), Err(refused));
            assert_eq!(set, before);
        }
    }
    // The same as an honest client of another copy: only who vouches for it gets through.
    let elsewhere = VersionVector::from_iter([("c", 4)]);
    set.update_vouched(&elsewhere, "a", "vouched").unwrap();
    assert_eq!(set.context().get("c"), 4);
    // What somebody vouched for wrongly is an error for that actor and nobody else.
    set.discard_vouched(&VersionVector::from_iter([("c", u64::MAX)]));
    let read = set.context();
    assert_eq!(
        set.update(&read, "c", "never"),
        Err(ContextError::Overflow(Overflow))
    );
    set.update(&read, "a", "still").unwrap();
}

/// A context of dots is looked at in the same way.
#[test]
fn nobody_else_makes_my_events() {
    let mut mine = CausalContext::new();
    mine.next_dot("me").unwrap();
    let before = mine.clone();
    for claimed in [2, 3, u64::MAX] {
        let forged = CausalContext::from_iter([Dot::new("me", claimed).unwrap()]);
        let refused = ReceiveError::FromOwnFuture { claimed, made: 1 };
        assert_eq!(mine.receive(&"me", &forged), Err(refused));
        assert_eq!(mine, before);
    }
    let honest = CausalContext::from_iter([Dot::new("me", 1).unwrap(), Dot::new("b", 9).unwrap()]);
    mine.receive(&"me", &honest).unwrap();
    assert_eq!(mine.next_dot("me"), Ok(Dot::new("me", 2).unwrap()));
}

/// A key is deleted, reaped on two of three copies, and written anew; the third still has the old
/// tombstone.
fn reaped_and_rewritten<A: Ord + Clone>(first: A, after: A) -> Vec<&'static str> {
    let mut written = DvvSet::new();
    written
        .update(&VersionVector::new(), first.clone(), "old")
        .unwrap();
    let read = written.context();
    written.update(&read, first, "newer").unwrap();
    let read = written.context();
    written.discard(&read).unwrap();
    let third = written.clone(); // was away when the others reaped
    let mut reaped = DvvSet::new();
    reaped.update(&VersionVector::new(), after, "new").unwrap();
    reaped.sync(&third);
    reaped.into_values().collect()
}

#[test]
fn riak_a_rewritten_key_meets_its_old_tombstone() {
    // The new value is the first of its name, which the tombstone says is gone.
    assert!(reaped_and_rewritten("a", "a").is_empty());
    let [before, after] = [7, 8].map(|epoch| Actor { id: "a", epoch });
    assert_eq!(reaped_and_rewritten(before, after), ["new"]);
}

/// A copy is restored from a backup that lacks its latest write, and writes again.
fn restored_and_writing<A: Ord + Clone>(first: A, after: A) -> Vec<&'static str> {
    let mut copy = DvvSet::new();
    copy.update(&VersionVector::new(), first.clone(), "one")
        .unwrap();
    let backup = copy.clone();
    copy.update(&VersionVector::new(), first, "two").unwrap();
    let elsewhere = copy;
    let mut restored = backup;
    restored
        .update(&VersionVector::new(), after, "three")
        .unwrap();
    restored.sync(&elsewhere);
    restored.into_values().collect()
}

#[test]
fn riak_a_copy_that_forgot_its_counter_writes_again() {
    // One dot, two values, and one of them is gone without a trace.
    assert_eq!(restored_and_writing("a", "a"), ["one", "three"]);
    let [before, after] = [7, 8].map(|epoch| Actor { id: "a", epoch });
    assert_eq!(restored_and_writing(before, after), ["one", "two", "three"]);
}

type Copies = [DvvSet<Actor<u8>, u32>; 3];

/// A copy that restarts 10,000 times, each time under a new epoch and with one write, among two
/// others. Returns the columns at the end and the most there ever were.
fn restarts(count: u32, retire: bool) -> (usize, usize) {
    let mut copies: Copies = [DvvSet::new(), DvvSet::new(), DvvSet::new()];
    let mut most = 0;
    for restart in 0..count {
        // Anything that is not drawn twice, in no order.
        let epoch = u64::from(restart).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let me = Actor { id: 0, epoch };
        let read = copies[0].context();
        copies[0].update(&read, me, restart).unwrap();
        most = most.max(copies[0].context().len());
        if restart % 10 != 9 {
            continue;
        }
        let whole = copies[0].clone();
        let mut stable = whole.context();
        for copy in &mut copies {
            copy.sync(&whole);
            stable.meet(&copy.context());
        }
        if retire {
            for copy in &mut copies {
                copy.retire(&stable, |actor| *actor != me);
            }
        }
    }
    assert!(copies.iter().all(|copy| copy.values().eq(&[count - 1])));
    (copies[0].context().len(), most)
}

#[test]
fn ten_thousand_restarts_leave_as_many_names_as_are_needed() {
    assert_eq!(restarts(10_000, true), (1, 11));
    // And what retiring is for.
    assert_eq!(restarts(300, false), (300, 300));
}

/// What is not known to be known everywhere stays: dropped, a value that it replaces would come back.
#[test]
fn no_epoch_is_retired_before_it_is_stable() {
    let [past, now] = [1, 2].map(|epoch| Actor { id: "a", epoch });
    let mut set = DvvSet::new();
    set.update(&VersionVector::new(), past, "old").unwrap();
    let other = set.clone();
    let read = set.context();
    set.update(&read, now, "new").unwrap();
    // The other copy knows the past epoch, and not what replaced its value.
    let mut stable = set.context();
    stable.meet(&other.context());
    assert_eq!(set.retire(&stable, |actor| *actor == past), 0);
    set.sync(&other);
    assert!(
        set.values().eq(&["new"]),
        "the old value does not come back"
    );
    let known = set.context();
    assert_eq!(set.retire(&known, |actor| *actor == past), 1);
}

#[test]
fn an_actor_is_read_as_it_is_written() {
    let actor = Actor {
        id: "n#1".to_owned(),
        epoch: u64::MAX,
    };
    assert_eq!(actor.to_string().parse(), Ok(actor));
    for text in ["a", "a#", "a#01", "a#+1", "a#-1", "a#18446744073709551616"] {
        assert!(text.parse::<Actor<String>>().is_err(), "{text}");
    }
}
