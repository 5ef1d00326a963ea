//! Shapes of partitions.

use std::collections::BTreeSet;

use crate::rng::Rng;
use crate::world::process::NodeId;

/// Draws a shape and the links that it cuts: none, if the draw leaves all on one side.
pub(super) fn draw(
    nodes: &[NodeId],
    leader: Option<NodeId>,
    one_way_share: f64,
    rng: &mut Rng,
) -> BTreeSet<(NodeId, NodeId)> {
    let mut nodes = nodes.to_vec();
    rng.shuffle(&mut nodes);
    if nodes.len() < 2 {
        return BTreeSet::new();
    }
    let mut bridge = None;
    let at = match rng.below(5) {
        // Sizes of equal chance.
        0 => 1 + rng.index(nodes.len() - 1),
        // Each node by the toss of a coin.
        1 => {
            let (left, right): (Vec<_>, Vec<_>) = nodes.iter().partition(|_| rng.chance(0.5));
            nodes = [left.as_slice(), right.as_slice()].concat();
            left.len()
        }
        // One apart.
        2 => 1,
        // The one that leads apart, or any.
        3 => {
            if let Some(at) = nodes.iter().position(|node| Some(*node) == leader) {
                nodes.swap(0, at);
            }
            1
        }
        // Two sides that only one node connects.
        _ => {
            if nodes.len() > 2 {
                bridge = nodes.pop();
            }
            1 + rng.index(nodes.len() - 1)
        }
    };
    let (left, right) = nodes.split_at(at);
    let one_way = bridge.is_none() && rng.chance(one_way_share);
    // Which side is not heard by the other.
    let turned = rng.chance(0.5);
    let mut cuts = BTreeSet::new();
    for &one in left {
        for &other in right {
            if !one_way || turned {
                cuts.insert((one, other));
            }
            if !one_way || !turned {
                cuts.insert((other, one));
            }
        }
    }
    cuts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_is_drawn() {
        let nodes: Vec<NodeId> = (1..=5).map(NodeId).collect();
        let mut rng = Rng::new(1);
        let (mut one_way, mut bridges, mut none, mut leader) = (0, 0, 0, 0);
        let mut sizes = [0; 5];
        for _ in 0..2000 {
            let cuts = draw(&nodes, Some(NodeId(3)), 0.3, &mut rng);
            if cuts.is_empty() {
                none += 1;
                continue;
            }
            assert!(cuts.iter().all(|(from, to)| from != to));
            let pairs: BTreeSet<_> = cuts
                .iter()
                .map(|&(from, to)| (from.min(to), from.max(to)))
                .collect();
            if pairs.len() == cuts.len() {
                one_way += 1;
            } else {
                assert_eq!(pairs.len() * 2, cuts.len(), "all one way or none");
            }
            let touches =
                |node: &NodeId| pairs.iter().filter(|(a, b)| a == node || b == node).count();
            let free = nodes.iter().filter(|node| touches(node) == 0).count();
            assert!(free <= 1, "a bridge is one node");
            bridges += free;
            leader += usize::from(free == 0 && touches(&NodeId(3)) == 4 && pairs.len() == 4);
            if free == 0 {
                let side = nodes.iter().map(touches).max().unwrap_or(0);
                sizes[side] += 1;
            }
        }
        assert!(one_way > 300, "{one_way}");
        assert!((300..500).contains(&bridges), "{bridges}");
        assert!((5..60).contains(&none), "{none}");
        assert!(leader > 450, "{leader}");
        assert!(sizes[3] > 300 && sizes[4] > 800, "{sizes:?}");
    }

    #[test]
    fn few_nodes_have_few_shapes() {
        let mut rng = Rng::new(2);
        for _ in 0..100 {
            assert!(draw(&[NodeId(1)], None, 0.3, &mut rng).is_empty());
            assert!(draw(&[NodeId(1), NodeId(2)], None, 0.0, &mut rng).len() != 1);
            assert!(draw(&[NodeId(1), NodeId(2), NodeId(3)], None, 0.0, &mut rng).len() <= 4);
        }
    }
}
