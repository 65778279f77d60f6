//! How connections are made, and how making one fails.

use std::io::ErrorKind;

use libp2p::core::{muxing::StreamMuxerBox, transport::TransportEvent};

use super::harness::{LATENCY, MILLISECOND, Outcome, SECOND, SLACK, Simulation, kind, simulate, wire};
use crate::{
    network::{Admission, PORT, tcp},
    virtual_machine::now,
};

const TIMEOUT: u64 = 4 * SECOND;

#[track_caller]
fn expect_failure(
    simulation: &mut Simulation,
    dial: Outcome<std::io::Result<StreamMuxerBox>>,
    why: ErrorKind,
    at: u64,
) {
    let (failed, outcome) = simulation.wait(dial);
    assert_eq!(outcome.err().map(|error| kind(&error)), Some(why));
    assert!((at..at + SLACK).contains(&failed), "{failed}");
}

#[test]
fn a_dialler_is_connected_after_two_round_trips_and_a_listener_half_a_one_later() {
    simulate(2, wire(), |simulation| {
        let listener = simulation.listener(1);
        let far = simulation.spawn(1, async move { listener.accept().await });
        let near = simulation.dial(0, 1);
        let (near, _near_muxer) = simulation.wait(near);
        let (far, _far_muxer) = simulation.wait(far);
        assert!((4 * LATENCY..4 * LATENCY + SLACK).contains(&near), "{near}");
        assert!((5 * LATENCY..5 * LATENCY + SLACK).contains(&far), "{far}");
    });
}

#[test]
fn both_ends_learn_who_the_other_is_and_the_listener_from_where() {
    simulate(2, wire(), |simulation| {
        let (network, address) = (simulation.network.clone(), simulation.network.address(0));
        let listener = simulation.listener(1);
        let far = simulation.spawn(1, async move {
            loop {
                if let TransportEvent::Incoming { upgrade, send_back_addr, .. } = listener.next().await {
                    return (upgrade.await.unwrap().0, send_back_addr);
                }
            }
        });
        let _near = simulation.dial(0, 1);
        let (_, (peer, from)) = simulation.wait(far);
        assert_eq!(peer, network.lock().host(0).peer);
        assert!(from.to_string().starts_with(&format!("/ip4/{address}/tcp/")));
    });
}

#[test]
fn a_host_on_which_nobody_listens_refuses_after_one_round_trip() {
    simulate(2, wire(), |simulation| {
        let dial = simulation.dial(0, 1);
        expect_failure(simulation, dial, ErrorKind::ConnectionRefused, 2 * LATENCY);
        let _listener = simulation.listener(1);
        let begin = now();
        let dial = simulation.dial_address(0, tcp(simulation.network.address(1), PORT + 1));
        expect_failure(simulation, dial, ErrorKind::ConnectionRefused, begin + 2 * LATENCY);
        simulation.network.set_admission(1, Admission::Refuse);
        let begin = now();
        let dial = simulation.dial(0, 1);
        expect_failure(simulation, dial, ErrorKind::ConnectionRefused, begin + 2 * LATENCY);
        assert_eq!(simulation.network.refused_connections(), 3);
        simulation.expect_nothing_left();
    });
}

#[test]
fn a_dial_to_where_nobody_answers_is_given_up_after_the_timeout() {
    simulate(2, wire(), |simulation| {
        let _listener = simulation.listener(1);
        let dial = simulation.dial_address(0, tcp([10, 9, 9, 9].into(), PORT));
        expect_failure(simulation, dial, ErrorKind::TimedOut, TIMEOUT);
        simulation.network.set_admission(1, Admission::Swallow);
        let begin = now();
        let dial = simulation.dial(0, 1);
        expect_failure(simulation, dial, ErrorKind::TimedOut, begin + TIMEOUT);
        assert_eq!(simulation.network.refused_connections(), 1, "one, however often it was tried");
        simulation.network.set_admission(1, Admission::Accept);
        simulation.network.set_connected(1, false);
        let begin = now();
        let dial = simulation.dial(0, 1);
        expect_failure(simulation, dial, ErrorKind::TimedOut, begin + TIMEOUT);
        simulation.expect_nothing_left();
    });
}

