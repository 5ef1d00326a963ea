//! What a liar tells of the group and of its disk.

use std::time::Duration;

use synod_paxos::{Configuration, Configurations, DiskHealth, Echo, Membership, NodeId, Quorums};

use super::Victim;
use crate::script::Script;

impl Victim {
    pub(super) fn echo(&self, script: &mut Script<'_>, from: NodeId) -> Echo {
        let ballot = self.ballot(script, from);
        let attempt = if script.one_in(5) {
            script.number()
        } else {
            self.attempt
        };
        match script.below(12) {
            0 => Echo::Ask {
                promised: ballot,
                attempt,
                disk: health(script),
            },
            1 => Echo::Heartbeat {
                ballot,
                round: script.number(),
                through: self.slot(script),
                chosen: self.slot(script),
                behind: script.flag(),
                disk: health(script),
                priority: Some(attempt as u8),
                lease: lease(script),
            },
            2 if script.one_in(30) => Echo::Removed {
                promised: ballot,
                number: script.below(3),
            },
            2 if script.one_in(4) => Echo::HowFar {
                promised: ballot,
                life: script.number(),
                number: script.number(),
            },
            2 if script.one_in(2) => Echo::Voted {
                promised: ballot,
                life: script.below(2),
                number: script.below(9),
                last: self.slot(script),
            },
            2 => Echo::Preempted { promised: ballot },
            3 => Echo::Learn {
                ballot,
                from: self.slot(script),
                to: self.slot(script),
            },
            4 | 5 => Echo::Learned {
                ballot,
                first: self.slot(script),
                values: self.values(script, ballot),
            },
            6 => Echo::Offer {
                ballot,
                snapshot: Box::new(self.snapshot(script)),
            },
            _ => Echo::Answer {
                promised: ballot,
                attempt,
                no_leader: !script.one_in(4),
                chosen: self.slot(script),
                disk: health(script),
                priority: Some(attempt as u8),
            },
        }
    }
}

/// The group's first configuration, and perhaps a lie about a later one.
pub(super) fn configurations(script: &mut Script<'_>) -> Configurations {
    let ids = script.pick(&[[1, 2, 3], [1, 7, 8], [7, 8, 9]]);
    let quorums = Quorums::majority(ids.map(NodeId)).expect("three nodes");
    let mut first = Configuration::first(Membership::of(quorums.clone()));
    first.number = script.below(4);
    first.alpha = script.pick(&[Configuration::ALPHA, Configuration::ALPHA, 1]);
    let known_to = script.number().to_le_bytes();
    // Only bytes of lawful configurations decode, with any slots.
    let mut bytes = Configurations::first(first).encode().to_vec();
    bytes[1..8].copy_from_slice(&known_to[..7]);
    bytes[8] = 0;
    bytes[10..17].copy_from_slice(&script.number().to_le_bytes()[..7]);
    bytes[17] = 0;
    Configurations::decode(&bytes).unwrap_or_default()
}

pub(super) fn lease(script: &mut Script<'_>) -> Duration {
    Duration::from_millis(script.number())
}

pub(super) fn health(script: &mut Script<'_>) -> DiskHealth {
    DiskHealth {
        has_room: !script.one_in(3),
        sync_time: Duration::from_millis(script.number()),
    }
}
