//! Discovery on a segment.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::poll_fn,
    sync::{Arc, Mutex},
    task::Poll,
    time::Duration,
};

use futures::FutureExt;
use futures_timer::Delay;
use hereabouts::mesh::discovery::{Discovered, Discovery};
use libp2p::{
    Multiaddr, PeerId,
    swarm::{NetworkBehaviour, ToSwarm},
};

use super::harness::{LATENCY, SECOND, Simulation, simulate, wire};
use crate::{
    network::{PORT, links::LinkSettings, tcp, traffic::Class},
    virtual_machine::{HostId, now},
};

/// Who was told where whom is, and when.
type Told = Arc<Mutex<BTreeMap<HostId, Vec<(PeerId, Multiaddr, u64)>>>>;

/// Whether a host is to be active; asked whenever its task runs.
type Active = Arc<Mutex<bool>>;

fn look(simulation: &Simulation, host: HostId, told: &Told) {
    look_while(simulation, host, told, &Arc::new(Mutex::new(true)));
}

fn look_while(simulation: &Simulation, host: HostId, told: &Told, active: &Active) {
    let mut discovery = simulation.network.discovery(host, true);
    let active = active.clone();
    let mut clock = Delay::new(Duration::ZERO);
    let told = told.clone();
    drop(simulation.spawn(
        host,
        poll_fn(move |cx| {
            while clock.poll_unpin(cx).is_ready() {
                clock.reset(Duration::from_millis(100));
            }
            discovery.set_active(*active.lock().unwrap());
            while let Poll::Ready(event) = discovery.poll(cx) {
                if let ToSwarm::GenerateEvent(Discovered(found)) = event {
                    let mut told = told.lock().unwrap();
                    let found = found.into_iter().map(|(peer, address)| (peer, address, now()));
                    told.entry(host).or_default().extend(found);
                }
            }
            Poll::<()>::Pending
        }),
    ));
}

fn bytes(simulation: &Simulation) -> u64 {
    simulation.network.traffic().bytes().get(&Class::Discovery).copied().unwrap_or(0)
}

#[test]
fn all_hosts_that_start_together_are_told_of_each_other_with_the_square_of_their_number_in_packets() {
    const HOSTS: u32 = 12;
    simulate(12, wire(), |simulation| {
        let told = Told::default();
        (0..HOSTS).for_each(|host| look(simulation, host, &told));
        simulation.pass(10 * SECOND);
        for (host, told) in told.lock().unwrap().iter() {
            assert_eq!(told.len(), 11, "each once");
            for other in (0..HOSTS).filter(|other| other != host) {
                let peer = simulation.network.lock().host(other).peer;
                let address = tcp(simulation.network.address(other), PORT);
                let known = told.iter().find(|(known, ..)| *known == peer);
                assert!(known.is_some_and(|(_, at, when)| *at == address && *when < 3 * LATENCY));
            }
        }
        assert_eq!(told.lock().unwrap().len(), 12);
        assert_eq!(bytes(simulation), 12 * 86 + 12 * 12 * 420);
    });
}

#[test]
fn a_process_that_is_still_being_started_answers_nobody() {
    simulate(2, wire(), |simulation| {
        let told = Told::default();
        let starting = simulation.network.discovery(1, true);
        look(simulation, 0, &told);
        simulation.pass(SECOND / 2);
        assert!(told.lock().unwrap().is_empty());
        assert_eq!(bytes(simulation), 86 + 420, "a question, and the answer of the one that asks");
        drop(starting);
    });
}

#[test]
fn in_the_long_run_about_one_host_asks_for_all() {
    simulate(12, wire(), |simulation| {
        (0..12).for_each(|host| look(simulation, host, &Told::default()));
        simulation.pass(10 * SECOND);
        let before = bytes(simulation);
        simulation.pass(3_010 * SECOND);
        let questions = (bytes(simulation) - before) / (86 + 12 * 420);
        // Ten times, and sometimes a second before it hears the answers to the first.
        assert!((10..30).contains(&questions), "{questions}");
    });
}

#[test]
fn all_are_told_of_a_host_that_starts_later_or_moved() {
    simulate(3, wire(), |simulation| {
        let told = Told::default();
        (0..2).for_each(|host| look(simulation, host, &told));
        simulation.pass(10 * SECOND);
        let begin = now();
        look(simulation, 2, &told);
        simulation.pass(SECOND);
        let peer = simulation.network.lock().host(2).peer;
        for host in [0, 1] {
            let told = told.lock().unwrap();
            assert!(told[&host].iter().any(|(known, _, at)| *known == peer && *at < begin + 3 * LATENCY));
        }
        assert_eq!(told.lock().unwrap()[&2].len(), 2);
        simulation.network.change_address(2);
        simulation.pass(301 * SECOND);
        let address = tcp(simulation.network.address(2), PORT);
        assert!(told.lock().unwrap()[&0].iter().any(|(_, known, _)| *known == address));
    });
}

