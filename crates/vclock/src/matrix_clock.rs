use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::borrow::Borrow;
use core::fmt;

use crate::codec::{DecodeError, Reader, Wire};
use crate::{Dot, VersionVector};

/// The events that each member of a group is known to have: one vector per member.
///
/// An event is causally stable once every row covers it: every member has it, no later event can be
/// concurrent with it, and data kept for members that might not have it (tombstones, messages for
/// retransmission, old versions) may be dropped.
///
/// ```
/// use synod_vclock::{Dot, MatrixClock, VersionVector};
///
/// let mut matrix = MatrixClock::new("a", ["a", "b", "c"]);
/// let event = Dot::new("a", 1).unwrap();
/// let knows = VersionVector::from_iter([event]);
/// matrix.observe(&"a", &knows)?; // an own event
/// matrix.observe(&"b", &knows)?; // a message of b carries it
/// assert!(!matrix.is_stable(&event)); // c may not have it
/// matrix.observe(&"c", &knows)?;
/// assert!(matrix.is_stable(&event));
/// # Ok::<(), synod_vclock::Stranger>(())
/// ```
///
/// Invariants: there is a row for each member, the own one included, and the own row covers all
/// others, because knowing that a member has an event implies having it.
///
/// Stable events stay stable, except when [`add`](Self::add) admits a member that starts without
/// some of them.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct MatrixClock<A> {
    me: A,
    rows: BTreeMap<A, VersionVector<A>>,
}

impl<A: Ord + Clone> MatrixClock<A> {
    /// The initial matrix of `me` in a group with these members. `me` is a member whether or not it
    /// is listed.
    ///
    /// ```
    /// use synod_vclock::MatrixClock;
    ///
    /// assert!(MatrixClock::new("a", ["b", "c"]).stable().is_empty());
    /// ```
    #[must_use]
    pub fn new(me: A, members: impl IntoIterator<Item = A>) -> Self {
        let mut rows = members
            .into_iter()
            .map(|member| (member, VersionVector::new()))
            .collect::<BTreeMap<_, _>>();
        rows.insert(me.clone(), VersionVector::new());
        Self { me, rows }
    }

    /// Whose matrix it is.
    ///
    /// ```
    /// use synod_vclock::MatrixClock;
    ///
    /// assert_eq!(MatrixClock::new("a", ["b"]).me(), &"a");
    /// ```
    #[must_use]
    pub const fn me(&self) -> &A {
        &self.me
    }

    /// The members, ascending.
    ///
    /// ```
    /// use synod_vclock::MatrixClock;
    ///
    /// assert!(MatrixClock::new("b", ["a", "c"]).members().eq(&["a", "b", "c"]));
    /// ```
    pub fn members(&self) -> impl ExactSizeIterator<Item = &A> {
        self.rows.keys()
    }

    /// The events that the member is known to have; `None` for a non-member.
    ///
    /// ```
    /// use synod_vclock::{MatrixClock, VersionVector};
    ///
    /// let matrix = MatrixClock::new("a", ["b"]);
    /// assert_eq!(matrix.row(&"b"), Some(&VersionVector::new()));
    /// assert_eq!(matrix.row(&"z"), None);
    /// ```
    #[must_use]
    pub fn row<Q: Ord + ?Sized>(&self, member: &Q) -> Option<&VersionVector<A>>
    where
        A: Borrow<Q>,
    {
        self.rows.get(member)
    }

    /// Records that `member` has the events of `vector`: from the vector of its message, or, for
    /// the own row, after an own event or delivery.
    ///
    /// # Errors
    /// [`Stranger`] if it is not a member; nothing is changed.
    ///
    /// ```
    /// use synod_vclock::{MatrixClock, VersionVector};
    ///
    /// let mut matrix = MatrixClock::new("a", ["b"]);
    /// let vector = VersionVector::from_iter([("b", 2)]);
    /// matrix.observe(&"b", &vector)?;
    /// assert_eq!(matrix.row(&"a"), Some(&vector)); // what b tells, a knows as well
    /// # Ok::<(), synod_vclock::Stranger>(())
    /// ```
    pub fn observe(&mut self, member: &A, vector: &VersionVector<A>) -> Result<(), Stranger> {
        let row = self.rows.get_mut(member).ok_or(Stranger)?;
        row.join(vector);
        if *member != self.me {
            self.own_row_mut().join(vector);
        }
        Ok(())
    }

