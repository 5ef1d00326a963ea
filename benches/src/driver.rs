//! What a consensus core needs to be measured: a driver of three replicas of it.

use std::fmt::Debug;

/// Three replicas of one core in one thread, and what carries messages between them.
///
/// Whoever implements it for a core of their own can set that core beside ours and beside the peers. What it takes is
/// in `benches/README.md`; the shortest example, a primary with two backups, is `benches/contenders/backups.rs`.
///
/// The rules are the same for everybody:
///
/// - messages are values: nothing is encoded, lost or reordered, and nobody's clock moves;
/// - each replica keeps every entry in a log of its own, in memory, before it says that it has it;
/// - each replica has a [`Machine`], which is given every entry in the order of the log;
/// - whatever else the core does to go on for ever, it does: nothing grows without a bound but the logs;
/// - all of it happens in the calling thread, since that thread's clock is what is read.
pub trait Driver: Debug {
    /// Proposes all of these entries at the leader, with none before them under way, and goes on until all three
    /// machines have them and no replica has anything left to do.
    ///
    /// How is up to the core: one call with all of them, or one after the other.
    fn replicate(&mut self, bodies: Bodies<'_>);

    /// Entries that each machine was given.
    fn given(&self) -> [u64; 3];

    /// Entries that each log holds, with those that are no one's command, such as a new leader's first.
    fn stored(&self) -> [u64; 3];
}

/// The entries of one batch, made as they are taken: each is an allocation of its own, as it would be if it came from a
/// client.
#[derive(Debug)]
pub struct Bodies<'a> {
    template: &'a mut [u8],
    next: u64,
    end: u64,
}

impl Iterator for Bodies<'_> {
    type Item = Vec<u8>;

    #[inline]
    fn next(&mut self) -> Option<Vec<u8>> {
        if self.next == self.end {
            return None;
        }
        self.template[..NUMBER_BYTES].copy_from_slice(&self.next.to_le_bytes());
        self.next += 1;
        Some(self.template.to_vec())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = (self.end - self.next) as usize;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Bodies<'_> {}

/// Where entries come from: they are alike but for their number, which comes first.
#[derive(Clone, Debug)]
pub struct Source {
    template: Vec<u8>,
    made: u64,
}

impl Source {
    /// Of entries of this size.
    ///
    /// # Panics
    /// When a number does not fit in.
    #[must_use]
    pub fn of(bytes: usize) -> Self {
        assert!(
            bytes >= NUMBER_BYTES,
            "an entry has {NUMBER_BYTES} bytes at least"
        );
        Self {
            template: vec![7; bytes],
            made: 0,
        }
    }

    /// The next `count` of them.
    pub fn batch(&mut self, count: u64) -> Bodies<'_> {
        let next = self.made;
        self.made += count;
        Bodies {
            template: &mut self.template,
            next,
            end: self.made,
        }
    }

    /// How many were asked for so far.
    #[must_use]
    pub fn made(&self) -> u64 {
        self.made
    }
}

/// A state machine that looks at the number of each entry and at nothing else.
#[derive(Clone, Copy, Debug, Default)]
pub struct Machine {
    given: u64,
}

impl Machine {
    /// Takes the next entry.
    ///
    /// # Panics
    /// When it is not the next one: a core, or its driver, has lost, repeated or reordered entries.
    #[inline]
    pub fn apply(&mut self, body: &[u8]) {
        let number = body.first_chunk().copied().map(u64::from_le_bytes);
        assert_eq!(number, Some(self.given), "entries in order, each once");
        self.given += 1;
    }

    /// How many it took.
    #[must_use]
    pub fn given(self) -> u64 {
        self.given
    }
}

/// Messages between three replicas that wait to be handled, in the order in which they were sent.
#[derive(Debug)]
pub struct Inboxes<M> {
    waiting: [Vec<(usize, M)>; 3],
}

impl<M> Default for Inboxes<M> {
    fn default() -> Self {
        Self {
            waiting: [const { Vec::new() }; 3],
        }
    }
}

impl<M> Inboxes<M> {
    /// Delivers to replica `to`, one of 0, 1 and 2; what is for anybody else is lost.
    #[inline]
    pub fn send(&mut self, from: usize, to: usize, message: M) {
        if let Some(inbox) = self.waiting.get_mut(to) {
            inbox.push((from, message));
        }
    }

    /// Takes all that waits for this replica, with who sent it.
    #[inline]
    pub fn take(&mut self, replica: usize) -> std::vec::Drain<'_, (usize, M)> {
        self.waiting[replica].drain(..)
    }

    /// Whether nothing waits for anybody.
    #[must_use]
    #[inline]
    pub fn are_empty(&self) -> bool {
        self.waiting.iter().all(Vec::is_empty)
    }
}

/// Of the number that an entry begins with.
pub const NUMBER_BYTES: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_numbered_through_all_batches() {
        let mut source = Source::of(16);
        let mut machine = Machine::default();
        for count in [1, 3, 2] {
            let bodies = source.batch(count);
            assert_eq!(bodies.len() as u64, count);
            bodies.for_each(|body| machine.apply(&body));
        }
        assert_eq!((machine.given(), source.made()), (6, 6));
    }

    #[test]
    #[should_panic(expected = "entries in order")]
    fn a_machine_notices_what_was_lost() {
        let mut machine = Machine::default();
        Source::of(8)
            .batch(3)
            .skip(1)
            .for_each(|body| machine.apply(&body));
    }
}
