//! Reads the fields of one section: right name, right kind, within range, or a located [`Problem`].
//!
//! A [`Section`] refuses unknown fields when it is opened; its methods then return `None` for a field that
//! is absent, and the section's type fills in the default. Relations between fields are not looked at
//! here but in [`contradictions`](super::contradictions).

use std::fmt::Display;
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{Located, Problem};
use super::quantity::{self, Amount, Skew};

/// What reading a field or a section gives.
pub(super) type Read<T> = Result<T, Box<Located>>;

/// An enum whose variants are written as names in a scenario.
pub(super) trait Named: Copy + 'static {
    /// Every variant.
    const VARIANTS: &'static [Self];
    /// Every name, in the same order.
    const NAMES: &'static [&'static str];
}

/// Declares an enum whose variants are written as names: the enum, its names, and its [`Named`].
macro_rules! named {
    ($(#[$meta:meta])* $visibility:vis enum $name:ident {
        $($(#[$variant_meta:meta])* $variant:ident = $text:literal,)+
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
        $visibility enum $name {
            $($(#[$variant_meta])* #[serde(rename = $text)] $variant,)+
        }

        impl $name {
            /// Every variant, in the order of the reference.
            $visibility const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name as it is written in a scenario.
            $visibility fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }

        impl $crate::scenario::reader::Named for $name {
            const VARIANTS: &'static [Self] = Self::ALL;
            const NAMES: &'static [&'static str] = &[$($text,)+];
        }
    };
}
pub(super) use named;

/// A table of the file, with the name by which a person knows it.
#[derive(Debug)]
pub(super) struct Section<'a> {
    label: String,
    span: Range<usize>,
    table: &'a DeTable<'a>,
}

impl<'a> Section<'a> {
    /// Opens a table; every field that is not among `fields` is refused, the first in the text first.
    pub(super) fn open(
        label: impl Into<String>,
        span: Range<usize>,
        table: &'a DeTable<'a>,
        fields: &'static [&'static str],
    ) -> Read<Self> {
        let label = label.into();
        let unknown = table
            .keys()
            .filter(|key| !fields.contains(&key.get_ref().as_ref()))
            .min_by_key(|key| key.span().start);
        if let Some(key) = unknown {
            let field = key.get_ref().to_string();
            let belongs_to = super::section_with(&field);
            let problem = Problem::UnknownField { field, section: label, allowed: fields, belongs_to };
            return Err(Located::boxed(key.span(), problem));
        }
        Ok(Self { label, span, table })
    }

    /// A table in this one.
    pub(super) fn section(&self, field: &'static str, fields: &'static [&'static str]) -> Read<Option<Self>> {
        let Some(value) = self.table.get(field) else { return Ok(None) };
        let DeValue::Table(table) = value.get_ref() else {
            return Err(wrong_kind(field, value, "a table of fields", None));
        };
        Self::open(format!("[{field}]"), value.span(), table, fields).map(Some)
    }

    /// A list of tables in this one; empty if it is absent.
    pub(super) fn sections(&self, field: &'static str, fields: &'static [&'static str]) -> Read<Vec<Self>> {
        let Some(value) = self.table.get(field) else { return Ok(Vec::new()) };
        let DeValue::Array(tables) = value.get_ref() else {
            let meant = value.get_ref().is_table().then(|| format!("[[{field}]]"));
            return Err(wrong_kind(field, value, "a list of tables, each begun with double brackets", meant));
        };
        let mut sections = Vec::with_capacity(tables.len());
        for value in tables.iter() {
            let DeValue::Table(table) = value.get_ref() else {
                return Err(wrong_kind(field, value, "a list of tables", None));
            };
            sections.push(Self::open(format!("[[{field}]]"), value.span(), table, fields)?);
        }
        Ok(sections)
    }

    /// Refuses the absence of a field.
    pub(super) fn required<T>(&self, field: &'static str, value: Option<T>, allowed: &str) -> Read<T> {
        let problem = || Problem::Missing {
            field: field.to_owned(),
            section: self.label.clone(),
            allowed: allowed.to_owned(),
        };
        value.ok_or_else(|| Located::boxed(self.span.clone(), problem()))
    }

    /// Refuses a combination of settings at one of this section's fields.
    pub(super) fn contradiction(&self, field: &str, words: String, remedy: &str) -> Box<Located> {
        let span = self.table.get(field).map_or_else(|| self.span.clone(), Spanned::span);
        Located::boxed(span, Problem::Contradiction { words, remedy: remedy.to_owned() })
    }

    /// Refuses a text that is not what its field takes.
    pub(super) fn malformed(
        &self,
        field: &str,
        found: &str,
        why: &str,
        allowed: &str,
        suggestion: Option<String>,
    ) -> Box<Located> {
        let span = self.table.get(field).map_or_else(|| self.span.clone(), Spanned::span);
        let (field, found) = (field.to_owned(), found.to_owned());
        let (why, allowed) = (why.to_owned(), allowed.to_owned());
        Located::boxed(span, Problem::Malformed { field, found, why, allowed, suggestion })
    }

    /// Whether the field is written.
    pub(super) fn has(&self, field: &str) -> bool {
        self.table.contains_key(field)
    }

    /// A line of text.
    pub(super) fn text(&self, field: &'static str) -> Read<Option<&'a str>> {
        let Some(value) = self.table.get(field) else { return Ok(None) };
        match value.get_ref() {
            DeValue::String(text) => Ok(Some(text)),
            _ => Err(wrong_kind(field, value, "text in quotes", None)),
        }
    }

    /// `true` or `false`.
    pub(super) fn flag(&self, field: &'static str) -> Read<Option<bool>> {
        let Some(value) = self.table.get(field) else { return Ok(None) };
        match value.get_ref() {
            DeValue::Boolean(flag) => Ok(Some(*flag)),
            DeValue::String(text) if ["true", "false"].contains(&text.as_ref()) => {
                Err(wrong_kind(field, value, "true or false", Some(text.to_string())))
            }
            _ => Err(wrong_kind(field, value, "true or false", None)),
        }
    }

    /// An integer within a range.
    pub(super) fn count(&self, field: &'static str, range: RangeInclusive<usize>) -> Read<Option<usize>> {
        let Some(value) = self.table.get(field) else { return Ok(None) };
        let allowed = format!("an integer from {} to {}", range.start(), range.end());
        let Some(text) = integer_digits(value.get_ref()) else {
            return Err(wrong_kind(field, value, &allowed, None));
        };
        match text.parse::<usize>() {
            Ok(count) if range.contains(&count) => Ok(Some(count)),
            _ => Err(out_of_range(field, value.span(), text, allowed)),
        }
    }

    /// A number, whole or not, within a range.
    pub(super) fn number(&self, field: &'static str, range: RangeInclusive<f64>) -> Read<Option<f64>> {
        let Some(value) = self.table.get(field) else { return Ok(None) };
        let allowed = format!("a number from {} to {}", range.start(), range.end());
        let text = match value.get_ref() {
            DeValue::Float(float) => Some(float.as_str().to_owned()),
            other => integer_digits(other),
        };
        let Some(text) = text else { return Err(wrong_kind(field, value, &allowed, None)) };
        match text.parse::<f64>() {
            Ok(number) if range.contains(&number) => Ok(Some(number)),
            _ => Err(out_of_range(field, value.span(), text, allowed)),
        }
    }

    /// A duration within a range.
    pub(super) fn duration(
        &self,
        field: &'static str,
        range: RangeInclusive<Duration>,
    ) -> Read<Option<Duration>> {
        let Some(value) = self.table.get(field) else { return Ok(None) };
        let allowed = allowed_duration(&range);
        let duration = self.quantity(field, value, &allowed, "s", quantity::parse_duration)?;
        if range.contains(&duration) {
            return Ok(Some(duration));
        }
        Err(out_of_range(field, value.span(), quantity::write_duration(duration), allowed))
    }

    /// A duration that may be negative, at most `max` either way.
    pub(super) fn skew(&self, field: &'static str, max: Duration) -> Read<Option<Skew>> {
        let Some(value) = self.table.get(field) else { return Ok(None) };
        let most = quantity::write_duration(max);
        let allowed = format!("a duration other than 0 from \"-{most}\" to \"{most}\"");
        let skew = self.quantity(field, value, &allowed, "s", quantity::parse_skew)?;
        if skew.by <= max && !skew.is_zero() {
            return Ok(Some(skew));
        }
        Err(out_of_range(field, value.span(), skew, allowed))
    }

    /// A share such as `"50%"`, as a number from 0 to 1, within a range of percentages.
    pub(super) fn share(&self, field: &'static str, percent: RangeInclusive<f64>) -> Read<Option<f64>> {
        let Some(value) = self.table.get(field) else { return Ok(None) };
        let allowed = format!("a share from \"{}%\" to \"{}%\"", percent.start(), percent.end());
        let share = self.quantity(field, value, &allowed, "%", quantity::parse_share)?;
        if percent.start() / 100.0 <= share && share <= percent.end() / 100.0 {
            return Ok(Some(share));
        }
        Err(out_of_range(field, value.span(), quantity::write_share(share), allowed))
    }

    /// A count, or a share such as `"50%"`.
    pub(super) fn amount(&self, field: &'static str) -> Read<Option<Amount>> {
        let Some(value) = self.table.get(field) else { return Ok(None) };
        let allowed = format!("a count of nodes from 0 to {}, or a share such as \"50%\"", super::NODES_MAX);
        match value.get_ref() {
            DeValue::Integer(_) => Ok(self.count(field, 0..=super::NODES_MAX)?.map(Amount::Count)),
            _ => {
                let share = self.quantity(field, value, &allowed, "%", quantity::parse_share)?;
                if share <= 1.0 {
                    return Ok(Some(Amount::Share(share)));
                }
                Err(out_of_range(field, value.span(), quantity::write_share(share), allowed))
            }
        }
    }

    /// One of an enum's names.
    pub(super) fn name<T: Named>(&self, field: &'static str) -> Read<Option<T>> {
        self.table.get(field).map(|value| variant(field, value)).transpose()
    }

    /// A list of an enum's names, each at most once.
    pub(super) fn names<T: Named + PartialEq>(&self, field: &'static str) -> Read<Option<Vec<T>>> {
        let Some(value) = self.table.get(field) else { return Ok(None) };
        let DeValue::Array(names) = value.get_ref() else {
            let allowed = format!("a list of names in brackets, of: {}", T::NAMES.join(", "));
            let meant = value.get_ref().as_str().map(|text| format!("{field} = [\"{text}\"]"));
            return Err(wrong_kind(field, value, &allowed, meant));
        };
        let mut variants = Vec::with_capacity(names.len());
        for name in names.iter() {
            let one = variant::<T>(field, name)?;
            if variants.contains(&one) {
                let words = format!("`{field}` names {} twice", shown(name.get_ref()));
                let remedy = "each name once".to_owned();
                return Err(Located::boxed(name.span(), Problem::Contradiction { words, remedy }));
            }
            variants.push(one);
        }
        Ok(Some(variants))
    }

    /// A quantity written as text; a bare number is refused with its unit as suggestion.
    fn quantity<T>(
        &self,
        field: &'static str,
        value: &Spanned<DeValue<'_>>,
        allowed: &str,
        unit: &str,
        parse: fn(&str) -> Result<T, String>,
    ) -> Read<T> {
        let text = match value.get_ref() {
            DeValue::String(text) => text,
            DeValue::Integer(number) => {
                return Err(wrong_kind(field, value, allowed, Some(format!("{field} = \"{number}{unit}\""))));
            }
            _ => return Err(wrong_kind(field, value, allowed, None)),
        };
        parse(text).map_err(|why| {
            let with_unit = format!("{text}{unit}");
            let suggestion = parse(&with_unit).is_ok().then(|| format!("{field} = \"{with_unit}\""));
            let (field, found, allowed) = (field.to_owned(), text.to_string(), allowed.to_owned());
            Located::boxed(value.span(), Problem::Malformed { field, found, why, allowed, suggestion })
        })
    }
}

/// What a field for a duration within this range takes.
pub(super) fn allowed_duration(range: &RangeInclusive<Duration>) -> String {
    let (least, most) = (quantity::write_duration(*range.start()), quantity::write_duration(*range.end()));
    format!("a duration from \"{least}\" to \"{most}\" (units: ns, us, ms, s, m, h, d)")
}

fn variant<T: Named>(field: &'static str, value: &Spanned<DeValue<'_>>) -> Read<T> {
    let DeValue::String(text) = value.get_ref() else {
        return Err(wrong_kind(field, value, &T::NAMES.join(", "), None));
    };
    let found = T::NAMES.iter().zip(T::VARIANTS).find(|(name, _)| **name == text.as_ref());
    found.map(|(_, variant)| *variant).ok_or_else(|| {
        let (field, found) = (field.to_owned(), text.to_string());
        Located::boxed(value.span(), Problem::UnknownName { field, found, allowed: T::NAMES })
    })
}

/// An integer as decimal digits, whatever base it is written in; `None` for another kind of value.
fn integer_digits(value: &DeValue<'_>) -> Option<String> {
    let DeValue::Integer(integer) = value else { return None };
    match i128::from_str_radix(integer.as_str(), integer.radix()) {
        Ok(number) => Some(number.to_string()),
        Err(_) => Some(integer.to_string()),
    }
}

fn out_of_range(field: &str, span: Range<usize>, found: impl Display, allowed: String) -> Box<Located> {
    let (field, found) = (field.to_owned(), found.to_string());
    Located::boxed(span, Problem::OutOfRange { field, found, allowed })
}

fn wrong_kind(
    field: &str,
    value: &Spanned<DeValue<'_>>,
    allowed: &str,
    suggestion: Option<String>,
) -> Box<Located> {
    let (field, found, allowed) = (field.to_owned(), shown(value.get_ref()), allowed.to_owned());
    Located::boxed(value.span(), Problem::WrongKind { field, found, allowed, suggestion })
}

/// A value with its kind, in words.
fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the text \"{text}\""),
        DeValue::Integer(number) => format!("the bare number {number}"),
        DeValue::Float(number) => format!("the bare number {}", number.as_str()),
        DeValue::Boolean(flag) => format!("the flag {flag}"),
        DeValue::Datetime(date) => format!("the date {date}"),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}
