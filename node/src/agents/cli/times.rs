//! Times as people write and read them.
//!
//! Written: a clock time means the next such moment in the local time zone, a duration counts from now, and
//! RFC 3339 means itself. Read: times of the same day are `11:42`, ages are `3 s ago`. The present is always
//! an argument, so that all of this can be tested.

use std::{str::FromStr, time::Duration};

use jiff::{SignedDuration, Span, Timestamp, ToSpan, Zoned, civil::Time};

/// When something ends, as the command line says it.
#[derive(Debug, Clone, PartialEq)]
pub enum Until {
    /// The next time that the local clock shows this.
    ClockTime(Time),
    /// A point in time.
    At(Timestamp),
    /// So long from now.
    In(Lasting),
}

impl Until {
    /// The point in time that is meant, which lies after `now`.
    ///
    /// # Errors
    /// [`TimeError::Past`] if it does not, or what else is wrong with it.
    pub fn resolve(&self, now: &Zoned) -> Result<Timestamp, TimeError> {
        let end = match self {
            Self::ClockTime(time) => next(*time, now)?,
            Self::At(end) => *end,
            Self::In(lasting) => lasting.end(now)?,
        };
        if end <= now.timestamp() { Err(TimeError::Past) } else { Ok(end) }
    }
}

impl FromStr for Until {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        let text = text.trim();
        for format in ["%H:%M", "%H:%M:%S"] {
            if let Ok(time) = Time::strptime(format, text) {
                return Ok(Self::ClockTime(time));
            }
        }
        if let Ok(end) = text.parse() {
            return Ok(Self::At(end));
        }
        text.parse().map(Self::In).map_err(|error| match error {
            TimeError::NotADuration => TimeError::NotATime,
            TimeError::NotATime
            | TimeError::NotPositive
            | TimeError::TooFar
            | TimeError::Past
            | TimeError::ToCome => error,
        })
    }
}

/// When something was, as the command line says it.
#[derive(Debug, Clone, PartialEq)]
pub enum Ago {
    /// A point in time.
    At(Timestamp),
    /// So long before now.
    Before(Lasting),
}

impl Ago {
    /// The point in time that is meant, which does not lie after `now`.
    ///
    /// # Errors
    /// [`TimeError::ToCome`] if it does, or [`TimeError::TooFar`].
    pub fn resolve(&self, now: &Zoned) -> Result<Timestamp, TimeError> {
        match self {
            Self::At(at) if *at > now.timestamp() => Err(TimeError::ToCome),
            Self::At(at) => Ok(*at),
            Self::Before(Lasting(span)) => {
                now.checked_sub(*span).map(|at| at.timestamp()).map_err(|_| TimeError::TooFar)
            }
        }
    }
}

impl FromStr for Ago {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        match text.trim().parse() {
            Ok(at) => Ok(Self::At(at)),
            Err(_) => text.parse().map(Self::Before),
        }
    }
}

/// A length of time, as the command line says it: `30m`, `2h`, `1h30m`, `7d`.
#[derive(Debug, Clone)]
pub struct Lasting(Span);

impl Lasting {
    /// The moment so long after `now`. A day is a calendar day.
    ///
    /// # Errors
    /// [`TimeError::TooFar`].
    pub fn end(&self, now: &Zoned) -> Result<Timestamp, TimeError> {
        now.checked_add(self.0).map(|end| end.timestamp()).map_err(|_| TimeError::TooFar)
    }

    /// Its whole seconds from `now` on.
    ///
    /// # Errors
    /// [`TimeError::TooFar`].
    pub fn seconds(&self, now: &Zoned) -> Result<u64, TimeError> {
        let lasts = self.end(now)?.duration_since(now.timestamp());
        Ok(lasts.unsigned_abs().as_secs())
    }
}

impl PartialEq for Lasting {
    fn eq(&self, other: &Self) -> bool {
        self.0.fieldwise() == other.0.fieldwise()
    }
}

impl FromStr for Lasting {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        let span: Span = text.trim().parse().map_err(|_| TimeError::NotADuration)?;
        if span.is_positive() { Ok(Self(span)) } else { Err(TimeError::NotPositive) }
    }
}

/// A time or duration that cannot be meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// It has no form that is understood.
    #[error("a time is written 12:00 (the next such local time), 30m, 2h, 1d, or 2030-01-31T12:00:00Z")]
    NotATime,
    /// It has no form that is understood.
    #[error("a duration is written 30m, 2h, 1h30m or 7d")]
    NotADuration,
    /// Zero or negative.
    #[error("a duration must be longer than nothing")]
    NotPositive,
    /// Beyond the calendar.
    #[error("that is too far away")]
    TooFar,
    /// It is over.
    #[error("that time is past; give one that is still to come")]
    Past,
    /// It has not been yet.
    #[error("that time is still to come; give one that is past")]
    ToCome,
}

/// How long ago something was: `just now`, `3 s ago`, `4 min ago`, `2 h ago`, `5 days ago`.
pub fn age(age: Duration) -> String {
    let seconds = age.as_secs();
    match seconds {
        0 => "just now".to_owned(),
        1..MINUTE => format!("{seconds} s ago"),
        MINUTE..HOUR => format!("{} min ago", seconds / MINUTE),
        HOUR..DAY => format!("{} h ago", seconds / HOUR),
        _ if seconds < 2 * DAY => "1 day ago".to_owned(),
        _ => format!("{} days ago", seconds / DAY),
    }
}

