//! Captures: all that arrives at hosts, and the frames that it is made of.
//!
//! What a process is handed by a connection is what its owner may keep for ever, whatever the process does
//! with it. Each chunk of each stream is kept until somebody takes it ([`Network::take_received`]), with the
//! last bytes of the chunk before, so that nothing is missed at the seam, and with the frames that it
//! completes. Off unless somebody asks for it, since it copies everything.
//!
//! [`Network::take_received`]: super::Network::take_received

use super::{
    spread::{delimited, published},
    traffic::Class,
};
use crate::virtual_machine::HostId;

/// Something that a host received.
#[derive(Debug)]
pub struct Received {
    /// The host.
    pub to: HostId,
    /// A chunk of a stream, and up to [`OVERLAP_BYTES`] of what came before on it.
    pub bytes: Vec<u8>,
    /// What it completes.
    pub frames: Vec<Frame>,
}

/// Bytes that mean something.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame {
    /// The data of a gossiped message.
    Gossip(Vec<u8>),
    /// A request of the PRESENCE PROTOCOL.
    Request(Vec<u8>),
    /// A response of the PRESENCE PROTOCOL.
    Response(Vec<u8>),
}

/// What was received of a stream and is no whole frame yet.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    before: Vec<u8>,
    rest: Vec<u8>,
}

impl Assembly {
    /// A chunk arrived, of a request or what else the opener of the stream says, or of the other direction.
    pub(super) fn handle_chunk(
        &mut self,
        to: HostId,
        class: Class,
        is_request: bool,
        chunk: &[u8],
    ) -> Received {
        let bytes = [&self.before, chunk].concat();
        self.before = bytes.get(bytes.len().saturating_sub(OVERLAP_BYTES)..).unwrap_or_default().to_vec();
        let mut frames = Vec::new();
        if matches!(class, Class::Gossip | Class::Presence) {
            self.rest.extend_from_slice(chunk);
            while let Some((piece, is_framed)) = self.next_piece(class) {
                match class {
                    Class::Gossip => {
                        frames.extend(published(&piece).map(|data| Frame::Gossip(data.to_vec())));
                    }
                    _ if !is_framed => (),
                    _ if is_request => frames.push(Frame::Request(piece)),
                    _ => frames.push(Frame::Response(piece)),
                }
            }
        }
        Received { to, bytes, frames }
    }

    /// Takes the next whole piece, and says whether it is behind four bytes of length, as our frames are.
    /// Those of gossip and of the negotiation are behind a length in the form of Protocol Buffers.
    fn next_piece(&mut self, class: Class) -> Option<(Vec<u8>, bool)> {
        // No frame of ours is so long that the first byte of its length is not zero.
        let is_framed = class == Class::Presence && self.rest.first() == Some(&0);
        let (piece, after) = if is_framed {
            let (length, after) = self.rest.split_first_chunk()?;
            after.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?
        } else {
            delimited(&self.rest)?
        };
        let (piece, after) = (piece.to_vec(), after.to_vec());
        self.rest = after;
        Some((piece, is_framed))
    }
}

/// Longer than anything that is looked for.
pub const OVERLAP_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    const NEGOTIATION: &[u8] = b"\x13/multistream/1.0.0\n";

    #[test]
    fn frames_are_put_together_whatever_chunks_they_come_in() {
        let frame = [NEGOTIATION, &[0, 0, 0, 3], b"abc", &[0, 0, 0, 1], b"d"].concat();
        for size in 1..frame.len() {
            let mut assembly = Assembly::default();
            let chunks = frame.chunks(size);
            let frames: Vec<_> = chunks
                .flat_map(|chunk| assembly.handle_chunk(7, Class::Presence, true, chunk).frames)
                .collect();
            assert_eq!(frames, [Frame::Request(b"abc".to_vec()), Frame::Request(b"d".to_vec())]);
        }
    }

    #[test]
    fn gossip_is_the_data_of_what_is_published() {
        let rpc = [9, 0x12, 7, 0x12, 2, b'a', b'b', 0x22, 1, b't'];
        let bytes = [NEGOTIATION, &rpc, &rpc].concat();
        let (first, second) = bytes.split_at(25);
        let mut assembly = Assembly::default();
        assert_eq!(assembly.handle_chunk(7, Class::Gossip, true, first).frames, []);
        let frames = assembly.handle_chunk(7, Class::Gossip, true, second).frames;
        assert_eq!(frames, [Frame::Gossip(b"ab".to_vec()), Frame::Gossip(b"ab".to_vec())]);
    }

    #[test]
    fn what_is_cut_in_two_is_whole_in_the_bytes_of_the_second_chunk() {
        let mut assembly = Assembly::default();
        assembly.handle_chunk(7, Class::Identify, false, b"something before a ma");
        let received = assembly.handle_chunk(7, Class::Identify, false, b"rk");
        assert!(received.bytes.ends_with(b"a mark") && received.frames.is_empty());
    }
}
