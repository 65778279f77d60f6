//! Beats and probes: signs of life, sent to whom and when somebody says.
//!
//! A beat is one byte, which gives no answer. A probe is another, which the peer answers with a third. Each
//! connection has a stream for those of either end, which stays open. This decides nothing, never closes a
//! connection and keeps none open.
//!
//! Limits: of beats and probes that wait to be written on a connection, one each; a further one adds nothing.
//! Whoever opens several streams has the last one read. Bytes that mean nothing end the stream.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures::{AsyncRead, AsyncWrite};
use hereabouts_protocol::{
    identity::Realm,
    wire::frames::{ANSWER, BEAT, PROBE, liveness_protocol},
};
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

/// Sends beats and probes, and answers the probes of others.
#[derive(Debug)]
pub struct Behaviour {
    protocol: StreamProtocol,
    connections: BTreeMap<PeerId, BTreeSet<ConnectionId>>,
    outputs: VecDeque<ToSwarm<Event, Sign>>,
}

/// What came from a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// From whom.
    pub peer: PeerId,
    /// Whether it is a beat; if not it asked or answered.
    pub beat: bool,
}

/// What a connection is to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// That this node is alive. Gives no answer.
    Beat,
    /// The same, and that the peer is to say so too.
    Probe,
}

impl Behaviour {
    /// For the nodes of `realm`.
    ///
    /// # Panics
    /// Never: a realm's name is fit for a protocol id.
    pub fn new(realm: &Realm) -> Self {
        let protocol = StreamProtocol::try_from_owned(liveness_protocol(realm))
            .expect("our protocol ids begin with a slash");
        Self { protocol, connections: BTreeMap::new(), outputs: VecDeque::new() }
    }

    /// Sends a sign to `peer`, on each of its connections. If nothing comes back nothing is said.
    pub fn send(&mut self, peer: PeerId, sign: Sign) {
        for connection in self.connections.get(&peer).into_iter().flatten() {
            self.outputs.push_back(ToSwarm::NotifyHandler {
                peer_id: peer,
                handler: NotifyHandler::One(*connection),
                event: sign,
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
        Ok(Handler::new(self.protocol.clone()))
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler::new(self.protocol.clone()))
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
        let Came { beat } = event;
        self.outputs.push_back(ToSwarm::GenerateEvent(Event { peer, beat }));
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Event, THandlerInEvent<Self>>> {
        // Whatever fills it is followed by a poll.
        self.outputs.pop_front().map_or(Poll::Pending, Poll::Ready)
    }
}

/// The beats and probes of one connection.
pub struct Handler {
    protocol: StreamProtocol,
    beat: bool,
    probe: bool,
    /// Whether a stream for this end's is being opened.
    opening: bool,
    outbound: Option<Line>,
    inbound: Option<Line>,
}

/// What came on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Came {
    beat: bool,
}

impl Handler {
    fn new(protocol: StreamProtocol) -> Self {
        Self { protocol, beat: false, probe: false, opening: false, outbound: None, inbound: None }
    }

    /// What the peer sends on its stream; nothing more if that ended.
    fn poll_inbound(&mut self, cx: &mut Context<'_>) -> Poll<Option<Came>> {
        let Some(line) = &mut self.inbound else { return Poll::Pending };
        // An answer that cannot be written holds up the next probe.
        let came = match ready!(line.poll_written(cx)) {
            Ok(()) => ready!(line.poll_signs(cx)),
            Err(error) => Err(error),
        };
        match came {
            Ok(signs) if signs.iter().all(|sign| [BEAT, PROBE].contains(sign)) => {
                if signs.contains(&PROBE) {
                    line.write(ANSWER);
                    // Begins at once; the rest of it is for the next poll.
                    let _ = line.poll_written(cx);
                }
                Poll::Ready(Some(Came { beat: signs.contains(&BEAT) }))
            }
            Ok(_) | Err(_) => {
                self.inbound = None;
                Poll::Ready(None)
            }
        }
    }

    /// Sends what is wanted, and takes in answers.
    fn poll_outbound(&mut self, cx: &mut Context<'_>) -> Poll<Option<Came>> {
        let Some(line) = &mut self.outbound else { return Poll::Pending };
        loop {
            match line.poll_written(cx) {
                Poll::Ready(Ok(())) if self.beat || self.probe => {
                    let sign = if self.probe { PROBE } else { BEAT };
                    *(if self.probe { &mut self.probe } else { &mut self.beat }) = false;
                    line.write(sign);
                }
                Poll::Ready(Ok(())) | Poll::Pending => break,
                Poll::Ready(Err(_)) => {
                    self.outbound = None;
                    return Poll::Ready(None);
                }
            }
        }
        match ready!(line.poll_signs(cx)) {
            Ok(signs) if signs.iter().all(|sign| *sign == ANSWER) => Poll::Ready(Some(Came { beat: false })),
            Ok(_) | Err(_) => {
                self.outbound = None;
                Poll::Ready(None)
            }
        }
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Sign;
    type ToBehaviour = Came;
    type InboundProtocol = ReadyUpgrade<StreamProtocol>;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        SubstreamProtocol::new(ReadyUpgrade::new(self.protocol.clone()), ())
    }

    fn on_behaviour_event(&mut self, sign: Sign) {
        match sign {
            Sign::Beat => self.beat = true,
            Sign::Probe => self.probe = true,
        }
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, (), Came>> {
        while let Poll::Ready(came) = self.poll_inbound(cx) {
            if let Some(came) = came {
                return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(came));
            }
        }
        while let Poll::Ready(came) = self.poll_outbound(cx) {
            if let Some(came) = came {
                return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(came));
            }
        }
        if (self.beat || self.probe) && self.outbound.is_none() && !std::mem::replace(&mut self.opening, true)
        {
            let protocol = SubstreamProtocol::new(ReadyUpgrade::new(self.protocol.clone()), ());
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        Poll::Pending
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<'_, Self::InboundProtocol, Self::OutboundProtocol>,
    ) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol: stream, .. }) => {
                self.inbound = Some(Line::new(stream));
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol: stream, ..
            }) => {
                self.opening = false;
                self.outbound = Some(Line::new(stream));
            }
            ConnectionEvent::DialUpgradeError(_) => {
                self.opening = false;
                (self.beat, self.probe) = (false, false);
            }
            _ => (),
        }
    }
}

impl std::fmt::Debug for Handler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handler")
            .field("beat", &self.beat)
            .field("probe", &self.probe)
            .finish_non_exhaustive()
    }
}

/// A stream of single bytes.
struct Line {
    stream: Stream,
    unwritten: Option<u8>,
    unflushed: bool,
}

impl Line {
    fn new(mut stream: Stream) -> Self {
        stream.ignore_for_keep_alive();
        Self { stream, unwritten: None, unflushed: false }
    }

    /// Puts a byte in line, once [`Self::poll_written`] says that there is none.
    fn write(&mut self, byte: u8) {
        self.unwritten = Some(byte);
        self.unflushed = true;
    }

    fn poll_written(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(byte) = self.unwritten {
            if ready!(Pin::new(&mut self.stream).poll_write(cx, &[byte]))? == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.unwritten = None;
        }
        if self.unflushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// The bytes that came, at least one; who sends many at once is answered once.
    fn poll_signs(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Vec<u8>>> {
        let mut signs = vec![0; SIGNS_MAX];
        match ready!(Pin::new(&mut self.stream).poll_read(cx, &mut signs))? {
            0 => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            count => {
                signs.truncate(count);
                Poll::Ready(Ok(signs))
            }
        }
    }
}

/// Bytes that are read at once.
const SIGNS_MAX: usize = 64;
