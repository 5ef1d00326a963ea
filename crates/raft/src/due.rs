/// The pending tasks of a node, one bit each, in the order in which they matter to other nodes.
/// Whatever may cause work sets the bit, and whoever finishes the work, or finds none, clears it. A
/// bit may be set without work, but is never missing. A poll with nothing to do looks at one word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Due(u16);

/// One kind of task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Begin a round of heartbeats for waiting reads.
    Round,
    /// Send a message that waits for nothing.
    Send,
    /// Send entries that a peer lacks.
    Append,
    /// Make a write, for a record or for a message that waits for one.
    Write,
    /// Deliver to the state machine, or fetch for it from the log.
    Machine,
    /// Fetch entries for a peer from the log.
    Fetch,
    /// Pull a snapshot.
    Pull,
    /// Output a read that ended with its leader.
    Answer,
    /// Output a confirmed read.
    Read,
    /// Notify a peer of the commit index. Comes after everything that may carry it.
    Notice,
    /// Output the reason for stopping.
    Stop,
}

impl Task {
    pub(crate) const ALL: [Self; 11] = [
        Self::Round,
        Self::Send,
        Self::Append,
        Self::Write,
        Self::Machine,
        Self::Fetch,
        Self::Pull,
        Self::Answer,
        Self::Read,
        Self::Notice,
        Self::Stop,
    ];
}

impl Due {
    pub(crate) fn set(&mut self, task: Task) {
        self.0 |= 1 << task as u16;
    }

    pub(crate) fn clear(&mut self, task: Task) {
        self.0 &= !(1 << task as u16);
    }

    /// The first task, ignoring `held`.
    pub(crate) fn first_but(self, held: Option<Task>) -> Option<Task> {
        let bits = held.map_or(self.0, |task| self.0 & !(1 << task as u16));
        Task::ALL.get(bits.trailing_zeros() as usize).copied()
    }
}
