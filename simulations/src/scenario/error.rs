//! What is wrong with a scenario, where, what is allowed instead, and what was probably meant.
//!
//! Readers of the sections make a [`Located`] (a byte range and a [`Problem`]); only
//! [`Scenario::parse`](super::Scenario::parse) knows the file and turns it into a [`ScenarioError`]. The
//! first problem ends the reading: one error at a time.

use std::fmt;
use std::ops::Range;

/// Why a scenario was refused. Nothing was run; the reader corrects the file and tries again.
///
/// Its `Display` has several lines: the problem, the file and line, the line's text with the place
/// underlined, what is allowed, and a suggestion where one is near.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub struct ScenarioError {
    /// The file's name as it was given to [`Scenario::parse`](super::Scenario::parse).
    pub file: String,
    /// The line in the file, counted from 1.
    pub line: usize,
    /// The first character concerned in that line, counted from 1.
    pub column: usize,
    /// How many characters of the line are concerned, at least 1.
    pub width: usize,
    /// The line's text, without its end.
    pub line_text: String,
    /// What is wrong.
    pub problem: Box<Problem>,
}

/// What is wrong with a scenario.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Problem {
    /// The text is not TOML.
    #[error("this is not TOML: {message}")]
    Syntax {
        /// The TOML reader's words.
        message: String,
    },
    /// A section has no field of this name.
    #[error("{section} has no field `{field}`")]
    UnknownField {
        /// The name as written.
        field: String,
        /// The section as a person calls it, e.g. `[join]`.
        section: String,
        /// Every field of that section.
        allowed: &'static [&'static str],
        /// Another section that has a field of exactly this name.
        belongs_to: Option<&'static str>,
    },
    /// A field that takes one of a list of names holds another one.
    #[error("`{field}` knows no \"{found}\"")]
    UnknownName {
        /// The field.
        field: String,
        /// The name as written.
        found: String,
        /// Every name that the field takes.
        allowed: &'static [&'static str],
    },
    /// The value is of another kind than the field takes, such as a number instead of a duration.
    #[error("`{field}` is {found}")]
    WrongKind {
        /// The field.
        field: String,
        /// The value as written, with its kind.
        found: String,
        /// What the field takes.
        allowed: String,
        /// What was probably meant.
        suggestion: Option<String>,
    },
    /// The text in a field cannot be read as what the field takes.
    #[error("`{field}` is \"{found}\", {why}")]
    Malformed {
        /// The field.
        field: String,
        /// The text as written.
        found: String,
        /// Why it cannot be read.
        why: String,
        /// What the field takes.
        allowed: String,
        /// What was probably meant.
        suggestion: Option<String>,
    },
    /// The value is of the right kind, but too small or too large.
    #[error("`{field}` is {found}, which is out of range")]
    OutOfRange {
        /// The field.
        field: String,
        /// The value as written.
        found: String,
        /// The range.
        allowed: String,
    },
    /// A field without a default is absent.
    #[error("{section} needs the field `{field}`")]
    Missing {
        /// The field.
        field: String,
        /// The section as a person calls it.
        section: String,
        /// What the field takes.
        allowed: String,
    },
    /// Each setting is right by itself, but they cannot hold together.
    #[error("{words}")]
    Contradiction {
        /// Which settings, and why not.
        words: String,
        /// What would be right.
        remedy: String,
    },
}

impl Problem {
    /// What may stand there instead, if that can be said in a line.
    pub fn allowed(&self) -> Option<String> {
        match self {
            Self::Syntax { .. } => None,
            Self::UnknownField { allowed, .. } | Self::UnknownName { allowed, .. } => {
                Some(allowed.join(", "))
            }
            Self::WrongKind { allowed, .. }
            | Self::Malformed { allowed, .. }
            | Self::OutOfRange { allowed, .. }
            | Self::Missing { allowed, .. } => Some(allowed.clone()),
            Self::Contradiction { remedy, .. } => Some(remedy.clone()),
        }
    }

