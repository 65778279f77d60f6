//! The network of a simulation: hosts, the links between them, connections, and packets on their way.
//!
//! [`Network`] is a handle that everything shares. The nodes reach it through [`Network::transport`], a
//! libp2p transport that hands out streams directly, and [`discovery`], in mDNS's place. The runner moves
//! it: [`Network::next_event`] says when something is due, [`Network::handle_due`] lets it happen. Faults are
//! its further methods.
//!
//! Closing and resetting are TCP's: a process that dies resets its connections, one that closes them says so,
//! a cable that is pulled is silence, and what was sent into that is sent again later. Making a connection
//! takes two round trips for the end that dials and half a one more for the other, as TCP with Noise and
//! Yamux negotiated optimistically does, and the time of the cryptography. Connections are not encrypted; who
//! is at the other end is simply known, as the handshake would have proved it.
//!
//! Limits of the model: packets are not split, so a large one is late as a whole; congestion control is the
//! queues of the interfaces and a window per stream; QUIC is not simulated.

pub mod captures;
mod connection;
pub mod discovery;
pub mod links;
mod muxer;
mod packets;
pub mod regions;
pub mod spread;
pub mod traffic;
mod transport;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque},
    io,
    net::Ipv4Addr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Waker,
    time::Duration,
};

pub use self::transport::tcp;
use libp2p::PeerId;
use rand::{SeedableRng, rngs::StdRng};

use self::{
    captures::Received,
    connection::{Connection, ConnectionId, LISTENER, Side},
    discovery::Multicast,
    links::{Interface, LinkSettings, passes},
    packets::{Dial, DialId, Event},
    spread::Spread,
    traffic::{Rate, Traffic},
};
use crate::virtual_machine::{HostId, now};

/// A network; clones are handles of the same one.
#[derive(Debug, Clone)]
pub struct Network(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    settings: LinkSettings,
    hosts: Vec<Host>,
    by_address: BTreeMap<Ipv4Addr, HostId>,
    segment_sizes: Vec<u32>,
    connections: Vec<Option<Connection>>,
    free_connections: Vec<ConnectionId>,
    dials: BTreeMap<DialId, Dial>,
    next_dial: DialId,
    events: BinaryHeap<Reverse<Scheduled>>,
    scheduled: u64,
    random: StdRng,
    traffic: Traffic,
    spread: Spread,
    multicast: Multicast,
    trace: crate::trace::Trace,
    refused_connections: u64,
    exchanges: u64,
    handshake: Duration,
    /// What hosts received since it was last taken, if it is captured.
    received: Option<Vec<Received>>,
}

#[derive(Debug)]
struct Host {
    peer: PeerId,
    interface: Interface,
    /// Ports that a process listens on.
    listening: BTreeSet<u16>,
    /// Connections that were made to it and that it has not taken, the oldest first.
    incoming: VecDeque<ConnectionId>,
    /// The address that the process was told last, if it listens.
    told_address: Option<Ipv4Addr>,
    transport_waker: Option<Waker>,
    admission: Admission,
    /// Its process is stopped: nobody answers handshakes and questions.
    paused: bool,
    connections: BTreeSet<ConnectionId>,
    sent_bytes: u64,
    dials: Rate,
}

/// What a host does with connections that are made to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Takes them.
    Accept,
    /// Refuses them, as one without a listener does.
    Refuse,
    /// Says nothing, as a firewall that drops packets does.
    Swallow,
}

#[derive(Debug)]
struct Scheduled {
    at: u64,
    sequence: u64,
    event: Event,
}

impl Network {
    /// A network without hosts.
    pub fn new(settings: LinkSettings, hosts: usize, seed: u64, trace: crate::trace::Trace) -> Self {
        Self(Arc::new(Mutex::new(State {
            settings,
            hosts: Vec::new(),
            by_address: BTreeMap::new(),
            segment_sizes: Vec::new(),
            connections: Vec::new(),
            free_connections: Vec::new(),
            dials: BTreeMap::new(),
            next_dial: 0,
            events: BinaryHeap::new(),
            scheduled: 0,
            random: StdRng::seed_from_u64(seed),
            traffic: Traffic::default(),
            spread: Spread::new(hosts),
            multicast: Multicast::default(),
            trace,
            refused_connections: 0,
            exchanges: 0,
            handshake: HANDSHAKE_CRYPTOGRAPHY,
            received: None,
        })))
    }

    /// Keeps all that hosts receive from now on, for [`Self::take_received`].
    pub fn capture(&self) {
        self.lock().received.get_or_insert_default();
    }

