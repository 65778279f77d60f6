//! Aligned columns, measured in the columns of a terminal and not in bytes or characters.

use std::fmt::Display;

use anstyle::Style;
use unicode_width::UnicodeWidthStr;

use super::output::{HEADING, Output, OutputClosed};

/// A table with a heading. Cells hold single lines.
#[derive(Debug)]
pub(super) struct Table<const COLUMNS: usize> {
    rows: Vec<[Cell; COLUMNS]>,
}

/// One cell: a line of text and how it looks where there is colour.
#[derive(Debug, Clone)]
pub(super) struct Cell {
    text: String,
    style: Style,
}

impl<const COLUMNS: usize> Table<COLUMNS> {
    /// A table with only its heading.
    pub(super) fn new(heading: [&str; COLUMNS]) -> Self {
        Self { rows: vec![heading.map(|text| styled(HEADING, text))] }
    }

    /// Adds a line.
    pub(super) fn row(&mut self, row: [Cell; COLUMNS]) {
        self.rows.push(row);
    }

    /// Prints it. On a terminal long cells are cut, so that most lines fit; a pipe gets all of them.
    ///
    /// # Errors
    /// [`OutputClosed`].
    pub(super) fn print(mut self, output: &Output) -> Result<(), OutputClosed> {
        if output.is_terminal() {
            let cells = self.rows.iter_mut().flatten();
            cells.for_each(|cell| cell.text = cut(&cell.text, CELL_COLUMNS_MAX));
        }
        let widths: [usize; COLUMNS] = std::array::from_fn(|column| {
            self.rows.iter().filter_map(|row| row.get(column)).map(Cell::width).max().unwrap_or(0)
        });
        for row in &self.rows {
            output.line(line(row, &widths, output))?;
        }
        Ok(())
    }
}

impl Cell {
    fn width(&self) -> usize {
        self.text.width()
    }
}

/// A cell in a style.
pub(super) fn styled(style: Style, text: impl Display) -> Cell {
    Cell { text: text.to_string(), style }
}

/// A cell without a style.
pub(super) fn plain(text: impl Display) -> Cell {
    styled(Style::new(), text)
}

/// `text`, or as much of it as fits into `columns` with a `…` behind it.
pub(super) fn cut(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let mut kept = String::new();
    for character in text.chars() {
        kept.push(character);
        if kept.width() >= columns {
            kept.pop();
            break;
        }
    }
    format!("{}…", kept.trim_end())
}

fn line(row: &[Cell], widths: &[usize], output: &Output) -> String {
    let mut line = String::new();
    for (cell, width) in row.iter().zip(widths) {
        if !cell.text.is_empty() {
            line.push_str(&output.paint(cell.style, &cell.text));
        }
        line.extend(std::iter::repeat_n(' ', width - cell.width() + GAP));
    }
    line.truncate(line.trim_end().len());
    line
}

/// Spaces between two columns.
const GAP: usize = 2;
/// Columns of the widest cell on a terminal.
const CELL_COLUMNS_MAX: usize = 60;

#[cfg(test)]
mod tests {
    use super::{super::output::tests::Written, *};

    fn printed(rows: &[[&str; 3]]) -> Vec<String> {
        let written = Written::default();
        let mut table = Table::new(["NAME", "STATUS", "ID"]);
        for row in rows {
            table.row(row.map(plain));
        }
        table.print(&Output::into_writer(written.clone(), false)).unwrap();
        written.text().lines().map(str::to_owned).collect()
    }

    #[test]
    fn columns_begin_at_the_same_place_whatever_the_script() {
        let lines = printed(&[
            ["Zoë", "open", "a"],
            ["李小龍", "closed", "b"],
            ["e\u{301}", "x", "c"],
            ["🦀", "", "d"],
        ]);
        assert_eq!(lines[0], "NAME    STATUS  ID");
        for line in &lines {
            let id = line.split_whitespace().next_back().unwrap();
            let before = line.strip_suffix(id).unwrap();
            assert_eq!(before.width(), 16, "{line:?}");
        }
    }

    #[test]
    fn no_line_ends_with_spaces() {
        assert_eq!(printed(&[["a", "b", ""]])[1], "a     b");
    }

    #[test]
    fn what_is_cut_fits_and_shows_that_it_was_cut() {
        assert_eq!(cut("back at noon", 12), "back at noon");
        assert_eq!(cut("back at noon", 8), "back at…");
        assert_eq!(cut("李小龍", 4), "李…");
        for columns in 1..8 {
            assert!(cut("a李b小c龍d", columns).width() <= columns);
        }
    }
}
