//! Writing HTML and SVG: escaping, a small canvas, and the axes that the charts share.
//!
//! Everything that comes from a report passes [`escape`] here or in the caller before it becomes markup.
//! Colours are classes; the style sheet gives each its shade for light and for dark screens.

use super::scale::{Scale, thinned};

/// Text made safe for HTML and SVG, in content and in quoted attributes.
pub(super) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe += "&amp;",
            '<' => safe += "&lt;",
            '>' => safe += "&gt;",
            '"' => safe += "&quot;",
            '\'' => safe += "&#39;",
            _ => safe.push(character),
        }
    }
    safe
}

/// A section of a page with its heading, a sentence of explanation (already markup) and its content.
pub(super) fn section(class: &str, title: &str, note: &str, content: &str) -> String {
    let note = if note.is_empty() { String::new() } else { format!("<p class=\"note\">{note}</p>") };
    format!("<section class=\"{class}\"><h2>{}</h2>{note}{content}</section>\n", escape(title))
}

/// What stands in place of an empty chart or table.
pub(super) fn nothing(sentence: &str) -> String {
    format!("<p class=\"nothing\">{}</p>", escape(sentence))
}

/// A page complete with its style sheet.
pub(super) fn page(title: &str, body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\">\
         <title>{}</title>\n<style>\n{STYLE}</style></head>\n<body><main>\n{body}</main></body></html>\n",
        escape(title)
    )
}

/// Where a text is anchored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    /// The text begins at its place.
    Start,
    /// The text is centred on its place.
    Middle,
    /// The text ends at its place.
    End,
}

/// A picture in the making. Coordinates are in its own units, from the top left corner.
#[derive(Debug)]
pub(super) struct Canvas {
    width: f64,
    height: f64,
    body: String,
}

impl Canvas {
    /// An empty picture.
    pub(super) fn new(width: f64, height: f64) -> Self {
        Self { width, height, body: String::new() }
    }

    /// A straight line.
    pub(super) fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let ((x1, y1), (x2, y2)) = (from, to);
        self.body +=
            &format!("<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>");
    }

    /// A rectangle between two corners, with a text to show under the pointer unless that is empty.
    pub(super) fn rectangle(&mut self, class: &str, from: (f64, f64), to: (f64, f64), hint: &str) {
        let ((x, y), width, height) = (from, (to.0 - from.0).max(0.0), (to.1 - from.1).max(0.0));
        self.body += &format!(
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" \
             width=\"{width:.1}\" height=\"{height:.1}\">{}</rect>",
            title(hint)
        );
    }

    /// A dot, with a text to show under the pointer unless that is empty.
    pub(super) fn dot(&mut self, class: &str, centre: (f64, f64), radius: f64, hint: &str) {
        self.body += &format!(
            "<circle class=\"{class}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"{radius:.1}\">{}</circle>",
            centre.0,
            centre.1,
            title(hint)
        );
    }

    /// A text.
    pub(super) fn text(&mut self, class: &str, place: (f64, f64), anchor: Anchor, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        self.body += &format!(
            "<text class=\"{class}\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>",
            place.0,
            place.1,
            escape(text)
        );
    }

    /// A path from its SVG description.
    pub(super) fn path(&mut self, class: &str, description: &str) {
        self.body += &format!("<path class=\"{class}\" d=\"{description}\"/>");
    }

    /// A curve through values, thinned where there are very many.
    pub(super) fn curve(
        &mut self,
        class: &str,
        x: &Scale,
        y: &Scale,
        points: impl IntoIterator<Item = (f64, f64)>,
    ) {
        self.path(class, &line_through(x, y, &thinned(points)));
    }

    /// The area between two rows of points that share their x.
    pub(super) fn area(
        &mut self,
        class: &str,
        x: &Scale,
        y: &Scale,
        upper: &[(f64, f64)],
        lower: &[(f64, f64)],
    ) {
        let back: Vec<_> = lower.iter().rev().copied().collect();
        let forth = line_through(x, y, upper);
        self.path(class, &format!("{forth}{}Z", line_through(x, y, &back).replacen('M', "L", 1)));
    }

    /// Horizontal grid lines with their labels left of the plot.
    pub(super) fn rows(&mut self, x: &Scale, y: &Scale, ticks: &[f64], label: impl Fn(f64) -> String) {
        let (left, right) = x.places();
        for tick in ticks {
            let height = y.at(*tick);
            self.line("grid", (left, height), (right, height));
            self.text("tick", (left - 7.0, height + 3.5), Anchor::End, &label(*tick));
        }
    }

    /// Vertical tick marks with their labels under `bottom`.
    pub(super) fn columns(&mut self, x: &Scale, bottom: f64, ticks: &[f64], label: impl Fn(f64) -> String) {
        let (left, right) = x.places();
        self.line("axis", (left, bottom), (right, bottom));
        for tick in ticks {
            let place = x.at(*tick);
            self.line("axis", (place, bottom), (place, bottom + 4.0));
            self.text("tick", (place, bottom + 16.0), Anchor::Middle, &label(*tick));
        }
    }

    /// The finished picture, with what it shows in words for those who cannot see it.
    pub(super) fn finish(self, label: &str) -> String {
        let Self { width, height, body } = self;
        format!(
            "<svg viewBox=\"0 0 {width:.0} {height:.0}\" style=\"max-width:{width:.0}px\" role=\"img\" \
             aria-label=\"{}\">{body}</svg>",
            escape(label)
        )
    }
}

fn line_through(x: &Scale, y: &Scale, points: &[(f64, f64)]) -> String {
    let mut description = String::new();
    for (index, (across, up)) in points.iter().enumerate() {
        let step = if index == 0 { 'M' } else { 'L' };
        description += &format!("{step}{:.1} {:.1}", x.at(*across), y.at(*up));
    }
    description
}

fn title(hint: &str) -> String {
    if hint.is_empty() { String::new() } else { format!("<title>{}</title>", escape(hint)) }
}

/// The style sheet of every page.
const STYLE: &str = include_str!("page.css");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_characters_are_escaped() {
        assert_eq!(escape("<a href=\"x\">'&'</a>"), "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;&lt;/a&gt;");
        assert_eq!(escape("plain é"), "plain é");
    }

    #[test]
    fn every_text_of_a_picture_is_escaped() {
        let mut canvas = Canvas::new(10.0, 10.0);
        canvas.text("t", (0.0, 0.0), Anchor::Start, "<1>");
        canvas.rectangle("r", (0.0, 0.0), (1.0, 1.0), "<2>");
        canvas.dot("d", (0.0, 0.0), 1.0, "<3>");
        let picture = canvas.finish("<4>");
        for number in 1..=4 {
            assert!(picture.contains(&format!("&lt;{number}&gt;")), "{picture}");
        }
    }

    #[test]
    fn an_area_closes_its_outline() {
        let scale = Scale::linear((0.0, 1.0), (0.0, 1.0));
        let mut canvas = Canvas::new(1.0, 1.0);
        canvas.area("a", &scale, &scale, &[(0.0, 1.0), (1.0, 1.0)], &[(0.0, 0.0), (1.0, 0.0)]);
        assert!(canvas.finish("").contains("M0.0 1.0L1.0 1.0L1.0 0.0L0.0 0.0Z"));
    }
}
