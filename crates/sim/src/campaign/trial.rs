//! What a run is made of, and what it leaves.

use std::fmt;
use std::time::Duration;

use crate::campaign::Coverage;
use crate::world::{Process, World, WorldOptions};

/// Everything that a run is made of: equal trials run equally.
///
/// What is not named here, the run draws from the seed.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// Of the world, and of whatever else is drawn.
    pub seed: u64,
    /// How many nodes.
    pub nodes: u64,
    /// How many clients, if the run has any.
    pub clients: usize,
    /// How long the faults, and the work, go on before the run comes to its end: nothing that happens
    /// before may depend on it.
    pub horizon: Duration,
    /// The world, with its faults.
    pub options: WorldOptions,
}

/// What a run leaves that did not fail.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// [`World::fingerprint`](crate::World::fingerprint), and whatever else must be equal in two runs
    /// of a trial.
    pub fingerprint: u128,
    /// What it has seen.
    pub coverage: Coverage,
}

impl Ended {
    /// What a world has to say.
    #[must_use]
    pub fn of<P: Process>(world: &World<P>) -> Self {
        Self {
            fingerprint: world.fingerprint(),
            coverage: Coverage::of(&world.stats()),
        }
    }
}

impl fmt::Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            seed,
            nodes,
            clients,
            horizon,
            options,
        } = self;
        write!(
            f,
            "seed {seed:#x}, {nodes} nodes, {clients} clients, {horizon:?}\n{options}"
        )
    }
}
