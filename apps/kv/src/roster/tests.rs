use super::*;

const LIMITS: RosterLimits = RosterLimits {
    seats_max: 3,
    bytes_max: 11 * EXEMPT_BYTES,
    address_max: usize::MAX,
};

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

type Member = (Place, oneshot::Receiver<Cut>);

/// So many members, that came a second apart.
fn members<const N: usize>(roster: &Arc<Roster>, start: Instant) -> [Member; N] {
    std::array::from_fn(|at| {
        let now = start + Duration::from_secs(at as u64);
        roster.enter(HERE, true, now).unwrap()
    })
}

fn room(roster: &Roster, place: &mut Place, bytes: usize) -> Room {
    let room = roster.lock().room(place.id, bytes, LIMITS.bytes_max);
    if let Room::Found = room {
        place.bytes = bytes;
    }
    room
}

fn told(member: &mut Member) -> Option<Cut> {
    member.1.try_recv().ok()
}

#[tokio::test]
async fn the_largest_holder_goes_for_bytes_and_a_small_one_never() {
    let roster = Roster::new(LIMITS);
    let [mut small, mut large, mut larger] = members(&roster, Instant::now());
    let of = |units: usize| units * EXEMPT_BYTES;
    assert!(matches!(room(&roster, &mut small.0, of(1)), Room::Found));
    assert!(matches!(room(&roster, &mut large.0, of(4)), Room::Found));
    assert!(matches!(room(&roster, &mut larger.0, of(5)), Room::Found));
    // It would be the largest itself.
    assert!(matches!(room(&roster, &mut large.0, of(6)), Room::None));
    assert!(told(&mut large).is_none() && told(&mut larger).is_none());
    // Somebody else is, and counts until it is gone.
    let mut other = roster.enter(HERE, true, Instant::now()).unwrap();
    assert!(matches!(room(&roster, &mut other.0, of(2)), Room::Soon));
    assert!(matches!(told(&mut larger), Some(Cut::Bytes)));
    assert!(matches!(room(&roster, &mut other.0, of(2)), Room::Soon));
    assert_eq!(roster.counts().bytes, of(10));
    drop(larger);
    assert!(matches!(room(&roster, &mut other.0, of(2)), Room::Found));
    // The small ones get theirs, from whoever holds more.
    assert!(matches!(room(&roster, &mut large.0, of(8)), Room::Found));
    let mut last = roster.enter(HERE, true, Instant::now()).unwrap();
    assert!(matches!(room(&roster, &mut last.0, of(1)), Room::Soon));
    assert!(matches!(told(&mut large), Some(Cut::Bytes)));
    assert!(told(&mut small).is_none() && told(&mut other).is_none());
    drop((small, large, other, last));
    let (counts, state) = (roster.counts(), roster.lock());
    assert_eq!((counts.connected, counts.bytes, state.seated), (0, 0, 0));
    assert!(state.addresses.is_empty());
}

#[tokio::test]
async fn a_seat_is_given_by_who_holds_much_then_by_who_is_idle_longest() {
    let roster = Roster::new(LIMITS);
    let start = Instant::now();
    let [mut first, mut second, mut third, newcomer, mut silent] = members(&roster, start);
    let later = start + Duration::from_secs(60);
    let seat = |member: &Member, now| roster.lock().seat(member.0.id, now, LIMITS.seats_max);
    // Whoever sits keeps its seat, and what is below the line is all the same.
    assert!(matches!(seat(&first, later), Seat::Taken));
    assert!(matches!(
        room(&roster, &mut second.0, EXEMPT_BYTES),
        Room::Found
    ));
    assert!(matches!(
        room(&roster, &mut third.0, EXEMPT_BYTES + 1),
        Room::Found
    ));
    // Nobody who was active a moment ago, and nobody whom the store keeps waiting.
    for member in [&first, &second, &third] {
        member.0.moved(later);
    }
    let too_early = later + IDLE_MIN - Duration::from_millis(1);
    assert!(
        matches!(seat(&newcomer, too_early), Seat::Wait(Some(when)) if when == later + IDLE_MIN)
    );
    for member in [&first, &second, &third] {
        member.0.set_busy(true);
    }
    assert!(matches!(
        seat(&newcomer, later + IDLE_MIN),
        Seat::Wait(None)
    ));
    for (member, ago) in [(&first, 30), (&second, 40), (&third, 20)] {
        member.0.set_busy(false);
        member.0.moved(later - Duration::from_secs(ago));
    }
    assert!(matches!(seat(&newcomer, later), Seat::Wait(None)));
    assert!(matches!(told(&mut third), Some(Cut::GaveWay)));
    // One at a time: it is waited for.
    assert!(matches!(seat(&newcomer, later), Seat::Wait(None)));
    assert!(told(&mut first).is_none() && told(&mut second).is_none());
    drop(third);
    assert!(matches!(seat(&newcomer, later), Seat::Taken));
    newcomer.0.moved(later);
    assert!(matches!(seat(&silent, later), Seat::Wait(None)));
    assert!(matches!(told(&mut second), Some(Cut::GaveWay)));
    assert!(told(&mut first).is_none() && told(&mut silent).is_none());
}

