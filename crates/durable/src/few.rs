use alloc::vec::{self, Vec};
use core::iter::Chain;
use core::mem::take;
use core::ops::{Deref, DerefMut};
use core::{fmt, option, slice};

/// A list that usually has one element, and then needs no allocation: most nodes answer one peer at
/// a time. It is moved more often than it is read, so it is as small as a `Vec`, or as one element
/// plus one word.
///
/// ```
/// # use synod_durable::Few;
/// let mut few = Few::default();
/// few.push("one");
/// assert_eq!(few[..], ["one"]);
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Few<T>(List<T>);

#[derive(Clone, PartialEq, Eq, Hash)]
enum List<T> {
    One(T),
    /// Any number of elements except one, so that lists with equal elements are equal.
    Many(Vec<T>),
}

impl<T> Few<T> {
    /// Appends an element.
    #[inline]
    pub fn push(&mut self, item: T) {
        match &mut self.0 {
            List::Many(items) if items.is_empty() => self.0 = List::One(item),
            List::Many(items) => items.push(item),
            List::One(_) => self.0 = List::Many(take(self).into_iter().chain([item]).collect()),
        }
    }

    /// Keeps only the elements for which `keep` returns `true`.
    pub fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        let kept = take(self).into_iter().filter(|item| keep(item));
        kept.for_each(|item| self.push(item));
    }
}

impl<T> Default for Few<T> {
    #[inline]
    fn default() -> Self {
        Self(List::Many(Vec::new()))
    }
}

impl<T> From<Vec<T>> for Few<T> {
    #[inline]
    fn from(mut items: Vec<T>) -> Self {
        let is_one = items.len() == 1;
        let one = items.pop_if(|_| is_one);
        Self(one.map_or(List::Many(items), List::One))
    }
}

impl<T> Deref for Few<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        match &self.0 {
            List::One(item) => slice::from_ref(item),
            List::Many(items) => items,
        }
    }
}

impl<T> DerefMut for Few<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        match &mut self.0 {
            List::One(item) => slice::from_mut(item),
            List::Many(items) => items,
        }
    }
}

impl<T> IntoIterator for Few<T> {
    type Item = T;
    type IntoIter = Chain<option::IntoIter<T>, vec::IntoIter<T>>;

    #[inline]
    fn into_iter(self) -> Self::IntoIter {
        let (one, many) = match self.0 {
            List::One(item) => (Some(item), Vec::new()),
            List::Many(items) => (None, items),
        };
        one.into_iter().chain(many)
    }
}

impl<T: fmt::Debug> fmt::Debug for Few<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
