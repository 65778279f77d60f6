//! Probes: libp2p's ping protocol, but of the peers and at the times that somebody says.
//!
//! A probe is 32 bytes, different each time, which the peer sends back. Each connection has a stream for
//! the probes of either end, which stays open. libp2p's own behaviour pings all peers alike at one
//! interval, keeps silent about the first failure, and waits for the next interval then; this one decides
//! nothing. It never closes a connection and keeps none open.
//!
//! Limits: one probe under way on a connection; one that is asked for meanwhile is not sent. Whoever opens
//! several streams for probes has the last one answered. Source: libp2p's specification of ping.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    io,
    task::{Context, Poll},
};

use futures::{AsyncReadExt, AsyncWriteExt, FutureExt, future::BoxFuture};
use libp2p::{
    Multiaddr, PeerId, Stream, StreamProtocol,
    core::{Endpoint, transport::PortUse, upgrade::ReadyUpgrade},
    swarm::{
        ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm,
        NetworkBehaviour, NotifyHandler, SubstreamProtocol, THandler, THandlerInEvent, THandlerOutEvent,
        ToSwarm,
        handler::{ConnectionEvent, FullyNegotiatedInbound, FullyNegotiatedOutbound},
    },
};

/// Sends probes, and answers those of others.
#[derive(Debug, Default)]
pub(super) struct Behaviour {
    connections: BTreeMap<PeerId, BTreeSet<ConnectionId>>,
    outputs: VecDeque<ToSwarm<Event, Probe>>,
}

/// What came of probes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// The peer answered one.
    Answered(PeerId),
    /// The peer sent one, and was answered.
    Probed(PeerId),
}

/// Asks a connection to send one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Probe;

impl Behaviour {
    /// Sends one to `peer`, on each of its connections. If none comes back nothing is said.
    pub(super) fn probe(&mut self, peer: PeerId) {
        for connection in self.connections.get(&peer).into_iter().flatten() {
            self.outputs.push_back(ToSwarm::NotifyHandler {
                peer_id: peer,
                handler: NotifyHandler::One(*connection),
                event: Probe,
            });
        }
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Event;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler::default())
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler::default())
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(made) => {
                self.connections.entry(made.peer_id).or_default().insert(made.connection_id);
            }
            FromSwarm::ConnectionClosed(closed) => {
                if let Some(connections) = self.connections.get_mut(&closed.peer_id) {
                    connections.remove(&closed.connection_id);
                    if connections.is_empty() {
                        self.connections.remove(&closed.peer_id);
                    }
                }
            }
            _ => (),
        }
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        let event = match event {
            Came::Answer => Event::Answered(peer),
            Came::Probe => Event::Probed(peer),
        };
        self.outputs.push_back(ToSwarm::GenerateEvent(event));
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Event, THandlerInEvent<Self>>> {
        // Whatever fills it is followed by a poll.
        self.outputs.pop_front().map_or(Poll::Pending, Poll::Ready)
    }
}

/// The probes of one connection.
#[derive(Default)]
pub(super) struct Handler {
    wanted: bool,
    sent: u64,
    outbound: Outbound,
    inbound: Option<Exchange>,
}

/// The stream for this end's probes.
#[derive(Default)]
enum Outbound {
    #[default]
    None,
    Opening,
    Idle(Stream),
    Probing(Exchange),
}

/// A probe and its answer; the stream is there for the next.
type Exchange = BoxFuture<'static, io::Result<Stream>>;

/// What came on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Came {
    Answer,
    Probe,
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Probe;
    type ToBehaviour = Came;
    type InboundProtocol = ReadyUpgrade<StreamProtocol>;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        SubstreamProtocol::new(ReadyUpgrade::new(PROTOCOL), ())
    }

    fn on_behaviour_event(&mut self, Probe: Probe) {
        self.wanted |= matches!(self.outbound, Outbound::None | Outbound::Idle(_));
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, (), Came>> {
        if let Some(exchange) = &mut self.inbound
            && let Poll::Ready(ended) = exchange.poll_unpin(cx)
        {
            self.inbound = ended.ok().map(|stream| answer(stream).boxed());
            if self.inbound.is_some() {
                return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(Came::Probe));
            }
        }
        if let Outbound::Probing(exchange) = &mut self.outbound
            && let Poll::Ready(ended) = exchange.poll_unpin(cx)
        {
            self.outbound = ended.map_or(Outbound::None, Outbound::Idle);
            if matches!(self.outbound, Outbound::Idle(_)) {
                return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(Came::Answer));
            }
        }
        if self.wanted {
            match std::mem::take(&mut self.outbound) {
                Outbound::Idle(stream) => {
                    self.wanted = false;
                    self.sent += 1;
                    let mut exchange = probe(stream, self.sent).boxed();
                    // Sends it; the answer takes a while.
                    if exchange.poll_unpin(cx).is_pending() {
                        self.outbound = Outbound::Probing(exchange);
                    }
                }
                Outbound::None => {
                    self.outbound = Outbound::Opening;
                    let protocol = SubstreamProtocol::new(ReadyUpgrade::new(PROTOCOL), ());
                    return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
                }
                busy => self.outbound = busy,
            }
        }
        Poll::Pending
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<'_, Self::InboundProtocol, Self::OutboundProtocol>,
    ) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol: mut stream, ..
            }) => {
                stream.ignore_for_keep_alive();
                self.inbound = Some(answer(stream).boxed());
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol: mut stream,
                ..
            }) => {
                stream.ignore_for_keep_alive();
                self.outbound = Outbound::Idle(stream);
            }
            ConnectionEvent::DialUpgradeError(_) => {
                self.outbound = Outbound::None;
                self.wanted = false;
            }
            _ => (),
        }
    }
}

impl std::fmt::Debug for Handler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handler").field("wanted", &self.wanted).finish_non_exhaustive()
    }
}

async fn probe(mut stream: Stream, number: u64) -> io::Result<Stream> {
    let mut sent = [0; BYTES];
    sent.iter_mut().zip(number.to_be_bytes()).for_each(|(place, byte)| *place = byte);
    stream.write_all(&sent).await?;
    stream.flush().await?;
    let mut came = [0; BYTES];
    stream.read_exact(&mut came).await?;
    if came == sent { Ok(stream) } else { Err(io::ErrorKind::InvalidData.into()) }
}

async fn answer(mut stream: Stream) -> io::Result<Stream> {
    let mut came = [0; BYTES];
    stream.read_exact(&mut came).await?;
    stream.write_all(&came).await?;
    stream.flush().await?;
    Ok(stream)
}

const PROTOCOL: StreamProtocol = StreamProtocol::new("/ipfs/ping/1.0.0");
const BYTES: usize = 32;
