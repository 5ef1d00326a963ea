//! Runs to be shown.

use std::io;
use std::time::Duration;

use synod_sim::page::{Entry, Kind, Portrait, Recorder, View};
use synod_sim::{Context, Event, NodeId, Process, Start, WorldOptions};

/// Every few milliseconds a node tells its count to the next one, and its log grows by what it hears.
pub(crate) struct Ring {
    id: NodeId,
    nodes: u64,
    count: u64,
    heard: Vec<u64>,
}

#[derive(Clone, Debug, Hash)]
pub(crate) enum Said {
    Count(u64),
}

impl Process for Ring {
    type Message = Said;
    type Input = ();
    /// How many nodes there are.
    type Shared = u64;

    fn start(start: Start, nodes: &u64, context: &mut Context<Said>) -> io::Result<Self> {
        context.timer = Some(context.now);
        Ok(Self {
            id: start.id,
            nodes: *nodes,
            count: 0,
            heard: Vec::new(),
        })
    }

    fn handle(&mut self, event: Event<Said, ()>, context: &mut Context<Said>) -> io::Result<()> {
        match event {
            Event::Timer => {
                self.count += 1;
                let next = NodeId(self.id.0 % self.nodes + 1);
                context.send(next, Said::Count(self.count));
                context.timer = Some(context.now + ms(5));
            }
            Event::Message { message, .. } => {
                let Said::Count(count) = message;
                self.heard.push(count);
                context.start_sync();
            }
            _ => {}
        }
        Ok(())
    }
}

impl Portrait for Ring {
    fn view(&self) -> View {
        let mut view = View::default();
        view.role = if self.count > 3 { "old" } else { "young" }.to_owned();
        view.epoch = (self.count / 8).to_string();
        view.leads = self.id == NodeId(2) && self.count > 3;
        view.committed = (self.heard.len() as u64).saturating_sub(2);
        let heard = (1..).zip(&self.heard);
        view.log = heard.map(|(at, count)| (at, entry(*count))).collect();
        view
    }
}

fn entry(count: u64) -> Entry {
    Entry {
        epoch: "1".to_owned(),
        text: format!("count {count}"),
    }
}

/// A world in which everything goes wrong that a page has a sign for.
pub(crate) fn bad() -> WorldOptions {
    let mut options = WorldOptions::default();
    options.loss = 0.1;
    options.duplication = 0.05;
    options.old_copies = 0.02;
    options.old_copies_after = ms(60);
    options.crash_every = Some(ms(300));
    options.restart_after = Some(ms(40));
    options.partition_every = Some(ms(400));
    options.partition_lasts = ms(60);
    options.pause_every = Some(ms(500));
    options.pause_lasts = ms(50);
    options.jump_every = Some(ms(700));
    options.step_every = Some(ms(600));
    options
}

/// Three nodes by hand, so that it is known what happened before what:
///
/// ```text
///  a  1 ─────── 4 ────────────────── 8
///      \                           ^
///  b    2 ─── 5 ────── 6 ─────────/       6 sends to a, received as 8; 5 sends to c what is lost
///  c  3 ───────────────────── 7
/// ```
pub(crate) fn by_hand() -> Recorder {
    let recorder = Recorder::new("By hand <b>not bold</b>");
    let [a, b, c] = [1, 2, 3].map(NodeId);
    for (node, name) in [(a, "a"), (b, "b"), (c, "c")] {
        recorder.name(node, name);
    }
    let client = recorder.called(ms(0), "c1", "put x");
    recorder.event(ms(1), a, Kind::Start, "starts");
    let hello = recorder.sent(ms(1), a, b, ("Hello", EVIL));
    recorder.received(ms(2), hello);
    recorder.event(ms(3), c, Kind::Start, "starts");
    recorder.event(ms(4), a, Kind::Timer, "timer");
    recorder.event(ms(5), b, Kind::Input, EVIL);
    let lost = recorder.sent(ms(5), b, c, ("Lost", "never heard"));
    recorder.lost(ms(6), lost, "cut off");
    recorder.event(ms(6), b, Kind::Sync, "stored");
    let answer = recorder.sent(ms(6), b, a, ("Answer", "heard"));
    recorder.event(ms(7), c, Kind::Crash, "crashes");
    recorder.received(ms(8), answer);
    let mut view = View::default();
    view.role = EVIL.to_owned();
    view.committed = 1;
    view.log = [(1, entry(1)), (2, entry(2))].into();
    view.clock = Some((ms(7), ms(10)));
    recorder.view(ms(8), a, view);
    recorder.returned(ms(8), client, "ok");
    recorder.violation("rule: broken <script>window.hacked = 1</script>");
    recorder.event(ms(9), b, Kind::Note, "goes on");
    recorder
}

/// The same message in two runs, on the same lines; in the second it is lost.
pub(crate) fn twice() -> Recorder {
    let recorder = Recorder::new("Twice");
    let [a, b] = [1, 2].map(NodeId);
    for lost in [false, true] {
        recorder.begin_run(if lost { "it is lost" } else { "it arrives" });
        recorder.event(ms(1), a, Kind::Timer, "timer");
        let hello = recorder.sent(ms(1), a, b, ("Hello", "hello"));
        recorder.began(ms(1), "cut", &[], "cut");
        match lost {
            true => recorder.lost(ms(3), hello, "cut off"),
            false => drop(recorder.received(ms(3), hello)),
        }
        let mut view = View::default();
        view.text = format!("lost: {lost}");
        view.clock = Some((ms(5), ms(5)));
        recorder.view(ms(5), b, view);
        recorder.opens_at(ms(5), "where both part");
    }
    recorder
}

/// So many events of three nodes that talk all the time.
pub(crate) fn long(events: u64) -> Recorder {
    let recorder = Recorder::new("Long").events_max(events as usize);
    let mut under_way = Vec::new();
    for number in 0..events {
        let (at, node) = (ms(number), NodeId(1 + number % 3));
        match under_way.pop() {
            Some(message) if number % 2 == 0 => drop(recorder.received(at, message)),
            _ => drop(recorder.event(at, node, Kind::Timer, "timer")),
        }
        let to = NodeId(1 + (number + 1) % 3);
        under_way.push(recorder.sent(at, node, to, ("Count", &format!("count {number}"))));
        if number % 5 == 0 {
            let mut view = View::default();
            view.log = (number..number + 20).map(|at| (at, entry(at))).collect();
            recorder.view(at, node, view);
        }
        under_way.truncate(5);
    }
    recorder
}

pub(crate) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// What a page must never take for markup.
pub(crate) const EVIL: &str = "</script><img src=x onerror=\"window.hacked = 1\"> & 'more'";
