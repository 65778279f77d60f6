//! Two clocks, both handed in: one that only moves forward, one that people read.
//!
//! Every decision in this crate is made against [`Timestamp`], which counts from the start of the node and
//! never steps. [`UnixTime`] is what people and documents carry. A node is told once what the wall clock
//! said when its own clock stood at zero ([`WallClock`]) and derives the one from the other. Neither type
//! reads a clock: the driver does, and it counts the time a machine was suspended.

use std::{
    ops::{Add, Sub},
    time::Duration,
};

use serde::{Deserialize, Serialize};

/// Milliseconds since the node started, suspended time included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The moment the node started.
    pub const START: Self = Self(0);

    /// A timestamp from milliseconds since the start.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the start.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// How long ago `earlier` was; zero if it is not earlier.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(millis(duration)))
    }
}

/// Milliseconds since 1970-01-01T00:00:00Z.
///
/// From another node it is a claim, used to show and never to decide which of two statements is newer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct UnixTime(u64);

impl UnixTime {
    /// A point in time from milliseconds since 1970.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// How long ago `earlier` was; zero if it is not earlier.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for UnixTime {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }
}

impl Sub<Duration> for UnixTime {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(millis(duration)))
    }
}

/// What the wall clock said when the node's own clock stood at zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WallClock {
    /// The wall clock at [`Timestamp::START`].
    pub at_start: UnixTime,
}

impl WallClock {
    /// The wall clock at `now`.
    pub fn unix(self, now: Timestamp) -> UnixTime {
        self.at_start + Duration::from_millis(now.0)
    }

    /// The node's clock at `unix`; [`Timestamp::START`] if that was before the node started.
    pub fn timestamp(self, unix: UnixTime) -> Timestamp {
        Timestamp(unix.0.saturating_sub(self.at_start.0))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
