//! Sessions: any order and repetition of names, against the plainest model.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use synod_replica::sessions::{close, limit, named, open, unnamed};
use synod_replica::{
    Bytes, Heard, Next, Sequence, SessionClient, SessionId, SessionLimits, SessionName,
    SessionRefusal, SessionReply, Sessions, StateMachine, conformance,
};

use super::{Journal, at, through_a_snapshot};

#[derive(Clone, Debug)]
enum Step {
    Open,
    Named(u64, u64),
    Unnamed,
    Close(u64),
    Limit(SessionLimits),
    /// Goes on with a machine that was restored from a snapshot.
    Restart,
}

impl Step {
    /// A named command is its name, so that what was applied tells under which.
    fn command(&self) -> Option<Bytes> {
        Some(match self {
            Self::Open => open(),
            Self::Named(session, sequence) => {
                let command = format!("{session}.{sequence}");
                named(name(*session, *sequence), command.as_bytes())
            }
            Self::Unnamed => unnamed(b"any"),
            Self::Close(session) => close(SessionId(*session)),
            Self::Limit(limits) => limit(*limits),
            Self::Restart => return None,
        })
    }
}

fn name(session: u64, sequence: u64) -> SessionName {
    SessionName {
        session: SessionId(session),
        sequence: Sequence(sequence),
    }
}

/// Keeps every name for ever, and what limits take away beside it.
#[derive(Debug)]
struct Model {
    limits: SessionLimits,
    next: u64,
    applied: u64,
    turn: u64,
    open: BTreeMap<u64, Open>,
    /// Replies that are kept, the oldest first: whose, and how long.
    kept: Vec<((u64, u64), u64)>,
}

#[derive(Debug)]
struct Open {
    used: u64,
    highest: u64,
    floor: u64,
    replies: BTreeMap<u64, u64>,
}

impl Model {
    fn apply(&mut self, step: &Step) -> SessionReply<u64> {
        self.turn += 1;
        let reply = match step {
            Step::Open => {
                let (used, highest, floor, replies) = (self.turn, 0, 0, BTreeMap::new());
                let open = Open {
                    used,
                    highest,
                    floor,
                    replies,
                };
                self.open.insert(self.next, open);
                self.next += 1;
                SessionReply::Opened(SessionId(self.next - 1))
            }
            Step::Named(session, sequence) => self.named(*session, *sequence),
            Step::Unnamed => {
                self.applied += 1;
                SessionReply::Answer(self.applied)
            }
            Step::Close(session) => match self.open.remove(session) {
                Some(_) => SessionReply::Done,
                None => SessionReply::Refused(SessionRefusal::Expired),
            },
            Step::Limit(limits) => {
                self.limits = *limits;
                SessionReply::Done
            }
            Step::Restart => unreachable!("it asks nothing"),
        };
        while self.open.len() as u64 > self.limits.sessions_max {
            let unused = *self
                .open
                .iter()
                .min_by_key(|(_, open)| open.used)
                .unwrap()
                .0;
            self.open.remove(&unused);
        }
        self.forget();
        reply
    }

    fn named(&mut self, session: u64, sequence: u64) -> SessionReply<u64> {
        let Some(open) = self.open.get_mut(&session) else {
            return SessionReply::Refused(SessionRefusal::Expired);
        };
        if let Some(reply) = open.replies.get(&sequence) {
            if !self
                .kept
                .iter()
                .any(|(kept, _)| *kept == (session, sequence))
            {
                return SessionReply::Refused(SessionRefusal::ReplyGone);
            }
            open.used = self.turn;
            return SessionReply::Answer(*reply);
        }
        if sequence < open.floor {
            return SessionReply::Refused(SessionRefusal::Behind);
        }
        self.applied += 1;
        open.used = self.turn;
        open.highest = open.highest.max(sequence);
        open.replies.insert(sequence, self.applied);
        open.floor = open
            .floor
            .max((open.highest + 1).saturating_sub(self.limits.window));
        open.replies.retain(|sequence, _| *sequence >= open.floor);
        let len = self.applied.to_string().len() as u64;
        if len <= self.limits.reply_bytes_max {
            self.kept.push(((session, sequence), len));
        }
        SessionReply::Answer(self.applied)
    }

    fn forget(&mut self) {
        let open = &self.open;
        self.kept.retain(|((session, sequence), _)| {
            open.get(session)
                .is_some_and(|open| open.replies.contains_key(sequence))
        });
        while self.kept_bytes() > self.limits.replies_bytes_max {
            self.kept.remove(0);
        }
    }

    fn kept_bytes(&self) -> u64 {
        self.kept.iter().map(|(_, len)| len).sum()
    }
}

fn limits() -> impl Strategy<Value = SessionLimits> {
    (1_u64..5, 1_u64..7, 0_u64..4, 0_u64..20).prop_map(
        |(sessions_max, window, reply_bytes_max, replies_bytes_max)| SessionLimits {
            sessions_max,
            window,
            reply_bytes_max,
            replies_bytes_max,
            idle: Duration::from_secs(60),
        },
    )
}

/// Few sessions and few names, so that they come again.
fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Open),
        20 => (0_u64..8, 0_u64..16).prop_map(|(session, sequence)| Step::Named(session, sequence)),
        1 => Just(Step::Unnamed),
        1 => (0_u64..8).prop_map(Step::Close),
        1 => limits().prop_map(Step::Limit),
        1 => Just(Step::Restart),
    ]
}

