//! The dissemination picture: how one record spread, drawn around its origin.
//!
//! Each ring is a hop. An edge runs from the node that passed the record on to the node that got it for the
//! first time, coloured from the earliest arrival to the latest.

use std::collections::BTreeMap;

use super::{
    DisseminationTree, TreeEdge, format,
    markup::{Anchor, Canvas, escape, nothing},
    scale::greatest,
    tree_layout::{Placed, place},
};

/// The picture beside its numbers, or a sentence if the run followed no record.
pub(super) fn chart(tree: Option<&DisseminationTree>) -> String {
    let Some(tree) = tree else { return nothing("This run followed no record.") };
    let placed = place(&tree.edges);
    if placed.is_empty() {
        return nothing(&format!("The record followed, {}, reached no node.", tree.record));
    }
    let latest = greatest(tree.edges.iter().map(|edge| edge.at_milliseconds), 0.0);
    let rings = greatest(placed.iter().map(|node| node.ring), 1.0).max(1.0);
    let step = (SIZE / 2.0 - MARGIN) / rings;

    let mut canvas = Canvas::new(SIZE, SIZE);
    let marked = marked_rings(rings);
    draw_rings(&mut canvas, step, &marked);
    for node in placed.iter().rev() {
        if let Some(from) = node.from {
            draw_edge(&mut canvas, node, from, step, latest);
        }
    }
    draw_nodes(&mut canvas, &placed, step, latest);
    number_rings(&mut canvas, step, &marked);
    let picture = canvas.finish(&format!("How the record {} spread from node to node", tree.record));
    let numbers = numbers(tree, &placed, latest);
    format!("<div class=\"treebox\"><div>{picture}</div><div>{numbers}</div></div>")
}

/// The rings to draw: every one, or every second, third, … if there are very many.
fn marked_rings(rings: f64) -> Vec<f64> {
    let every = (rings / RINGS_MAX).ceil().max(1.0);
    (1u32..).map(|index| f64::from(index) * every).take_while(|ring| *ring <= rings).collect()
}

fn draw_rings(canvas: &mut Canvas, step: f64, rings: &[f64]) {
    for ring in rings {
        let radius = ring * step;
        let (left, right) = (CENTRE - radius, CENTRE + radius);
        let arc = format!("A{radius:.1} {radius:.1} 0 1 1");
        canvas.path("ring", &format!("M{left:.1} {CENTRE}{arc} {right:.1} {CENTRE}{arc} {left:.1} {CENTRE}"));
    }
}

/// The number of each ring, at its top.
fn number_rings(canvas: &mut Canvas, step: f64, rings: &[f64]) {
    for ring in rings {
        let hops = if *ring == 1.0 { "1 hop".to_owned() } else { format!("{ring:.0}") };
        canvas.text("hop", (CENTRE, CENTRE - ring * step + 4.0), Anchor::Middle, &hops);
    }
}

/// A curve that leaves the parent outwards and reaches the node from inside.
fn draw_edge(canvas: &mut Canvas, node: &Placed<'_>, from: (f64, f64), step: f64, latest: f64) {
    let middle = f64::midpoint(from.1, node.ring);
    let (x1, y1) = point(from.0, from.1, step);
    let (x2, y2) = point(from.0, middle, step);
    let (x3, y3) = point(node.angle, middle, step);
    let (x4, y4) = point(node.angle, node.ring, step);
    let class = format!("edge e{}", shade(node.edge, latest));
    let bend = if from.1 == 0.0 {
        format!("M{x1:.1} {y1:.1}L{x4:.1} {y4:.1}")
    } else {
        format!("M{x1:.1} {y1:.1}C{x2:.1} {y2:.1} {x3:.1} {y3:.1} {x4:.1} {y4:.1}")
    };
    canvas.path(&class, &bend);
}

