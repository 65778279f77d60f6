//! A connection between two hosts, as the network keeps it: what is open, what arrived, what is held back.
//!
//! Two ends, each on a host, and streams between them. Everything of one direction arrives in the order in
//! which it was sent, as over TCP. What is sent while the path is cut, or meets a cut on its way, is *held*
//! by its sender and goes out when TCP would send it again; after [`GIVE_UP`] of that the end gives up. An
//! end that was closed or whose process died answers whatever still arrives with a reset.
//!
//! A connection and a stream are forgotten when nothing refers to them any more: no handle on either end,
//! and no packet on its way.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    task::Waker,
    time::Duration,
};

use super::{captures::Assembly, traffic::Class};

/// A connection, by number; numbers are used again.
pub(super) type ConnectionId = usize;
pub(super) type StreamId = usize;

/// One of the two ends: 0 is the one that dialled.
pub(super) type Side = usize;
pub(super) const LISTENER: Side = 1;

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) ends: [End; 2],
    pub(super) streams: Vec<Option<Stream>>,
    free_streams: Vec<StreamId>,
    /// Handles of the nodes, and packets on their way.
    pub(super) references: u32,
    /// An address of one end changed: nothing will ever arrive again.
    pub(super) severed: bool,
    /// When Yamux measured last how long its packets take.
    pub(super) round_trip_at: u64,
}

#[derive(Debug)]
pub(super) struct End {
    pub(super) host: u32,
    /// The handshake is through.
    pub(super) established: bool,
    /// The process has it open.
    pub(super) open: bool,
    /// Why nothing goes any more.
    pub(super) broken: Option<io::ErrorKind>,
    pub(super) waker: Option<Waker>,
    /// Streams that the other end opened and this one has not taken.
    pub(super) inbound: VecDeque<StreamId>,
    pub(super) last_arrival: u64,
    /// Segments that this end sent so far.
    pub(super) sent: u64,
    /// Segments that it received so far: those of the other end with numbers up to this.
    pub(super) received: u64,
    /// What arrived though something before it did not yet, by number.
    pub(super) early: BTreeMap<u64, Segment>,
    /// What this end sent and the cut path did not let through, in order.
    pub(super) held: VecDeque<Segment>,
}

/// What travels.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) stream: Option<StreamId>,
    pub(super) content: Content,
    pub(super) wire: u64,
    /// Its place among what its sender sends, from 1.
    pub(super) number: u64,
    pub(super) sent_at: u64,
    /// It came through the queue of the receiving interface.
    pub(super) queued: bool,
}

#[derive(Debug)]
pub(super) enum Content {
    Data(Box<[u8]>),
    /// The sender writes no more.
    Finish,
    /// The sender neither reads nor writes any more.
    Reset,
    /// The connection is closed in order.
    Close,
}

#[derive(Debug)]
pub(super) struct Stream {
    pub(super) opener: Side,
    pub(super) accepted: bool,
    pub(super) class: Option<Class>,
    /// Handles, packets on their way, and a place in the queue of those that are not taken yet.
    pub(super) references: u32,
    /// What each side receives.
    pub(super) halves: [Half; 2],
}

#[derive(Debug, Default)]
pub(super) struct Half {
    pub(super) arrived: VecDeque<Box<[u8]>>,
    /// Bytes of the first chunk that were read.
    pub(super) read: usize,
    /// Bytes that were sent and not read, on their way or arrived.
    pub(super) outstanding: usize,
    pub(super) finish_sent: bool,
    pub(super) finished: bool,
    pub(super) reset: bool,
    pub(super) dropped: bool,
    pub(super) reader: Option<Waker>,
    pub(super) writer: Option<Waker>,
    /// What is captured of it.
    pub(super) captured: Assembly,
}

impl Connection {
    pub(super) fn new(dialler: u32, listener: u32) -> Self {
        let end = |host| End {
            host,
            established: false,
            open: true,
            broken: None,
            waker: None,
            inbound: VecDeque::new(),
            last_arrival: 0,
            sent: 0,
            received: 0,
            early: BTreeMap::new(),
            held: VecDeque::new(),
        };
        Self {
            ends: [end(dialler), end(listener)],
            streams: Vec::new(),
            free_streams: Vec::new(),
            references: 0,
            severed: false,
            round_trip_at: 0,
        }
    }

