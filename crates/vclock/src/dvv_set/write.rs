//! Writes to a set, validation of clients' contexts, and retiring of writers' names.

use alloc::vec::Vec;

use super::{Column, DvvSet};
use crate::{Dot, Overflow, VersionVector};

impl<A: Ord + Clone, V> DvvSet<A, V> {
    /// A client that has read `context` writes `value` through `server`: the value gets a new dot,
    /// and exactly the siblings that the client has read are replaced. Returns the dot.
    ///
    /// The client's context is validated: it cannot include an event that this copy does not know.
    /// If the client read another copy that is ahead of this one, [`sync`](Self::sync) with that
    /// copy first, or vouch for the context with [`update_vouched`](Self::update_vouched).
    ///
    /// # Errors
    /// [`ContextError`]; nothing is changed.
    ///
    /// ```
    /// use synod_vclock::{ContextError, Dot, DvvSet, VersionVector};
    ///
    /// let mut set = DvvSet::new();
    /// set.update(&VersionVector::new(), "a", "old")?;
    /// let dot = set.update(&set.context(), "b", "new")?;
    /// assert_eq!(dot, Dot::new("b", 1).unwrap());
    /// assert!(set.values().eq(&["new"]));
    ///
    /// let forged = VersionVector::from_iter([("b", u64::MAX)]);
    /// let refused = set.update(&forged, "a", "mine");
    /// assert_eq!(refused, Err(ContextError::Unseen { claimed: u64::MAX, known: 1 }));
    /// # Ok::<(), ContextError>(())
    /// ```
    pub fn update(
        &mut self,
        context: &VersionVector<A>,
        server: A,
        value: V,
    ) -> Result<Dot<A>, ContextError> {
        self.check(context)?;
        Ok(self.update_vouched(context, server, value)?)
    }

    /// As [`update`](Self::update), with a context that the caller vouches for: it comes from a copy
    /// of this object and was not changed on its way (it was signed, say, or never left the servers).
    ///
    /// The context is trusted without validation. Siblings that it covers are removed here and, by
    /// [`sync`](Self::sync), everywhere; and if it claims that an actor's counter is at its
    /// maximum, that actor can never write this object again.
    ///
    /// # Errors
    /// [`Overflow`] if the server's counter is at its maximum, here or in `context`; nothing is
    /// changed.
    ///
    /// ```
    /// use synod_vclock::{DvvSet, VersionVector};
    ///
    /// let mut ahead = DvvSet::new();
    /// let mut behind = DvvSet::new();
    /// ahead.update(&VersionVector::new(), "a", "old")?;
    /// // Read there, written here: the old value does not reappear by synchronising.
    /// behind.update_vouched(&ahead.context(), "b", "new")?;
    /// behind.sync(&ahead);
    /// assert!(behind.values().eq(&["new"]));
    /// # Ok::<(), synod_vclock::ContextError>(())
    /// ```
    pub fn update_vouched(
        &mut self,
        context: &VersionVector<A>,
        server: A,
        value: V,
    ) -> Result<Dot<A>, Overflow> {
        let place = self.search(&server);
        let counter = place.map_or(0, |at| self.columns[at].counter);
        let counter = counter.max(context.get(&server));
        let counter = counter.checked_add(1).ok_or(Overflow)?;
        self.discard_vouched(context);
        let column = self.column_mut(&server);
        column.counter = counter;
        column.values.push(value);
        Dot::new(server, counter).ok_or(Overflow)
    }

    /// Deletes the siblings that `context` covers, so that they stay deleted wherever this is
    /// synchronised. The context is validated like that of a write.
    ///
    /// # Errors
    /// [`ContextError::Unseen`]; nothing is changed.
    ///
    /// ```
    /// use synod_vclock::{ContextError, DvvSet, VersionVector};
    ///
    /// let mut set = DvvSet::new();
    /// set.update(&VersionVector::new(), "a", 1)?;
    /// let read = set.context();
    /// set.update(&VersionVector::new(), "a", 2)?;
    /// set.discard(&read)?;
    /// assert!(set.values().eq(&[2]));
    /// # Ok::<(), ContextError>(())
    /// ```
    pub fn discard(&mut self, context: &VersionVector<A>) -> Result<(), ContextError> {
        self.check(context)?;
        self.discard_vouched(context);
        Ok(())
    }

