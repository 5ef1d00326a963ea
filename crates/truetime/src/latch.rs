use core::array;

use crate::word::Word;

/// A few words that one thread replaces together and many read together, without `unsafe`: a seqlock
/// with two slots, which readers and the writer use in turn.
///
/// ```text
///  sequence   4         5         6         the slot that readers use is sequence mod 2; the writer
///  slot 0    [ a ]     [ a ]──►[ c ]        fills the other one and then moves the sequence on
///  slot 1    [ . ]──►[ b ]     [ b ]
/// ```
///
/// A reader tries again only if the sequence has moved on meanwhile: so a writer that is stopped
/// half way, however long, stops no reader. There is one writer at a time; another one that comes is
/// turned away and does not wait.
///
/// Invariant: the slot of the current sequence is never written.
#[derive(Debug)]
pub(crate) struct Latch<W, const N: usize> {
    sequence: W,
    slots: [[W; N]; 2],
    /// 1 while somebody has the right to write.
    taken: W,
}

impl<W: Word, const N: usize> Latch<W, N> {
    pub(crate) fn new(word: impl Fn() -> W) -> Self {
        Self {
            sequence: word(),
            slots: array::from_fn(|_| array::from_fn(|_| word())),
            taken: word(),
        }
    }

    /// The words as one writer left them; zeros at first.
    pub(crate) fn read(&self) -> [u64; N] {
        self.read_first()
    }

    /// As many of the first words as are asked for, at most `N`.
    #[inline]
    pub(crate) fn read_first<const M: usize>(&self) -> [u64; M] {
        const { assert!(M <= N, "there are not so many words") }
        loop {
            let sequence = self.sequence.acquire();
            let words = &self.slots[slot(sequence)];
            let words = array::from_fn(|number| words[number].relaxed());
            // If one of the words is of a later writing of this slot, then the sequence that the
            // writer found when it began is visible below: its fence pairs with this one.
            W::fence_acquire();
            if self.sequence.relaxed() == sequence {
                return words;
            }
            W::pause();
        }
    }

    /// The right to write, until it is dropped; `None` if somebody else has it.
    pub(crate) fn writer(&self) -> Option<Writer<'_, W, N>> {
        (self.taken.swap(1) == 0).then_some(Writer { latch: self })
    }
}

/// The right to write.
#[derive(Debug)]
pub(crate) struct Writer<'a, W: Word, const N: usize> {
    latch: &'a Latch<W, N>,
}

impl<W: Word, const N: usize> Writer<'_, W, N> {
    pub(crate) fn write(&self, words: [u64; N]) {
        let latch = self.latch;
        let next = latch.sequence.relaxed().wrapping_add(1);
        // Before the words, for those who still read this slot: see `read`.
        W::fence_release();
        for (word, value) in latch.slots[slot(next)].iter().zip(words) {
            word.set_relaxed(value);
        }
        latch.sequence.set_release(next);
    }
}

impl<W: Word, const N: usize> Drop for Writer<'_, W, N> {
    fn drop(&mut self) {
        self.latch.taken.set_release(0);
    }
}

#[inline]
const fn slot(sequence: u64) -> usize {
    (sequence & 1) as usize
}
