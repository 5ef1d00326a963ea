//! Checks that the parts a node is started with belong together: an incarnation, a log and a
//! transport.
//!
//! Each part is built separately, and the checks of one are useless if another does not take part
//! in them. [`Identity`](crate::Identity) builds all three to match; this check is for parts that
//! were built in another way.

use synod_transport::{NodeId, Transport};
use synod_wal::{Lsn, Mark};

use crate::incarnation::{Born, Incarnation};
use crate::log::Log;

/// Why the parts that a node was started with do not belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Misfit {
    /// The transport is configured for another node.
    #[error("the transport is configured for node {}, but this is node {}", said.0, own.0)]
    Node {
        /// The node that the transport is configured for.
        said: NodeId,
        /// The node that was started.
        own: NodeId,
    },
    /// The transport is configured for this node, but for another incarnation, directory or
    /// cluster.
    #[error(
        "the transport of node {} does not match its identity: configure it with `tcp` of the identity that the \
         incarnation is from",
        own.0
    )]
    Hello {
        /// The node that was started.
        own: NodeId,
    },
    /// A log was begun in the directory, but the given log does not identify itself.
    #[error(
        "a log was begun in this directory, but the given one has no mark to identify it: a log that wraps another \
         must pass on its mark"
    )]
    Unmarked,
    /// The log is not the one that was begun in the directory.
    #[error("the log is not the one that was begun in this directory")]
    AnotherLog,
    /// The log holds less than the directory has recorded.
    #[error(
        "the log was durable up to lsn {least} and now ends at lsn {end}: acknowledged entries may be lost; open it \
         with `open_log` of the identity, which reports this before anything is written"
    )]
    Lost {
        /// Where the log ends now.
        end: Lsn,
        /// The end that was recorded as durable.
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
    // An empty log has drawn a salt of its own.
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
