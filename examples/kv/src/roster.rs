//! Who is connected, what each holds, and who goes when there is not enough for all.
//!
//! Two things run out, bytes and seats, and in neither case is it the newest that goes:
//!
//! - **Bytes.** When a connection needs more than is left, the one that holds the most goes, which
//!   may be itself. Whoever holds [`EXEMPT_BYTES`] or less never goes for bytes, and there is always
//!   so much for it: [`ServerLimits::check`](crate::ServerLimits::check) compares the limits.
//! - **Seats.** A connection that comes while all seats are taken *stands*, and may ask what needs no
//!   data: `PING`, `INFO`, `HELLO`. So an operator can always look. When it asks for data it needs a
//!   seat, and somebody who is idle gives way: the one that holds the most beyond what is exempt, and
//!   among equals the one that has been idle longest. Whoever says nothing drives nobody out, and
//!   whoever was active a moment ago ([`IDLE_MIN`]) stays; then it is the newcomer that is told that
//!   there is no place. A few may stand ([`STANDING_MAX`]); one more makes the longest idle of them go.
//!
//! Whoever is told to go counts until it has gone; those that need its bytes or its seat wait for
//! that, and it waits for nothing.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, oneshot},
    time::{Instant, sleep_until},
};

use crate::cut::{Cut, host};

/// What the connections of a server share.
///
/// Invariants:
/// - `bytes` is the sum of what the members hold, and at most `bytes_max`.
/// - `seated` is how many members sit, and at most `seats_max`.
#[derive(Debug)]
pub(crate) struct Roster {
    limits: RosterLimits,
    state: Mutex<State>,
    /// Told each time somebody has gone.
    gone: Notify,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct RosterLimits {
    pub(crate) seats_max: usize,
    pub(crate) bytes_max: usize,
    /// Connections of one address, seated or not.
    pub(crate) address_max: usize,
}

/// What `INFO` tells of all connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) connected: usize,
    pub(crate) bytes: usize,
    pub(crate) evicted: u64,
    pub(crate) gave_way: u64,
    pub(crate) rejected: u64,
    pub(crate) stalled: u64,
    pub(crate) idle: u64,
}

/// One connection's place on the roster; dropping it gives everything back.
#[derive(Debug)]
pub(crate) struct Place {
    roster: Arc<Roster>,
    id: u64,
    /// As the roster has it.
    bytes: usize,
}

#[derive(Debug, Default)]
struct State {
    members: BTreeMap<u64, Member>,
    addresses: BTreeMap<IpAddr, usize>,
    bytes: usize,
    seated: usize,
    last_id: u64,
    counts: Counts,
}

#[derive(Debug)]
struct Member {
    from: IpAddr,
    bytes: usize,
    is_seated: bool,
    /// It waits for the store, and is neither idle nor to blame.
    is_busy: bool,
    /// When bytes last went over its socket.
    active: Instant,
    /// Used once, to tell it to go.
    leave: Option<oneshot::Sender<Cut>>,
}

enum Room {
    Found,
    /// There will be when somebody has gone.
    Soon,
    /// Nobody holds more than who asks for it.
    None,
}

enum Seat {
    Taken,
    /// Somebody may give way then, or as soon as another has gone.
    Wait(Option<Instant>),
}

