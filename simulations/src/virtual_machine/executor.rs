//! The executor: the tasks of all hosts on one thread, one poll at a time.
//!
//! Tasks belong to a host. A host may be *paused*: its tasks that are woken wait until it goes on. It may be
//! *slow*: every poll keeps it busy for a while, and its tasks wait for each other. And it may be killed: its
//! tasks are dropped where they stand. Ready tasks run in the order in which they were woken or, if the
//! simulation is to look for what depends on that order, in one that the seed draws.
//!
//! Every host has a processor of its own that is no limit, unless all share a few ([`Processors`]): then a
//! poll comes about when one of them has worked on it for a while. What a task does beside being polled is
//! [`work`].
//!
//! State is the thread's, so that wakers and spawners need no locks; a waker that is used on another thread
//! would be lost, and there is none.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, VecDeque},
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use futures_timer::{Delay, virtual_time};
use rand::{RngExt, rngs::StdRng};

use super::processors;
pub use super::processors::Processors;

/// What runs on a host.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A host, by number.
pub type HostId = u32;

thread_local! {
    static READY: RefCell<VecDeque<TaskId>> = const { RefCell::new(VecDeque::new()) };
    static SPAWNED: RefCell<Vec<(HostId, Task)>> = const { RefCell::new(Vec::new()) };
}

/// Runs `task` on `host` from the next time that something runs there.
pub fn spawn(host: HostId, task: Task) {
    SPAWNED.with_borrow_mut(|spawned| spawned.push((host, task)));
}

/// Ends when so much work is done: at once after that time, or when a processor has had the time for it if
/// hosts share processors.
pub async fn work(time: Duration) {
    if processors_are_shared() {
        processors::Work::new(time).await;
    } else {
        Delay::new(time).await;
    }
}

/// Whether the hosts of the simulation on this thread share processors.
pub fn processors_are_shared() -> bool {
    processors::are_shared()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TaskId {
    index: usize,
    generation: u64,
}

struct TaskWaker {
    task: TaskId,
    /// Whether it is in the queue of those that are ready.
    queued: AtomicBool,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::Relaxed) {
            READY.with_borrow_mut(|ready| ready.push_back(self.task));
        }
    }
}

struct Running {
    /// Not there while it is polled.
    task: Option<Task>,
    host: HostId,
    waker: Arc<TaskWaker>,
}

#[derive(Debug, Default)]
struct Host {
    tasks: BTreeSet<usize>,
    paused: bool,
    /// How long it was suspended so far, in nanoseconds.
    lag: u64,
    /// Nanoseconds that each poll keeps it busy; 0 for a host whose processor is no limit.
    poll_time: u64,
    busy_until: u64,
    /// Ready tasks that wait until it goes on or is no longer busy.
    waiting: VecDeque<TaskId>,
}

/// All tasks of one simulation.
#[derive(Default)]
pub struct Executor {
    tasks: Vec<Option<Running>>,
    free: Vec<usize>,
    hosts: Vec<Host>,
    /// When busy hosts are to be looked at again.
    busy: BTreeMap<(u64, HostId), ()>,
    shuffle: Option<StdRng>,
    processors: Option<Processors>,
    generations: u64,
    polls: u64,
}

impl std::fmt::Debug for Executor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Executor").field("hosts", &self.hosts.len()).finish_non_exhaustive()
    }
}

impl Executor {
    /// An executor without tasks. With `shuffle` the order of ready tasks is drawn.
    pub fn new(shuffle: Option<StdRng>) -> Self {
        // What an earlier simulation on this thread left belongs to nobody.
        READY.with_borrow_mut(VecDeque::clear);
        drop(SPAWNED.take());
        processors::share(false);
        let mut executor = Self::default();
        executor.shuffle = shuffle;
        executor
    }

    /// Polls tasks until none is ready.
    pub fn run_until_idle(&mut self) {
        self.release_busy();
        loop {
            self.take_spawned();
            if let Some(id) = self.next_ready() {
                match &mut self.processors {
                    None => drop(self.poll(id)),
                    Some(processors) => processors.enqueue(id),
                }
            } else if !self.serve() {
                break;
            }
        }
        // Whoever moves the simulation is on no host, and its clock never slept.
        virtual_time::set_lag(0);
    }

    /// When a busy host goes on, if one is.
    pub fn next_deadline(&self) -> Option<u64> {
        let busy = self.busy.first_key_value().map(|((at, _), ())| *at);
        busy.into_iter().chain(self.processors.as_ref().and_then(Processors::next_done)).min()
    }

    /// Lets all hosts share these processors. To be called before anything runs.
    pub fn share(&mut self, processors: Processors) {
        self.processors = Some(processors);
        processors::share(true);
    }

    /// Drops every task of `host`, as the kernel does when it kills a process.
    pub fn kill(&mut self, host: HostId) {
        let state = self.host(host);
        state.waiting.clear();
        let tasks = std::mem::take(&mut state.tasks);
        let dropped: Vec<_> = tasks
            .into_iter()
            .filter_map(|task| {
                self.free.push(task);
                self.tasks.get_mut(task)?.take()
            })
            .collect();
        drop(dropped);
        // What they spawned and nobody took yet goes with them, also what they spawned as they were dropped.
        loop {
            let (theirs, others) = SPAWNED.take().into_iter().partition(|(owner, _)| *owner == host);
            SPAWNED.set(others);
            let theirs: Vec<(HostId, Task)> = theirs;
            if theirs.is_empty() {
                return;
            }
            // Outside of the borrow, since it may spawn.
            drop(theirs);
        }
    }

