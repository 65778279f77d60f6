//! Who shows what, beside what is true: the matrix of all nodes and all presentities.
//!
//! The number of pairs that disagree is kept up with every change, so that it can be read at any moment.

use std::collections::BTreeMap;

use hereabouts_protocol::presence::{record::Version, service::ContactState};

/// What one node shows of one presentity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Cell {
    /// The incarnation in the upper half, the sequence in the lower.
    version: u64,
    /// The number of the change that its document tells.
    pub(super) change: u32,
    pub(super) shown: Shown,
}

/// What a node shows of a presentity's contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Shown {
    /// Not shown, or not in this run of the node.
    #[default]
    Nothing,
    Present,
    Left,
    Lost,
}

/// What is true of a presentity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Truth {
    /// It never ran.
    Unborn,
    /// It runs, and its document tells this change.
    Alive { change: u32 },
    /// It said goodbye, or died.
    Gone,
}

/// The matrix.
#[derive(Debug)]
pub(super) struct Agreement {
    rows: Vec<Row>,
    truths: Vec<Truth>,
    /// The node of each presentity.
    nodes: Vec<usize>,
    /// Whether whoever is gone must not be shown present.
    departures: bool,
    wrong: u64,
    live: u64,
}

#[derive(Debug)]
struct Row {
    live: bool,
    cells: Vec<Cell>,
}

impl Agreement {
    /// A matrix of `nodes` rows and a column for each of `presentities`, the nodes that are presentities.
    pub(super) fn new(nodes: usize, presentities: Vec<usize>, departures: bool) -> Self {
        let columns = presentities.len();
        Self {
            rows: (0..nodes).map(|_| Row { live: false, cells: vec![Cell::default(); columns] }).collect(),
            truths: vec![Truth::Unborn; columns],
            nodes: presentities,
            departures,
            wrong: 0,
            live: 0,
        }
    }

    /// Pairs of a live node and a presentity that it shows wrongly.
    pub(super) fn wrong(&self) -> u64 {
        self.wrong
    }

    /// Share of pairs that are right; all of them if there are none.
    pub(super) fn share(&self) -> f64 {
        let pairs = self.live * u64::try_from(self.truths.len()).unwrap_or(u64::MAX);
        if pairs == 0 { 1.0 } else { 1.0 - self.wrong as f64 / pairs as f64 }
    }

    /// Nodes that run.
    pub(super) fn live(&self) -> u64 {
        self.live
    }

    pub(super) fn is_live(&self, node: usize) -> bool {
        self.rows.get(node).is_some_and(|row| row.live)
    }

    /// The node of a presentity.
    pub(super) fn node(&self, column: usize) -> Option<usize> {
        self.nodes.get(column).copied()
    }

    pub(super) fn cell(&self, node: usize, column: usize) -> Cell {
        self.rows.get(node).and_then(|row| row.cells.get(column)).copied().unwrap_or_default()
    }

    pub(super) fn truth(&self, column: usize) -> Truth {
        self.truths.get(column).copied().unwrap_or(Truth::Unborn)
    }

    /// Live nodes that show the presentity present, itself not counted.
    pub(super) fn shown_present(&self, column: usize) -> u64 {
        let own = self.nodes.get(column).copied();
        let others = self.rows.iter().enumerate().filter(|(node, row)| row.live && Some(*node) != own);
        let present =
            others.filter(|(_, row)| row.cells.get(column).is_some_and(|cell| cell.shown == Shown::Present));
        u64::try_from(present.count()).unwrap_or(u64::MAX)
    }

    /// The first pairs that are wrong, for people: node, presentity's node, what is shown.
    pub(super) fn some_wrong(&self, limit: usize) -> Vec<(usize, usize, Cell, Truth)> {
        let rows = self.rows.iter().enumerate().filter(|(_, row)| row.live);
        let cells = rows.flat_map(|(node, row)| {
            let columns = row.cells.iter().zip(&self.nodes).zip(&self.truths);
            columns.map(move |((cell, presentity), truth)| (node, *presentity, *cell, *truth))
        });
        cells.filter(|(node, of, cell, truth)| self.is_wrong(*node, *of, *cell, *truth)).take(limit).collect()
    }

    /// The node shows something else now; what it showed before.
    pub(super) fn set_cell(&mut self, node: usize, column: usize, cell: Cell) -> Cell {
        let (Some(of), Some(truth)) = (self.nodes.get(column).copied(), self.truths.get(column).copied())
        else {
            return cell;
        };
        let before = self.cell(node, column);
        if self.is_live(node) {
            self.wrong -= u64::from(self.is_wrong(node, of, before, truth));
            self.wrong += u64::from(self.is_wrong(node, of, cell, truth));
        }
        if let Some(place) = self.rows.get_mut(node).and_then(|row| row.cells.get_mut(column)) {
            *place = cell;
        }
        before
    }

    /// Something else is true of the presentity now.
    pub(super) fn set_truth(&mut self, column: usize, truth: Truth) {
        let (Some(of), before) = (self.nodes.get(column).copied(), self.truth(column)) else { return };
        let (mut right, mut wrong) = (0, 0);
        for (node, row) in self.rows.iter().enumerate().filter(|(_, row)| row.live) {
            let cell = row.cells.get(column).copied().unwrap_or_default();
            right += u64::from(self.is_wrong(node, of, cell, before));
            wrong += u64::from(self.is_wrong(node, of, cell, truth));
        }
        self.wrong = self.wrong + wrong - right;
        if let Some(place) = self.truths.get_mut(column) {
            *place = truth;
        }
    }

