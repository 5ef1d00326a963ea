//! `walls generals`: nobody can be certain that the last message arrived.
//!
//! Akkoyunlu, Ekanadham, Huber (1975); Gray (1978) gave it the generals; Halpern and Moses (1990) say
//! what is lacking: common knowledge.

mod chain;
mod plan;
mod shown;
mod text;

use synod_sim::Rng;
use synod_sim::page::Recorder;

pub use chain::{Chain, Link, chain, risk};
pub use plan::{Drawn, General, Handshake, Insistent, Plan, Run, View, carry_out};
pub use text::{Account, Bill, Name, pay};

use crate::report::{Page, Report};
use crate::scene::begin_run;

/// Two generals, messengers that may be caught, and the text that is not answered
#[derive(Clone, Debug, clap::Args)]
pub struct GeneralsOptions {
    /// Draws plans and losses
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// How many drawn plans are tried
    #[arg(long, default_value_t = 1_000)]
    pub plans: u64,
}

/// The demo.
#[must_use]
pub fn run(options: &GeneralsOptions, recorder: Option<&Recorder>) -> Report {
    let mut page = Page::new(
        "The two generals: no last message is certain",
        "Akkoyunlu, Ekanadham, Huber 1975; Gray 1978; Halpern and Moses 1990",
        "Two who talk over a channel that may lose messages cannot agree for certain to act together: \
         no number of messages is enough. If a plan lets both attack when all arrives, and Bob stay \
         when nothing does, then in some run one attacks alone.",
    );
    page.head("A chain of runs, each alike to one general");
    page.line("* is a message that came; what each got stands before what it does for it");
    let handshake = Handshake {
        messages: 4,
        forgiven: 0,
    };
    if let Some(recorder) = recorder {
        shown::show(recorder, &handshake, &chain(&handshake));
    }
    drawn(
        &mut page,
        "a handshake of four, and all must come",
        &handshake,
    );
    drawn(
        &mut page,
        "a handshake of four; the last may be missing",
        &Handshake {
            messages: 4,
            forgiven: 1,
        },
    );
    drawn(
        &mut page,
        "Alice attacks and says so three times",
        &Insistent { messages: 3 },
    );
    let broken = (0..options.plans)
        .filter(|number| breaks(&chain(&Drawn::new(options.seed.wrapping_add(*number)))))
        .count() as u64;
    page.verdict(
        broken == options.plans && broken > 0,
        &format!(
            "{broken} of {} plans that were drawn at random break as well.",
            options.plans
        ),
    );
    bought(&mut page);
    texts(&mut page, options, recorder);
    page.end()
}

/// Whether the chain proves what the theorem says: each run is alike to somebody, and in one of them
/// one attacks alone.
#[must_use]
pub fn breaks(chain: &Chain) -> bool {
    let pairs = chain.links.iter().skip(1);
    pairs.map(|link| link.alike_to).all(|alike| alike.is_some()) && chain.breaks_at.is_some()
}

fn drawn(page: &mut Page, name: &str, plan: &impl Plan) {
    let chain = chain(plan);
    page.line("");
    page.line(format_args!("{name}:"));
    page.line("  arrives  Alice         Bob            cannot be told from the run above by");
    let bits = |view: View| {
        let messages = 0..plan.messages();
        let bit = |message| {
            if view.0 & (1_u32 << message) == 0 {
                '.'
            } else {
                '*'
            }
        };
        messages.map(bit).collect::<String>()
    };
    for (at, link) in chain.links.iter().enumerate() {
        let (alice, bob) = (link.run.alice, link.run.bob);
        let alike = match link.alike_to {
            Some(General::Alice) => "Alice",
            Some(General::Bob) => "Bob",
            None => "",
        };
        let here = if chain.breaks_at == Some(at) {
            "   <- alone"
        } else {
            ""
        };
        page.line(format_args!(
            "  {:<7}  {:<4} {:<7}  {:<4} {:<7}   {alike}{here}",
            bits(link.run.delivered),
            bits(alice.0),
            shown::deed(alice.1),
            bits(bob.0),
            shown::deed(bob.1),
        ));
    }
    page.verdict(
        breaks(&chain),
        "agreement breaks on the way from all to nothing.",
    );
}

fn bought(page: &mut Page) {
    page.head("What messages buy");
    page.paragraph(
        "The chance that one attacks alone, if each messenger is caught with chance p; the better of \
         insisting and shaking hands. It falls with each message, and is never nothing.",
    );
    page.line("  messages      p = 0.5       p = 0.1      p = 0.01");
    let mut stands = true;
    let mut before = [f64::INFINITY; 3];
    for messages in 1..=10 {
        let risks = [0.5, 0.1, 0.01].map(|loss| least_risk(messages, loss));
        page.line(format_args!(
            "  {messages:>8}  {:>11.2e}   {:>11.2e}   {:>11.2e}",
            risks[0], risks[1], risks[2]
        ));
        stands &= risks
            .iter()
            .zip(before)
            .all(|(now, before)| *now > 0.0 && *now < before);
        before = risks;
    }
    page.verdict(
        stands,
        "each message makes it less likely, and none makes it certain.",
    );
}

/// Of the plans of this module with so many messages.
#[must_use]
pub fn least_risk(messages: usize, loss: f64) -> f64 {
    let forgiving = (0..messages).map(|forgiven| risk(&Handshake { messages, forgiven }, loss));
    forgiving.fold(risk(&Insistent { messages }, loss), f64::min)
}

fn texts(page: &mut Page, options: &GeneralsOptions, recorder: Option<&Recorder>) {
    page.head("The unanswered text");
    page.paragraph(
        "\"Pay one.\" No answer. Was the text lost, or the answer? The remedy is no certainty: the text \
         is sent again under its name, by a session, and whoever knows the name does it once and \
         answers as before. A thousand texts, three in ten messages lost:",
    );
    let mut rng = Rng::new(options.seed);
    begin_run(recorder, "Texts with a name, sent again until answered");
    let named = pay(1_000, 0.3, true, &mut rng, recorder);
    begin_run(recorder, "Texts without a name");
    let nameless = pay(1_000, 0.3, false, &mut rng, recorder);
    for (name, bill) in [("with a name", named), ("without", nameless)] {
        page.line(format_args!(
            "  {name:<12} sent {:>5} times, paid {:>5}",
            bill.sent, bill.paid
        ));
    }
    page.verdict(
        named.paid == named.texts && named.sent > named.texts && nameless.paid > nameless.texts,
        "sent again under its name each text was paid once; without a name some were paid twice.",
    );
}
