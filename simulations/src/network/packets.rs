//! Packets on their way: what is scheduled, and what happens when it arrives.

use std::{io, task::Waker};

use super::{
    Admission, State,
    connection::{
        Connection, ConnectionId, Content, GIVE_UP, Segment, Side, StreamId, WINDOW, other, wake,
    },
    discovery::Announcement,
    index,
    links::{self, nanoseconds},
    traffic::{Class, HANDSHAKE_BYTES, SEGMENT_BYTES, on_the_wire},
};
use crate::{trace::TraceEvent, virtual_machine::{HostId, now}};

pub(super) type DialId = u64;

/// A connection that is being made.
#[derive(Debug)]
pub(super) struct Dial {
    pub(super) from: HostId,
    /// The host that had the address when it was dialled, if any had.
    pub(super) to: Option<HostId>,
    pub(super) port: u16,
    pub(super) outcome: Option<Result<ConnectionId, io::ErrorKind>>,
    pub(super) waker: Option<Waker>,
    tries: u32,
}

/// Something that is due at some time.
#[derive(Debug)]
pub(super) enum Event {
    /// A TCP handshake begins, or begins again.
    SendSyn(DialId),
    /// It reaches the host that is dialled.
    Syn(DialId),
    /// Nobody listens there.
    Refused(DialId),
    /// The handshake is through at this end.
    Established(ConnectionId, Side),
    /// A segment reaches this end.
    Segment(ConnectionId, Side, Segment),
    /// A reset reaches this end.
    Broken(ConnectionId, Side),
    /// This end tries again to send what it holds.
    Resend(ConnectionId, Side),
    /// What this end holds since then is given up if it is held still.
    GiveUp(ConnectionId, Side, u64),
    /// An announcement reaches the hosts of a segment.
    Announced(Announcement),
}

impl State {
    pub(super) fn handle_event(&mut self, now: u64, event: Event) {
        match event {
            Event::SendSyn(dial) => self.send_syn(now, dial),
            Event::Syn(dial) => self.syn(now, dial),
            Event::Refused(dial) => self.settle_dial(dial, Err(io::ErrorKind::ConnectionRefused)),
            Event::Established(id, side) => self.established(now, id, side),
            Event::Segment(id, side, segment) => self.arrive(now, id, side, segment),
            Event::Broken(id, side) => {
                if let Some(connection) = self.connection(id) {
                    connection.break_end(side, io::ErrorKind::ConnectionReset);
                    connection.references -= 1;
                    self.release(id);
                }
            }
            Event::Resend(id, side) => self.resend(now, id, side),
            Event::GiveUp(id, side, since) => self.give_up(id, side, since),
            Event::Announced(announcement) => self.announced(now, announcement),
        }
    }

    pub(super) fn dial(&mut self, from: HostId, address: std::net::Ipv4Addr, port: u16) -> DialId {
        self.next_dial += 1;
        let to = self.by_address.get(&address).copied();
        let dial = Dial { from, to, port, outcome: None, waker: None, tries: 0 };
        self.dials.insert(self.next_dial, dial);
        let id = self.next_dial;
        self.send_syn(now(), id);
        id
    }

    fn send_syn(&mut self, now: u64, id: DialId) {
        let Some(dial) = self.dials.get_mut(&id) else { return };
        dial.tries += 1;
        let (from, to, tries) = (dial.from, dial.to, dial.tries);
        self.host(from).sent_bytes += SEGMENT_BYTES;
        self.traffic.add(Class::Transport, SEGMENT_BYTES);
        // TCP tries again after one second, and then after twice as long each time.
        if tries < SYN_TRIES {
            self.schedule(now + SYN_RETRY * (1 << (tries - 1)), Event::SendSyn(id));
        }
        if let Some(to) = to
            && self.passes(from, to)
            && let Some((settings, [from, to], random)) = self.path(from, to)
        {
            let at = links::stream_arrival(settings, (from, to), (now, SEGMENT_BYTES), random);
            self.schedule(at, Event::Syn(id));
        }
    }

