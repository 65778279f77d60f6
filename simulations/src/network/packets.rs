//! Packets on their way: what is scheduled, and what happens when it arrives.

use std::{io, task::Waker, time::Duration};

use super::{
    Admission, State,
    connection::{
        CLOSED, Connection, ConnectionId, Content, GIVE_UP, Segment, Side, StreamId, WINDOW, other, wake,
    },
    discovery::Announcement,
    index,
    links::{self, nanoseconds},
    traffic::{Class, HANDSHAKE_BYTES, ROUND_TRIP_INTERVAL, SEGMENT_BYTES, on_the_wire},
};
use crate::{
    trace::TraceEvent,
    virtual_machine::{HostId, executor, now},
};

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
    /// It was refused or swallowed, and is counted as such.
    turned_away: bool,
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
                let passes = self.path_passes(id, other(side));
                if let Some(connection) = self.connection(id) {
                    if passes {
                        connection.break_end(side, io::ErrorKind::ConnectionReset);
                    }
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
        self.host(from).dials.add(now());
        let to = self.by_address.get(&address).copied();
        let dial = Dial { from, to, port, outcome: None, waker: None, tries: 0, turned_away: false };
        self.dials.insert(self.next_dial, dial);
        let id = self.next_dial;
        self.send_syn(now(), id);
        id
    }

    fn send_syn(&mut self, now: u64, id: DialId) {
        let Some(dial) = self.dials.get_mut(&id) else { return };
        if dial.outcome.is_some() {
            return;
        }
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
            let at = links::syn_arrival(settings, (from, to), (now, SEGMENT_BYTES), random);
            if let Some(at) = at {
                self.schedule(at, Event::Syn(id));
            }
        }
    }

    fn syn(&mut self, now: u64, id: DialId) {
        let Some(dial) = self.dials.get(&id) else { return };
        let (from, Some(to), port) = (dial.from, dial.to, dial.port) else { return };
        if dial.outcome.is_some() || !self.passes(from, to) || !self.passes(to, from) {
            return;
        }
        if self.host(to).admission == Admission::Swallow {
            self.turn_away(id);
            return;
        }
        let latency = {
            let Some((settings, [from, to], _)) = self.path(from, to) else { return };
            links::base_latency(settings, from, to)
        };
        let host = self.host(to);
        if host.admission == Admission::Refuse || !host.listening.contains(&port) {
            self.turn_away(id);
            self.schedule(now + latency, Event::Refused(id));
            return;
        }
        let connection = self.add_connection(from, to);
        self.host(to).incoming.push_back(connection);
        wake(self.host(to).transport_waker.take());
        self.settle_dial(id, Ok(connection));
        // The handshake of TCP is at its first packet; three more ways to the dialler's end of all, then one.
        let takes = if executor::processors_are_shared() { Duration::ZERO } else { self.handshake };
        let cryptography = nanoseconds(takes);
        let dialler = now + 3 * latency + cryptography;
        self.schedule(dialler, Event::Established(connection, 0));
        self.schedule(dialler + latency + cryptography, Event::Established(connection, 1));
        for host in [from, to] {
            self.host(host).sent_bytes += HANDSHAKE_BYTES / 2;
        }
        self.traffic.add(Class::Transport, HANDSHAKE_BYTES);
    }

    fn turn_away(&mut self, id: DialId) {
        if let Some(dial) = self.dials.get_mut(&id)
            && !std::mem::replace(&mut dial.turned_away, true)
        {
            self.refused_connections += 1;
        }
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
        connection.round_trip_at = now();
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
        // The dialler's end comes first.
        let early = side == 1 && !connection.end(0).established;
        let [near, far] = hosts;
        let passes = self.path_passes(id, side) && self.path_passes(id, other(side));
        if !given_up && (early || !passes || self.host(near).paused || self.host(far).paused) {
            // One of its packets is lost or not looked at; TCP sends it again.
            self.schedule(now + SYN_RETRY, Event::Established(id, side));
            return;
        }
        let Some(connection) = self.connection(id) else { return };
        connection.references -= 1;
        if !given_up {
            let end = connection.end(side);
            end.established = true;
            wake(end.waker.take());
            self.trace.add(&TraceEvent::Connected { at: now, from: near, to: far });
        }
        self.release(id);
    }

    /// Sends what a node wrote.
    pub(super) fn send_data(
        &mut self,
        id: ConnectionId,
        side: Side,
        stream: StreamId,
        bytes: &[u8],
    ) -> usize {
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
        self.send(id, side, Some(stream), Content::Data(bytes.into()), on_the_wire(bytes.len()));
        bytes.len()
    }

    /// Sends a mark on a stream, or that the connection is closed.
    pub(super) fn send_mark(
        &mut self,
        id: ConnectionId,
        side: Side,
        stream: Option<StreamId>,
        mark: Content,
    ) {
        self.send(id, side, stream, mark, on_the_wire(0));
    }

    fn send(&mut self, id: ConnectionId, side: Side, stream: Option<StreamId>, content: Content, wire: u64) {
        let now = now();
        let Some(connection) = self.connection(id) else { return };
        let end = connection.end(side);
        if end.broken.is_some() {
            return;
        }
        end.sent += 1;
        let (number, waits) = (end.sent, !end.held.is_empty());
        connection.references += 1;
        if let Some(stream) = stream.and_then(|stream| connection.stream(stream)) {
            stream.references += 1;
        }
        let segment = Segment { stream, content, wire, number, sent_at: now, queued: false };
        if waits || !self.path_passes(id, side) {
            self.hold(now, id, side, segment);
        } else {
            self.transmit(now, id, side, segment);
        }
    }

    /// Keeps a segment, which is counted already, until the path lets it through.
    fn hold(&mut self, now: u64, id: ConnectionId, side: Side, segment: Segment) {
        let Some(connection) = self.connection(id) else { return };
        let held = &mut connection.end(side).held;
        let place = held.partition_point(|earlier| earlier.number < segment.number);
        let since = segment.sent_at;
        held.insert(place, segment);
        if place == 0 {
            let at = since.saturating_add(nanoseconds(GIVE_UP)).max(now);
            self.schedule(at, Event::GiveUp(id, side, since));
        }
    }

    /// Puts a segment, which is counted already, on its way.
    fn transmit(&mut self, now: u64, id: ConnectionId, side: Side, segment: Segment) {
        let Some(connection) = self.connection(id) else { return };
        let (from, to) = (connection.end(side).host, connection.end(other(side)).host);
        let class = segment.stream.and_then(|stream| connection.stream(stream)?.class);
        if now.saturating_sub(connection.round_trip_at) >= nanoseconds(ROUND_TRIP_INTERVAL) {
            connection.round_trip_at = now;
            // A ping of Yamux and its answer, of each end.
            for host in [from, to] {
                self.host(host).sent_bytes += 2 * on_the_wire(0);
            }
            self.traffic.add(Class::Transport, 4 * on_the_wire(0));
        }
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
        let segment = Segment { queued: false, ..segment };
        self.schedule(at, Event::Segment(id, other(side), segment));
    }

    /// Tells the other end of a connection that this one is gone.
    pub(super) fn send_break(&mut self, id: ConnectionId, side: Side) {
        let Some(connection) = self.connection(id) else { return };
        let (from, to) = (connection.end(side).host, connection.end(other(side)).host);
        if connection.end(other(side)).broken.is_some() || !self.path_passes(id, side) {
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
        let Some(segment) = self.next_in_order(now, id, side, segment) else { return };
        let Some(connection) = self.connection(id) else { return };
        let (to, from) = (connection.end(side).host, connection.end(other(side)).host);
        let end = connection.end(side);
        let Segment { stream, content, number, .. } = segment;
        if !end.open || end.broken.is_some() {
            connection.forget_segment(stream);
            if !matches!(content, Content::Close) {
                self.send_break(id, side);
            }
            self.release(id);
            return;
        }
        end.received = number;
        if let Content::Data(bytes) = &content {
            let class =
                stream.and_then(|stream| connection.stream(stream)?.class).unwrap_or(Class::Transport);
            // The second kind of request, behind four bytes of length, see the protocol's WIRE.md.
            if class == Class::Presence && bytes.get(4) == Some(&1) {
                self.exchanges += 1;
            }
            if class == Class::Gossip {
                self.spread.handle_chunk(now, from, to, bytes);
            }
            self.trace.add(&TraceEvent::Arrived { at: now, from, to, class, bytes });
            self.capture(id, side, stream, class, bytes);
        }
        let Some(connection) = self.connection(id) else { return };
        match stream {
            Some(stream) => take(connection, side, stream, content),
            None => connection.break_end(side, io::ErrorKind::UnexpectedEof),
        }
        connection.forget_segment(stream);
        if let Some(next) = connection.end(side).early.remove(&(number + 1)) {
            self.schedule(now, Event::Segment(id, side, next));
        }
        self.release(id);
    }

    fn capture(
        &mut self,
        id: ConnectionId,
        side: Side,
        stream: Option<StreamId>,
        class: Class,
        bytes: &[u8],
    ) {
        if self.received.is_none() {
            return;
        }
        let Some(connection) = self.connection(id) else { return };
        let to = connection.end(side).host;
        let Some(place) = stream.and_then(|stream| connection.stream(stream)) else { return };
        let is_request = place.opener != side;
        let received = place.half(side).captured.handle_chunk(to, class, is_request, bytes);
        self.received.get_or_insert_default().push(received);
    }

    /// Gives a segment back that may be received now. Others are lost in a cut and held by their sender, wait
    /// in the queue of the interface, or for one before them that was lost.
    fn next_in_order(&mut self, now: u64, id: ConnectionId, side: Side, segment: Segment) -> Option<Segment> {
        let passes = self.path_passes(id, other(side));
        let connection = self.connection(id)?;
        let sender = connection.end(other(side));
        if !passes || sender.held.front().is_some_and(|held| held.number < segment.number) {
            if sender.sends_again() {
                self.hold(now, id, other(side), segment);
            } else {
                connection.forget_segment(segment.stream);
                self.release(id);
            }
            return None;
        }
        if !segment.queued {
            let host = connection.end(side).host;
            let interface = &mut self.hosts.get_mut(index(host))?.interface;
            if let Some(at) = links::wait_in_queue(&self.settings, interface, now, segment.wire) {
                self.schedule(at, Event::Segment(id, side, Segment { queued: true, ..segment }));
                return None;
            }
        }
        let end = self.connection(id)?.end(side);
        if end.open && end.broken.is_none() && end.received + 1 < segment.number {
            end.early.insert(segment.number, Segment { queued: true, ..segment });
            return None;
        }
        Some(segment)
    }

    fn give_up(&mut self, id: ConnectionId, side: Side, since: u64) {
        let Some(connection) = self.connection(id) else { return };
        let end = connection.end(side);
        if end.held.front().is_some_and(|held| held.sent_at == since) {
            // A closed end gives up as well.
            end.broken.take_if(|why| *why == CLOSED);
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
            for segment in std::mem::take(&mut connection.end(side).held) {
                self.transmit(now, id, side, segment);
            }
        }
    }

    /// Since when this end holds something that could pass now.
    fn held_since(&mut self, id: ConnectionId, side: Side) -> Option<u64> {
        let connection = self.connection(id)?;
        let since = connection.end(side).held.front()?.sent_at;
        self.path_passes(id, side).then_some(since)
    }

    /// Whether what `side` sends reaches the other end.
    fn path_passes(&self, id: ConnectionId, side: Side) -> bool {
        let Some(Some(connection)) = self.connections.get(id) else { return false };
        let [dialler, listener] = &connection.ends;
        let (from, to) = if side == 0 { (dialler, listener) } else { (listener, dialler) };
        !connection.severed && self.passes(from.host, to.host)
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