#[tokio::test]
async fn some_may_stand_and_one_more_makes_the_longest_idle_go() {
    let roster = Roster::new(LIMITS);
    let mut all: [Member; LIMITS.seats_max + STANDING_MAX] = members(&roster, Instant::now());
    let now = Instant::now() + Duration::from_secs(60);
    all[LIMITS.seats_max].0.moved(now);
    let _one_more = roster.enter(HERE, true, now).unwrap();
    for (at, member) in all.iter_mut().enumerate() {
        let goes = at == LIMITS.seats_max + 1;
        assert_eq!(told(member).is_some(), goes, "{at}");
    }
}

#[tokio::test]
async fn an_address_has_no_more_than_it_may_have() {
    let roster = Roster::new(RosterLimits {
        address_max: 2,
        ..LIMITS
    });
    let enter = |address: &str| roster.enter(address.parse().unwrap(), true, Instant::now());
    let one = enter("192.0.2.1").unwrap();
    // The same, written otherwise.
    let _two = enter("::ffff:192.0.2.1").unwrap();
    assert!(enter("192.0.2.1").is_none());
    let _other = enter("192.0.2.2").unwrap();
    drop(one);
    assert!(enter("192.0.2.1").is_some());
    let _hosts = ["2001:db8::1", "2001:db8::2"].map(|address| enter(address).unwrap());
    assert!(enter("2001:db8::3:0:0:1").is_none());
    assert!(enter("2001:db8:0:1::1").is_some());
    assert_eq!(roster.counts().rejected, 2);
}

/// All are active, and all of one address: whoever comes from elsewhere gets a seat, the longest idle of them
/// loses one, and nobody is driven out by those that are fewer.
#[tokio::test]
async fn a_crowd_that_is_never_idle_gives_a_seat_to_who_has_fewer() {
    let roster = Roster::new(RosterLimits {
        seats_max: 4,
        ..LIMITS
    });
    let now = Instant::now() + Duration::from_secs(60);
    let enter = |address: &str| roster.enter(address.parse().unwrap(), true, now).unwrap();
    let mut crowd = [(); 4].map(|()| enter("192.0.2.1"));
    let seat = |member: &Member| roster.lock().seat(member.0.id, now, 4);
    for (at, member) in crowd.iter().enumerate() {
        member.0.set_busy(at < 2);
        member.0.moved(now - Duration::from_millis(100 * at as u64));
    }
    // One of their own has no more right than they have.
    let own = enter("192.0.2.1");
    assert!(matches!(seat(&own), Seat::Wait(Some(_))));
    assert!(crowd.iter_mut().all(|member| told(member).is_none()));
    drop(own);
    let mut others = [(); 3].map(|()| enter("192.0.2.2"));
    // Of those that wait for nothing, the one that has been silent for longest; then the next.
    for (other, goes) in others.iter().zip([3, 2]) {
        assert!(matches!(seat(other), Seat::Wait(None)));
        for (at, member) in crowd.iter_mut().enumerate() {
            let cut = told(member);
            assert_eq!(matches!(cut, Some(Cut::GaveWay)), at == goes, "{at}");
        }
        roster.lock().remove(crowd[goes].0.id);
        assert!(matches!(seat(other), Seat::Taken));
    }
    // They have two seats each.
    assert!(matches!(seat(&others[2]), Seat::Wait(Some(_))));
    assert!(crowd[..2].iter_mut().all(|member| told(member).is_none()));
    // Whom the store keeps waiting goes when there is nobody else.
    let third = enter("192.0.2.3");
    others[..2]
        .iter()
        .for_each(|member| member.0.set_busy(true));
    assert!(matches!(seat(&third), Seat::Wait(None)));
    let gone = crowd[..2]
        .iter_mut()
        .chain(&mut others[..2])
        .filter_map(told);
    assert_eq!(gone.count(), 1);
}

