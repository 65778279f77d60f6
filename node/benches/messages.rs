//! What a durable INSTANT MESSAGE costs, beside what it cannot cost less than.
//!
//! Three things over loopback TCP with Noise and Yamux, in one process and one run, so that the machine is
//! the same for all: a bare libp2p request-response echo; the same with one fsync of the message's bytes at
//! the receiver before it answers; and a message between two nodes, `delivered` when it is on the
//! receiver's disk. Round trips are one at a time. Throughput is many senders, each with many messages
//! under way, into one inbox, whose commits share their fsyncs.
//!
//!     cargo bench --bench messages [-- --round-trips N --senders N --messages N]
//!
//! Budgets: round trip at most 1.3 times echo and fsync, at p50; 10,000 durable messages a second.

#![allow(clippy::print_stdout, reason = "a benchmark is there to print its table")]

use std::{
    fs::File,
    io::{self, Write},
    path::Path,
    time::{Duration, Instant},
};

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, StreamExt, stream::FuturesUnordered};
use hereabouts::{
    mesh::{
        self, MeshConfig,
        circuits::Relaying,
        clock::BootClock,
        discovery::Lan,
        events::EventLog,
        handle::{MeshHandle, Sent},
        transport,
    },
    storage::sqlite::Database,
};
use hereabouts_protocol::{
    identity::{InboxAddress, Realm},
    message::{
        delivery_rules::{DeliveryRule, Whose},
        instant_message::Delivery,
        outbox::{Draft, Recipient},
    },
    node::NodeLimits,
    overlay::links::NEIGHBOURS,
    presence::{publication::Publishes, record::PresenceRecord},
};
use libp2p::{
    Multiaddr, PeerId, StreamProtocol, Swarm,
    identity::Keypair,
    request_response::{self, ProtocolSupport, ResponseChannel},
    swarm::{self, SwarmEvent},
};
use nix::sys::resource::{UsageWho, getrusage};
use tokio::sync::{mpsc, oneshot};

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let options = Options::from_arguments()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    // Not under /tmp, which may be memory: an fsync there would cost nothing.
    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    runtime.block_on(run(&options, home.path()))
}

async fn run(options: &Options, home: &Path) -> Result<(), Failure> {
    println!("{} round trips of {BODY_BYTES} bytes each, one at a time\n", options.round_trips);
    println!("{:<34}{:>9}{:>9}{:>9}{:>12}", "", "p50 ms", "p99 ms", "max ms", "CPU ms each");
    let echo = echo(options, None).await?;
    echo.print("bare request-response echo");
    let file = File::create(home.join("fsync"))?;
    let synced = self::echo(options, Some(file)).await?;
    synced.print("the same and one fsync");
    let message = messages(options, home).await?;
    message.print("durable message");
    let ratio = message.percentile(50).as_secs_f64() / synced.percentile(50).as_secs_f64();
    println!("\ndurable message against echo and fsync, p50: {ratio:.2} times (budget 1.3)");
    throughput(options, home).await
}

/// Round trips of a bare echo between two swarms; with a file each request is written to it and synced.
async fn echo(options: &Options, file: Option<File>) -> Result<Figures, Failure> {
    let (server, client) = (echo_swarm()?, echo_swarm()?);
    let (address_sender, address) = oneshot::channel();
    let server = tokio::spawn(echo_server(server, address_sender, file));
    let address = address.await?;
    let (requests, receiver) = mpsc::channel(1);
    let client = tokio::spawn(echo_client(client, address, receiver));
    let figures = Figures::measure(options.round_trips, async || {
        let (reply, answer) = oneshot::channel();
        requests.send(reply).await?;
        Ok(answer.await?)
    })
    .await?;
    client.abort();
    server.abort();
    Ok(figures)
}

