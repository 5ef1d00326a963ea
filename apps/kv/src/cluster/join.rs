//! Nodes that a cluster did not begin with.

use std::io;

use super::{Cluster, ClusterError, Node};
use crate::ports::Ports;

impl Cluster {
    /// Starts a further node, which waits until it is added, and tells its number, which is above all others.
    ///
    /// # Errors
    /// [`ClusterError::Io`], [`ClusterError::Process`]
    pub fn join(&mut self) -> Result<u64, ClusterError> {
        let ports = Ports::find(2)?;
        let found = ports.addresses()?;
        let ([[peer, resp]], _) = found.as_chunks() else {
            return Err(io::Error::from(io::ErrorKind::AddrNotAvailable).into());
        };
        let id = self.nodes.keys().max().copied().unwrap_or(0) + 1;
        let mut arguments: Vec<String> = vec!["--join".into(), "--listen".into(), peer.to_string()];
        let joined = self.nodes.range(self.options.nodes + 1..);
        let joined: Vec<_> = joined
            .map(|(id, node)| format!("{id}={}", node.peer))
            .collect();
        if !joined.is_empty() {
            arguments.extend(["--peers".into(), joined.join(",")]);
        }
        let node = Node {
            peer: *peer,
            resp: *resp,
            process: None,
            arguments,
            deaf: Vec::new(),
            says: None,
        };
        self.nodes.insert(id, node);
        self._ports.push(ports);
        self.restart(id)?;
        Ok(id)
    }
}