impl Roster {
    pub(crate) fn new(limits: RosterLimits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            state: Mutex::default(),
            gone: Notify::new(),
        })
    }

    /// Takes a connection in, seated if there is a seat, and gives what tells it to go. `None` when
    /// its address has as many as it may have.
    pub(crate) fn enter(
        self: &Arc<Self>,
        from: IpAddr,
        now: Instant,
    ) -> Option<(Place, oneshot::Receiver<Cut>)> {
        let mut state = self.lock();
        let from = host(from);
        let others = state.addresses.get(&from).copied().unwrap_or_default();
        if others >= self.limits.address_max {
            state.counts.rejected += 1;
            return None;
        }
        let is_seated = state.seated < self.limits.seats_max;
        if !is_seated && state.staying().filter(|(_, it)| !it.is_seated).count() >= STANDING_MAX {
            let standing = state.staying().filter(|(_, it)| !it.is_seated);
            let first = standing.min_by_key(|(_, it)| it.active).map(|(id, _)| id);
            state.dismiss(first, Cut::Rejected);
        }
        state.addresses.insert(from, others + 1);
        state.seated += usize::from(is_seated);
        state.last_id += 1;
        let (leave, left) = oneshot::channel();
        let member = Member {
            from,
            bytes: 0,
            is_seated,
            is_busy: false,
            active: now,
            leave: Some(leave),
        };
        let id = state.last_id;
        state.members.insert(id, member);
        let roster = Arc::clone(self);
        let bytes = 0;
        Some((Place { roster, id, bytes }, left))
    }

    /// Takes note of how a connection ended.
    pub(crate) fn count(&self, cut: &Cut) {
        let counts = &mut self.lock().counts;
        let count = match cut {
            Cut::Socket(_) => return,
            Cut::Bytes => &mut counts.evicted,
            Cut::GaveWay => &mut counts.gave_way,
            Cut::Rejected => &mut counts.rejected,
            Cut::HalfRequest | Cut::Unread => &mut counts.stalled,
            Cut::Idle => &mut counts.idle,
        };
        *count += 1;
    }

    pub(crate) fn counts(&self) -> Counts {
        let state = self.lock();
        Counts {
            connected: state.members.len(),
            bytes: state.bytes,
            ..state.counts
        }
    }

    /// A panic while it is locked is one of another connection, which is gone.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Makes what it holds so many bytes.
    ///
    /// # Errors
    /// [`Cut::Bytes`] when that is more than there is, and nobody else holds as much.
    pub(crate) async fn hold(&mut self, bytes: usize) -> Result<(), Cut> {
        while self.bytes != bytes {
            // Before the look, so that nobody goes in between unheard.
            let gone = self.roster.gone.notified();
            let bytes_max = self.roster.limits.bytes_max;
            let room = self.roster.lock().room(self.id, bytes, bytes_max);
            match room {
                Room::Found => self.bytes = bytes,
                Room::Soon => gone.await,
                Room::None => return Err(Cut::Bytes),
            }
        }
        Ok(())
    }

    /// Takes a seat if it has none. Whether it got one in time.
    pub(crate) async fn sit(&self) -> bool {
        let deadline = Instant::now() + SEAT_PATIENCE;
        loop {
            let gone = self.roster.gone.notified();
            let now = Instant::now();
            let seats_max = self.roster.limits.seats_max;
            let seat = self.roster.lock().seat(self.id, now, seats_max);
            let again = match seat {
                Seat::Taken => return true,
                Seat::Wait(_) if now >= deadline => return false,
                Seat::Wait(when) => when.map_or(deadline, |when| when.min(deadline)),
            };
            tokio::select! {
                () = gone => {}
                () = sleep_until(again) => {}
            }
        }
    }

    /// Bytes went over its socket.
    pub(crate) fn moved(&self, now: Instant) {
        if let Some(member) = self.roster.lock().members.get_mut(&self.id) {
            member.active = now;
        }
    }

    /// Whether it waits for the store from now on.
    pub(crate) fn set_busy(&self, is_busy: bool) {
        if let Some(member) = self.roster.lock().members.get_mut(&self.id) {
            member.is_busy = is_busy;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.roster.lock().remove(self.id);
        self.roster.gone.notify_waiters();
    }
}

impl State {
    /// Those that were not told to go.
    fn staying(&self) -> impl Iterator<Item = (u64, &Member)> {
        self.members
            .iter()
            .filter(|(_, member)| member.leave.is_some())
            .map(|(id, member)| (*id, member))
    }

    fn dismiss(&mut self, id: Option<u64>, cut: Cut) {
        let member = id.and_then(|id| self.members.get_mut(&id));
        if let Some(leave) = member.and_then(|member| member.leave.take()) {
            // Whoever is no longer there to hear it is going.
            let _ = leave.send(cut);
        }
    }

