//! Contenders that take turns, and what comes out of it.

use crate::{Cell, Driver, Sample};

/// A way to drive a core.
#[derive(Clone, Copy, Debug)]
pub struct Contender {
    /// The core, and the way if there are several.
    pub name: &'static str,
    /// What it is set against what for.
    pub kind: Kind,
    /// Below so many entries in flight this way is the same as another one, and is left out.
    pub in_flight_min: u64,
    /// Three replicas, the first of which leads.
    pub start: fn(Cell) -> Box<dyn Driver>,
}

/// What a contender is set against what for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The entries alone, made and kept once: what is nobody's fault.
    Payload,
    /// No consensus: what three copies of a log cost without one.
    Floor,
    /// Of this repository.
    Ours,
    /// Of others. The fastest one in a cell is what all are compared with there.
    Peer,
}

impl Kind {
    /// In one word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Payload => "payload",
            Self::Floor => "floor",
            Self::Ours => "ours",
            Self::Peer => "peer",
        }
    }
}

/// What the contenders cost in one cell.
#[derive(Clone, Debug)]
pub struct Table {
    /// Which one.
    pub cell: Cell,
    /// Rounds in which each contender was measured once.
    pub rounds: usize,
    /// The contenders, in their order.
    pub rows: Vec<Row>,
}

/// What one of them cost.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// Its kind.
    pub kind: Kind,
    /// Nanoseconds an entry for which the thread ran.
    pub cpu_ns: Spread,
    /// Nanoseconds an entry that went by.
    pub wall_ns: Spread,
    /// Calls of the allocator for an entry, the median.
    pub allocations: f64,
    /// Bytes asked for in them, the median.
    pub allocated_bytes: f64,
    /// Its CPU time divided by that of the best peer: the median over the rounds, which is steadier than the ratio of
    /// the medians, since the two times of a round had the same luck.
    pub to_best_peer: Option<f64>,
    /// The same of what both cost beyond the payload, from the medians.
    pub beyond_payload: Option<f64>,
    /// Instructions an entry in user space, where they were counted.
    pub instructions: Option<f64>,
}

/// Where the values of all rounds lie.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The middle one.
    pub median: f64,
    /// The least one.
    pub min: f64,
    /// The greatest one.
    pub max: f64,
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        Self {
            median: median(&values),
            min: values.first().copied().unwrap_or(f64::NAN),
            max: values.last().copied().unwrap_or(f64::NAN),
        }
    }
}

impl Table {
    /// Measures in rounds: each contender once, in their order, and then the next round. What else the machine does
    /// falls on all of them alike so. A first round is not counted: it finds the memory that the others then have.
    pub fn measure(
        cell: Cell,
        contenders: &[Contender],
        rounds: usize,
        mut sample: impl FnMut(&Contender, Cell) -> Sample,
    ) -> Self {
        let mut samples = vec![Vec::with_capacity(rounds); contenders.len()];
        for round in 0..=rounds {
            for (contender, samples) in contenders.iter().zip(&mut samples) {
                let sample = sample(contender, cell);
                if round > 0 {
                    samples.push(sample);
                }
            }
        }
        let mut rows: Vec<_> = contenders.iter().zip(&samples).map(row).collect();
        compare(&mut rows, &samples);
        Self { cell, rounds, rows }
    }

    /// The peer with the least CPU time.
    #[must_use]
    pub fn best_peer(&self) -> Option<&Row> {
        best_peer(&self.rows).map(|at| &self.rows[at])
    }
}

fn row((contender, samples): (&Contender, &Vec<Sample>)) -> Row {
    let spread = |of: fn(&Sample) -> f64| Spread::of(samples.iter().map(of).collect());
    Row {
        name: contender.name,
        kind: contender.kind,
        cpu_ns: spread(|sample| sample.cpu_ns),
        wall_ns: spread(|sample| sample.wall_ns),
        allocations: spread(|sample| sample.allocations).median,
        allocated_bytes: spread(|sample| sample.allocated_bytes).median,
        to_best_peer: None,
        beyond_payload: None,
        instructions: None,
    }
}

