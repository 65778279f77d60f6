//! The network as a libp2p transport.

use std::{
    io,
    net::Ipv4Addr,
    pin::Pin,
    task::{Context, Poll},
};

use futures::{
    FutureExt,
    future::{BoxFuture, ready},
};
use futures_timer::Delay;
use hereabouts::mesh::transport::{CONNECT_TIMEOUT, MeshTransport, ReachHost};
use libp2p::{
    Multiaddr, PeerId, Transport,
    core::{
        muxing::StreamMuxerBox,
        transport::{DialOpts, ListenerId, TransportError, TransportEvent},
    },
    multiaddr::Protocol,
};

use super::{
    Network,
    connection::{ConnectionId, LISTENER, Side, wake},
    muxer::Muxer,
    packets::DialId,
};
use crate::virtual_machine::{HostId, executor};

impl Network {
    /// The transport of the process on `host`.
    pub fn transport(&self, host: HostId) -> MeshTransport {
        HostTransport { network: self.clone(), host, listener: None }.boxed()
    }

    /// What the process on `host` tries with whether another host takes connections.
    pub fn reach(&self, host: HostId) -> ReachHost {
        let network = self.clone();
        Box::new(move |address| {
            let Some((ip, port)) = ip_and_port(&address) else {
                return ready(Err(io::ErrorKind::Unsupported.into())).boxed();
            };
            let dial = network.lock().dial(host, ip, port);
            // Dropped as soon as it is known.
            Reaching(Dialling { network: network.clone(), dial, handshake: None, limit: None }).boxed()
        })
    }
}

/// Where a process that listens on `host` is reached.
pub fn tcp(address: Ipv4Addr, port: u16) -> Multiaddr {
    Multiaddr::empty().with(Protocol::Ip4(address)).with(Protocol::Tcp(port))
}

struct HostTransport {
    network: Network,
    host: HostId,
    listener: Option<(ListenerId, u16)>,
}

impl Transport for HostTransport {
    type Output = (PeerId, StreamMuxerBox);
    type Error = io::Error;
    type ListenerUpgrade = Handshake;
    type Dial = Dialling;

    fn listen_on(&mut self, id: ListenerId, address: Multiaddr) -> Result<(), TransportError<io::Error>> {
        let Some((_, port)) = ip_and_port(&address) else {
            return Err(TransportError::MultiaddrNotSupported(address));
        };
        self.stop_listening();
        self.listener = Some((id, port));
        let mut state = self.network.lock();
        state.host(self.host).listening.insert(port);
        wake(state.host(self.host).transport_waker.take());
        Ok(())
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        let listens = self.listener.is_some_and(|(listener, _)| listener == id);
        if listens {
            self.stop_listening();
        }
        listens
    }

    fn dial(&mut self, address: Multiaddr, _: DialOpts) -> Result<Dialling, TransportError<io::Error>> {
        let Some((ip, port)) = ip_and_port(&address) else {
            return Err(TransportError::MultiaddrNotSupported(address));
        };
        let dial = self.network.lock().dial(self.host, ip, port);
        let limit = Some(Delay::new(CONNECT_TIMEOUT));
        Ok(Dialling { network: self.network.clone(), dial, handshake: None, limit })
    }

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<TransportEvent<Handshake, io::Error>> {
        let mut state = self.network.lock();
        let host = state.host(self.host);
        let Some((listener_id, port)) = self.listener else {
            host.transport_waker = Some(cx.waker().clone());
            return Poll::Pending;
        };
        let address = host.interface.address;
        if host.told_address != Some(address) {
            return Poll::Ready(match host.told_address.take() {
                Some(old) => TransportEvent::AddressExpired { listener_id, listen_addr: tcp(old, port) },
                None => {
                    host.told_address = Some(address);
                    TransportEvent::NewAddress { listener_id, listen_addr: tcp(address, port) }
                }
            });
        }
        let Some(connection) = host.incoming.pop_front() else {
            host.transport_waker = Some(cx.waker().clone());
            return Poll::Pending;
        };
        let dialler = state.connection(connection).map_or(self.host, |connection| connection.end(0).host);
        let send_back = state.host(dialler).interface.address;
        drop(state);
        Poll::Ready(TransportEvent::Incoming {
            listener_id,
            upgrade: Handshake {
                network: self.network.clone(),
                connection: Some(connection),
                side: LISTENER,
                limit: Delay::new(CONNECT_TIMEOUT),
                proof: None,
            },
            local_addr: tcp(address, port),
            send_back_addr: tcp(send_back, EPHEMERAL_PORT),
        })
    }
}

