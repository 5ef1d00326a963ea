//! `walls suspicion`: dead and slow wear the same costume.
//!
//! Chandra and Toueg, *Unreliable failure detectors for reliable distributed systems* (1996), say what a
//! detector may promise; that none can be sure, without a bound on time, follows from Fischer, Lynch and
//! Paterson (1985).

mod chart;
mod hall;
mod judge;
mod pair;
mod shown;
mod svg;

use std::path::PathBuf;
use std::time::Duration;

use synod_sim::page::Recorder;

pub use hall::{BEAT, CONDUCTOR, Fate, Note, Record, Said, Shown, WATCHED, play};
pub use pair::{Horn, Pair};
pub use svg::svg;

use crate::report::{Page, Report};
use judge::NAMES;

/// A node that has died and one that is slow, side by side, and what each failure detector says
#[derive(Clone, Debug, clap::Args)]
pub struct SuspicionOptions {
    /// Draws how long notes take, and the silence
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Draws the chart into this file, too
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
}

/// The demo.
#[must_use]
pub fn run(options: &SuspicionOptions, recorder: Option<&Recorder>) -> Report {
    let mut page = Page::new(
        "Suspicion: dead and slow wear the same costume",
        "Chandra and Toueg 1996; Fischer, Lynch, Paterson 1985",
        "An orchestra is sealed into soundproof booths. The players pass notes under the doors, and any \
         of them may walk out unnoticed. Where notes may take any time, nobody who hears nothing can \
         tell a player who has left from one whose notes are slow. So a detector that in the end \
         suspects everybody who has left also suspects, in some run, somebody who has not.",
    );
    let pair = Pair::new(options.seed, recorder);
    side_by_side(&mut page, &pair);
    horns(&mut page, &pair);
    what_helps(&mut page, &pair);
    if let Some(path) = &options.svg {
        match std::fs::write(path, svg(&pair)) {
            Ok(()) => page.line(format_args!("  drawn into {}", path.display())),
            Err(error) => page.verdict(false, &format!("{} is not there: {error}", path.display())),
        }
    }
    page.end()
}

fn side_by_side(page: &mut Page, pair: &Pair) {
    page.head("The same orchestra twice");
    page.paragraph(&format!(
        "A conductor and four players; each sends the conductor a note about every {} ms, which takes \
         a few milliseconds. After {} one of them falls silent. In the first run it has walked out. In \
         the second it plays on, and its notes stick under its door. The detectors are those of \
         synod-transport, as they are, and one that never suspects.",
        BEAT.as_millis(),
        seconds(pair.since),
    ));
    chart::draw(page, pair);
    let parted = pair.parted().map_or_else(never, seconds);
    let alike = pair.seen_alike();
    let (notes, bytes) = alike.unwrap_or_default();
    page.verdict(
        notes > 0 && pair.said_alike(),
        &format!(
            "until the first late note came, at {parted}, the conductor had had the same notes in \
             both runs, from the same players, at the same moments: {notes} notes of {bytes} bytes, byte \
             for byte; and each detector had said the same at every moment.",
        ),
    );
}

fn horns(page: &mut Page, pair: &Pair) {
    page.head("Two horns, and no third way");
    page.paragraph(
        "The conductor goes on to the next bar when each player has sent a note since the last one, or \
         is suspected. So long was the silence before the player was suspected, and so many bars were \
         played from the moment on at which the slow one's notes came:",
    );
    page.line("  detector             it has left   it is slow   bars: it has left   it was slow");
    let (mut stands, mut hasty, mut idle) = (true, 0, 0);
    for (judge, name) in NAMES.iter().enumerate() {
        let [dead, slow] = [&pair.dead, &pair.slow].map(|record| {
            let after = pair.suspected(record, judge).map_or_else(never, seconds);
            (after, pair.bars_after(record, judge))
        });
        page.line(format_args!(
            "  {name:<18} {:>13} {:>12} {:>19} {:>13}",
            dead.0, slow.0, dead.1, slow.1
        ));
        match pair.horn(judge) {
            Horn::SuspectsTheSlow { .. } => hasty += 1,
            Horn::LetsNobodyGoOn => idle += 1,
            Horn::Escapes => stands = false,
        }
    }
    page.verdict(
        stands && hasty > 0 && idle > 0,
        &format!(
            "{hasty} detectors let the others go on when a player has left, and each of them has suspected \
             the slow one after the same silence; {idle} never suspects, and lets nobody go on. A longer \
             deadline only asks for a longer silence.",
        ),
    );
}

fn what_helps(page: &mut Page, pair: &Pair) {
    page.head("What helps");
    page.paragraph(
        "A detector suspects and never convicts: what it says may wake, warn or ask, and has to be \
         harmless when it is wrong. Some are wrong only so often: where silences have a bound that \
         nobody needs to know, a deadline that grows with each mistake is in the end right about \
         everybody (eventually perfect, Chandra and Toueg 1996). Consensus needs less, as `walls flp` \
         shows.",
    );
    let suspects = |judge: &usize| matches!(pair.horn(*judge), Horn::SuspectsTheSlow { .. });
    let mut hasty = (0..NAMES.len()).filter(suspects);
    page.verdict(
        hasty.all(|judge| pair.ends_well(judge)),
        "each detector that suspected took it back when the notes came, and went on suspecting the one \
         that had left.",
    );
}

fn never() -> String {
    "never".to_owned()
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}
