//! What `walls flp` prints.

use synod_sim::Rng;
use synod_sim::page::Recorder;

use super::shown;
use super::{
    Arbiter, BOUND, BenOr, ChandraToueg, Circle, DELTA, Ended, Escape, Event, Findings, Paxos,
    ProcessId, Protocol, Pursuit, Stage, Valences, Value, WaitForAll, attack, be_fair, pursue,
    search, settle_often, trust,
};
use crate::report::{Page, Report, bar};

/// Keeps Paxos undecided by a fair schedule, with proofs; then three ways out
#[derive(Clone, Debug, clap::Args)]
pub struct FlpOptions {
    /// How many steps Paxos is kept undecided for; the others at most as many
    #[arg(long, default_value_t = 2_000)]
    pub steps: u64,
    /// Decides the order of turns, the waits that are drawn, delays and coins
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// How many runs the distributions are made of
    #[arg(long, default_value_t = 400)]
    pub runs: u64,
}

/// The demo.
#[must_use]
pub fn run(options: &FlpOptions, recorder: Option<&Recorder>) -> Report {
    let mut page = Page::new(
        "FLP: a fair schedule under which nothing is ever decided",
        "Fischer, Lynch, Paterson 1985, Theorem 1; constructive: Völzer 2004, Constable 2011",
        "No deterministic protocol in an asynchronous system solves consensus if one process may \
         crash: agreement, validity and survival of one crash together mean that some admissible run \
         never decides, and the run that never decides has no crash in it. In it every process takes \
         steps for ever and every message arrives.",
    );
    paxos(&mut page, options, recorder);
    others(&mut page, options);
    small(&mut page);
    page.head("Three ways out, each another model");
    page.paragraph(
        "The theorem is about all protocols and one model. Whoever gives the processes a little \
         more than the model has is no longer under it.",
    );
    partial_synchrony(&mut page, options);
    unforeseen_coins(&mut page, options);
    eventually_strong(&mut page, options);
    page.end()
}

fn paxos(page: &mut Page, options: &FlpOptions, recorder: Option<&Recorder>) {
    page.head("The victim: our own Paxos");
    page.paragraph(
        "Three nodes of synod_paxos::single, inputs 0 and 1. A node retries when its clock says \
         so, after waits drawn at random; but nothing ties its clock to the messages, so the \
         schedule may put a retry anywhere. After each step the attacker holds two certificates: \
         a schedule that ends in 0 and one that ends in 1, each without a single step of one \
         process. A checker that shares no state with it replays the run and both certificates.",
    );
    let pursuit = pursue(&Paxos::new(options.seed), options.seed, options.steps);
    if let Some(opening) = &pursuit.opening {
        let inputs: Vec<String> = opening.inputs.iter().map(Value::to_string).collect();
        page.line(format_args!("inputs {}", inputs.join(" ")));
    }
    if let Some(recorder) = recorder {
        shown::show(recorder, &Paxos::new(options.seed), &pursuit);
    }
    stages(page, &pursuit.stages);
    findings(page, &pursuit.findings);
    if let Some(attacker) = &pursuit.attacker {
        let nodes = (1..=3).map(|at| attacker.state(ProcessId(at)));
        let patience = nodes.clone().map(|node| node.patience()).max();
        let round = nodes.map(|node| node.round()).max();
        let (patience, round) = (patience.unwrap_or_default(), round.unwrap_or_default());
        page.line(format_args!(
            "  the highest ballot is of round {round}; the longest wait before a retry that was drawn: {patience:?}"
        ));
    }
    let undecided = is_undecided(&pursuit, options.steps);
    page.verdict(undecided, &sentence("Paxos", &pursuit));
    for_ever(page, &pursuit.findings);
}

/// A circle is a run without end. What looks like one and is none would be no proof of anything.
fn for_ever(page: &mut Page, findings: &Findings) {
    let is_honest = findings.broken_circles == 0;
    let Some(circle) = &findings.circle else {
        page.line(format_args!(
            "  no circle found in {} stages: of what comes after them nothing is said",
            findings.stages
        ));
        if !is_honest {
            page.verdict(false, "what looked like a circle led elsewhere.");
        }
        return;
    };
    circle_drawn(page, circle);
    let has_stepped = |at| circle.steps.iter().any(|(event, _)| event.at() == at);
    let everybody = (1..=findings.steps_by.len())
        .map(ProcessId)
        .all(has_stepped);
    page.verdict(
        is_honest && everybody && circle.repeated > 0,
        "but for its ballots the configuration comes back, everybody has stepped and all that \
         was in transit has arrived: the schedule may go round for ever, and then it is the run \
         of the theorem, undecided for ever and not for a while. (Ballots are numbers without \
         end in Paxos; in ours they end after 2^62 rounds, and whoever has used them up proposes no more.)",
    );
}