impl HostTransport {
    fn stop_listening(&mut self) {
        if let Some((_, port)) = self.listener.take() {
            let mut state = self.network.lock();
            state.host(self.host).listening.remove(&port);
            state.drop_untaken(self.host);
        }
    }
}

impl Drop for HostTransport {
    fn drop(&mut self) {
        self.stop_listening();
    }
}

/// A connection that is being made by this host.
struct Dialling {
    network: Network,
    dial: DialId,
    handshake: Option<Handshake>,
    /// For all of it; the handshake has it from when there is one.
    limit: Option<Delay>,
}

impl Future for Dialling {
    type Output = io::Result<(PeerId, StreamMuxerBox)>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(handshake) = &mut self.handshake {
            return handshake.poll_unpin(cx);
        }
        match self.poll_outcome(cx) {
            Poll::Ready(Ok(connection)) => {
                self.network.lock().dials.remove(&self.dial);
                let limit = self.limit.take().unwrap_or_else(|| Delay::new(CONNECT_TIMEOUT));
                let network = self.network.clone();
                let connection = Some(connection);
                let mut handshake = Handshake { network, connection, side: 0, limit, proof: None };
                let poll = handshake.poll_unpin(cx);
                self.handshake = Some(handshake);
                poll
            }
            Poll::Ready(Err(kind)) => Poll::Ready(Err(kind.into())),
            Poll::Pending => match &mut self.limit {
                Some(limit) => limit.poll_unpin(cx).map(|()| Err(io::ErrorKind::TimedOut.into())),
                None => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
            },
        }
    }
}

impl Dialling {
    /// What came of it, once that is known.
    fn poll_outcome(&self, cx: &Context<'_>) -> Poll<Result<ConnectionId, io::ErrorKind>> {
        match self.network.lock().dials.get_mut(&self.dial) {
            Some(dial) => {
                dial.waker = Some(cx.waker().clone());
                dial.outcome.map_or(Poll::Pending, Poll::Ready)
            }
            None => Poll::Ready(Err(io::ErrorKind::NotConnected)),
        }
    }
}

/// A connection that is only to show that it can be made.
struct Reaching(Dialling);

impl Future for Reaching {
    type Output = io::Result<()>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll_outcome(cx).map_ok(drop).map_err(io::Error::from)
    }
}

impl Drop for Dialling {
    fn drop(&mut self) {
        let dial = self.network.lock().dials.remove(&self.dial);
        if let Some(Ok(connection)) = dial.and_then(|dial| dial.outcome) {
            drop(Muxer::new(self.network.clone(), connection, 0));
        }
    }
}

/// A connection whose two ends still prove who they are.
struct Handshake {
    network: Network,
    connection: Option<ConnectionId>,
    side: Side,
    limit: Delay,
    /// The cryptography, once the packets are through.
    proof: Option<BoxFuture<'static, ()>>,
}

impl Future for Handshake {
    type Output = io::Result<(PeerId, StreamMuxerBox)>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(id) = self.connection else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        let side = self.side;
        let mut state = self.network.lock();
        let Some(connection) = state.connection(id) else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        let far = connection.end(1 - side).host;
        let end = connection.end(side);
        if let Some(kind) = end.broken {
            return Poll::Ready(Err(kind.into()));
        }
        if !end.established {
            end.waker = Some(cx.waker().clone());
            drop(state);
            return self.limit.poll_unpin(cx).map(|()| Err(io::ErrorKind::TimedOut.into()));
        }
        let peer = state.host(far).peer;
        let takes = state.handshake;
        drop(state);
        // With a processor for each host the packets come later for it instead.
        if executor::processors_are_shared()
            && self.proof.get_or_insert_with(|| executor::work(takes).boxed()).poll_unpin(cx).is_pending()
        {
            return self.limit.poll_unpin(cx).map(|()| Err(io::ErrorKind::TimedOut.into()));
        }
        self.connection = None;
        let muxer = Muxer::new(self.network.clone(), id, side);
        Poll::Ready(Ok((peer, StreamMuxerBox::new(muxer))))
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        if let Some(connection) = self.connection {
            drop(Muxer::new(self.network.clone(), connection, self.side));
        }
    }
}

fn ip_and_port(address: &Multiaddr) -> Option<(Ipv4Addr, u16)> {
    let mut parts = address.iter();
    match (parts.next()?, parts.next()?) {
        (Protocol::Ip4(ip), Protocol::Tcp(port)) => Some((ip, port)),
        _ => None,
    }
}

/// What the far end of an incoming connection seems to come from.
const EPHEMERAL_PORT: u16 = 49152;
