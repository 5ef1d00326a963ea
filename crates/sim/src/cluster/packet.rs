//! A message on its way.

/// A message on its way from one node to another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Packet<I, M> {
    /// Who sent it.
    pub from: I,
    /// For whom it is.
    pub to: I,
    /// What it says.
    pub message: M,
}
