//! What `walls cap` prints.

use std::time::Duration;

use synod_sim::page::Recorder;

use super::{LastWriter, Majority, Operation, Seen, Siblings, collide, cut, measure, sessions};
use crate::raft_service::RaftService;
use crate::report::{Page, Report};
use crate::scene::{Store, begin_run};

/// Cuts four stores in two: each one leaves a request unanswered, or answers wrongly
#[derive(Clone, Debug, clap::Args)]
pub struct CapOptions {
    /// Decides which node is cut off, who is asked what, and all delays
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// How long the network is cut, in seconds
    #[arg(long, value_delimiter = ',', default_value = "1,10,100")]
    pub cuts: Vec<u64>,
}

/// What a store gives up, by its design.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Design {
    /// It does not answer what it cannot know.
    Consistent,
    /// It answers from what it has.
    Available,
}

/// The demo.
#[must_use]
pub fn run(options: &CapOptions, recorder: Option<&Recorder>) -> Report {
    let mut page = Page::new(
        "CAP: a register that is cut in two is silent or wrong",
        "Gilbert and Lynch 2002, Theorem 1",
        "In an asynchronous network that may lose messages no read/write object is both atomic \
         (linearizable) and available: every request to a node that does not fail is answered. There \
         is no bound on how long that may take, and a refusal is no answer.",
    );
    page.paragraph(
        "The proof is one execution: a write on one side, then a read on the other, and all between \
         them lost. Here it runs on three nodes, and what the clients saw is decided by a checker of \
         linearizability.",
    );
    page.head("Four registers");
    store::<RaftService>(&mut page, options, ("Raft", Design::Consistent), recorder);
    let abd = "majority register (Attiya, Bar-Noy, Dolev 1995)";
    store::<Majority>(&mut page, options, (abd, Design::Consistent), recorder);
    page.paragraph(
        "  (It has no leader and needs no consensus: FLP has nothing against it, and CAP has.)",
    );
    let siblings = "dotted version vectors, gossip";
    store::<Siblings>(&mut page, options, (siblings, Design::Available), recorder);
    let last = "last writer wins, gossip";
    store::<LastWriter>(&mut page, options, (last, Design::Available), recorder);
    conflicts(&mut page, options);
    pacelc(&mut page, options);
    page.end()
}

fn store<P>(
    page: &mut Page,
    options: &CapOptions,
    (name, design): (&str, Design),
    mut recorder: Option<&Recorder>,
) where
    P: Store,
{
    page.line("");
    page.line(format_args!("{name}:"));
    let mut stands = !options.cuts.is_empty();
    for &seconds in &options.cuts {
        // Of the cuts the first is shown: the others differ in nothing but the time.
        let shown = recorder.take();
        begin_run(shown, name);
        let seen = cut::<P>(options.seed, Duration::from_secs(seconds), shown);
        page.line(format_args!("  cut for {seconds:>3} s: {}", told(&seen)));
        stands &= match &seen {
            Seen::Unanswered {
                healed,
                linearizable,
                ..
            } => design == Design::Consistent && healed.is_some() && *linearizable,
            Seen::NotLinearizable { .. } => design == Design::Available,
            Seen::Both => false,
        };
        if let (Seen::NotLinearizable { drawing, .. }, true) = (&seen, seconds == options.cuts[0]) {
            drawing
                .lines()
                .for_each(|line| page.line(format_args!("      {line}")));
        }
    }
    let sentence = match design {
        Design::Consistent => "unanswered as long as the cut lasts, and never wrong.",
        Design::Available => "answered, and not linearizable.",
    };
    page.verdict(stands, sentence);
}

