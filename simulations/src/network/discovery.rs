//! Discovery on a segment, in the place of mDNS and with its habits.
//!
//! As libp2p's mDNS does: a host asks when it starts, again after half a second and after twice as long each
//! time until it sees any answer, and every five minutes after the last answer that it saw. Every question
//! makes every host of the segment answer all of them, at once and with no regard for what is known, so that
//! packets grow with the square of the hosts that start together. An announcement is lost by each receiver
//! for itself. Nothing is told of hosts that are gone.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    convert::Infallible,
    net::Ipv4Addr,
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures::FutureExt;
use futures_timer::Delay;
use hereabouts::mesh::discovery::Discovered;
use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    swarm::{
        ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
        THandlerOutEvent, ToSwarm, dummy,
    },
};

use super::{Network, PORT, State, links, packets::Event, traffic::Class, transport::tcp};
use crate::virtual_machine::{HostId, now};

/// Who takes part, and what they were told.
#[derive(Debug, Default)]
pub(super) struct Multicast {
    segments: BTreeMap<u32, BTreeSet<HostId>>,
    members: BTreeMap<HostId, Member>,
}

#[derive(Debug, Default)]
struct Member {
    heard: HashMap<HostId, Ipv4Addr>,
    told: Vec<(PeerId, Multiaddr)>,
    answered: bool,
    waker: Option<Waker>,
}

impl Multicast {
    pub(super) fn leave(&mut self, host: HostId) {
        self.members.remove(&host);
        for members in self.segments.values_mut() {
            members.remove(&host);
        }
    }
}

/// A packet for all hosts of a segment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Announcement {
    from: HostId,
    /// The address of the host, or nothing if it asks for those of others.
    address: Option<Ipv4Addr>,
}

impl Network {
    /// What the process on `host` uses in mDNS's place; none if it looks for nobody.
    pub fn discovery(&self, host: HostId, looks: bool) -> SegmentDiscovery {
        if looks {
            let mut state = self.lock();
            let segment = state.host(host).interface.segment;
            state.multicast.segments.entry(segment).or_default().insert(host);
            state.multicast.members.insert(host, Member::default());
        }
        let timer = looks.then(|| Delay::new(Duration::ZERO));
        SegmentDiscovery { network: self.clone(), host, timer, wait: QUERY_RETRY }
    }
}

impl State {
    fn announce(&mut self, announcement: Announcement) {
        let bytes = if announcement.address.is_some() { ANSWER_BYTES } else { QUERY_BYTES };
        self.traffic.add(Class::Discovery, bytes);
        self.host(announcement.from).sent_bytes += bytes;
        let settings = self.settings.clone();
        let at = links::leave(&settings, &mut self.host(announcement.from).interface, now(), bytes);
        // The switch passes it to all at about the same time.
        let latency = links::nanoseconds(settings.latency);
        self.schedule(at + latency, Event::Announced(announcement));
    }

    pub(super) fn announced(&mut self, now: u64, announcement: Announcement) {
        let from = announcement.from;
        let segment = self.host(from).interface.segment;
        let members: Vec<_> = self.multicast.segments.get(&segment).into_iter().flatten().copied().collect();
        let peer = self.host(from).peer;
        for to in members {
            if !self.receives(from, to) {
                continue;
            }
            let Some((settings, [sender, receiver], random)) = self.path(from, to) else { continue };
            if links::datagram_arrival(settings, (sender, receiver), (now, ANSWER_BYTES), random).is_none() {
                continue;
            }
            match announcement.address {
                None => {
                    let address = Some(self.host(to).interface.address);
                    if !self.host(to).paused {
                        self.announce(Announcement { from: to, address });
                    }
                }
                Some(address) => {
                    let Some(member) = self.multicast.members.get_mut(&to) else { continue };
                    member.answered = true;
                    if member.heard.insert(from, address) != Some(address) {
                        member.told.push((peer, tcp(address, PORT)));
                        super::connection::wake(member.waker.take());
                    }
                }
            }
        }
    }
}

/// Finds the other hosts of the segment, or nobody.
#[derive(Debug)]
pub struct SegmentDiscovery {
    network: Network,
    host: HostId,
    timer: Option<Delay>,
    wait: Duration,
}

impl NetworkBehaviour for SegmentDiscovery {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Discovered;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, _: FromSwarm<'_>) {}

    fn on_connection_handler_event(
        &mut self,
        _: PeerId,
        _: ConnectionId,
        never: THandlerOutEvent<Self>,
    ) {
        let never: Infallible = never;
        match never {}
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Discovered, THandlerInEvent<Self>>> {
        let Some(timer) = &mut self.timer else { return Poll::Pending };
        let mut state = self.network.lock();
        let Some(member) = state.multicast.members.get_mut(&self.host) else { return Poll::Pending };
        if !member.told.is_empty() {
            return Poll::Ready(ToSwarm::GenerateEvent(Discovered(std::mem::take(&mut member.told))));
        }
        member.waker = Some(cx.waker().clone());
        if std::mem::take(&mut member.answered) {
            self.wait = QUERY_INTERVAL;
            timer.reset(QUERY_INTERVAL);
        }
        while timer.poll_unpin(cx).is_ready() {
            state.announce(Announcement { from: self.host, address: None });
            timer.reset(self.wait);
            self.wait = (self.wait * 2).min(QUERY_INTERVAL);
        }
        Poll::Pending
    }
}

/// The first wait for an answer.
const QUERY_RETRY: Duration = Duration::from_millis(500);
const QUERY_INTERVAL: Duration = Duration::from_secs(5 * 60);
/// As measured of libp2p's mDNS, with Ethernet's header.
const QUERY_BYTES: u64 = 86;
const ANSWER_BYTES: u64 = 420;