    /// Stops or continues `host`. What became ready meanwhile runs when it goes on.
    pub fn set_paused(&mut self, host: HostId, paused: bool) {
        let state = self.host(host);
        state.paused = paused;
        if !paused {
            let waiting = std::mem::take(&mut state.waiting);
            READY.with_borrow_mut(|ready| ready.extend(waiting));
        }
    }

    /// Lets the clock of `host` stand still for so many nanoseconds more.
    pub fn add_lag(&mut self, host: HostId, nanoseconds: u64) {
        self.host(host).lag += nanoseconds;
    }

    /// How long every poll keeps `host` busy, in nanoseconds; 0 for no time at all.
    pub fn set_poll_time(&mut self, host: HostId, nanoseconds: u64) {
        self.host(host).poll_time = nanoseconds;
    }

    /// Polls so far.
    pub fn polls(&self) -> u64 {
        self.polls
    }

    fn host(&mut self, host: HostId) -> &mut Host {
        let index = index(host);
        if self.hosts.len() <= index {
            self.hosts.resize_with(index + 1, Host::default);
        }
        self.hosts.get_mut(index).expect("it was made a line above")
    }

    fn take_spawned(&mut self) {
        for (host, task) in SPAWNED.take() {
            self.generations += 1;
            let index = self.free.pop().unwrap_or(self.tasks.len());
            let id = TaskId { index, generation: self.generations };
            let waker = Arc::new(TaskWaker { task: id, queued: AtomicBool::new(true) });
            let running = Some(Running { task: Some(task), host, waker });
            match self.tasks.get_mut(index) {
                Some(free) => *free = running,
                None => self.tasks.push(running),
            }
            self.host(host).tasks.insert(index);
            READY.with_borrow_mut(|ready| ready.push_back(id));
        }
    }

    fn next_ready(&mut self) -> Option<TaskId> {
        READY.with_borrow_mut(|ready| match &mut self.shuffle {
            Some(random) if !ready.is_empty() => {
                let drawn = random.random_range(0..ready.len());
                ready.swap_remove_back(drawn)
            }
            _ => ready.pop_front(),
        })
    }

    /// Gives the shared processors something to do, and polls a task that one of them is done with. Whether
    /// there was one.
    fn serve(&mut self) -> bool {
        let now = virtual_time::now().unwrap_or_default();
        let Some(processors) = &mut self.processors else { return false };
        let Some(service) = processors.next(now) else { return false };
        let waker = self.poll(service.task);
        let more = processors::take_charge();
        if let (Some(waker), Some(processors), true) = (waker, &mut self.processors, more > 0) {
            // It goes on after the work, not before, whoever wakes it.
            if waker.queued.swap(true, Ordering::Relaxed) {
                READY.with_borrow_mut(|ready| ready.retain(|ready| *ready != service.task));
            }
            processors.occupy(now, more, service);
        }
        true
    }

    /// Polls a task, unless it has to wait or is gone. What wakes it, if it is to be polled again.
    fn poll(&mut self, id: TaskId) -> Option<Arc<TaskWaker>> {
        let running = self.tasks.get_mut(id.index).and_then(Option::as_mut)?;
        if running.waker.task != id {
            return None;
        }
        let host_id = running.host;
        let host = self.hosts.get_mut(index(host_id))?;
        let now = virtual_time::now().unwrap_or_default();
        if host.paused || host.busy_until > now {
            if host.waiting.is_empty() && !host.paused {
                self.busy.insert((host.busy_until, host_id), ());
            }
            host.waiting.push_back(id);
            return None;
        }
        if host.poll_time > 0 {
            host.busy_until = now + host.poll_time;
        }
        virtual_time::set_lag(host.lag);
        running.waker.queued.store(false, Ordering::Relaxed);
        let of_task = running.waker.clone();
        let waker = Waker::from(of_task.clone());
        let mut task = running.task.take()?;
        self.polls += 1;
        let poll = task.as_mut().poll(&mut Context::from_waker(&waker));
        let slot = self.tasks.get_mut(id.index)?;
        match poll {
            Poll::Pending => {
                if let Some(running) = slot.as_mut() {
                    running.task = Some(task);
                }
                Some(of_task)
            }
            Poll::Ready(()) => {
                *slot = None;
                self.free.push(id.index);
                self.host(host_id).tasks.remove(&id.index);
                drop(task);
                None
            }
        }
    }

    /// Makes those ready that wait for a host that is no longer busy.
    fn release_busy(&mut self) {
        let now = virtual_time::now().unwrap_or_default();
        while let Some(((at, host), ())) = self.busy.first_key_value().map(|(key, ())| (*key, ()))
            && at <= now
        {
            self.busy.remove(&(at, host));
            let state = self.host(host);
            if state.paused {
                continue;
            }
            let waiting = std::mem::take(&mut state.waiting);
            READY.with_borrow_mut(|ready| ready.extend(waiting));
        }
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        // What is dropped may spawn or wake, and nobody is to run that.
        for host in 0..u32::try_from(self.hosts.len()).unwrap_or(u32::MAX) {
            self.kill(host);
        }
        drop(SPAWNED.take());
        READY.with_borrow_mut(VecDeque::clear);
        processors::share(false);
    }
}

#[cfg(test)]
#[path = "executor_tests.rs"]
mod tests;

fn index(host: HostId) -> usize {
    usize::try_from(host).unwrap_or(usize::MAX)
}
