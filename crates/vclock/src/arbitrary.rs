//! Drawn values for fuzzing, each of which keeps the invariants of its type.

use alloc::vec::Vec;

use arbitrary::{Arbitrary, Result, Unstructured};

use crate::itc::Stamp;
use crate::{
    CausalContext, DenseClock, Dot, DvvSet, Envelope, MatrixClock, VectorClock, VersionVector,
};

impl<'a, A: Arbitrary<'a> + Ord> Arbitrary<'a> for VersionVector<A> {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let dots = u.arbitrary_iter::<Dot<A>>()?;
        dots.collect()
    }
}

impl<'a, A: Arbitrary<'a> + Ord> Arbitrary<'a> for VectorClock<A> {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(Self::restore(u.arbitrary()?, u.arbitrary()?))
    }
}

impl<'a, A: Arbitrary<'a> + Ord + Clone> Arbitrary<'a> for CausalContext<A> {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(Self::from_parts(u.arbitrary()?, u.arbitrary()?))
    }
}

impl<'a, const N: usize> Arbitrary<'a> for DenseClock<N> {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let mut counters = [0; N];
        for counter in &mut counters {
            *counter = u.int_in_range(0..=Self::COUNTER_MAX)?;
        }
        Self::from_counters(counters).map_err(|_| arbitrary::Error::IncorrectFormat)
    }
}

impl<'a, A: Arbitrary<'a> + Ord + Clone, V: Arbitrary<'a>> Arbitrary<'a> for DvvSet<A, V> {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let mut set = Self::new();
        for write in u.arbitrary_iter::<(VersionVector<A>, A, V)>()? {
            let (context, server, value) = write?;
            // A counter at its end takes no more.
            let _ = set.update_vouched(&context, server, value);
        }
        Ok(set)
    }
}

impl<'a, A: Arbitrary<'a> + Ord + Clone> Arbitrary<'a> for MatrixClock<A> {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let mut matrix = Self::new(u.arbitrary()?, []);
        for member in u.arbitrary_iter::<(A, VersionVector<A>)>()? {
            let (name, knows) = member?;
            matrix.add(name, &knows);
        }
        Ok(matrix)
    }
}

impl<'a, A: Arbitrary<'a> + Ord, M: Arbitrary<'a>> Arbitrary<'a> for Envelope<A, M> {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(Self {
            sender: u.arbitrary()?,
            clock: u.arbitrary()?,
            payload: u.arbitrary()?,
        })
    }
}

/// By a life of forks, events and joins.
impl<'a> Arbitrary<'a> for Stamp {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let mut stamp = Self::seed();
        let mut others = Vec::new();
        for step in u.arbitrary_iter::<u8>()? {
            let refused = match step? % 4 {
                0 => stamp.fork().map(|other| others.push(other)).is_err(),
                1 => stamp.event().is_err(),
                2 => {
                    others.push(stamp);
                    stamp = others.swap_remove(0);
                    false
                }
                _ => others.pop().is_some_and(|other| stamp.join(other).is_err()),
            };
            if refused {
                break;
            }
        }
        Ok(stamp)
    }
}
