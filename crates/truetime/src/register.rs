use crate::Timestamp;
use crate::word::Word;

/// The greatest timestamp that any thread has added.
#[derive(Debug)]
pub(crate) struct MaxRegister<W> {
    /// A timestamp mapped to unsigned order; 0 is [`Timestamp::MIN`].
    greatest: W,
}

impl<W: Word> MaxRegister<W> {
    /// On a word that is 0.
    pub(crate) const fn new(zero: W) -> Self {
        Self { greatest: zero }
    }

    pub(crate) fn greatest(&self) -> Timestamp {
        from_word(self.greatest.acquire())
    }

    /// Adds a timestamp, and returns the greatest.
    #[inline]
    pub(crate) fn raise(&self, timestamp: Timestamp) -> Timestamp {
        let word = to_word(timestamp);
        // Threads that add nothing new only read, and do not contend for the cache line.
        let greatest = self.greatest.acquire();
        if word <= greatest {
            return from_word(greatest);
        }
        from_word(self.greatest.raise(word).max(word))
    }
}

/// An order-preserving mapping.
const fn to_word(timestamp: Timestamp) -> u64 {
    timestamp.as_nanos().cast_unsigned() ^ SIGN
}

const fn from_word(word: u64) -> Timestamp {
    Timestamp::from_nanos((word ^ SIGN).cast_signed())
}

const SIGN: u64 = 1 << 63;

#[cfg(test)]
mod tests {
    use core::sync::atomic::AtomicU64;

    use super::*;

    #[test]
    fn order_is_that_of_timestamps() {
        let register = MaxRegister::new(AtomicU64::new(0));
        assert_eq!(register.greatest(), Timestamp::MIN);
        for (brought, greatest) in [(-5, -5), (-9, -5), (0, 0), (-1, 0), (7, 7), (7, 7)] {
            let [brought, greatest] = [brought, greatest].map(Timestamp::from_nanos);
            assert_eq!(register.raise(brought), greatest);
        }
        assert_eq!(register.raise(Timestamp::MAX), Timestamp::MAX);
    }
}