fn compare(rows: &mut [Row], samples: &[Vec<Sample>]) {
    let Some(best) = best_peer(rows) else { return };
    let payload = rows
        .iter()
        .find(|row| row.kind == Kind::Payload)
        .map(|row| row.cpu_ns.median);
    let best_ns = rows[best].cpu_ns.median;
    for (row, own) in rows.iter_mut().zip(samples) {
        let ratios = own.iter().zip(&samples[best]);
        let ratios = ratios.map(|(own, best)| own.cpu_ns / best.cpu_ns);
        row.to_best_peer = Some(Spread::of(ratios.collect()).median);
        row.beyond_payload = payload
            .filter(|payload| *payload < best_ns)
            .map(|payload| (row.cpu_ns.median - payload) / (best_ns - payload));
    }
}

fn best_peer(rows: &[Row]) -> Option<usize> {
    let peers = rows
        .iter()
        .enumerate()
        .filter(|(_, row)| row.kind == Kind::Peer);
    let by_time = |(_, one): &(usize, &Row), (_, other): &(usize, &Row)| {
        one.cpu_ns.median.total_cmp(&other.cpu_ns.median)
    };
    peers.min_by(by_time).map(|(at, _)| at)
}

/// The middle one of values in ascending order; of an even number of them the higher one in the middle. NaN if there is
/// none.
#[must_use]
pub fn median(sorted: &[f64]) -> f64 {
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CELL: Cell = Cell {
        bytes: 16,
        in_flight: 64,
    };

    fn contender(name: &'static str, kind: Kind) -> Contender {
        Contender {
            name,
            kind,
            in_flight_min: 1,
            start: |_| unreachable!("nothing is started here"),
        }
    }

    fn cpu(cpu_ns: f64) -> Sample {
        Sample {
            cpu_ns,
            ..Sample::default()
        }
    }

    #[test]
    fn contenders_take_turns_and_the_first_round_does_not_count() {
        let contenders = ["a", "b", "c"].map(|name| contender(name, Kind::Peer));
        let mut order = String::new();
        let table = Table::measure(CELL, &contenders, 2, |contender, _| {
            order.push_str(contender.name);
            cpu(order.len() as f64)
        });
        assert_eq!(order, "abcabcabc");
        let spread = Spread {
            median: 7.0,
            min: 4.0,
            max: 7.0,
        };
        assert_eq!(table.rows[0].cpu_ns, spread);
    }

    #[test]
    fn ratios_are_of_the_same_round() {
        let contenders = [contender("own", Kind::Ours), contender("peer", Kind::Peer)];
        // In each round twice as fast, on a machine that gets slower and slower.
        let mut samples = [9, 9, 10, 20, 1000, 2000, 1, 2].into_iter();
        let table = Table::measure(CELL, &contenders, 3, |_, _| {
            cpu(samples.next().map_or(f64::NAN, f64::from))
        });
        assert_eq!(table.rows[0].to_best_peer, Some(0.5));
        assert_eq!(table.rows[0].beyond_payload, None, "nothing measured it");
    }

    #[test]
    fn the_best_peer_is_a_peer_and_the_payload_is_nobodys_fault() {
        let contenders = [
            ("payload", Kind::Payload, 10.0),
            ("floor", Kind::Floor, 15.0),
            ("own", Kind::Ours, 20.0),
            ("slow", Kind::Peer, 90.0),
            ("fast", Kind::Peer, 50.0),
        ];
        let times = contenders.map(|(name, _, ns)| (name, ns));
        let contenders = contenders.map(|(name, kind, _)| contender(name, kind));
        let table = Table::measure(CELL, &contenders, 1, |contender, _| {
            let of_it = times.iter().find(|(name, _)| *name == contender.name);
            cpu(of_it.map_or(f64::NAN, |(_, ns)| *ns))
        });
        assert_eq!(table.best_peer().map(|row| row.name), Some("fast"));
        let own = &table.rows[2];
        assert_eq!(own.to_best_peer, Some(0.4));
        assert_eq!(own.beyond_payload, Some(0.25));
    }

    #[test]
    fn the_median_is_the_middle_one() {
        assert_eq!(Spread::of(vec![3.0, 1.0, 2.0]).median, 2.0);
        assert_eq!(median(&[1.0, 2.0]), 2.0);
        assert!(median(&[]).is_nan());
    }
}
