use core::cmp::Ordering;
use core::fmt;

use crate::VersionVector;

/// The causal order of two points of a history.
///
/// It is equivalent to `Option<Ordering>`, but with an explicit variant for
/// [`Concurrent`](Self::Concurrent), so that this case cannot be overlooked or mistaken for
/// "equal".
///
/// ```
/// use synod_vclock::{CausalOrder, VersionVector};
///
/// let a = VersionVector::from_iter([("a", 1)]);
/// let b = VersionVector::from_iter([("b", 1)]);
/// assert_eq!(a.causal_cmp(&b), CausalOrder::Concurrent);
/// assert_eq!(a.partial_cmp(&b), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum CausalOrder {
    /// Both include exactly the same events.
    Equal,
    /// The first includes fewer events: it happened before the second.
    Before,
    /// The first includes more events: it happened after the second.
    After,
    /// Each includes an event that the other does not.
    Concurrent,
}

impl CausalOrder {
    /// From the two questions that decide: is the first behind anywhere, is it ahead anywhere?
    ///
    /// ```
    /// use synod_vclock::CausalOrder;
    ///
    /// assert_eq!(CausalOrder::of(false, false), CausalOrder::Equal);
    /// assert_eq!(CausalOrder::of(true, false), CausalOrder::Before);
    /// assert_eq!(CausalOrder::of(true, true), CausalOrder::Concurrent);
    /// ```
    #[must_use]
    pub const fn of(behind: bool, ahead: bool) -> Self {
        match (behind, ahead) {
            (false, false) => Self::Equal,
            (true, false) => Self::Before,
            (false, true) => Self::After,
            (true, true) => Self::Concurrent,
        }
    }

    /// The order of the second to the first.
    ///
    /// ```
    /// use synod_vclock::CausalOrder;
    ///
    /// assert_eq!(CausalOrder::Before.reverse(), CausalOrder::After);
    /// assert_eq!(CausalOrder::Concurrent.reverse(), CausalOrder::Concurrent);
    /// ```
    #[must_use]
    pub const fn reverse(self) -> Self {
        match self {
            Self::Before => Self::After,
            Self::After => Self::Before,
            Self::Equal | Self::Concurrent => self,
        }
    }

    /// The product order: how two pairs stand if their first halves stand like `self` and their
    /// second halves like `other`.
    ///
    /// ```
    /// use synod_vclock::CausalOrder::{After, Before, Concurrent, Equal};
    ///
    /// assert_eq!(Before.and(Equal), Before);
    /// assert_eq!(Before.and(After), Concurrent);
    /// ```
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Equal, order) | (order, Self::Equal) => order,
            (Self::Before, Self::Before) => Self::Before,
            (Self::After, Self::After) => Self::After,
            _ => Self::Concurrent,
        }
    }

    /// Whether the first includes every event of the second: it is equal or after.
    ///
    /// ```
    /// use synod_vclock::CausalOrder;
    ///
    /// assert!(CausalOrder::After.descends() && CausalOrder::Equal.descends());
    /// assert!(!CausalOrder::Concurrent.descends());
    /// ```
    #[must_use]
    pub const fn descends(self) -> bool {
        matches!(self, Self::Equal | Self::After)
    }
}

impl From<CausalOrder> for Option<Ordering> {
    fn from(order: CausalOrder) -> Self {
        match order {
            CausalOrder::Equal => Some(Ordering::Equal),
            CausalOrder::Before => Some(Ordering::Less),
            CausalOrder::After => Some(Ordering::Greater),
            CausalOrder::Concurrent => None,
        }
    }
}

impl From<Ordering> for CausalOrder {
    fn from(order: Ordering) -> Self {
        match order {
            Ordering::Equal => Self::Equal,
            Ordering::Less => Self::Before,
            Ordering::Greater => Self::After,
        }
    }
}

impl fmt::Display for CausalOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Equal => "equal",
            Self::Before => "before",
            Self::After => "after",
            Self::Concurrent => "concurrent",
        })
    }
}

/// Sorts events so that causes precede their effects: a total order that extends the causal one.
/// Concurrent events keep their relative order where possible.
///
/// Sorting by `partial_cmp(..).unwrap_or(Equal)` does not do this: "concurrent" is not "equal", since
/// `a` may be concurrent with `b` and `b` with `c` while `a` is before `c`, and such a comparison
/// makes a sort return any order, or panic.
///
/// ```
/// use synod_vclock::{VersionVector, causal_sort};
///
/// let event = |name, entries: &[(&'static str, u64)]| {
///     (name, VersionVector::from_iter(entries.iter().copied()))
/// };
/// let mut log = [
///     event("answer", &[("a", 1), ("b", 1)]),
///     event("elsewhere", &[("c", 1)]),
///     event("question", &[("a", 1)]),
/// ];
/// causal_sort(&mut log, |event| &event.1);
/// assert_eq!(log.map(|event| event.0), ["elsewhere", "question", "answer"]);
/// ```
pub fn causal_sort<T, A: Ord>(events: &mut [T], clock: impl Fn(&T) -> &VersionVector<A>) {
    // A later event has a greater sum. The sort is stable.
    events.sort_by_cached_key(|event| clock(event).event_count());
}

#[cfg(test)]
mod tests {
    use super::CausalOrder::{self, After, Before, Concurrent, Equal};
    use core::cmp::Ordering;

    const ALL: [CausalOrder; 4] = [Equal, Before, After, Concurrent];

    #[test]
    fn the_product_is_a_semilattice() {
        for a in ALL {
            assert_eq!(a.and(a), a);
            assert_eq!(a.reverse().reverse(), a);
            for b in ALL {
                assert_eq!(a.and(b), b.and(a));
                assert_eq!(a.and(b).reverse(), a.reverse().and(b.reverse()));
                for c in ALL {
                    assert_eq!(a.and(b).and(c), a.and(b.and(c)));
                }
            }
        }
    }

    #[test]
    fn an_ordering_comes_back() {
        for order in ALL {
            match Option::<Ordering>::from(order) {
                Some(ordering) => assert_eq!(CausalOrder::from(ordering), order),
                None => assert_eq!(order, Concurrent),
            }
        }
    }
}
