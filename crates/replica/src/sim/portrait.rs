//! What a page shows of a simulated node.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use synod_sim::page::{Entry, LOG_ENTRIES_MAX, Portrait, View, caption_of};
use synod_wal::{Op, Tag};

use super::application::Application;
use super::cluster::{Cluster, Core};
use super::node::SimNode;
use super::packet::Packet;
use crate::body;
use crate::log::Recovered;
use crate::protocol::{Position, Protocol, Role};

/// What stands in a node's log, as it was written: a core does not tell, and whoever asked the disk
/// would change the run.
#[derive(Clone, Debug, Default)]
pub(super) struct Shown(Arc<Mutex<Slots>>);

#[derive(Debug, Default)]
struct Slots {
    start: u64,
    slots: BTreeMap<u64, (Tag, String)>,
}

impl Shown {
    /// Sees what is recovered while the core does.
    pub(super) fn tee(&self, recovered: &mut Recovered) {
        let shown = self.clone();
        shown.with(|slots| slots.start = recovered.start.index);
        let slots = std::mem::replace(&mut recovered.slots, Box::new(std::iter::empty()));
        recovered.slots = Box::new(slots.inspect(move |slot| {
            if let Ok(slot) = slot {
                shown.with(|slots| slots.put(slot.index, slot.tag, &slot.body));
            }
        }));
    }

    /// The log takes this.
    pub(super) fn appended(&self, ops: &[Op<'_>]) {
        self.with(|slots| {
            for op in ops {
                match *op {
                    Op::State(_) => {}
                    Op::Put { index, tag, body } => slots.put(index, tag, body),
                    Op::Truncate { from } => drop(slots.slots.split_off(&from)),
                    Op::Start { after, .. } => {
                        slots.start = after;
                        slots.slots = slots.slots.split_off(&(after + 1));
                    }
                }
            }
        });
    }

    fn with<R>(&self, look: impl FnOnce(&mut Slots) -> R) -> R {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Slots {
    fn put(&mut self, index: u64, tag: Tag, body: &[u8]) {
        self.slots.insert(index, (tag, text_of(body)));
    }
}

/// Of several groups it shows the first.
impl<C: Cluster, A: Application<C>> Portrait for SimNode<C, A> {
    fn view(&self) -> View {
        let mut view = View::default();
        let Some(group) = self.groups().first() else {
            return view;
        };
        let status = group.status();
        view.role = status.core.role.to_string();
        view.epoch = status.core.epoch.to_string();
        view.leads = status.core.role == Role::Leader;
        view.committed = status.core.commit;
        view.text = match status.leadership {
            Some(leadership) => {
                format!("leader n{}, applied {}", leadership.node.0, status.applied)
            }
            None => format!("no leader, applied {}", status.applied),
        };
        if let Some(shown) = group.shown() {
            shown.with(|slots| {
                view.log_start = slots.start;
                let last = slots.slots.iter().rev().take(LOG_ENTRIES_MAX);
                view.log = last
                    .map(|(index, slot)| (*index, entry::<C>(*index, slot)))
                    .collect();
            });
        }
        view
    }

    fn caption(message: &Packet<Core<C>>) -> (String, String) {
        let (name, text) = caption_of(message);
        (name, without_escapes(&text))
    }
}

fn entry<C: Cluster>(index: u64, (tag, text): &(Tag, String)) -> Entry {
    let at = Position { index, tag: *tag };
    Entry {
        epoch: Core::<C>::epoch(&at).to_string(),
        text: text.clone(),
    }
}

/// The commands of a body as far as they are text.
fn text_of(body: &[u8]) -> String {
    if body.len() < body::NAME_BYTES {
        return "no command".to_owned();
    }
    let commands = body::commands(body).map(|command| {
        let start = &command[..command.len().min(COMMAND_BYTES_MAX)];
        start.escape_ascii().to_string()
    });
    commands.collect::<Vec<_>>().join(" ")
}

/// Bodies begin with numbers, which as bytes are no text.
fn without_escapes(text: &str) -> String {
    let mut parts = text.split('\\');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let escape = match part.chars().next() {
            Some('x') => 3,
            Some(_) => 1,
            None => 0,
        };
        plain.push_str(part.get(escape..).unwrap_or_default());
    }
    plain
}

/// Of each command this much is shown.
const COMMAND_BYTES_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn what_is_written_is_shown_until_it_is_cut() {
        let shown = Shown::default();
        let bodies = ["a", "b", "c"]
            .map(|text| Bytes::from([&[0; 24], &[1, 0, 0, 0][..], text.as_bytes()].concat()));
        let put = |index: u64| Op::Put {
            index,
            tag: Tag::default(),
            body: &bodies[index as usize - 1],
        };
        let texts = || {
            shown.with(|slots| {
                let texts = slots.slots.values().map(|(_, text)| text.clone());
                (slots.start, texts.collect::<Vec<_>>())
            })
        };
        shown.appended(&[put(1), put(2), put(3)]);
        assert_eq!(
            texts(),
            (0, vec!["a".to_owned(), "b".to_owned(), "c".to_owned()])
        );
        let tag = Tag::default();
        shown.appended(&[Op::Truncate { from: 3 }, Op::Start { after: 1, tag }]);
        assert_eq!(texts(), (1, vec!["b".to_owned()]));
    }

    #[test]
    fn bytes_that_are_no_text_are_left_out() {
        assert_eq!(
            without_escapes(r#"body: b"\x01\0\n1..;""#),
            r#"body: b"1..;""#
        );
        assert_eq!(without_escapes("plain"), "plain");
    }
}
