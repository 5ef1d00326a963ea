use alloc::vec::Vec;

use bytes::Bytes;

use crate::{
    Ballot, Config, Configuration, Counters, Fetch, FetchError, Instant, Message, NodeId, Output,
    Position, ProposeError, ReadError, ReadId, Receipt, RecoverError, Recovered, Snapshot, Status,
    Vote,
};

/// One node of a Multi-Paxos group.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Paxos {
    config: Config,
    configuration: Configuration,
}

#[allow(missing_docs, unused_variables, clippy::missing_errors_doc)]
impl Paxos {
    pub fn new<I, E>(
        config: Config,
        recovered: Recovered<I>,
        now: Instant,
    ) -> Result<Self, RecoverError<E>>
    where
        I: Iterator<Item = Result<Vote, E>>,
    {
        config.validate()?;
        let configuration = Configuration {
            quorums: config.quorums.clone(),
        };
        Ok(Self {
            config,
            configuration,
        })
    }
    pub fn handle_message(&mut self, now: Instant, from: NodeId, message: Message) {}
    pub fn handle_timeout(&mut self, now: Instant) {}
    pub fn handle_persisted(&mut self, now: Instant, receipt: Receipt) {}
    pub fn handle_fetched(
        &mut self,
        now: Instant,
        fetch: Fetch,
        votes: Result<Vec<Vote>, FetchError>,
    ) {
    }
    pub fn handle_snapshot(&mut self, now: Instant, snapshot: Snapshot) {}
    pub fn handle_pull_failed(&mut self, now: Instant, snapshot: &Snapshot) {}
    pub fn propose(&mut self, now: Instant, body: Bytes) -> Result<Position, ProposeError> {
        Err(ProposeError::NotLeader(None))
    }
    pub fn read(&mut self, now: Instant, id: ReadId) -> Result<(), ReadError> {
        Err(ReadError::NotLeader(None))
    }
    pub fn poll_output(&mut self) -> Option<Output> {
        None
    }
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }
    #[must_use]
    pub fn leader(&self) -> Option<NodeId> {
        None
    }
    #[must_use]
    pub fn ballot(&self) -> Ballot {
        Ballot::ZERO
    }
    #[must_use]
    pub fn configuration(&self) -> &Configuration {
        &self.configuration
    }
    #[must_use]
    pub fn status(&self) -> Status {
        unreachable!()
    }
    #[must_use]
    pub fn counters(&self) -> Counters {
        Counters::default()
    }
    #[must_use]
    pub fn without_time(&self) -> Self {
        self.clone()
    }
}
