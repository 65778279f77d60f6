//! Cuts, losses and other faults under connections that stand.

use std::{io::ErrorKind, time::Duration};

use futures::{AsyncReadExt, AsyncWriteExt};
use libp2p::core::muxing::SubstreamBox;

use super::harness::{
    LATENCY, MILLISECOND, Outcome, SECOND, SLACK, Simulation, ended, simulate, simulate_with, wire,
};
use crate::{
    network::links::LinkSettings,
    virtual_machine::{HostId, now},
};

const GIVE_UP: u64 = 924 * SECOND;

/// Writes it at once; the stream comes back.
fn write(simulation: &mut Simulation, host: HostId, mut stream: SubstreamBox, bytes: &[u8]) -> SubstreamBox {
    let bytes = bytes.to_vec();
    simulation.run(host, async move {
        stream.write_all(&bytes).await.unwrap();
        stream
    })
}

/// So many bytes, each with when it came.
fn read(
    simulation: &Simulation,
    host: HostId,
    mut stream: SubstreamBox,
    count: usize,
) -> Outcome<Vec<(u8, u64)>> {
    simulation.spawn(host, async move {
        let mut read = Vec::new();
        while read.len() < count {
            let mut byte = [0];
            stream.read_exact(&mut byte).await.unwrap();
            read.push((byte[0], now()));
        }
        read
    })
}

#[track_caller]
fn expect_at(read: &[(u8, u64)], bytes: &[u8], at: u64) {
    assert_eq!(read.iter().map(|(byte, _)| *byte).collect::<Vec<_>>(), bytes);
    assert!(read.iter().all(|(_, time)| (at..at + SLACK).contains(time)), "{read:?}, not at {at}");
}

#[test]
fn what_is_written_into_a_cut_arrives_in_order_when_it_is_sent_again() {
    simulate(2, wire(), |simulation| {
        let [(_near, near), (_far, far)] = simulation.stream(0, 1);
        simulation.network.set_partition(&[0], 1);
        let begin = now();
        let near = write(simulation, 0, near, b"a");
        let mut read = read(simulation, 1, far, 3);
        simulation.pass(500 * MILLISECOND);
        let near = write(simulation, 0, near, b"b");
        simulation.pass(500 * MILLISECOND);
        assert!(read.try_recv().unwrap().is_none());
        simulation.network.set_partition(&[0], 0);
        // What is written meanwhile comes after it.
        let _near = write(simulation, 0, near, b"c");
        let (_, read) = simulation.wait(read);
        // After 0.2, 0.6 and 1.4 seconds.
        expect_at(&read, b"abc", begin + 1_400 * MILLISECOND + LATENCY);
    });
}

#[test]
fn what_is_on_its_way_when_a_path_is_cut_does_not_get_through_and_is_sent_again() {
    simulate(2, wire(), |simulation| {
        let [(_near, near), (_far, far)] = simulation.stream(0, 1);
        let begin = now();
        let near = write(simulation, 0, near, b"a");
        simulation.pass(LATENCY / 2);
        let near = write(simulation, 0, near, b"b");
        simulation.network.set_connected(1, false);
        simulation.pass(LATENCY);
        let _near = write(simulation, 0, near, b"c");
        let read = read(simulation, 1, far, 3);
        simulation.pass(SECOND);
        simulation.network.set_connected(1, true);
        let (_, read) = simulation.wait(read);
        expect_at(&read, b"abc", begin + 1_400 * MILLISECOND + LATENCY);
        simulation.network.kept();
    });
}

#[test]
fn what_was_sent_before_and_after_a_short_cut_stays_in_order() {
    // Some packets of many are late by hundreds of milliseconds, and some of those meet the cut.
    for seed in 0..30 {
        let settings = LinkSettings { loss: 0.2, jitter: Duration::from_millis(5), ..wire() };
        simulate_with(seed, 2, settings, |simulation| {
            let [(_near, mut near), (_far, far)] = simulation.stream(0, 1);
            for number in 0..60 {
                near = write(simulation, 0, near, &[number]);
                simulation.pass(5 * MILLISECOND);
                if number % 20 == 0 {
                    simulation.network.set_partition(&[0], 1);
                    simulation.pass(100 * MILLISECOND);
                    simulation.network.set_partition(&[0], 0);
                }
            }
            let read = read(simulation, 1, far, 60);
            let (_, read) = simulation.wait(read);
            assert!(read.iter().map(|(byte, _)| *byte).eq(0..60), "{read:?}");
            drop((near, _near, _far));
            simulation.expect_nothing_left();
        });
    }
}