/// A crowd knocks for ever and says nothing; the operator of another address stays.
#[tokio::test]
async fn whoever_stands_is_driven_out_by_nobody_of_a_larger_crowd() {
    let roster = Roster::new(LIMITS);
    let start = Instant::now();
    let _seated: [Member; LIMITS.seats_max] = members(&roster, start);
    let mut operator = roster
        .enter("192.0.2.1".parse().unwrap(), true, start)
        .unwrap();
    let mut crowd = std::collections::VecDeque::new();
    for at in 0..1_000 {
        let now = start + Duration::from_secs(at);
        crowd.push_back(
            roster
                .enter("192.0.2.2".parse().unwrap(), true, now)
                .unwrap(),
        );
        assert!(told(&mut operator).is_none(), "the {at}th");
        if crowd.len() == STANDING_MAX {
            let mut oldest = crowd.pop_front().unwrap();
            assert!(matches!(told(&mut oldest), Some(Cut::Rejected)), "{at}");
        }
    }
    // And where each is of an address of its own, it is the longest idle.
    drop(crowd);
    let now = start + Duration::from_secs(2_000);
    operator.0.moved(now);
    let mut others = Vec::new();
    for last in 3..=STANDING_MAX + 2 {
        let from = IpAddr::from([192, 0, 2, last as u8]);
        others.push(
            roster
                .enter(from, true, start + Duration::from_secs(1_000 + last as u64))
                .unwrap(),
        );
    }
    assert!(told(&mut operator).is_none());
    assert!(matches!(told(&mut others[0]), Some(Cut::Rejected)));
}

/// Strangers of one address hold every seat and are as active as can be. Whoever is known sits at once; one more
/// stranger makes one of their own go; and whoever has said the password loses its seat to none of them.
#[tokio::test]
async fn strangers_keep_seats_from_nobody() {
    let roster = Roster::new(LIMITS);
    let now = Instant::now() + Duration::from_secs(60);
    let enter = |from: &str, is_known| roster.enter(from.parse().unwrap(), is_known, now);
    let mut crowd = [(); LIMITS.seats_max].map(|()| enter("192.0.2.1", false).unwrap());
    for (at, member) in crowd.iter().enumerate() {
        member.0.moved(now - Duration::from_millis(10 * at as u64));
    }
    let seat = |member: &Member| roster.lock().seat(member.0.id, now, LIMITS.seats_max);
    let mut known = enter("192.0.2.1", true).unwrap();
    assert!(matches!(seat(&known), Seat::Wait(None)));
    let gone: Vec<bool> = crowd
        .iter_mut()
        .map(|member| told(member).is_some())
        .collect();
    assert_eq!(gone, [false, false, true], "the longest idle of them");
    let [.., gone] = crowd;
    drop(gone);
    // It is for who waits, not for who comes first.
    let _quick = enter("192.0.2.3", false).unwrap();
    assert!(matches!(seat(&known), Seat::Taken));
    // As many as may be there: two that sit, one that is known, and those that stand.
    let mut standing: Vec<Member> = Vec::new();
    for _ in 0..50 {
        standing.extend(enter("192.0.2.1", false));
    }
    let staying = roster.lock().staying().count();
    assert_eq!(staying, LIMITS.seats_max + STANDING_MAX);
    let gone = standing.iter_mut().filter_map(told).count();
    assert!(gone > 30 && told(&mut known).is_none(), "{gone}");
    // One of another address comes in however many they are.
    let mut other = enter("192.0.2.2", false).unwrap();
    standing.extend((0..50).filter_map(|_| enter("192.0.2.1", false)));
    assert!(told(&mut other).is_none());
    other.0.set_known(true);
    known.0.set_known(false);
    // Now the first is the stranger.
    assert!(!matches!(seat(&other), Seat::Taken));
}
