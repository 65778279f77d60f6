//! Numbers for people: 1,234; 12.3 ms; 4.5 kB/s; 99.998 %.
//!
//! Every function maps a number to text of at most about ten characters. A number that is not finite becomes
//! [`UNKNOWN`]. Prefixes are decimal: one kB is 1,000 bytes.

use std::time::Duration;

use super::{Better, Metric};

/// A count with its thousands grouped.
pub(super) fn grouped(count: u64) -> String {
    group_digits(&count.to_string())
}

/// A count and its noun, in the singular where the count is one.
pub(super) fn counted(count: u64, singular: &str, plural: &str) -> String {
    format!("{} {}", grouped(count), if count == 1 { singular } else { plural })
}

/// A number with about three significant digits.
pub(super) fn number(value: f64) -> String {
    if !value.is_finite() {
        return UNKNOWN.to_owned();
    }
    let size = value.abs();
    if size < 5e-7 {
        return "0".to_owned();
    }
    let decimals = match size {
        size if size >= 99.95 || is_whole(size) => 0,
        size if size >= 9.995 => 1,
        size if size >= 0.9995 => 2,
        size if size >= 0.1 => 3,
        size if size >= 0.01 => 4,
        _ => 6,
    };
    let digits = format!("{size:.decimals$}");
    let (whole, fraction) = digits.split_once('.').unwrap_or((&digits, ""));
    let fraction = fraction.trim_end_matches('0');
    let sign = if value < 0.0 { "-" } else { "" };
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{}{point}{fraction}", group_digits(whole))
}

/// A value in the unit of a [`Metric`], scaled where the unit is one of time, bytes or a share.
pub(super) fn quantity(value: f64, unit: &str) -> String {
    match unit {
        "s" | "seconds" => seconds(value),
        "ms" | "milliseconds" => milliseconds(value),
        "share" => percent(value),
        "" | "count" => number(value),
        "B" | "bytes" => bytes(value, ""),
        unit => match unit.strip_prefix('B') {
            Some(per) if per.starts_with('/') => bytes(value, per),
            _ => format!("{} {unit}", number(value)),
        },
    }
}

/// Whether [`quantity`] scales values of this unit, so that their texts carry the unit that fits.
pub(super) fn is_scaled(unit: &str) -> bool {
    matches!(unit, "s" | "seconds" | "ms" | "milliseconds" | "share" | "B" | "bytes")
        || unit.starts_with("B/")
}

/// What a metric must keep, as `at most 10 s`.
pub(super) fn bound(metric: &Metric) -> Option<String> {
    let demand = if metric.better == Better::Higher { "at least" } else { "at most" };
    metric.bound.map(|bound| format!("{demand} {}", quantity(bound, &metric.unit)))
}

/// A length of time given in seconds: `350 ms`, `12.3 s`, `4 min 10 s`, `2 h 5 min`.
pub(super) fn seconds(value: f64) -> String {
    let Ok(rounded) = Duration::try_from_secs_f64(value.round()) else {
        return if value.is_finite() { format!("{} s", number(value)) } else { UNKNOWN.to_owned() };
    };
    let whole = rounded.as_secs();
    let (large, small) = match whole {
        0..120 if value == 0.0 => return "0 s".to_owned(),
        0..120 if value < 0.9995 => return milliseconds(value * 1000.0),
        0..120 => return format!("{} s", number(value)),
        120..7200 => ((whole / 60, "min"), (whole % 60, "s")),
        7200..172_800 => ((whole / 3600, "h"), (whole % 3600 / 60, "min")),
        _ => ((whole / 86_400, "d"), (whole % 86_400 / 3600, "h")),
    };
    let tail = if small.0 == 0 { String::new() } else { format!(" {} {}", small.0, small.1) };
    format!("{} {}{tail}", grouped(large.0), large.1)
}

/// A mark of a time axis, given in seconds: whole minutes as minutes, anything else as [`seconds`] has it.
pub(super) fn tick_seconds(value: f64) -> String {
    if value == 60.0 { "1 min".to_owned() } else { seconds(value) }
}

