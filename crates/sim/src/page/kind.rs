//! Kinds of events.

/// The kind of an event: on the page each has a shape, and can be hidden.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// A node begins.
    Start,
    /// A node ends.
    Crash,
    /// A message is received.
    Message,
    /// A timer fires.
    Timer,
    /// A write is durable.
    Sync,
    /// An input from a client or the test.
    Input,
    /// A fault begins or ends.
    Fault,
    /// A node changes its role.
    Election,
    /// A node's commit index advances.
    Commit,
    /// Anything else.
    Note,
}

impl Kind {
    /// In the order of their numbers on the page.
    pub(super) const ALL: [Self; 10] = [
        Self::Start,
        Self::Crash,
        Self::Message,
        Self::Timer,
        Self::Sync,
        Self::Input,
        Self::Fault,
        Self::Election,
        Self::Commit,
        Self::Note,
    ];

    /// Its name on the page.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Crash => "crash",
            Self::Message => "message",
            Self::Timer => "timer",
            Self::Sync => "disk sync",
            Self::Input => "request",
            Self::Fault => "fault",
            Self::Election => "election",
            Self::Commit => "commit",
            Self::Note => "note",
        }
    }
}