    /// What hosts received since this was last called.
    pub fn take_received(&self) -> Vec<Received> {
        self.lock().received.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// What one end of a connection spends on the cryptography of its handshake, from now on.
    pub fn set_handshake(&self, takes: Duration) {
        self.lock().handshake = takes;
    }

    /// Adds a host on `segment`, whose process proves to be `peer`.
    ///
    /// # Panics
    /// If there are 2^32 hosts already.
    pub fn add_host(&self, peer: PeerId, segment: u32) -> HostId {
        let mut state = self.lock();
        let id = HostId::try_from(state.hosts.len()).expect("hosts fit into 32 bits");
        let address = state.free_address(segment);
        state.by_address.insert(address, id);
        let region = state.hosts.len();
        state.hosts.push(Host {
            peer,
            interface: Interface::new(address, segment, region),
            listening: BTreeSet::new(),
            incoming: VecDeque::new(),
            told_address: None,
            transport_waker: None,
            admission: Admission::Accept,
            paused: false,
            connections: BTreeSet::new(),
            sent_bytes: 0,
            dials: Rate::default(),
        });
        id
    }

    /// The address of a host.
    pub fn address(&self, host: HostId) -> Ipv4Addr {
        self.lock().host(host).interface.address
    }

    /// When the next packet arrives or a timer of the network is due.
    pub fn next_event(&self) -> Option<u64> {
        self.lock().events.peek().map(|Reverse(scheduled)| scheduled.at)
    }

    /// Lets everything happen that is due.
    pub fn handle_due(&self) {
        let mut state = self.lock();
        let now = now();
        while state.events.peek().is_some_and(|Reverse(scheduled)| scheduled.at <= now)
            && let Some(Reverse(scheduled)) = state.events.pop()
        {
            state.handle_event(now, scheduled.event);
        }
    }

    /// The process on `host` is gone: its connections are reset, and it listens no more. To be called before
    /// its tasks are dropped.
    pub fn kill_process(&self, host: HostId) {
        self.lock().kill_process(host);
    }

    /// Plugs the cable of `host` in or out; without power it is out as well.
    pub fn set_connected(&self, host: HostId, connected: bool) {
        let mut state = self.lock();
        state.host(host).interface.connected = connected;
        state.release_held();
    }

    /// Puts each host into a partition; packets pass within one only. Hosts not named are in partition 0.
    pub fn set_partition(&self, hosts: &[HostId], partition: u32) {
        let mut state = self.lock();
        for &host in hosts {
            state.host(host).interface.partition = partition;
        }
        state.release_held();
    }

    /// Lets what `hosts` send to others vanish, while what others send arrives; with `None` no longer.
    pub fn set_mute(&self, hosts: &[HostId], group: Option<u32>) {
        let mut state = self.lock();
        for &host in hosts {
            state.host(host).interface.mute = group;
        }
        state.release_held();
    }

    /// Share of packets lost at the interface of `host`, beside those of the links.
    pub fn set_loss(&self, host: HostId, loss: f64) {
        self.lock().host(host).interface.loss = loss;
    }

    /// What `host` does with new connections.
    pub fn set_admission(&self, host: HostId, admission: Admission) {
        self.lock().host(host).admission = admission;
    }

    /// The process on `host` is stopped or goes on. The executor is to be told as well.
    pub fn set_paused(&self, host: HostId, paused: bool) {
        self.lock().host(host).paused = paused;
    }

    /// Gives `host` another address. Its connections are severed without a word; its process is told.
    pub fn change_address(&self, host: HostId) {
        let mut state = self.lock();
        let segment = state.host(host).interface.segment;
        let address = state.free_address(segment);
        let old = std::mem::replace(&mut state.host(host).interface.address, address);
        state.by_address.remove(&old);
        state.by_address.insert(address, host);
        for id in state.host(host).connections.clone() {
            if let Some(connection) = state.connection(id) {
                connection.severed = true;
            }
        }
        connection::wake(state.host(host).transport_waker.take());
    }

    /// Whether a packet of the one reaches the other and back.
    pub fn in_reach(&self, one: HostId, other: HostId) -> bool {
        let state = self.lock();
        let (Some(one), Some(other)) = (state.hosts.get(index(one)), state.hosts.get(index(other))) else {
            return false;
        };
        passes(&one.interface, &other.interface) && passes(&other.interface, &one.interface)
    }

    /// What was sent so far.
    pub fn traffic(&self) -> Traffic {
        self.lock().traffic.clone()
    }

    /// Bytes that `host` sent so far.
    pub fn sent_bytes(&self, host: HostId) -> u64 {
        self.lock().host(host).sent_bytes
    }

    /// The connections that `host` set out to make so far.
    pub fn dials(&self, host: HostId) -> Rate {
        self.lock().host(host).dials.clone()
    }

    /// Connections that stand or are being made.
    pub fn connections(&self) -> usize {
        self.lock().connections.iter().flatten().count()
    }

    /// Connections that were refused or swallowed so far.
    pub fn refused_connections(&self) -> u64 {
        self.lock().refused_connections
    }

    /// Comparisons of two nodes' tables after which records were exchanged.
    pub fn exchanges(&self) -> u64 {
        self.lock().exchanges
    }

    /// Looks into how records spread.
    pub fn with_spread<T>(&self, look: impl FnOnce(&mut Spread) -> T) -> T {
        look(&mut self.lock().spread)
    }

    /// What is kept for connections: how many stand, are dialled, wait to be taken.
    #[cfg(test)]
    fn kept(&self) -> [usize; 3] {
        let state = self.lock();
        let untaken = state.hosts.iter().map(|host| host.incoming.len()).sum();
        for connection in state.connections.iter().flatten() {
            connection.check();
        }
        [state.connections.iter().flatten().count(), state.dials.len(), untaken]
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // One thread uses it; a panic ends the simulation in any case.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn host(&mut self, host: HostId) -> &mut Host {
        self.hosts.get_mut(index(host)).expect("hosts are numbered by this network and never removed")
    }

    fn connection(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.connections.get_mut(id)?.as_mut()
    }

    fn schedule(&mut self, at: u64, event: Event) {
        self.scheduled += 1;
        self.events.push(Reverse(Scheduled { at, sequence: self.scheduled, event }));
    }

    /// Two interfaces at once, and what else a packet between them needs.
    fn path(
        &mut self,
        from: HostId,
        to: HostId,
    ) -> Option<(&LinkSettings, [&mut Interface; 2], &mut StdRng)> {
        let [from, to] = self.hosts.get_disjoint_mut([index(from), index(to)]).ok()?;
        Some((&self.settings, [&mut from.interface, &mut to.interface], &mut self.random))
    }

    fn passes(&self, from: HostId, to: HostId) -> bool {
        match (self.hosts.get(index(from)), self.hosts.get(index(to))) {
            (Some(from), Some(to)) => passes(&from.interface, &to.interface),
            _ => false,
        }
    }

    fn free_address(&mut self, segment: u32) -> Ipv4Addr {
        let place = index(segment);
        if self.segment_sizes.len() <= place {
            self.segment_sizes.resize(place + 1, 0);
        }
        let size = self.segment_sizes.get_mut(place).expect("it was made a line above");
        *size += 1;
        // 10.s.h.h: up to 256 segments of 65,535 addresses, of which a host that moves uses several.
        Ipv4Addr::from_bits(0x0a00_0000 | ((segment & 0xff) << 16) | (*size & 0xffff))
    }

    fn kill_process(&mut self, host: HostId) {
        let state = self.host(host);
        state.listening.clear();
        state.transport_waker = None;
        state.paused = false;
        let connections = state.connections.clone();
        for id in connections {
            for side in [0, 1] {
                if self.connection(id).is_some_and(|connection| connection.end(side).host == host) {
                    self.abort(id, side);
                }
            }
        }
        self.drop_untaken(host);
        self.multicast.leave(host);
    }

    /// Resets the connection from this end, unless its process closed it before: that is the kernel's then.
    fn abort(&mut self, id: ConnectionId, side: Side) {
        let Some(connection) = self.connection(id) else { return };
        if std::mem::replace(&mut connection.end(side).open, false) {
            connection.break_end(side, io::ErrorKind::ConnectionAborted);
            self.send_break(id, side);
        }
    }

    /// Nobody listens on `host` any more: what was not taken is reset.
    fn drop_untaken(&mut self, host: HostId) {
        let state = self.host(host);
        state.told_address = None;
        for id in std::mem::take(&mut state.incoming) {
            self.abort(id, LISTENER);
            if let Some(connection) = self.connection(id) {
                connection.references -= 1;
                self.release(id);
            }
        }
    }

    fn release(&mut self, id: ConnectionId) {
        let Some(place) = self.connections.get_mut(id) else { return };
        if place.as_ref().is_some_and(|connection| connection.references == 0)
            && let Some(connection) = place.take()
        {
            self.free_connections.push(id);
            for end in connection.ends {
                self.host(end.host).connections.remove(&id);
            }
        }
    }
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.sequence) == (other.at, other.sequence)
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.sequence).cmp(&(other.at, other.sequence))
    }
}

fn index(host: u32) -> usize {
    usize::try_from(host).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;

/// The port that every node listens on.
pub const PORT: u16 = 4001;
/// What one end spends on the cryptography of a handshake, measured for Noise.
pub const HANDSHAKE_CRYPTOGRAPHY: Duration = Duration::from_micros(450);
