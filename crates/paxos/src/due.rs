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
    /// Values that a peer lacks.
    Accept,
    /// A record, or a message that waits for one.
    Write,
    /// What the machine is to be given, or what must be read from the log for that.
    Machine,
    /// Values for another node that must be read from the log.
    Fetch,
    /// A snapshot to pull.
    Pull,
    /// A read that has ended with its leader.
    Answer,
    /// A read that is confirmed.
    Read,
    /// A peer that does not know how far all is chosen. Behind all that may tell it.
    Notice,
}

impl Task {
    pub(crate) const ALL: [Self; 10] = [
        Self::Round,
        Self::Send,
        Self::Accept,
        Self::Write,
        Self::Machine,
        Self::Fetch,
        Self::Pull,
        Self::Answer,
        Self::Read,
        Self::Notice,
    ];
}

impl Due {
    #[inline]
    pub(crate) fn set(&mut self, task: Task) {
        self.0 |= 1 << task as u16;
    }

    pub(crate) fn set_all(&mut self, tasks: &[Task]) {
        tasks.iter().for_each(|task| self.set(*task));
    }

    #[inline]
    pub(crate) fn clear(&mut self, task: Task) {
        self.0 &= !(1 << task as u16);
    }

    #[inline]
    pub(crate) fn first_but(self, held: Option<Task>) -> Option<Task> {
        let bits = held.map_or(self.0, |task| self.0 & !(1 << task as u16));
        Task::ALL.get(bits.trailing_zeros() as usize).copied()
    }
}
