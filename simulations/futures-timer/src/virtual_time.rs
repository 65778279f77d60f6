//! The clock and the timers of the simulation that runs on this thread.
//!
//! One thread runs one simulation at a time. Whoever runs it moves the clock: [`advance`] to at most
//! [`next_deadline`], so that no timer is late. Time is counted in nanoseconds since [`enter`].
//!
//! Every host of a simulation may be suspended, and then its own monotonic clock stands still. So while the
//! tasks of a host are polled the runner names the host's *lag* ([`set_lag`]): how long it was suspended so
//! far. A timer keeps its deadline on the clock of the host that made it. A timer whose host slept meanwhile
//! fires too early by the simulation's clock; polled, it finds that it has not ended yet and is set anew.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    task::{Context, Poll, Waker},
    time::Duration,
};

thread_local! {
    static RUNS: Cell<bool> = const { Cell::new(false) };
    static NOW: Cell<u64> = const { Cell::new(0) };
    static LAG: Cell<u64> = const { Cell::new(0) };
    static TIMERS: RefCell<Timers> = const { RefCell::new(Timers { wakers: BTreeMap::new(), made: 0 }) };
}

/// By the simulation's deadline, then in the order in which they were made.
struct Timers {
    wakers: BTreeMap<Key, Option<Waker>>,
    made: u64,
}

type Key = (u64, u64);

/// Begins a simulation on this thread, at time zero.
///
/// # Panics
/// If one runs on it already.
pub fn enter() {
    assert!(!RUNS.replace(true), "a thread runs one simulation at a time");
    NOW.set(0);
    LAG.set(0);
}

/// Ends the simulation on this thread. Its timers never end.
pub fn leave() {
    RUNS.set(false);
    // Dropped outside of the borrow: a waker may hold what drops further timers.
    drop(with(|timers| std::mem::take(&mut timers.wakers)));
}

/// The time of the simulation that runs on this thread, if one does.
pub fn now() -> Option<u64> {
    RUNS.get().then(|| NOW.get())
}

/// The time on the clock of the host at work: [`now`] without the time it was suspended.
pub fn host_now() -> Option<u64> {
    RUNS.get().then(|| NOW.get() - LAG.get())
}

/// The tasks of another host are polled from now on, one that was suspended so long in all.
pub fn set_lag(lag: u64) {
    LAG.set(lag);
}

/// When the next timer is due.
pub fn next_deadline() -> Option<u64> {
    with(|timers| timers.wakers.first_key_value().map(|((deadline, _), _)| *deadline)).flatten()
}

/// Moves the clock forward and wakes whoever awaits a timer that is due.
///
/// # Panics
/// If time would go back.
pub fn advance(to: u64) {
    assert!(to >= NOW.replace(to), "time goes forward only");
    while let Some(waker) = with(|timers| timers.pop_due(to)).flatten() {
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

fn with<T>(then: impl FnOnce(&mut Timers) -> T) -> Option<T> {
    // A timer that is dropped while its thread ends finds no others any more.
    TIMERS.try_with(|timers| then(&mut timers.borrow_mut())).ok()
}

impl Timers {
    /// Sets a timer for a deadline on the clock of the host at work.
    fn set(&mut self, host_deadline: u64, waker: Option<Waker>) -> Key {
        self.made += 1;
        let key = (host_deadline.saturating_add(LAG.get()), self.made);
        self.wakers.insert(key, waker);
        key
    }

    fn pop_due(&mut self, now: u64) -> Option<Option<Waker>> {
        let due = self.wakers.first_key_value().is_some_and(|((deadline, _), _)| *deadline <= now);
        due.then(|| self.wakers.pop_first().and_then(|(_, waker)| waker))
    }
}

/// One timer.
pub(crate) struct Timer {
    /// On the clock of its host.
    deadline: u64,
    key: Key,
}

impl Timer {
    /// A timer on the simulation's clock, if a simulation runs on this thread.
    pub(crate) fn new(duration: Duration) -> Option<Self> {
        let deadline = host_now()?.saturating_add(nanoseconds(duration));
        Some(Self { deadline, key: with(|timers| timers.set(deadline, None))? })
    }

    pub(crate) fn reset(&mut self, duration: Duration) {
        // Without a simulation it never ends, whatever it is set to.
        let Some(now) = host_now() else { return };
        self.deadline = now.saturating_add(nanoseconds(duration));
        let (deadline, key) = (self.deadline, self.key);
        let set = with(|timers| {
            let waker = timers.wakers.remove(&key).flatten();
            timers.set(deadline, waker)
        });
        self.key = set.unwrap_or(key);
    }

    pub(crate) fn poll(&mut self, cx: &Context<'_>) -> Poll<()> {
        let Some(now) = host_now() else { return Poll::Pending };
        let (deadline, key) = (self.deadline, self.key);
        if now >= deadline {
            drop(with(|timers| timers.wakers.remove(&key)));
            return Poll::Ready(());
        }
        let set = with(|timers| match timers.wakers.get_mut(&key) {
            Some(Some(waker)) => {
                waker.clone_from(cx.waker());
                key
            }
            Some(waker) => {
                *waker = Some(cx.waker().clone());
                key
            }
            // It fired while its host was suspended.
            None => timers.set(deadline, Some(cx.waker().clone())),
        });
        self.key = set.unwrap_or(key);
        Poll::Pending
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        let key = self.key;
        drop(with(|timers| timers.wakers.remove(&key)));
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::Delay;

    #[test]
    fn timers_end_at_their_nanosecond_and_not_before() {
        enter();
        let mut delay = Delay::new(Duration::from_nanos(1_000_001));
        assert_eq!((&mut delay).now_or_never(), None);
        assert_eq!(next_deadline(), Some(1_000_001));
        advance(1_000_000);
        assert_eq!((&mut delay).now_or_never(), None);
        advance(1_000_001);
        assert_eq!((&mut delay).now_or_never(), Some(()));
        assert_eq!((&mut delay).now_or_never(), Some(()), "what has ended stays ended");
        assert_eq!(next_deadline(), None);
        delay.reset(Duration::from_secs(1));
        assert_eq!(next_deadline(), Some(1_001_000_001));
        drop(delay);
        assert_eq!(next_deadline(), None, "a timer that is dropped is forgotten");
        leave();
        assert_eq!(now(), None);
    }

    #[test]
    fn a_host_that_slept_has_its_timers_end_so_much_later() {
        enter();
        let mut delay = Delay::new(Duration::from_secs(10));
        assert_eq!((&mut delay).now_or_never(), None);
        advance(10_000_000_000);
        // The host was suspended for six of these ten seconds.
        set_lag(6_000_000_000);
        assert_eq!((&mut delay).now_or_never(), None);
        assert_eq!(next_deadline(), Some(16_000_000_000));
        advance(16_000_000_000);
        assert_eq!((&mut delay).now_or_never(), Some(()));
        leave();
    }

    #[test]
    fn a_timer_may_outlive_its_simulation() {
        enter();
        let mut delay = Delay::new(Duration::from_secs(1));
        leave();
        assert_eq!((&mut delay).now_or_never(), None);
        drop(delay);
    }
}