    fn syn(&mut self, now: u64, id: DialId) {
        let Some(dial) = self.dials.get(&id) else { return };
        let (from, Some(to), port) = (dial.from, dial.to, dial.port) else { return };
        if dial.outcome.is_some() || !self.passes(to, from) {
            return;
        }
        let host = self.host(to);
        if host.admission == Admission::Swallow {
            self.refused_connections += 1;
            return;
        }
        let latency = {
            let Some((settings, [from, to], _)) = self.path(from, to) else { return };
            links::base_latency(settings, from, to)
        };
        let host = self.host(to);
        if host.admission == Admission::Refuse || !host.listening.contains(&port) {
            self.refused_connections += 1;
            self.schedule(now + latency, Event::Refused(id));
            return;
        }
        let connection = self.add_connection(from, to);
        self.host(to).incoming.push(connection);
        wake(self.host(to).transport_waker.take());
        self.settle_dial(id, Ok(connection));
        // The handshake of TCP is at its first packet; three more ways to the dialler's end of all, then one.
        let cryptography = nanoseconds(super::HANDSHAKE_CRYPTOGRAPHY);
        let dialler = now + 3 * latency + cryptography;
        self.schedule(dialler, Event::Established(connection, 0));
        self.schedule(dialler + latency + cryptography, Event::Established(connection, 1));
        for host in [from, to] {
            self.host(host).sent_bytes += HANDSHAKE_BYTES / 2;
        }
        self.traffic.add(Class::Transport, HANDSHAKE_BYTES);
    }

    fn settle_dial(&mut self, id: DialId, outcome: Result<ConnectionId, io::ErrorKind>) {
        if let Some(dial) = self.dials.get_mut(&id) {
            if let (None, Ok(connection)) = (&dial.outcome, &outcome) {
                let connection = *connection;
                // The dialler's future stands for its end until the muxer does.
                dial.outcome = Some(outcome);
                let waker = dial.waker.take();
                if let Some(connection) = self.connection(connection) {
                    connection.references += 1;
                }
                wake(waker);
                return;
            }
            dial.outcome.get_or_insert(outcome);
            wake(dial.waker.take());
        }
    }

    fn add_connection(&mut self, from: HostId, to: HostId) -> ConnectionId {
        let mut connection = Connection::new(from, to);
        // The listener's side of it, which waits to be taken, and the two handshakes.
        connection.references = 3;
        let id = match self.free_connections.pop() {
            Some(id) => {
                if let Some(place) = self.connections.get_mut(id) {
                    *place = Some(connection);
                }
                id
            }
            None => {
                self.connections.push(Some(connection));
                self.connections.len() - 1
            }
        };
        for host in [from, to] {
            self.host(host).connections.insert(id);
        }
        id
    }

    fn established(&mut self, now: u64, id: ConnectionId, side: Side) {
        let Some(connection) = self.connection(id) else { return };
        let hosts = [connection.end(side).host, connection.end(other(side)).host];
        let given_up = connection.ends.iter().any(|end| !end.open || end.broken.is_some());
        let [near, far] = hosts;
        let waits = self.host(near).paused || self.host(far).paused || !self.passes(near, far);
        if !given_up && waits {
            // One of its packets is lost or not looked at; TCP sends it again.
            self.schedule(now + SYN_RETRY, Event::Established(id, side));
            return;
        }
        let Some(connection) = self.connection(id) else { return };
        connection.references -= 1;
        let end = connection.end(side);
        end.established = true;
        wake(end.waker.take());
        self.trace.add(&TraceEvent::Connected { at: now, from: near, to: far });
        self.release(id);
    }