#[test]
fn hosts_that_are_gone_cut_off_or_on_another_segment_are_not_found() {
    simulate(4, wire(), |simulation| {
        let elsewhere = simulation.network.add_host(PeerId::random(), 1);
        let told = Told::default();
        for host in [0, 1, 2, 3, elsewhere] {
            look(simulation, host, &told);
        }
        simulation.network.kill_process(1);
        simulation.machine.executor.kill(1);
        simulation.network.set_connected(2, false);
        simulation.network.set_mute(&[3], Some(1));
        simulation.pass(10 * SECOND);
        let told = told.lock().unwrap();
        assert_eq!(told.keys().copied().collect::<Vec<_>>(), [3], "the one that is mute still hears");
        assert_eq!(told[&3].len(), 1);
    });
}

#[test]
fn announcements_that_are_lost_are_asked_for_again() {
    let settings = LinkSettings { multicast_loss: 0.5, ..wire() };
    simulate(4, settings, |simulation| {
        let told = Told::default();
        (0..4).for_each(|host| look(simulation, host, &told));
        let pairs = || {
            let told = told.lock().unwrap();
            let pairs = told.iter().flat_map(|(host, told)| told.iter().map(move |(peer, ..)| (host, peer)));
            pairs.collect::<BTreeSet<_>>().len()
        };
        simulation.pass(SECOND / 2);
        let first = pairs();
        simulation.pass(4_000 * SECOND);
        let all = pairs();
        assert!(first < 12 && all == 12, "{first} and then {all}");
    });
}

#[test]
fn nothing_arrives_where_all_multicast_is_lost() {
    let settings = LinkSettings { multicast_loss: 1.0, ..wire() };
    simulate(2, settings, |simulation| {
        let told = Told::default();
        (0..2).for_each(|host| look(simulation, host, &told));
        // Asked at 0, 1, 3 and 7 seconds; each hears itself.
        simulation.pass(10 * SECOND);
        assert!(told.lock().unwrap().is_empty());
        assert_eq!(bytes(simulation), 2 * 4 * (86 + 420));
    });
}

#[test]
fn a_host_that_was_suspended_before_asks_at_once_when_its_process_starts() {
    simulate(2, wire(), |simulation| {
        let told = Told::default();
        simulation.pass(1_000 * SECOND);
        simulation.machine.executor.add_lag(0, nanoseconds(Duration::from_secs(600)));
        look(simulation, 1, &told);
        look(simulation, 0, &told);
        simulation.pass(SECOND);
        assert_eq!(told.lock().unwrap().len(), 2);
        assert_eq!(bytes(simulation), 2 * (86 + 2 * 420));
    });
}

fn nanoseconds(duration: Duration) -> u64 {
    crate::network::links::nanoseconds(duration)
}

#[test]
fn who_is_inactive_neither_asks_nor_answers_and_asks_at_once_when_active_again() {
    simulate(4, wire(), |simulation| {
        let (told, active) = (Told::default(), Active::default());
        look_while(simulation, 0, &told, &active);
        (1..3).for_each(|host| look(simulation, host, &told));
        simulation.pass(10 * SECOND);
        assert!(!told.lock().unwrap().contains_key(&0), "it was never active");
        assert_eq!(bytes(simulation), 2 * 86 + 4 * 420);
        *active.lock().unwrap() = true;
        simulation.pass(SECOND);
        assert_eq!(told.lock().unwrap()[&0].len(), 2);
        assert_eq!(bytes(simulation), 3 * 86 + 7 * 420);
        *active.lock().unwrap() = false;
        simulation.pass(SECOND);
        look(simulation, 3, &told);
        simulation.pass(SECOND);
        assert_eq!(bytes(simulation), 4 * 86 + 11 * 420, "it answers once more");
        assert_eq!(told.lock().unwrap()[&0].len(), 2, "but is told nothing");
        simulation.pass(301 * SECOND);
        let questions = (bytes(simulation) - 4 * 86 - 11 * 420) / (86 + 3 * 420);
        assert!((1..=3).contains(&questions), "and then it is gone");
        *active.lock().unwrap() = true;
        simulation.pass(SECOND);
        assert_eq!(told.lock().unwrap()[&0].len(), 5, "and is told of all anew");
    });
}

#[test]
fn who_was_not_heard_for_six_minutes_is_told_again() {
    simulate(2, wire(), |simulation| {
        let told = Told::default();
        (0..2).for_each(|host| look(simulation, host, &told));
        simulation.pass(1_000 * SECOND);
        assert_eq!(told.lock().unwrap()[&0].len(), 1);
        simulation.network.set_connected(1, false);
        simulation.pass(700 * SECOND);
        simulation.network.set_connected(1, true);
        simulation.pass(301 * SECOND);
        assert_eq!(told.lock().unwrap()[&0].len(), 2);
    });
}
