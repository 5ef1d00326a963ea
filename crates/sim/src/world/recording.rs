//! Recording of a world's events.

use std::collections::BTreeMap;
use std::time::Duration;

use super::World;
use crate::disk::Disk;
use crate::page::{Kind, MessageId, Portrait, Recorder, View};
use crate::world::clock::WALL_START;
use crate::world::fault::{ClockChange, Fault};
use crate::world::options::WorldOptions;
use crate::world::process::{NodeId, Process};
use crate::world::trace::{EVERYWHERE, Ending, Happening, Why};

/// A recorder, and its access to processes and messages.
pub(super) struct Recording<P: Process> {
    recorder: Recorder,
    view: fn(&P) -> View,
    caption: fn(&P::Message) -> (String, String),
    /// Links that a partition cuts, and until when.
    cuts: BTreeMap<(NodeId, NodeId), Duration>,
}

impl<P: Portrait> World<P> {
    /// A world that records its events in `recorder` from its beginning. It runs exactly as one
    /// made by [`with_disks`](Self::with_disks) with the same arguments.
    ///
    /// ```
    /// # use std::io;
    /// # use std::time::Duration;
    /// # use synod_sim::{Context, Event, NodeId, Process, Start};
    /// use synod_sim::{World, WorldOptions};
    /// use synod_sim::page::{Portrait, Recorder, View};
    ///
    /// # struct Echo(u32);
    /// # impl Process for Echo {
    /// #     type Message = u32;
    /// #     type Input = NodeId;
    /// #     type Shared = ();
    /// #     fn start(_: Start, _: &(), _: &mut Context<u32>) -> io::Result<Self> { Ok(Self(0)) }
    /// #     fn handle(&mut self, event: Event<u32, NodeId>, context: &mut Context<u32>) -> io::Result<()> {
    /// #         match event {
    /// #             Event::Input(to) => context.send(to, 5),
    /// #             Event::Message { from, message } if message > 0 => {
    /// #                 self.0 += 1;
    /// #                 context.send(from, message - 1);
    /// #             }
    /// #             _ => {}
    /// #         }
    /// #         Ok(())
    /// #     }
    /// # }
    /// impl Portrait for Echo {
    ///     fn view(&self) -> View {
    ///         let mut view = View::default();
    ///         view.text = format!("{} received", self.0);
    ///         view
    ///     }
    /// }
    ///
    /// let recorder = Recorder::new("Echoes");
    /// let mut world = World::<Echo>::recorded(42, 2, WorldOptions::default(), (), &recorder);
    /// world.inject(NodeId(1), NodeId(2));
    /// world.run_until(Duration::from_secs(1));
    /// assert!(recorder.html().contains("3 received"));
    /// ```
    pub fn recorded(
        seed: u64,
        nodes: u64,
        options: WorldOptions,
        shared: P::Shared,
        recorder: &Recorder,
    ) -> Self {
        let disks = Self::empty_disks(seed, nodes);
        Self::recorded_with_disks(seed, disks, options, shared, recorder)
    }

    /// The same on disks that are given.
    pub fn recorded_with_disks(
        seed: u64,
        disks: BTreeMap<NodeId, Disk>,
        options: WorldOptions,
        shared: P::Shared,
        recorder: &Recorder,
    ) -> Self {
        recorder.wall_start(WALL_START);
        disks
            .keys()
            .for_each(|id| recorder.name(*id, &id.to_string()));
        let recording = Recording {
            recorder: recorder.clone(),
            view: P::view,
            caption: P::caption,
            cuts: BTreeMap::new(),
        };
        Self::build(seed, disks, options, shared, Some(Box::new(recording)))
    }
}

impl<P: Process> World<P> {
    /// Stops recording, without any effect on the run.
    pub fn stop_recording(&mut self) {
        self.recording = None;
    }

    /// Something happens, to be read and to be shown.
    pub(super) fn note(&mut self, node: NodeId, what: Happening<P::Message>) {
        if let Some(recording) = &mut self.recording {
            recording.happened(self.now, node, &what);
        }
        self.trace.note(self.now, node, what);
    }

    /// A message leaves; nothing if nobody records.
    pub(super) fn record_sent(
        &self,
        from: NodeId,
        to: NodeId,
        message: &P::Message,
    ) -> Option<MessageId> {
        let recording = self.recording.as_ref()?;
        let (name, text) = (recording.caption)(message);
        let recorder = &recording.recorder;
        Some(recorder.sent(self.now, from, to, (&name, &text)))
    }

    pub(super) fn record_received(&self, message: Option<MessageId>) {
        if let (Some(recording), Some(message)) = (&self.recording, message) {
            recording.recorder.received(self.now, message);
        }
    }

    pub(super) fn record_lost(&self, message: Option<MessageId>, why: &Why) {
        if let (Some(recording), Some(message)) = (&self.recording, message) {
            let why = why.to_string();
            recording.recorder.lost(self.now, message, &why);
        }
    }

