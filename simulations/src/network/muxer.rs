//! One end of a connection and its streams, as libp2p sees them.

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll},
};

use futures::{AsyncRead, AsyncWrite};
use libp2p::core::muxing::{StreamMuxer, StreamMuxerEvent};

use super::{
    Network,
    connection::{CLOSED, Connection, ConnectionId, Content, Side, StreamId, other, wake},
};

/// One end of a connection.
pub(super) struct Muxer {
    network: Network,
    connection: ConnectionId,
    side: Side,
}

impl Muxer {
    /// Takes over a reference that the caller counted.
    pub(super) fn new(network: Network, connection: ConnectionId, side: Side) -> Self {
        Self { network, connection, side }
    }

    fn with<T>(
        &self,
        cx: &Context<'_>,
        then: impl FnOnce(&mut Connection) -> Option<T>,
    ) -> Poll<io::Result<T>> {
        let mut state = self.network.lock();
        let Some(connection) = state.connection(self.connection) else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        if let Some(kind) = connection.end(self.side).broken {
            return Poll::Ready(Err(kind.into()));
        }
        if let Some(value) = then(connection) {
            return Poll::Ready(Ok(value));
        }
        connection.end(self.side).waker = Some(cx.waker().clone());
        Poll::Pending
    }

    fn substream(&self, id: StreamId) -> Substream {
        Substream { network: self.network.clone(), connection: self.connection, side: self.side, id }
    }
}

impl StreamMuxer for Muxer {
    type Substream = Substream;
    type Error = io::Error;

    fn poll_inbound(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<Substream>> {
        // The reference of the queue becomes the handle's.
        self.with(cx, |connection| {
            let id = connection.end(self.side).inbound.pop_front()?;
            connection.references += 1;
            Some(id)
        })
        .map_ok(|id| self.substream(id))
    }

    fn poll_outbound(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<Substream>> {
        self.with(cx, |connection| Some(connection.open_stream(self.side))).map_ok(|id| self.substream(id))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.network.close(self.connection, self.side);
        Poll::Ready(Ok(()))
    }

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<StreamMuxerEvent>> {
        self.with(cx, |_| None)
    }
}

impl Drop for Muxer {
    fn drop(&mut self) {
        self.network.close(self.connection, self.side);
        self.network.release_connection(self.connection);
    }
}

impl Network {
    /// Closes one end in order, if it was open: what was sent before still arrives.
    pub(super) fn close(&self, id: ConnectionId, side: Side) {
        let mut state = self.lock();
        let Some(connection) = state.connection(id) else { return };
        let end = connection.end(side);
        if !std::mem::replace(&mut end.open, false) {
            return;
        }
        if end.broken.is_none() {
            state.send_mark(id, side, None, Content::Close);
            if let Some(connection) = state.connection(id) {
                // Without held segments, which go out as they would from a closed socket.
                let held = std::mem::take(&mut connection.end(side).held);
                connection.break_end(side, CLOSED);
                connection.end(side).held = held;
            }
        }
    }

    pub(super) fn release_connection(&self, id: ConnectionId) {
        let mut state = self.lock();
        if let Some(connection) = state.connection(id) {
            connection.references -= 1;
            state.release(id);
        }
    }
}

/// One end of a stream.
pub(super) struct Substream {
    network: Network,
    connection: ConnectionId,
    side: Side,
    id: StreamId,
}

impl fmt::Debug for Substream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Substream").field("connection", &self.connection).finish_non_exhaustive()
    }
}

impl AsyncRead for Substream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut state = self.network.lock();
        let Some(connection) = state.connection(self.connection) else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        let broken = connection.end(self.side).broken;
        let Some(stream) = connection.stream(self.id) else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        let half = stream.half(self.side);
        let mut count = 0;
        while let Some(chunk) = half.arrived.front()
            && count < buffer.len()
        {
            let unread = chunk.get(half.read..).unwrap_or_default();
            let taken = unread.len().min(buffer.len() - count);
            if let (Some(to), Some(from)) = (buffer.get_mut(count..count + taken), unread.get(..taken)) {
                to.copy_from_slice(from);
            }
            count += taken;
            half.read += taken;
            if half.read == chunk.len() {
                half.read = 0;
                half.arrived.pop_front();
            }
        }
        half.outstanding -= count;
        let answer = if count > 0 {
            Poll::Ready(Ok(count))
        } else if half.finished {
            Poll::Ready(Ok(0))
        } else if half.reset {
            Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
        } else if let Some(kind) = broken {
            Poll::Ready(Err(kind.into()))
        } else {
            half.reader = Some(cx.waker().clone());
            Poll::Pending
        };
        if count > 0 {
            // The other end may write again. That it learns of it at once is the model's simplification.
            wake(half.writer.take());
        }
        answer
    }
}

impl AsyncWrite for Substream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = self.network.lock();
        let Some(connection) = state.connection(self.connection) else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        if let Some(kind) = connection.end(self.side).broken {
            return Poll::Ready(Err(kind.into()));
        }
        let Some(stream) = connection.stream(self.id) else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        if stream.half(self.side).reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if stream.half(other(self.side)).finish_sent {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let sent = state.send_data(self.connection, self.side, self.id, bytes);
        if sent > 0 {
            return Poll::Ready(Ok(sent));
        }
        if let Some(stream) = state.connection(self.connection).and_then(|one| one.stream(self.id)) {
            stream.half(other(self.side)).writer = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.network.finish(self.connection, self.side, self.id);
        Poll::Ready(Ok(()))
    }
}

impl Drop for Substream {
    fn drop(&mut self) {
        self.network.drop_stream(self.connection, self.side, self.id);
        self.network.release_connection(self.connection);
    }
}

impl Network {
    /// This end writes no more.
    fn finish(&self, id: ConnectionId, side: Side, stream: StreamId) {
        let mut state = self.lock();
        let Some(place) = state.connection(id).and_then(|connection| connection.stream(stream)) else {
            return;
        };
        if !std::mem::replace(&mut place.half(other(side)).finish_sent, true) {
            state.send_mark(id, side, Some(stream), Content::Finish);
        }
    }

    /// This end is dropped. As Yamux does: a stream that is not closed on both sides is reset.
    fn drop_stream(&self, id: ConnectionId, side: Side, stream: StreamId) {
        let mut state = self.lock();
        let Some(place) = state.connection(id).and_then(|connection| connection.stream(stream)) else {
            return;
        };
        let finish_sent = place.half(other(side)).finish_sent;
        let half = place.half(side);
        half.dropped = true;
        // What is on its way still counts.
        half.outstanding -= half.arrived.iter().map(|chunk| chunk.len()).sum::<usize>() - half.read;
        half.arrived.clear();
        (half.reader, half.read) = (None, 0);
        let (finished, reset) = (half.finished, half.reset);
        let mark = match (finish_sent, finished) {
            _ if reset => None,
            (true, true) => None,
            (false, true) => Some(Content::Finish),
            (_, false) => Some(Content::Reset),
        };
        if let Some(mark) = mark {
            state.send_mark(id, side, Some(stream), mark);
        }
        if let Some(connection) = state.connection(id) {
            connection.release_stream(stream);
        }
    }
}