#[test]
fn a_cut_is_given_up_after_924_seconds() {
    simulate(2, wire(), |simulation| {
        let [(near_muxer, near), (_far, far)] = simulation.stream(0, 1);
        simulation.network.set_partition(&[0], 1);
        let begin = now();
        let _near = write(simulation, 0, near, b"a");
        let near_end = simulation.spawn(0, ended(near_muxer));
        let (at, why) = simulation.wait(near_end);
        assert_eq!((at, why), (begin + GIVE_UP, ErrorKind::TimedOut));
        // The far end wrote nothing and knows nothing; it finds out when it does.
        simulation.network.set_partition(&[0], 0);
        let _far_stream = write(simulation, 1, far, b"b");
        let begin = now();
        let far_end = simulation.spawn(1, ended(_far));
        let (at, why) = simulation.wait(far_end);
        assert_eq!(why, ErrorKind::ConnectionReset);
        assert!((begin + 2 * LATENCY..begin + 2 * LATENCY + SLACK).contains(&at), "{at}");
        drop((_near, _far_stream));
        simulation.expect_nothing_left();
    });
}

#[test]
fn a_cut_that_healed_and_a_second_one_are_two() {
    simulate(2, wire(), |simulation| {
        let [(near_muxer, near), (_far, far)] = simulation.stream(0, 1);
        simulation.network.set_partition(&[0], 1);
        let near = write(simulation, 0, near, b"a");
        simulation.pass(10 * SECOND);
        // Healed more than once, as several faults at a time are.
        simulation.network.set_partition(&[0], 0);
        simulation.network.set_connected(0, true);
        let _far_stream = simulation.run(1, async move {
            let mut far = far;
            far.read_exact(&mut [0]).await.unwrap();
            far
        });
        simulation.pass(880 * SECOND);
        simulation.network.set_partition(&[0], 1);
        let begin = now();
        let _near = write(simulation, 0, near, b"b");
        let near_end = simulation.spawn(0, ended(near_muxer));
        assert_eq!(simulation.wait(near_end), (begin + GIVE_UP, ErrorKind::TimedOut));
    });
}

#[test]
fn what_a_closed_connection_holds_goes_out_after_the_cut_and_is_given_up_otherwise() {
    for heals in [true, false] {
        simulate(2, wire(), move |simulation| {
            let [(near_muxer, near), (far_muxer, mut far)] = simulation.stream(0, 1);
            simulation.network.set_partition(&[0], 1);
            drop(write(simulation, 0, near, b"last"));
            drop(near_muxer);
            if heals {
                simulation.pass(SECOND);
                simulation.network.set_partition(&[0], 0);
                let (bytes, why) = simulation.run(1, async move {
                    let mut bytes = vec![0; 4];
                    far.read_exact(&mut bytes).await.unwrap();
                    (bytes, ended(far_muxer).await)
                });
                assert_eq!((&bytes[..], why), (&b"last"[..], ErrorKind::UnexpectedEof));
            } else {
                drop((far, far_muxer));
            }
            simulation.expect_nothing_left();
        });
    }
}

#[test]
fn a_host_that_is_muted_hears_and_is_not_heard() {
    simulate(2, wire(), |simulation| {
        let [(_near, near), (_far, far)] = simulation.stream(0, 1);
        simulation.network.set_mute(&[0], Some(1));
        assert!(!simulation.network.in_reach(0, 1));
        let far = write(simulation, 1, far, b"hello");
        let near = simulation.run(0, async move {
            let mut near = near;
            near.read_exact(&mut [0; 5]).await.unwrap();
            near
        });
        let _near = write(simulation, 0, near, b"x");
        let mut read = read(simulation, 1, far, 1);
        simulation.pass(100 * SECOND);
        assert!(read.try_recv().unwrap().is_none());
        simulation.network.set_mute(&[0], None);
        simulation.wait(read);
    });
}

#[test]
fn connections_of_an_address_that_is_gone_fall_silent_and_are_freed() {
    simulate(2, wire(), |simulation| {
        let [(near_muxer, near), (far_muxer, far)] = simulation.stream(0, 1);
        simulation.network.change_address(1);
        let begin = now();
        let near = write(simulation, 0, near, b"a");
        let near_end = simulation.spawn(0, ended(near_muxer));
        assert_eq!(simulation.wait(near_end), (begin + GIVE_UP, ErrorKind::TimedOut));
        drop((near, far, far_muxer));
        simulation.expect_nothing_left();
    });
}

#[test]
fn connections_of_an_address_that_is_gone_are_freed_when_both_processes_ended() {
    simulate(2, wire(), |simulation| {
        let near_and_far = simulation.stream(0, 1);
        simulation.network.change_address(1);
        simulation.network.kill_process(0);
        simulation.network.kill_process(1);
        drop(near_and_far);
        assert_eq!(simulation.network.kept(), [0, 0, 0]);
        simulation.expect_nothing_left();
    });
}