async fn echo_server(mut swarm: Swarm<Echo>, address: oneshot::Sender<Multiaddr>, file: Option<File>) {
    let (to_disk, from_mesh) = std::sync::mpsc::sync_channel::<(Vec<u8>, ResponseChannel<Vec<u8>>)>(64);
    let (to_mesh, mut from_disk) = mpsc::channel(64);
    std::thread::spawn(move || {
        while let Ok((bytes, channel)) = from_mesh.recv() {
            if let Some(mut file) = file.as_ref() {
                file.write_all(&bytes).and_then(|()| file.sync_data()).expect("the disk takes it");
            }
            if to_mesh.blocking_send(channel).is_err() {
                return;
            }
        }
    });
    let listen = "/ip4/127.0.0.1/tcp/0".parse().expect("a multiaddress");
    swarm.listen_on(listen).expect("loopback can be listened on");
    let peer = *swarm.local_peer_id();
    let mut address = Some(address);
    loop {
        tokio::select! {
            biased;
            Some(channel) = from_disk.recv() => {
                // The client may have ended.
                let _ = swarm.behaviour_mut().send_response(channel, vec![1]);
            }
            event = swarm.select_next_some() => match event {
                SwarmEvent::NewListenAddr { address: found, .. } => {
                    if let Some(address) = address.take() {
                        let _ = address.send(found.with_p2p(peer).expect("an address without a peer"));
                    }
                }
                SwarmEvent::Behaviour(request_response::Event::Message {
                    message: request_response::Message::Request { request, channel, .. },
                    ..
                }) => to_disk.send((request, channel)).expect("the disk thread runs"),
                _ => (),
            },
        }
    }
}

async fn echo_client(
    mut swarm: Swarm<Echo>,
    server: Multiaddr,
    mut requests: mpsc::Receiver<oneshot::Sender<()>>,
) {
    let Some(libp2p::multiaddr::Protocol::P2p(peer)) = server.iter().last() else { return };
    swarm.add_peer_address(peer, server);
    let mut waiting = None;
    loop {
        tokio::select! {
            biased;
            request = requests.recv(), if waiting.is_none() => {
                let Some(reply) = request else { return };
                swarm.behaviour_mut().send_request(&peer, vec![7; BODY_BYTES]);
                waiting = Some(reply);
            }
            event = swarm.select_next_some() => {
                if let SwarmEvent::Behaviour(request_response::Event::Message {
                    message: request_response::Message::Response { .. },
                    ..
                }) = event
                    && let Some(reply) = waiting.take()
                {
                    let _ = reply.send(());
                }
            }
        }
    }
}

/// Round trips of durable messages between two nodes.
async fn messages(options: &Options, home: &Path) -> Result<Figures, Failure> {
    let receiver = receiver(home, 1).await?;
    let sender = node(home, 2, Some(receiver.1.clone())).await?;
    let to = Recipient::Inbox(InboxAddress { node: receiver.0.presentity, realm: Realm::default() });
    let figures = Figures::measure(options.round_trips, async || deliver(&sender.0, &to).await).await?;
    sender.0.shut_down().await;
    receiver.0.shut_down().await;
    Ok(figures)
}

/// Messages of many senders into one inbox, each with [`UNDER_WAY`] on their way.
async fn throughput(options: &Options, home: &Path) -> Result<(), Failure> {
    let home = home.join("throughput");
    std::fs::create_dir(&home)?;
    let receiver = receiver(&home, 0).await?;
    let to = Recipient::Inbox(InboxAddress { node: receiver.0.presentity, realm: Realm::default() });
    let mut senders = Vec::new();
    for number in 1..=options.senders {
        let sender = node(&home, number, Some(receiver.1.clone())).await?;
        // The connection is not part of the figure.
        deliver(&sender.0, &to).await?;
        senders.push(sender.0);
    }
    let each = options.messages / usize::from(options.senders);
    let (started, before) = (Instant::now(), cpu_time()?);
    let mut tasks = FuturesUnordered::new();
    for sender in &senders {
        let (sender, to) = (sender.clone(), to.clone());
        tasks.push(tokio::spawn(async move {
            let deliveries = futures::stream::iter(0..each).map(|_| deliver(&sender, &to));
            deliveries
                .buffer_unordered(UNDER_WAY)
                .collect::<Vec<_>>()
                .await
                .into_iter()
                .collect::<Result<Vec<_>, _>>()
        }));
    }
    while let Some(task) = tasks.next().await {
        task??;
    }
    let (elapsed, cpu) = (started.elapsed(), cpu_time()? - before);
    let messages = each * usize::from(options.senders);
    let rate = messages as f64 / elapsed.as_secs_f64();
    let stored = receiver.0.overview().await?.inbox_messages;
    assert_eq!(
        stored,
        (messages + usize::from(options.senders)) as u64,
        "every delivered message is stored once"
    );
    println!(
        "{messages} messages from {} senders, {UNDER_WAY} under way each: {rate:.0} durable messages \
         a second, {:.3} ms of CPU each for both ends (budget 10,000 a second)",
        options.senders,
        cpu.as_secs_f64() * 1e3 / messages as f64,
    );
    for sender in senders {
        sender.shut_down().await;
    }
    receiver.0.shut_down().await;
    Ok(())
}

