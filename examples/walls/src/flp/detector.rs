//! The third way out: a failure detector that is wrong for as long as it likes, and then not about
//! everybody (Chandra and Toueg 1996).

use synod_sim::Rng;

use super::protocol::all;
use super::{Attacker, ChandraToueg, Event, ProcessId, Protocol};

/// What happened once the detector was eventually strong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trusted {
    /// Whom nobody suspects any more.
    pub process: ProcessId,
    /// How many rounds after the highest that anybody was in the first decision fell, if one did.
    pub decided_after_rounds: Option<u64>,
    /// How many wrong suspicions there still were meanwhile.
    pub suspicions: u64,
}

/// From here on one process, drawn, is suspected by nobody. The others may still be suspected, at
/// random, though none has crashed: ◇S asks no more.
pub fn trust(attacker: Attacker<ChandraToueg>, rng: &mut Rng) -> Trusted {
    let (protocol, mut now) = attacker.into_configuration();
    let members = protocol.processes();
    let process = ProcessId(1 + rng.index(members));
    let rounds = all(&protocol).map(|at| now.state(at).round());
    let highest = rounds.max().unwrap_or(0);
    let mut trusted = Trusted {
        process,
        decided_after_rounds: None,
        suspicions: 0,
    };
    for _ in 0..STEPS_MAX {
        let at = ProcessId(1 + rng.index(members));
        let member = now.state(at);
        let suspected = protocol.coordinator(member.round());
        let may_suspect = member.waits_for_coordinator() && suspected != process;
        let event = if may_suspect && rng.chance(0.3) {
            trusted.suspicions += 1;
            Some(Event::Alone { at })
        } else {
            now.oldest_for(at)
        };
        let Some(event) = event else {
            continue;
        };
        now.take(&protocol, event);
        if now.decision(&protocol, at).is_some() {
            let rounds = now.state(at).round().saturating_sub(highest);
            trusted.decided_after_rounds = Some(rounds);
            break;
        }
    }
    trusted
}

/// Far more than any run needs.
const STEPS_MAX: usize = 1_000_000;