#[test]
fn a_first_packet_that_is_lost_is_sent_again_after_one_and_three_seconds() {
    for (cut, connected) in [(SECOND / 2, SECOND), (2 * SECOND, 3 * SECOND)] {
        simulate(2, wire(), move |simulation| {
            let _listener = simulation.listener(1);
            simulation.network.set_partition(&[1], 1);
            let dial = simulation.dial(0, 1);
            simulation.pass(cut);
            simulation.network.set_partition(&[1], 0);
            let (at, outcome) = simulation.wait(dial);
            assert!(outcome.is_ok());
            let expected = connected + 4 * LATENCY;
            assert!((expected..expected + SLACK).contains(&at), "{at}");
        });
    }
}

#[test]
fn the_timeout_is_for_all_of_a_connection_and_not_for_each_of_its_steps() {
    simulate(2, wire(), |simulation| {
        let listener = simulation.listener(1);
        let far = simulation.spawn(1, async move { listener.accept().await });
        simulation.network.set_partition(&[1], 1);
        let dial = simulation.dial(0, 1);
        simulation.pass(2 * SECOND);
        simulation.network.set_partition(&[1], 0);
        // The handshake stops in its midst.
        simulation.pass(SECOND + 2 * LATENCY);
        simulation.network.set_partition(&[1], 1);
        expect_failure(simulation, dial, ErrorKind::TimedOut, TIMEOUT);
        let begin = 3 * SECOND + LATENCY;
        expect_failure(simulation, far, ErrorKind::TimedOut, begin + TIMEOUT);
        simulation.expect_nothing_left();
    });
}

#[test]
fn a_dial_that_is_dropped_at_any_time_leaves_nothing() {
    for step in 0..14 {
        simulate(2, wire(), move |simulation| {
            let listener = simulation.listener(1);
            let far = simulation.spawn(1, async move { listener.accept().await });
            drop(simulation.dial(0, 1));
            simulation.pass(step * LATENCY / 2);
            simulation.machine.executor.kill(0);
            simulation.pass(10 * SECOND);
            drop(far);
            simulation.network.kill_process(1);
            simulation.machine.executor.kill(1);
            simulation.expect_nothing_left();
        });
    }
}

#[test]
fn a_listener_is_told_that_the_dialler_ended_in_mid_handshake() {
    simulate(2, wire(), |simulation| {
        let listener = simulation.listener(1);
        let far = simulation.spawn(1, async move { listener.accept().await });
        drop(simulation.dial(0, 1));
        simulation.pass(2 * LATENCY);
        simulation.network.kill_process(0);
        simulation.machine.executor.kill(0);
        let (at, outcome) = simulation.wait(far);
        assert_eq!(outcome.err().map(|error| kind(&error)), Some(ErrorKind::ConnectionReset));
        assert!((3 * LATENCY..3 * LATENCY + SLACK).contains(&at), "{at}");
        simulation.expect_nothing_left();
    });
}

#[test]
fn connections_are_taken_in_the_order_in_which_they_were_made() {
    simulate(4, wire(), |simulation| {
        let listener = simulation.listener(3);
        let order = [2, 0, 1];
        let dials: Vec<_> = order
            .map(|host| {
                let dial = simulation.dial(host, 3);
                simulation.pass(MILLISECOND);
                dial
            })
            .into();
        simulation.pass(10 * LATENCY);
        let from = simulation.run(3, async move {
            let mut from = Vec::new();
            while from.len() < 3 {
                if let TransportEvent::Incoming { send_back_addr, .. } = listener.next().await {
                    from.push(send_back_addr);
                }
            }
            from
        });
        let addresses = order.map(|host| format!("/ip4/{}/tcp/49152", simulation.network.address(host)));
        assert_eq!(from.iter().map(ToString::to_string).collect::<Vec<_>>(), addresses);
        drop(dials);
        simulation.expect_nothing_left();
    });
}