/// A moment as a person near it would say it: `11:42`, `tomorrow 08:00`, `yesterday 23:10`, or with its date.
pub fn moment(at: Timestamp, now: &Zoned) -> String {
    let at = at.to_zoned(now.time_zone().clone());
    let day = |days: i64| now.date().checked_add(days.days()).ok();
    let clock = at.strftime("%H:%M");
    if at.date() == now.date() {
        clock.to_string()
    } else if Some(at.date()) == day(1) {
        format!("tomorrow {clock}")
    } else if Some(at.date()) == day(-1) {
        format!("yesterday {clock}")
    } else {
        at.strftime("%Y-%m-%d %H:%M").to_string()
    }
}

/// The time at the beginning of a line that reports an event: `11:42:07`.
pub fn clock(at: Timestamp, now: &Zoned) -> String {
    at.to_zoned(now.time_zone().clone()).strftime("%H:%M:%S").to_string()
}

/// How long before `now` something was; nothing if it lies ahead.
pub fn since(at: Timestamp, now: &Zoned) -> Duration {
    now.timestamp().duration_since(at).max(SignedDuration::ZERO).unsigned_abs()
}

fn next(time: Time, now: &Zoned) -> Result<Timestamp, TimeError> {
    let on = |days: i64| {
        let date = now.date().checked_add(days.days()).map_err(|_| TimeError::TooFar)?;
        let zoned = date.to_datetime(time).to_zoned(now.time_zone().clone());
        zoned.map(|zoned| zoned.timestamp()).map_err(|_| TimeError::TooFar)
    };
    let today = on(0)?;
    if today > now.timestamp() { Ok(today) } else { on(1) }
}

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

#[cfg(test)]
mod tests {
    use super::*;

    fn zoned(text: &str) -> Zoned {
        text.parse().unwrap()
    }

    fn until(text: &str, now: &str) -> Result<String, TimeError> {
        let end = text.parse::<Until>()?.resolve(&zoned(now))?;
        Ok(end.to_string())
    }

    const MORNING: &str = "2030-03-05T11:42:07[Europe/Berlin]";

    #[test]
    fn a_clock_time_is_the_next_one() {
        assert_eq!(until("12:00", MORNING).unwrap(), "2030-03-05T11:00:00Z");
        assert_eq!(until("12:00:30", MORNING).unwrap(), "2030-03-05T11:00:30Z");
        assert_eq!(until("9:30", MORNING).unwrap(), "2030-03-06T08:30:00Z");
        assert_eq!(until("11:42:07", MORNING).unwrap(), "2030-03-06T10:42:07Z", "now is not to come");
    }

    #[test]
    fn a_clock_time_that_the_change_to_summer_time_skips_is_the_moment_after() {
        assert_eq!(until("02:30", "2030-03-31T00:10[Europe/Berlin]").unwrap(), "2030-03-31T01:30:00Z");
    }

    #[test]
    fn a_duration_counts_from_now() {
        assert_eq!(until("30m", MORNING).unwrap(), "2030-03-05T11:12:07Z");
        assert_eq!(until("1h30m", MORNING).unwrap(), "2030-03-05T12:12:07Z");
        assert_eq!(until("2 h", MORNING).unwrap(), "2030-03-05T12:42:07Z");
        assert_eq!(until("1d", MORNING).unwrap(), "2030-03-06T10:42:07Z");
    }

    #[test]
    fn rfc_3339_means_itself() {
        assert_eq!(until("2030-03-05T12:00:00+01:00", MORNING).unwrap(), "2030-03-05T11:00:00Z");
    }

    #[test]
    fn what_is_over_or_makes_no_sense_is_refused() {
        assert_eq!(until("2020-01-01T00:00:00Z", MORNING), Err(TimeError::Past));
        assert_eq!(until("-30m", MORNING), Err(TimeError::NotPositive));
        assert_eq!(until("0s", MORNING), Err(TimeError::NotPositive));
        assert_eq!(until("9000y", MORNING), Err(TimeError::TooFar));
        for nonsense in ["", "noon", "25:00", "12", "12:60", "2030-13-01T00:00:00Z"] {
            assert_eq!(until(nonsense, MORNING), Err(TimeError::NotATime), "{nonsense}");
        }
        assert_eq!("soon".parse::<Lasting>(), Err(TimeError::NotADuration));
    }

    #[test]
    fn ages_are_short() {
        let cases = [
            (0, "just now"),
            (1, "1 s ago"),
            (59, "59 s ago"),
            (60, "1 min ago"),
            (3599, "59 min ago"),
            (3600, "1 h ago"),
            (86_399, "23 h ago"),
            (86_400, "1 day ago"),
            (200_000, "2 days ago"),
        ];
        for (seconds, text) in cases {
            assert_eq!(age(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn moments_are_told_as_seen_from_now() {
        let now = zoned(MORNING);
        let told = |text: &str| moment(text.parse().unwrap(), &now);
        assert_eq!(told("2030-03-05T11:00:00Z"), "12:00");
        assert_eq!(told("2030-03-05T23:30:00Z"), "tomorrow 00:30");
        assert_eq!(told("2030-03-04T22:10:00Z"), "yesterday 23:10");
        assert_eq!(told("2031-01-01T11:00:00Z"), "2031-01-01 12:00");
        assert_eq!(clock("2030-03-05T11:00:05Z".parse().unwrap(), &now), "12:00:05");
    }

    #[test]
    fn the_future_has_no_age() {
        let now = zoned(MORNING);
        assert_eq!(since("2031-01-01T11:00:00Z".parse().unwrap(), &now), Duration::ZERO);
        assert_eq!(since("2030-03-05T10:42:00Z".parse().unwrap(), &now), Duration::from_secs(7));
    }
}
