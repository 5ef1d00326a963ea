//! Fences: leaders whose commands are decided late, in another order, or not at all.

use proptest::prelude::*;
use synod_replica::fenced::{fenced, take_over};
use synod_replica::{
    Bytes, Ended, Failure, Fenced, FencedReply, Reason, Reign, ReignId, StateMachine, conformance,
};
use synod_sim::Rng;

use super::{Journal, at, through_a_snapshot};

fn machine() -> Fenced<Journal> {
    Fenced::new(Journal::default())
}

/// The story of rule F1. Leader 1 proposes and is gone. Leader 2 takes over, by a quorum that does not know of it,
/// reads
/// what there is and acts. Leader 3 finds the vote for leader 1's command and must propose it again: Paxos chooses it
/// behind what leader 2 wrote; Raft commits it so when it was appended on the node that leads next.
#[test]
fn what_an_earlier_leader_proposed_is_decided_behind_a_take_over_and_takes_no_effect() {
    let mut machine = machine();
    let begun = |machine: &mut Fenced<Journal>, id| {
        let answer = machine.apply(at(1), take_over(ReignId(id)));
        Reign::begun(&Ok(answer)).expect("it begins")
    };
    let mut first = begun(&mut machine, 1);
    let done = first.command(b"pay 1").unwrap();
    let lost = first.command(b"pay 2").unwrap();
    assert_eq!(first.heard(Ok(machine.apply(at(2), done))), Ok(1));

    let mut second = begun(&mut machine, 2);
    let seen = machine.machine().commands.len();
    let refund = second.command(b"refund 2").unwrap();
    assert_eq!(
        second.heard(Ok(machine.apply(at(3), refund))),
        Ok(seen as u64 + 1)
    );

    let late = machine.apply(at(4), lost);
    assert_eq!(late, FencedReply::Deposed(ReignId(2)));
    assert_eq!(first.heard(Ok(late)), Err(Ended::Deposed(ReignId(2))));
    assert_eq!(first.command(b"pay 3"), None, "its reign is over");
    assert_eq!(machine.machine().commands, [&b"pay 1"[..], b"refund 2"]);
}

#[test]
fn any_answer_but_applied_ends_the_reign() {
    let rejected = Failure::Rejected {
        reason: Reason::NotLeader,
        leader: None,
    };
    for (answer, ended) in [
        (
            Ok(FencedReply::Deposed(ReignId(9))),
            Ended::Deposed(ReignId(9)),
        ),
        (Ok(FencedReply::OutOfOrder), Ended::NotApplied),
        (Err(rejected), Ended::NotApplied),
        (Err(Failure::Unknown), Ended::Unknown),
    ] {
        let mut reign = Reign::begun::<u64>(&Ok(FencedReply::TookOver(ReignId(8)))).unwrap();
        assert!(reign.command(b"a").is_some());
        assert_eq!(reign.heard::<u64>(answer), Err(ended));
        assert_eq!(reign.command(b"b"), None);
    }
    for answer in [
        Ok(FencedReply::Deposed(ReignId(1))),
        Ok(FencedReply::Applied(1)),
        Err(Failure::Unknown),
    ] {
        assert_eq!(Reign::begun::<u64>(&answer), None);
    }
}

/// One who holds a reign, or wants to.
#[derive(Debug)]
struct Holder {
    reign: Option<Reign>,
    /// The reign in force, as far as it knows.
    known: ReignId,
}

proptest! {
    /// What is under way enters the log in any order, late, twice or never.
    #[test]
    fn each_reign_takes_effect_as_a_whole_before_the_next(seed in any::<u64>()) {
        let mut rng = Rng::new(seed);
        let mut machine = machine();
        let mut holders: Vec<_> = (0..3).map(|_| Holder { reign: None, known: ReignId(0) }).collect();
        let mut under_way: Vec<(usize, Bytes)> = Vec::new();
        let mut begun = Vec::new();
        for index in 1..300 {
            let who = rng.index(holders.len());
            let holder = &mut holders[who];
            if rng.one_in(2) {
                let command = match &mut holder.reign {
                    Some(reign) => {
                        let id = reign.id();
                        reign.command(id.to_string().as_bytes())
                    }
                    None => Some(take_over(holder.known.next().unwrap())),
                };
                match command {
                    Some(command) => under_way.push((who, command)),
                    // It is deposed, and tries to come back.
                    None => holder.reign = None,
                }
            } else if !under_way.is_empty() {
                // Mostly what came first.
                let place = if rng.one_in(3) { rng.index(under_way.len()) } else { 0 };
                let (who, command) = under_way[place].clone();
                if !rng.one_in(5) {
                    under_way.remove(place);
                }
                let answer = machine.apply(at(index), command);
                if rng.one_in(10) {
                    machine = through_a_snapshot(&machine, self::machine());
                }
                let holder = &mut holders[who];
                match answer {
                    FencedReply::TookOver(id) => {
                        prop_assert_eq!(Some(id), begun.last().map_or(Some(ReignId(1)), |last: &ReignId| last.next()));
                        begun.push(id);
                        holder.known = id;
                        holder.reign = Reign::begun(&Ok(answer));
                    }
                    FencedReply::Deposed(by) => {
                        holder.known = holder.known.max(by);
                        if let Some(reign) = &mut holder.reign {
                            let _ended = reign.heard(Ok(answer));
                        }
                    }
                    _ => {
                        if let Some(reign) = &mut holder.reign {
                            let _ended = reign.heard(Ok(answer));
                        }
                    }
                }
            }
        }
        // Each command is the number of its reign.
        let reigns: Vec<u64> = machine.machine().commands.iter().map(|command| {
            str::from_utf8(command).unwrap().parse().unwrap()
        }).collect();
        prop_assert!(reigns.is_sorted(), "a command took effect behind a later reign: {:?}", reigns);
        prop_assert_eq!(machine.reign(), begun.last().copied().unwrap_or_default());
    }

    /// Commands of one reign in any order: what takes effect is the first ones, in their order.
    #[test]
    fn none_takes_effect_behind_one_that_is_missing(
        order in prop::collection::vec(1_u64..8, 0..40),
    ) {
        let mut machine = machine();
        machine.apply(at(1), take_over(ReignId(1)));
        for (index, number) in (2..).zip(order) {
            machine.apply(at(index), fenced(ReignId(1), number, &[number as u8]));
        }
        for (command, number) in machine.machine().commands.iter().zip(1_u8..) {
            prop_assert_eq!(command, &[number]);
        }
    }
}

#[test]
fn conform() {
    let commands = [
        take_over(ReignId(1)),
        take_over(ReignId(2)),
        fenced(ReignId(1), 1, b"a"),
        fenced(ReignId(2), 1, b"b"),
        fenced(ReignId(2), 2, b"c"),
        fenced(ReignId(2), 4, b"d"),
        take_over(ReignId(3)),
        fenced(ReignId(3), 1, b"e"),
    ];
    conformance::state_machine(
        machine,
        |fenced| (fenced.machine().clone(), fenced.reign()),
        &commands,
    );
}
