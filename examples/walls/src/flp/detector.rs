//! The third way out: a failure detector that is wrong for as long as it likes, and then not about
//! everybody (Chandra and Toueg 1996).

use synod_sim::Rng;

use super::agreement::{Crashes, is_agreed};
use super::protocol::all;
use super::{Attacker, ChandraToueg, Event, ProcessId, Protocol, Value};

/// What happened once the detector was eventually strong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trusted {
    /// Whom nobody suspects any more.
    pub process: ProcessId,
    /// How many rounds after the highest that anybody was in the first decision fell, if each
    /// survivor decided, and all decided one value that was proposed.
    pub decided_after_rounds: Option<u64>,
    /// How many wrong suspicions there still were meanwhile.
    pub suspicions: u64,
    /// How many processes crashed.
    pub crashes: u64,
}

/// From here on one process, drawn, is suspected by nobody, and does not crash. Others do, up to
/// `f < n/2` of them. Those are suspected sooner or later, and so may be the ones that have not crashed,
/// at random: ◇S asks no more.
pub fn trust(attacker: Attacker<ChandraToueg>, inputs: &[Value], rng: &mut Rng) -> Trusted {
    let (protocol, mut now) = attacker.into_configuration();
    let members = protocol.processes();
    let process = ProcessId(1 + rng.index(members));
    let rounds = all(&protocol).map(|at| now.state(at).round());
    let highest = rounds.max().unwrap_or(0);
    let crashes = Crashes::draw(
        &protocol,
        (members - 1) / 2,
        CRASH_BEFORE,
        Some(process),
        rng,
    );
    let mut trusted = Trusted {
        process,
        decided_after_rounds: None,
        suspicions: 0,
        crashes: crashes.count(),
    };
    let mut first = None;
    for step in 0..STEPS_MAX {
        let at = ProcessId(1 + rng.index(members));
        if crashes.has_crashed(at, step) {
            continue;
        }
        let member = now.state(at);
        let suspected = protocol.coordinator(member.round());
        let may_suspect = member.waits_for_coordinator() && suspected != process;
        let event = if may_suspect && rng.chance(0.3) {
            trusted.suspicions += u64::from(!crashes.has_crashed(suspected, step));
            Some(Event::Alone { at })
        } else {
            // Whom the attacker has not let begin begins now.
            let begins = (member.round() == 0).then_some(Event::Alone { at });
            now.oldest_for(at).or(begins)
        };
        let Some(event) = event else {
            continue;
        };
        now.take(&protocol, event);
        if now.decision(&protocol, at).is_some() {
            let rounds = now.state(at).round().saturating_sub(highest);
            first = first.or(Some(rounds));
        }
        if crashes.is_over(&protocol, &now) {
            let is_agreed = is_agreed(&protocol, &now, inputs);
            trusted.decided_after_rounds = first.filter(|_| is_agreed);
            break;
        }
    }
    trusted
}

/// Far more than any run needs.
const STEPS_MAX: u64 = 1_000_000;
/// In steps: not much longer than a round takes.
const CRASH_BEFORE: u64 = 60;