    pub(super) fn record_input(&self, node: NodeId, dropped: bool) {
        if let Some(recording) = &self.recording {
            let text = match dropped {
                false => self.text.clone(),
                true => format!("is down, {} is dropped", self.text),
            };
            (recording.recorder).event(self.now, node, Kind::Input, &text);
        }
    }

    /// A step of a process is over.
    pub(super) fn record_view(&self, index: usize) {
        let node = &self.nodes[index];
        if let (Some(recording), Some(process)) = (&self.recording, &node.process) {
            let mut view = (recording.view)(process);
            // Without an explicit interval, the node's time is its wall clock.
            let wall = node.clock.wall(self.now);
            view.clock.get_or_insert((wall, wall));
            recording.recorder.view(self.now, node.id, view);
        }
    }
}

impl<P: Process> Recording<P> {
    /// What is no message and no input, which are told with what only the world knows of them.
    fn happened(&mut self, at: Duration, node: NodeId, what: &Happening<P::Message>) {
        let recorder = &self.recorder;
        let event = |kind| {
            let text = what.to_string();
            match node {
                EVERYWHERE => recorder.everywhere(at, kind, &text),
                node => recorder.event(at, node, kind, &text),
            };
        };
        match what {
            Happening::Delivered { .. } | Happening::Dropped { .. } | Happening::Input { .. } => {}
            Happening::Start { .. } => event(Kind::Start),
            Happening::Timer => event(Kind::Timer),
            Happening::SyncDone => event(Kind::Sync),
            Happening::Crash { .. } => {
                event(Kind::Crash);
                recorder.ended(at, &key("pause", node));
            }
            Happening::Error(text) => recorder.note(at, node, Kind::Note, text),
            Happening::Cut { to } => {
                recorder.everywhere(at, Kind::Fault, &format!("{node}>{to} is cut"));
                recorder.began(at, &cut_key(node, *to), &[], &format!("{node}>{to} cut"));
            }
            Happening::Healed { to } => {
                recorder.everywhere(at, Kind::Fault, &format!("{node}>{to} is healed"));
                recorder.ended(at, &cut_key(node, *to));
                self.opened(at, |link, _| link == (node, *to));
            }
            Happening::Struck(fault) => {
                event(Kind::Fault);
                self.began(at, fault);
            }
            Happening::Ended(ending) => {
                event(Kind::Fault);
                self.ended(at, *ending);
            }
            Happening::CoreHealed(_) | Happening::FaultsStop => event(Kind::Fault),
        }
    }

    fn began(&mut self, at: Duration, fault: &Fault) {
        let text = fault.to_string();
        match fault {
            Fault::Partition { cuts, lasts } => {
                let until = at.saturating_add(*lasts);
                for link in cuts {
                    let ends = self.cuts.entry(*link).or_insert(until);
                    *ends = until.max(*ends);
                }
                self.recorder.began(at, PARTITION, &[], &text);
            }
            Fault::Clog { from, to, .. } => {
                let key = clog_key(*from, *to);
                self.recorder.began(at, &key, &[*from], &text);
            }
            Fault::Pause { node, .. } => self.began_at("pause", at, *node, &text),
            Fault::Clock {
                node,
                change: ClockChange::Freeze { .. },
            } => self.began_at("freeze", at, *node, &text),
            Fault::DiskStall { node, .. } => self.began_at("stall", at, *node, &text),
            Fault::DiskFull { node, .. } => self.began_at("full", at, *node, &text),
            _ => {}
        }
    }

    fn began_at(&self, name: &str, at: Duration, node: NodeId, text: &str) {
        self.recorder.began(at, &key(name, node), &[node], text);
    }

    fn ended(&mut self, at: Duration, ending: Ending) {
        let key = match ending {
            // Another one may go on.
            Ending::Partition => return self.opened(at, |_, until| until <= at),
            Ending::Clog { from, to } => clog_key(from, to),
            Ending::Pause(node) => key("pause", node),
            Ending::Freeze(node) => key("freeze", node),
            Ending::Stall(node) => key("stall", node),
            Ending::Full(node) => key("full", node),
        };
        self.recorder.ended(at, &key);
    }

    /// Links are open again; a partition ends with the last of them.
    fn opened(&mut self, at: Duration, is_open: impl Fn((NodeId, NodeId), Duration) -> bool) {
        let before = self.cuts.len();
        self.cuts.retain(|link, until| !is_open(*link, *until));
        if before > 0 && self.cuts.is_empty() {
            self.recorder.ended(at, PARTITION);
        }
    }
}

fn key(name: &str, node: NodeId) -> String {
    format!("{name} {node}")
}

fn cut_key(from: NodeId, to: NodeId) -> String {
    format!("cut {from}>{to}")
}

fn clog_key(from: NodeId, to: NodeId) -> String {
    format!("clog {from}>{to}")
}

const PARTITION: &str = "partition";
