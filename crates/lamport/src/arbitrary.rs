//! Generated times and stamps for fuzzing: every word is valid.

use arbitrary::{Arbitrary, Result, Unstructured};

#[cfg(target_has_atomic = "64")]
use crate::hlc::{Timestamp, WideTimestamp};
use crate::{LamportTime, Stamp};

impl<'a> Arbitrary<'a> for LamportTime {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        u.arbitrary().map(Self::new)
    }

    fn size_hint(_: usize) -> (usize, Option<usize>) {
        (8, Some(8))
    }
}

impl<'a, N: Arbitrary<'a>, T: Arbitrary<'a>> Arbitrary<'a> for Stamp<N, T> {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(Self::new(u.arbitrary()?, u.arbitrary()?))
    }
}

#[cfg(target_has_atomic = "64")]
impl<'a, L> Arbitrary<'a> for Timestamp<L> {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        u.arbitrary().map(Self::from_u64)
    }

    fn size_hint(_: usize) -> (usize, Option<usize>) {
        (8, Some(8))
    }
}

#[cfg(target_has_atomic = "64")]
impl<'a> Arbitrary<'a> for WideTimestamp {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        u.arbitrary().map(Self::from_u128)
    }

    fn size_hint(_: usize) -> (usize, Option<usize>) {
        (16, Some(16))
    }
}
