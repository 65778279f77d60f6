//! TCP that can dial link-local IPv6 addresses, the only ones on a link without a router.
//!
//! `fe80::…` means something only beside the interface it is on, and neither a record nor an mDNS answer
//! names that, since interfaces are named by each host for itself. So such an address is tried on every
//! interface of this host that has a link-local address of its own, all at once; the first that answers is
//! taken, and the handshake above proves whether it is the peer that was meant. Everything else is passed
//! on to libp2p's TCP.

use std::{
    collections::BTreeSet,
    io,
    net::{Ipv6Addr, SocketAddrV6},
    pin::Pin,
    task::{Context, Poll},
};

use futures::{
    FutureExt,
    future::{BoxFuture, select_ok},
};
use hereabouts_protocol::overlay::address::is_link_local;
use libp2p::{
    Multiaddr, Transport,
    core::transport::{DialOpts, ListenerId, TransportError, TransportEvent},
    multiaddr::Protocol,
    tcp::tokio::{TcpStream, Transport as Tcp},
};
use nix::ifaddrs::getifaddrs;

/// libp2p's TCP, with link-local addresses dialled on every interface.
pub(super) struct LinkLocal(pub(super) Tcp);

impl Transport for LinkLocal {
    type Output = TcpStream;
    type Error = io::Error;
    type ListenerUpgrade = <Tcp as Transport>::ListenerUpgrade;
    type Dial = BoxFuture<'static, io::Result<TcpStream>>;

    fn listen_on(&mut self, id: ListenerId, address: Multiaddr) -> Result<(), TransportError<io::Error>> {
        self.0.listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.0.remove_listener(id)
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        options: DialOpts,
    ) -> Result<Self::Dial, TransportError<io::Error>> {
        match link_local(&address) {
            Some((ip, port)) => Ok(dial_on_every_interface(ip, port).boxed()),
            None => Ok(self.0.dial(address, options)?.boxed()),
        }
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        Pin::new(&mut self.0).poll(cx)
    }
}

async fn dial_on_every_interface(ip: Ipv6Addr, port: u16) -> io::Result<TcpStream> {
    let connect = |scope| tokio::net::TcpStream::connect(SocketAddrV6::new(ip, port, 0, scope)).boxed();
    let attempts: Vec<_> = scopes()?.into_iter().map(connect).collect();
    if attempts.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::NetworkUnreachable,
            "no interface has a link-local address",
        ));
    }
    let (stream, _) = select_ok(attempts).await?;
    stream.set_nodelay(true)?;
    Ok(TcpStream(stream))
}

/// The interfaces of this host that have a link-local address, by number.
fn scopes() -> io::Result<BTreeSet<u32>> {
    let addresses = getifaddrs()?.filter_map(|interface| interface.address);
    let ipv6 = addresses.filter_map(|address| address.as_sockaddr_in6().copied());
    Ok(ipv6.filter(|address| is_link_local(&address.ip())).map(|address| address.scope_id()).collect())
}

fn link_local(address: &Multiaddr) -> Option<(Ipv6Addr, u16)> {
    let mut parts = address.iter();
    match (parts.next(), parts.next(), parts.next()) {
        (Some(Protocol::Ip6(ip)), Some(Protocol::Tcp(port)), None | Some(Protocol::P2p(_)))
            if is_link_local(&ip) =>
        {
            Some((ip, port))
        }
        _ => None,
    }
}
