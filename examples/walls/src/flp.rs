//! `walls flp`: consensus kept undecided by a fair schedule, and the three ways out.
//!
//! Fischer, Lynch and Paterson, *Impossibility of Distributed Consensus with One Faulty Process*
//! (1985). The [`Attacker`] schedules, the [`Checker`] replays, and neither believes the other.

mod agreement;
mod attacker;
mod ben_or;
mod chandra_toueg;
mod checker;
mod coins;
mod configuration;
mod detector;
mod paxos;
mod protocol;
mod record;
mod shown;
mod small;
mod story;
mod synchrony;
mod valence;

use synod_sim::Rng;

pub use attacker::{Attacker, Escape};
pub use ben_or::{BenOr, Member as BenOrMember, Word as BenOrWord};
pub use chandra_toueg::{ChandraToueg, Member as ChandraTouegMember, Word as ChandraTouegWord};
pub use checker::{Checker, Circle, Findings, Refusal};
pub use coins::{attack, be_fair};
pub use detector::{Trusted, trust};
pub use paxos::{Node as PaxosNode, Paxos};
pub use protocol::{ProcessId, Protocol, Sends, Value};
pub use record::{Certificate, Event, Opening, Stage, Step};
pub use small::{Arbiter, Member as SmallMember, WaitForAll, Word as SmallWord};
pub use story::{FlpOptions, run};
pub use synchrony::{BOUND, DELTA, Settled, SettledOften, settle, settle_often};
pub use valence::{Layer, Valences, search};

/// What became of a protocol under attack.
#[derive(Debug)]
pub struct Pursuit<P: Protocol> {
    /// Where it began; nothing if it never did.
    pub opening: Option<Opening>,
    /// The first stages.
    pub stages: Vec<Stage>,
    /// What the checker replayed.
    pub findings: Findings,
    /// Why it ended before the steps were over.
    pub ended: Option<Ended>,
    /// The attacker, where it stands.
    pub attacker: Option<Attacker<P>>,
}

/// Why the attack ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The protocol is none that the theorem is about.
    Escape(Escape),
    /// The attacker's record is not so.
    Refused(Refusal),
}

/// Attacks a protocol for so many steps, and has each of them checked.
///
/// The seed decides in which order the processes have their turns.
pub fn pursue<P: Protocol + Clone>(protocol: &P, seed: u64, steps: u64) -> Pursuit<P> {
    let mut queue: Vec<ProcessId> = protocol::all(protocol).collect();
    Rng::new(seed).shuffle(&mut queue);
    let mut pursuit = Pursuit {
        opening: None,
        stages: Vec::new(),
        findings: Findings::default(),
        ended: None,
        attacker: None,
    };
    pursuit.ended = follow(&mut pursuit, protocol, queue, steps).err();
    pursuit
}

fn follow<P: Protocol + Clone>(
    pursuit: &mut Pursuit<P>,
    protocol: &P,
    queue: Vec<ProcessId>,
    steps: u64,
) -> Result<(), Ended> {
    let (mut attacker, opening) =
        Attacker::begin(protocol.clone(), queue).map_err(Ended::Escape)?;
    let mut checker = Checker::begin(protocol.clone(), &opening).map_err(Ended::Refused)?;
    pursuit.opening = Some(opening);
    while checker.steps() < steps {
        let stage = attacker.stage().map_err(Ended::Escape)?;
        let replayed = checker.replay(&stage);
        if pursuit.stages.len() < STAGES_KEPT {
            pursuit.stages.push(stage);
        }
        replayed.map_err(Ended::Refused)?;
    }
    pursuit.findings = checker.findings();
    pursuit.attacker = Some(attacker);
    Ok(())
}

/// Enough to be looked at.
const STAGES_KEPT: usize = 120;
