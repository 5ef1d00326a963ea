//! Places for connections that have not sent a hello yet, allotted so that a flood of connections
//! displaces only its own.
//!
//! A node that sends its hello needs a place for one round trip only, whereas idle connections of a
//! flood grow old. When no place is left, a new connection therefore displaces an old one: the oldest
//! from the same address if that is at its limit, otherwise the oldest from the address with the most
//! connections, or from all such addresses if several are tied. Peers' addresses have separate places
//! that no other address can take.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// The owner of a place: a peer's address, or another address or network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Holder {
    Peer(IpAddr),
    Stranger(IpAddr),
}

/// # Invariants
/// - no holder has more than `address_max` places, and strangers together have no more than
///   `strangers_max`;
/// - the holder of a displaced place is notified once.
#[derive(Debug)]
pub(crate) struct Places {
    strangers_max: usize,
    address_max: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    next: u64,
    /// By number, which is the order of age.
    places: BTreeMap<u64, (Holder, Arc<Notify>)>,
}

/// A place, released when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    number: u64,
    displaced: Arc<Notify>,
    places: Arc<Places>,
}

impl Places {
    pub(crate) fn new(strangers_max: usize, address_max: usize) -> Arc<Self> {
        Arc::new(Self {
            strangers_max,
            address_max,
            held: Mutex::default(),
        })
    }

    /// A place for a connection from this address. Always succeeds, displacing another if
    /// necessary.
    pub(crate) fn take(self: &Arc<Self>, address: IpAddr, is_peers: bool) -> Place {
        let holder = if is_peers {
            Holder::Peer(address)
        } else {
            Holder::Stranger(network(address))
        };
        let mut held = self.lock();
        if held.count(holder) >= self.address_max {
            held.displace(|other| other == holder);
        } else if !is_peers && held.strangers().count() >= self.strangers_max {
            let largest = held.largest_strangers();
            held.displace(|other| largest.contains(&other));
        }
        let number = held.next;
        held.next += 1;
        let displaced = Arc::new(Notify::new());
        held.places.insert(number, (holder, displaced.clone()));
        drop(held);
        let places = Arc::clone(self);
        Place {
            number,
            displaced,
            places,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Waits until this place is displaced.
    pub(crate) async fn displaced(&self) {
        self.displaced.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.lock().places.remove(&self.number);
    }
}

impl Held {
    fn count(&self, holder: Holder) -> usize {
        let same = |(other, _): &&(Holder, Arc<Notify>)| *other == holder;
        self.places.values().filter(same).count()
    }

    fn strangers(&self) -> impl Iterator<Item = Holder> {
        let holders = self.places.values().map(|(holder, _)| *holder);
        holders.filter(|holder| matches!(holder, Holder::Stranger(_)))
    }

    /// The non-peer holders with the most places: more than one if they are tied.
    fn largest_strangers(&self) -> BTreeSet<Holder> {
        let mut counts = BTreeMap::<Holder, usize>::new();
        self.strangers()
            .for_each(|holder| *counts.entry(holder).or_default() += 1);
        let most = counts.values().copied().max();
        counts.retain(|_, count| Some(*count) == most);
        counts.into_keys().collect()
    }

    /// Displaces the oldest of these places.
    fn displace(&mut self, is_meant: impl Fn(Holder) -> bool) {
        let meant = |(_, (holder, _)): &(&u64, &(Holder, Arc<Notify>))| is_meant(*holder);
        let oldest = self.places.iter().find(meant).map(|(number, _)| *number);
        if let Some((_, displaced)) = oldest.and_then(|number| self.places.remove(&number)) {
            displaced.notify_one();
        }
    }
}

/// The /64 network of an IPv6 address, because whoever has one of its addresses usually has all of
/// them.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let mut octets = address.octets();
            octets[NETWORK_BYTES..].fill(0);
            Ipv6Addr::from(octets).into()
        }
    }
}

const NETWORK_BYTES: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Waker};

    /// Whether a place was displaced, without waiting.
    fn is_displaced(place: &Place) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        pin!(place.displaced()).poll(&mut context).is_ready()
    }

    fn v4(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    /// The indices of the displaced places.
    fn displaced(places: &[Place]) -> Vec<usize> {
        let taken = |at: &usize| is_displaced(&places[*at]);
        (0..places.len()).filter(taken).collect()
    }

    #[test]
    fn a_crowd_takes_only_its_own_places() {
        let places = Places::new(6, 3);
        let one: Vec<Place> = (0..5).map(|_| places.take(v4(1), false)).collect();
        assert_eq!(displaced(&one), [0, 1], "the oldest of the same address");
        let two = [places.take(v4(2), false), places.take(v4(2), false)];
        let three = places.take(v4(3), false);
        assert_eq!(displaced(&one), [] as [usize; 0], "told once");
        // All six are taken: the largest holder loses one.
        let four = places.take(v4(4), false);
        assert_eq!(displaced(&one), [2]);
        assert_eq!(displaced(&two), [] as [usize; 0]);
        // A peer's address has separate places, with the same limit as any other address.
        let peers: Vec<Place> = (0..4).map(|_| places.take(v4(9), true)).collect();
        assert_eq!(displaced(&peers), [0]);
        assert!(!is_displaced(&three) && !is_displaced(&four));
        drop((one, two, three, four, peers));
        assert!(places.lock().places.is_empty());
    }

    /// The order of addresses must not decide which connection is displaced.
    #[test]
    fn among_addresses_that_have_as_many_the_oldest_goes() {
        let places = Places::new(4, 3);
        let two = |last| [(); 2].map(|()| places.take(v4(last), false));
        let (first, second) = (two(1), two(2));
        let _newest = places.take(v4(3), false);
        assert_eq!(displaced(&first), [0]);
        assert_eq!(displaced(&second), [] as [usize; 0]);
        // Among connections that each have their own address the oldest is displaced, not the one
        // with the highest address.
        let places = Places::new(3, 3);
        let crowd = [9, 7, 8].map(|last| places.take(v4(last), false));
        let _newest = places.take(v4(200), false);
        assert_eq!(displaced(&crowd), [0]);
    }

    #[test]
    fn a_network_of_version_6_is_one_address() {
        let places = Places::new(9, 1);
        let address = |last: u16| IpAddr::from([0x2001, 0xdb8, 0, 1, last, 0, 0, last]);
        let first = places.take(address(1), false);
        let _second = places.take(address(2), false);
        assert!(is_displaced(&first));
        let peer = places.take(address(3), true);
        let _other_peer = places.take(address(4), true);
        assert!(!is_displaced(&peer), "peers are told apart");
    }
}
