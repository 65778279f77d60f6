//! Processors that all hosts share, as virtual hosts of one machine do.
//!
//! Tasks wait for a processor in the order in which they were woken. One that gets it is polled when the
//! processor has worked on it for the time of a poll, so that what it does comes after the work. Work beside
//! that is [`Work`]: the poll in which it begins keeps the processor for as long, and the task is polled
//! again then. A host has no processor of its own, so that two of its tasks may run at the same time.
//!
//! Limits: there are no time slices, so long work is not interrupted; a processor knows no caches and no
//! other tenants.

use std::{
    cell::Cell,
    collections::{BTreeMap, VecDeque},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures::FutureExt;
use futures_timer::Delay;

use super::executor::TaskId;

thread_local! {
    static SHARED: Cell<bool> = const { Cell::new(false) };
    static CHARGED: Cell<u64> = const { Cell::new(0) };
}

/// Processors that all hosts share.
#[derive(Debug)]
pub struct Processors {
    poll_time: u64,
    idle: Vec<usize>,
    /// By when they are done, and in the order in which they began.
    serving: BTreeMap<(u64, u64), Service>,
    waiting: VecDeque<TaskId>,
    begun: u64,
}

/// A task that a processor works for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Service {
    pub(super) task: TaskId,
    processor: usize,
}

impl Processors {
    /// So many processors, each of which takes `poll_time` for a poll.
    pub fn new(count: usize, poll_time: Duration) -> Self {
        Self {
            poll_time: nanoseconds(poll_time),
            idle: (0..count.max(1)).rev().collect(),
            serving: BTreeMap::new(),
            waiting: VecDeque::new(),
            begun: 0,
        }
    }

    /// A task waits for a processor.
    pub(super) fn enqueue(&mut self, task: TaskId) {
        self.waiting.push_back(task);
    }

    /// Gives idle processors something to do. A task that one is done with, which is to be polled now.
    pub(super) fn next(&mut self, now: u64) -> Option<Service> {
        let done = self.serving.first_entry().filter(|first| first.key().0 <= now);
        let done = done.map(|first| first.remove());
        if let Some(service) = done {
            self.idle.push(service.processor);
            return Some(service);
        }
        while let Some(processor) = self.idle.last().copied()
            && let Some(task) = self.waiting.pop_front()
        {
            self.occupy(now, self.poll_time, Service { task, processor });
        }
        let free = self.poll_time == 0 && !self.serving.is_empty();
        if free && self.next_done().is_some_and(|at| at <= now) { self.next(now) } else { None }
    }

    /// Keeps a processor, which is idle, with a task for so many nanoseconds.
    pub(super) fn occupy(&mut self, now: u64, nanoseconds: u64, service: Service) {
        self.idle.retain(|idle| *idle != service.processor);
        self.begun += 1;
        self.serving.insert((now.saturating_add(nanoseconds), self.begun), service);
    }

    /// When a processor is done next.
    pub(super) fn next_done(&self) -> Option<u64> {
        self.serving.first_key_value().map(|((at, _), _)| *at)
    }
}

/// Work of the task that awaits it, on a shared processor.
#[derive(Debug)]
pub(super) struct Work {
    nanoseconds: u64,
    /// Set when it begins. Wakes whatever part of the task awaits the work, when the executor polls the task.
    done: Option<Delay>,
}

impl Work {
    pub(super) fn new(time: Duration) -> Self {
        Self { nanoseconds: nanoseconds(time), done: None }
    }
}

impl Future for Work {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let nanoseconds = self.nanoseconds;
        let done = self.done.get_or_insert_with(|| {
            CHARGED.set(CHARGED.get() + nanoseconds);
            Delay::new(Duration::from_nanos(CHARGED.get()))
        });
        done.poll_unpin(cx)
    }
}

/// Whether the hosts of the simulation on this thread share processors.
pub(super) fn are_shared() -> bool {
    SHARED.get()
}

pub(super) fn share(shared: bool) {
    SHARED.set(shared);
    CHARGED.set(0);
}

/// What the task that was just polled is to be charged, in nanoseconds.
pub(super) fn take_charge() -> u64 {
    CHARGED.take()
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