    /// Sends what a node wrote.
    pub(super) fn send_data(&mut self, id: ConnectionId, side: Side, stream: StreamId, bytes: &[u8]) -> usize {
        let Some(connection) = self.connection(id) else { return 0 };
        let Some(place) = connection.stream(stream) else { return 0 };
        let receiving = place.half(other(side));
        let room = WINDOW.saturating_sub(receiving.outstanding);
        let bytes = bytes.get(..room).unwrap_or(bytes);
        if bytes.is_empty() {
            return 0;
        }
        receiving.outstanding += bytes.len();
        if place.class.is_none() && place.opener == side {
            place.class = Class::of_proposal(bytes);
        }
        let segment = Segment {
            stream: Some(stream),
            content: Content::Data(bytes.into()),
            wire: on_the_wire(bytes.len()),
        };
        self.send(id, side, segment);
        bytes.len()
    }

    /// Sends a mark on a stream, or that the connection is closed.
    pub(super) fn send_mark(&mut self, id: ConnectionId, side: Side, stream: Option<StreamId>, mark: Content) {
        self.send(id, side, Segment { stream, content: mark, wire: on_the_wire(0) });
    }

    fn send(&mut self, id: ConnectionId, side: Side, segment: Segment) {
        let now = now();
        let Some(connection) = self.connection(id) else { return };
        if connection.end(side).broken.is_some() {
            return;
        }
        connection.references += 1;
        if let Some(stream) = segment.stream.and_then(|stream| connection.stream(stream)) {
            stream.references += 1;
        }
        let severed = connection.severed;
        let (from, to) = (connection.end(side).host, connection.end(other(side)).host);
        let waits = !connection.end(side).held.is_empty();
        if waits || severed || !self.passes(from, to) {
            let Some(connection) = self.connection(id) else { return };
            connection.end(side).held.push_back((now, segment));
            if !waits {
                self.schedule(now + nanoseconds(GIVE_UP), Event::GiveUp(id, side, now));
            }
            return;
        }
        self.transmit(now, id, side, segment);
    }

    /// Puts a segment, which is counted already, on its way.
    fn transmit(&mut self, now: u64, id: ConnectionId, side: Side, segment: Segment) {
        let Some(connection) = self.connection(id) else { return };
        let (from, to) = (connection.end(side).host, connection.end(other(side)).host);
        let class = segment.stream.and_then(|stream| connection.stream(stream)?.class);
        self.traffic.add(class.unwrap_or(Class::Transport), segment.wire);
        self.traffic.add(Class::Transport, SEGMENT_BYTES);
        self.host(from).sent_bytes += segment.wire;
        self.host(to).sent_bytes += SEGMENT_BYTES;
        let Some((settings, [from, to], random)) = self.path(from, to) else { return };
        let at = links::stream_arrival(settings, (from, to), (now, segment.wire), random);
        let Some(connection) = self.connection(id) else { return };
        let end = connection.end(other(side));
        end.last_arrival = end.last_arrival.max(at);
        let at = end.last_arrival;
        self.schedule(at, Event::Segment(id, other(side), segment));
    }

    /// Tells the other end of a connection that this one is gone.
    pub(super) fn send_break(&mut self, id: ConnectionId, side: Side) {
        let Some(connection) = self.connection(id) else { return };
        let (from, to) = (connection.end(side).host, connection.end(other(side)).host);
        if connection.severed || connection.end(other(side)).broken.is_some() || !self.passes(from, to) {
            return;
        }
        let Some((settings, [from, to], random)) = self.path(from, to) else { return };
        let at = links::stream_arrival(settings, (from, to), (now(), SEGMENT_BYTES), random);
        if let Some(connection) = self.connection(id) {
            connection.references += 1;
            self.schedule(at, Event::Broken(id, other(side)));
        }
    }