/// A length of time given in milliseconds, in the largest unit that keeps a digit before the point.
pub(super) fn milliseconds(value: f64) -> String {
    match value.abs() {
        size if size >= 999.5 => seconds(value / 1000.0),
        size if size >= 0.9995 || size == 0.0 => format!("{} ms", number(value)),
        size if size > 0.0 => format!("{} µs", number(value * 1000.0)),
        _ => UNKNOWN.to_owned(),
    }
}

/// A number of bytes, with what it is per (`/s`) behind the unit.
pub(super) fn bytes(value: f64, per: &str) -> String {
    let (divisor, unit) = match value.abs() {
        size if size >= 999.5e6 => (1e9, "GB"),
        size if size >= 999.5e3 => (1e6, "MB"),
        size if size >= 999.5 => (1e3, "kB"),
        _ => (1.0, "B"),
    };
    format!("{} {unit}{per}", number(value / divisor))
}

/// A share from 0 to 1 as a percentage; only a full share reads as 100 %.
pub(super) fn percent(share: f64) -> String {
    if !share.is_finite() {
        return UNKNOWN.to_owned();
    }
    let value = share * 100.0;
    let decimals = match value {
        value if is_whole(value) => 0,
        value if (99.995..100.0).contains(&value) => 4,
        value if (99.0..100.0).contains(&value) => 2,
        value if value.abs() < 1.0 => 2,
        _ => 1,
    };
    let text = format!("{value:.decimals$}");
    if text.starts_with("100.0") && share < 1.0 { "> 99.9999 %".to_owned() } else { format!("{text} %") }
}

/// What is printed for a number that is not finite.
pub(super) const UNKNOWN: &str = "n/a";

fn is_whole(value: f64) -> bool {
    (value - value.round()).abs() < 1e-9
}

fn group_digits(digits: &str) -> String {
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_grouped() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1234), "1,234");
        assert_eq!(grouped(12_345_678), "12,345,678");
        assert_eq!(counted(1, "node", "nodes"), "1 node");
        assert_eq!(counted(1000, "node", "nodes"), "1,000 nodes");
    }

    #[test]
    fn numbers_keep_about_three_digits() {
        assert_eq!(number(0.0), "0");
        assert_eq!(number(1234.4), "1,234");
        assert_eq!(number(12.34), "12.3");
        assert_eq!(number(1.0), "1");
        assert_eq!(number(1.999_99), "2");
        assert_eq!(number(-3.456), "-3.46");
        assert_eq!(number(0.0123), "0.0123");
        assert_eq!(number(f64::NAN), UNKNOWN);
    }

    #[test]
    fn quantities_are_scaled_by_unit() {
        assert_eq!(quantity(12.3, "ms"), "12.3 ms");
        assert_eq!(quantity(1500.0, "ms"), "1.5 s");
        assert_eq!(quantity(0.25, "ms"), "250 µs");
        assert_eq!(quantity(0.35, "s"), "350 ms");
        assert_eq!(quantity(250.0, "s"), "4 min 10 s");
        assert_eq!(quantity(7500.0, "s"), "2 h 5 min");
        assert_eq!(quantity(4500.0, "B/s"), "4.5 kB/s");
        assert_eq!(quantity(2e6, "bytes"), "2 MB");
        assert_eq!(quantity(0.999, "share"), "99.90 %");
        assert_eq!(quantity(3.0, "hops"), "3 hops");
        assert_eq!(quantity(3.0, "Bananas"), "3 Bananas");
    }

    #[test]
    fn only_a_full_share_is_100_percent() {
        assert_eq!(percent(1.0), "100 %");
        assert_eq!(percent(0.999_999), "99.9999 %");
        assert_eq!(percent(0.999_999_999), "> 99.9999 %");
        assert_eq!(percent(0.5), "50 %");
        assert_eq!(percent(0.0), "0 %");
    }

    #[test]
    fn impossible_times_do_not_panic() {
        assert_eq!(seconds(f64::INFINITY), UNKNOWN);
        assert_eq!(milliseconds(f64::NAN), UNKNOWN);
        assert_eq!(seconds(-2.0), "-2 s");
        assert_eq!(seconds(0.0), "0 s");
    }
}