    /// Merges another member's matrix, which includes information about third members. Rows of
    /// non-members are ignored, so that members may join and leave at different times.
    ///
    /// # Errors
    /// [`Stranger`] if the other is not a member; nothing is changed.
    ///
    /// ```
    /// use synod_vclock::{Dot, MatrixClock, VersionVector};
    ///
    /// let members = ["a", "b", "c"];
    /// let [mut a, mut b] = ["a", "b"].map(|me| MatrixClock::new(me, members));
    /// let event = Dot::new("c", 1).unwrap();
    /// b.observe(&"c", &VersionVector::from_iter([event]))?;
    /// a.merge(&b)?; // a has not heard of c, and knows all the same that c has its own event
    /// assert!(a.is_stable(&event));
    /// # Ok::<(), synod_vclock::Stranger>(())
    /// ```
    pub fn merge(&mut self, other: &Self) -> Result<(), Stranger> {
        if !self.rows.contains_key(&other.me) {
            return Err(Stranger);
        }
        for (member, row) in &other.rows {
            if let Some(own) = self.rows.get_mut(member) {
                own.join(row);
            }
        }
        // The other's own row covers its other rows.
        if let Some(row) = other.rows.get(&other.me) {
            self.own_row_mut().join(row);
        }
        Ok(())
    }

    /// The stable events: the greatest lower bound of the rows.
    ///
    /// ```
    /// use synod_vclock::{MatrixClock, VersionVector};
    ///
    /// let mut matrix = MatrixClock::new("a", ["b"]);
    /// matrix.observe(&"b", &VersionVector::from_iter([("a", 3), ("b", 9)]))?;
    /// assert_eq!(matrix.stable(), VersionVector::from_iter([("a", 3), ("b", 9)]));
    /// # Ok::<(), synod_vclock::Stranger>(())
    /// ```
    #[must_use]
    pub fn stable(&self) -> VersionVector<A> {
        let mut rows = self.rows.values();
        let mut stable = rows.next().cloned().unwrap_or_default();
        rows.for_each(|row| stable.meet(row));
        stable
    }

    /// Whether every member is known to have the event: it is safe to forget.
    ///
    /// ```
    /// use synod_vclock::{Dot, MatrixClock, VersionVector};
    ///
    /// let mut matrix = MatrixClock::new("a", ["b"]);
    /// let event = Dot::new("b", 1).unwrap();
    /// assert!(!matrix.is_stable(&event));
    /// matrix.observe(&"b", &VersionVector::from_iter([event]))?;
    /// assert!(matrix.is_stable(&event)); // its maker has it, and so has a
    /// # Ok::<(), synod_vclock::Stranger>(())
    /// ```
    #[must_use]
    pub fn is_stable(&self, dot: &Dot<A>) -> bool {
        self.rows.values().all(|row| row.contains(dot))
    }

    /// Adds a member that starts from the state that `knows` describes, received from the member
    /// that admits it. For an existing member it is an [`observe`](Self::observe).
    ///
    /// ```
    /// use synod_vclock::{MatrixClock, VersionVector};
    ///
    /// let mut matrix = MatrixClock::new("a", []);
    /// let state = VersionVector::from_iter([("a", 3)]);
    /// matrix.observe(&"a", &state)?;
    /// matrix.add("b", &state);
    /// assert_eq!(matrix.stable(), state);
    /// # Ok::<(), synod_vclock::Stranger>(())
    /// ```
    pub fn add(&mut self, member: A, knows: &VersionVector<A>) {
        self.rows.entry(member).or_default().join(knows);
        self.own_row_mut().join(knows);
    }