    fn arrive(&mut self, now: u64, id: ConnectionId, side: Side, segment: Segment) {
        let Some(connection) = self.connection(id) else { return };
        let (to, from) = (connection.end(side).host, connection.end(other(side)).host);
        let end = connection.end(side);
        let Segment { stream, content, .. } = segment;
        if !end.open || end.broken.is_some() {
            connection.forget_segment(stream);
            if !matches!(content, Content::Close) {
                self.send_break(id, side);
            }
            self.release(id);
            return;
        }
        if let Content::Data(bytes) = &content {
            let class = stream.and_then(|stream| connection.stream(stream)?.class).unwrap_or(Class::Transport);
            // The second kind of request, behind four bytes of length, see the protocol's WIRE.md.
            if class == Class::Presence && bytes.get(4) == Some(&1) {
                self.exchanges += 1;
            }
            if class == Class::Gossip {
                self.spread.handle_chunk(now, from, to, bytes);
            }
            self.trace.add(&TraceEvent::Arrived { at: now, from, to, class, bytes });
        }
        let Some(connection) = self.connection(id) else { return };
        match stream {
            Some(stream) => take(connection, side, stream, content),
            None => connection.break_end(side, io::ErrorKind::UnexpectedEof),
        }
        connection.forget_segment(stream);
        self.release(id);
    }

    fn give_up(&mut self, id: ConnectionId, side: Side, since: u64) {
        let Some(connection) = self.connection(id) else { return };
        if connection.end(side).held.front().is_some_and(|(held, _)| *held == since) {
            connection.break_end(side, io::ErrorKind::TimedOut);
            self.release(id);
        }
    }

    /// Sees to it that what was held back on paths that pass again is sent when TCP would try.
    pub(super) fn release_held(&mut self) {
        let now = now();
        for id in 0..self.connections.len() {
            for side in [0, 1] {
                if let Some(since) = self.held_since(id, side) {
                    self.schedule(next_retransmission(since, now), Event::Resend(id, side));
                }
            }
        }
    }

    fn resend(&mut self, now: u64, id: ConnectionId, side: Side) {
        if self.held_since(id, side).is_some()
            && let Some(connection) = self.connection(id)
        {
            for (_, segment) in std::mem::take(&mut connection.end(side).held) {
                self.transmit(now, id, side, segment);
            }
        }
    }

    /// Since when this end holds something that could pass now.
    fn held_since(&mut self, id: ConnectionId, side: Side) -> Option<u64> {
        let connection = self.connection(id)?;
        let since = connection.end(side).held.front()?.0;
        let (from, to) = (connection.end(side).host, connection.end(other(side)).host);
        let passes = !connection.severed && self.passes(from, to);
        passes.then_some(since)
    }

    /// Whether a host is there to receive announcements.
    pub(super) fn receives(&self, from: HostId, to: HostId) -> bool {
        from != to && self.passes(from, to) && self.hosts.get(index(to)).is_some()
    }
}

/// Lets `side` of a stream receive `content`.
fn take(connection: &mut Connection, side: Side, id: StreamId, content: Content) {
    let Some(stream) = connection.stream(id) else { return };
    let newly_opened = !stream.accepted && stream.opener != side;
    if newly_opened {
        stream.accepted = true;
        // Its place in the queue.
        stream.references += 1;
    }
    let half = stream.half(side);
    match content {
        Content::Data(bytes) if half.dropped => half.outstanding -= bytes.len(),
        Content::Data(bytes) => half.arrived.push_back(bytes),
        Content::Finish => half.finished = true,
        Content::Reset | Content::Close => half.reset = true,
    }
    let reset = half.reset;
    wake(half.reader.take());
    if reset {
        // Nobody reads what this side would write.
        let writer = stream.half(other(side)).writer.take();
        wake(writer);
    }
    if newly_opened {
        let end = connection.end(side);
        end.inbound.push_back(id);
        wake(end.waker.take());
    }
}

/// When TCP sends again what it first sent at `since`, at or after `now`.
fn next_retransmission(since: u64, now: u64) -> u64 {
    let mut at = since;
    let mut wait = nanoseconds(links::RETRANSMIT_MIN);
    while at < now {
        at += wait;
        wait = (wait * 2).min(RETRANSMIT_MAX);
    }
    at
}

const SYN_RETRY: u64 = 1_000_000_000;
const SYN_TRIES: u32 = 3;
/// Linux's largest retransmission timeout.
const RETRANSMIT_MAX: u64 = 120_000_000_000;
