//! The client's side of a session: which names are out, and what an answer means for them.

use std::collections::BTreeMap;

use super::{Sequence, SessionId, SessionName};

/// Gives out the names of a session, and says of each answer whether to ask again.
///
/// A value; it sends nothing. A name that is [out](Self::name) stays out until an answer [ends](Self::heard) it, and is
/// asked again as it was, through any node.
///
/// ```
/// use synod_replica::{Heard, Next, SessionClient, SessionId};
///
/// let mut client = SessionClient::new(SessionId(7), 2);
/// let (first, second) = (client.name().unwrap(), client.name().unwrap());
/// // More than the window would push the first out of it.
/// assert_eq!(client.name(), None);
/// assert_eq!(client.heard(first, Heard::Unknown), Next::AskAgain);
/// // This attempt had no effect; the one before may have had.
/// assert_eq!(client.heard(first, Heard::Rejected), Next::AskAgain);
/// assert_eq!(client.heard(first, Heard::Answer), Next::Answered);
/// assert_eq!(client.heard(second, Heard::Rejected), Next::NotApplied);
/// ```
#[derive(Clone, Debug)]
pub struct SessionClient {
    session: SessionId,
    window: u64,
    next: u64,
    /// Names that are out, and whether an attempt under them may have taken effect.
    out: BTreeMap<Sequence, bool>,
}

/// What was heard of one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The machine's response.
    Answer,
    /// [`Failure::Rejected`](crate::Failure::Rejected): this attempt takes no effect.
    Rejected,
    /// [`Failure::Unknown`](crate::Failure::Unknown), a connection that broke, or nothing in time.
    Unknown,
    /// [`SessionRefusal::Expired`](super::SessionRefusal::Expired).
    Expired,
    /// [`SessionRefusal::ReplyGone`](super::SessionRefusal::ReplyGone).
    ReplyGone,
    /// [`SessionRefusal::Behind`](super::SessionRefusal::Behind).
    Behind,
}

/// What follows for the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It took effect once, and this is its answer.
    Answered,
    /// Nobody knows yet: ask again under the same name.
    AskAgain,
    /// It took no effect and never will.
    NotApplied,
    /// It took effect once; what it answered is lost.
    Applied,
    /// It takes no effect from now on, and whether it did can no longer be learned.
    Lost,
}

impl SessionClient {
    /// For a session that was just opened, with [`SessionLimits::window`](super::SessionLimits) of its group.
    #[must_use]
    pub fn new(session: SessionId, window: u64) -> Self {
        Self {
            session,
            window: window.max(1),
            next: 1,
            out: BTreeMap::new(),
        }
    }

    /// The session.
    #[must_use]
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// A name for a new command; `None` while the oldest name that is out would fall behind the window.
    pub fn name(&mut self) -> Option<SessionName> {
        let sequence = Sequence(self.next);
        let oldest = self
            .out
            .first_key_value()
            .map_or(sequence, |(oldest, _)| *oldest);
        if sequence.0 - oldest.0 >= self.window {
            return None;
        }
        self.next += 1;
        self.out.insert(sequence, false);
        Some(SessionName {
            session: self.session,
            sequence,
        })
    }

    /// Names that are out, the oldest first.
    pub fn out(&self) -> impl Iterator<Item = SessionName> {
        self.out.keys().map(|sequence| SessionName {
            session: self.session,
            sequence: *sequence,
        })
    }

    /// What an answer means. A name is out until this says anything but [`Next::AskAgain`]; of a name that is not,
    /// there is nothing more to learn.
    pub fn heard(&mut self, name: SessionName, heard: Heard) -> Next {
        let is_ours = name.session == self.session;
        let Some(in_doubt) = self.out.get_mut(&name.sequence).filter(|_| is_ours) else {
            return Next::Lost;
        };
        let next = match heard {
            Heard::Answer => Next::Answered,
            Heard::ReplyGone => Next::Applied,
            Heard::Unknown => {
                *in_doubt = true;
                return Next::AskAgain;
            }
            Heard::Rejected if *in_doubt => return Next::AskAgain,
            Heard::Rejected => Next::NotApplied,
            // Had the first attempt been applied, there would have been an answer to it.
            Heard::Expired | Heard::Behind if !*in_doubt => Next::NotApplied,
            Heard::Expired | Heard::Behind => Next::Lost,
        };
        self.out.remove(&name.sequence);
        next
    }
}
