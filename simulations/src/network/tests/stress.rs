//! Whatever happens, what arrives is what was sent, and in the end nothing is left.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    task::Poll,
    time::Duration,
};

use futures::{AsyncReadExt, AsyncWriteExt, FutureExt, future::poll_fn};
use futures_timer::Delay;
use libp2p::core::muxing::{StreamMuxerBox, StreamMuxerExt, SubstreamBox};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::harness::{Listener, MILLISECOND, SECOND, Simulation, dial, open, simulate_with, wire};
use crate::{
    network::{Admission, Network, PORT, links::LinkSettings, tcp},
    virtual_machine::{HostId, executor, now},
};

const HOSTS: u32 = 4;
const SEEDS: u64 = 200;

/// What all tasks share.
#[derive(Clone)]
struct World {
    network: Network,
    random: Arc<Mutex<StdRng>>,
    /// Bytes written so far, by half a stream, and whether that was all.
    written: Arc<Mutex<HashMap<u32, (usize, bool)>>>,
    delivered: Arc<Mutex<usize>>,
    complete: Arc<Mutex<usize>>,
}

impl World {
    fn draw(&self, below: u32) -> u32 {
        self.random.lock().unwrap().random_range(0..below)
    }

    async fn wait(&self, milliseconds_max: u32) {
        let milliseconds = self.draw(milliseconds_max + 1);
        Delay::new(Duration::from_millis(milliseconds.into())).await;
    }

    /// Listens, takes connections, and dials others now and then.
    fn start(&self, host: HostId, simulation: &Simulation) {
        let Listener(transport) = simulation.listener(host);
        let world = self.clone();
        executor::spawn(
            host,
            Box::pin(async move {
                let listener = Listener(transport);
                loop {
                    // As a swarm does, it goes on while one is upgraded.
                    if let Some((upgrade, _)) = listener.next().await.into_incoming() {
                        let world = world.clone();
                        executor::spawn(
                            host,
                            Box::pin(async move {
                                if let Ok((_, muxer)) = upgrade.await {
                                    world.use_connection(host, muxer).await;
                                }
                            }),
                        );
                    }
                }
            }),
        );
        let world = self.clone();
        executor::spawn(
            host,
            Box::pin(async move {
                loop {
                    world.wait(3_000).await;
                    let to = tcp(world.network.address(world.draw(HOSTS)), PORT);
                    let world = world.clone();
                    executor::spawn(
                        host,
                        Box::pin(async move {
                            let mut transport = world.network.transport(host);
                            let dialled = dial(&mut transport, to).fuse();
                            // Some lose patience.
                            let patience = world.wait(20_000).fuse();
                            futures::pin_mut!(dialled, patience);
                            futures::select_biased! {
                                muxer = dialled => if let Ok(muxer) = muxer {
                                    world.use_connection(host, muxer).await;
                                },
                                () = patience => (),
                            }
                        }),
                    );
                }
            }),
        );
    }

    async fn use_connection(&self, host: HostId, mut muxer: StreamMuxerBox) {
        for _ in 0..self.draw(30) {
            let world = self.clone();
            let mut delay = Delay::new(Duration::from_millis(self.draw(2_000).into()));
            let alive = poll_fn(|cx| {
                if matches!(muxer.poll_unpin(cx), Poll::Ready(Err(_))) {
                    return Poll::Ready(false);
                }
                while let Poll::Ready(inbound) = muxer.poll_inbound_unpin(cx) {
                    let Ok(stream) = inbound else { return Poll::Ready(false) };
                    world.use_stream(host, stream);
                }
                delay.poll_unpin(cx).map(|()| true)
            });
            if !alive.await {
                return;
            }
            if let Ok(stream) = open(&mut muxer).await {
                self.use_stream(host, stream);
            }
        }
        if self.draw(2) == 0 {
            // Not an error, whether or not it still stands.
            let _ = poll_fn(|cx| muxer.poll_close_unpin(cx)).await;
            self.wait(500).await;
        }
    }

    fn use_stream(&self, host: HostId, stream: SubstreamBox) {
        let (mut reader, mut writer) = stream.split();
        let world = self.clone();
        let reading = async move { world.read(&mut reader).await };
        let world = self.clone();
        let writing = async move { world.write(&mut writer).await };
        executor::spawn(host, Box::pin(reading));
        executor::spawn(host, Box::pin(writing));
    }

    async fn write(&self, writer: &mut (impl AsyncWriteExt + Unpin)) {
        let number = {
            let mut written = self.written.lock().unwrap();
            let number = u32::try_from(written.len()).unwrap();
            written.insert(number, (0, false));
            number
        };
        self.write_pattern(number, writer).await;
        // A stream that is dropped and not closed ends as well where the far end has closed it.
        self.written.lock().unwrap().get_mut(&number).unwrap().1 = true;
        if self.draw(3) > 0 {
            // Not an error, whether or not the connection still stands.
            let _ = writer.close().await;
        }
    }

