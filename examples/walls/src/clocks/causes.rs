//! Effects that are stamped earlier than their causes, and the clock that never does that.

use synod_lamport::{LamportClock, LamportTime};
use synod_sim::Rng;
use synod_sim::page::Recorder;

use super::network::{Delays, World};
use super::shown::{self, Passed};
use super::synchronisers::Average;

/// What stamps made of some messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamps {
    /// How many messages were sent.
    pub messages: u64,
    /// How many came, by synchronised clocks, no later than they were sent.
    pub early_by_clocks: u64,
    /// How many did by Lamport's.
    pub early_by_lamport: u64,
}

/// Processes with the best clocks that there can be send each other messages at random. A recorder is
/// given them.
#[must_use]
pub fn stamp(
    processes: usize,
    delays: Delays,
    messages: u64,
    rng: &mut Rng,
    recorder: Option<&Recorder>,
) -> Stamps {
    let world = draw(processes, delays, rng);
    let clocks = world.adjusted(&Average, delays);
    // All together: what they are ahead of the true time is nobody's error.
    let ahead = clocks.iter().sum::<f64>() / processes as f64;
    let mut lamport = vec![LamportClock::default(); processes];
    let mut stamps = Stamps {
        messages,
        ..Stamps::default()
    };
    let mut time = 0.0;
    for _ in 0..messages {
        time += rng.fraction() * delays.uncertainty;
        let from = rng.index(processes);
        let to = (from + 1 + rng.index(processes - 1)) % processes;
        let takes = delays.least + rng.fraction() * delays.uncertainty;
        let by_clocks = [time + clocks[from], time + takes + clocks[to]];
        stamps.early_by_clocks += u64::from(by_clocks[1] <= by_clocks[0]);
        // Beside the clock's own time, which a bound on jumps protects, nothing can go wrong here.
        let sent = lamport[from].tick().unwrap_or(LamportTime::MAX);
        let came = lamport[to].receive(sent).unwrap_or(LamportTime::ZERO);
        stamps.early_by_lamport += u64::from(came <= sent);
        if let Some(recorder) = recorder {
            let passed = Passed {
                from,
                to,
                at: [time, time + takes],
                by_clocks: by_clocks.map(|it| it - ahead),
                by_lamport: [sent, came],
            };
            shown::show_message(recorder, &passed, delays, processes);
        }
        time += takes;
    }
    stamps
}

/// Offsets of up to a second, and delays within their bounds.
#[must_use]
pub fn draw(processes: usize, delays: Delays, rng: &mut Rng) -> World {
    let offsets = (0..processes).map(|_| rng.fraction() * 1e3).collect();
    let mut takes = || delays.least + rng.fraction() * delays.uncertainty;
    let mut row = |_| (0..processes).map(|_| takes()).collect();
    let takes = (0..processes).map(&mut row).collect();
    World { offsets, takes }
}
