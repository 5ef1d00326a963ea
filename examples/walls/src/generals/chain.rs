//! From the run in which all arrives to the one in which nothing does, one message at a time.

use super::plan::{General, Plan, Run, View, carry_out};

/// Where agreement breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// In the first all messages arrive, in each next one the last that did is caught as well.
    pub links: Vec<Link>,
    /// The first run in which one attacks alone.
    pub breaks_at: Option<usize>,
}

/// One run of the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// What happened.
    pub run: Run,
    /// Who cannot tell it from the run before, and so must act as there; nobody for the first.
    pub alike_to: Option<General>,
}

/// Builds the chain of a plan.
///
/// A run and the next differ in one message. Whoever sent that does not see whether it arrives, and
/// nothing arrives behind it: to its sender both runs are one. So if both generals acted alike in every
/// run, they would act in the last as in the first; and there Bob has heard nothing.
pub fn chain(plan: &impl Plan) -> Chain {
    let mut links: Vec<Link> = Vec::new();
    let mut arriving = u32::MAX;
    loop {
        let run = carry_out(plan, |message| arriving & (1 << message) != 0);
        let alike_to = links.last().and_then(|before| {
            let (alice, bob) = (before.run.alice == run.alice, before.run.bob == run.bob);
            match (alice, bob) {
                (true, _) => Some(General::Alice),
                (false, true) => Some(General::Bob),
                (false, false) => None,
            }
        });
        links.push(Link { run, alike_to });
        let View(delivered) = run.delivered;
        if delivered == 0 {
            break;
        }
        // The last that arrived, and all behind it, whoever would send them now.
        arriving = delivered & !(1 << delivered.ilog2());
    }
    let breaks_at = links.iter().position(|it| it.run.alice.1 != it.run.bob.1);
    Chain { links, breaks_at }
}

/// The probability that one attacks alone, if each message is caught with probability `loss`: exact,
/// over all ways in which messages can be caught.
pub fn risk(plan: &impl Plan, loss: f64) -> f64 {
    let messages = plan.messages();
    let mut risk = 0.0;
    for arriving in 0_u32..1 << messages {
        let run = carry_out(plan, |message| arriving & (1 << message) != 0);
        if run.alice.1 != run.bob.1 {
            let arrived = arriving.count_ones() as i32;
            let caught = messages as i32 - arrived;
            risk += (1.0 - loss).powi(arrived) * loss.powi(caught);
        }
    }
    risk
}