fn told(seen: &Seen) -> String {
    match seen {
        Seen::Unanswered {
            what,
            node,
            healed,
            linearizable,
        } => {
            let what = match what {
                Operation::Write => "write",
                Operation::Read => "read",
            };
            let healed = match healed {
                Some(after) => format!("answered {:.0} ms after", after.as_secs_f64() * 1e3),
                None => "not answered afterwards either".to_owned(),
            };
            let end = if *linearizable {
                "linearizable"
            } else {
                "NOT LINEARIZABLE"
            };
            format!("the {what} at {node} unanswered throughout, {healed}; all in all {end}")
        }
        Seen::NotLinearizable { written, read, .. } => {
            format!("written at {written}, acknowledged, and not seen by the later read at {read}")
        }
        Seen::Both => "answered, and linearizable: no such store exists".to_owned(),
    }
}

fn conflicts(page: &mut Page, options: &CapOptions) {
    page.head("What the available ones still promise");
    let kept = collide::<Siblings>(options.seed);
    let lost = collide::<LastWriter>(options.seed);
    page.line("both sides write while they are cut off; each write is acknowledged; then gossip:");
    for (name, remains) in [
        ("dotted version vectors", &kept),
        ("last writer wins", &lost),
    ] {
        let shown: Vec<&str> = (remains.shown.iter())
            .map(|it| it.as_deref().unwrap_or("nothing"))
            .collect();
        page.line(format_args!("  {name:<22}  {}", shown.join("  |  ")));
    }
    let shows = |shown: &[Option<String>], count: usize| {
        let sides = |text: &String| {
            let both = [text.contains("left"), text.contains("right")];
            both.into_iter().filter(|it| *it).count()
        };
        let is_same = shown.windows(2).all(|pair| pair[0] == pair[1]);
        is_same && shown.iter().all(|it| it.as_ref().map(sides) == Some(count))
    };
    page.verdict(
        kept.acknowledged == 2 && shows(&kept.shown, 2),
        "both writes are kept as siblings, the same everywhere, for a reader to merge.",
    );
    page.verdict(
        lost.acknowledged == 2 && shows(&lost.shown, 1),
        "the same everywhere, and one acknowledged write is lost.",
    );
    let consistent = sessions(options.seed, 60);
    let sentence = match &consistent {
        Ok(()) => {
            "60 operations of three sessions under cuts: every read of dotted version vectors \
                   is causally consistent, and the copies converge."
                .to_owned()
        }
        Err(why) => format!("dotted version vectors are not causally consistent: {why}"),
    };
    page.verdict(consistent.is_ok(), &sentence);
}

fn pacelc(page: &mut Page, options: &CapOptions) {
    page.head("Else: latency or consistency (PACELC, Abadi 2012)");
    page.paragraph(
        "Where every message takes d, a linearizable register has |write| + |read| >= d at any two \
         nodes: otherwise a write at one and then a read at the other are both over before the second \
         can know of the first. For sequential consistency two registers are needed, each written by \
         who reads the other (Lipton and Sandberg 1988; Attiya and Welch 1994): the last writer of a \
         single one wins at no cost. The quickest write and, after it, read at another node:",
    );
    page.line("       d   store                   write      read   write + read   linearizable");
    let mut stands = true;
    for delay in [1, 5, 10, 20, 40] {
        let delay = Duration::from_millis(delay);
        let rows = [
            ("Raft", measure::<RaftService>(options.seed, delay)),
            (
                "majority register",
                measure::<Majority>(options.seed, delay),
            ),
            (
                "dotted version vectors",
                measure::<Siblings>(options.seed, delay),
            ),
            (
                "last writer wins",
                measure::<LastWriter>(options.seed, delay),
            ),
        ];
        for (name, it) in rows {
            let ms = |time: Duration| format!("{:.0} ms", time.as_secs_f64() * 1e3);
            let sum = it.write + it.read;
            page.line(format_args!(
                "{:>8}   {name:<22} {:>6} {:>9} {:>14}   {}",
                ms(delay),
                ms(it.write),
                ms(it.read),
                ms(sum),
                if it.linearizable { "yes" } else { "no" },
            ));
            stands &= sum >= delay || !it.linearizable;
        }
    }
    page.verdict(
        stands,
        "whoever is linearizable pays d, and whoever does not pay is not.",
    );
}
