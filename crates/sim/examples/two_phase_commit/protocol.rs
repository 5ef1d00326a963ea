//! The protocol, as its author wrote it: values without I/O.

use std::fmt;

/// What is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Decision {
    Commit,
    Abort,
}

/// What is said. Participants are numbered from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Message {
    Prepare,
    Vote { of: usize, yes: bool },
    Decide(Decision),
}

/// Who takes part.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Node {
    Coordinator {
        votes: Vec<usize>,
        decided: Option<Decision>,
    },
    Participant {
        number: usize,
        voted: Option<bool>,
        decided: Option<Decision>,
    },
    /// It has crashed and does not come back.
    Gone,
}

impl Node {
    /// A coordinator, and so many participants.
    pub(crate) fn group(participants: usize) -> Vec<Self> {
        let coordinator = Self::Coordinator {
            votes: Vec::new(),
            decided: None,
        };
        let participant = |number| Self::Participant {
            number,
            voted: None,
            decided: None,
        };
        let participants = (1..=participants).map(participant);
        [coordinator].into_iter().chain(participants).collect()
    }

    /// The coordinator begins.
    pub(crate) fn begin(&mut self) -> Vec<Message> {
        match self {
            Self::Coordinator { .. } => vec![Message::Prepare],
            Self::Participant { .. } | Self::Gone => Vec::new(),
        }
    }

    /// A participant that has not voted waits no longer.
    pub(crate) fn give_up(&mut self) -> Vec<Message> {
        match self {
            Self::Participant {
                number,
                voted: voted @ None,
                decided,
            } => {
                (*voted, *decided) = (Some(false), Some(Decision::Abort));
                let (of, yes) = (*number, false);
                vec![Message::Vote { of, yes }]
            }
            _ => Vec::new(),
        }
    }

    /// A message arrives.
    pub(crate) fn handle(&mut self, message: Message) -> Vec<Message> {
        match (self, message) {
            (
                Self::Participant {
                    number,
                    voted: voted @ None,
                    ..
                },
                Message::Prepare,
            ) => {
                *voted = Some(true);
                let (of, yes) = (*number, true);
                vec![Message::Vote { of, yes }]
            }
            (
                Self::Participant {
                    decided: decided @ None,
                    ..
                },
                Message::Decide(decision),
            ) => {
                *decided = Some(decision);
                Vec::new()
            }
            (
                Self::Coordinator {
                    votes,
                    decided: decided @ None,
                },
                Message::Vote { of, yes },
            ) => {
                if yes && !votes.contains(&of) {
                    votes.push(of);
                    votes.sort_unstable();
                }
                *decided = match (yes, votes.len()) {
                    (false, _) => Some(Decision::Abort),
                    (true, PARTICIPANTS) => Some(Decision::Commit),
                    (true, _) => None,
                };
                decided.map(Message::Decide).into_iter().collect()
            }
            _ => Vec::new(),
        }
    }

    /// What it has decided, or was told.
    pub(crate) fn decided(&self) -> Option<Decision> {
        match self {
            Self::Coordinator { decided, .. } | Self::Participant { decided, .. } => *decided,
            Self::Gone => None,
        }
    }

    /// Whether it has voted yes and does not know what came of it.
    pub(crate) fn is_in_doubt(&self) -> bool {
        let is_told = self.decided().is_some();
        matches!(
            self,
            Self::Participant {
                voted: Some(true),
                ..
            }
        ) && !is_told
    }

    /// Whether it takes such a message.
    pub(crate) fn hears(&self, message: Message) -> bool {
        match self {
            Self::Coordinator { .. } => matches!(message, Message::Vote { .. }),
            Self::Participant { .. } => !matches!(message, Message::Vote { .. }),
            Self::Gone => false,
        }
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prepare => write!(f, "Prepare"),
            Self::Vote { of, yes: true } => write!(f, "Vote({of}, yes)"),
            Self::Vote { of, yes: false } => write!(f, "Vote({of}, no)"),
            Self::Decide(decision) => write!(f, "Decide({decision:?})"),
        }
    }
}

/// How many votes there must be.
pub(crate) const PARTICIPANTS: usize = 2;
