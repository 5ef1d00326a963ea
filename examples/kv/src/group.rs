//! The map as a replicated state machine, and a group of its replicas as a store.

use std::{future::Future, io};

use bytes::Bytes;
use synod_replica::{Applying, Consistency, Group, Outcome, StateMachine};

use crate::{
    machine::{Kv, Response},
    snapshot,
    store::{Consensus, Failure, Store},
};

impl StateMachine for Kv {
    type Response = Response;
    /// A clone shares all shards.
    type Frozen = Self;

    fn apply(&mut self, _: Applying, command: &[u8]) -> Response {
        self.execute(command)
    }

    fn freeze(&self) -> Self {
        self.clone()
    }

    fn write(frozen: Self, to: &mut dyn io::Write) -> io::Result<()> {
        snapshot::write(&frozen, to)
    }

    fn restore(&mut self, from: &mut dyn io::Read) -> io::Result<()> {
        *self = snapshot::read(from)?;
        Ok(())
    }
}

impl Store for Group<Kv> {
    fn write(
        &self,
        command: Bytes,
    ) -> impl Future<Output = Result<Response, Failure>> + Send + 'static {
        let outcome = self.propose(command);
        async { result(outcome.await) }
    }

    fn read<R: Send + 'static>(
        &self,
        with: impl FnOnce(&Kv) -> R + Send + 'static,
    ) -> impl Future<Output = Result<R, Failure>> + Send + 'static {
        let outcome = Self::read(self, Consistency::Linearizable, with);
        async { result(outcome.await) }
    }

    fn consensus(&self) -> Consensus {
        let status = self.status();
        Consensus {
            protocol: status.protocol,
            id: status.id.0,
            role: status.role.to_string(),
            leader_id: status.leader.map(|leader| leader.0),
            term: status.term,
            commit_index: status.commit,
            applied_index: status.applied,
            log_bytes: status.log_bytes,
            log_syncs: status.log_syncs,
            snapshots_taken: status.snapshots_taken,
            snapshots_received: status.snapshots_received,
        }
    }
}

fn result<R>(outcome: Outcome<R>) -> Result<R, Failure> {
    match outcome {
        Outcome::Ok(response) => Ok(response),
        Outcome::Rejected { reason, leader } => Err(Failure::Rejected {
            reason,
            leader: leader.map(|leader| leader.0),
        }),
        Outcome::Unknown => Err(Failure::Unknown),
    }
}