    pub(super) fn end(&mut self, side: Side) -> &mut End {
        let [first, second] = &mut self.ends;
        if side == 0 { first } else { second }
    }

    pub(super) fn open_stream(&mut self, opener: Side) -> StreamId {
        let stream = Some(Stream {
            opener,
            accepted: false,
            class: None,
            references: 1,
            halves: [Half::default(), Half::default()],
        });
        self.references += 1;
        match self.free_streams.pop() {
            Some(id) => {
                if let Some(place) = self.streams.get_mut(id) {
                    *place = stream;
                }
                id
            }
            None => {
                self.streams.push(stream);
                self.streams.len() - 1
            }
        }
    }

    pub(super) fn stream(&mut self, id: StreamId) -> Option<&mut Stream> {
        self.streams.get_mut(id)?.as_mut()
    }

    /// Nothing goes on `side` any more.
    pub(super) fn break_end(&mut self, side: Side, why: io::ErrorKind) {
        let end = self.end(side);
        if end.broken.is_some() {
            return;
        }
        end.broken = Some(why);
        let waiting = end.waker.take();
        let held = std::mem::take(&mut end.held);
        let early = std::mem::take(&mut end.early);
        for segment in held.into_iter().chain(early.into_values()) {
            self.forget_segment(segment.stream);
        }
        wake(waiting);
        for stream in self.streams.iter_mut().flatten() {
            let [first, second] = &mut stream.halves;
            let (received, sent) = if side == 0 { (first, second) } else { (second, first) };
            wake(received.reader.take());
            wake(sent.writer.take());
        }
    }

    /// A packet is not on its way any more.
    pub(super) fn forget_segment(&mut self, stream: Option<StreamId>) {
        self.references -= 1;
        if let Some(stream) = stream {
            self.release_stream(stream);
        }
    }

    /// Something that referred to the stream is gone.
    pub(super) fn release_stream(&mut self, id: StreamId) {
        let Some(place) = self.streams.get_mut(id) else { return };
        let Some(stream) = place else { return };
        stream.references -= 1;
        if stream.references == 0 {
            *place = None;
            self.free_streams.push(id);
        }
    }
}

#[cfg(test)]
impl Connection {
    /// # Panics
    /// If something was counted wrongly.
    pub(super) fn check(&self) {
        let held: usize = self.ends.iter().map(|end| end.held.len() + end.early.len()).sum();
        assert!(
            usize::try_from(self.references).is_ok_and(|references| references >= held.max(1)),
            "{self:?}"
        );
        for stream in self.streams.iter().flatten() {
            for half in &stream.halves {
                let arrived = half.arrived.iter().map(|chunk| chunk.len()).sum::<usize>() - half.read;
                assert!((arrived..=WINDOW).contains(&half.outstanding), "{half:?}");
            }
        }
    }
}

impl End {
    /// Whether it sends again what did not arrive: a socket does that until its process dies or it gives up,
    /// also after it was closed.
    pub(super) fn sends_again(&self) -> bool {
        self.broken.is_none_or(|why| why == CLOSED)
    }
}

impl Stream {
    /// What `side` receives.
    pub(super) fn half(&mut self, side: Side) -> &mut Half {
        let [first, second] = &mut self.halves;
        if side == 0 { first } else { second }
    }
}

pub(super) fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

pub(super) fn other(side: Side) -> Side {
    1 - side
}

/// Why nothing goes on an end that its own process closed.
pub(super) const CLOSED: io::ErrorKind = io::ErrorKind::BrokenPipe;
/// How long TCP sends again what is not acknowledged before it gives up: Linux's 15 tries.
pub(super) const GIVE_UP: Duration = Duration::from_secs(924);
/// Bytes on their way or unread that a stream may have: Yamux's window.
pub(super) const WINDOW: usize = 256 * 1024;
