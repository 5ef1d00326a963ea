//! The unanswered text, sent again: to a receiver that knows it by its name, and to one that does not.

use std::collections::BTreeMap;

use synod_sim::Rng;
use synod_sim::page::Recorder;

use super::shown::Wire;

/// Who sent a text, and which of its texts it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// The session.
    pub session: u64,
    /// Rises with each text of the session, from 1.
    pub sequence: u64,
}

/// An account that pays what it is told.
#[derive(Clone, Debug, Default)]
pub struct Account {
    paid: u64,
    /// Of each session the last text that was carried out, and what was answered: a session has one
    /// text under way at a time, so one entry is enough.
    sessions: BTreeMap<u64, (u64, u64)>,
}

/// What became of some payments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bill {
    /// How many texts there were.
    pub texts: u64,
    /// How often one was sent.
    pub sent: u64,
    /// How much was paid, one for each text being right.
    pub paid: u64,
}

impl Account {
    /// Pays one, and answers how much it has paid in all. A text that it knows by its name is answered
    /// as before and not carried out again.
    pub fn pay(&mut self, name: Name) -> u64 {
        let (last, answer) = self
            .sessions
            .get(&name.session)
            .copied()
            .unwrap_or_default();
        if name.sequence <= last {
            return answer;
        }
        let answer = self.pay_nameless();
        self.sessions.insert(name.session, (name.sequence, answer));
        answer
    }

    /// Pays one, whoever asks.
    pub fn pay_nameless(&mut self) -> u64 {
        self.paid += 1;
        self.paid
    }
}

/// Sends texts over a channel that loses each message, answers too, with probability `loss`. Whoever
/// has no answer sends again: it can never know whether text or answer was lost.
///
/// A recorder is given the first few of them.
pub fn pay(texts: u64, loss: f64, named: bool, rng: &mut Rng, recorder: Option<&Recorder>) -> Bill {
    let mut wire = Wire::new(recorder);
    let mut account = Account::default();
    let mut bill = Bill {
        texts,
        ..Bill::default()
    };
    for sequence in 1..=texts {
        let name = Name {
            session: 7,
            sequence,
        };
        let mut is_answered = false;
        wire.asks(sequence, named);
        while !is_answered && bill.sent < SENT_MAX {
            bill.sent += 1;
            let is_lost = rng.chance(loss);
            wire.sends(is_lost);
            if is_lost {
                continue;
            }
            let paid = match named {
                true => account.pay(name),
                false => account.pay_nameless(),
            };
            is_answered = !rng.chance(loss);
            wire.answers(account.paid, paid, is_answered);
        }
    }
    bill.paid = account.paid;
    bill
}

const SENT_MAX: u64 = 1_000_000;