    fn room(&mut self, id: u64, bytes: usize, bytes_max: usize) -> Room {
        let Some(member) = self.members.get_mut(&id) else {
            return Room::None;
        };
        let others = self.bytes - member.bytes;
        if bytes <= member.bytes || others.saturating_add(bytes) <= bytes_max {
            member.bytes = bytes;
            self.bytes = others + bytes;
            return Room::Found;
        }
        loop {
            let staying = self.staying().filter(|(other, _)| *other != id);
            let held: usize = staying.map(|(_, other)| other.bytes).sum();
            if held.saturating_add(bytes) <= bytes_max {
                return Room::Soon;
            }
            let staying = self.staying().filter(|(other, _)| *other != id);
            let most =
                staying.max_by_key(|(_, other)| (other.bytes, std::cmp::Reverse(other.active)));
            match most.map(|(most, other)| (most, other.bytes)) {
                Some((most, held)) if held > bytes.max(EXEMPT_BYTES) => {
                    self.dismiss(Some(most), Cut::Bytes);
                }
                _ => return Room::None,
            }
        }
    }

    fn seat(&mut self, id: u64, now: Instant, seats_max: usize) -> Seat {
        let has_free = self.seated < seats_max;
        let Some(member) = self.members.get_mut(&id) else {
            return Seat::Wait(None);
        };
        if member.is_seated {
            return Seat::Taken;
        }
        if has_free {
            member.is_seated = true;
            self.seated += 1;
            return Seat::Taken;
        }
        let is_leaving = |member: &Member| member.is_seated && member.leave.is_none();
        if self.members.values().any(is_leaving) {
            return Seat::Wait(None);
        }
        let idle = || self.staying().filter(|(_, it)| it.is_seated && !it.is_busy);
        let first = idle()
            .filter(|(_, it)| now.saturating_duration_since(it.active) >= IDLE_MIN)
            .max_by_key(|(_, it)| {
                let beyond = it.bytes.saturating_sub(EXEMPT_BYTES);
                (beyond, std::cmp::Reverse(it.active))
            })
            .map(|(first, _)| first);
        let next = idle().map(|(_, it)| it.active + IDLE_MIN).min();
        self.dismiss(first, Cut::GaveWay);
        Seat::Wait(next.filter(|_| first.is_none()))
    }

    fn remove(&mut self, id: u64) {
        let Some(member) = self.members.remove(&id) else {
            return;
        };
        self.bytes -= member.bytes;
        self.seated -= usize::from(member.is_seated);
        if let Some(count) = self.addresses.get_mut(&member.from) {
            *count -= 1;
            if *count == 0 {
                self.addresses.remove(&member.from);
            }
        }
    }
}

/// What each connection may hold, whatever the others hold.
pub(crate) const EXEMPT_BYTES: usize = 16 * 1_024;
/// Connections without a seat.
pub(crate) const STANDING_MAX: usize = 8;
/// Nobody gives way who was active so lately.
const IDLE_MIN: Duration = Duration::from_secs(1);
/// How long a connection that asks for data waits for a seat: until somebody who has fallen idle has
/// been so for long enough.
const SEAT_PATIENCE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
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
            roster.enter(HERE, now).unwrap()
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
        let mut other = roster.enter(HERE, Instant::now()).unwrap();
        assert!(matches!(room(&roster, &mut other.0, of(2)), Room::Soon));
        assert!(matches!(told(&mut larger), Some(Cut::Bytes)));
        assert!(matches!(room(&roster, &mut other.0, of(2)), Room::Soon));
        assert_eq!(roster.counts().bytes, of(10));
        drop(larger);
        assert!(matches!(room(&roster, &mut other.0, of(2)), Room::Found));
        // The small ones get theirs, from whoever holds more.
        assert!(matches!(room(&roster, &mut large.0, of(8)), Room::Found));
        let mut last = roster.enter(HERE, Instant::now()).unwrap();
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
        let _one_more = roster.enter(HERE, now).unwrap();
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
        let enter = |address: &str| roster.enter(address.parse().unwrap(), Instant::now());
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
}
