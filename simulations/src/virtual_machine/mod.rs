//! The machine on which a simulation runs: its clock, its entropy and its executor.
//!
//! [`Machine::start`] makes the calling thread a simulation: from then on `Instant::now`, `SystemTime::now`,
//! `futures_timer::Delay`, hash seeds and random numbers of whatever runs on it are decided by the seed
//! and by nothing else, to the nanosecond. Time stands still while tasks run and jumps to the next thing
//! that is due when all of them wait. Other threads are not touched, so that simulations can run side by
//! side; but libp2p counts connections for the whole process, so two runs of one seed are the same event by
//! event only if each has a process (or at least no other simulation beside it) of its own.
//!
//! [`self_test`] proves at the start of the program that no real time and no real randomness leaks in.
//!
//! How libp2p is made to do this is in [`interposed`] and in the crate `futures-timer` beside this one.
//! Source: the approach of madsim and mad-turmoil (symbols of the C library) for a stack that has a single
//! source of timers.

pub mod executor;
mod interposed;
mod processors;
pub mod self_test;

use std::{marker::PhantomData, time::Duration};

use futures_timer::virtual_time;
use rand::{SeedableRng, rngs::StdRng};

use self::executor::Executor;
pub use self::executor::HostId;

/// The calling thread as a simulation; it is one until this is dropped.
#[derive(Debug)]
pub struct Machine {
    /// The tasks.
    pub executor: Executor,
    /// A machine belongs to the thread that it was started on.
    thread: PhantomData<*const ()>,
}

impl Machine {
    /// Makes the calling thread a simulation at time zero. `shuffle` draws the order of ready tasks.
    ///
    /// Hash seeds are drawn once per thread, so a run repeats another one only if both began on a thread of
    /// their own.
    ///
    /// # Panics
    /// If the thread is one already.
    pub fn start(seed: u64, shuffle: bool) -> Self {
        interposed::enter(seed);
        let shuffle = shuffle.then(|| StdRng::seed_from_u64(seed ^ SHUFFLE_SALT));
        Self { executor: Executor::new(shuffle), thread: PhantomData }
    }

    /// The virtual time, since the start.
    pub fn now(&self) -> Duration {
        Duration::from_nanos(now())
    }

    /// Moves the clock to `until`, or to the next thing that is due in the executor or among the timers if
    /// that comes first. Nothing must be ready: `until` is when the next thing outside of tasks happens,
    /// which what tasks do may bring nearer.
    #[expect(
        clippy::needless_pass_by_ref_mut,
        reason = "the clock is the machine's, though the thread keeps it"
    )]
    pub fn advance(&mut self, until: u64) {
        let due = [virtual_time::next_deadline(), self.executor.next_deadline()];
        let next = due.into_iter().flatten().chain([until]).min().unwrap_or(until);
        virtual_time::advance(next.max(now()));
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Tasks first: what they hold still needs the clock.
        drop(std::mem::take(&mut self.executor));
        interposed::leave();
    }
}

/// The virtual time in nanoseconds since the start; 0 outside of a simulation.
pub fn now() -> u64 {
    virtual_time::now().unwrap_or_default()
}

/// What the wall clock shows at the start of every simulation, in milliseconds since 1970.
pub const UNIX_START_MILLIS: u64 = interposed::UNIX_START_SECONDS * 1000;

/// Keeps the order of tasks from being drawn from the numbers that nodes see.
const SHUFFLE_SALT: u64 = 0x5bd1_e995_9d1b_54d3;
