//! Runs that nobody can tell apart, in one of which the clocks are far apart.

use super::network::{Delays, EPSILON, Synchroniser, World, skew};

/// What the chain of runs has shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// The first run and those that follow, each by moving one process.
    pub worlds: Vec<World>,
    /// The skew after synchronisation in each.
    pub skews: Vec<f64>,
    /// All runs are lawful, and each process sees the same in all of them.
    pub is_proof: bool,
}

impl Shown {
    /// The greatest skew.
    #[must_use]
    pub fn worst(&self) -> f64 {
        self.skews.iter().copied().fold(0.0, f64::max)
    }
}

/// The proof of Lundelius and Lynch (1984), carried out on a synchroniser.
///
/// In the first run a message to a process of a higher number takes the least time, and one to a lower
/// number takes `u` longer. The last process can then be moved by `u`: what came to it quickly comes
/// slowly, and the other way round, and it is now as if it were the first. With each of the others
/// moved in turn there are `n` runs that all look alike. In all of them each process adjusts its clock
/// by the same; but its clock is off by `u` more from the run on in which it was moved. The
/// skews add up, and one of them is at least `u (1 - 1/n)`.
pub fn shift(by: &impl Synchroniser, processes: usize, delays: Delays) -> Shown {
    let takes = |from: usize, to: usize| match from < to {
        true => delays.least,
        false => delays.least + delays.uncertainty,
    };
    let row = |from: usize| (0..processes).map(|to| takes(from, to)).collect();
    let mut world = World {
        offsets: vec![0.0; processes],
        takes: (0..processes).map(row).collect(),
    };
    let mut shown = Shown {
        worlds: Vec::new(),
        skews: Vec::new(),
        is_proof: true,
    };
    let views: Vec<_> = (0..processes).map(|at| world.view(at)).collect();
    for moved in (0..processes).rev() {
        let is_alike = (0..processes).all(|at| {
            let pairs = views[at].iter().zip(world.view(at));
            pairs
                .into_iter()
                .all(|(one, other)| (one - other).abs() < EPSILON)
        });
        shown.is_proof &= is_alike && world.is_lawful(delays);
        shown.skews.push(skew(&world.adjusted(by, delays)));
        let next = world.shifted(moved, delays.uncertainty);
        shown.worlds.push(std::mem::replace(&mut world, next));
    }
    shown
}
