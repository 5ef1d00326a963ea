//! Whom a node knows when it starts.

use std::collections::BTreeMap;

use synod_transport::{NodeId, shared_address};

use super::ServeError;
use crate::options::ServeOptions;

/// The nodes that the cluster began with, and others that it has by now.
pub(super) fn peers(options: &ServeOptions) -> Result<BTreeMap<NodeId, String>, ServeError> {
    let founders = &options.cluster;
    let all = founders.iter().chain(&options.peers);
    let peers: BTreeMap<_, _> = all
        .map(|member| (NodeId(member.id), member.address.clone()))
        .collect();
    let own = NodeId(options.id);
    let count = founders.len() + options.peers.len();
    if peers.len() != count || peers.contains_key(&own) == options.join {
        return Err(ServeError::Cluster(options.id));
    }
    match shared_address(&peers) {
        Some((one, two)) => Err(ServeError::SharedAddress {
            address: peers[&two].clone(),
            one: one.0,
            two: two.0,
        }),
        None => Ok(peers),
    }
}
