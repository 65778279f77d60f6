//! Points in time as documents write them.

use std::{fmt, str::FromStr};

use hereabouts_protocol::time::UnixTime;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

/// A point in time: RFC 3339 in UTC with milliseconds, such as `2026-03-01T09:30:00.000Z`.
///
/// Any offset is read. What another node claims may lie beyond the year 9999 and is written as its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ToSchema)]
#[schema(value_type = String, format = DateTime, example = "2026-03-01T09:30:00.000Z")]
pub struct DocumentTime(pub UnixTime);

impl DocumentTime {
    /// What the wall clock says now.
    pub fn now() -> Self {
        Self::from(Timestamp::now())
    }
}

impl From<UnixTime> for DocumentTime {
    fn from(time: UnixTime) -> Self {
        Self(time)
    }
}

impl From<Timestamp> for DocumentTime {
    /// A time before 1970 becomes 1970, where [`UnixTime`] begins.
    fn from(time: Timestamp) -> Self {
        Self(UnixTime::from_millis(u64::try_from(time.as_millisecond()).unwrap_or(0)))
    }
}

impl fmt::Display for DocumentTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let timestamp = i64::try_from(self.0.as_millis())
            .ok()
            .and_then(|millis| Timestamp::from_millisecond(millis).ok())
            .unwrap_or(Timestamp::MAX);
        write!(f, "{timestamp:.3}")
    }
}

impl FromStr for DocumentTime {
    type Err = jiff::Error;

    fn from_str(text: &str) -> Result<Self, jiff::Error> {
        Ok(Self::from(text.parse::<Timestamp>()?))
    }
}

impl Serialize for DocumentTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for DocumentTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
