//! Bytes in, values out, and back: the one place that knows the encoding.
//!
//! The encoding is bincode 2's standard configuration over serde: little-endian, integers above 250 marked
//! with their width, lengths before sequences, variants by number, structs as their fields in order. It is
//! written down for other languages in `protocol/WIRE.md`. On top of it [`decode`] demands what a signed
//! and compared encoding needs: a limit that is checked before anything is allocated, no trailing bytes,
//! and exactly one encoding for each value, so that whatever is accepted encodes to the same bytes again.

use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;

/// The bytes of `value`.
///
/// # Panics
/// Never for the types of this crate: none has a serializer that can fail, and memory is the only sink.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    bincode::serde::encode_to_vec(value, bincode::config::standard()).expect("plain data is always encodable")
}

/// The value that `bytes` are the encoding of.
///
/// # Errors
/// [`WireError`]; whatever lengths `bytes` claims, no more than [`CLAIMED_BYTES_MAX`] was allocated at once.
pub fn decode<T: Serialize + DeserializeOwned>(bytes: &[u8], limit: usize) -> Result<T, WireError> {
    if bytes.len() > limit {
        return Err(WireError::TooLarge { found: bytes.len(), limit });
    }
    let config = bincode::config::standard().with_limit::<CLAIMED_BYTES_MAX>();
    let (value, used) = bincode::serde::decode_from_slice(bytes, config).map_err(|_| WireError::Malformed)?;
    if used != bytes.len() {
        return Err(WireError::TrailingBytes { count: bytes.len() - used });
    }
    if encode(&value) != bytes {
        return Err(WireError::NotCanonical);
    }
    Ok(value)
}

/// Bytes that are no frame of ours. Nothing was changed by them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum WireError {
    /// Longer than such a frame may be.
    #[error("{found} bytes, and at most {limit} are allowed")]
    TooLarge {
        /// The length in bytes.
        found: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// Not an encoding of the expected type.
    #[error("not a valid frame")]
    Malformed,
    /// A valid frame and then more.
    #[error("{count} bytes after the end of the frame")]
    TrailingBytes {
        /// How many.
        count: usize,
    },
    /// A second way of writing what has one encoding only.
    #[error("not the one encoding of its value")]
    NotCanonical,
}

/// What one frame may claim to hold. Without it bincode allocates whatever length a string or byte string
/// is said to have, and a frame of ten bytes ends the process. It counts each integer as its full width, up
/// to eight times what is read, and no frame is larger than 128 KiB.
const CLAIMED_BYTES_MAX: usize = 8 * 128 * 1024;

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;
