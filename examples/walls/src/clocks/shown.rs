//! The runs as a page, with what each clock shows beside the true time.

use std::time::Duration;

use synod_lamport::LamportTime;
use synod_sim::NodeId;
use synod_sim::page::{Kind, Recorder, View};

use super::bound;
use super::network::{Delays, Synchroniser as _, World, skew};
use super::shifting::Shown;
use super::synchronisers::Average;

/// Gives a recorder the runs that look alike. It opens at the end of the last one.
pub(super) fn show(recorder: &Recorder, shown: &Shown, delays: Delays) {
    for (number, world) in (1..).zip(&shown.worlds) {
        let title = match number {
            1 => "A run".to_owned(),
            number => format!("Run {number}: every clock has shown the same as before"),
        };
        recorder.begin_run(&title);
        let ends = exchanged(recorder, world, delays);
        if number == shown.worlds.len() {
            let apart = skew(&world.adjusted(&Average, delays));
            recorder.opens_at(
                ms(ends),
                &format!(
                    "nobody can tell this run from the one before, so all clocks are set by as much \
                     as there; here they are {apart} ms apart"
                ),
            );
        }
    }
}

/// Everybody sends when its clock shows zero, and sets it when all has come. Tells when that is.
fn exchanged(recorder: &Recorder, world: &World, delays: Delays) -> f64 {
    let processes = world.offsets.len();
    let mut sent = Vec::new();
    let mut due: Vec<(f64, usize, Option<usize>)> = Vec::new();
    for at in 0..processes {
        recorder.name(id(at), &format!("clock {}", at + 1));
        due.push((-world.offsets[at], at, None));
        for from in (0..processes).filter(|from| *from != at) {
            let comes = world.takes[from][at] - world.offsets[from];
            due.push((comes, at, Some(from)));
        }
    }
    due.sort_by(|one, other| one.0.total_cmp(&other.0));
    for (at, who, from) in &due {
        let Some(from) = from else {
            recorder.event(
                ms(*at),
                id(*who),
                Kind::Timer,
                "its clock shows 0 ms: sends",
            );
            for to in (0..processes).filter(|to| to != who) {
                let caption = ("zero", "my clock shows zero");
                sent.push((
                    (*who, to),
                    recorder.sent(ms(*at), id(*who), id(to), caption),
                ));
            }
            continue;
        };
        if let Some((_, message)) = sent.iter().find(|(way, _)| *way == (*from, *who)) {
            recorder.received(ms(*at), *message);
        }
        let shows = world.view(*who)[*from];
        let text = format!("its clock shows {shows} ms");
        recorder.note(ms(*at), id(*who), Kind::Note, &text);
    }
    let ends = due.last().map_or(0.0, |last| last.0) + 1.0;
    let clocks = world.adjusted(&Average, delays);
    for (at, clock) in clocks.iter().enumerate() {
        let by = Average.adjustment(at, &world.view(at), delays);
        let text = format!("sets its clock by {by} ms");
        recorder.event(ms(ends), id(at), Kind::Sync, &text);
        let error = bound(processes, delays);
        recorder.view(ms(ends), id(at), interval(ends + clock, error));
    }
    ends
}

/// A message between two processes, and the stamps of its sending and its coming.
pub(super) struct Passed {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) at: [f64; 2],
    pub(super) by_clocks: [f64; 2],
    pub(super) by_lamport: [LamportTime; 2],
}

pub(super) fn show_message(recorder: &Recorder, it: &Passed, delays: Delays, processes: usize) {
    let look = |clock: f64, lamport: LamportTime| {
        let mut view = interval(clock, bound(processes, delays));
        view.text = format!("Lamport's clock: {lamport}");
        view
    };
    for at in [it.from, it.to] {
        recorder.name(id(at), &format!("clock {}", at + 1));
    }
    let [left, came] = it.at.map(ms);
    let [from, to] = [it.from, it.to].map(id);
    recorder.event(left, from, Kind::Note, "sends");
    let text = format!(
        "sent at {:.3} ms, and at {} by Lamport",
        it.by_clocks[0], it.by_lamport[0]
    );
    let sent = recorder.sent(left, from, to, ("message", &text));
    recorder.view(left, from, look(it.by_clocks[0], it.by_lamport[0]));
    recorder.received(came, sent);
    recorder.view(came, to, look(it.by_clocks[1], it.by_lamport[1]));
    if it.by_clocks[1] <= it.by_clocks[0] {
        let text = format!(
            "by the clocks it comes at {:.3} ms, before it was sent",
            it.by_clocks[1]
        );
        recorder.note(came, to, Kind::Fault, &text);
    }
}

/// What a clock shows, and how far another one may be from it.
fn interval(shows: f64, error: f64) -> View {
    let mut view = View::default();
    view.clock = Some((ms(shows - error), ms(shows + error)));
    view
}

fn id(at: usize) -> NodeId {
    NodeId(at as u64 + 1)
}

fn ms(ms: f64) -> Duration {
    Duration::from_secs_f64(ms.max(0.0) / 1e3)
}
