//! A small simulation for tests: tasks on hosts, and time that passes until they are done.

use std::{
    io,
    sync::{Arc, Mutex},
    task::Poll,
    thread,
    time::Duration,
};

use futures::{channel::oneshot, future::poll_fn};
use hereabouts::mesh::transport::MeshTransport;
use libp2p::{
    Multiaddr, PeerId, Transport,
    core::{
        Endpoint,
        muxing::{StreamMuxerBox, StreamMuxerExt, SubstreamBox},
        transport::{DialOpts, ListenerId, PortUse, TransportEvent},
    },
};

use crate::{
    network::{Network, PORT, links::LinkSettings, tcp},
    trace::Trace,
    virtual_machine::{HostId, Machine, executor, now},
};

pub(super) const MILLISECOND: u64 = 1_000_000;
pub(super) const SECOND: u64 = 1_000_000_000;
/// One way in [`wire`].
pub(super) const LATENCY: u64 = 10 * MILLISECOND;
/// What queues and cryptography add to a few packets, with room.
pub(super) const SLACK: u64 = MILLISECOND;

/// Links without chance, on which nothing but latency takes long.
pub(super) fn wire() -> LinkSettings {
    LinkSettings {
        latency: Duration::from_nanos(LATENCY),
        jitter: Duration::ZERO,
        loss: 0.0,
        multicast_loss: 0.0,
        bandwidth: 1e10,
        stalls: false,
        router_latency: Duration::ZERO,
        regions: false,
    }
}

pub(super) struct Simulation {
    pub(super) machine: Machine,
    pub(super) network: Network,
}

/// Runs `test` as a simulation of so many hosts, on a thread of its own.
pub(super) fn simulate(
    hosts: usize,
    settings: LinkSettings,
    test: impl FnOnce(&mut Simulation) + Send + 'static,
) {
    simulate_with(1, hosts, settings, test);
}

pub(super) fn simulate_with(
    seed: u64,
    hosts: usize,
    settings: LinkSettings,
    test: impl FnOnce(&mut Simulation) + Send + 'static,
) {
    let run = move || {
        let machine = Machine::start(seed, false);
        let network = Network::new(settings, hosts, seed, Trace::default());
        for _ in 0..hosts {
            network.add_host(PeerId::random(), 0);
        }
        test(&mut Simulation { machine, network });
    };
    if let Err(panic) = thread::spawn(run).join() {
        std::panic::resume_unwind(panic);
    }
}

/// What comes of a task, and when it did.
pub(super) type Outcome<T> = oneshot::Receiver<(u64, T)>;