/// What a theorem about every protocol says of this one.
fn is_undecided<P: Protocol>(pursuit: &Pursuit<P>, steps: u64) -> bool {
    pursuit.ended.is_none() && pursuit.findings.steps >= steps
}

fn sentence<P: Protocol>(name: &str, pursuit: &Pursuit<P>) -> String {
    let findings = &pursuit.findings;
    match &pursuit.ended {
        None => format!(
            "{name} is undecided after {} steps in {} stages, and {} certificates say that it \
             could have gone either way after each; the checker has replayed them all. Nobody \
             failed: no message waited for more than {} steps, and no process.",
            findings.steps,
            findings.stages,
            2 * (findings.steps + 1),
            findings.age_steps_max.max(findings.wait_steps_max),
        ),
        Some(Ended::Escape(Escape::Blocks { without, steps })) => format!(
            "{name} is none that the theorem is about: without {without} the others took {steps} \
             steps and decided nothing."
        ),
        Some(Ended::Escape(Escape::Disagrees)) => {
            format!("{name} is none that the theorem is about: two of its runs disagree.")
        }
        Some(Ended::Escape(Escape::Trivial)) => {
            format!("{name} is none that the theorem is about: inputs do not matter to it.")
        }
        Some(Ended::Refused(refusal)) => {
            format!("the attacker's record of {name} is refused: {refusal}.")
        }
    }
}

fn stages(page: &mut Page, stages: &[Stage]) {
    page.line(
        "  stage  served  steps, and how long the certificates for 0 and for 1 are after each",
    );
    for (number, stage) in (1..).zip(stages).take(8) {
        let steps: Vec<String> = stage
            .steps
            .iter()
            .map(|step| {
                let [zero, one] = &step.then;
                let (zero_by, one_by) = (zero.by.len(), one.by.len());
                format!("{} ({zero_by}, {one_by})", short(step.event))
            })
            .collect();
        page.line(format_args!(
            "  {number:>5}  {:<6}  {}",
            stage.head,
            steps.join("  ")
        ));
    }
    page.line("  (2! is a step of p2 alone, a retry; 1>3 is p3 taking a message of p1)");
}

fn findings(page: &mut Page, findings: &Findings) {
    let by: Vec<String> = findings.steps_by.iter().map(u64::to_string).collect();
    page.line(format_args!(
        "  {} steps, of p1, p2, p3: {}; {} stages; {} steps of certificates replayed, the longest has {}",
        findings.steps,
        by.join(", "),
        findings.stages,
        findings.certified_steps,
        findings.certificate_steps_max,
    ));
    page.line(format_args!(
        "  the oldest undelivered message was never older than {} steps; never more than {} were in transit",
        findings.age_steps_max, findings.in_transit_max,
    ));
}

fn circle_drawn(page: &mut Page, circle: &Circle) {
    page.line(format_args!(
        "  the circle: behind step {}, {} steps that lead back to where they began, tried {} times more",
        circle.begins,
        circle.steps.len(),
        circle.repeated,
    ));
    for line in circle.steps.chunks(20) {
        let line: Vec<String> = line
            .iter()
            .map(|(event, sign)| signed(*event, *sign))
            .collect();
        page.line(format_args!("    {}", line.join(" ")));
    }
    page.line("    (! retry, P prepare, p promise, A accept, a accepted, x refused: 1P2 is p2 taking p1's prepare)");
}

fn short(event: Event) -> String {
    signed(event, Some('>'))
}

fn signed(event: Event, sign: Option<char>) -> String {
    match event {
        Event::Alone { at } => format!("{}!", at.0),
        Event::Deliver { from, to, .. } => format!("{}{}{}", from.0, sign.unwrap_or('>'), to.0),
    }
}

fn others(page: &mut Page, options: &FlpOptions) {
    page.head("The same attacker, other protocols");
    let steps = options.steps.min(1_000);
    let coordinator = pursue(&ChandraToueg { processes: 3 }, options.seed, steps);
    let name = "the rotating coordinator of Chandra and Toueg, whose detector may be wrong,";
    page.verdict(
        is_undecided(&coordinator, steps),
        &sentence(name, &coordinator),
    );
    let coins = BenOr {
        processes: 3,
        seed: options.seed,
    };
    let coins = pursue(&coins, options.seed, steps);
    let name = "Ben-Or's protocol with coins that the attacker knows beforehand (a generator, and its seed)";
    page.verdict(is_undecided(&coins, steps), &sentence(name, &coins));
}

