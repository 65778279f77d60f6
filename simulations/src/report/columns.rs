//! Text tables for a terminal: columns padded to the widest cell, no colour, no trailing blanks.

/// On which side of its column a cell stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// The rows as lines, indented by two blanks, with two blanks between columns. Cells beyond `sides`
/// stand left.
pub(super) fn aligned(sides: &[Side], rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            rows.iter().filter_map(|row| row.get(column)).map(|cell| width(cell)).max().unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (index, (cell, wide)) in row.iter().zip(&widths).enumerate() {
            let padding = " ".repeat(wide.saturating_sub(width(cell)));
            line += "  ";
            match sides.get(index) {
                Some(Side::Right) => line.extend([padding.as_str(), cell]),
                _ => line.extend([cell.as_str(), &padding]),
            }
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

fn width(cell: &str) -> usize {
    cell.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [vec!["a".to_owned(), "10 µs".to_owned()], vec!["long".to_owned(), "1".to_owned()]];
        assert_eq!(aligned(&[Side::Left, Side::Right], &rows), "  a     10 µs\n  long      1\n");
        assert_eq!(aligned(&[], &[]), "");
    }
}
