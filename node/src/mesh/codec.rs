//! Frames on streams: four bytes of length, big-endian, then as many bytes of one encoded value.
//!
//! The length is held against the limit before memory is taken for it, and a frame that does not decode is
//! an error of the stream it came on, nothing more. Nobody needs to half-close.

use std::{fmt, io, marker::PhantomData};

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use hereabouts_protocol::wire::{
    codec,
    frames::{
        MESSAGE_REQUEST_BYTES_MAX, MESSAGE_RESPONSE_BYTES_MAX, MessageRequest, MessageResponse,
        PRESENCE_REQUEST_BYTES_MAX, PRESENCE_RESPONSE_BYTES_MAX, PresenceRequest, PresenceResponse,
    },
};
use libp2p::{StreamProtocol, request_response};
use serde::{Serialize, de::DeserializeOwned};

/// The frames of one protocol and the limits on them.
pub(super) trait Frames: Send + Clone + 'static {
    /// What is asked.
    type Request: Serialize + DeserializeOwned + fmt::Debug + Send + Sync + 'static;
    /// What is answered.
    type Response: Serialize + DeserializeOwned + fmt::Debug + Send + Sync + 'static;
    /// Bytes of a request.
    const REQUEST_BYTES_MAX: usize;
    /// Bytes of a response.
    const RESPONSE_BYTES_MAX: usize;
}

/// The PRESENCE PROTOCOL.
#[derive(Debug, Clone)]
pub(super) struct PresenceFrames;

impl Frames for PresenceFrames {
    type Request = PresenceRequest;
    type Response = PresenceResponse;
    const REQUEST_BYTES_MAX: usize = PRESENCE_REQUEST_BYTES_MAX;
    const RESPONSE_BYTES_MAX: usize = PRESENCE_RESPONSE_BYTES_MAX;
}

/// The INSTANT MESSAGE PROTOCOL.
#[derive(Debug, Clone)]
pub(super) struct MessageFrames;

impl Frames for MessageFrames {
    type Request = MessageRequest;
    type Response = MessageResponse;
    const REQUEST_BYTES_MAX: usize = MESSAGE_REQUEST_BYTES_MAX;
    const RESPONSE_BYTES_MAX: usize = MESSAGE_RESPONSE_BYTES_MAX;
}

/// Reads and writes the frames of `F`.
#[derive(Debug, Clone)]
pub(super) struct FrameCodec<F>(PhantomData<F>);

impl<F> Default for FrameCodec<F> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<F: Frames> request_response::Codec for FrameCodec<F> {
    type Protocol = StreamProtocol;
    type Request = F::Request;
    type Response = F::Response;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<F::Request>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(io, F::REQUEST_BYTES_MAX).await
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<F::Response>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(io, F::RESPONSE_BYTES_MAX).await
    }

    async fn write_request<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        request: F::Request,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write(io, &request).await
    }

    async fn write_response<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        response: F::Response,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write(io, &response).await
    }
}

async fn read<V, T>(io: &mut T, limit: usize) -> io::Result<V>
where
    V: Serialize + DeserializeOwned,
    T: AsyncRead + Unpin + Send,
{
    let mut length = [0; 4];
    io.read_exact(&mut length).await?;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > limit {
        let error = codec::WireError::TooLarge { found: length, limit };
        return Err(io::Error::new(io::ErrorKind::InvalidData, error));
    }
    let mut bytes = vec![0; length];
    io.read_exact(&mut bytes).await?;
    codec::decode(&bytes, limit).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

async fn write<V, T>(io: &mut T, value: &V) -> io::Result<()>
where
    V: Serialize + Sync,
    T: AsyncWrite + Unpin + Send,
{
    let bytes = codec::encode(value);
    let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    io.write_all(&[&length.to_be_bytes(), bytes.as_slice()].concat()).await?;
    io.flush().await
}