    /// As [`discard`](Self::discard), with a context that the caller vouches for: it is trusted, as
    /// in [`update_vouched`](Self::update_vouched).
    ///
    /// ```
    /// use synod_vclock::{DvvSet, VersionVector};
    ///
    /// let mut set = DvvSet::<_, u64>::new();
    /// set.discard_vouched(&VersionVector::from_iter([("a", 2)]));
    /// assert_eq!(set.context().get(&"a"), 2);
    /// ```
    pub fn discard_vouched(&mut self, context: &VersionVector<A>) {
        let mut unknown = Vec::new();
        for dot in context.iter() {
            let (actor, counter) = (&dot.actor, dot.counter.get());
            match self.search(actor) {
                Ok(at) => self.columns[at].discard(counter),
                Err(_) => unknown.push(Column {
                    actor: actor.clone(),
                    counter,
                    values: Vec::new(),
                }),
            }
        }
        self.insert(unknown);
    }

    /// Checks that a client can have read this: every event of it is known.
    fn check(&self, context: &VersionVector<A>) -> Result<(), ContextError> {
        for dot in context.iter() {
            let place = self.search(&dot.actor);
            let known = place.map_or(0, |at| self.columns[at].counter);
            let claimed = dot.counter.get();
            if claimed > known {
                return Err(ContextError::Unseen { claimed, known });
            }
        }
        Ok(())
    }

    /// Removes actors that will never write again according to `is_past`, once they are not needed:
    /// those without a value, and only if `stable`, the events that every copy of this object is
    /// known to have, covers everything that this copy has. Returns how many were removed.
    ///
    /// Every copy must do so, and synchronising restores actors that another copy has not removed
    /// yet. An old state of a copy, still in flight in a message, could bring back a replaced value:
    /// retire only when such messages have certainly been dropped.
    ///
    /// ```
    /// use synod_vclock::{Actor, DvvSet};
    ///
    /// let [old, new] = [7, 8].map(|epoch| Actor { id: "a", epoch });
    /// let mut set = DvvSet::new();
    /// set.update(&set.context(), old, 1)?;
    /// set.update(&set.context(), new, 2)?; // after a restart
    /// let stable = set.context(); // no other copies
    /// assert_eq!(set.retire(&stable, |actor| *actor != new), 1);
    /// assert_eq!(set.context().to_string(), "{a#8:1}");
    /// # Ok::<(), synod_vclock::ContextError>(())
    /// ```
    pub fn retire(
        &mut self,
        stable: &VersionVector<A>,
        mut is_past: impl FnMut(&A) -> bool,
    ) -> usize {
        if !stable.descends(&self.context()) {
            return 0;
        }
        let before = self.columns.len();
        self.columns
            .retain(|column| !column.values.is_empty() || !is_past(&column.actor));
        before - self.columns.len()
    }

    /// Resolves the conflict: `merge` combines all siblings into one value, which replaces them as
    /// a new write of `server`. Returns its dot, or `None` if there is nothing to merge.
    ///
    /// It is a write like any other, so copies that resolve the same conflict independently
    /// converge to the same siblings, and never have two values for one dot.
    ///
    /// # Errors
    /// [`Overflow`]; nothing is changed.
    ///
    /// ```
    /// use synod_vclock::{DvvSet, VersionVector};
    ///
    /// let mut set = DvvSet::new();
    /// set.update(&VersionVector::new(), "a", 7)?;
    /// set.update(&VersionVector::new(), "b", 3)?;
    /// set.reconcile("a", |siblings| siblings.sum::<i32>())?;
    /// assert!(set.values().eq(&[10]));
    /// # Ok::<(), synod_vclock::ContextError>(())
    /// ```
    pub fn reconcile(
        &mut self,
        server: A,
        merge: impl FnOnce(&mut dyn Iterator<Item = &V>) -> V,
    ) -> Result<Option<Dot<A>>, Overflow> {
        if self.is_empty() {
            return Ok(None);
        }
        let value = merge(&mut self.values());
        self.update_vouched(&self.context(), server, value)
            .map(Some)
    }
}

/// Why a client's context was rejected. Nothing was changed.
///
/// ```
/// use synod_vclock::{ContextError, DvvSet, VersionVector};
///
/// let forged = VersionVector::from_iter([("a", 5)]);
/// let error = DvvSet::new().update(&forged, "a", "mine").unwrap_err();
/// assert_eq!(error, ContextError::Unseen { claimed: 5, known: 0 });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum ContextError {
    /// It claims events that this copy does not know: it is forged, or was read from a copy that is
    /// ahead, or this copy has lost its state.
    #[error("the context knows of {claimed} events of an actor of which this copy knows {known}")]
    Unseen {
        /// The counter in the context.
        claimed: u64,
        /// The counter known to this copy.
        known: u64,
    },
    /// The server's counter is at its maximum.
    #[error(transparent)]
    Overflow(#[from] Overflow),
}
