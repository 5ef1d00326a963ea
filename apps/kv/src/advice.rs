//! What to do about a refusal, in one sentence: whoever reads of it has a cluster that is one node short.

use std::path::Path;

use synod_replica::IdentityError;
use synod_transport::Refused;
use synod_wal::OpenError;

/// About a peer that this node will not talk to; `None` for what passes, or is no operator's affair.
pub(crate) fn of_a_peer(refused: Refused, peer: u64, data: &Path) -> Option<String> {
    let data = data.display();
    Some(match refused {
        Refused::Disk => format!(
            "node {peer} stands on another disk than the one that it is known by here: if its disk was replaced \
             on purpose, stop this node, let it run `kv identity forget --node {peer} --data {data}`, and start \
             it again"
        ),
        Refused::Stale => format!(
            "node {peer} runs on its directory as it was in an earlier incarnation than the one that it was met in: \
             stop it and put the newest one back, since what it has acknowledged after that incarnation is gone from \
             this one"
        ),
        Refused::Twin => format!(
            "node {peer} runs on a copy of a directory that another process runs on, or ran on, under its name: stop \
             the copy"
        ),
        Refused::RolledBack => format!(
            "node {peer} runs on its directory as it was before the incarnation that it was met in last, or on a copy: \
             what it has acknowledged since is gone from that, so no incarnation of it is taken for the node any more. \
             If all other nodes are up and none of them is behind their leader: stop this node, let it run \
             `kv identity forget --node {peer} --data {data}`, and start it again"
        ),
        Refused::Founding => format!(
            "node {peer} is founded on something else than this node: start each of them with the same --protocol, \
             --cluster and --phase2, and with an empty directory whichever was begun with others"
        ),
        Refused::Full => format!(
            "there is no space on this node to note which disk node {peer} stands on: make some in {data}"
        ),
        Refused::Unstored => format!(
            "which disk node {peer} stands on cannot be stored in {data}: see whether this node's disk is well"
        ),
        _ => return None,
    })
}

/// About a directory that serves no node, or not this one.
pub(crate) fn of_an_identity(error: &IdentityError) -> Option<&'static str> {
    Some(match error {
        IdentityError::Node { .. } | IdentityError::Cluster { .. } => {
            "start it with the --id, --cluster-id and --data that belong together"
        }
        IdentityError::Founding { .. } => {
            "start it with the --protocol, --cluster and --phase2 of its birth"
        }
        IdentityError::Missing { .. } | IdentityError::Damaged => LOST,
        IdentityError::Version { .. } => OTHER_VERSION,
        _ => return None,
    })
}

/// About a log that does not open.
pub(crate) fn of_a_log(error: &OpenError) -> Option<&'static str> {
    Some(match error {
        OpenError::Corrupt(_) | OpenError::Missing { .. } | OpenError::Lost { .. } => LOST,
        OpenError::Another | OpenError::AnotherSnapshot { .. } => {
            "take out of --data what belongs to another directory, and put back what was there"
        }
        OpenError::Version { .. } => OTHER_VERSION,
        _ => return None,
    })
}

const LOST: &str = "put back what was there if you have it just as it was; else this disk is lost, and what to do then \
                    stands under `A disk was lost` in the README of kv";
const OTHER_VERSION: &str = "start it with the version of kv that it was written by";

#[cfg(test)]
mod tests {
    use synod_transport::{ClusterId, NodeId};
    use synod_wal::{Corruption, GroupId, Lsn};

    use super::*;

    #[test]
    fn each_refusal_of_a_peer_names_it_and_says_what_to_do() {
        let data = Path::new("d1");
        for refused in [
            Refused::Disk,
            Refused::RolledBack,
            Refused::Stale,
            Refused::Twin,
            Refused::Founding,
            Refused::Full,
            Refused::Unstored,
        ] {
            let told = of_a_peer(refused, 3, data).unwrap();
            assert!(told.contains("node 3 ") && told.contains(": "), "{told}");
        }
        assert_eq!(of_a_peer(Refused::Misdirected, 3, data), None);
    }

    #[test]
    fn each_refusal_of_the_own_directory_says_what_to_do() {
        let text = String::new;
        let (found, asked) = (ClusterId(1), ClusterId(2));
        let identities = [
            IdentityError::Node {
                found: NodeId(1),
                asked: NodeId(2),
            },
            IdentityError::Cluster { found, asked },
            IdentityError::Founding {
                found: text(),
                asked: text(),
            },
            IdentityError::Missing { file: text() },
            IdentityError::Damaged,
            IdentityError::Version { found: 0, known: 1 },
        ];
        for error in identities {
            assert!(of_an_identity(&error).is_some(), "{error}");
        }
        let bad = Corruption {
            segment: 1,
            offset: 0,
            lsn: Lsn(1),
        };
        let logs = [
            OpenError::Corrupt(bad),
            OpenError::Missing { generation: 1 },
            OpenError::Lost {
                end: Lsn(0),
                least: Lsn(1),
            },
            OpenError::Another,
            OpenError::AnotherSnapshot {
                group: GroupId(1),
                index: 1,
            },
            OpenError::Version {
                segment: 1,
                version: 9,
            },
        ];
        for error in logs {
            assert!(of_a_log(&error).is_some(), "{error}");
        }
    }
}
