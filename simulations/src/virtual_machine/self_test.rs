//! Proof, before anything is simulated, that no real time and no real randomness reaches a simulation.
//!
//! Each check reads one source as the code under test reads it. A build in which a symbol is not interposed
//! (another C library, a crate that asks the kernel itself) fails here, and not as a run that cannot be
//! repeated.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    thread,
    time::{Duration, Instant, SystemTime},
};

use futures::FutureExt;
use futures_timer::{Delay, virtual_time};
use thiserror::Error;

use super::Machine;

/// Runs all checks, in a few milliseconds.
///
/// # Errors
/// The first source that is not under control.
pub fn run() -> Result<(), Leak> {
    let first = drawn_with(1)?;
    if first != drawn_with(1)? {
        return Err(Leak::Randomness);
    }
    if first.key == drawn_with(2)?.key || first.hash == drawn_with(2)?.hash {
        return Err(Leak::SeedHasNoEffect);
    }
    let outside = Instant::now();
    thread::sleep(Duration::from_millis(2));
    if outside.elapsed() < Duration::from_millis(2) {
        return Err(Leak::StopsRealTime);
    }
    Ok(())
}

/// A source that a simulation would read past its control.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Leak {
    /// `Instant` or `SystemTime` moved by themselves.
    #[error("the clock runs on by itself: clock_gettime is not the simulator's in this build")]
    Clock,
    /// The clock did not move as it was told to.
    #[error("the clock does not follow the simulation: something else than clock_gettime is read")]
    ClockIgnored,
    /// A timer did not end with the simulation's clock.
    #[error("timers do not follow the simulation's clock: futures-timer is not the patched one")]
    Timers,
    /// One seed gave two different draws.
    #[error("random numbers, generated keys or the order of hash maps differ between two runs of one seed")]
    Randomness,
    /// Two seeds gave the same draw.
    #[error("the seed decides nothing: getrandom is not the simulator's in this build")]
    SeedHasNoEffect,
    /// Time stood still on a thread that runs no simulation.
    #[error("a thread that runs no simulation does not see real time")]
    StopsRealTime,
    /// A check itself failed.
    #[error("the self-test could not be run")]
    Failed,
}

#[derive(Debug, PartialEq, Eq)]
struct Drawn {
    key: Vec<u8>,
    hash: u64,
    order: Vec<u32>,
    instant: Duration,
    unix: Duration,
}

/// What a simulation with `seed` sees, on a thread of its own.
fn drawn_with(seed: u64) -> Result<Drawn, Leak> {
    thread::spawn(move || draw(seed)).join().map_err(|_| Leak::Failed)?
}

fn draw(seed: u64) -> Result<Drawn, Leak> {
    let _machine = Machine::start(seed, false);
    let (start, wall) = (Instant::now(), SystemTime::now());
    // Long enough for any real clock to have moved.
    std::hint::black_box((0..200_000_u64).fold(0, u64::wrapping_add));
    if start.elapsed() != Duration::ZERO || wall.elapsed().ok() != Some(Duration::ZERO) {
        return Err(Leak::Clock);
    }
    let mut delay = Delay::new(Duration::from_nanos(1_500_000_001));
    let early = (&mut delay).now_or_never().is_some() || virtual_time::next_deadline().is_none();
    virtual_time::advance(1_500_000_001);
    if early || delay.now_or_never().is_none() {
        return Err(Leak::Timers);
    }
    if start.elapsed() != Duration::from_nanos(1_500_000_001) || wall.elapsed().ok() != Some(start.elapsed())
    {
        return Err(Leak::ClockIgnored);
    }
    let state = RandomState::new();
    let map: HashMap<u32, ()> = (0..64).map(|number| (number, ())).collect();
    Ok(Drawn {
        key: libp2p::identity::Keypair::generate_ed25519().public().encode_protobuf(),
        hash: state.hash_one(1),
        order: map.into_keys().collect(),
        instant: start.elapsed(),
        unix: SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_err(|_| Leak::ClockIgnored)?,
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_real_time_and_no_real_randomness_leaks_in() {
        assert_eq!(super::run(), Ok(()));
    }
}