#[test]
fn what_a_killed_or_closed_listener_has_not_taken_is_reset() {
    for kill in [true, false] {
        simulate(2, wire(), move |simulation| {
            let listener = simulation.listener(1);
            let near = simulation.dial(0, 1);
            let (begin, near) = simulation.wait(near);
            let ended = simulation.spawn(0, super::harness::ended(near.unwrap()));
            assert_eq!(simulation.network.kept(), [1, 0, 1]);
            if kill {
                simulation.network.kill_process(1);
            }
            drop(listener);
            let (at, why) = simulation.wait(ended);
            assert_eq!(why, ErrorKind::ConnectionReset);
            assert!((begin + LATENCY..begin + LATENCY + SLACK).contains(&at), "{at}");
            simulation.expect_nothing_left();
        });
    }
}

#[test]
fn a_process_that_is_stopped_proves_nothing_until_it_goes_on() {
    simulate(2, wire(), |simulation| {
        let listener = simulation.listener(1);
        let far = simulation.spawn(1, async move { listener.accept().await });
        simulation.network.set_paused(1, true);
        simulation.machine.executor.set_paused(1, true);
        let near = simulation.dial(0, 1);
        simulation.pass(2 * SECOND);
        simulation.network.set_paused(1, false);
        simulation.machine.executor.set_paused(1, false);
        let (near, first) = simulation.wait(near);
        let (far, second) = simulation.wait(far);
        assert!(first.is_ok() && second.is_ok());
        assert!((2 * SECOND..TIMEOUT).contains(&near) && near < far, "{near} {far}");
    });
}

#[test]
fn a_listener_that_is_made_after_the_first_poll_wakes_the_process() {
    simulate(2, wire(), |simulation| {
        let transport = simulation.network.transport(1);
        let listener = super::harness::Listener(std::sync::Arc::new(std::sync::Mutex::new(transport)));
        let other = listener.clone();
        let far = simulation.spawn(1, async move { listener.accept().await });
        simulation.pass(SECOND);
        let id = libp2p::core::transport::ListenerId::next();
        let any = tcp([0, 0, 0, 0].into(), PORT);
        libp2p::Transport::listen_on(&mut *other.0.lock().unwrap(), id, any).unwrap();
        let _near = simulation.dial(0, 1);
        assert!(simulation.wait(far).1.is_ok());
    });
}

#[test]
fn a_process_is_told_of_its_new_address_and_is_reached_there() {
    simulate(2, wire(), |simulation| {
        let listener = simulation.listener(1);
        let old = tcp(simulation.network.address(1), PORT);
        let first = listener.clone();
        let told = simulation.run(1, async move { first.next().await });
        assert_eq!(told.into_new_address(), Some(old.clone()));
        let other = listener.clone();
        let told = simulation.spawn(1, async move {
            let expired = match other.next().await {
                TransportEvent::AddressExpired { listen_addr, .. } => listen_addr,
                event => panic!("{event:?}"),
            };
            (expired, other.next().await.into_new_address())
        });
        simulation.pass(SECOND);
        simulation.network.change_address(1);
        let new = tcp(simulation.network.address(1), PORT);
        assert_ne!(old, new);
        assert_eq!(simulation.wait(told).1, (old.clone(), Some(new.clone())));
        let far = simulation.spawn(1, async move { listener.accept().await });
        let near = simulation.dial_address(0, new);
        let near = simulation.wait(near).1;
        let far = simulation.wait(far).1;
        assert!(near.is_ok() && far.is_ok());
        let begin = now();
        let dial = simulation.dial_address(0, old);
        expect_failure(simulation, dial, ErrorKind::TimedOut, begin + TIMEOUT);
    });
}
