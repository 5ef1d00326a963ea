/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Listens to a leader, or waits for one.
    Follower,
    /// Asks whether others miss a leader too; its promise has not moved.
    Asking,
    /// Asks for promises in a ballot of its own.
    Candidate,
    /// Leads: the distinguished proposer.
    Leader,
}
