//! Streams: order, windows, and how they end.

use std::io::ErrorKind;

use futures::{AsyncReadExt, AsyncWriteExt};

use super::harness::{LATENCY, MILLISECOND, SECOND, SLACK, accept, ended, kind, open, simulate, wire};
use crate::{
    network::{connection::WINDOW, links::LinkSettings},
    virtual_machine::now,
};

fn pattern(length: usize) -> Vec<u8> {
    (0..=250).cycle().take(length).collect()
}

#[test]
fn bytes_arrive_after_the_latency_in_order_and_no_faster_than_the_link() {
    let megabit = 1e6;
    let settings = LinkSettings { bandwidth: 100.0 * megabit, ..wire() };
    simulate(2, settings, |simulation| {
        let [(_near, mut near), (_far, mut far)] = simulation.stream(0, 1);
        let begin = now();
        let write = simulation.spawn(0, async move {
            for chunk in pattern(1_000_000).chunks(16_000) {
                near.write_all(chunk).await.unwrap();
            }
            near
        });
        let (first, mut far) = simulation.run(1, async move {
            far.read_exact(&mut [0; 1]).await.unwrap();
            (now(), far)
        });
        let one_chunk = 2 * 16_000 * 8 * 10;
        assert!(
            (begin + LATENCY + one_chunk..begin + LATENCY + one_chunk + SLACK).contains(&first),
            "{first}"
        );
        let (last, bytes) = simulation.run(1, async move {
            let mut bytes = vec![0; 999_999];
            far.read_exact(&mut bytes).await.unwrap();
            (now(), bytes)
        });
        assert_eq!(bytes, pattern(1_000_000)[1..]);
        let transmission = 1_000_000 * 8 * 10;
        let took = last - begin - LATENCY;
        assert!(transmission < took && took < transmission * 11 / 10, "{took}");
        drop(write);
    });
}

#[test]
fn a_write_beyond_the_window_waits_until_the_far_end_reads() {
    simulate(2, wire(), |simulation| {
        let [(_near, mut near), (_far, mut far)] = simulation.stream(0, 1);
        let mut write = simulation.spawn(0, async move {
            near.write_all(&pattern(3 * WINDOW)).await.unwrap();
            near.close().await.unwrap();
            near
        });
        simulation.pass(10 * SECOND);
        assert!(write.try_recv().unwrap().is_none(), "it waits");
        let bytes = simulation.run(1, async move {
            let mut bytes = vec![0; WINDOW];
            far.read_exact(&mut bytes).await.unwrap();
            let mut rest = Vec::new();
            far.read_to_end(&mut rest).await.unwrap();
            [bytes, rest].concat()
        });
        assert!(bytes == pattern(3 * WINDOW));
        simulation.wait(write);
    });
}

#[test]
fn a_writer_that_waits_is_told_when_the_reader_goes() {
    for kill in [true, false] {
        simulate(2, wire(), move |simulation| {
            let [(_near, mut near), (far_muxer, far)] = simulation.stream(0, 1);
            let write = simulation.spawn(0, async move { near.write_all(&pattern(2 * WINDOW)).await });
            // A part of it is read or on its way when the reader goes.
            simulation.pass(LATENCY / 2);
            if kill {
                simulation.network.kill_process(1);
            }
            drop(far);
            let (_, written) = simulation.wait(write);
            assert_eq!(written.map_err(|error| error.kind()), Err(ErrorKind::ConnectionReset));
            assert_eq!(simulation.network.kept()[0], 1);
            drop((far_muxer, _near));
            simulation.expect_nothing_left();
        });
    }
}

#[test]
fn one_side_finishes_and_the_other_still_writes() {
    simulate(2, wire(), |simulation| {
        let [(_near, mut near), (_far, mut far)] = simulation.stream(0, 1);
        let near = simulation.spawn(0, async move {
            near.write_all(b"question").await.unwrap();
            near.close().await.unwrap();
            let refused = near.write_all(b"more").await.map_err(|error| error.kind());
            let mut answer = Vec::new();
            near.read_to_end(&mut answer).await.unwrap();
            (answer, refused)
        });
        let far = simulation.spawn(1, async move {
            let mut question = Vec::new();
            far.read_to_end(&mut question).await.unwrap();
            far.write_all(b"answer").await.unwrap();
            far.close().await.unwrap();
            question
        });
        assert_eq!(simulation.wait(far).1, b"question");
        assert_eq!(simulation.wait(near).1, (b"answer".to_vec(), Err(ErrorKind::WriteZero)));
        // Both ends of the stream are gone, those of the connection not.
        simulation.pass(SECOND);
        let state = simulation.network.lock();
        assert!(
            state
                .connections
                .iter()
                .flatten()
                .all(|connection| connection.streams.iter().flatten().count() == 0)
        );
    });
}

#[test]
fn a_stream_that_is_dropped_before_its_end_is_reset_behind_what_was_written() {
    simulate(2, wire(), |simulation| {
        let [(_near, mut near), (_far, mut far)] = simulation.stream(0, 1);
        let begin = now();
        simulation.run(0, async move { near.write_all(b"half a").await.unwrap() });
        let (at, read) = simulation.run(1, async move {
            let mut bytes = Vec::new();
            let read = far.read_to_end(&mut bytes).await.map_err(|error| error.kind());
            (now(), (bytes, read.err(), far.write_all(b"?").await.map_err(|error| error.kind())))
        });
        assert_eq!(
            read,
            (b"half a".to_vec(), Some(ErrorKind::ConnectionReset), Err(ErrorKind::ConnectionReset))
        );
        assert!((begin + LATENCY..begin + LATENCY + SLACK).contains(&at), "{at}");
    });
}

