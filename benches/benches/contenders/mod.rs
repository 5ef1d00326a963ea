//! Who is measured. A core of yours is one more file here, and one more line in [`all`].

use synod_benches::{Contender, Kind};

mod backups;
mod payload;
mod synod;
mod synod_paxos;
mod synod_raft;

#[cfg(feature = "peers")]
mod omnipaxos;
#[cfg(feature = "peers")]
mod openraft;
#[cfg(feature = "peers")]
mod raft_io;
#[cfg(feature = "peers")]
mod tikv_raft;

/// All of them, in the order in which they take turns.
pub(crate) fn all() -> Vec<Contender> {
    let ours = [
        Contender {
            name: "payload alone",
            kind: Kind::Payload,
            in_flight_min: 1,
            start: payload::start,
        },
        Contender {
            name: "backups, no consensus",
            kind: Kind::Floor,
            in_flight_min: 1,
            start: backups::start,
        },
        Contender {
            name: "synod-raft",
            kind: Kind::Ours,
            in_flight_min: 1,
            start: synod_raft::start,
        },
        Contender {
            name: "synod-paxos",
            kind: Kind::Ours,
            in_flight_min: 1,
            start: synod_paxos::start,
        },
    ];
    let mut all = ours.to_vec();
    all.extend(peers());
    all
}

#[cfg(not(feature = "peers"))]
fn peers() -> [Contender; 0] {
    []
}

#[cfg(feature = "peers")]
type Start = fn(synod_benches::Cell) -> Box<dyn synod_benches::Driver>;

#[cfg(feature = "peers")]
fn peers() -> impl Iterator<Item = Contender> {
    let peer = |(name, in_flight_min, start)| Contender {
        name,
        kind: Kind::Peer,
        in_flight_min,
        start,
    };
    let ways: [(_, _, Start); 9] = [
        ("omnipaxos 0.2.4", 1, omnipaxos::start_single),
        (
            "omnipaxos 0.2.4, batch_size 64",
            64,
            omnipaxos::start_batch_64,
        ),
        (
            "omnipaxos 0.2.4, batch_size all",
            1024,
            omnipaxos::start_batch_all,
        ),
        ("raft 0.7.0, propose", 1, tikv_raft::start_single),
        ("raft 0.7.0, one MsgPropose", 2, tikv_raft::start_batch),
        (
            "openraft 0.10.0-alpha.37, client_write_ff",
            1,
            openraft::start_single,
        ),
        (
            "openraft 0.10.0-alpha.37, client_write_many",
            2,
            openraft::start_many,
        ),
        ("raft-io 1.0.0, one by one", 1, raft_io::start_one_by_one),
        ("raft-io 1.0.0, in turns", 2, raft_io::start_turns),
    ];
    ways.into_iter().map(peer)
}
