//! What one event changed of a node: a page holds this, and not a view for each event.

use std::collections::BTreeMap;

use super::view::{Entry, View};

/// The difference of two views. What is `None` stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) role: Option<String>,
    pub(super) epoch: Option<String>,
    pub(super) leads: Option<bool>,
    pub(super) committed: Option<u64>,
    pub(super) log_start: Option<u64>,
    /// Indexes that hold nothing any more.
    pub(super) removed: Vec<u64>,
    /// Entries that are new or others.
    pub(super) put: BTreeMap<u64, Entry>,
    pub(super) marks: Option<Vec<String>>,
    pub(super) text: Option<String>,
}

impl Change {
    pub(super) fn between(before: &View, after: &View) -> Self {
        let removed = before.log.keys().filter(|at| !after.log.contains_key(at));
        let put = (after.log.iter()).filter(|(at, entry)| before.log.get(at) != Some(entry));
        Self {
            role: changed(&before.role, &after.role),
            epoch: changed(&before.epoch, &after.epoch),
            leads: changed(&before.leads, &after.leads),
            committed: changed(&before.committed, &after.committed),
            log_start: changed(&before.log_start, &after.log_start),
            removed: removed.copied().collect(),
            put: put.map(|(at, entry)| (*at, entry.clone())).collect(),
            marks: changed(&before.marks, &after.marks),
            text: changed(&before.text, &after.text),
        }
    }

    pub(super) fn apply(&self, view: &mut View) {
        set(&mut view.role, &self.role);
        set(&mut view.epoch, &self.epoch);
        set(&mut view.leads, &self.leads);
        set(&mut view.committed, &self.committed);
        set(&mut view.log_start, &self.log_start);
        self.removed.iter().for_each(|at| {
            view.log.remove(at);
        });
        let put = self.put.iter().map(|(at, entry)| (*at, entry.clone()));
        view.log.extend(put);
        set(&mut view.marks, &self.marks);
        set(&mut view.text, &self.text);
    }

    /// Both, one after the other.
    pub(super) fn then(mut self, later: &Self) -> Self {
        let later = later.clone();
        self.role = later.role.or(self.role);
        self.epoch = later.epoch.or(self.epoch);
        self.leads = later.leads.or(self.leads);
        self.committed = later.committed.or(self.committed);
        self.log_start = later.log_start.or(self.log_start);
        self.put.retain(|at, _| !later.removed.contains(at));
        self.removed.retain(|at| !later.put.contains_key(at));
        self.removed.extend(later.removed);
        self.put.extend(later.put);
        self.marks = later.marks.or(self.marks);
        self.text = later.text.or(self.text);
        self
    }

    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

fn changed<T: PartialEq + Clone>(before: &T, after: &T) -> Option<T> {
    (before != after).then(|| after.clone())
}

fn set<T: Clone>(place: &mut T, changed: &Option<T>) {
    if let Some(changed) = changed {
        place.clone_from(changed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(role: &str, committed: u64, log: &[(u64, &str)]) -> View {
        let entry = |text: &&str| Entry {
            epoch: "1".to_owned(),
            text: (*text).to_owned(),
        };
        let log = log.iter().map(|(at, text)| (*at, entry(text)));
        View {
            role: role.to_owned(),
            committed,
            log: log.collect(),
            ..View::default()
        }
    }

    #[test]
    fn a_change_makes_of_the_view_before_the_one_after() {
        let views = [
            View::default(),
            view("leads", 0, &[(1, "a"), (2, "b")]),
            view("follows", 2, &[(1, "a"), (2, "c"), (5, "d")]),
            view("follows", 2, &[(5, "d")]),
        ];
        for before in &views {
            for after in &views {
                let change = Change::between(before, after);
                let mut changed = before.clone();
                change.apply(&mut changed);
                assert_eq!(changed, *after);
                assert_eq!(change.is_empty(), before == after);
                for last in &views {
                    let both = change.clone().then(&Change::between(after, last));
                    let mut changed = before.clone();
                    both.apply(&mut changed);
                    assert_eq!(changed, *last);
                }
            }
        }
    }
}
