//! Clocks that are right but for an offset, and messages that take a time nobody knows exactly.

/// A way to make clocks agree: each process sends one message to each other one when its clock shows
/// zero, and then adjusts its clock by what it has seen.
pub trait Synchroniser {
    /// By how much process `at` sets its clock forward. `seen[i]` is what its clock showed when the
    /// message of process `i` came; of its own it is zero. `delays` are the bounds that are known.
    fn adjustment(&self, at: usize, seen: &[f64], delays: Delays) -> f64;
}

/// What is known of the time that a message takes. In milliseconds, as all times here.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Delays {
    /// The least.
    pub least: f64,
    /// How much longer it may take: u.
    pub uncertainty: f64,
}

/// What happens: where clocks begin, and how long each message takes.
#[derive(Clone, Debug, PartialEq)]
pub struct World {
    /// What each clock shows at time zero.
    pub offsets: Vec<f64>,
    /// `takes[i][j]`: from process i to process j.
    pub takes: Vec<Vec<f64>>,
}

impl World {
    /// What a process sees: all that it can ever decide by.
    #[must_use]
    pub fn view(&self, at: usize) -> Vec<f64> {
        let seen = |from: usize| match from == at {
            true => 0.0,
            // Sent when the clock of `from` shows zero, which is at `-offsets[from]`.
            false => self.takes[from][at] - self.offsets[from] + self.offsets[at],
        };
        (0..self.offsets.len()).map(seen).collect()
    }

    /// What the clocks show at time zero once they are adjusted.
    #[must_use]
    pub fn adjusted(&self, by: &impl Synchroniser, delays: Delays) -> Vec<f64> {
        let clocks = self.offsets.iter().enumerate();
        clocks
            .map(|(at, offset)| offset + by.adjustment(at, &self.view(at), delays))
            .collect()
    }

    /// Moves all that one process does `later` in time. It sees the same, and so do the others, if its
    /// clock is set back by as much, its messages take less and those to it more.
    #[must_use]
    pub fn shifted(&self, process: usize, later: f64) -> Self {
        let mut shifted = self.clone();
        shifted.offsets[process] -= later;
        for other in (0..self.offsets.len()).filter(|other| *other != process) {
            shifted.takes[process][other] -= later;
            shifted.takes[other][process] += later;
        }
        shifted
    }

    /// Whether every message takes a time that is allowed.
    #[must_use]
    pub fn is_lawful(&self, delays: Delays) -> bool {
        let (least, most) = (delays.least, delays.least + delays.uncertainty);
        let is_allowed = |takes: f64| takes >= least - EPSILON && takes <= most + EPSILON;
        let rows = self.takes.iter().enumerate();
        rows.flat_map(|(from, row)| row.iter().enumerate().map(move |(to, it)| (from, to, *it)))
            .all(|(from, to, takes)| from == to || is_allowed(takes))
    }
}

/// How far apart the furthest two are.
#[must_use]
pub fn skew(clocks: &[f64]) -> f64 {
    let most = clocks.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let least = clocks.iter().copied().fold(f64::INFINITY, f64::min);
    most - least
}

/// Far below every time that occurs.
pub const EPSILON: f64 = 1e-9;
