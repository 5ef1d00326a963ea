//! What an actor can do with what it has heard, so that others see it.
//!
//! A step in which an actor neither writes nor says anything is seen by nobody else, and a crash
//! undoes it. So it is taken only on the way to a step of the same actor that can be seen: a
//! proposer, for instance, collects its promises in one go, in every order, when it has them all.
//! Nothing is lost by that, because messages stay.

use std::collections::BTreeSet;
use std::rc::Rc;

use crate::actor::{Fate, Input};
use crate::atlas::{Atlas, KnownStep, Map, Packets};
use crate::goals::Goals;

#[derive(Debug, Default)]
pub(crate) struct Moves {
    pub(crate) visible: Vec<Move>,
    /// What it learns on the way.
    pub(crate) learned: BTreeSet<u8>,
    pub(crate) goals: Goals,
    /// An assertion of its own that it broke.
    pub(crate) broken: Option<(Input<u32>, String)>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Move {
    pub(crate) input: Input<u32>,
    pub(crate) fate: Fate,
    pub(crate) step: KnownStep,
}

/// What an actor may do beyond receiving.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct May {
    pub(crate) begin: bool,
    pub(crate) crash: bool,
    pub(crate) lose: bool,
}

/// All moves that were met.
#[derive(Debug, Default)]
pub(crate) struct Book {
    moves: Map<(u32, Packets, May), Rc<Moves>>,
}

impl Book {
    pub(crate) fn moves(
        &mut self,
        atlas: &mut Atlas,
        actor: u32,
        net: Packets,
        may: May,
    ) -> Rc<Moves> {
        let heard = atlas.heeded(actor, net);
        let moves = self.moves.entry((actor, heard, may));
        let moves = moves.or_insert_with(|| Rc::new(Moves::of(atlas, actor, heard, may)));
        Rc::clone(moves)
    }
}

impl Moves {
    fn of(atlas: &mut Atlas, actor: u32, heard: Packets, may: May) -> Self {
        let mut moves = Self::default();
        // The actor as it is, and as it comes to be in silence.
        let mut here = vec![actor];
        let mut visited = 0;
        while let Some(actor) = here.get(visited).copied() {
            visited += 1;
            moves.learned.extend(atlas.actor(actor).chosen());
            let crash = (may.crash && visited == 1).then_some(Input::Crash);
            let begin = may.begin.then_some(Input::Begin);
            let inputs = crash.into_iter().chain(begin);
            for input in inputs.chain(heard.iter().map(Input::Receive)) {
                for fate in [Fate::Stored, Fate::Lost] {
                    if fate == Fate::Lost && !may.lose {
                        continue;
                    }
                    match atlas.step(actor, input, fate) {
                        Ok(step) => moves.add(&mut here, Move { input, fate, step }),
                        Err(reason) => moves.broken = Some((input, reason)),
                    }
                }
            }
        }
        moves
    }

    fn add(&mut self, here: &mut Vec<u32>, what: Move) {
        let Move { input, fate, step } = what;
        if fate == Fate::Lost && !step.wrote {
            return;
        }
        self.goals |= step.goals;
        if step.wrote || !step.sent.is_empty() || input == Input::Crash {
            self.visible.push(what);
        } else if !here.contains(&step.to) {
            here.push(step.to);
        }
    }
}