async fn deliver(sender: &MeshHandle, to: &Recipient) -> Result<(), Failure> {
    let draft = Draft {
        to: to.clone(),
        body: vec![b'x'; BODY_BYTES],
        content_type: "text/plain".to_owned(),
        language: None,
        thread: None,
        reply_to: None,
        extensions: Default::default(),
        queue: false,
        lifetime: Duration::from_secs(3600),
    };
    match sender.send(draft).await?.1 {
        Sent::Final(Delivery::Delivered) => Ok(()),
        other => Err(format!("not delivered: {other:?}").into()),
    }
}

/// A node in `home` that listens on loopback, and its address.
/// A node that takes any number of messages, also of strangers.
async fn receiver(home: &Path, number: u8) -> Result<(MeshHandle, Multiaddr), Failure> {
    let receiver = node(home, number, None).await?;
    receiver.0.put_delivery_rule(Whose::Strangers, DeliveryRule::default()).await?;
    Ok(receiver)
}

async fn node(home: &Path, number: u8, peer: Option<Multiaddr>) -> Result<(MeshHandle, Multiaddr), Failure> {
    let key = Keypair::ed25519_from_bytes([number; 32])?;
    let (storage, restored) = Database::open(&home.join(format!("{number}.db")))?;
    let config = MeshConfig {
        transport: transport::lan(&key)?,
        reach: transport::lan_reach(),
        relaying: Relaying::default(),
        key,
        realm: Realm::default(),
        display_name: None,
        listen: vec!["/ip4/127.0.0.1/tcp/0".parse()?],
        peers: peer.iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
        discovery: Lan::off(),
        spawner: Box::new(|task| drop(tokio::spawn(task))),
        storage,
        restored,
        clock: BootClock::start(),
        seed: [number; 32],
        limits: NodeLimits { inbox_messages_max: 100_000_000, ..NodeLimits::default() },
        neighbours: NEIGHBOURS,
        gossip: mesh::gossip::GossipSettings::default(),
        publishes: Publishes::Changes,
        keeps_inbox: true,
        serves_cache: true,
        verify: PresenceRecord::verify,
        events: EventLog::default(),
    };
    let (handle, node) = mesh::start(config).await?;
    tokio::spawn(node);
    loop {
        let overview = handle.overview().await?;
        if let (Some(address), true) = (overview.listen.first(), peer.is_none() || overview.connected > 0) {
            let address = address.clone();
            return Ok((handle, address));
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

type Echo = request_response::Behaviour<EchoCodec>;

fn echo_swarm() -> Result<Swarm<Echo>, Failure> {
    let key = Keypair::generate_ed25519();
    let protocols = [(StreamProtocol::new("/echo/1"), ProtocolSupport::Full)];
    let behaviour = Echo::with_codec(EchoCodec, protocols, request_response::Config::default());
    let config = swarm::Config::with_tokio_executor().with_idle_connection_timeout(Duration::from_secs(60));
    Ok(Swarm::new(transport::lan(&key)?, behaviour, PeerId::from(key.public()), config))
}

/// Four bytes of length, then as many bytes.
#[derive(Debug, Clone)]
struct EchoCodec;

impl request_response::Codec for EchoCodec {
    type Protocol = StreamProtocol;
    type Request = Vec<u8>;
    type Response = Vec<u8>;

    async fn read_request<T: AsyncRead + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
    ) -> io::Result<Vec<u8>> {
        let mut length = [0; 4];
        io.read_exact(&mut length).await?;
        let mut bytes = vec![0; u32::from_be_bytes(length) as usize];
        io.read_exact(&mut bytes).await?;
        Ok(bytes)
    }

    async fn read_response<T: AsyncRead + Unpin + Send>(
        &mut self,
        protocol: &StreamProtocol,
        io: &mut T,
    ) -> io::Result<Vec<u8>> {
        self.read_request(protocol, io).await
    }

    async fn write_request<T: AsyncWrite + Unpin + Send>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        bytes: Vec<u8>,
    ) -> io::Result<()> {
        let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        io.write_all(&[&length.to_be_bytes(), bytes.as_slice()].concat()).await?;
        io.flush().await
    }

    async fn write_response<T: AsyncWrite + Unpin + Send>(
        &mut self,
        protocol: &StreamProtocol,
        io: &mut T,
        bytes: Vec<u8>,
    ) -> io::Result<()> {
        self.write_request(protocol, io, bytes).await
    }
}

/// Round trips, sorted, and what they cost.
struct Figures {
    round_trips: Vec<Duration>,
    cpu: Duration,
}

impl Figures {
    async fn measure(
        count: usize,
        mut round_trip: impl AsyncFnMut() -> Result<(), Failure>,
    ) -> Result<Self, Failure> {
        for _ in 0..count / 10 + 1 {
            round_trip().await?;
        }
        let before = cpu_time()?;
        let mut round_trips = Vec::with_capacity(count);
        for _ in 0..count {
            let started = Instant::now();
            round_trip().await?;
            round_trips.push(started.elapsed());
        }
        round_trips.sort();
        Ok(Self { round_trips, cpu: cpu_time()? - before })
    }

    fn percentile(&self, percent: usize) -> Duration {
        let index = (self.round_trips.len() * percent / 100).min(self.round_trips.len().saturating_sub(1));
        self.round_trips.get(index).copied().unwrap_or_default()
    }

    fn print(&self, name: &str) {
        let millis = |duration: Duration| duration.as_secs_f64() * 1e3;
        println!(
            "{name:<34}{:>9.3}{:>9.3}{:>9.3}{:>12.3}",
            millis(self.percentile(50)),
            millis(self.percentile(99)),
            millis(self.percentile(100)),
            millis(self.cpu) / self.round_trips.len() as f64,
        );
    }
}

/// CPU time of this process so far, user and system.
fn cpu_time() -> Result<Duration, Failure> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let time = |value: nix::sys::time::TimeVal| -> Result<Duration, Failure> {
        Ok(Duration::new(value.tv_sec().try_into()?, u32::try_from(value.tv_usec())? * 1000))
    };
    Ok(time(usage.user_time())? + time(usage.system_time())?)
}

struct Options {
    round_trips: usize,
    senders: u8,
    messages: usize,
}

impl Options {
    fn from_arguments() -> Result<Self, Failure> {
        let mut options = Self { round_trips: 2000, senders: 16, messages: 100_000 };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut number = || arguments.next().ok_or_else(|| format!("{argument} needs a number"));
            match argument.as_str() {
                "--round-trips" => options.round_trips = number()?.parse()?,
                "--senders" => options.senders = number()?.parse()?,
                "--messages" => options.messages = number()?.parse()?,
                // How `cargo test --benches` calls it: once through, with next to no work.
                "--test" => options = Self { round_trips: 10, senders: 2, messages: 100 },
                "--bench" => (),
                other => return Err(format!("unknown argument {other}").into()),
            }
        }
        Ok(options)
    }
}

const BODY_BYTES: usize = 200;
/// Messages of one sender on their way at the same time; below the limit of streams of one connection.
const UNDER_WAY: usize = 128;
