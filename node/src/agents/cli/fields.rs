//! A document as lines of `label  value`, with the values aligned.

use unicode_width::UnicodeWidthStr;

use super::output::{FAINT, Output, OutputClosed};

/// Labelled lines. Values are made safe by whoever adds them.
#[derive(Debug, Default)]
pub(super) struct Fields(Vec<(&'static str, String)>);

impl Fields {
    /// Adds a line; one with an empty label goes on with the value before it.
    pub(super) fn add(&mut self, label: &'static str, value: impl Into<String>) {
        self.0.push((label, value.into()));
    }

    /// Prints them.
    ///
    /// # Errors
    /// [`OutputClosed`].
    pub(super) fn print(&self, output: &Output) -> Result<(), OutputClosed> {
        let width = self.0.iter().map(|(label, _)| label.width()).max().unwrap_or(0);
        for (label, value) in &self.0 {
            let space = " ".repeat(width - label.width() + GAP);
            let label = if label.is_empty() { String::new() } else { output.paint(FAINT, label) };
            output.line(format!("{label}{space}{value}"))?;
        }
        Ok(())
    }
}

/// Spaces between label and value.
const GAP: usize = 2;

#[cfg(test)]
mod tests {
    use super::{super::output::tests::Written, *};

    #[test]
    fn values_stand_under_each_other() {
        let written = Written::default();
        let mut fields = Fields::default();
        fields.add("id", "a");
        fields.add("listen", "b");
        fields.add("", "c");
        fields.print(&Output::into_writer(written.clone(), false)).unwrap();
        assert_eq!(written.text(), "id      a\nlisten  b\n        c\n");
    }
}