    /// Stops waiting for a member that has left for good. Returns whether it was one. Its events
    /// stay in the vectors of the others. The own row stays.
    ///
    /// ```
    /// use synod_vclock::{Dot, MatrixClock, VersionVector};
    ///
    /// let mut matrix = MatrixClock::new("a", ["gone"]);
    /// let event = Dot::new("a", 1).unwrap();
    /// matrix.observe(&"a", &VersionVector::from_iter([event]))?;
    /// assert!(!matrix.is_stable(&event));
    /// assert!(matrix.remove(&"gone") && matrix.is_stable(&event));
    /// # Ok::<(), synod_vclock::Stranger>(())
    /// ```
    pub fn remove(&mut self, member: &A) -> bool {
        *member != self.me && self.rows.remove(member).is_some()
    }

    fn own_row_mut(&mut self) -> &mut VersionVector<A> {
        self.rows.entry(self.me.clone()).or_default()
    }
}

impl<A: fmt::Debug> fmt::Debug for MatrixClock<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MatrixClock")
            .field("me", &self.me)
            .field("rows", &self.rows)
            .finish()
    }
}

/// The owner, and a row a member.
impl<A> From<MatrixClock<A>> for (A, Vec<(A, VersionVector<A>)>) {
    fn from(matrix: MatrixClock<A>) -> Self {
        (matrix.me, matrix.rows.into_iter().collect())
    }
}

/// Rows in ascending order, the owner's among them and covering the others.
impl<A: Ord + Clone> TryFrom<(A, Vec<(A, VersionVector<A>)>)> for MatrixClock<A> {
    type Error = DecodeError;

    fn try_from((me, pairs): (A, Vec<(A, VersionVector<A>)>)) -> Result<Self, DecodeError> {
        if pairs.windows(2).any(|pair| pair[0].0 >= pair[1].0) {
            return Err(DecodeError::NotAscending);
        }
        let rows = pairs.into_iter().collect::<BTreeMap<_, _>>();
        let covers = rows
            .get(&me)
            .is_some_and(|own| rows.values().all(|row| own.descends(row)));
        if !covers {
            return Err(DecodeError::Inconsistent);
        }
        Ok(Self { me, rows })
    }
}

/// The owner, the number of members, and of each its name and row, ascending.
impl<A: Wire + Ord + Clone> Wire for MatrixClock<A> {
    fn encode(&self, out: &mut Vec<u8>) {
        self.me.encode(out);
        self.rows.len().encode(out);
        for (member, row) in &self.rows {
            member.encode(out);
            row.encode(out);
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let me = A::decode(reader)?;
        let count = reader.count()?;
        let mut rows = Vec::with_capacity(count);
        for _ in 0..count {
            rows.push((A::decode(reader)?, VersionVector::decode(reader)?));
        }
        Self::try_from((me, rows))
    }
}

/// The process is not a member of the group.
///
/// ```
/// use synod_vclock::{MatrixClock, Stranger, VersionVector};
///
/// let mut matrix = MatrixClock::new("a", ["b"]);
/// assert_eq!(matrix.observe(&"z", &VersionVector::new()), Err(Stranger));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("not a member of the group")]
pub struct Stranger;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;

    #[test]
    fn bytes_are_held_to_the_invariants() {
        let mut matrix = MatrixClock::new(1_u8, [2, 3]);
        let knows = VersionVector::from_iter([(2, 4)]);
        matrix.observe(&2, &knows).unwrap();
        let read = |bytes: &[u8]| MatrixClock::<u8>::from_bytes(bytes, Limits::default());
        assert_eq!(read(&matrix.to_bytes()), Ok(matrix.clone()));
        // An owner without a row, and an owner that knows less than it knows of another.
        assert_eq!(read(&[9, 1, 2, 0]), Err(DecodeError::Inconsistent));
        assert_eq!(
            read(&[1, 2, 1, 0, 2, 1, 2, 4]),
            Err(DecodeError::Inconsistent)
        );
        assert_eq!(read(&[1, 2, 2, 0, 1, 0]), Err(DecodeError::NotAscending));
    }

    #[test]
    fn the_owner_cannot_be_removed() {
        let mut matrix = MatrixClock::new("a", ["b"]);
        assert!(!matrix.remove(&"a"));
        assert!(!matrix.remove(&"z"));
        assert!(matrix.members().eq(&["a", "b"]));
    }
}
