//! Points in time as RFC 3339 writes them, which is also XML Schema's `dateTime` with a zone.
//!
//! Written in UTC to the millisecond. Read with any offset and any number of decimals, of which three count.
//! A year beyond 9999 is written with as many digits as it has: XML Schema allows that and RFC 3339 does not,
//! but a claimed time may be any number and must not get lost.

use crate::time::UnixTime;

pub(super) fn format(time: UnixTime) -> String {
    let (seconds, millis) = (time.as_millis() / 1000, time.as_millis() % 1000);
    let (days, second) = (seconds / SECONDS_PER_DAY, seconds % SECONDS_PER_DAY);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// The time, if the text is one that is not before 1970.
pub(super) fn parse(text: &str) -> Option<UnixTime> {
    let (date, clock) = text.split_once(['T', 't'])?;
    let mut date = date.split('-');
    let (year, month, day) = (date.next()?, number(date.next()?, 2)?, number(date.next()?, 2)?);
    if date.next().is_some() || !(4..=YEAR_DIGITS_MAX).contains(&year.len()) {
        return None;
    }
    let year = number(year, year.len())?;
    if !(1..=12).contains(&month) || !(1..=days_of_month(year, month)).contains(&day) {
        return None;
    }
    let zone_at = clock.find(['Z', 'z', '+', '-'])?;
    let (clock, zone) = clock.split_at_checked(zone_at)?;
    let millis = i128::from(days(year, month, day)?) * i128::from(SECONDS_PER_DAY) * 1000
        + i128::from(millis_of_day(clock)?)
        - i128::from(offset_minutes(zone)?) * 60_000;
    u64::try_from(millis).ok().map(UnixTime::from_millis)
}

fn millis_of_day(clock: &str) -> Option<u64> {
    let (clock, fraction) = clock.split_once('.').map_or((clock, None), |(clock, rest)| (clock, Some(rest)));
    let millis = match fraction {
        Some(digits) if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            number(format!("{digits:0<3}").get(..3)?, 3)?
        }
        Some(_) => return None,
        None => 0,
    };
    let mut parts = clock.split(':');
    let (hour, minute, second) =
        (number(parts.next()?, 2)?, number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    // A leap second counts as the second after it.
    if parts.next().is_some() || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    Some(((hour * 60 + minute) * 60 + second) * 1000 + millis)
}

fn offset_minutes(zone: &str) -> Option<i64> {
    if zone.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let (sign, rest) = zone.split_at_checked(1)?;
    let (hour, minute) = rest.split_once(':')?;
    let (hour, minute) = (number(hour, 2)?, number(minute, 2)?);
    let minutes = i64::try_from(hour * 60 + minute).ok().filter(|_| hour <= 23 && minute <= 59)?;
    match sign {
        "+" => Some(minutes),
        "-" => Some(-minutes),
        _ => None,
    }
}

/// The number of exactly so many digits.
fn number(text: &str, digits: usize) -> Option<u64> {
    let are_digits = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    are_digits.then(|| text.parse().ok()).flatten()
}

/// The day of the Gregorian calendar so many days after 1970-01-01, by Howard Hinnant's `civil_from_days`.
fn civil(days: u64) -> (u64, u64, u64) {
    // Years are counted from March, so that the leap day is the last.
    let shifted = days + DAYS_TO_1970;
    let (era, day_of_era) = (shifted / DAYS_PER_ERA, shifted % DAYS_PER_ERA);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year_of_era + later, month, day)
}

/// The days from 1970-01-01 to a date, by `days_from_civil`; none if it is before the year 1.
fn days(year: u64, month: u64, day: u64) -> Option<i64> {
    let year = if month <= 2 { year.checked_sub(1)? } else { year };
    let (era, year_of_era) = (year / 400, year % 400);
    let month = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let shifted = i64::try_from(era * DAYS_PER_ERA + day_of_era).ok()?;
    shifted.checked_sub_unsigned(DAYS_TO_1970)
}

fn days_of_month(year: u64, month: u64) -> u64 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 => 28 + u64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

const SECONDS_PER_DAY: u64 = 24 * 60 * 60;
/// Days of 400 years, after which the calendar repeats.
const DAYS_PER_ERA: u64 = 146_097;
/// From 0000-03-01.
const DAYS_TO_1970: u64 = 719_468;
/// Digits of the year in which the last millisecond of a [`UnixTime`] falls.
const YEAR_DIGITS_MAX: usize = 9;

#[cfg(test)]
#[path = "date_time_tests.rs"]
mod tests;
