//! Changes of the members, as whoever asked for them sees them.

use tokio::sync::oneshot;

use crate::engine::Engine;
use crate::machine::Reason;
use crate::members::{Change, ChangeEnd, ChangeError, Members};
use crate::protocol::Protocol;
use crate::time::Instant;

/// Receives the end of a change.
pub(crate) type Ended = oneshot::Sender<Result<(), ChangeError>>;

/// What is asked for.
pub(crate) enum Asked {
    Change(Change),
    Abort,
}

/// Requests whose changes have begun.
#[derive(Default)]
pub(crate) struct Changes {
    waiting: Vec<Waiting>,
}

struct Waiting {
    /// What the members will be. `None`: what they were.
    target: Option<Members>,
    deadline: Instant,
    ended: Ended,
}

impl Changes {
    /// Begins a change, joins one that is under way, or leads it back.
    pub(crate) fn begin<P: Protocol, T>(
        &mut self,
        now: Instant,
        engine: &mut Engine<P, T>,
        asked: &Asked,
        deadline: Instant,
        ended: Ended,
    ) {
        let begun = match asked {
            _ if self.waiting.len() >= WAITING_MAX => Err(ChangeError::Closed(Reason::Busy)),
            Asked::Change(change) => engine.change_members(now, change).map(Some),
            Asked::Abort => engine.abort_change(now).map(|()| None),
        };
        match begun {
            Ok(target) => self.waiting.push(Waiting {
                target,
                deadline,
                ended,
            }),
            // Whoever asked may be gone.
            Err(error) => drop(ended.send(Err(error))),
        }
    }

    /// Tells those whose change has ended, or whose time is up.
    pub(crate) fn look<P: Protocol, T>(&mut self, now: Instant, engine: &mut Engine<P, T>) {
        if self.waiting.is_empty() {
            return;
        }
        let (leader, own) = (engine.leader(), engine.node());
        let members = engine.members();
        let status = engine.status().core;
        let (under_way, last) = (status.change, status.change_end);
        for waiting in std::mem::take(&mut self.waiting) {
            let is_there = waiting
                .target
                .as_ref()
                .is_none_or(|target| *target == *members);
            let goes_on = under_way.as_ref().is_some_and(|change| {
                let target = waiting.target.as_ref();
                target.is_none_or(|target| *target == change.target)
            });
            let end = match under_way {
                None if is_there => Ok(()),
                // What the members are here may be behind what the next leader has.
                _ if leader != Some(own) => Err(ChangeError::LeaderLost(leader)),
                _ if goes_on && waiting.deadline > now => {
                    self.waiting.push(waiting);
                    continue;
                }
                _ if goes_on => Err(ChangeError::GoesOn),
                _ => Err(ChangeError::Ended(last.unwrap_or(ChangeEnd::Aborted))),
            };
            let _gone = waiting.ended.send(end);
        }
    }

    /// The group serves nothing any more.
    pub(crate) fn close(&mut self, reason: Reason) {
        for waiting in self.waiting.drain(..) {
            let _gone = waiting.ended.send(Err(ChangeError::Closed(reason)));
        }
    }

    /// When somebody's time is up.
    pub(crate) fn wake(&self) -> Option<Instant> {
        self.waiting.iter().map(|waiting| waiting.deadline).min()
    }
}

/// Requests that wait for one change, at the most.
const WAITING_MAX: usize = 64;
