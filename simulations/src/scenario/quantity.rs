//! The quantities of the language and how they are written: durations (`"1.5ms"`), shares (`"50%"`),
//! amounts (a share or a count) and clock skews (`"-5m"`).
//!
//! Reading is exact: a duration is parsed in whole nanoseconds, without floating point. Writing is the
//! inverse, so an expanded scenario reads back as the same value.

use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};

/// How many nodes something concerns: a plain count, or a share of all of them.
///
/// Written as an integer (`3`) or a percentage (`"50%"`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Amount {
    /// So many nodes.
    Count(usize),
    /// So large a share of the nodes, 0 to 1.
    Share(f64),
}

impl Amount {
    /// How many of `total` that is: a share is rounded up, and it is never more than `total`.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the float is between 0 and the total, which is a usize"
    )]
    #[expect(clippy::cast_precision_loss, clippy::cast_sign_loss, reason = "totals are far below 2^52")]
    pub fn of(self, total: usize) -> usize {
        match self {
            Self::Count(count) => count.min(total),
            // A hair is taken off, or 10 % of 30 would be 4: 0.1 is not exactly a tenth.
            Self::Share(share) => ((share * total as f64 - SHARE_SLACK).ceil().max(0.0) as usize).min(total),
        }
    }

    /// Whether that is nobody, whatever the total.
    pub fn is_none(&self) -> bool {
        *self == Self::Count(0) || *self == Self::Share(0.0)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Share(share) => f.write_str(&write_share(*share)),
        }
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Count(count) => count.serialize(serializer),
            Self::Share(share) => share_text(share, serializer),
        }
    }
}

/// By how much a node's wall clock is off. Written as a duration, with a minus if it is behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Skew {
    /// Whether the clock is ahead of the true time rather than behind it.
    pub ahead: bool,
    /// By how much; zero is a right clock.
    pub by: Duration,
}

impl Skew {
    /// What the skewed clock shows at this true time since the epoch; never before the epoch.
    pub fn shown(self, wall: Duration) -> Duration {
        if self.ahead { wall.saturating_add(self.by) } else { wall.saturating_sub(self.by) }
    }

    /// Whether the clock is right.
    pub fn is_zero(&self) -> bool {
        self.by.is_zero()
    }
}

impl fmt::Display for Skew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.ahead || self.by.is_zero() { "" } else { "-" };
        write!(f, "{sign}{}", write_duration(self.by))
    }
}

impl Serialize for Skew {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Reads a duration such as `250us`, `1.5ms`, `30s`, `10m`, `6h` or `2d`.
///
/// # Errors
///
/// Words that follow "is ...," in a sentence: no number, no unit, an unknown unit, finer than a
/// nanosecond, or too long for a [`Duration`].
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '_').unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let whole = whole.replace('_', "");
    if whole.is_empty() || fraction.contains(['.', '_']) || (number.ends_with('.')) {
        return Err("which is no number followed by a unit".to_owned());
    }
    let unit = match unit.trim() {
        "" => return Err("which has no unit".to_owned()),
        "\u{b5}s" | "\u{3bc}s" => "us",
        unit => unit,
    };
    let Some((_, unit_ns)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err(format!("whose unit \"{unit}\" is unknown"));
    };
    let nanoseconds = scaled(&whole, fraction, u128::from(*unit_ns))?;
    let seconds = u64::try_from(nanoseconds / NANOSECONDS_PER_SECOND).map_err(|_| TOO_LONG.to_owned())?;
    let rest = u32::try_from(nanoseconds % NANOSECONDS_PER_SECOND).map_err(|_| TOO_LONG.to_owned())?;
    Ok(Duration::new(seconds, rest))
}

/// Writes a duration so that [`parse_duration`] reads the same one.
pub fn write_duration(duration: Duration) -> String {
    let nanoseconds = duration.as_nanos();
    if nanoseconds == 0 {
        return "0s".to_owned();
    }
    let is_whole = nanoseconds.is_multiple_of(NANOSECONDS_PER_SECOND);
    for (unit, unit_ns) in UNITS {
        let unit_ns = u128::from(unit_ns);
        let (whole, rest) = (nanoseconds / unit_ns, nanoseconds % unit_ns);
        // Whole seconds are never written as a fraction of a minute; shorter times are one of a second.
        if rest == 0 && is_whole {
            return format!("{whole}{unit}");
        }
        if !is_whole && whole > 0 && unit_ns <= NANOSECONDS_PER_SECOND {
            let digits = unit_ns.ilog10() as usize;
            let fraction = format!("{rest:0digits$}");
            let fraction = fraction.trim_end_matches('0');
            return if rest == 0 { format!("{whole}{unit}") } else { format!("{whole}.{fraction}{unit}") };
        }
    }
    format!("{nanoseconds}ns")
}