    /// What was probably meant, if anything allowed is near to what was written.
    pub fn suggestion(&self) -> Option<String> {
        match self {
            Self::UnknownField { field, allowed, belongs_to, .. } => {
                match (nearest(field, allowed), belongs_to) {
                    (_, Some(section)) => Some(format!("`{field}` is a field of {section}")),
                    (Some(near), None) => Some(format!("did you mean `{near}`?")),
                    (None, None) => None,
                }
            }
            Self::UnknownName { found, allowed, .. } => {
                nearest(found, allowed).map(|near| format!("did you mean \"{near}\"?"))
            }
            Self::WrongKind { suggestion, .. } | Self::Malformed { suggestion, .. } => {
                suggestion.as_ref().map(|meant| format!("did you mean `{meant}`?"))
            }
            Self::Syntax { .. }
            | Self::OutOfRange { .. }
            | Self::Missing { .. }
            | Self::Contradiction { .. } => None,
        }
    }
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.line.to_string();
        let gutter = " ".repeat(number.len());
        let before: String = self
            .line_text
            .chars()
            .take(self.column.saturating_sub(1))
            .map(|c| if c == '\t' { '\t' } else { ' ' })
            .collect();
        writeln!(f, "{}", self.problem)?;
        writeln!(f, "{gutter}--> {}:{}", self.file, self.line)?;
        writeln!(f, "{gutter} |")?;
        writeln!(f, "{number} | {}", self.line_text)?;
        write!(f, "{gutter} | {before}{}", "^".repeat(self.width))?;
        if let Some(allowed) = self.problem.allowed() {
            write!(f, "\n{gutter} = allowed: {allowed}")?;
        }
        if let Some(suggestion) = self.problem.suggestion() {
            write!(f, "\n{gutter} = {suggestion}")?;
        }
        Ok(())
    }
}

/// A problem at a byte range of the text, not yet of a file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Located {
    /// The bytes concerned.
    pub(super) span: Range<usize>,
    /// What is wrong there.
    pub(super) problem: Problem,
}

impl Located {
    /// A boxed problem: results stay small.
    pub(super) fn boxed(span: Range<usize>, problem: Problem) -> Box<Self> {
        Box::new(Self { span, problem })
    }

    /// Finds the line of the byte range in `text`, which is the text of `file`.
    pub(super) fn in_file(self, file: &str, text: &str) -> ScenarioError {
        let start = floor_boundary(text, self.span.start);
        let before = text.get(..start).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let rest = text.get(line_start..).unwrap_or_default();
        let line_text = rest.lines().next().unwrap_or_default();
        let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
        let left = line_text.chars().count().saturating_sub(column - 1);
        let concerned = text.get(start..floor_boundary(text, self.span.end)).unwrap_or_default();
        ScenarioError {
            file: file.to_owned(),
            line: before.matches('\n').count() + 1,
            column,
            width: concerned.chars().count().min(left).max(1),
            line_text: line_text.to_owned(),
            problem: Box::new(self.problem),
        }
    }
}

/// The allowed name that is nearest to what was written, if one is near enough to have been meant: a slip
/// in at most every third letter, or the same beginning.
fn nearest(written: &str, allowed: &[&'static str]) -> Option<&'static str> {
    let written = written.to_lowercase().replace([' ', '_'], "-");
    let slips_max = (written.chars().count() / 3).max(1);
    let near = allowed.iter().filter_map(|name| {
        let comparable = name.replace('_', "-");
        let slips = strsim::osa_distance(&written, &comparable);
        let likeness = strsim::jaro_winkler(&written, &comparable);
        (slips <= slips_max || likeness >= LIKENESS_MIN).then_some((slips, likeness, *name))
    });
    near.min_by(|one, other| one.0.cmp(&other.0).then(other.1.total_cmp(&one.1))).map(|(_, _, name)| name)
}

/// The start of the character that holds the byte `at`, or the end of the text.
fn floor_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// Jaro-Winkler likeness, 0 to 1, from which a name is suggested whatever its length: words of this
/// language that merely share a beginning are below it.
const LIKENESS_MIN: f64 = 0.88;
