//! Some ways to make clocks agree.

use super::network::{Delays, Synchroniser};

/// That of Lundelius and Lynch (1984), and nothing is better: it takes each message to have taken the
/// middle of what is possible, and goes to the average of all clocks.
#[derive(Clone, Copy, Debug)]
pub struct Average;

/// Everybody follows the first process.
#[derive(Clone, Copy, Debug)]
pub struct FollowFirst;

/// Half-way between the clocks that are furthest ahead and furthest behind.
#[derive(Clone, Copy, Debug)]
pub struct Middle;

impl Synchroniser for Average {
    fn adjustment(&self, at: usize, seen: &[f64], delays: Delays) -> f64 {
        let ahead = (0..seen.len()).map(|of| ahead(of, at, seen, delays));
        ahead.sum::<f64>() / seen.len() as f64
    }
}

impl Synchroniser for FollowFirst {
    fn adjustment(&self, at: usize, seen: &[f64], delays: Delays) -> f64 {
        ahead(0, at, seen, delays)
    }
}

impl Synchroniser for Middle {
    fn adjustment(&self, at: usize, seen: &[f64], delays: Delays) -> f64 {
        let ahead = (0..seen.len()).map(|of| ahead(of, at, seen, delays));
        let (least, most) = ahead.fold((0.0, 0.0), |(least, most): (f64, f64), it| {
            (least.min(it), most.max(it))
        });
        f64::midpoint(least, most)
    }
}

/// How far the clock of `of` seems to be ahead of that of `at`.
fn ahead(of: usize, at: usize, seen: &[f64], delays: Delays) -> f64 {
    match of == at {
        true => 0.0,
        false => delays.least + delays.uncertainty / 2.0 - seen[of],
    }
}
