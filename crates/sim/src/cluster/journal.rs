//! What a node did, to be told.

/// What a node did, or what became of it, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Something that is told even in short.
    Line(String),
    /// Something that is told if all is told.
    Detail(String),
    /// A message leaves for the node of that number.
    Sends(u64, String),
    /// This record is on its way to the disk; empty if there is nothing to store.
    Writes(String),
    /// The same is on the disk.
    Stores(String),
    /// The machine is given this.
    Applies(String),
    /// The log is read: which part.
    Fetches(String),
}
