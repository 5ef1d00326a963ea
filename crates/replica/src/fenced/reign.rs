//! The holder's side of a fence: what it may propose, and when its reign is over.

use bytes::Bytes;

use super::{FencedReply, ReignId, fenced};
use crate::machine::Failure;

/// A reign that has begun, as its holder has it.
///
/// A value: it numbers the commands, and ends with the first answer that is not "applied". Commands are to be
/// proposed in the order of their numbers, on the node that took over.
///
/// ```
/// use synod_replica::{Ended, Failure, FencedReply, Reign, ReignId};
///
/// let mut reign = Reign::begun(&Ok::<FencedReply<()>, Failure>(FencedReply::TookOver(ReignId(4)))).unwrap();
/// let command = reign.command(b"run job 7").unwrap();
/// # let _ = command;
/// assert_eq!(reign.heard(Ok(FencedReply::Applied("done"))), Ok("done"));
/// assert_eq!(reign.heard::<&str>(Err(Failure::Unknown)), Err(Ended::Unknown));
/// assert_eq!(reign.command(b"run job 8"), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reign {
    id: ReignId,
    next: u64,
    has_ended: bool,
}

/// Why a command has no response, and what is known of it. The reign has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Ended {
    /// A later reign is applied on this node: the command took no effect and never will.
    #[error("reign {0} is in force: the command took no effect and never will")]
    Deposed(ReignId),
    /// The command took no effect and never will: it was never decided, or it stands behind a gap.
    #[error("the command took no effect and never will")]
    NotApplied,
    /// The command may have taken effect, or may yet, until a later reign begins.
    #[error("whether the command takes effect is unknown until a later reign begins")]
    Unknown,
}

impl Reign {
    /// The reign that a take-over has begun; `None` for any other answer. After [`Failure::Unknown`] it may begin
    /// yet, and nobody holds it: take over again, with the number behind the one in force.
    #[must_use]
    pub fn begun<R>(answer: &Result<FencedReply<R>, Failure>) -> Option<Self> {
        match answer {
            Ok(FencedReply::TookOver(id)) => Some(Self {
                id: *id,
                next: 1,
                has_ended: false,
            }),
            _ => None,
        }
    }

    /// Which.
    #[must_use]
    pub fn id(&self) -> ReignId {
        self.id
    }

    /// The next command, as it is proposed; `None` if the reign has ended.
    pub fn command(&mut self, command: &[u8]) -> Option<Bytes> {
        if self.has_ended {
            return None;
        }
        let number = self.next;
        self.next += 1;
        Some(fenced(self.id, number, command))
    }

    /// Takes the answer to a command of this reign.
    ///
    /// # Errors
    /// [`Ended`] if it is anything but "applied".
    pub fn heard<R>(&mut self, answer: Result<FencedReply<R>, Failure>) -> Result<R, Ended> {
        let ended = match answer {
            Ok(FencedReply::Applied(response)) => return Ok(response),
            Ok(FencedReply::Deposed(by)) => Ended::Deposed(by),
            Err(Failure::Unknown) => Ended::Unknown,
            Ok(_) | Err(Failure::Rejected { .. }) => Ended::NotApplied,
        };
        self.has_ended = true;
        Err(ended)
    }
}