    async fn write_pattern(&self, number: u32, writer: &mut (impl AsyncWriteExt + Unpin)) {
        if writer.write_all(&number.to_le_bytes()).await.is_err() {
            return;
        }
        for _ in 0..self.draw(8) {
            let at = self.written.lock().unwrap()[&number].0;
            let length = usize::try_from(self.draw(20_000) * (1 + self.draw(10) / 9 * 20)).unwrap();
            let bytes: Vec<_> = (at..at + length).map(|place| byte(number, place)).collect();
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let Ok(count) = writer.write(rest).await else { return };
                rest = &rest[count..];
                self.written.lock().unwrap().get_mut(&number).unwrap().0 += count;
            }
            self.wait(100).await;
        }
    }

    async fn read(&self, reader: &mut (impl AsyncReadExt + Unpin)) {
        let mut number = [0; 4];
        if reader.read_exact(&mut number).await.is_err() {
            return;
        }
        let number = u32::from_le_bytes(number);
        let mut place = 0;
        let reads_all = self.draw(3) > 0;
        while reads_all || self.draw(20) > 0 {
            let mut buffer = vec![0; usize::try_from(1 + self.draw(50_000)).unwrap()];
            let Ok(count) = reader.read(&mut buffer).await else { return };
            let (written, all) = self.written.lock().unwrap()[&number];
            if count == 0 {
                assert!(all && place == written, "{place} bytes of {written} and no more");
                *self.complete.lock().unwrap() += 1;
                return;
            }
            assert!(buffer[..count].iter().zip(place..).all(|(is, place)| *is == byte(number, place)));
            place += count;
            *self.delivered.lock().unwrap() += count;
            assert!(place <= written);
            if self.draw(4) == 0 {
                self.wait(200).await;
            }
        }
    }
}

fn byte(number: u32, place: usize) -> u8 {
    let mixed = (u64::from(number) << 32 | place as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 56) as u8
}

fn disturb(simulation: &mut Simulation, world: &World, stopped: &mut [bool]) {
    let host = world.draw(HOSTS);
    let network = &simulation.network;
    match world.draw(12) {
        0 => network.set_partition(&[host], world.draw(3)),
        1 => network.set_connected(host, false),
        2 | 3 => network.set_connected(host, true),
        4 => network.set_mute(&[host], (world.draw(2) == 0).then_some(1)),
        5 => network.set_loss(host, f64::from(world.draw(5)) / 10.0),
        6 => network.change_address(host),
        7 => {
            let all = [Admission::Accept, Admission::Refuse, Admission::Swallow, Admission::Accept];
            network.set_admission(host, all[usize::try_from(world.draw(4)).unwrap()]);
        }
        8 | 9 => {
            let stopped = &mut stopped[usize::try_from(host).unwrap()];
            *stopped = !*stopped;
            network.set_paused(host, *stopped);
            simulation.machine.executor.set_paused(host, *stopped);
        }
        10 => {
            kill(simulation, host, stopped);
            world.start(host, simulation);
        }
        _ => simulation.machine.executor.set_poll_time(host, u64::from(world.draw(3)) * 10_000),
    }
}

fn kill(simulation: &mut Simulation, host: HostId, stopped: &mut [bool]) {
    simulation.network.kill_process(host);
    simulation.machine.executor.kill(host);
    simulation.machine.executor.set_paused(host, false);
    stopped[usize::try_from(host).unwrap()] = false;
}

fn run(seed: u64) -> (usize, usize) {
    let settings = LinkSettings {
        latency: Duration::from_millis(1 + seed % 20),
        jitter: Duration::from_micros(seed * 37 % 3_000),
        loss: [0.0, 0.01, 0.1][usize::try_from(seed % 3).unwrap()],
        bandwidth: [1e7, 1e8, 1e9][usize::try_from(seed / 3 % 3).unwrap()],
        stalls: seed.is_multiple_of(2),
        ..wire()
    };
    let outcome = Arc::new(Mutex::new((0, 0)));
    let result = outcome.clone();
    simulate_with(seed, usize::try_from(HOSTS).unwrap(), settings, move |simulation| {
        let world = World {
            network: simulation.network.clone(),
            random: Arc::new(Mutex::new(StdRng::seed_from_u64(seed))),
            written: Arc::default(),
            delivered: Arc::default(),
            complete: Arc::default(),
        };
        let mut stopped = vec![false; usize::try_from(HOSTS).unwrap()];
        (0..HOSTS).for_each(|host| world.start(host, simulation));
        while now() < 30 * SECOND {
            simulation.pass(u64::from(world.draw(1_000)) * MILLISECOND);
            disturb(simulation, &world, &mut stopped);
            simulation.network.kept();
        }
        // Half of the runs heal, so that what is held goes out; of the others the cuts stay.
        if seed.is_multiple_of(2) {
            simulation.network.set_partition(&[0, 1, 2, 3], 0);
            simulation.network.set_mute(&[0, 1, 2, 3], None);
            (0..HOSTS).for_each(|host| simulation.network.set_connected(host, true));
            simulation.pass(10 * SECOND);
        }
        (0..HOSTS).for_each(|host| kill(simulation, host, &mut stopped));
        simulation.expect_nothing_left();
        *result.lock().unwrap() = (*world.delivered.lock().unwrap(), *world.complete.lock().unwrap());
    });
    *outcome.lock().unwrap()
}

#[test]
fn what_arrives_is_what_was_sent_whatever_happens_and_nothing_is_left() {
    let (bytes, streams) = (0..SEEDS).map(run).fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    assert!(bytes > 100_000_000 && streams > 1_000, "{bytes} bytes, {streams} streams to their end");
}

#[test]
fn a_seed_does_the_same_again() {
    assert_eq!(run(4), run(4));
}
