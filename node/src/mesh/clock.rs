//! The node's clock: milliseconds since the node started, suspended time included.
//!
//! A laptop that slept for an hour must see that leases ran on, so the clock is `CLOCK_BOOTTIME`, not the
//! monotonic clock that stands still meanwhile. The wall clock is read once, at the start.

use std::time::{Duration, SystemTime};

use hereabouts_protocol::time::{Timestamp, UnixTime, WallClock};
use nix::time::{ClockId, clock_gettime};

/// Where the mesh reads the time.
pub trait Clock: Send + 'static {
    /// The time now; never earlier than what was returned before.
    fn now(&self) -> Timestamp;

    /// What the wall clock said at [`Timestamp::START`].
    fn wall_clock(&self) -> WallClock;
}

/// The clock of the machine.
#[derive(Debug, Clone, Copy)]
pub struct BootClock {
    started: Duration,
    wall_clock: WallClock,
}

impl BootClock {
    /// A clock that stands at zero now.
    pub fn start() -> Self {
        let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let at_start = UnixTime::from_millis(u64::try_from(unix.as_millis()).unwrap_or(u64::MAX));
        Self { started: since_boot(), wall_clock: WallClock { at_start } }
    }
}

impl Clock for BootClock {
    fn now(&self) -> Timestamp {
        Timestamp::START + since_boot().saturating_sub(self.started)
    }

    fn wall_clock(&self) -> WallClock {
        self.wall_clock
    }
}

fn since_boot() -> Duration {
    clock_gettime(ClockId::CLOCK_BOOTTIME).expect("Linux has had CLOCK_BOOTTIME since 2.6.39").into()
}
