//! Three machines with wrong wall clocks exchange a few messages. The execution is printed in four
//! orders: by true time, by the wall clocks, by Lamport's total order, and by hybrid timestamps.
//!
//! `cargo run --example order_of_events -p synod-lamport`

use std::cell::Cell;
use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use synod_lamport::hlc::{HybridClock, Timestamp};
use synod_lamport::{LamportClock, LamportTime, Stamp};

fn main() -> Result<(), Box<dyn Error>> {
    let true_millis = Cell::new(0);
    let wall = |off_millis: u64| {
        let true_millis = &true_millis;
        move || (BASE_MILLIS + true_millis.get() - off_millis) * 1_000_000
    };
    // Each wall clock is behind the true time by so much: the bank's by half a minute.
    let mut machines = BTreeMap::new();
    for (name, off_millis) in [("bank", 30_000), ("shop", 200), ("van", 1_500)] {
        let hybrid = HybridClock::new(wall(off_millis)).with_lead_max(Duration::from_secs(60));
        machines.insert(name, (LamportClock::default(), hybrid));
    }

    let mut sent: BTreeMap<&str, Carried> = BTreeMap::new();
    let mut events = Vec::new();
    for (at, name, kind, what) in STORY {
        true_millis.set(at);
        let (lamport, hybrid) = machines.get_mut(name).ok_or("a machine of the story")?;
        let wall = hybrid_of_wall(hybrid.physical()())?;
        let (time, timestamp) = match kind {
            Kind::Local | Kind::Sends(_) => (lamport.tick()?, hybrid.now()?),
            Kind::Gets(message) => {
                let carried = sent.get(message).ok_or("it was sent")?;
                (lamport.receive(carried.0)?, hybrid.receive(carried.1)?)
            }
        };
        if let Kind::Sends(message) = kind {
            sent.insert(message, (time, timestamp));
        }
        events.push(Told {
            wall,
            lamport: Stamp::new(time, name),
            hybrid: Stamp::new(timestamp, name),
            what,
        });
    }

    tell("As it happened, which nobody saw:", &events, |_| {
        String::new()
    });
    events.sort_by_key(|event| event.wall);
    tell("By the wall clocks, which lie:", &events, |event| {
        event.wall.to_string().replace("-0000", "")
    });
    events.sort_by_key(|event| event.lamport);
    tell(
        "By Lamport's total order, causes first:",
        &events,
        |event| event.lamport.to_string(),
    );
    events.sort_by_key(|event| event.hybrid);
    tell(
        "By hybrid timestamps, causes first and near the time:",
        &events,
        |event| event.hybrid.to_string(),
    );
    println!(
        "The shop's count and the bank's opening are concurrent: no message links them, and either\n\
         may stand first. A smaller stamp does not prove a cause; a cause has the smaller stamp."
    );
    Ok(())
}

/// The timestamps that a message carries.
type Carried = (LamportTime, Timestamp);

#[derive(Clone, Copy)]
enum Kind {
    Local,
    Sends(&'static str),
    Gets(&'static str),
}

struct Told {
    /// What the machine's wall clock showed.
    wall: Timestamp,
    lamport: Stamp<&'static str>,
    hybrid: Stamp<&'static str, Timestamp>,
    what: &'static str,
}

fn hybrid_of_wall(unix_nanos: u64) -> Result<Timestamp, &'static str> {
    Timestamp::at_unix(Duration::from_nanos(unix_nanos)).ok_or("within the layout")
}

fn tell(title: &str, events: &[Told], stamp: impl Fn(&Told) -> String) {
    println!("{title}");
    for event in events {
        println!(
            "  {:34} {:5} {}",
            stamp(event),
            event.lamport.node,
            event.what
        );
    }
    println!();
}

/// When by the true time, in milliseconds; where; what.
const STORY: [(u64, &str, Kind, &str); 10] = [
    (0, "shop", Kind::Local, "counts its stock"),
    (400, "bank", Kind::Local, "opens"),
    (
        1_000,
        "shop",
        Kind::Sends("order"),
        "sends the order to the bank",
    ),
    (1_050, "bank", Kind::Gets("order"), "gets the order"),
    (1_051, "bank", Kind::Local, "charges the card"),
    (
        1_060,
        "bank",
        Kind::Sends("paid"),
        "tells the shop that it is paid",
    ),
    (1_110, "shop", Kind::Gets("paid"), "learns that it is paid"),
    (
        1_120,
        "shop",
        Kind::Sends("parcel"),
        "gives the parcel to the van",
    ),
    (1_500, "van", Kind::Gets("parcel"), "takes the parcel"),
    (9_000, "van", Kind::Local, "delivers the parcel"),
];

/// 2026-11-23T07:00:00Z.
const BASE_MILLIS: u64 = 1_795_417_200_000;
