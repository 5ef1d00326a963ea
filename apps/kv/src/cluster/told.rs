//! What nodes are told while they run: by signals, on their standard input, and as an operator asks them.

use std::{io, time::Duration};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::AsyncWriteExt,
    time::{Instant, sleep, timeout},
};

use super::{Cluster, ClusterError, Node, POLL_EVERY, tail};
use crate::{
    client::Client,
    exit::ExitStatus,
    faults::{self, DiskCommand},
    links,
};

impl Cluster {
    /// Tells every node that runs what to do to its links, and waits until all have done it. How many messages their
    /// cuts have swallowed so far, all together. For a cluster whose [`Listener`](super::Listener) is the commander.
    ///
    /// # Errors
    /// [`ClusterError::Deaf`], [`ClusterError::Process`]
    pub(crate) async fn command(&mut self, command: &links::Command) -> Result<u64, ClusterError> {
        let mut swallowed = 0;
        for (id, node) in &mut self.nodes {
            if node.process.is_some() {
                swallowed += tell(*id, node, &command.to_string(), links::swallowed).await?;
            }
        }
        Ok(swallowed)
    }

    /// Tells a node what its disk is to do, and waits until it does. How often the disk was met as it was until now.
    ///
    /// # Errors
    /// [`ClusterError::Deaf`], [`ClusterError::Process`]
    pub(crate) async fn command_disk(
        &mut self,
        id: u64,
        command: DiskCommand,
    ) -> Result<u64, ClusterError> {
        let node = self.nodes.get_mut(&id).ok_or(ClusterError::Deaf(id))?;
        tell(id, node, &command.to_string(), faults::met).await
    }

    /// Asks a node by SIGTERM to stop, and waits until it has, in order.
    ///
    /// # Errors
    /// [`ClusterError::Otherwise`], [`ClusterError::Process`]
    pub async fn stop(&mut self, id: u64) -> Result<(), ClusterError> {
        let process = self
            .process_id(id)
            .and_then(|process| i32::try_from(process).ok());
        if let Some(process) = process.and_then(Pid::from_raw) {
            let of = |error: rustix::io::Errno| ClusterError::Process {
                id,
                error: error.into(),
            };
            kill_process(process, Signal::TERM).map_err(of)?;
        }
        self.ends_as(id, ExitStatus::Stopped).await
    }

    /// Waits until a node has ended by itself, as one that was removed, and knows it no more.
    ///
    /// # Errors
    /// [`ClusterError::Otherwise`], [`ClusterError::Process`]
    pub(crate) async fn leaves(&mut self, id: u64) -> Result<(), ClusterError> {
        self.ends_as(id, ExitStatus::Removed).await?;
        self.nodes.remove(&id);
        Ok(())
    }

    /// Knows a node no more, which does not run.
    pub(crate) fn forget(&mut self, id: u64) {
        self.nodes.remove(&id);
    }

    async fn ends_as(&mut self, id: u64, expected: ExitStatus) -> Result<(), ClusterError> {
        let status = match timeout(END_TIMEOUT, self.ended(id)).await {
            Ok(ended) => ended?,
            Err(_) => None,
        };
        if status.and_then(|status| status.code()) == Some(expected as i32) {
            return Ok(());
        }
        Err(ClusterError::Otherwise {
            id,
            status: status.map_or_else(|| "nothing: it runs".into(), |status| status.to_string()),
            log: tail(&self.log(id)),
        })
    }

    /// Asks whoever leads to change the members, as often as another does by then.
    ///
    /// # Errors
    /// [`ClusterError::Refused`], [`ClusterError::Leaderless`]
    pub async fn manage(&self, words: &str, wait_max: Duration) -> Result<(), ClusterError> {
        let args: Vec<&[u8]> = words.split(' ').map(str::as_bytes).collect();
        let deadline = Instant::now() + wait_max;
        loop {
            let leader = self.leader(wait_max).await?;
            let asked = async {
                Client::connect(self.address(leader))
                    .await?
                    .call(&args)
                    .await
            };
            let answer = match timeout(wait_max, asked).await {
                Ok(Ok(answer)) => match answer {
                    redis_protocol::resp2::types::BytesFrame::Error(text) => text.to_string(),
                    _ => return Ok(()),
                },
                Ok(Err(error)) => error.to_string(),
                Err(_) => "no answer".into(),
            };
            if Instant::now() > deadline {
                let words = words.to_owned();
                return Err(ClusterError::Refused { words, answer });
            }
            sleep(POLL_EVERY).await;
        }
    }
}

/// Says a line to a node, and waits for the count in its answer.
async fn tell(
    id: u64,
    node: &mut Node,
    line: &str,
    count: impl Fn(&str) -> Option<u64>,
) -> Result<u64, ClusterError> {
    let of = |error: io::Error| ClusterError::Process { id, error };
    let (Some(process), Some(says)) = (&mut node.process, &mut node.says) else {
        return Err(ClusterError::Deaf(id));
    };
    let stdin = process.stdin.as_mut().ok_or(ClusterError::Deaf(id))?;
    let line = format!("{line}\n");
    stdin.write_all(line.as_bytes()).await.map_err(of)?;
    let answer = async {
        while let Some(line) = says.next_line().await.map_err(of)? {
            if let Some(count) = count(&line) {
                return Ok(count);
            }
        }
        Err(ClusterError::Deaf(id))
    };
    let answer = timeout(COMMAND_TIMEOUT, answer).await;
    answer.map_err(|_| ClusterError::Deaf(id))?
}

/// An answer takes a node no longer than a turn of its loop.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(10);
/// A node that stops finishes what it has taken; one that was removed hears of it from the others.
const END_TIMEOUT: Duration = Duration::from_secs(20);
