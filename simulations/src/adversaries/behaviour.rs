//! What an adversary speaks: the libp2p protocols of a node, with nothing that restrains it.
//!
//! Gossip is set up as honest nodes have it, but for what a replayer remembers. Every message waits for a
//! verdict, which only some tactics give. Frames are bytes here, since an adversary may send some that are
//! none.

use std::{io, time::Duration};

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use hereabouts::mesh::{gossip::GossipSettings, probe};
use hereabouts_protocol::{
    identity::Realm,
    wire::frames::{gossip_topic, identify_version, message_protocol, presence_protocol},
};
use libp2p::{
    StreamProtocol,
    gossipsub::{self, IdentTopic, MessageAuthenticity},
    identify,
    identity::Keypair,
    request_response::{self, ProtocolSupport},
    swarm::NetworkBehaviour,
};

use crate::network::discovery::SegmentDiscovery;

/// Everything that an adversary does over libp2p.
#[derive(NetworkBehaviour)]
#[behaviour(prelude = "libp2p::swarm::derive_prelude")]
pub(super) struct Behaviour {
    identify: identify::Behaviour,
    liveness: probe::Behaviour,
    pub(super) presence: request_response::Behaviour<RawFrames>,
    pub(super) message: request_response::Behaviour<RawFrames>,
    pub(super) gossip: gossipsub::Behaviour,
    discovery: SegmentDiscovery,
}

impl Behaviour {
    /// With `forgets_duplicates` it may publish again what went by.
    pub(super) fn new(
        key: &Keypair,
        realm: &Realm,
        discovery: SegmentDiscovery,
        forgets_duplicates: bool,
    ) -> Self {
        let identify = identify::Config::new(identify_version(realm), key.public())
            .with_interval(Duration::from_secs(60 * 60))
            .with_cache_size(0);
        let mut gossip =
            gossipsub::Behaviour::new(MessageAuthenticity::Anonymous, gossip_config(forgets_duplicates))
                .expect("anonymous messages and anonymous validation fit together");
        gossip.subscribe(&topic(realm)).expect("nothing filters the topic");
        Self {
            identify: identify::Behaviour::new(identify),
            liveness: probe::Behaviour::new(realm),
            presence: streams(presence_protocol(realm)),
            message: streams(message_protocol(realm)),
            gossip,
            discovery,
        }
    }
}

/// The gossip topic of `realm`.
pub(super) fn topic(realm: &Realm) -> IdentTopic {
    IdentTopic::new(gossip_topic(realm))
}

fn gossip_config(forgets_duplicates: bool) -> gossipsub::Config {
    let remembers = if forgets_duplicates { Duration::from_millis(1) } else { Duration::from_secs(120) };
    let honest = GossipSettings::default().config().expect("the defaults are in order");
    gossipsub::ConfigBuilder::from(honest)
        .duplicate_cache_time(remembers)
        .build()
        .expect("no more was changed than what is remembered")
}

fn streams(protocol: String) -> request_response::Behaviour<RawFrames> {
    let protocol = StreamProtocol::try_from_owned(protocol).expect("our protocol ids begin with a slash");
    let config = request_response::Config::default()
        .with_request_timeout(Duration::from_secs(10))
        .with_max_concurrent_streams(256);
    request_response::Behaviour::with_codec(RawFrames, [(protocol, ProtocolSupport::Full)], config)
}

/// Frames whose content nobody looks at: four bytes of length, big-endian, and as many bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct RawFrames;

impl request_response::Codec for RawFrames {
    type Protocol = StreamProtocol;
    type Request = Vec<u8>;
    type Response = Vec<u8>;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(io).await
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(io).await
    }

    async fn write_request<T>(&mut self, _: &StreamProtocol, io: &mut T, request: Vec<u8>) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write(io, &request).await
    }

    async fn write_response<T>(&mut self, _: &StreamProtocol, io: &mut T, response: Vec<u8>) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write(io, &response).await
    }
}

async fn read<T: AsyncRead + Unpin + Send>(io: &mut T) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    io.read_exact(&mut length).await?;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > FRAME_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = vec![0; length];
    io.read_exact(&mut bytes).await?;
    Ok(bytes)
}

async fn write<T: AsyncWrite + Unpin + Send>(io: &mut T, bytes: &[u8]) -> io::Result<()> {
    let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    io.write_all(&[&length.to_be_bytes(), bytes].concat()).await?;
    io.flush().await
}

/// No frame of an honest node is longer.
const FRAME_BYTES_MAX: usize = 128 * 1024;