#[test]
fn a_handshake_does_not_end_at_an_address_that_is_gone() {
    simulate(2, wire(), |simulation| {
        let listener = simulation.listener(1);
        let far = simulation.spawn(1, async move { listener.accept().await });
        let near = simulation.dial(0, 1);
        simulation.pass(2 * LATENCY);
        simulation.network.change_address(1);
        assert!(simulation.wait(near).1.is_err());
        assert!(simulation.wait(far).1.is_err());
        simulation.expect_nothing_left();
    });
}

#[test]
fn a_lost_packet_of_a_stream_is_late_and_what_follows_waits_for_it() {
    let settings = LinkSettings { loss: 0.3, ..wire() };
    simulate(2, settings, |simulation| {
        let [(_near, mut near), (_far, far)] = simulation.stream(0, 1);
        let begin = now();
        let read = read(simulation, 1, far, 200);
        for number in 0..200 {
            near = write(simulation, 0, near, &[number]);
        }
        let (_, read) = simulation.wait(read);
        assert!(read.iter().map(|(byte, _)| *byte).eq(0..200));
        assert!(read.windows(2).all(|pair| pair[0].1 <= pair[1].1));
        assert!(read[199].1 > begin + 200 * MILLISECOND, "{read:?}");
    });
}

#[test]
fn a_late_packet_delays_nobody_elses() {
    // The two senders reach the one receiver over ways of very different length.
    let settings = LinkSettings { router_latency: Duration::from_millis(300), ..wire() };
    simulate(2, settings, |simulation| {
        let far_away = simulation.network.add_host(libp2p::PeerId::random(), 1);
        let [(_one, one), (_receiver, receiver)] = simulation.stream(0, 1);
        let [(_other, other), (_second, second)] = simulation.stream(far_away, 1);
        let begin = now();
        let _other = write(simulation, far_away, other, b"late");
        let _one = write(simulation, 0, one, b"x");
        let read_near = read(simulation, 1, receiver, 1);
        let read_far = read(simulation, 1, second, 4);
        expect_at(&simulation.wait(read_near).1, b"x", begin + LATENCY);
        expect_at(&simulation.wait(read_far).1, b"late", begin + LATENCY + 300 * MILLISECOND);
    });
}

#[test]
fn senders_share_the_link_of_a_receiver() {
    let settings = LinkSettings { bandwidth: 1e7, ..wire() };
    simulate(4, settings, |simulation| {
        let mut streams = Vec::new();
        let mut reads = Vec::new();
        let receiver = 3;
        for host in 0..3 {
            let [near, (muxer, mut far)] = simulation.stream(host, receiver);
            streams.push((host, near, muxer));
            reads.push(simulation.spawn(receiver, async move {
                far.read_exact(&mut vec![0; 100_000]).await.unwrap();
                far
            }));
        }
        let begin = now();
        let writes: Vec<_> = streams
            .into_iter()
            .map(|(host, (muxer, mut stream), far)| {
                simulation.spawn(host, async move {
                    stream.write_all(&[0; 100_000]).await.unwrap();
                    (stream, muxer, far)
                })
            })
            .collect();
        let last = reads.into_iter().map(|read| simulation.wait(read).0).max().unwrap();
        // Three times 100 kB at 10 Mbit/s, each of which took 80 ms on its own way out before.
        let expected = begin + LATENCY + (80 + 3 * 80) * MILLISECOND;
        assert!((expected..expected + 30 * MILLISECOND).contains(&last), "{}", last - begin);
        drop(writes);
    });
}

#[test]
fn wifi_stalls_a_while_every_few_seconds() {
    let settings = LinkSettings { stalls: true, ..wire() };
    simulate(2, settings, |simulation| {
        let [(_near, mut near), (_far, mut far)] = simulation.stream(0, 1);
        let mut late = Vec::new();
        for _ in 0..3_000 {
            let begin = now();
            near = write(simulation, 0, near, b"x");
            far = simulation.run(1, async move {
                far.read_exact(&mut [0]).await.unwrap();
                far
            });
            late.push(now() - begin - LATENCY);
            simulation.pass(20 * MILLISECOND);
        }
        assert!(late.iter().all(|late| *late < 200 * MILLISECOND), "{late:?}");
        // Two interfaces, each asleep for 60 ms of five seconds.
        let stalled = late.iter().filter(|late| **late > SLACK).count();
        assert!((20..200).contains(&stalled), "{stalled}");
    });
}
