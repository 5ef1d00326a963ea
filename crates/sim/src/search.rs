//! Every schedule of a few nodes.

mod atlas;
mod explore;
mod fingerprint;
mod found;
mod system;
#[cfg(test)]
mod tests;

pub use explore::{PLACES_MAX, search};
pub use found::{Found, STATES_MAX, Violation, verify};
pub use system::{Inputs, State, Step, System};

/// Of the places from 0 to `size`, exclusive: the one that changes nothing first.
pub fn permutations(size: usize) -> Vec<Vec<usize>> {
    let Some(last) = size.checked_sub(1) else {
        return vec![Vec::new()];
    };
    let with_last = |shorter: Vec<usize>| {
        (0..size).rev().map(move |at| {
            let mut longer = shorter.clone();
            longer.insert(at, last);
            longer
        })
    };
    permutations(last).into_iter().flat_map(with_last).collect()
}
