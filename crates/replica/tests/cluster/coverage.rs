//! What a campaign must have seen: below that it has shown nothing.

/// How often a thousand runs together see what the tests are about, at the least: about a third of
/// what they usually do. The world's own counts are named by
/// [`Coverage::of`](synod_sim::Coverage::of).
pub(crate) const MINIMUMS: &[(&str, u64)] = &[];
