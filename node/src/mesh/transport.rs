//! How two nodes are connected: TCP with Noise and Yamux, or QUIC.
//!
//! Both authenticate the peer's key before a byte of ours is read. TCP is what neighbours are held over: a
//! link costs nothing while it is idle, and the kernel tells of a crashed process at once. QUIC has fewer
//! round trips to a far host; its idle timeout is short. Link-local IPv6 addresses are dialled over TCP
//! only. Two who cannot dial each other are connected through a third ([`super::circuits`]). A connection
//! that is not ready within [`CONNECT_TIMEOUT`] is given up.

use std::{io, time::Duration};

use futures::{
    FutureExt, TryFutureExt,
    future::{BoxFuture, Either, ready},
};
use libp2p::{
    Multiaddr, PeerId, Transport,
    core::{
        Endpoint,
        muxing::StreamMuxerBox,
        transport::{Boxed, DialOpts, PortUse, timeout::TransportTimeoutError},
        upgrade::Version,
    },
    identity::Keypair,
    noise, quic, relay, tcp, yamux,
};

use super::link_local::LinkLocal;

/// What the mesh needs of a transport: it ends in an authenticated peer and a muxer.
pub type MeshTransport = Boxed<(PeerId, StreamMuxerBox)>;

/// TCP and QUIC on this machine's network.
///
/// # Errors
/// If no key for Noise can be made.
pub fn lan(key: &Keypair) -> io::Result<MeshTransport> {
    let noise = noise::Config::new(key).map_err(io::Error::other)?;
    let tcp = LinkLocal(tcp::tokio::Transport::new(tcp::Config::new()))
        .upgrade(Version::V1Lazy)
        .authenticate(noise)
        .multiplex(yamux::Config::default())
        .timeout(CONNECT_TIMEOUT);
    let mut config = quic::Config::new(key);
    config.max_idle_timeout = QUIC_IDLE_TIMEOUT_MS;
    config.keep_alive_interval = QUIC_KEEP_ALIVE_INTERVAL;
    config.handshake_timeout = CONNECT_TIMEOUT;
    let quic = quic::tokio::Transport::new(config);
    Ok(tcp
        .or_transport(quic)
        .map(|either, _| match either {
            Either::Left((peer, muxer)) => (peer, StreamMuxerBox::new(muxer)),
            Either::Right((peer, muxer)) => (peer, StreamMuxerBox::new(muxer)),
        })
        // What the kernel said, where it said something: wrapped in all of this nobody finds it.
        .map_err(|error| {
            error.either(
                |tcp| match tcp {
                    TransportTimeoutError::Other(error) => {
                        error.either(|error| error.either(|dial| dial, io::Error::other), io::Error::other)
                    }
                    error => io::Error::other(error),
                },
                io::Error::other,
            )
        })
        .boxed())
}

/// The same, and circuits through relays: Noise and Yamux are spoken with whoever is at the other end, over a
/// stream that the relay passes on. The behaviour belongs to the transport.
///
/// # Errors
/// As [`lan`].
pub fn lan_with_circuits(key: &Keypair) -> io::Result<(MeshTransport, relay::client::Behaviour)> {
    let (circuits, behaviour) = relay::client::new(key.public().to_peer_id());
    let circuits = circuits
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(key).map_err(io::Error::other)?)
        .multiplex(yamux::Config::default())
        .timeout(CONNECT_TIMEOUT);
    let transport = lan(key)?
        .or_transport(circuits)
        .map(|either, _| match either {
            Either::Left(direct) => direct,
            Either::Right((peer, muxer)) => (peer, StreamMuxerBox::new(muxer)),
        })
        .map_err(|error| error.either(|direct| direct, io::Error::other));
    Ok((transport.boxed(), behaviour))
}

/// Tries whether the host at an address takes a connection over TCP, and closes it.
pub type ReachHost = Box<dyn FnMut(Multiaddr) -> BoxFuture<'static, io::Result<()>> + Send>;

/// The same on this machine's network.
pub fn lan_reach() -> ReachHost {
    let mut tcp = LinkLocal(tcp::tokio::Transport::new(tcp::Config::new()));
    let options = DialOpts { role: Endpoint::Dialer, port_use: PortUse::New };
    Box::new(move |address| match tcp.dial(address, options) {
        Ok(dial) => dial.map_ok(drop).boxed(),
        Err(error) => ready(Err(io::Error::other(error))).boxed(),
    })
}

/// On a LAN a connection is ready within milliseconds; a host that is gone answers nothing at all.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);
/// A QUIC peer that is silent so long is gone. Milliseconds.
const QUIC_IDLE_TIMEOUT_MS: u32 = 4_000;
const QUIC_KEEP_ALIVE_INTERVAL: Duration = Duration::from_millis(1_500);