proptest! {
    #[test]
    fn agree_with_the_model_and_apply_each_name_once(
        limits in limits(),
        steps in prop::collection::vec(step(), 1..200),
    ) {
        let mut sessions = Sessions::new(Journal::default());
        let mut model = Model { limits, next: 1, applied: 0, turn: 0, open: BTreeMap::new(), kept: Vec::new() };
        let mut answers = BTreeMap::new();
        for (index, step) in (1..).zip([Step::Limit(limits)].iter().chain(&steps)) {
            let Some(command) = step.command() else {
                sessions = through_a_snapshot(&sessions, Sessions::new(Journal::default()));
                continue;
            };
            let reply = sessions.apply(at(index), command);
            prop_assert_eq!(&reply, &model.apply(step), "{:?}", step);
            prop_assert_eq!(sessions.len(), model.open.len());
            prop_assert_eq!(sessions.reply_bytes(), model.kept_bytes());
            if let (Step::Named(session, sequence), SessionReply::Answer(answer)) = (step, reply) {
                let first = *answers.entry((*session, *sequence)).or_insert(answer);
                prop_assert_eq!(first, answer, "{}.{} was answered otherwise before", session, sequence);
            }
        }
        let mut applied: Vec<_> = sessions.machine().commands.iter().filter(|command| *command != b"any").collect();
        let all = applied.len();
        applied.sort_unstable();
        applied.dedup();
        prop_assert_eq!(applied.len(), all, "applied twice");
    }

    /// A client over a channel that loses requests, loses answers and delivers what it has again and again.
    #[test]
    fn a_client_learns_what_became_of_everything(
        window in 1_u64..9,
        fates in prop::collection::vec(0_u8..5, 1..300),
    ) {
        let mut sessions = Sessions::new(Journal::default());
        let SessionReply::Opened(session) = sessions.apply(at(1), open()) else { panic!("no session") };
        let mut client = SessionClient::new(session, window);
        let (mut sent, mut answered, mut never) = (Vec::new(), 0, 0);
        let mut ask = |client: &mut SessionClient, name: SessionName, fate| {
            let command = named(name, name.to_string().as_bytes());
            sent.push(command.clone());
            let heard = match fate {
                0 => Heard::Rejected,
                1 => Heard::Unknown,
                _ => {
                    // Something else that is on its way arrives first.
                    let late = sent[sent.len() * usize::from(fate) / 9].clone();
                    let answers = [late, command].map(|command| sessions.apply(at(2), command));
                    match (&answers[1], fate) {
                        (_, 2) => Heard::Unknown,
                        (SessionReply::Answer(_), _) => Heard::Answer,
                        (other, _) => panic!("{other:?}"),
                    }
                }
            };
            match client.heard(name, heard) {
                Next::Answered => answered += 1,
                // What was rejected is not on its way.
                Next::NotApplied => { never += 1; sent.pop(); }
                Next::AskAgain => {}
                Next::Applied | Next::Lost => panic!("nothing was given up"),
            }
        };
        let mut asked = 0;
        for fate in fates {
            let name = match client.name() {
                Some(name) => { asked += 1; name }
                None => client.out().next().unwrap(),
            };
            ask(&mut client, name, fate);
        }
        loop {
            let Some(name) = client.out().next() else { break };
            ask(&mut client, name, 4);
        }
        prop_assert_eq!(answered + never, asked);
        prop_assert_eq!(sessions.machine().commands.len(), answered);
    }
}

#[test]
fn an_id_that_was_not_given_out_opens_nothing() {
    let mut sessions = Sessions::new(Journal::default());
    let expired = SessionReply::Refused(SessionRefusal::Expired);
    for session in [0, 1, 7, u64::MAX] {
        assert_eq!(
            sessions.apply(at(1), named(name(session, 1), b"x")),
            expired
        );
    }
    assert_eq!((sessions.len(), sessions.machine().commands.len()), (0, 0));
    // The first id, and names at the end of all numbers.
    assert_eq!(
        sessions.apply(at(2), open()),
        SessionReply::Opened(SessionId(1))
    );
    assert_eq!(
        sessions.apply(at(3), named(name(1, u64::MAX), b"x")),
        SessionReply::Answer(1)
    );
    assert_eq!(
        sessions.apply(at(4), named(name(1, u64::MAX), b"x")),
        SessionReply::Answer(1)
    );
    let behind = SessionReply::Refused(SessionRefusal::Behind);
    assert_eq!(sessions.apply(at(5), named(name(1, 1), b"x")), behind);
}

#[test]
fn conform() {
    let small = SessionLimits {
        sessions_max: 2,
        window: 3,
        reply_bytes_max: 2,
        replies_bytes_max: 6,
        ..SessionLimits::default()
    };
    let commands = [
        limit(small),
        open(),
        open(),
        named(name(1, 1), b"a"),
        named(name(2, 1), b"b"),
        named(name(2, 5), b"c"),
        unnamed(b"d"),
        close(SessionId(1)),
    ];
    conformance::state_machine(
        || Sessions::new(Journal::default()),
        |sessions| {
            (
                sessions.machine().clone(),
                sessions.len(),
                sessions.reply_bytes(),
                sessions.limits(),
            )
        },
        &commands,
    );
}
