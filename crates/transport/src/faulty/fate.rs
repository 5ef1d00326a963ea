//! The fate of one message, a function of seed, link and message number.

use super::LinkFaults;
use crate::NodeId;
use crate::draws::Draws;
use std::time::Duration;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Fate {
    pub(super) lost: bool,
    pub(super) duplicated: bool,
    pub(super) reordered: bool,
    /// The delay, including the extra delay of a reordered message.
    pub(super) delay: Duration,
    pub(super) held_back: Duration,
}

impl Fate {
    /// Draws the fate of the message with this number from one node to another. Each kind of fault is drawn for each
    /// message from its own generator, so that switching one off does not change the others.
    pub(super) fn draw(
        seed: u64,
        from: NodeId,
        to: NodeId,
        number: u64,
        faults: &LinkFaults,
    ) -> Self {
        let mut draws = [from.0, to.0, number]
            .into_iter()
            .fold(Draws::new(seed), |mut draws, part| {
                Draws::new(draws.next() ^ part)
            });
        let [loss, duplicate, reorder, delay] = std::array::from_fn(|_| unit(draws.next()));
        let reordered = reorder < faults.reorder && !faults.reorder_by.is_zero();
        let spread = faults.delay_max.saturating_sub(faults.delay_min);
        Self {
            lost: loss < faults.loss,
            duplicated: duplicate < faults.duplicate,
            reordered,
            delay: faults.delay_min.saturating_add(spread.mul_f64(delay)),
            held_back: match reordered {
                true => faults.reorder_by,
                false => Duration::ZERO,
            },
        }
    }
}

/// Uniform in [0, 1).
fn unit(draw: u64) -> f64 {
    (draw >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: LinkFaults = LinkFaults {
        loss: 0.1,
        duplicate: 0.2,
        reorder: 0.3,
        reorder_by: Duration::from_millis(7),
        delay_min: Duration::from_millis(10),
        delay_max: Duration::from_millis(20),
        bytes_per_second: None,
    };

    fn fates(seed: u64, to: u64, faults: LinkFaults) -> Vec<Fate> {
        let draw = |number| Fate::draw(seed, NodeId(1), NodeId(to), number, &faults);
        (0..10_000).map(draw).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_fates_and_another_gives_others() {
        assert_eq!(fates(1, 2, ALL), fates(1, 2, ALL));
        assert_ne!(fates(1, 2, ALL), fates(2, 2, ALL));
        assert_ne!(fates(1, 2, ALL), fates(1, 3, ALL));
    }

    #[test]
    fn as_many_are_struck_as_are_said_to_be() {
        let fates = fates(1, 2, ALL);
        let share = |of: fn(&Fate) -> bool| fates.iter().filter(|f| of(f)).count() as f64 / 1e4;
        assert!((share(|f| f.lost) - 0.1).abs() < 0.02);
        assert!((share(|f| f.duplicated) - 0.2).abs() < 0.02);
        assert!((share(|f| f.reordered) - 0.3).abs() < 0.02);
        let within = |f: &Fate| (ALL.delay_min..=ALL.delay_max).contains(&f.delay);
        assert!(fates.iter().all(within));
        let mean: Duration = fates.iter().map(|f| f.delay).sum::<Duration>() / 10_000;
        assert!(mean > Duration::from_millis(14) && mean < Duration::from_millis(16));
    }

    #[test]
    fn one_fault_more_leaves_the_others_as_they_were() {
        let without = LinkFaults { loss: 0.0, ..ALL };
        for (all, without) in fates(1, 2, ALL).into_iter().zip(fates(1, 2, without)) {
            assert_eq!(Fate { lost: false, ..all }, without);
        }
    }

    #[test]
    fn what_makes_no_sense_strikes_nobody_or_all() {
        let odd = LinkFaults {
            loss: f64::NAN,
            duplicate: 7.0,
            reorder: -1.0,
            delay_min: Duration::MAX,
            ..ALL
        };
        let fate = Fate::draw(1, NodeId(1), NodeId(2), 3, &odd);
        assert_eq!(
            (fate.lost, fate.duplicated, fate.reordered),
            (false, true, false)
        );
        assert_eq!(fate.delay, Duration::MAX);
    }
}
