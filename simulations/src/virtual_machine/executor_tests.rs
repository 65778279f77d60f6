//! Tests of the executor.

use std::{
    future::{pending, poll_fn},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use futures_timer::Delay;

use super::*;
use crate::virtual_machine::{Machine, now};

type Log = Arc<Mutex<Vec<(u32, u64)>>>;

/// Runs `test` as a simulation, on a thread of its own.
fn simulate<T: Send + 'static>(
    seed: u64,
    shuffle: bool,
    test: impl FnOnce(&mut Machine, &Log) -> T + Send + 'static,
) -> T {
    let run = move || test(&mut Machine::start(seed, shuffle), &Log::default());
    thread::spawn(run).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Notes its number and the time each time it is polled, and yields so often.
fn spawn_noisy(host: HostId, number: u32, yields: u32, log: &Log) {
    let log = log.clone();
    let mut left = yields;
    spawn(
        host,
        Box::pin(poll_fn(move |cx| {
            log.lock().unwrap().push((number, now()));
            if left == 0 {
                return Poll::Ready(());
            }
            left -= 1;
            cx.waker().wake_by_ref();
            Poll::Pending
        })),
    );
}

fn pass(machine: &mut Machine, until: u64) {
    while now() < until {
        machine.executor.run_until_idle();
        machine.advance(until);
    }
    machine.executor.run_until_idle();
}

fn numbers(log: &Log) -> Vec<u32> {
    log.lock().unwrap().iter().map(|(number, _)| *number).collect()
}

#[test]
fn tasks_take_turns_in_the_order_in_which_they_were_woken() {
    simulate(1, false, |machine, log| {
        (0..3).for_each(|number| spawn_noisy(number % 2, number, 2, log));
        machine.executor.run_until_idle();
        assert_eq!(numbers(log), [0, 1, 2, 0, 1, 2, 0, 1, 2]);
        assert_eq!(machine.executor.polls(), 9);
    });
}

#[test]
fn the_order_that_a_seed_draws_is_drawn_again_and_another_seed_draws_another() {
    let order = |seed| {
        simulate(seed, true, |machine, log| {
            (0..20).for_each(|number| spawn_noisy(number, number, 2, log));
            machine.executor.run_until_idle();
            numbers(log)
        })
    };
    assert_eq!(order(1), order(1));
    assert_ne!(order(1), order(2));
    let mut sorted = order(1);
    sorted.sort_unstable();
    assert_eq!(sorted, (0..20).flat_map(|number| [number; 3]).collect::<Vec<_>>(), "all run");
}

#[test]
fn what_was_woken_while_its_host_was_stopped_runs_in_order_when_it_goes_on() {
    simulate(1, false, |machine, log| {
        machine.executor.set_paused(1, true);
        (0..3).for_each(|number| spawn_noisy(1, number, 1, log));
        spawn_noisy(2, 9, 0, log);
        pass(machine, 1_000);
        assert_eq!(numbers(log), [9], "another host is not stopped");
        machine.executor.set_paused(1, false);
        pass(machine, 2_000);
        assert_eq!(numbers(log), [9, 0, 1, 2, 0, 1, 2]);
    });
}

#[test]
fn a_timer_that_ended_while_its_host_was_stopped_is_seen_when_it_goes_on() {
    simulate(1, false, |machine, log| {
        let log = log.clone();
        let seen = log.clone();
        spawn(
            1,
            Box::pin(async move {
                Delay::new(Duration::from_secs(1)).await;
                log.lock().unwrap().push((1, now()));
            }),
        );
        machine.executor.run_until_idle();
        machine.executor.set_paused(1, true);
        pass(machine, 5_000_000_000);
        assert!(seen.lock().unwrap().is_empty());
        machine.executor.set_paused(1, false);
        machine.executor.run_until_idle();
        assert_eq!(*seen.lock().unwrap(), [(1, 5_000_000_000)]);
    });
}

#[test]
fn the_clock_of_a_host_that_slept_is_behind_and_that_of_nobody_is_not() {
    simulate(1, false, |machine, _| {
        let start = Instant::now();
        pass(machine, 10_000_000_000);
        machine.executor.add_lag(1, 6_000_000_000);
        let log = Log::default();
        for host in [1, 2] {
            let log = log.clone();
            spawn(host, Box::pin(async move { log.lock().unwrap().push((host, start.elapsed().as_secs())) }));
        }
        // The last that runs is the one that slept.
        let slept = log.clone();
        spawn(1, Box::pin(async move { slept.lock().unwrap().push((1, start.elapsed().as_secs())) }));
        machine.executor.run_until_idle();
        assert_eq!(*log.lock().unwrap(), [(1, 4), (2, 10), (1, 4)]);
        assert_eq!(start.elapsed(), Duration::from_secs(10));
    });
}

#[test]
fn a_slow_host_polls_one_task_at_a_time_and_others_are_as_fast_as_before() {
    simulate(1, false, |machine, log| {
        machine.executor.set_poll_time(1, 100);
        (0..3).for_each(|number| spawn_noisy(1, number, 1, log));
        spawn_noisy(2, 9, 1, log);
        pass(machine, 10_000);
        let expected = [(0, 0), (9, 0), (9, 0), (1, 100), (2, 200), (0, 300), (1, 400), (2, 500)];
        assert_eq!(*log.lock().unwrap(), expected);
        assert_eq!(machine.executor.next_deadline(), None);
    });
}

#[test]
fn hosts_that_share_processors_wait_for_each_other_and_are_polled_after_the_work() {
    simulate(1, false, |machine, log| {
        machine.executor.share(Processors::new(2, Duration::from_nanos(100)));
        (0..5).for_each(|number| spawn_noisy(number, number, 0, log));
        pass(machine, 10_000);
        assert_eq!(*log.lock().unwrap(), [(0, 100), (1, 100), (2, 200), (3, 200), (4, 300)]);
        assert_eq!(machine.executor.next_deadline(), None);
    });
}

/// Works and notes when it is done.
async fn labour(number: u32, nanoseconds: u64, log: Log) {
    work(Duration::from_nanos(nanoseconds)).await;
    log.lock().unwrap().push((number, now()));
}

#[test]
fn work_keeps_a_shared_processor_from_others() {
    simulate(1, false, |machine, log| {
        machine.executor.share(Processors::new(1, Duration::from_nanos(10)));
        spawn(0, Box::pin(labour(0, 1_000, log.clone())));
        spawn_noisy(1, 1, 0, log);
        pass(machine, 10_000);
        assert_eq!(*log.lock().unwrap(), [(0, 1_010), (1, 1_020)]);
    });
}

#[test]
fn work_within_a_part_of_a_task_goes_on_when_it_is_done() {
    simulate(1, false, |machine, log| {
        machine.executor.share(Processors::new(2, Duration::ZERO));
        let parts = [labour(0, 1_000, log.clone()), labour(1, 500, log.clone())];
        let mut parts: futures::stream::FuturesUnordered<_> = parts.into_iter().collect();
        spawn(0, Box::pin(async move { while futures::StreamExt::next(&mut parts).await.is_some() {} }));
        pass(machine, 10_000);
        // One task is on one processor, so that its parts work one after the other.
        assert_eq!(log.lock().unwrap().iter().map(|(_, at)| *at).max(), Some(1_500));
    });
}

#[test]
fn work_takes_its_time_and_hinders_nobody_where_each_host_has_a_processor() {
    simulate(1, false, |machine, log| {
        (0..3).for_each(|number| spawn(0, Box::pin(labour(number, 1_000, log.clone()))));
        spawn_noisy(0, 9, 0, log);
        pass(machine, 10_000);
        assert_eq!(*log.lock().unwrap(), [(9, 0), (0, 1_000), (1, 1_000), (2, 1_000)]);
    });
}

#[test]
fn what_a_host_spawned_goes_with_it_even_if_nothing_ran_there_yet() {
    simulate(1, false, |machine, log| {
        spawn_noisy(7, 7, 0, log);
        machine.executor.kill(7);
        pass(machine, 1_000);
        assert!(numbers(log).is_empty());
    });
}

#[test]
fn a_killed_host_gives_its_processor_back() {
    simulate(1, false, |machine, log| {
        machine.executor.share(Processors::new(1, Duration::from_nanos(100)));
        spawn(0, Box::pin(labour(0, 1_000, log.clone())));
        spawn_noisy(1, 1, 0, log);
        pass(machine, 500);
        machine.executor.kill(0);
        pass(machine, 10_000);
        assert_eq!(numbers(log), [1]);
    });
}

#[test]
fn a_slow_host_that_is_stopped_and_goes_on_forgets_nobody() {
    simulate(1, false, |machine, log| {
        machine.executor.set_poll_time(1, 100);
        (0..3).for_each(|number| spawn_noisy(1, number, 0, log));
        machine.executor.run_until_idle();
        machine.executor.set_paused(1, true);
        pass(machine, 50);
        machine.executor.set_paused(1, false);
        machine.executor.run_until_idle();
        machine.executor.set_paused(1, true);
        pass(machine, 1_000);
        machine.executor.set_paused(1, false);
        pass(machine, 2_000);
        assert_eq!(*log.lock().unwrap(), [(0, 0), (1, 1_000), (2, 1_100)]);
    });
}

/// Spawns a noisy task when it is dropped.
struct LastWords(HostId, Log);

impl Drop for LastWords {
    fn drop(&mut self) {
        spawn_noisy(self.0, 99, 0, &self.1);
    }
}

#[test]
fn a_killed_host_loses_all_its_tasks_and_those_that_they_spawn_as_they_end() {
    simulate(1, false, |machine, log| {
        let alive = Arc::new(());
        for host in [1, 2] {
            let (parent, child, log) = (alive.clone(), alive.clone(), log.clone());
            spawn(
                host,
                Box::pin(async move {
                    let _held = (parent, LastWords(host, log));
                    spawn(
                        host,
                        Box::pin(async move {
                            let _held = child;
                            pending::<()>().await;
                        }),
                    );
                    pending::<()>().await;
                }),
            );
        }
        machine.executor.run_until_idle();
        assert_eq!(Arc::strong_count(&alive), 5);
        // One more that nobody has looked at yet, and that says its last words too.
        let last = LastWords(1, log.clone());
        spawn(1, Box::pin(async move { drop(last) }));
        machine.executor.kill(1);
        assert_eq!(Arc::strong_count(&alive), 3);
        pass(machine, 1_000);
        assert!(numbers(log).is_empty(), "nothing runs on a host that was killed");
        spawn_noisy(1, 5, 0, log);
        machine.executor.run_until_idle();
        assert_eq!(numbers(log), [5], "until something is started there");
    });
}

#[test]
fn a_waker_that_is_used_after_its_task_ended_wakes_nobody() {
    simulate(1, false, |machine, log| {
        let kept: Arc<Mutex<Vec<Waker>>> = Arc::default();
        let keep = |host, ends: bool| {
            let kept = kept.clone();
            spawn(
                host,
                Box::pin(poll_fn(move |cx| {
                    kept.lock().unwrap().push(cx.waker().clone());
                    if ends { Poll::Ready(()) } else { Poll::Pending }
                })),
            );
        };
        keep(1, true);
        keep(2, false);
        machine.executor.run_until_idle();
        machine.executor.kill(2);
        // These take their places.
        (0..2).for_each(|number| {
            let log = log.clone();
            spawn(
                3,
                Box::pin(poll_fn(move |_| {
                    log.lock().unwrap().push((number, now()));
                    Poll::<()>::Pending
                })),
            );
        });
        machine.executor.run_until_idle();
        assert_eq!((numbers(log).len(), machine.executor.polls()), (2, 4));
        let wakers = std::mem::take(&mut *kept.lock().unwrap());
        wakers.iter().for_each(Waker::wake_by_ref);
        machine.executor.run_until_idle();
        assert_eq!((numbers(log).len(), machine.executor.polls()), (2, 4));
    });
}

#[test]
fn a_simulation_that_ends_drops_its_tasks_and_leaves_nothing_to_the_next_one() {
    let log = Log::default();
    let inner = log.clone();
    thread::spawn(move || {
        let alive = Arc::new(());
        for _ in 0..2 {
            let mut machine = Machine::start(1, false);
            let held = (alive.clone(), LastWords(1, inner.clone()));
            spawn(
                1,
                Box::pin(async move {
                    let _held = held;
                    Delay::new(Duration::from_secs(1)).await;
                }),
            );
            machine.executor.run_until_idle();
            drop(machine);
            assert_eq!(Arc::strong_count(&alive), 1);
        }
        let mut machine = Machine::start(1, false);
        pass(&mut machine, 2_000_000_000);
        assert_eq!(machine.executor.polls(), 0);
    })
    .join()
    .unwrap();
    assert!(numbers(&log).is_empty());
}