fn small(page: &mut Page) {
    page.head("Protocols that do not survive a crash: searched to the end");
    page.paragraph(
        "Where all configurations can be looked at, valence is no matter of certificates. ◆ is a \
         configuration from which 0 and 1 can both be decided, ○ one from which only 0 can, ● only 1.",
    );
    let inputs = [Value::One, Value::Zero, Value::One];
    searched(
        page,
        "wait for all, take the least",
        &WaitForAll { processes: 3 },
        &inputs,
    );
    searched(
        page,
        "p1 takes what it hears first",
        &Arbiter { processes: 3 },
        &inputs,
    );
}

fn searched<P: Protocol>(page: &mut Page, name: &str, protocol: &P, inputs: &[Value]) {
    let Some(valences) = search(protocol, inputs, None, CONFIGURATIONS_MAX) else {
        return page.verdict(false, &format!("{name}: too large to be searched"));
    };
    page.line(format_args!("  {name}, inputs 1 0 1, by number of steps:"));
    drawn(page, &valences);
    let total = valences.total();
    page.line(format_args!(
        "    {} bivalent, {} 0-valent, {} 1-valent, {} from which nothing is decided",
        total.bivalent, total.zero, total.one, total.dead
    ));
    if !valences.critical.is_empty() {
        let whose: Vec<String> = valences.critical.iter().map(ToString::to_string).collect();
        page.line(format_args!(
            "    the decision falls in a step of {}, and of nobody else",
            whose.join(" or ")
        ));
    }
    // With the process whose step decides, or with any where all are waited for.
    let silent = valences.critical.first().copied().unwrap_or(ProcessId(1));
    let without = search(protocol, inputs, Some(silent), CONFIGURATIONS_MAX);
    let total = without.map(|it| it.total()).unwrap_or_default();
    page.verdict(
        total.dead > 0 && total.zero + total.one + total.bivalent == 0,
        &format!(
            "if {silent} crashes at the beginning, the others reach {} configurations and decide \
             in none of them.",
            total.dead
        ),
    );
}

fn drawn(page: &mut Page, valences: &Valences) {
    for (depth, layer) in valences.layers.iter().enumerate() {
        let counts = [(layer.bivalent, "◆"), (layer.zero, "○"), (layer.one, "●")];
        let marks = counts.map(|(count, mark)| mark.repeat(count));
        page.line(format_args!("    {depth:>3}  {}", marks.concat()));
    }
}

fn partial_synchrony(page: &mut Page, options: &FlpOptions) {
    page.line("");
    page.paragraph(
        "1. Partial synchrony (Dwork, Lynch, Stockmeyer 1988): there is a moment that nobody knows, \
         and from it on every message takes at most Δ. The same Paxos, the same attacker until then. \
         Nothing is asked of clocks before that moment. After it they agree on slots of 8 Δ, and who \
         begins ballots goes by a rota: each slot belongs to one node, which begins one at its \
         beginning, and another if that is refused in its first half. One node at most crashes. \
         Random waits alone are no way out: the run above has them.",
    );
    page.line(
        "   stabilises after   moments   undecided until then   runs   by the rota   all have decided within",
    );
    let mut rng = Rng::new(options.seed);
    let (mut stands, mut by_rota) = (true, 0);
    for steps in [10, 100, 400].map(|most| most.min(options.steps)) {
        let it = settle_often(options.seed, steps, MOMENTS, SETTLED_EACH, &mut rng);
        stands &= it.undecided == MOMENTS && it.decided == it.runs && it.after_max <= BOUND;
        by_rota += it.by_rota;
        let after = match it.decided == it.runs {
            true => delta(it.after_max),
            false => "never".to_owned(),
        };
        page.line(format_args!(
            "   up to {steps:>4} steps   {MOMENTS:>7}   {:>20}   {:>4}   {:>11}   {after:>23}",
            it.undecided, it.runs, it.by_rota
        ));
    }
    page.verdict(
        stands && by_rota > 0,
        &format!(
            "undecided for as long as stabilisation is put off, and at most {} after it every survivor \
             has decided, and all of them one value that was proposed; in {by_rota} runs it took a \
             ballot that was begun in a slot.",
            delta(BOUND)
        ),
    );
}

fn never() -> String {
    "never".to_owned()
}

fn delta(time: u64) -> String {
    format!("{:.2} Δ", time as f64 / DELTA as f64)
}

