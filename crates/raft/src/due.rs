/// What a node may have to do, a bit each, in the order in which it matters to others. Whatever may
/// cause the work sets the bit, and who leaves none, or finds none, clears it: so it may be set in vain,
/// and is never missing. A poll with nothing to do looks at one word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Due(u16);

/// One kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// A round of heartbeats, for reads that wait.
    Round,
    /// A message in the lane that does not wait.
    Send,
    /// Entries that a peer lacks.
    Append,
    /// A record, or a message that waits for one.
    Write,
    /// What the machine is to be given, or what must be read from the log for that.
    Machine,
    /// Entries for a peer that must be read from the log.
    Fetch,
    /// A snapshot to pull.
    Pull,
    /// A read that has ended with its leader.
    Answer,
    /// A read that is confirmed.
    Read,
    /// A peer that does not know the commit index. Behind all that may tell it.
    Notice,
    /// The last word.
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

    /// The first one, without regard to `held`.
    pub(crate) fn first_but(self, held: Option<Task>) -> Option<Task> {
        let bits = held.map_or(self.0, |task| self.0 & !(1 << task as u16));
        Task::ALL.get(bits.trailing_zeros() as usize).copied()
    }
}
