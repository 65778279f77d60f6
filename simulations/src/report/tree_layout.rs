//! Where the nodes of a dissemination tree stand: rings by hop, sectors by size of the subtree.
//!
//! The tree may be damaged: a parent may be missing, edges may form a circle, a node may be listed twice. A
//! node whose parent is missing starts a sector of its own; a node on a circle is left out and counted.

use std::collections::{BTreeMap, VecDeque};

use super::TreeEdge;

/// A node with its place, in units where one ring is 1 wide and the origin stands at (0, 0).
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Placed<'a> {
    /// The edge that brought the record here.
    pub(super) edge: &'a TreeEdge,
    /// Direction from the origin, in radians.
    pub(super) angle: f64,
    /// Distance from the origin, in rings.
    pub(super) ring: f64,
    /// Direction and distance of the parent, if the tree holds it.
    pub(super) from: Option<(f64, f64)>,
    /// Number of nodes that got the record directly from this one.
    pub(super) children: usize,
}

/// Places every node that can be reached from an origin, parents before children.
pub(super) fn place(edges: &[TreeEdge]) -> Vec<Placed<'_>> {
    let family = Family::of(edges);
    let order = family.breadth_first();
    let weights = family.weights(&order);
    let mut sectors = BTreeMap::new();
    divide(&mut sectors, &weights, (0.0, std::f64::consts::TAU), &family.origins);
    let mut places: BTreeMap<u32, (f64, f64)> = BTreeMap::new();
    let mut placed = Vec::with_capacity(order.len());
    for edge in order {
        let sector = sectors.get(&edge.node).copied().unwrap_or((0.0, 0.0));
        let children = family.children(edge.node);
        divide(&mut sectors, &weights, sector, children);
        let hop = f64::from(edge.hop);
        let ring = if family.origins.len() > 1 { hop.max(ORIGIN_RING) } else { hop };
        let angle = sector.0 + sector.1 / 2.0;
        let from = edge.parent.and_then(|parent| places.get(&parent)).copied();
        places.insert(edge.node, (angle, ring));
        placed.push(Placed { edge, angle, ring, from, children: children.len() });
    }
    placed
}

/// Who got the record from whom.
#[derive(Debug)]
struct Family<'a> {
    origins: Vec<&'a TreeEdge>,
    children: BTreeMap<u32, Vec<&'a TreeEdge>>,
}

impl<'a> Family<'a> {
    fn of(edges: &'a [TreeEdge]) -> Self {
        let nodes: BTreeMap<u32, &TreeEdge> = edges.iter().rev().map(|edge| (edge.node, edge)).collect();
        let mut family = Self { origins: Vec::new(), children: BTreeMap::new() };
        for edge in nodes.values() {
            match edge.parent.filter(|parent| nodes.contains_key(parent)) {
                Some(parent) => family.children.entry(parent).or_default().push(edge),
                None => family.origins.push(edge),
            }
        }
        family
    }

    fn children(&self, node: u32) -> &[&'a TreeEdge] {
        self.children.get(&node).map_or(&[], Vec::as_slice)
    }

    /// The nodes that hang together with an origin, parents before children. No node has two parents, so none
    /// is met twice.
    fn breadth_first(&self) -> Vec<&'a TreeEdge> {
        let mut queue: VecDeque<&TreeEdge> = self.origins.iter().copied().collect();
        let mut order = Vec::new();
        while let Some(edge) = queue.pop_front() {
            order.push(edge);
            queue.extend(self.children(edge.node));
        }
        order
    }

    /// How much of the circle each subtree needs: a leaf near the origin needs more than one far out.
    fn weights(&self, order: &[&TreeEdge]) -> BTreeMap<u32, f64> {
        let mut weights: BTreeMap<u32, f64> = BTreeMap::new();
        for edge in order.iter().rev() {
            let below: f64 =
                self.children(edge.node).iter().filter_map(|child| weights.get(&child.node)).sum();
            weights.insert(edge.node, below.max(1.0 / f64::from(edge.hop.max(1))));
        }
        weights
    }
}

/// Divides a sector (start and width, in radians) among siblings by weight.
fn divide(
    sectors: &mut BTreeMap<u32, (f64, f64)>,
    weights: &BTreeMap<u32, f64>,
    (mut start, width): (f64, f64),
    siblings: &[&TreeEdge],
) {
    let weight = |edge: &TreeEdge| weights.get(&edge.node).copied().unwrap_or(1.0);
    let total: f64 = siblings.iter().map(|edge| weight(edge)).sum();
    for edge in siblings {
        let share = width * weight(edge) / total;
        sectors.insert(edge.node, (start, share));
        start += share;
    }
}

/// Where the origins stand if there are several, in rings from the middle.
const ORIGIN_RING: f64 = 0.4;

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(node: u32, parent: Option<u32>, hop: u32) -> TreeEdge {
        TreeEdge { node, parent, at_milliseconds: 0.0, hop }
    }

    #[test]
    fn siblings_share_their_parents_sector() {
        let edges = [edge(0, None, 0), edge(1, Some(0), 1), edge(2, Some(0), 1), edge(3, Some(1), 2)];
        let placed = place(&edges);
        assert_eq!(placed.len(), 4);
        assert_eq!((placed[0].ring, placed[0].children), (0.0, 2));
        assert!((placed[2].angle - placed[1].angle - std::f64::consts::PI).abs() < 1e-9);
        assert_eq!(placed[3].from, Some((placed[1].angle, 1.0)));
    }

    #[test]
    fn damaged_trees_are_placed_as_far_as_they_hang_together() {
        let orphan = [edge(0, None, 0), edge(5, Some(99), 3)];
        assert_eq!(place(&orphan).len(), 2);
        let circle = [edge(0, None, 0), edge(1, Some(2), 1), edge(2, Some(1), 2), edge(3, Some(3), 1)];
        assert_eq!(place(&circle).len(), 1);
        let twice = [edge(0, None, 0), edge(1, Some(0), 1), edge(1, None, 7)];
        assert_eq!(place(&twice).last().map(|node| node.ring), Some(1.0));
        assert!(place(&[]).is_empty());
    }

    #[test]
    fn a_chain_as_long_as_the_mesh_needs_no_recursion() {
        let edges: Vec<_> = (0..100_000).map(|node: u32| edge(node, node.checked_sub(1), node)).collect();
        assert_eq!(place(&edges).len(), edges.len());
    }
}
