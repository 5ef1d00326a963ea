//! A cluster tells a recorder what happens.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::core::{Disk, PacketOf, Protocol};
use super::group::Cluster;
use super::node::Node;
use crate::page::{Kind, LeftByPanic, MessageId, Recorder, View};
use crate::world::NodeId;

/// Packets have no names, so they are known by their texts: of equal ones the first that was sent is
/// the first that arrives.
pub(super) struct Recording<P: Protocol> {
    recorder: Recorder,
    under_way: BTreeMap<Key<P>, VecDeque<MessageId>>,
    /// The last one of those that arrived or were lost: what comes again is a copy.
    gone: BTreeMap<Key<P>, MessageId>,
    cut: BTreeSet<(P::Id, P::Id)>,
    /// Whether the page is left by a panic.
    _left: Option<LeftByPanic>,
}

type Key<P> = (<P as Protocol>::Id, <P as Protocol>::Id, String);

impl<P: Protocol> Cluster<P> {
    /// From now on `recorder` is told what happens. Nothing else changes.
    pub fn record(&mut self, recorder: &Recorder) {
        self.recording = Some(Box::new(Recording {
            recorder: recorder.clone(),
            under_way: BTreeMap::new(),
            gone: BTreeMap::new(),
            cut: BTreeSet::new(),
            _left: None,
        }));
        let ids: Vec<P::Id> = self.nodes.keys().copied().collect();
        for id in ids {
            recorder.name(NodeId(P::number(id)), &P::number(id).to_string());
            if self.nodes[&id].is_up() {
                self.record_event(id, Kind::Start, || "is up".to_owned());
                self.record_view(id);
            }
        }
        for packet in std::mem::take(&mut self.net) {
            self.record_sent(packet.from, packet.to, &packet.message);
            self.net.push(packet);
        }
    }

    /// Records, and leaves the page if the thread panics while the cluster exists: for a story that a
    /// test tells by hand.
    pub fn leave_page_on_panic(&mut self) {
        let test = std::thread::current()
            .name()
            .unwrap_or("A story")
            .to_owned();
        let recorder = Recorder::new(test);
        self.record(&recorder);
        if let Some(recording) = &mut self.recording {
            recording._left = Some(LeftByPanic::new(&recorder));
        }
    }

    /// A packet that was taken off the network will never arrive.
    pub fn lose(&mut self, packet: &PacketOf<P>) {
        self.record_lost(packet, "lost");
    }

    pub(super) fn record_event(&self, id: P::Id, kind: Kind, text: impl FnOnce() -> String) {
        if let Some(recording) = &self.recording {
            let node = NodeId(P::number(id));
            (recording.recorder).event(self.elapsed(), node, kind, &text());
        }
    }

    pub(super) fn record_sent(&mut self, from: P::Id, to: P::Id, message: &P::Message) {
        let at = self.elapsed();
        if let Some(recording) = &mut self.recording {
            let text = P::message_text(message);
            let caption = (P::message_name(message), text.as_str());
            let (sender, receiver) = (NodeId(P::number(from)), NodeId(P::number(to)));
            let id = recording.recorder.sent(at, sender, receiver, caption);
            let key = (from, to, text);
            recording.under_way.entry(key).or_default().push_back(id);
        }
    }

    /// What leaves over a cut link.
    pub(super) fn record_cut(&mut self, from: P::Id, to: P::Id, message: &P::Message) {
        if self.recording.is_some() {
            let message = message.clone();
            self.record_sent(from, to, &message);
            self.record_lost(&PacketOf::<P> { from, to, message }, "cut off");
        }
    }

    pub(super) fn record_received(&mut self, packet: &PacketOf<P>) {
        let at = self.elapsed();
        if let Some(recording) = &mut self.recording {
            let id = recording.take(at, packet);
            recording.recorder.received(at, id);
        }
    }

    pub(super) fn record_lost(&mut self, packet: &PacketOf<P>, why: &str) {
        let at = self.elapsed();
        if let Some(recording) = &mut self.recording {
            let id = recording.take(at, packet);
            recording.recorder.lost(at, id, why);
        }
    }

    /// A node has done what there was to do.
    pub(super) fn record_view(&mut self, id: P::Id) {
        let at = self.elapsed();
        let Some(recording) = &mut self.recording else {
            return;
        };
        recording.cuts(at, &self.cut);
        let node = &self.nodes[&id];
        if let Some(core) = &node.core {
            let view = view_of::<P>(node, core);
            recording.recorder.view(at, NodeId(P::number(id)), view);
        }
    }

    fn elapsed(&self) -> Duration {
        P::elapsed(self.now)
    }
}

impl<P: Protocol> Recording<P> {
    fn take(&mut self, at: Duration, packet: &PacketOf<P>) -> MessageId {
        let text = P::message_text(&packet.message);
        let key = (packet.from, packet.to, text);
        let waiting = self.under_way.get_mut(&key);
        let id = match (waiting.and_then(VecDeque::pop_front), self.gone.get(&key)) {
            (Some(id), _) => id,
            (None, Some(first)) => self.recorder.copied(*first),
            // Nobody sent it: the test has made it up.
            (None, None) => {
                let (from, to) = (P::number(packet.from), P::number(packet.to));
                let caption = (P::message_name(&packet.message), key.2.as_str());
                let from = NodeId(from);
                self.recorder.event(at, from, Kind::Fault, "is made to say");
                self.recorder.sent(at, from, NodeId(to), caption)
            }
        };
        if self.gone.len() >= GONE_MAX {
            self.gone.pop_first();
        }
        if self.under_way.get(&key).is_some_and(VecDeque::is_empty) {
            self.under_way.remove(&key);
        }
        self.gone.insert(key, id);
        id
    }

    /// Links are cut and healed by hand.
    fn cuts(&mut self, at: Duration, cut: &BTreeSet<(P::Id, P::Id)>) {
        if self.cut == *cut {
            return;
        }
        let name = |link: &(P::Id, P::Id)| format!("{}>{}", P::number(link.0), P::number(link.1));
        let names = |links: Vec<String>| links.join(" ");
        let new = names(cut.difference(&self.cut).map(name).collect());
        let healed = names(self.cut.difference(cut).map(name).collect());
        let all = names(cut.iter().map(name).collect());
        if !new.is_empty() {
            self.recorder
                .everywhere(at, Kind::Fault, &format!("{new} cut"));
        }
        if !healed.is_empty() {
            let text = format!("{healed} healed");
            self.recorder.everywhere(at, Kind::Fault, &text);
        }
        self.recorder.ended(at, "cut");
        if !all.is_empty() {
            self.recorder.began(at, "cut", &[], &format!("cut: {all}"));
        }
        self.cut.clone_from(cut);
    }
}

fn view_of<P: Protocol>(node: &Node<P>, core: &P::Core) -> View {
    let standing = P::standing(core);
    let mut text = format!("applied {}", node.machine.len());
    let record = node.write.as_ref();
    let record = record.map(|write| P::record_text(P::record(write)));
    if let Some(record) = record.filter(|record| !record.is_empty()) {
        text.push_str(&format!(", is writing {record}"));
    }
    View {
        role: standing.text,
        leads: standing.leads,
        committed: standing.decided,
        log_start: node.disk.start(),
        log: node.disk.entries().into_iter().collect(),
        text,
        ..View::default()
    }
}

/// Beyond that some are forgotten: what comes again of them seems to be made up.
const GONE_MAX: usize = 10_000;
