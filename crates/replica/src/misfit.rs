//! Whether what a node is started with belongs together: an incarnation, a log and a transport.
//!
//! Each is made by itself, and what one of them knows protects nothing if another one does not know it too.
//! [`Identity`](crate::Identity) makes all three of them alike; this is for whoever made one otherwise.

use synod_transport::{NodeId, Transport};
use synod_wal::{Lsn, Mark};

use crate::incarnation::{Born, Incarnation};
use crate::log::Log;

/// Why what a node was started with does not belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Misfit {
    /// The transport speaks in the name of another node.
    #[error("the transport speaks as node {}, and this is node {}", said.0, own.0)]
    Node {
        /// Which it says.
        said: NodeId,
        /// The node it was to speak for.
        own: NodeId,
    },
    /// The transport speaks in the name of the node, and for another incarnation, directory or cluster.
    #[error(
        "the transport does not say of node {} what its identity says: configure it by `tcp` of the identity that \
         the incarnation is of",
        own.0
    )]
    Hello {
        /// The node it was to speak for.
        own: NodeId,
    },
    /// A log was begun in the directory, and this one does not say which it is.
    #[error(
        "a log was begun in this directory, and the one that was given does not say which it is: one that is around \
         another log hands on its mark"
    )]
    Unmarked,
    /// The log is another one than the one that was begun in the directory.
    #[error("the log is another one than the one that was begun in this directory")]
    AnotherLog,
    /// The log holds less than was noted of it.
    #[error(
        "the log was durable up to lsn {least} and ends at lsn {end} now: what was acknowledged may be gone; open it \
         by `open_log` of the identity, which says so before anything is written"
    )]
    Lost {
        /// Up to where it reaches.
        end: Lsn,
        /// Up to where it was durable.
        least: Lsn,
    },
}

pub(crate) fn check(
    incarnation: &Incarnation,
    log: &dyn Log,
    transport: &dyn Transport,
) -> Result<(), Misfit> {
    let own = incarnation.node;
    if let Some(hello) = transport.hello() {
        let said = hello.node;
        if said != own {
            return Err(Misfit::Node { said, own });
        }
        if incarnation
            .born
            .as_ref()
            .is_some_and(|born| born.hello != hello)
        {
            return Err(Misfit::Hello { own });
        }
    }
    match &incarnation.born {
        Some(Born {
            log: Some(least), ..
        }) => check_log(*least, log.mark()),
        _ => Ok(()),
    }
}

fn check_log(least: Mark, found: Option<Mark>) -> Result<(), Misfit> {
    let found = found.ok_or(Misfit::Unmarked)?;
    if least.is_kept_by(&found) {
        return Ok(());
    }
    // One that is empty has drawn a salt of its own.
    if found.salt != least.salt && found.generation > 0 {
        return Err(Misfit::AnotherLog);
    }
    let (end, least) = (found.end, least.end);
    Err(Misfit::Lost { end, least })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_must_be_the_one_that_was_noted_and_hold_that_much() {
        let mark = |salt, generation, end| Mark {
            salt,
            generation,
            end: Lsn(end),
        };
        let least = mark(7, 2, 30);
        let lost = |end| {
            Err(Misfit::Lost {
                end: Lsn(end),
                least: Lsn(30),
            })
        };
        for (found, expected) in [
            (None, Err(Misfit::Unmarked)),
            (Some(least), Ok(())),
            (Some(mark(7, 2, 31)), Ok(())),
            (Some(mark(7, 3, 31)), Ok(())),
            (Some(mark(8, 2, 30)), Err(Misfit::AnotherLog)),
            (Some(mark(8, 0, 0)), lost(0)),
            (Some(mark(7, 0, 0)), lost(0)),
            (Some(mark(7, 2, 29)), lost(29)),
            (Some(mark(7, 1, 29)), lost(29)),
        ] {
            assert_eq!(check_log(least, found), expected, "{found:?}");
        }
    }
}
