//! The peers of the transport, as the groups of a node name them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use synod_transport::NodeId;

use crate::members::Members;
use crate::time::Instant;

/// Where the members of all groups are reached.
///
/// A node that is no member any more is kept for a while: its leader tells it that it was removed.
#[derive(Default)]
pub(crate) struct Peers {
    /// Where nodes are reached of which no log says so.
    given: BTreeMap<NodeId, String>,
    /// Who stays a peer without being a member, and where they are reached.
    channel_peers: BTreeMap<NodeId, String>,
    /// The members that were last looked at.
    looked_at: Vec<Arc<Members>>,
    /// The peers that the transport was last given.
    told: BTreeMap<NodeId, String>,
    /// Who left, and when.
    left: BTreeMap<NodeId, Instant>,
    /// Whether the members, or who has left, were looked at anew.
    changed: bool,
}

impl Peers {
    pub(crate) fn new(
        given: BTreeMap<NodeId, String>,
        channel_peers: BTreeMap<NodeId, String>,
    ) -> Self {
        let mut told = channel_peers.clone();
        told.extend(given.clone());
        Self {
            told,
            given,
            channel_peers,
            ..Self::default()
        }
    }

    /// The peers, if others than the transport was last told of.
    pub(crate) fn look(
        &mut self,
        now: Instant,
        own: NodeId,
        groups: Vec<Arc<Members>>,
    ) -> Option<&BTreeMap<NodeId, String>> {
        let is_same = |(one, two): (&Arc<Members>, &Arc<Members>)| Arc::ptr_eq(one, two);
        let is_looked_at =
            groups.len() == self.looked_at.len() && groups.iter().zip(&self.looked_at).all(is_same);
        let is_over = self.wake().is_some_and(|at| at <= now);
        if is_looked_at && !is_over {
            return None;
        }
        (self.looked_at, self.changed) = (groups, true);
        let mut wanted = self.wanted(own);
        for (id, address) in &self.told {
            if !wanted.contains_key(id) {
                let left = *self.left.entry(*id).or_insert(now);
                if now < left + FAREWELL {
                    wanted.insert(*id, address.clone());
                }
            }
        }
        self.left
            .retain(|id, left| wanted.contains_key(id) && now < *left + FAREWELL);
        (wanted != self.told).then(|| {
            self.told = wanted;
            &self.told
        })
    }

    /// The members, whoever stays in any case, and as long as this node is no member, everybody whom it
    /// was given.
    fn wanted(&self, own: NodeId) -> BTreeMap<NodeId, String> {
        let mut wanted = self.channel_peers.clone();
        for (id, member) in self.looked_at.iter().flat_map(|members| members.iter()) {
            let given = || self.given.get(&id).cloned();
            let said = Some(member.address.clone()).filter(|address| !address.is_empty());
            if let Some(address) = said.or_else(given) {
                wanted.insert(id, address);
            }
        }
        let is_member = self.looked_at.iter().any(|members| members.contains(own));
        if !is_member {
            for (id, address) in &self.given {
                wanted.entry(*id).or_insert_with(|| address.clone());
            }
        }
        wanted
    }

    /// Whether there may be other peers than when this was last asked.
    pub(crate) fn have_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// All nodes that this one may talk to, as it was given them or as its groups name them.
    pub(crate) fn ids(&self) -> impl Iterator<Item = NodeId> {
        let members = self.looked_at.iter().flat_map(|members| members.iter());
        members.map(|(id, _)| id).chain(self.told.keys().copied())
    }

    /// When somebody has been told for long enough that it left.
    pub(crate) fn wake(&self) -> Option<Instant> {
        self.left.values().min().map(|left| *left + FAREWELL)
    }
}

/// How long the transport keeps a node that left.
const FAREWELL: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::members::Member;

    fn members(ids: &[(u64, &str)]) -> Arc<Members> {
        let member = |(id, address): &(u64, &str)| (NodeId(*id), Member::at(*address));
        Arc::new(Members {
            voters: ids.iter().map(member).collect(),
            learners: BTreeMap::new(),
        })
    }

    fn peers(ids: &[(u64, &str)]) -> BTreeMap<NodeId, String> {
        let peer = |(id, address): &(u64, &str)| (NodeId(*id), (*address).to_owned());
        ids.iter().map(peer).collect()
    }

    fn at(seconds: u64) -> Instant {
        Instant(Duration::from_secs(seconds))
    }

    #[test]
    fn the_transport_follows_the_members() {
        let own = NodeId(1);
        let given = peers(&[(1, "a"), (2, "b"), (3, "c")]);
        let mut known = Peers::new(given.clone(), peers(&[]));
        let three = members(&[(1, ""), (2, ""), (3, "")]);
        let look = |known: &mut Peers, now, group: &Arc<Members>| {
            known.look(at(now), own, vec![group.clone()]).cloned()
        };
        assert_eq!(look(&mut known, 0, &three), None, "as it was given");
        // Node 4 takes the place of node 3, and node 2 has moved.
        let four = members(&[(1, "a"), (2, "B"), (4, "d")]);
        let with_three = peers(&[(1, "a"), (2, "B"), (3, "c"), (4, "d")]);
        assert_eq!(look(&mut known, 1, &four), Some(with_three));
        assert_eq!(look(&mut known, 2, &four), None);
        assert_eq!(known.wake(), Some(at(11)));
        let without = peers(&[(1, "a"), (2, "B"), (4, "d")]);
        assert_eq!(look(&mut known, 11, &four), Some(without));
        assert_eq!(known.wake(), None);
    }

    #[test]
    fn whom_channels_talk_to_stays_a_peer() {
        let own = NodeId(1);
        let mut known = Peers::new(peers(&[(2, "b")]), peers(&[(8, "h"), (9, "i")]));
        let ids = |known: &Peers| known.ids().collect::<std::collections::BTreeSet<_>>();
        assert_eq!(ids(&known), [2, 8, 9].map(NodeId).into());
        let mut look = |now, ids| {
            let looked = known.look(at(now), own, vec![members(ids)]);
            let looked = looked.cloned();
            (looked, known.have_changed(), known.have_changed())
        };
        let all = peers(&[(1, "a"), (2, "b"), (8, "h"), (9, "i")]);
        assert_eq!(look(0, &[(1, "a")]), (Some(all), true, false));
        // Node 2 is no member, and node 8 has become one that is reached elsewhere.
        let moved = peers(&[(1, "a"), (8, "H"), (9, "i")]);
        assert_eq!(look(20, &[(1, "a"), (8, "H")]).0, Some(moved));
        let left = peers(&[(1, "a"), (8, "h"), (9, "i")]);
        assert_eq!(look(40, &[(1, "a")]).0, Some(left));
        assert_eq!(ids(&known), [1, 8, 9].map(NodeId).into());
    }

    #[test]
    fn a_node_that_waits_to_be_added_keeps_whom_it_was_given() {
        let given = peers(&[(1, "a"), (2, "b")]);
        let mut known = Peers::new(given.clone(), peers(&[]));
        let (own, nobody) = (NodeId(4), members(&[]));
        assert_eq!(known.look(at(0), own, vec![nobody]), None);
        let others = members(&[(1, "a"), (2, ""), (3, "c")]);
        let all = peers(&[(1, "a"), (2, "b"), (3, "c")]);
        assert_eq!(known.look(at(1), own, vec![others]), Some(&all));
    }
}
