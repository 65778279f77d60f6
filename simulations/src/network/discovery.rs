//! Discovery on a segment, in the place of mDNS and with its habits.
//!
//! As libp2p's mDNS does: a host asks when it becomes active and when its address changed, again after a
//! second and after twice as long each time until it sees another's answer, and five minutes and up to 0.1 s,
//! which it draws when it becomes active, after the last answer that it saw: mostly one host asks for all.
//! Every question makes every active host of the segment, and the one that asks, answer all of them, at once
//! and with no regard for what is known, so that packets grow with the square of the hosts that start
//! together. An announcement is lost by each receiver for itself; that a queue of a socket is full is not
//! simulated. A host is told of another again if it did not hear its answers for six minutes, and of nobody
//! that is gone. One that becomes inactive asks and answers on until it next hears another's answer, of which
//! it is not told.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    net::Ipv4Addr,
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures::FutureExt;
use futures_timer::Delay;
use hereabouts::mesh::discovery::{Discovered, Discovery};
use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    swarm::{
        ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
        THandlerOutEvent, ToSwarm, dummy,
    },
};
use rand::RngExt;

use super::{Network, PORT, State, index, links, packets::Event, transport::tcp};
use crate::virtual_machine::{HostId, now};

/// Who takes part, and what they were told.
#[derive(Debug, Default)]
pub(super) struct Multicast {
    segments: BTreeMap<u32, BTreeSet<HostId>>,
    members: BTreeMap<HostId, Member>,
}

#[derive(Debug, Default)]
struct Member {
    /// The address that it heard last of each host, and the second in which it forgets it. Every host hears
    /// every other, and again and again.
    heard: Vec<Option<(Ipv4Addr, u32)>>,
    told: Vec<(PeerId, Multiaddr)>,
    answered: bool,
    /// Whether it is inactive, and takes part until it hears an answer.
    ceasing: bool,
    waker: Option<Waker>,
}

impl Member {
    /// Takes in that a host has an address; whether that is news.
    fn hear(&mut self, now: u64, host: HostId, address: Ipv4Addr) -> bool {
        let place = index(host);
        if self.heard.len() <= place {
            self.heard.resize(place + 1, None);
        }
        let second = u32::try_from(now / 1_000_000_000).unwrap_or(u32::MAX);
        let Some(heard) = self.heard.get_mut(place) else { return false };
        let before = heard.replace((address, second.saturating_add(REMEMBERED_SECONDS)));
        before.is_none_or(|(known, until)| known != address || until < second)
    }
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
        let mut discovery = SegmentDiscovery {
            network: self.clone(),
            host,
            looks,
            active: false,
            timer: None,
            address: Ipv4Addr::UNSPECIFIED,
            wait: QUERY_RETRY,
            interval: QUERY_INTERVAL,
        };
        discovery.set_active(true);
        discovery
    }
}

impl State {
    fn multicast_join(&mut self, host: HostId) {
        let segment = self.host(host).interface.segment;
        self.multicast.segments.entry(segment).or_default().insert(host);
        let known = self.multicast.members.remove(&host).filter(|member| !member.ceasing);
        self.multicast.members.insert(host, known.unwrap_or_default());
    }

    fn announce(&mut self, announcement: Announcement) {
        let bytes = announcement.bytes();
        self.traffic.add_announcement(now(), bytes);
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
            if !self.receives(now, announcement, to) {
                continue;
            }
            match announcement.address {
                None => {
                    let address = Some(self.host(to).interface.address);
                    if !self.host(to).paused {
                        self.announce(Announcement { from: to, address });
                    }
                }
                Some(_) if from == to => (),
                Some(address) => {
                    let Some(member) = self.multicast.members.get_mut(&to) else { continue };
                    if member.ceasing {
                        self.multicast.leave(to);
                        continue;
                    }
                    member.answered = true;
                    if member.hear(now, from, address) {
                        member.told.push((peer, tcp(address, PORT)));
                        super::connection::wake(member.waker.take());
                    }
                }
            }
        }
    }

    /// Whether an announcement that reaches the segment now reaches this host. Its own a host always hears.
    fn receives(&mut self, now: u64, announcement: Announcement, to: HostId) -> bool {
        let from = announcement.from;
        if from == to {
            return true;
        }
        if !self.passes(from, to) {
            return false;
        }
        let Some((settings, interfaces, random)) = self.path(from, to) else { return false };
        links::datagram_arrives(settings, interfaces.into(), (now, announcement.bytes()), random)
    }
}

impl Announcement {
    fn bytes(self) -> u64 {
        if self.address.is_some() { ANSWER_BYTES } else { QUERY_BYTES }
    }
}

/// Finds the other hosts of the segment, or nobody.
#[derive(Debug)]
pub struct SegmentDiscovery {
    network: Network,
    host: HostId,
    looks: bool,
    active: bool,
    /// Set once its process runs, by the clock of its host.
    timer: Option<Delay>,
    /// Where it asked from last.
    address: Ipv4Addr,
    wait: Duration,
    /// From the last answer to the next question.
    interval: Duration,
}

impl Discovery for SegmentDiscovery {
    fn set_active(&mut self, active: bool) {
        if !self.looks || std::mem::replace(&mut self.active, active) == active {
            return;
        }
        let mut state = self.network.lock();
        if active {
            let jitter = state.random.random_range(0..QUERY_JITTER_MILLIS);
            self.interval = QUERY_INTERVAL + Duration::from_millis(jitter);
            self.timer = None;
        } else if let Some(member) = state.multicast.members.get_mut(&self.host) {
            member.ceasing = true;
            member.told.clear();
        }
    }
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

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, never: THandlerOutEvent<Self>) {
        let never: Infallible = never;
        match never {}
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Discovered, THandlerInEvent<Self>>> {
        if !self.looks || !self.active && self.timer.is_none() {
            return Poll::Pending;
        }
        let mut state = self.network.lock();
        let address = state.host(self.host).interface.address;
        if std::mem::replace(&mut self.address, address) != address && self.active {
            self.timer = None;
        }
        let timer = self.timer.get_or_insert_with(|| {
            // A process that is still being started answers nobody.
            state.multicast_join(self.host);
            self.wait = QUERY_RETRY;
            Delay::new(Duration::ZERO)
        });
        let Some(member) = state.multicast.members.get_mut(&self.host) else { return Poll::Pending };
        if !member.told.is_empty() {
            return Poll::Ready(ToSwarm::GenerateEvent(Discovered(std::mem::take(&mut member.told))));
        }
        member.waker = Some(cx.waker().clone());
        if std::mem::take(&mut member.answered) {
            self.wait = self.interval;
            timer.reset(self.interval);
        }
        while timer.poll_unpin(cx).is_ready() {
            state.announce(Announcement { from: self.host, address: None });
            timer.reset(self.wait);
            self.wait = (self.wait * 2).min(self.interval);
        }
        Poll::Pending
    }
}

/// The first wait for an answer.
const QUERY_RETRY: Duration = Duration::from_secs(1);
const QUERY_INTERVAL: Duration = Duration::from_secs(5 * 60);
const QUERY_JITTER_MILLIS: u64 = 100;
/// How long an answer is good for.
const REMEMBERED_SECONDS: u32 = 6 * 60;
/// As measured of libp2p's mDNS, with Ethernet's header.
const QUERY_BYTES: u64 = 86;
const ANSWER_BYTES: u64 = 420;
