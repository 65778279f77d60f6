//! The interface of the crate `futures-timer`, on two clocks.
//!
//! libp2p's only timers are those of `futures-timer`, which sleeps on a thread of its own in real time. The
//! workspace replaces that crate by this one (`[patch.crates-io]`). A [`Delay`] made while a simulation runs
//! on the thread ([`virtual_time::enter`]) waits on the simulation's clock; every other one is a
//! [`tokio::time::Sleep`] and so needs a tokio runtime, which a node has.
//!
//! Both end at their deadline or later, never before: tokio's within a millisecond or two, virtual ones at
//! the nanosecond. A delay that has ended stays ended until it is reset.

pub mod virtual_time;

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

/// A future that ends after a while.
pub struct Delay(Kind);

enum Kind {
    Virtual(virtual_time::Timer),
    Tokio(Pin<Box<tokio::time::Sleep>>),
}

impl Delay {
    /// Ends `duration` from now.
    ///
    /// # Panics
    /// If neither a simulation nor a tokio runtime with timers runs on this thread.
    pub fn new(duration: Duration) -> Self {
        Self(match virtual_time::Timer::new(duration) {
            Some(timer) => Kind::Virtual(timer),
            None => Kind::Tokio(Box::pin(tokio::time::sleep(duration))),
        })
    }

    /// Ends `duration` from now instead, whether or not it has ended.
    pub fn reset(&mut self, duration: Duration) {
        match &mut self.0 {
            Kind::Virtual(timer) => timer.reset(duration),
            Kind::Tokio(sleep) => match tokio::time::Instant::now().checked_add(duration) {
                Some(deadline) => sleep.as_mut().reset(deadline),
                None => *sleep = Box::pin(tokio::time::sleep(duration)),
            },
        }
    }
}

impl Future for Delay {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.0 {
            Kind::Virtual(timer) => timer.poll(cx),
            Kind::Tokio(sleep) if sleep.is_elapsed() => Poll::Ready(()),
            Kind::Tokio(sleep) => sleep.as_mut().poll(cx),
        }
    }
}

impl fmt::Debug for Delay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delay").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn outside_a_simulation_tokio_tells_the_time() {
        let start = tokio::time::Instant::now();
        let mut delay = Delay::new(Duration::from_secs(3));
        assert_eq!((&mut delay).now_or_never(), None);
        (&mut delay).await;
        assert_eq!(start.elapsed(), Duration::from_secs(3));
        assert_eq!((&mut delay).now_or_never(), Some(()), "what has ended stays ended");
        delay.reset(Duration::from_secs(1));
        assert_eq!((&mut delay).now_or_never(), None);
        delay.await;
        assert_eq!(start.elapsed(), Duration::from_secs(4));
    }

    #[tokio::test]
    async fn a_delay_may_be_longer_than_a_clock_can_tell() {
        let mut delay = Delay::new(Duration::MAX);
        delay.reset(Duration::MAX);
        assert_eq!(delay.now_or_never(), None);
    }
}