#[test]
fn streams_of_one_connection_are_taken_in_the_order_in_which_they_began() {
    simulate(2, wire(), |simulation| {
        let (mut near, mut far) = simulation.connect(0, 1);
        let near = simulation.spawn(0, async move {
            let mut streams = Vec::new();
            for number in 0..5 {
                let mut stream = open(&mut near).await.unwrap();
                stream.write_all(&[number]).await.unwrap();
                streams.push(stream);
            }
            (near, streams)
        });
        let numbers = simulation.run(1, async move {
            let mut numbers = Vec::new();
            for _ in 0..5 {
                let mut number = [0];
                accept(&mut far).await.unwrap().read_exact(&mut number).await.unwrap();
                numbers.extend(number);
            }
            numbers
        });
        assert_eq!(numbers, [0, 1, 2, 3, 4]);
        drop(simulation.wait(near));
        simulation.expect_nothing_left();
    });
}

#[test]
fn a_connection_that_is_closed_delivers_what_was_sent_before() {
    simulate(2, wire(), |simulation| {
        let [(near_muxer, mut near), (far_muxer, mut far)] = simulation.stream(0, 1);
        let begin = now();
        let write = simulation.spawn(0, async move {
            near.write_all(b"farewell").await.unwrap();
            near.close().await.unwrap();
            drop(near_muxer);
            near.read(&mut [0]).await.map_err(|error| error.kind())
        });
        let bytes = simulation.spawn(1, async move {
            let mut bytes = Vec::new();
            far.read_to_end(&mut bytes).await.unwrap();
            bytes
        });
        assert_eq!(simulation.wait(write).1, Err(ErrorKind::BrokenPipe));
        let (_, bytes) = simulation.wait(bytes);
        assert_eq!(bytes, b"farewell");
        let far_end = simulation.spawn(1, ended(far_muxer));
        let (at, why) = simulation.wait(far_end);
        assert_eq!(why, ErrorKind::UnexpectedEof);
        assert!((begin + LATENCY..begin + LATENCY + SLACK).contains(&at), "{at}");
        simulation.expect_nothing_left();
    });
}

#[test]
fn a_process_that_closed_its_connections_and_ended_resets_nothing() {
    // A queue of many milliseconds, which a reset that is sent later must not get past.
    let settings = LinkSettings { bandwidth: 1e7, jitter: std::time::Duration::from_millis(20), ..wire() };
    for seed in 0..20 {
        super::harness::simulate_with(seed, 2, settings.clone(), |simulation| {
            let [(near_muxer, mut near), (_far, mut far)] = simulation.stream(0, 1);
            simulation.run(0, async move {
                near.write_all(&pattern(100_000)).await.unwrap();
                near.close().await.unwrap();
                drop(near_muxer);
            });
            simulation.network.kill_process(0);
            simulation.machine.executor.kill(0);
            let bytes = simulation.run(1, async move {
                let mut bytes = Vec::new();
                far.read_to_end(&mut bytes).await.map(|_| bytes)
            });
            assert!(bytes.unwrap() == pattern(100_000));
            drop(_far);
            simulation.expect_nothing_left();
        });
    }
}

#[test]
fn a_killed_process_resets_the_far_end_within_one_latency() {
    simulate(2, wire(), |simulation| {
        let [(near_muxer, mut near), far] = simulation.stream(0, 1);
        let read =
            simulation.spawn(0, async move { near.read(&mut [0]).await.map_err(|error| kind(&error)) });
        let near_end = simulation.spawn(0, ended(near_muxer));
        simulation.pass(SECOND);
        let begin = now();
        simulation.network.kill_process(1);
        drop(far);
        let (at, why) = simulation.wait(near_end);
        assert_eq!(why, ErrorKind::ConnectionReset);
        assert!((begin + LATENCY..begin + LATENCY + SLACK).contains(&at), "{at}");
        assert_eq!(simulation.wait(read), (at, Err(ErrorKind::ConnectionReset)));
        simulation.expect_nothing_left();
    });
}

#[test]
fn what_is_written_to_an_end_that_is_gone_is_answered_with_a_reset() {
    simulate(2, wire(), |simulation| {
        let [(near_muxer, mut near), far] = simulation.stream(0, 1);
        // Nothing that tells of its end gets out.
        simulation.network.set_connected(1, false);
        simulation.network.kill_process(1);
        drop(far);
        let begin = now();
        let near_end = simulation.spawn(0, async move {
            near.write_all(b"anybody?").await.unwrap();
            ended(near_muxer).await
        });
        simulation.pass(300 * MILLISECOND);
        simulation.network.set_connected(1, true);
        let (at, why) = simulation.wait(near_end);
        assert_eq!(why, ErrorKind::ConnectionReset);
        // Sent again after 200 and 400 milliseconds.
        let expected = begin + 600 * MILLISECOND + 2 * LATENCY;
        assert!((expected..expected + SLACK).contains(&at), "{at}");
        simulation.expect_nothing_left();
    });
}