fn unforeseen_coins(page: &mut Page, options: &FlpOptions) {
    page.line("");
    page.paragraph(
        "2. Coins (Ben-Or 1983; against an attacker who sees all that has fallen: Aguilera and \
         Toueg 2012): f < n/2 crashes, and with probability 1 a decision. This attacker sees states, \
         messages and past coins; it loses when all coins fall alike, once in 2^(n-1) rounds.",
    );
    let mut stands = true;
    for processes in [3, 5, 7] {
        // The chance to go on for this long is below one in a million million.
        let rounds_max = 28 * (1 << (processes - 1));
        let mut rng = Rng::new(options.seed ^ processes as u64);
        let mut attacked = Vec::new();
        let mut fair = Vec::new();
        for _ in 0..options.runs {
            let seed = rng.next_u64();
            let protocol = BenOr { processes, seed };
            attacked.extend(attack(&protocol, &mut rng, rounds_max));
            fair.extend(be_fair(&protocol, &mut rng, rounds_max));
        }
        let runs = options.runs as usize;
        stands &= runs > 0 && attacked.len() == runs && fair.len() == runs;
        // The number of rounds until all coins fall alike varies by about its mean.
        let expected = f64::from(1 << (processes - 1));
        let error = expected / (runs as f64).sqrt();
        stands &= (mean(&attacked) - 1.0 - expected).abs() <= 5.0 * error;
        distribution(page, processes, &attacked, &fair);
    }
    page.verdict(
        stands,
        "in every run, under attack and without, every survivor has decided, and all of them one value \
         that was proposed; and under attack it took 2^(n-1) rounds on average, within five standard \
         errors.",
    );
}

fn mean(rounds: &[u64]) -> f64 {
    rounds.iter().sum::<u64>() as f64 / rounds.len().max(1) as f64
}

fn distribution(page: &mut Page, processes: usize, attacked: &[u64], fair: &[u64]) {
    let expected = 1 << (processes - 1);
    page.line(format_args!(
        "   n = {processes}: {} runs, {:.1} rounds before the last under attack (expected: {expected}), {:.1} without",
        attacked.len(),
        mean(attacked) - 1.0,
        mean(fair) - 1.0,
    ));
    let width = (expected / 2).max(1);
    let mut counts = [0_u64; 10];
    for rounds in attacked {
        let bucket = (rounds - 1) / width;
        counts[usize::try_from(bucket).map_or(9, |it| it.min(9))] += 1;
    }
    let most = counts.iter().max().copied().unwrap_or(0);
    for (bucket, count) in (0..).zip(counts) {
        let from = bucket * width + 1;
        let label = match bucket {
            9 => format!("{from}.."),
            _ => format!("{from}..{}", from + width - 1),
        };
        let drawn = bar(count as f64, most as f64, 40);
        page.line(format_args!("     {label:>8} {count:>5} {drawn}"));
    }
}

fn eventually_strong(page: &mut Page, options: &FlpOptions) {
    page.line("");
    page.paragraph(
        "3. A failure detector of class ◇S (Chandra and Toueg 1996): every crashed process is in the end \
         suspected for good, and some correct one is in the end suspected by nobody; f < n/2. Until \
         then it may be wrong about everybody, and about the others for ever.",
    );
    page.line("   n   wrong for   undecided   then trusts   wrong about others   decided after");
    let mut rng = Rng::new(options.seed);
    let mut stands = true;
    for (processes, most) in [(3, 10), (3, 1_000), (5, 1_000)] {
        let steps = options.steps.min(most);
        let pursuit = pursue(&ChandraToueg { processes }, options.seed, steps);
        let undecided = is_undecided(&pursuit, steps);
        let inputs = pursuit.opening.map(|it| it.inputs).unwrap_or_default();
        let Some(trusted) = pursuit.attacker.map(|it| trust(it, &inputs, &mut rng)) else {
            stands = false;
            continue;
        };
        let after = trusted.decided_after_rounds;
        stands &= undecided && after.is_some_and(|rounds| rounds <= processes as u64);
        let rounds = after.map_or_else(never, |it| format!("{it} rounds"));
        let undecided = if undecided { "yes" } else { "NO" };
        page.line(format_args!(
            "   {processes}  {steps:>4} steps   {undecided:>9}   {:>11}   {:>12} times   {rounds:>13}",
            trusted.process.to_string(),
            trusted.suspicions
        ));
    }
    page.verdict(
        stands,
        "undecided while it is wrong about everybody, and decided at most n rounds after it is \
         right about one; every survivor decides, and all of them one value that was proposed.",
    );
}

const CONFIGURATIONS_MAX: usize = 10_000;
/// How many moments of stabilisation are drawn for each row, and how many runs are made from each.
const MOMENTS: u64 = 10;
const SETTLED_EACH: u64 = 20;
