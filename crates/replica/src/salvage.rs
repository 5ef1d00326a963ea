//! What a directory holds of a group, whether the group has decided it or not: for the way back from a
//! lost majority.

use std::convert::Infallible;

use bytes::Bytes;
use synod_wal::{Disk, GroupId, Options, Tag};

use crate::applier::{Applier, ApplyError, Job};
use crate::identity::{LogOfError, log_of};
use crate::log::{Log, LogError};
use crate::machine::{Failure, StateMachine, Ticket};
use crate::members::Members;
use crate::protocol::{Configured, CoreStatus, Epoch, Kind, Position, Protocol, RecoverError};
use crate::time::Instant;

/// What was found, and how much of it is certain.
#[derive(Debug)]
#[non_exhaustive]
pub struct Salvaged<S> {
    /// The machine with everything that the directory holds applied.
    pub machine: S,
    /// Everything up to this index is known here to be decided. What is behind it may have been
    /// decided, and acknowledged, or not.
    pub decided: u64,
    /// The last index that the directory holds. Whatever was decided behind it is lost.
    pub last: u64,
    /// Slots before `last` of which the directory holds nothing: what was decided there is lost.
    pub missing: u64,
    /// The term or ballot in which that entry was first proposed. Of several directories of one group by
    /// Raft, the one with the highest, and among those the one with the last entry, holds most.
    pub epoch: Epoch,
    /// The members as the directory knows them last; none if that is only what it was founded on.
    pub members: Members,
}

/// Why nothing can be told of a directory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SalvageError {
    /// No node has run on the directory.
    #[error("no node has run on this directory")]
    Unborn,
    /// Its identity cannot be read.
    #[error(transparent)]
    Identity(#[from] crate::IdentityError),
    /// Its log does not open.
    #[error(transparent)]
    Open(#[from] synod_wal::OpenError),
    /// Its log cannot be read.
    #[error("the log cannot be read")]
    Log(#[from] LogError),
    /// Its log is not one of this protocol's.
    #[error(transparent)]
    Recover(#[from] RecoverError),
    /// Its state cannot be made.
    #[error(transparent)]
    Apply(#[from] ApplyError),
}

/// Applies everything that a directory holds of a group, in order, to a machine in the state of an
/// empty log. `config` is that of a node that [joins](Configured::joins): the log says who takes part.
/// Entries of which nobody knows whether they were decided are applied too: some of them may have been
/// acknowledged.
///
/// No incarnation begins, and the node must not run. A log that was torn by a crash is mended, as at a
/// start.
///
/// # Errors
/// [`SalvageError`]
pub fn salvage<D: Disk, C: Configured, S: StateMachine>(
    disk: D,
    options: Options,
    (group, config): (GroupId, C),
    machine: S,
) -> Result<Salvaged<S>, SalvageError> {
    let mut log = log_of(disk, options)?;
    let recovered = Log::recover(&mut log, group)?;
    let snapshot = recovered.snapshot.clone();
    let core = C::Protocol::recover(config, recovered, Instant::default())?;
    let members = core.members().map(C::Protocol::members_of);
    let CoreStatus { commit, last, .. } = core.status();

    let mut applier = Applier::new(group, machine, Bytes::new(), Log::snapshots(&log));
    if let Some(snapshot) = snapshot {
        applier.run::<Nobody>(Job::Restore(snapshot))?;
    }
    let mut missing = 0;
    for slot in Log::recover(&mut log, group)?.slots {
        let held = C::Protocol::held(slot?)?;
        if held.at.index <= applier.applied() || held.at.index > last {
            continue;
        }
        while applier.applied() + 1 < held.at.index {
            let index = applier.applied() + 1;
            let tag = Tag::default();
            apply(
                &mut applier,
                Position { index, tag },
                Kind::Noop,
                Bytes::new(),
            )?;
            missing += 1;
        }
        apply(&mut applier, held.at, held.kind, held.body)?;
    }
    Ok(Salvaged {
        decided: commit,
        last: applier.applied(),
        missing,
        epoch: C::Protocol::epoch(&applier.position()),
        members: members.unwrap_or_default(),
        machine: applier.into_machine(),
    })
}

fn apply<S: StateMachine>(
    applier: &mut Applier<S>,
    at: Position,
    kind: Kind,
    body: Bytes,
) -> Result<(), ApplyError> {
    let job = Job::<Nobody>::Apply {
        at,
        kind,
        body,
        tickets: Vec::new(),
        in_doubt: false,
    };
    applier.run(job).map(drop)
}

/// Nobody waits for what is applied.
struct Nobody(Infallible);

impl<S: StateMachine> Ticket<S> for Nobody {
    fn applied(self, _: S::Response) {
        match self.0 {}
    }

    fn read(self, _: &S, _: Option<Instant>) {
        match self.0 {}
    }

    fn failed(self, _: Failure) {
        match self.0 {}
    }
}

impl From<LogOfError> for SalvageError {
    fn from(error: LogOfError) -> Self {
        match error {
            LogOfError::Unborn => Self::Unborn,
            LogOfError::Identity(error) => Self::Identity(error),
            LogOfError::Log(error) => Self::Open(error),
        }
    }
}
