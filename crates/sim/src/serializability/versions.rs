//! In which order versions came, as far as the reads show, and the dependencies that follow.

mod lists;
mod registers;

use crate::serializability::compiled::Compiled;
use crate::serializability::graph::Edges;
use crate::serializability::reads::Reads;

pub(super) use registers::Unordered;

/// Adds the edges that hold in every order that explains the history. The registers that are
/// returned have versions whose order does not follow.
pub(super) fn add(compiled: &Compiled, reads: &Reads, edges: &mut Edges) -> Vec<Unordered> {
    lists::add(compiled, reads, edges);
    registers::add(compiled, reads, edges)
}
