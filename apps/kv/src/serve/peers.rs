//! Whom a node knows when it starts.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use synod_replica::{Members, owner};
use synod_transport::{NodeId, shared_address};
use synod_wal::Disk;
use tracing::warn;

use super::{ServeError, advised};
use crate::{advice, group::Replicated, options::ServeOptions};

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

/// The nodes that the cluster began with: at the first start those in `--cluster`, and afterwards those that
/// the directory was founded on, whatever `--cluster` says by then.
pub(super) fn founders<D: Disk>(
    options: &ServeOptions,
    disk: &D,
) -> Result<BTreeSet<NodeId>, ServeError> {
    let asked = options.cluster.iter().map(|member| NodeId(member.id));
    let asked: BTreeSet<_> = asked.collect();
    let owner = owner(disk).map_err(advised("identity", advice::of_an_identity))?;
    match owner {
        Some(owner) => {
            let founded = options.agreement.protocol.voters_of(&owner.founding);
            Ok(founded.unwrap_or(asked))
        }
        // A cluster that began with a state has begun with it on every node: a majority of nodes that
        // begin without would lose it.
        None if began_with_a_state(options.cluster_id) && !options.join => {
            Err(ServeError::Empty(options.data.clone()))
        }
        None => Ok(asked),
    }
}

/// Says once that `--cluster` is not what the log says, if so.
pub(super) async fn compare(options: ServeOptions, group: Replicated) {
    if let Some(members) = group.members().await
        && let Some(told) = contradiction(&options, &members)
    {
        warn!("{told}");
    }
}

/// What to say of a `--cluster` that is not what the log says, which counts.
fn contradiction(options: &ServeOptions, members: &Members) -> Option<String> {
    let said = options.cluster.iter();
    let said: BTreeMap<_, _> = said
        .map(|member| (NodeId(member.id), &*member.address))
        .collect();
    let is_said = |(id, member): (NodeId, &synod_replica::Member)| {
        let address = said.get(&id);
        address.is_some_and(|address| member.address.is_empty() || member.address == **address)
    };
    // A node that waits to be added knows of none; and of a node that joined, --cluster names those that
    // the cluster began with.
    let (count, is_known) = (members.iter().count(), members.contains(NodeId(options.id)));
    if options.join || !is_known || (count == said.len() && members.iter().all(is_said)) {
        return None;
    }
    let mut told = String::from("--cluster is ignored: the members are");
    for (id, member) in members.iter() {
        let at = match &*member.address {
            "" => said.get(&id).copied().unwrap_or("?"),
            address => address,
        };
        let _written = write!(told, " {}={at}", id.0);
    }
    told.push_str(" by the log, which counts since the first start");
    Some(told)
}

/// Whether a cluster of this number began with a state: `kv restore` and `kv recover` draw numbers from the
/// upper half, where nobody chooses one by hand.
pub(crate) fn began_with_a_state(cluster: u128) -> bool {
    cluster >= DRAWN_MIN
}

/// The lowest number of a cluster that began with a state.
pub(crate) const DRAWN_MIN: u128 = 1 << 127;

#[cfg(test)]
mod tests {
    use clap::Parser;
    use synod_replica::Member;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: ServeOptions,
    }

    fn options(cluster: &str) -> ServeOptions {
        let line = [
            "kv",
            "--id",
            "1",
            "--resp",
            "h:1",
            "--data",
            "d",
            "--cluster",
            cluster,
        ];
        Line::parse_from(line).options
    }

    #[test]
    fn a_cluster_that_is_not_the_logs_is_told_in_a_line() {
        let mut members = Members::default();
        for (id, at) in [(1, "a:1"), (2, "")] {
            members.voters.insert(NodeId(id), Member::at(at));
        }
        for same in ["1=a:1,2=b:1", "2=c:1,1=a:1"] {
            assert_eq!(contradiction(&options(same), &members), None, "{same}");
        }
        for (other, told) in [
            ("1=a:1,2=b:1,3=c:1", "1=a:1 2=b:1"),
            ("1=a:1,3=c:1", "1=a:1 2=?"),
            ("1=b:1,2=c:1", "1=a:1 2=c:1"),
        ] {
            let expected = format!(
                "--cluster is ignored: the members are {told} by the log, which counts since the first start"
            );
            assert_eq!(contradiction(&options(other), &members), Some(expected));
        }
        assert_eq!(contradiction(&options("1=a:1"), &Members::default()), None);
    }
}
