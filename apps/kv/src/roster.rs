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
//!   whoever was active a moment ago ([`IDLE_MIN`]) stays. But a crowd is active for as long as it likes:
//!   when nobody is idle, the address with the most seats gives one, if that leaves it no fewer than the
//!   newcomer's then has. Else it is the newcomer that is told that there is no place.
//!   A few may stand ([`STANDING_MAX`]); one more makes one go of the address of which most stand, the
//!   longest idle. So nobody is driven out by a crowd that knocks from elsewhere.
//! - **Strangers**, who have not shaken hands or not said the password where that is asked for, keep seats from
//!   nobody: whoever is known gets the seat of one of them before anybody else's, however lately that one was
//!   active. And when there is no room for one more, it is one of them that goes, of the address of which there are
//!   most.
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
    pub(crate) ahead: u64,
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
    /// It stands, and waits for a seat.
    waits: bool,
    /// It is no stranger.
    is_known: bool,
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

    /// Takes a connection in, seated if there is a seat that nobody waits for, and gives what tells it to go.
    /// `None` when its address has as many as it may have.
    pub(crate) fn enter(
        self: &Arc<Self>,
        from: IpAddr,
        is_known: bool,
        now: Instant,
    ) -> Option<(Place, oneshot::Receiver<Cut>)> {
        let mut state = self.lock();
        let from = host(from);
        let others = state.addresses.get(&from).copied().unwrap_or_default();
        if others >= self.limits.address_max {
            state.counts.rejected += 1;
            return None;
        }
        let seats_max = self.limits.seats_max;
        let waiting = state.staying().filter(|(_, it)| it.waits).count();
        let is_seated = state.seated + waiting < seats_max;
        if !is_seated && state.is_full(seats_max) {
            let stranger = state.first_stranger((!is_known).then_some(from), |_| true);
            let first = stranger.or_else(|| state.first_to_stand_no_more(from));
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
            waits: false,
            is_known,
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
            Cut::HalfRequest | Cut::Unread | Cut::Stranger => &mut counts.stalled,
            Cut::Ahead => &mut counts.ahead,
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
        let deadline = Instant::now() + SEAT_TIMEOUT;
        loop {
            let gone = self.roster.gone.notified();
            let now = Instant::now();
            let seats_max = self.roster.limits.seats_max;
            let seat = self.roster.lock().seat(self.id, now, seats_max);
            let again = match seat {
                Seat::Taken => return true,
                Seat::Wait(_) if now >= deadline => {
                    self.with(|member| member.waits = false);
                    return false;
                }
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
        self.with(|member| member.active = now);
    }

    /// Whether it is no stranger from now on.
    pub(crate) fn set_known(&self, is_known: bool) {
        self.with(|member| member.is_known = is_known);
    }

    #[cfg(test)]
    pub(crate) fn is_busy(&self) -> bool {
        self.roster.lock().members[&self.id].is_busy
    }

    /// Whether it waits for the store from now on.
    pub(crate) fn set_busy(&self, is_busy: bool) {
        self.with(|member| member.is_busy = is_busy);
    }

    fn with(&self, change: impl FnOnce(&mut Member)) {
        if let Some(member) = self.roster.lock().members.get_mut(&self.id) {
            change(member);
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
        let from = member.from;
        if member.is_seated {
            return Seat::Taken;
        }
        member.waits = !has_free;
        if has_free {
            member.is_seated = true;
            self.seated += 1;
            return Seat::Taken;
        }
        let is_leaving = |member: &Member| member.is_seated && member.leave.is_none();
        if self.members.values().any(is_leaving) {
            return Seat::Wait(None);
        }
        let stranger = self.first_stranger(None, |it| it.is_seated);
        if stranger.is_some() {
            self.dismiss(stranger, Cut::GaveWay);
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
        let first = first.or_else(|| self.first_of_the_largest(from));
        self.dismiss(first, Cut::GaveWay);
        Seat::Wait(next.filter(|_| first.is_none()))
    }

    /// Who gives its seat when nobody is idle: of the address that has the most, if it has so many more than
    /// the newcomer's that it is left no fewer; whoever waits for nothing first, and the longest idle.
    fn first_of_the_largest(&self, newcomer: IpAddr) -> Option<u64> {
        let seats = counts(self.staying().filter(|(_, it)| it.is_seated));
        let own = seats.get(&newcomer).copied().unwrap_or_default();
        let most = *seats.values().max()?;
        if most < own + 2 {
            return None;
        }
        let theirs = |it: &Member| it.is_seated && seats.get(&it.from) == Some(&most);
        let first = self.staying().filter(|(_, it)| theirs(it));
        first
            .min_by_key(|(_, it)| (it.is_busy, it.active))
            .map(|(id, _)| id)
    }

    /// Whether nobody else can come in unless somebody goes. Beside those that stand there are as many as there are
    /// seats, also while one of those stands who will have one.
    fn is_full(&self, seats_max: usize) -> bool {
        let staying = self.staying().count();
        let standing = self.staying().filter(|(_, it)| !it.is_seated).count();
        standing >= STANDING_MAX || staying >= seats_max + STANDING_MAX
    }

    /// Of the strangers among these, who goes first: of the address of which there are most, counting the
    /// newcomer's, the longest idle.
    fn first_stranger(
        &self,
        newcomer: Option<IpAddr>,
        among: impl Fn(&Member) -> bool,
    ) -> Option<u64> {
        let strangers = || self.staying().filter(|(_, it)| !it.is_known && among(it));
        let mut addresses = counts(strangers());
        if let Some(from) = newcomer {
            *addresses.entry(from).or_default() += 1;
        }
        let most = addresses.values().max();
        let theirs = strangers().filter(|(_, it)| addresses.get(&it.from) == most);
        let first = theirs.min_by_key(|(_, it)| it.active);
        first.map(|(id, _)| id)
    }

    /// Who makes way for one more that stands, and comes from this address.
    fn first_to_stand_no_more(&self, newcomer: IpAddr) -> Option<u64> {
        let standing = || self.staying().filter(|(_, it)| !it.is_seated);
        let mut addresses = counts(standing());
        *addresses.entry(newcomer).or_default() += 1;
        let most = addresses.values().max();
        let theirs = standing().filter(|(_, it)| addresses.get(&it.from) == most);
        let first = theirs.min_by_key(|(_, it)| it.active);
        first.map(|(id, _)| id)
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

/// How many there are of each address.
fn counts<'a>(members: impl Iterator<Item = (u64, &'a Member)>) -> BTreeMap<IpAddr, usize> {
    let mut counts = BTreeMap::new();
    members.for_each(|(_, it)| *counts.entry(it.from).or_default() += 1);
    counts
}

/// What each connection may hold, whatever the others hold.
pub(crate) const EXEMPT_BYTES: usize = 16 * 1_024;
/// Connections without a seat.
pub(crate) const STANDING_MAX: usize = 8;
/// Nobody gives way who was active so lately.
const IDLE_MIN: Duration = Duration::from_secs(1);
/// How long a connection that asks for data waits for a seat: until somebody who has fallen idle has
/// been so for long enough.
const SEAT_TIMEOUT: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests;