    /// The node began to run, and shows nothing yet, or does not run any more.
    pub(super) fn set_live(&mut self, node: usize, live: bool) {
        let Some(row) = self.rows.get(node) else { return };
        if row.live == live {
            return;
        }
        if row.live {
            self.wrong -= self.wrong_in(row, node);
        }
        if let Some(row) = self.rows.get_mut(node) {
            row.live = live;
            for cell in &mut row.cells {
                (cell.change, cell.shown) = (0, Shown::Nothing);
            }
        }
        if live {
            self.live += 1;
            self.wrong += self.rows.get(node).map_or(0, |row| self.wrong_in(row, node));
        } else {
            self.live -= 1;
        }
    }

    /// The node's disk knows no newer versions than these, by column; of whom there is none, nothing.
    pub(super) fn cut_versions(&mut self, node: usize, kept: &BTreeMap<usize, Version>) {
        if let Some(row) = self.rows.get_mut(node) {
            for (column, cell) in row.cells.iter_mut().enumerate() {
                cell.version = cell.version.min(kept.get(&column).copied().map_or(0, packed));
            }
        }
    }

    fn wrong_in(&self, row: &Row, node: usize) -> u64 {
        let cells = row.cells.iter().zip(&self.nodes).zip(&self.truths);
        let wrong = cells.filter(|((cell, of), truth)| self.is_wrong(node, **of, **cell, **truth));
        u64::try_from(wrong.count()).unwrap_or(u64::MAX)
    }

    fn is_wrong(&self, node: usize, of: usize, cell: Cell, truth: Truth) -> bool {
        node != of
            && match truth {
                Truth::Unborn => cell.shown != Shown::Nothing,
                Truth::Alive { change } => cell.shown != Shown::Present || cell.change != change,
                Truth::Gone => self.departures && cell.shown == Shown::Present,
            }
    }
}

impl Cell {
    pub(super) fn new(version: Version, change: u32, state: ContactState) -> Self {
        let shown = match state {
            // Who is suspect is still in contact, as far as anybody knows.
            ContactState::Present | ContactState::Suspect => Shown::Present,
            ContactState::Left => Shown::Left,
            ContactState::Lost => Shown::Lost,
        };
        Self { version: packed(version), change, shown }
    }

    /// Whether this is an older state than `other`.
    pub(super) fn is_older_than(&self, other: &Self) -> bool {
        self.version < other.version
    }
}

fn packed(version: Version) -> u64 {
    (version.incarnation << 32) | (version.sequence & 0xffff_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_of_wrong_pairs_follows_cells_truths_and_lives() {
        let mut agreement = Agreement::new(3, vec![0, 1], true);
        for node in 0..3 {
            agreement.set_live(node, true);
        }
        assert_eq!(agreement.wrong(), 0, "nobody has said anything");
        agreement.set_truth(0, Truth::Alive { change: 0 });
        assert_eq!(agreement.wrong(), 2, "all but the node itself must show it");
        let version = Version { incarnation: 1, sequence: 1 };
        let present = Cell::new(version, 0, ContactState::Present);
        agreement.set_cell(1, 0, present);
        agreement.set_cell(2, 0, present);
        assert_eq!((agreement.wrong(), agreement.shown_present(0)), (0, 2));
        agreement.set_truth(0, Truth::Alive { change: 1 });
        assert_eq!(agreement.wrong(), 2);
        agreement.set_live(2, false);
        assert_eq!((agreement.wrong(), agreement.live()), (1, 2));
        agreement.set_truth(0, Truth::Gone);
        assert_eq!(agreement.wrong(), 1);
        agreement.set_cell(1, 0, Cell::new(version, 0, ContactState::Lost));
        assert_eq!((agreement.wrong(), agreement.share()), (0, 1.0));
        agreement.set_live(2, true);
        assert_eq!(agreement.wrong(), 0, "a node that begins shows nothing");
    }

    #[test]
    fn a_version_is_old_beside_what_the_disk_kept_of_a_power_cut() {
        let mut agreement = Agreement::new(2, vec![0, 1], true);
        let version = |sequence| Version { incarnation: 1, sequence };
        let cell = |sequence| Cell::new(version(sequence), 0, ContactState::Present);
        agreement.set_cell(0, 1, cell(5));
        agreement.cut_versions(0, &BTreeMap::from([(1, version(7))]));
        assert!(cell(4).is_older_than(&agreement.cell(0, 1)), "it was never told of 7");
        agreement.cut_versions(0, &BTreeMap::from([(1, version(3))]));
        assert!(!cell(3).is_older_than(&agreement.cell(0, 1)), "4 and 5 were not synced");
        assert!(cell(2).is_older_than(&agreement.cell(0, 1)));
        agreement.cut_versions(0, &BTreeMap::new());
        assert!(!cell(1).is_older_than(&agreement.cell(0, 1)));
    }
}