impl Simulation {
    pub(super) fn spawn<T: Send + 'static>(
        &self,
        host: HostId,
        task: impl Future<Output = T> + Send + 'static,
    ) -> Outcome<T> {
        let (sender, receiver) = oneshot::channel();
        executor::spawn(
            host,
            Box::pin(async move {
                let value = task.await;
                // Whether somebody still waits for it is no matter.
                let _ = sender.send((now(), value));
            }),
        );
        receiver
    }

    pub(super) fn step(&mut self, until: u64) {
        self.machine.executor.run_until_idle();
        let next = self.network.next_event().map_or(until, |next| next.min(until));
        self.machine.advance(next);
        self.network.handle_due();
        self.machine.executor.run_until_idle();
    }

    /// Lets so many nanoseconds pass.
    pub(super) fn pass(&mut self, nanoseconds: u64) {
        let until = now() + nanoseconds;
        while now() < until {
            self.step(until);
        }
    }

    /// Lets time pass until the task is done.
    pub(super) fn wait<T>(&mut self, mut outcome: Outcome<T>) -> (u64, T) {
        let limit = now() + 2_000 * SECOND;
        loop {
            self.machine.executor.run_until_idle();
            if let Some(outcome) = outcome.try_recv().expect("the task was not dropped") {
                return outcome;
            }
            assert!(now() < limit, "the task is never done");
            self.step(limit);
        }
    }

    pub(super) fn run<T: Send + 'static>(
        &mut self,
        host: HostId,
        task: impl Future<Output = T> + Send + 'static,
    ) -> T {
        let outcome = self.spawn(host, task);
        self.wait(outcome).1
    }

    /// What still is on its way arrives, and nothing is left.
    pub(super) fn expect_nothing_left(&mut self) {
        self.pass(1_100 * SECOND);
        assert_eq!(self.network.kept(), [0, 0, 0]);
        assert_eq!(self.network.next_event(), None);
    }

    pub(super) fn listener(&self, host: HostId) -> Listener {
        let mut transport = self.network.transport(host);
        let any = tcp([0, 0, 0, 0].into(), PORT);
        transport.listen_on(ListenerId::next(), any).expect("it listens");
        Listener(Arc::new(Mutex::new(transport)))
    }

    pub(super) fn dial(&self, from: HostId, to: HostId) -> Outcome<io::Result<StreamMuxerBox>> {
        self.dial_address(from, tcp(self.network.address(to), PORT))
    }

    pub(super) fn dial_address(&self, from: HostId, to: Multiaddr) -> Outcome<io::Result<StreamMuxerBox>> {
        let network = self.network.clone();
        self.spawn(from, async move { dial(&mut network.transport(from), to).await })
    }

    /// A connection from the one host to the other.
    pub(super) fn connect(&mut self, from: HostId, to: HostId) -> (StreamMuxerBox, StreamMuxerBox) {
        let listener = self.listener(to);
        let near = self.dial(from, to);
        let far = self.spawn(to, async move { listener.accept().await });
        let far = self.wait(far).1.expect("it is accepted");
        (self.wait(near).1.expect("it is made"), far)
    }

    /// A connection and a stream on it, of which a byte was read.
    pub(super) fn stream(&mut self, from: HostId, to: HostId) -> [(StreamMuxerBox, SubstreamBox); 2] {
        use futures::{AsyncReadExt, AsyncWriteExt};
        let (mut near, mut far) = self.connect(from, to);
        let near = self.spawn(from, async move {
            let mut stream = open(&mut near).await.unwrap();
            stream.write_all(b"?").await.unwrap();
            (near, stream)
        });
        let far = self.spawn(to, async move {
            let mut stream = accept(&mut far).await.unwrap();
            stream.read_exact(&mut [0]).await.unwrap();
            (far, stream)
        });
        [self.wait(near).1, self.wait(far).1]
    }
}

#[derive(Clone)]
pub(super) struct Listener(pub(super) Arc<Mutex<MeshTransport>>);

impl Listener {
    pub(super) async fn next(
        &self,
    ) -> TransportEvent<<MeshTransport as Transport>::ListenerUpgrade, io::Error> {
        poll_fn(|cx| std::pin::Pin::new(&mut *self.0.lock().unwrap()).poll(cx)).await
    }

    pub(super) async fn accept(&self) -> io::Result<StreamMuxerBox> {
        loop {
            if let TransportEvent::Incoming { upgrade, .. } = self.next().await {
                return upgrade.await.map(|(_, muxer)| muxer);
            }
        }
    }
}

pub(super) async fn dial(transport: &mut MeshTransport, to: Multiaddr) -> io::Result<StreamMuxerBox> {
    let options = DialOpts { role: Endpoint::Dialer, port_use: PortUse::New };
    let dialling = transport.dial(to, options).map_err(|error| io::Error::other(error.to_string()))?;
    dialling.await.map(|(_, muxer)| muxer)
}

pub(super) async fn open(muxer: &mut StreamMuxerBox) -> io::Result<SubstreamBox> {
    poll_fn(|cx| muxer.poll_outbound_unpin(cx)).await
}

pub(super) async fn accept(muxer: &mut StreamMuxerBox) -> io::Result<SubstreamBox> {
    poll_fn(|cx| muxer.poll_inbound_unpin(cx)).await
}

/// libp2p wraps errors in errors.
pub(super) fn kind(error: &io::Error) -> io::ErrorKind {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<io::Error>());
    inner.map_or_else(|| error.kind(), kind)
}

/// Waits until the connection ends, and says why it did.
pub(super) async fn ended(mut muxer: StreamMuxerBox) -> io::ErrorKind {
    poll_fn(|cx| match muxer.poll_unpin(cx) {
        Poll::Ready(Err(error)) => Poll::Ready(kind(&error)),
        _ => Poll::Pending,
    })
    .await
}