/// Reads a share such as `50%` or `0.5%` as a number from 0 to 1.
///
/// # Errors
///
/// Words that follow "is ...," in a sentence: no percent sign, or no number before it.
pub fn parse_share(text: &str) -> Result<f64, String> {
    let Some(number) = text.trim().strip_suffix('%') else {
        return Err("which has no percent sign".to_owned());
    };
    let number = number.trim();
    if number.is_empty() || number.contains(|c: char| !c.is_ascii_digit() && c != '.') {
        return Err("which is no number before its percent sign".to_owned());
    }
    number
        .parse::<f64>()
        .map(|percent| percent / 100.0)
        .map_err(|_| "which is no number before its percent sign".to_owned())
}

/// Writes a share so that [`parse_share`] reads the same one.
pub fn write_share(share: f64) -> String {
    let percent = share * 100.0;
    let exact = (0..=SHARE_DIGITS_MAX)
        .map(|digits| format!("{percent:.digits$}%"))
        .find(|text| parse_share(text).is_ok_and(|read| read.total_cmp(&share).is_eq()));
    exact.unwrap_or_else(|| format!("{percent}%"))
}

/// Reads a clock skew: a duration, with a minus if the clock is behind.
///
/// # Errors
///
/// As [`parse_duration`].
pub fn parse_skew(text: &str) -> Result<Skew, String> {
    let text = text.trim();
    let (ahead, magnitude) = match text.strip_prefix('-') {
        Some(magnitude) => (false, magnitude),
        None => (true, text.strip_prefix('+').unwrap_or(text)),
    };
    let by = parse_duration(magnitude)?;
    Ok(Skew { ahead: ahead && !by.is_zero(), by })
}

/// For serde: a duration as it is written in a scenario.
pub(super) fn duration_text<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&write_duration(*duration))
}

/// For serde: an optional duration, absent if there is none.
pub(super) fn duration_text_option<S: Serializer>(
    duration: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    duration.map(write_duration).serialize(serializer)
}

/// For serde: a share as it is written in a scenario.
pub(super) fn share_text<S: Serializer>(share: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&write_share(*share))
}

/// For serde: an optional share, absent if there is none.
pub(super) fn share_text_option<S: Serializer>(
    share: &Option<f64>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    share.map(write_share).serialize(serializer)
}

/// `whole.fraction` times `unit`, which must come out whole.
fn scaled(whole: &str, fraction: &str, unit: u128) -> Result<u128, String> {
    let fraction = fraction.trim_end_matches('0');
    let digits = u32::try_from(fraction.len()).map_err(|_| TOO_FINE.to_owned())?;
    let scale = 10_u128.checked_pow(digits).filter(|scale| *scale <= SCALE_MAX).ok_or(TOO_FINE)?;
    let mantissa: u128 = format!("{whole}{fraction}").parse().map_err(|_| TOO_LONG.to_owned())?;
    let product = mantissa.checked_mul(unit).ok_or(TOO_LONG)?;
    if product.is_multiple_of(scale) { Ok(product / scale) } else { Err(TOO_FINE.to_owned()) }
}

/// The units of durations, longest first, in nanoseconds.
const UNITS: [(&str, u64); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

const NANOSECONDS_PER_SECOND: u128 = 1_000_000_000;

/// More decimals than any unit has nanoseconds.
const SCALE_MAX: u128 = 1_000_000_000_000_000_000;

/// Decimals of a percentage that are tried before its shortest exact form is given up.
const SHARE_DIGITS_MAX: usize = 17;

/// What is taken off a share of a total before it is rounded up: above the error of a product of doubles
/// at 100,000 nodes, below one node in a thousand millions.
const SHARE_SLACK: f64 = 1e-9;

const TOO_LONG: &str = "which is longer than any clock counts";
const TOO_FINE: &str = "which is finer than a nanosecond";
