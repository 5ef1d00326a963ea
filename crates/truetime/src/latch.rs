use core::array;

use crate::word::Word;

/// A few words that one thread writes atomically and many read atomically, without `unsafe`: a
/// seqlock with two alternating slots.
///
/// ```text
///  sequence   4         5         6         the slot that readers use is sequence mod 2; the writer
///  slot 0    [ a ]     [ a ]──►[ c ]        fills the other one and then moves the sequence on
///  slot 1    [ . ]──►[ b ]     [ b ]
/// ```
///
/// A reader retries only if the sequence has advanced meanwhile, so a writer that is preempted in
/// the middle of a write never blocks readers. There is one writer at a time; a second one is
/// rejected and does not wait.
///
/// Invariant: the slot of the current sequence is never written.
#[derive(Debug)]
pub(crate) struct Latch<W, const N: usize> {
    sequence: W,
    slots: [[W; N]; 2],
    /// 1 while a thread holds the write right.
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

    /// A consistent copy of the words; zeros initially.
    pub(crate) fn read(&self) -> [u64; N] {
        self.read_first()
    }

    /// A consistent copy of the first `M` words.
    #[inline]
    pub(crate) fn read_first<const M: usize>(&self) -> [u64; M] {
        const { assert!(M <= N, "there are not so many words") }
        loop {
            let sequence = self.sequence.acquire();
            let words = &self.slots[slot(sequence)];
            let words = array::from_fn(|number| words[number].relaxed());
            // If one of the words is from a later write to this slot, the sequence that its writer
            // read at the start is visible below: the two fences pair.
            W::fence_acquire();
            if self.sequence.relaxed() == sequence {
                return words;
            }
            W::pause();
        }
    }

    /// The write right, until it is dropped; `None` if another thread holds it.
    pub(crate) fn writer(&self) -> Option<Writer<'_, W, N>> {
        (self.taken.swap(1) == 0).then_some(Writer { latch: self })
    }
}

/// The write right.
#[derive(Debug)]
pub(crate) struct Writer<'a, W: Word, const N: usize> {
    latch: &'a Latch<W, N>,
}

impl<W: Word, const N: usize> Writer<'_, W, N> {
    pub(crate) fn write(&self, words: [u64; N]) {
        let latch = self.latch;
        let next = latch.sequence.relaxed().wrapping_add(1);
        // Before the words are written, for readers still in this slot: see `read`.
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