fn draw_nodes(canvas: &mut Canvas, placed: &[Placed<'_>], step: f64, latest: f64) {
    let radius = (60.0 / (placed.len() as f64).sqrt()).clamp(1.8, 6.0);
    for node in placed {
        let place = point(node.angle, node.ring, step);
        let source =
            node.edge.parent.map_or_else(|| "the origin".to_owned(), |parent| format!("from node {parent}"));
        let hint = format!(
            "node {}, {source}, hop {}, after {}, passed on to {}",
            node.edge.node,
            node.edge.hop,
            format::milliseconds(node.edge.at_milliseconds),
            node.children
        );
        if node.edge.parent.is_none() {
            canvas.dot("origin", place, radius + 4.0, &hint);
        } else {
            canvas.dot(&format!("node t{}", shade(node.edge, latest)), place, radius, &hint);
        }
    }
    if placed.len() <= LABELS_MAX {
        for node in placed {
            let (x, y) = point(node.angle, node.ring + (radius + 9.0) / step, step);
            canvas.text("label", (x, y + 4.0), Anchor::Middle, &node.edge.node.to_string());
        }
    }
}

/// The numbers beside the picture: reach, time, ramp of colours, nodes by hop.
fn numbers(tree: &DisseminationTree, placed: &[Placed<'_>], latest: f64) -> String {
    let mut hops: BTreeMap<u32, u64> = BTreeMap::new();
    for node in placed {
        *hops.entry(node.edge.hop).or_default() += 1;
    }
    let mean = placed.iter().map(|node| f64::from(node.edge.hop)).sum::<f64>() / placed.len() as f64;
    let widest = placed.iter().map(|node| node.children).max().unwrap_or(0);
    let ramp: String = (0..SHADES).map(|shade| format!("<i class=\"t{shade}\"></i>")).collect();
    let rows: String = hops
        .iter()
        .take(HOPS_MAX)
        .map(|(hop, count)| {
            format!(
                "<tr><td class=\"number\">{hop}</td><td class=\"number\">{}</td></tr>",
                format::grouped(*count)
            )
        })
        .collect();
    let missing = match tree.edges.len().saturating_sub(placed.len()) {
        0 => String::new(),
        count => nothing(&format!(
            "{} of the tree cannot be traced to the origin.",
            format::counted(count as u64, "node", "nodes")
        )),
    };
    format!(
        "<h3>{}</h3><p class=\"note\">{} reached, after {} hops on average. \
         No node passed it on to more than {widest}.</p>\
         <div class=\"ramp\">{ramp}</div><div class=\"ends\"><span>0 ms</span><span>{}</span></div>{missing}\
         <table><tr><th class=\"number\">hop</th><th class=\"number\">nodes</th></tr>{rows}</table>",
        escape(&tree.record),
        format::counted(placed.len() as u64, "node", "nodes"),
        format::number(mean),
        format::milliseconds(latest)
    )
}

fn point(angle: f64, ring: f64, step: f64) -> (f64, f64) {
    let up = angle - std::f64::consts::FRAC_PI_2;
    (CENTRE + ring * step * up.cos(), CENTRE + ring * step * up.sin())
}

/// Which of the [`SHADES`] colours an arrival has: from the first eighth of the time to the last.
fn shade(edge: &TreeEdge, latest: f64) -> u32 {
    (1..SHADES)
        .filter(|step| edge.at_milliseconds * f64::from(SHADES) >= latest * f64::from(*step))
        .max()
        .unwrap_or(0)
}

const SIZE: f64 = 820.0;
const CENTRE: f64 = SIZE / 2.0;
const MARGIN: f64 = 26.0;
/// Colours of the ramp, as many as the style sheet has.
const SHADES: u32 = 8;
/// Up to how many nodes each carries its number.
const LABELS_MAX: usize = 60;
/// The most rings that are drawn.
const RINGS_MAX: f64 = 12.0;
/// The most rows of the table of hops.
const HOPS_MAX: usize = 20;

#[cfg(test)]
mod tests {
    use super::{super::sample, *};

    #[test]
    fn no_tree_and_an_empty_tree_are_sentences() {
        assert!(chart(None).contains("followed no record"));
        let empty = DisseminationTree { record: "a <b>".to_owned(), edges: Vec::new() };
        assert!(chart(Some(&empty)).contains("a &lt;b&gt;, reached no node"));
    }

    #[test]
    fn every_node_is_drawn_and_only_few_are_labelled() {
        let small = chart(sample::report(1, 50).tree.as_ref());
        assert_eq!(small.matches("<circle").count(), 50);
        assert!(small.contains(">49</text>"));
        let edges: Vec<_> = (0..1000)
            .map(|node: u32| TreeEdge {
                node,
                parent: node.checked_sub(1).map(|p| p / 3),
                at_milliseconds: f64::from(node),
                hop: 1,
            })
            .collect();
        let large = chart(Some(&DisseminationTree { record: String::new(), edges }));
        assert_eq!(large.matches("<circle").count(), 1000);
        assert!(!large.contains("class=\"label\""));
    }

    #[test]
    fn shades_run_from_the_earliest_to_the_latest() {
        let at = |at_milliseconds| TreeEdge { node: 0, parent: None, at_milliseconds, hop: 0 };
        assert_eq!((shade(&at(0.0), 80.0), shade(&at(40.0), 80.0), shade(&at(80.0), 80.0)), (0, 4, 7));
    }
}
